"""Outgoing webhooks: endpoints, what they are told, and how it gets there."""

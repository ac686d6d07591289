"""Workflows and their versions: saved, published, found."""

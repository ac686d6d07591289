"""Workflow definitions as data, and runs that carry them out durably."""

"""The Refold dialect: workflow runs of linked accounts (seed 004, protocols/refold.md)."""

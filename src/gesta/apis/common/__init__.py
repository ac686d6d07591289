"""What the dialects share: services, hot routes, vendor overrides, error plumbing."""

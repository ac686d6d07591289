"""Organizations, accounts, identities, credentials, sessions, rate limits. Edges import `model` and `face`."""

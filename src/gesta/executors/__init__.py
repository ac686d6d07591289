"""Executors: small trading machines that survive anything. `machines` decide, the runner carries their decisions."""

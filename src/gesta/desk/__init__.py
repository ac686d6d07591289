"""Use cases: the one place where a decision and its records share a transaction, and the one door for reads."""

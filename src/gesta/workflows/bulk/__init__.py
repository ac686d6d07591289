"""Jobs: one action on many runs."""

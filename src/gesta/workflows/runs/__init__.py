"""Runs: their rows, what carries them out, what wakes them."""

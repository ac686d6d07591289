"""Definitions as they are written: Gesta's own form, B3OS's and Refold's, read into `Definition` and written back."""

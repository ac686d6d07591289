"""Conformance kits, a manual clock and crash points. Never imported by the rest."""

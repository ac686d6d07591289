"""The `gesta` command."""

from gesta.cli.main import main

__all__ = ["main"]

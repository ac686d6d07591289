"""Gesta: run, record and serve executions from one ledger."""

__version__ = "0.1.0"

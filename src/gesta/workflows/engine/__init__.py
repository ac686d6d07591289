"""Durable execution by DBOS (see `gesta.workflows.runtime`). The only package that knows DBOS and SQLAlchemy.

`settings` and `leases` are light; importing `dbos_engine` costs about a second and is for processes that need it.
"""

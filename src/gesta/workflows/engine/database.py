"""The engine's own database: a SQLAlchemy engine over SQLite or PostgreSQL."""

from __future__ import annotations

import importlib
import sqlite3
import sys
from types import ModuleType
from typing import Any

import sqlalchemy

from gesta.kernel.errors import ServerError
from gesta.workflows.engine.settings import EngineSettings

BUSY_MS = 30_000
CONNECT_S = 10
# A session that is left idle inside a transaction holds its locks no longer than this.
IDLE_TRANSACTION_MS = 60_000


def open_database(settings: EngineSettings) -> sqlalchemy.Engine:
    """Connects at its first use. Raises ServerError where no SQLite is new enough."""
    return _sqlite(settings) if settings.is_sqlite else _postgres(settings)


def _sqlite(settings: EngineSettings) -> sqlalchemy.Engine:
    # One connection: SQLite has one writer anyway, and versions before 3.51.3 can corrupt a WAL file when two
    # connections write and check-point at once.
    engine = sqlalchemy.create_engine(
        settings.url,
        module=sqlite_module(),
        poolclass=sqlalchemy.QueuePool,
        pool_size=settings.connections or 1,
        max_overflow=0,
        pool_timeout=30,
    )
    pragmas = (
        f"PRAGMA busy_timeout={BUSY_MS}",
        "PRAGMA journal_mode=WAL",
        f"PRAGMA synchronous={settings.synchronous}",
        "PRAGMA foreign_keys=ON",
    )

    @sqlalchemy.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        for pragma in pragmas:
            connection.execute(pragma)
        # A transaction that will write takes its lock first, so that two never wait for each other.
        connection.isolation_level = "IMMEDIATE"

    return engine


def sqlite_module() -> ModuleType:
    """The newest SQLite at hand: the one of `pysqlite3`, or else Python's own, if that will do.

    DBOS needs 3.35 (RETURNING), and on Python 3.12 and later 3.42 (its clock). Raises ServerError.
    """
    try:
        return importlib.import_module("pysqlite3.dbapi2")
    except ImportError:
        needed = (3, 42, 0) if sys.version_info >= (3, 12) else (3, 35, 0)
        if sqlite3.sqlite_version_info < needed:
            raise ServerError(
                f"Workflows need SQLite {needed[0]}.{needed[1]} or newer, and this Python has {sqlite3.sqlite_version}:"
                " install pysqlite3-binary, or keep the data in PostgreSQL."
            ) from None
        return sqlite3


def _postgres(settings: EngineSettings) -> sqlalchemy.Engine:
    url = sqlalchemy.make_url(settings.url).set(drivername="postgresql+psycopg")
    connect = {
        "application_name": "gesta-workflows",
        "connect_timeout": CONNECT_S,
        "options": f"-c idle_in_transaction_session_timeout={IDLE_TRANSACTION_MS}",
    }
    return sqlalchemy.create_engine(
        url,
        pool_size=settings.connections or 8,
        max_overflow=0,
        pool_timeout=30,
        pool_pre_ping=True,
        connect_args=connect,
    )

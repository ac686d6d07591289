"""Other processes for the benchmarks: the real `gesta serve`, a floor server, and what fills and asks them."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import urlsplit

import msgspec

from benchmarks.databases import temporary_folder, temporary_postgres
from benchmarks.harness import CpuClock, cpu_of
from gesta.access.bootstrap import Bootstrap, bootstrap
from gesta.app.build import open_core
from gesta.app.settings import load_settings
from gesta.kernel.json import encode_json

START_S = 30.0
STOP_S = 15.0
BUCKETS = ("crosstrade", "crosstrade_subscribe", "hummingbot", "b3os", "refold", "native")
# No line per request and no rate limit: neither the log's terminal nor a 429 is what is measured.
SETTINGS = "[server]\nport = 0\n[log]\nrequests = false\nlevel = 'warning'\n" + "".join(
    f"[rates.{bucket}]\nrate_per_s = 1e9\nburst = 1_000_000_000\n" for bucket in BUCKETS
)


class Process:
    """A server in a process of its own. `address` is where it answers."""

    def __init__(self, arguments: Sequence[str], address_file: Path) -> None:
        address_file.unlink(missing_ok=True)
        self.started_s = time.perf_counter()
        self._popen = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONUNBUFFERED": "1"}
        )
        self._address_file = address_file
        self.pid = self._popen.pid
        self.cpu: CpuClock = cpu_of(self.pid)

    async def address(self) -> tuple[str, int]:
        """Host and port. Raises RuntimeError when the process ended or said nothing in time."""
        while time.perf_counter() - self.started_s < START_S:
            if self._address_file.exists():
                parts = urlsplit(self._address_file.read_text().strip())
                return str(parts.hostname), int(parts.port or 80)
            if self._popen.poll() is not None:
                raise RuntimeError(f"the server ended with status {self._popen.returncode}")
            await asyncio.sleep(0.005)
        raise RuntimeError("the server did not start in time")

    def stop(self) -> None:
        self._popen.terminate()
        try:
            self._popen.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()


class House:
    """An organization on a database, and `gesta serve` on it whenever `serve` is asked for."""

    def __init__(self, database: str, folder: Path, made: Bootstrap, database_cpu: CpuClock) -> None:
        self.database = database
        self.folder = folder
        self.made = made
        self.database_cpu = database_cpu
        self._numbers = itertools.count()

    def serve(self) -> Process:
        address = self.folder / f"address-{next(self._numbers)}"
        return Process(serve_arguments(self.folder, self.database, address), address)


def serve_arguments(folder: Path, database: str, address: Path) -> list[str]:
    config = str(folder / "gesta.toml")
    flags = ["--config", config, "--database", database, "--write-address", str(address)]
    return ["-c", "from gesta.cli import main; main()", "serve", *flags]


@asynccontextmanager
async def house(database: str) -> AsyncIterator[House]:
    """A new organization on a new SQLite file or PostgreSQL database, both gone afterwards."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        cpu: CpuClock = lambda: 0.0  # noqa: E731
        if database == "sqlite":
            url = f"sqlite:///{folder / 'gesta.sqlite3'}"
        else:
            postgres = stack.enter_context(temporary_postgres())
            url, cpu = await postgres.create("gesta"), postgres.cpu
        config = folder / "gesta.toml"
        config.write_text(SETTINGS)
        async with open_core(load_settings(config, {"database.url": url})) as core:
            made = await bootstrap(core.access, "benchmarks")
        yield House(url, folder, made, cpu)


def post(place: tuple[str, int], token: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Record rows over HTTP; raise RuntimeError unless every one of them is recorded."""
    connection = http.client.HTTPConnection(*place)
    try:
        return post_over(connection, token, rows)
    finally:
        connection.close()


def post_over(connection: http.client.HTTPConnection, token: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", "/ledger/executions", encode_json(rows), headers)
    answer = connection.getresponse()
    body: dict[str, Any] = msgspec.json.decode(answer.read())
    if answer.status != 200 or body["recorded"] != len(rows):
        raise RuntimeError(f"POST answered {answer.status}: {str(body)[:500]}")
    return body


def batches(rows: Iterator[dict[str, Any]], size: int = 1000) -> Iterator[list[dict[str, Any]]]:
    while batch := list(itertools.islice(rows, size)):
        yield batch


class Caller(asyncio.Protocol):
    """One keep-alive connection that asks, waits for the whole answer, and asks again."""

    _LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._parts: list[bytes] = []
        self._missing = -1

    @classmethod
    async def connect(cls, place: tuple[str, int]) -> Self:
        _, protocol = await asyncio.get_running_loop().create_connection(cls, *place)
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        if self._missing < 0:
            whole = data if len(self._parts) == 1 else b"".join(self._parts)
            end = whole.find(b"\r\n\r\n")
            if end < 0:
                return
            length = self._LENGTH.search(whole, 0, end)
            if length is None:
                raise RuntimeError(f"an answer without a length: {whole[:300]!r}")
            self._missing = end + 4 + int(length[1]) - len(whole)
        else:
            self._missing -= len(data)
        if self._missing == 0 and self._answer is not None:
            self._answer.set_result(b"".join(self._parts))
            self._parts, self._missing = [], -1

    @property
    def is_open(self) -> bool:
        """A server closes a connection that was idle for long."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes, status: int = 200) -> bytes:
        """The whole answer, head and body. Raises RuntimeError for any other status."""
        if self._transport is None:
            raise RuntimeError("not connected")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        answer = await self._answer
        if not answer.startswith(b"HTTP/1.1 %d" % status):
            raise RuntimeError(f"{request[:200]!r} was answered {answer[:500]!r}")
        return answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def request(target: str, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {target} HTTP/1.1\r\nHost: gesta.test\r\nAccept: */*\r\n{lines}\r\n".encode()

"""What the engine and its workers are told."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Literal

import msgspec

FILE = "workflows.sqlite"
# The worker of a server that keeps its engine's file to itself.
EMBEDDED = "embedded"


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`url`: `sqlite:///…` (see `beside`) or the PostgreSQL server's, where the engine's tables have their own schema.

    `worker`: who this process is. A process that starts under the same name goes on with what the one before had under
    way, so two that run at once must differ (see `worker_name`). `carries` False: it submits only, and other processes
    carry out; `has_desk`: it carries out what needs the trading desk, whatever `carries` says. `concurrency`: segments
    at once in this process; more wait on disk. `poll_s`: how often what waits on disk is looked for; 0 is every second
    on SQLite, where it is this process's own overflow only, and four times a second on PostgreSQL. `synchronous`:
    NORMAL survives the death of the process, FULL also a power cut.
    `connections` and `threads` 0: what was measured to be best for the kind of database.
    """

    url: str
    worker: str
    carries: bool = True
    has_desk: bool = False
    concurrency: int = 64
    poll_s: float = 0
    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    schema: str = "gesta_engine"
    connections: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        if not self.worker:
            raise ValueError("worker: a process that carries runs needs a name")
        if self.concurrency < 1:
            raise ValueError(f"concurrency: at least 1, not {self.concurrency}")
        if not self.poll_s >= 0:
            raise ValueError(f"poll_s: 0 or more, not {self.poll_s}")

    @property
    def takes_any(self) -> bool:
        """Whether it carries anything out."""
        return self.carries or self.has_desk

    @property
    def is_sqlite(self) -> bool:
        return self.url.startswith("sqlite")


class LeaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A worker whose sign of life is older than `stale_s` is dead. It is written every `beat_s`."""

    beat_s: float = 1.0
    stale_s: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.beat_s * 2 <= self.stale_s:
            raise ValueError(f"stale_s: at least twice beat_s ({self.beat_s}), not {self.stale_s}")


def beside(database: Path) -> str:
    """The URL of the engine's own file beside Gesta's database file."""
    return f"sqlite:///{database.resolve().parent / FILE}"


def worker_name(slot: str) -> str:
    """A worker's name that stays the same over restarts: this host, and one of its slots."""
    return f"{socket.gethostname()}:{slot}"

"""A program on its way through a writer, and what becomes of those who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from gesta.storage.program import ProgramFactory


class Job:
    """`key` orders the jobs of a group; `long` says that the program may take its time. `error`, once set, stands."""

    __slots__ = ("error", "future", "key", "long", "program", "result")

    def __init__(
        self, program: ProgramFactory[Any], future: asyncio.Future[Any], *, key: int = 0, long: bool = False
    ) -> None:
        self.program = program
        self.future = future
        self.key = key
        self.long = long
        self.result: Any = None
        self.error: BaseException | None = None


def fail(jobs: Sequence[Job], error: Exception) -> None:
    """Give the error to every job that has none of its own."""
    for job in jobs:
        job.error = job.error or error


def resolve(jobs: Sequence[Job]) -> None:
    """Tell the callers, in the event loop's thread. One that no longer waits is passed over."""
    for job in jobs:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)

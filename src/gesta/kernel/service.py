"""Side tasks under supervision: one that dies is reported, all end when told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gesta.kernel.errors import Unavailable

log = logging.getLogger("gesta.service")


class Supervisor:
    """Runs periodic actions. An action that finds the database out of reach is tried again at its next turn; any other
    exception is a defect: it is kept in `failure` and `failed` is set, and whoever owns the service stops it.

    Start it twice, stop it twice, or stop it unstarted: nothing happens twice, and `stop` returns when all have ended.
    """

    def __init__(self) -> None:
        self._plans: list[tuple[str, float, Callable[[], Awaitable[object]]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.failed = asyncio.Event()
        self.failure: BaseException | None = None

    def every(self, interval_s: float, name: str, action: Callable[[], Awaitable[object]]) -> None:
        """Plan `action` every `interval_s` seconds, first after one interval. Call it before `start`."""
        self._plans.append((name, interval_s, action))

    async def start(self) -> None:
        if self._tasks:
            return
        for name, interval_s, action in self._plans:
            task = asyncio.create_task(self._run(name, interval_s, action), name=name)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def _run(self, name: str, interval_s: float, action: Callable[[], Awaitable[object]]) -> None:
        while True:
            await asyncio.sleep(interval_s)
            try:
                await action()
            except Unavailable as error:
                log.warning("%s is postponed: %s", name, error.message)

    def fail(self, failure: BaseException) -> None:
        """Something that the service stands on has died by itself: whoever owns the service stops it."""
        if self.failure is None:
            self.failure = failure
        self.failed.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        failure = task.exception()
        log.error("%s died; the service stops", task.get_name(), exc_info=failure)
        self.fail(failure or RuntimeError(f"{task.get_name()} ended"))

    async def stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

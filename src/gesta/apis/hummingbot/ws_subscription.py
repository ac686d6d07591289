"""One subscription of one connection of `/ws/executors`: when it is its turn, and what it is sent then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gesta.apis.hummingbot.ws_frames import Asked, Topic
from gesta.apis.hummingbot.ws_sources import Shown, Source
from gesta.kernel.json import encode_json

# A view is not read again for so many times as long as it took: one that is costly is read less often than was asked.
COST_FACTOR = 10
NOTHING = (0, 0)


class Subscription:
    """It is due (`on_due` is called), then `frame` is asked, as late as whoever is called likes; then nothing happens
    until its interval has passed and its source has changed."""

    def __init__(self, asked: Asked, on_due: Callable[[Subscription], None]) -> None:
        self.asked = asked
        self.source: Source | None = None
        self._on_due = on_due
        self._told = NOTHING
        self._digest = b""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def id(self) -> str:
        return self.asked.id

    def begin(self, source: Source) -> None:
        self.source = source
        self._on_due(self)

    def end(self) -> None:
        self.source = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def wake(self) -> None:
        """The source has changed after a while of quiet."""
        if self.source is not None and self._timer is None:
            self._on_due(self)

    async def frame(self, now_us: Callable[[], int]) -> str | None:
        """What to send; None if what is shown is what was shown before. Raises what the source raises."""
        source = self.source
        if source is None:
            return None
        shown = await source.look()
        self._told = shown.version
        if self.source is None:
            return None
        if shown.has_more:
            self._on_due(self)
        else:
            self.wait(max(self.asked.interval_s, COST_FACTOR * shown.cost_s))
        if shown.digest == self._digest:
            return None
        self._digest = shown.digest
        return _frame(self.asked, shown, now_us())

    def wait(self, seconds: float) -> None:
        """It is not its turn for so long."""
        self._timer = asyncio.get_running_loop().call_later(seconds, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        source = self.source
        if source is None:
            return
        if self._told < source.version:
            self._on_due(self)
        else:
            source.park(self)


def _frame(asked: Asked, shown: Shown, now_us: int) -> str:
    topic = asked.what.topic
    count = ""
    if topic in (Topic.EXECUTORS, Topic.EXECUTOR_LOGS):
        count = f'"total_count":{"null" if shown.total_count is None else shown.total_count},'
    subscription_id = encode_json(asked.id).decode()
    head = f'{{"type":"{topic}","subscription_id":{subscription_id},"data":'
    return f'{head}{shown.data.decode()},{count}"timestamp":{now_us / 1_000_000}}}'


__all__ = ["Subscription"]

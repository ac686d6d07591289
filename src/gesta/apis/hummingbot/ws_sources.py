"""What subscriptions of `/ws/executors` look at. A source counts what may have changed it; who looks at it compares
that count with the one that it was shown, so that between two looks nothing is done, whatever happens."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Protocol

import msgspec

from gesta.access.model import Principal
from gesta.apis.hummingbot.bodies import Search
from gesta.apis.hummingbot.parameters import LogsQuery
from gesta.apis.hummingbot.ws_frames import Topic, What
from gesta.apis.hummingbot.ws_views import Views
from gesta.kernel.json import encode_json
from gesta.ledger.records import Execution, ExecutorDetail

# Changes that the ledger told, and, where a price matters, changes of the market.
Version = tuple[int, int]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a source shows. `digest` differs where it differs; `cost_s` is how long it took; `has_more` says that the
    next part is there already."""

    version: Version
    data: bytes
    digest: bytes
    total_count: int | None = None
    cost_s: float = 0.0
    has_more: bool = False


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """The executors that one read of the feed told of, as they stand now."""

    executors: dict[str, Execution]
    controllers: frozenset[str | None]


class Watcher(Protocol):
    def wake(self) -> None:
        """It has changed. Must not block."""
        ...


class Prices(Protocol):
    """Counts the changes of the market."""

    @property
    def ticks(self) -> int: ...

    def wait(self, source: Source) -> None:
        """Wake it at the next change."""
        ...


class Source:
    def __init__(self, what: What, prices: Prices) -> None:
        self.what = what
        self.watchers: set[Watcher] = set()
        self._prices = prices
        self._parked: set[Watcher] = set()
        self._changes = 1
        self._moves = False

    @property
    def version(self) -> Version:
        return self._changes, self._prices.ticks if self._moves else 0

    def change(self) -> None:
        self._changes += 1
        self.wake()

    def wake(self) -> None:
        parked, self._parked = self._parked, set()
        for watcher in parked:
            watcher.wake()

    def park(self, watcher: Watcher) -> None:
        """Wake the watcher at the next change."""
        self._parked.add(watcher)
        if self._moves:
            self._prices.wait(self)

    def leave(self, watcher: Watcher) -> None:
        self.watchers.discard(watcher)
        self._parked.discard(watcher)

    def concerns(self, heard: Heard) -> bool:
        """Whether it may show something else now."""
        what = self.what
        match what.topic:
            case Topic.EXECUTOR_DETAIL | Topic.EXECUTOR_LOGS:
                return what.executor_id in heard.executors
            case Topic.PERFORMANCE | Topic.POSITIONS:
                return what.controller_id is None or what.controller_id in heard.controllers
            case Topic.EXECUTORS:
                search = what.search
                return search is not None and any(_may_fit(search, executor) for executor in heard.executors.values())
            case Topic.EXECUTOR_SUMMARY:
                return True

    async def look(self) -> Shown:
        """As it is now. Raises Forbidden, Unavailable."""
        raise NotImplementedError


class View(Source):
    """What is read whole, once for all who look at it: a look that begins while another is under way waits for it, and
    reads again only if something has changed since that one began."""

    def __init__(self, what: What, principal: Principal, prices: Prices, views: Views, turn: asyncio.Lock) -> None:
        super().__init__(what, prices)
        self._principal = principal
        self._views = views
        self._turn = turn
        self._shown: Shown | None = None
        self._reading: asyncio.Task[None] | None = None

    async def look(self) -> Shown:
        wanted = self.version
        while self._shown is None or self._shown.version < wanted:
            if self._reading is None:
                self._reading = asyncio.create_task(self._read(), name="executors view")
                self._reading.add_done_callback(self._done)
            # One connection's end must not take it from the others.
            await asyncio.shield(self._reading)
        return self._shown

    def _done(self, reading: asyncio.Task[None]) -> None:
        """Whoever waits has the failure; where nobody does any more, it concerns nobody."""
        self._reading = None
        if not reading.cancelled():
            reading.exception()

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        # One of an organization's views at a time: however many there are, the others' requests come in between.
        async with self._turn:
            # With the market's count, whether or not it matters yet: who waits compares with both.
            version, began_s = (self._changes, self._prices.ticks), loop.time()
            seen = await self._views.see(self._principal, self.what)
            self._moves = seen.moves
            self._shown = Shown(
                version=version,
                data=seen.data,
                total_count=seen.total_count,
                digest=hashlib.blake2b(seen.data + b"%d" % (seen.total_count or 0), digest_size=16).digest(),
                cost_s=loop.time() - began_s,
            )


class Tail(Source):
    """The timeline of an executor, read on from where one subscription has read it to."""

    def __init__(self, what: What, principal: Principal, prices: Prices, views: Views, query: LogsQuery) -> None:
        super().__init__(what, prices)
        self._principal = principal
        self._views = views
        self._query = query
        self._after_seq: int | None = None
        self._total_count = 0

    async def look(self) -> Shown:
        version = self.version
        logs = await self._views.logs(self._principal, self.what.executor_id, self._query, self._after_seq)
        if logs.last_seq:
            self._after_seq = logs.last_seq
            self._total_count += logs.total_count
        return Shown(
            version=version,
            data=encode_json(logs.entries),
            total_count=self._total_count,
            digest=b"%d" % self._total_count,
            has_more=logs.has_more,
        )


def _may_fit(search: Search, execution: Execution) -> bool:
    """Whether what happened to it may change what is found: it may just have come into a status, or left it."""
    detail = execution.detail
    return (
        isinstance(detail, ExecutorDetail)
        and (not search.connectors or detail.connector in search.connectors)
        and (not search.types or detail.executor_type in search.types)
        and (not search.pairs or detail.trading_pair in search.pairs)
        and (not search.controllers or execution.correlation.get("controller_id") in search.controllers)
    )


__all__ = ["Heard", "Prices", "Shown", "Source", "Tail", "View", "Watcher"]

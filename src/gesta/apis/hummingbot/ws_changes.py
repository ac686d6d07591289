"""The change feed and the market, for every connection of `/ws/executors` of one process.

Per organization there is one reader of the ledger's feed, as long as somebody is subscribed. It marks what a change may
concern; nobody is polled. To the market one listener listens, and only where somebody waits for a price.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from gesta.access.model import Principal
from gesta.apis.common.services import Services
from gesta.apis.hummingbot.ws_frames import Asked, Topic, What
from gesta.apis.hummingbot.ws_sources import Heard, Source, Tail, View, Watcher
from gesta.apis.hummingbot.ws_views import Views
from gesta.kernel.errors import Unavailable
from gesta.ledger.records import FeedItem, Kind
from gesta.trading.market import MarketData

READ_ITEMS: Final = 500
WAIT_S: Final = 30.0
RETRY_S: Final = 1.0

log = structlog.get_logger("gesta.hummingbot")

# Callers of equal reach are shown the same: the organization is the channel's, this is the account, if bound to one.
_Key = tuple[int | None, What]


class Prices:
    """Counts the changes of the market while a source waits or is shown."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._waiting: set[Source] = set()
        self._end: Callable[[], None] | None = None
        self.ticks = 0

    def wait(self, source: Source) -> None:
        self._waiting.add(source)

    def start(self) -> None:
        if self._end is None and self._services.market is not None:
            self._end = self._services.market.listen(self._on_market)

    def stop(self) -> None:
        self._waiting.clear()
        if self._end is not None:
            self._end()
            self._end = None

    def _on_market(self, data: MarketData) -> None:
        self.ticks += 1
        if self._waiting:
            waiting, self._waiting = self._waiting, set()
            for source in waiting:
                source.wake()


class _Channel:
    """One organization: its sources, and the one task that hears of changes."""

    def __init__(self, principal: Principal) -> None:
        self.principal = principal
        self.sources: set[Source] = set()
        self.views: dict[_Key, View] = {}
        self.turn = asyncio.Lock()
        self.task: asyncio.Task[None] | None = None


class Changes:
    """Tasks and listeners exist only while somebody is subscribed."""

    def __init__(self, services: Services, views: Views) -> None:
        self._services = services
        self._views = views
        self._prices = Prices(services)
        self._channels: dict[int, _Channel] = {}

    def __len__(self) -> int:
        return sum(len(channel.sources) for channel in self._channels.values())

    def join(self, principal: Principal, asked: Asked, watcher: Watcher) -> Source:
        """What was asked for. Raises InvalidInput for what this server cannot show."""
        self._views.check(asked.what)
        organization = principal.organization.id
        channel = self._channels.get(organization)
        if channel is None:
            channel = self._channels[organization] = _Channel(principal)
            channel.task = asyncio.create_task(self._read(channel), name="executors feed")
            self._prices.start()
        source = self._source(channel, principal, asked)
        channel.sources.add(source)
        source.watchers.add(watcher)
        return source

    def _source(self, channel: _Channel, principal: Principal, asked: Asked) -> Source:
        if asked.logs is not None:
            return Tail(asked.what, principal, self._prices, self._views, asked.logs)
        key = (None if principal.account is None else principal.account.id, asked.what)
        view = channel.views.get(key)
        if view is None:
            view = channel.views[key] = View(asked.what, principal, self._prices, self._views, channel.turn)
        return view

    def leave(self, principal: Principal, source: Source, watcher: Watcher) -> None:
        organization = principal.organization.id
        channel = self._channels.get(organization)
        source.leave(watcher)
        if channel is None or source.watchers:
            return
        channel.sources.discard(source)
        channel.views = {key: view for key, view in channel.views.items() if view is not source}
        if not channel.sources:
            del self._channels[organization]
            if channel.task is not None:
                channel.task.cancel()
            if not self._channels:
                self._prices.stop()

    def cleared(self, organization: int) -> None:
        """A position hold was forgotten: the feed does not tell of it."""
        channel = self._channels.get(organization)
        for source in channel.sources if channel is not None else ():
            if source.what.topic in (Topic.POSITIONS, Topic.PERFORMANCE):
                source.change()

    async def _read(self, channel: _Channel) -> None:
        """Follow the feed for as long as the channel lives. An outage of the ledger is waited out."""
        reading, principal = self._services.reading, channel.principal
        tip: int | None = None
        while True:
            try:
                if tip is None:
                    tip = await reading.head(principal)
                    # What happened until here may have passed between a first look and the head.
                    for source in channel.sources:
                        source.change()
                if await reading.wait(principal, after_seq=tip, timeout_s=WAIT_S):
                    found = await reading.feed(principal, after_seq=tip, limit=READ_ITEMS)
                    if found:
                        tip = found[-1].event.seq
                        _tell(channel, found)
            except Unavailable as error:
                log.warning("executors.feed_unavailable", message=error.message)
                await asyncio.sleep(RETRY_S)
            except Exception:
                # The one reader of this organization must not die: its subscribers would hear nothing, for ever.
                log.exception("executors.feed_failed")
                await asyncio.sleep(RETRY_S)


def _tell(channel: _Channel, found: Sequence[FeedItem]) -> None:
    executors = {item.execution.id: item.execution for item in found if item.execution.kind is Kind.EXECUTOR}
    if not executors:
        return
    controllers = frozenset(each.correlation.get("controller_id") for each in executors.values())
    heard = Heard(executors=executors, controllers=controllers)
    for source in channel.sources:
        if source.concerns(heard):
            source.change()


__all__ = ["Changes", "Prices"]

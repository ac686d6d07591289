"""The market desk: what every feed gives comes through here, is judged, remembered and passed on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from gesta.desk.market import pushing
from gesta.desk.market.books import NEVER_US, Book
from gesta.desk.market.face import Bar, Pushed, Snapshot
from gesta.kernel.clock import Clock
from gesta.kernel.errors import CallerError, Conflict, InvalidInput, NotFound
from gesta.trading import sessions
from gesta.trading.catalog import Catalog
from gesta.trading.instruments import Instrument
from gesta.trading.market import Feed, Flag, Listener, MarketData
from gesta.venues.market_data.push import PushFeed

log = logging.getLogger("gesta.market")

GAP_S = 300.0
STALE_S = 60.0
BACKWARDS_S = 1.0
# A week of minutes.
BARS_KEPT = 7 * 24 * 60
PUSH_BATCH = 200


async def no_pause() -> None:
    """Let the event loop turn once."""
    await asyncio.sleep(0)


class MarketDesk:
    """Implements `face.Market`.

    `gap_s` is the longest hole in venue time that is no gap, `backwards_s` how far venue time may go back before data
    is stale, `stale_s` how long a feed may be silent, by Gesta's clock, before snapshots say so. `gap_s_of` overrides
    `gap_s` by root. `bars_kept` one-minute bars are kept of each instrument. `pause` is awaited between batches of
    pushed data, so that a consumer can slow it down.

    A listener that raises never stops data on its way to the others: the first exception of each is logged and kept in
    `failure`, and `check`, which a supervisor runs, raises it, so that the service stops instead of going on half deaf.
    """

    def __init__(
        self,
        catalog: Catalog,
        clock: Clock,
        *,
        gap_s: float = GAP_S,
        stale_s: float = STALE_S,
        backwards_s: float = BACKWARDS_S,
        bars_kept: int = BARS_KEPT,
        gap_s_of: dict[str, float] | None = None,
        pause: Callable[[], Awaitable[None]] = no_pause,
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._gap_s = gap_s
        self._gap_s_of = gap_s_of or {}
        self._stale_us = round(stale_s * 1_000_000)
        self._backwards_us = round(backwards_s * 1_000_000)
        self._bars_kept = bars_kept
        self._pause = pause
        self._books: dict[str, Book] = {}
        self._listeners: tuple[Listener, ...] = ()
        self._deaf: set[Listener] = set()
        self._feeds: list[Feed] = []
        self._push = PushFeed()
        self.failure: Exception | None = None

    # -- data comes in

    def on_market(self, data: MarketData) -> None:
        """Take data that no feed claims: `start_feed` gives each feed a listener of its own.

        Raises NotFound for an instrument that is not on record."""
        book = self._books.get(data.instrument)
        if book is None:
            book = self._open_book(data.instrument)
        self._pass_on(book.take(data))

    def _pass_on(self, data: MarketData) -> None:
        for listener in self._listeners:
            try:
                listener(data)
            except Exception as error:  # noqa: BLE001 — kept, logged, and raised by `check`
                self._failed(listener, error)

    def _failed(self, listener: Listener, error: Exception) -> None:
        if self.failure is None:
            self.failure = error
        if listener not in self._deaf:
            self._deaf.add(listener)
            log.error("a listener of market data raised; the service will stop", exc_info=error)

    async def check(self) -> None:
        """Raise what a listener raised, if any did. For a supervisor to run."""
        if self.failure is not None:
            raise self.failure

    def listen(self, listener: Listener) -> Callable[[], None]:
        self._listeners = (*self._listeners, listener)

        def end() -> None:
            self._listeners = tuple(each for each in self._listeners if each is not listener)

        return end

    def _open_book(self, name: str) -> Book:
        instrument = self.instrument(name)
        gap_s = self._gap_s_of.get(instrument.root, self._gap_s)
        book = self._books[name] = Book(
            instrument,
            gap_us=round(gap_s * 1_000_000),
            backwards_us=self._backwards_us,
            bars_kept=self._bars_kept,
        )
        return book

    # -- feeds

    async def start_feed(self, feed: Feed) -> None:
        """Drive the instruments of `feed`, and those that it turns out to have later as long as nothing else drives
        them. Another feed that drove one of them stops driving it, and is stopped once it drives none; what was known
        of the instrument is forgotten, because it was another market. Started twice, nothing happens."""
        if feed in self._feeds:
            return
        for name in feed.instruments():
            self._claim(feed, name)
        await self._end_idle_feeds()
        self._feeds.append(feed)
        try:
            await feed.start(self._listener_of(feed))
        except BaseException:
            self._release(feed)
            raise

    async def stop_feed(self, feed: Feed) -> None:
        """Stop one feed. What it said stays readable, as stale."""
        if feed in self._feeds:
            self._feeds.remove(feed)
            await feed.stop()

    async def stop(self) -> None:
        """Stop every feed, newest first."""
        for feed in reversed(self._feeds.copy()):
            await self.stop_feed(feed)

    def feeds(self) -> Sequence[Feed]:
        """The feeds that were started and not stopped, those included whose recording has ended."""
        return tuple(self._feeds)

    def _claim(self, feed: Feed, name: str) -> Book:
        book = self._books.get(name)
        if book is None:
            book = self._open_book(name)
        if book.newest_us != NEVER_US:
            book.forget(self._bars_kept)
        book.feed = feed
        return book

    def _release(self, feed: Feed) -> None:
        self._feeds.remove(feed)
        for book in self._books.values():
            if book.feed is feed:
                book.feed = None

    async def _end_idle_feeds(self) -> None:
        driving = {id(book.feed) for book in self._books.values()}
        for feed in self._feeds.copy():
            if id(feed) not in driving and feed.instruments():
                log.info("feed %s drives nothing any more and is stopped", feed.name)
                await self.stop_feed(feed)

    def _listener_of(self, feed: Feed) -> Listener:
        books = self._books

        def take(data: MarketData) -> None:
            book = books.get(data.instrument)
            if book is None or book.feed is not feed:
                if book is not None and book.feed is not None:
                    return  # another feed drives it now
                book = self._claim(feed, data.instrument)
            data = book.take(data)
            for listener in self._listeners:
                try:
                    listener(data)
                except Exception as error:  # noqa: BLE001 — kept, logged, and raised by `check`
                    self._failed(listener, error)

        return take

    async def push(self, rows: Sequence[Pushed], *, restart: frozenset[str] = frozenset()) -> list[CallerError | None]:
        """See `face.Market.push`."""
        outcomes: list[CallerError | None] = []
        restarted: set[str] = set()
        received_at_us = self._clock.now_us()
        for number, row in enumerate(rows, 1):
            try:
                data = pushing.data_of(row, self._catalog, received_at_us)
                book = self._pushed_book(data.instrument)
                if row.instrument in restart and data.instrument not in restarted:
                    restarted.add(data.instrument)
                    book.forget(self._bars_kept)
                self._push.push(data)
            except CallerError as error:
                outcomes.append(error)
            else:
                outcomes.append(None)
            if number % PUSH_BATCH == 0:
                await self._pause()
                received_at_us = self._clock.now_us()
        await self._end_idle_feeds()
        return outcomes

    def _pushed_book(self, name: str) -> Book:
        """The book of an instrument that is pushed now. Raises Conflict if a feed that is not simulated drives it."""
        book = self._books.get(name)
        owner = None if book is None else book.feed
        if owner is not None and owner is not self._push and not owner.is_simulated and not owner.is_over:
            raise Conflict(f"{name} is driven by {owner.name}; it takes no pushed data while that runs.")
        if self._push not in self._feeds:
            self._feeds.append(self._push)
            self._push.begin(self._listener_of(self._push))
        return book if book is not None and owner is self._push else self._claim(self._push, name)

    # -- questions

    def resolve(self, name: str) -> Instrument:
        newest_us = self.now_us()
        try:
            found = self._catalog.resolve(name, newest_us)
        except InvalidInput:
            # A name with a one-digit year, say, may mean something only at the time of the recording that runs.
            for at_us in sorted({self._time_of(book) for book in self._books.values()} - {NEVER_US, newest_us}):
                try:
                    return self._catalog.resolve(name, at_us)
                except InvalidInput:
                    continue
            raise
        at_us = self._root_time(found.root)
        return found if at_us in (NEVER_US, newest_us) else self._catalog.resolve(name, at_us)

    @staticmethod
    def _time_of(book: Book) -> int:
        """The newest time of a book that a feed drives. Before its first data, that at which it begins, if known."""
        if book.newest_us != NEVER_US or book.feed is None:
            return book.newest_us
        begins_at_us: int = getattr(book.feed, "begins_at_us", NEVER_US)
        return begins_at_us

    def _root_time(self, root: str) -> int:
        times = [self._time_of(book) for book in self._books.values() if book.instrument.root == root]
        return max(times, default=NEVER_US)

    def instrument(self, name: str) -> Instrument:
        book = self._books.get(name)
        found = self._catalog.get(name) if book is None else book.instrument
        if found is None:
            raise NotFound(f"No instrument is on record as {name[:64]!r}.", what="instrument")
        return found

    def instruments(self) -> Sequence[Instrument]:
        return [
            book.instrument
            for _, book in sorted(self._books.items())
            if book.quote is not None or book.trade is not None
        ]

    def snapshot(self, name: str) -> Snapshot:
        book = self._books.get(name)
        if book is None:
            instrument = self.instrument(name)
            return Snapshot(instrument=instrument, quote=None, trade=None, is_open=self.is_open(instrument))
        feed, quote = book.feed, book.quote
        newest = quote or book.trade
        simulated = feed.is_simulated if feed is not None else bool(newest and newest.flags & Flag.SIMULATED)
        silent_us = self._clock.now_us() - book.received_at_us
        return Snapshot(
            instrument=book.instrument,
            quote=quote,
            trade=book.trade,
            open=book.open,
            high=book.high,
            low=book.low,
            previous_close=book.previous_close,
            volume=book.volume,
            source=feed.name if feed is not None else "",
            is_simulated=simulated,
            is_open=self.is_open(book.instrument),
            is_stale=newest is not None
            and (
                (feed is not None and feed.is_over)
                or silent_us > self._stale_us
                or bool(quote is not None and quote.flags & Flag.CROSSED)
            ),
            gaps=book.gaps,
        )

    def is_open(self, instrument: Instrument) -> bool:
        """By the session calendar; a market that is simulated never closes."""
        book = self._books.get(instrument.name)
        if book is not None and book.feed is not None and book.feed.is_simulated:
            return True
        return sessions.is_open(instrument.calendar, self.now_us(instrument))

    def now_us(self, instrument: Instrument | None = None) -> int:
        newest_us = NEVER_US
        if instrument is not None:
            book = self._books.get(instrument.name)
            if book is not None:
                newest_us = self._time_of(book)
            if newest_us == NEVER_US:
                newest_us = self._root_time(instrument.root)
        if newest_us == NEVER_US:
            newest_us = max((self._time_of(book) for book in self._books.values()), default=NEVER_US)
        return self._clock.now_us() if newest_us == NEVER_US else newest_us

    def bars(
        self, instrument: Instrument, *, period_s: int, from_us: int | None, to_us: int | None, limit: int
    ) -> list[Bar]:
        book = self._books.get(instrument.name)
        if book is None:
            raise NotFound(f"There is no market data of {instrument.name}.", what="market data")
        return book.bars.read(period_s=period_s, from_us=from_us, to_us=to_us, limit=limit)

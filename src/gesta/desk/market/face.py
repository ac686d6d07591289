"""The face of the market desk: what dialects, the trading desk and the command line may ask of market data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from gesta.kernel.errors import CallerError
from gesta.trading.instruments import Instrument
from gesta.trading.market import Feed, MarketData, Quote, Trade


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument's market at this moment. Prices and sizes of `quote` and `trade` are ticks and lots; the session's
    figures are in ticks and lots too, None before the first trade (or quote, where there is no tape) of the session.

    `source` names the feed: `simulated`, `replay:FILE`, `push`. `is_stale` says that the feed has ended or been silent
    for too long, or that the newest quote is crossed.
    """

    instrument: Instrument
    quote: Quote | None
    trade: Trade | None
    open: int | None = None
    high: int | None = None
    low: int | None = None
    previous_close: int | None = None
    volume: int = 0
    source: str = ""
    is_simulated: bool = False
    is_open: bool = False
    is_stale: bool = False
    gaps: int = 0

    @property
    def bid(self) -> Decimal | None:
        return self.instrument.price(self.quote.bid) if self.quote is not None and self.quote.bid_size else None

    @property
    def ask(self) -> Decimal | None:
        return self.instrument.price(self.quote.ask) if self.quote is not None and self.quote.ask_size else None

    @property
    def last(self) -> Decimal | None:
        """The last traded price; the middle of the market, down to a tick, where nothing was traded yet."""
        if self.trade is not None:
            return self.instrument.price(self.trade.price)
        if self.quote is not None and self.quote.bid_size and self.quote.ask_size:
            return self.instrument.price((self.quote.bid + self.quote.ask) // 2)
        return None


class Bar(msgspec.Struct, frozen=True, gc=False):
    """`start_us` is the venue's time; prices in ticks, volume in lots. Made of trades, of middles where no tape is."""

    start_us: int
    open: int
    high: int
    low: int
    close: int
    volume: int


class PushedQuote(msgspec.Struct, frozen=True, kw_only=True):
    """A quote from outside, in decimals. A size of 0 means that the side is empty; its price may then be missing.
    `time_us` is the venue's time, that of receipt where it is None."""

    instrument: str
    bid: Decimal | None
    ask: Decimal | None
    bid_size: Decimal
    ask_size: Decimal
    time_us: int | None = None


class PushedTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A print from outside, in decimals. `aggressor` as of `trading.market.Trade`."""

    instrument: str
    price: Decimal
    size: Decimal
    aggressor: int = 0
    time_us: int | None = None


Pushed = PushedQuote | PushedTrade


class Market(Protocol):
    def resolve(self, name: str) -> Instrument:
        """The instrument that a name in any of the accepted forms means now, by the market's own time: `ES`, `ES1!`,
        `ESZ6`, `ES 12-26`, `ES DEC26`, `BTC-USDT`. Raises InvalidInput(field="instrument") with `did_you_mean`."""
        ...

    def instrument(self, name: str) -> Instrument:
        """The instrument of a resolved name that is on record, expired ones included. Raises NotFound."""
        ...

    def instruments(self) -> Sequence[Instrument]:
        """What has market data now."""
        ...

    def snapshot(self, name: str) -> Snapshot:
        """By resolved name. `quote` is None where there is no data."""
        ...

    def is_open(self, instrument: Instrument) -> bool:
        """Whether its session is open, by the market's own time."""
        ...

    def now_us(self, instrument: Instrument | None = None) -> int:
        """The market's time: that of the newest data of the instrument, or of any; the clock's where there is none."""
        ...

    def bars(
        self, instrument: Instrument, *, period_s: int, from_us: int | None, to_us: int | None, limit: int
    ) -> list[Bar]:
        """The newest `limit` bars of the range, oldest first; the last one may still grow. Kept for a bounded time."""
        ...

    def on_market(self, data: MarketData) -> None:
        """The listener of every feed: judge (gap, crossed, stale), remember, pass on to who listens, in order."""
        ...

    def listen(self, listener: Callable[[MarketData], None]) -> Callable[[], None]:
        """Call `listener` for everything from now on, flags set; the result ends that. Never blocks a feed."""
        ...

    async def start_feed(self, feed: Feed) -> None:
        """Drive the instruments of `feed`. Another feed that drove one of them stops driving it: a gap."""
        ...

    async def push(self, rows: Sequence[Pushed], *, restart: frozenset[str] = frozenset()) -> list[CallerError | None]:
        """Take data from outside, in order. One outcome per row: None if it was taken, else why not: InvalidInput for
        a name or number that is wrong, Conflict where a recording or an exchange drives the instrument. A simulated
        feed gives way. What was known of an instrument that a name in `restart` (as the rows spell it) stands for is
        forgotten before its first row, so that a recording can begin anew."""
        ...

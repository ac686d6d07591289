"""What the market desk remembers of one instrument."""

from __future__ import annotations

from gesta.desk.market.bars import BarSeries
from gesta.trading import sessions
from gesta.trading.instruments import Instrument
from gesta.trading.market import Feed, Flag, MarketData, Quote, Trade

# Below any time, so that the first data of a feed lies beyond every bound and is looked at.
NEVER_US = -(2**62)
_NONE, _MIDDLE, _TRADE = 0, 1, 2
# Plain integers: arithmetic of enum members costs more than all the rest.
_GAP, _CROSSED, _STALE = Flag.GAP.value, Flag.CROSSED.value, Flag.STALE.value


class Book:
    """Newest data, session figures and bars of one instrument, of one feed at a time.

    `newest_us` is the newest venue time. `feed` drives it; None where data comes unowned. Sizes in lots, prices in
    ticks.
    """

    __slots__ = (
        "_backwards_us",
        "_gap_us",
        "_last",
        "_made_of",
        "_session",
        "_session_end_us",
        "bars",
        "feed",
        "gaps",
        "high",
        "instrument",
        "is_marked",
        "low",
        "newest_us",
        "open",
        "previous_close",
        "quote",
        "received_at_us",
        "trade",
        "volume",
    )

    def __init__(self, instrument: Instrument, *, gap_us: int, backwards_us: int, bars_kept: int) -> None:
        self.instrument = instrument
        self.feed: Feed | None = None
        self.gaps = 0
        self._gap_us = gap_us
        self._backwards_us = backwards_us
        self.forget(bars_kept)

    def forget(self, bars_kept: int) -> None:
        """Begin anew, with a gap: what is known comes from another market, or from another stretch of a recording."""
        self.quote: Quote | None = None
        self.trade: Trade | None = None
        self.newest_us = NEVER_US
        self.received_at_us = 0
        self.open: int | None = None
        self.high: int | None = None
        self.low: int | None = None
        self.previous_close: int | None = None
        self.volume = 0
        self.bars = BarSeries(bars_kept)
        self.is_marked = True
        self._last: int | None = None
        self._made_of = _NONE
        self._session: object = None
        self._session_end_us = NEVER_US

    def mark_gap(self) -> None:
        """The next data is the first after a hole, however short it seems."""
        self.is_marked = True

    def take(self, data: MarketData) -> MarketData:
        """Judge one piece of data and remember it. The same object, or a copy with more flags."""
        at_us = data.venue_time_us
        step_us = at_us - self.newest_us
        flags = data.flags
        if step_us > self._gap_us or self.is_marked:
            flags |= _GAP
            self.gaps += 1
            self.is_marked = False
        elif step_us < -self._backwards_us:
            flags |= _STALE
        is_quote = type(data) is Quote
        if is_quote and data.bid > data.ask and data.bid_size and data.ask_size:  # type: ignore[union-attr]
            flags |= _CROSSED
        if flags != data.flags:
            data = flagged(data, flags)
            if flags & _STALE:
                return data
        if step_us > 0:
            self.newest_us = at_us
            if at_us >= self._session_end_us:
                self._enter_session(at_us)
        self.received_at_us = data.received_at_us
        if type(data) is Quote:
            self.quote = data
            if self._made_of != _TRADE and data.bid_size and data.ask_size and not flags & _CROSSED:
                self._price((data.bid + data.ask) // 2, 0, at_us, _MIDDLE)
        elif type(data) is Trade:
            self.trade = data
            self._price(data.price, data.size, at_us, _TRADE)
        return data

    def _price(self, price: int, size: int, at_us: int, made_of: int) -> None:
        high, low = self.high, self.low
        if high is None or low is None or made_of != self._made_of:
            # The first price of a session; or the first trade, which takes the place of what middles made.
            self.open = self.high = self.low = price
            self._made_of = made_of
        elif price > high:
            self.high = price
        elif price < low:
            self.low = price
        self._last = price
        self.volume += size
        self.bars.add(price, size, at_us, is_middle=made_of == _MIDDLE)

    def _enter_session(self, at_us: int) -> None:
        """Figures begin anew with the session of a time; the close of the one before is kept."""
        calendar = self.instrument.calendar
        session = sessions.session_date(calendar, at_us)
        if session != self._session:
            if self._session is not None:
                self.previous_close = self._last
            self.open = self.high = self.low = None
            self.volume = 0
            self._session = session
        # Asked again at the session's end, or, where the calendar knows none after this time, with the next data.
        self._session_end_us = max(sessions.session_end_us(calendar, at_us), at_us + 1)


def flagged(data: MarketData, flags: int) -> MarketData:
    """A copy with these flags."""
    if type(data) is Quote:
        return Quote(
            data.instrument,
            data.bid,
            data.ask,
            data.bid_size,
            data.ask_size,
            data.venue_time_us,
            data.received_at_us,
            flags,
        )
    assert type(data) is Trade
    return Trade(
        data.instrument,
        data.price,
        data.size,
        data.aggressor,
        data.venue_time_us,
        data.received_at_us,
        flags,
    )

"""Market data from outside, in decimals, made into what the desk takes. Pure."""

from __future__ import annotations

from decimal import Decimal

from gesta.desk.market.face import Pushed, PushedQuote
from gesta.kernel.errors import InvalidInput
from gesta.trading.catalog import Catalog
from gesta.trading.instruments import Instrument
from gesta.trading.market import MarketData, Quote, Trade

# Data from the future would make everything that follows it stale; clocks differ, but not by more than this.
AHEAD_US = 24 * 3600 * 1_000_000


def data_of(row: Pushed, catalog: Catalog, received_at_us: int) -> MarketData:
    """The row in ticks and lots; its name is resolved at its own time, else at the moment it was received.

    Raises InvalidInput naming the field for an unknown instrument, a price that is off tick or not positive, a size
    that is negative or no multiple of the lot, a time more than a day ahead.
    """
    at_us = received_at_us if row.time_us is None else row.time_us
    if not 0 <= at_us <= received_at_us + AHEAD_US:
        raise InvalidInput("`time` is more than a day ahead of now, or before 1970.", field="time")
    instrument = catalog.resolve(row.instrument, at_us)
    if isinstance(row, PushedQuote):
        bid_size = _lots(instrument, row.bid_size, "bid_size")
        ask_size = _lots(instrument, row.ask_size, "ask_size")
        return Quote(
            instrument.name,
            _ticks(instrument, row.bid, "bid") if bid_size else 0,
            _ticks(instrument, row.ask, "ask") if ask_size else 0,
            bid_size,
            ask_size,
            at_us,
            received_at_us,
        )
    return Trade(
        instrument.name,
        _ticks(instrument, row.price, "price"),
        instrument.lots(row.size, "size"),
        row.aggressor,
        at_us,
        received_at_us,
    )


def _ticks(instrument: Instrument, price: Decimal | None, field: str) -> int:
    if price is None:
        raise InvalidInput(f"`{field}` is required where its size is above 0.", field=field)
    ticks = instrument.ticks(price, field)
    if ticks <= 0:
        raise InvalidInput(f"`{field}` must be above 0.", field=field)
    return ticks


def _lots(instrument: Instrument, size: Decimal, field: str) -> int:
    return 0 if size.is_finite() and size == 0 else instrument.lots(size, field)

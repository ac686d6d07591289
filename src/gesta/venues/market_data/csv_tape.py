"""Tapes in CSV: quotes as `ts_event_ns,bid,ask,bid_qty,ask_qty`, trades as `ts_event_ns,price,qty,aggressor`.

Times are nanoseconds since 1970 of the exchange. Columns may come in any order, with others among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from gesta.kernel.errors import InvalidInput
from gesta.trading.market import MarketData, Quote, Trade
from gesta.venues.market_data.numbers import Lots, Ticks
from gesta.venues.market_data.tally import Resolve, Tally

QUOTE_COLUMNS = ("ts_event_ns", "bid", "ask", "bid_qty", "ask_qty")
TRADE_COLUMNS = ("ts_event_ns", "price", "qty", "aggressor")
_AGGRESSORS = {"BUY": 1, "B": 1, "SELL": -1, "S": -1, "A": -1, "NONE": 0, "N": 0, "": 0}
# September 2001 and 2090: what lies outside is of another unit or damaged, and must not decide the contract.
_OLDEST_NS, _NEWEST_NS = 10**18, 3_786_912_000 * 10**9


def is_header(line: bytes) -> bool:
    """Whether a line names the columns of quotes or of trades."""
    names = set(_fields(line))
    return names >= set(QUOTE_COLUMNS) or names >= set(TRADE_COLUMNS)


def has_trades(header: bytes) -> bool:
    return set(_fields(header)) >= set(TRADE_COLUMNS)


def _fields(line: bytes) -> list[str]:
    text = line.decode("utf-8-sig", "replace").rstrip("\r\n")
    return [field.strip().strip('"') for field in text.split(",")]


def read(
    lines: Iterable[bytes], instrument: str, resolve: Resolve, tally: Tally, *, source: str = "tape"
) -> Iterator[MarketData]:
    """The quotes or trades of a tape, its first line the header. `instrument` is resolved at the first row's time.

    Raises InvalidInput for a header that is neither, or a name that means nothing then. A row that cannot be used is
    counted in `tally`.
    """
    rows = iter(lines)
    header = next(rows, b"")
    if not is_header(header):
        raise InvalidInput(
            f"{source}: the first line must name the columns {','.join(QUOTE_COLUMNS)} or {','.join(TRADE_COLUMNS)}."
        )
    tally.read += 1
    tally.ignored += 1
    names = _fields(header)
    wanted = TRADE_COLUMNS if has_trades(header) else QUOTE_COLUMNS
    places = [names.index(name) for name in wanted]
    row: Callable[[list[str], int], MarketData] | None = None
    for number, line in enumerate(rows, 2):
        tally.read += 1
        fields = _fields(line)
        if len(fields) == 1 and not fields[0]:
            tally.ignored += 1
            continue
        try:
            if len(fields) != len(names):
                raise InvalidInput(f"The row has {len(fields)} fields, not {len(names)}.")
            values = [fields[place] for place in places]
            at_us = _time_us(values[0])
        except InvalidInput as error:
            tally.refuse(source, number, error.message)
            continue
        if row is None:
            row = _row_maker(instrument, resolve, tally, at_us, wanted)
        try:
            data = row(values, at_us)
        except InvalidInput as error:
            tally.refuse(source, number, error.message)
            continue
        tally.taken += 1
        yield data


def _time_us(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not _OLDEST_NS <= int(text[:20]) < _NEWEST_NS:
        raise InvalidInput(f"{text[:32]!r} is not a time in nanoseconds since 1970.")
    return int(text) // 1000


def _row_maker(
    name: str, resolve: Resolve, tally: Tally, at_us: int, wanted: tuple[str, ...]
) -> Callable[[list[str], int], MarketData]:
    instrument = resolve(name, at_us)
    ticks, lots, name = Ticks(instrument), Lots(instrument), instrument.name

    def quote(values: list[str], at_us: int) -> Quote:
        _, bid, ask, bid_size, ask_size = values
        sizes = lots[bid_size], lots[ask_size]
        bid_ticks, ask_ticks = (ticks[price] if size else 0 for price, size in zip((bid, ask), sizes, strict=True))
        return Quote(name, bid_ticks, ask_ticks, *sizes, at_us, tally.received_at_us)

    def trade(values: list[str], at_us: int) -> Trade:
        _, price, size, aggressor = values
        side = _AGGRESSORS.get(aggressor.upper())
        if side is None:
            raise InvalidInput(f"`aggressor` is BUY, SELL or NONE, not {aggressor[:16]!r}.")
        number = lots[size]
        if not number:
            raise InvalidInput("`qty` of a trade must be above 0.")
        return Trade(name, ticks[price], number, side, at_us, tally.received_at_us)

    return trade if wanted is TRADE_COLUMNS else quote

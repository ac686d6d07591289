"""BitMEX executions as CSV, plain or gzip: one line is one trade fill, already in UTC, oldest first.

Columns by name: `execID orderID symbol side lastQty lastPx cumQty execCost` and the time as `event_time`,
`transactTime` or `timestamp`. Contracts are perpetual and settle in bitcoin; the export has no fees.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation

import msgspec

from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import parse_rfc3339
from gesta.ledger.records import FillDetail, Side
from gesta.sources.files import Line, Opener, fingerprint, text_lines
from gesta.sources.positions import flags_of, signed
from gesta.sources.row import FileError, Fill, Item, Reading, Refused, RowError

ORIGIN = "bitmex"
DEFAULT_ACCOUNT = "BitMEX"
CURRENCY = "XBT"
INSTRUMENT_TYPE = "CryptoPerpetual"
_TIMES = ("event_time", "transactTime", "timestamp")
_REQUIRED = ("execID", "orderID", "symbol", "side", "lastQty", "lastPx")
_SIDES = {"buy": Side.BUY, "sell": Side.SELL}
_SATOSHI = Decimal(100_000_000)
_MAX_CELL_CHARACTERS = 200
_MAX_SYMBOLS = 10_000


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The export does not name the account."""

    account: str = DEFAULT_ACCOUNT


def read(opener: Opener, options: Options) -> Reading:
    """Read an export. Raises FileError when a required column is missing or the file cannot be read."""
    content = fingerprint(opener)
    lines = text_lines(opener, content.encoding)
    header = next(lines, None)
    columns = _columns(header)
    return Reading(notes=(), expected=content.lines, items=_items(lines, columns, options.account))


def _columns(header: Line | None) -> dict[str, int]:
    names = [] if header is None else [name.strip().strip('"') for name in header.text.split(",")]
    places = {name: place for place, name in enumerate(names)}
    missing = [name for name in _REQUIRED if name not in places]
    if not any(name in places for name in _TIMES):
        missing.append("event_time")
    if missing:
        raise FileError(f"The first line has no {', '.join(missing)}; is it an export of BitMEX executions?")
    return places


class _Book:
    """The running position of each symbol, in the order of the file."""

    def __init__(self) -> None:
        self._positions: dict[str, Decimal] = {}
        self._times: dict[str, int] = {}

    def after(self, symbol: str, change: Decimal, at_us: int) -> tuple[Decimal, bool]:
        """The position after a change, and whether the fill is not earlier than the one before it."""
        if len(self._positions) >= _MAX_SYMBOLS and symbol not in self._positions:
            raise RowError(f"there are more than {_MAX_SYMBOLS} symbols", field="symbol")
        position = self._positions.get(symbol, Decimal(0)) + change
        ordered = at_us >= self._times.get(symbol, at_us)
        self._positions[symbol], self._times[symbol] = position, at_us
        return position, ordered


def _items(lines: Iterable[Line], columns: dict[str, int], account: str) -> Iterator[Item]:
    book = _Book()
    for line in lines:
        if not line.text.strip(" ,"):
            continue
        try:
            yield _fill(line, columns, account, book)
        except InvalidInput as error:
            yield Refused(line=line.number, reason=error.message)


def _fill(line: Line, columns: dict[str, int], account: str, book: _Book) -> Fill:
    cells = _cells(line, columns)
    said = cells.get("execType", "Trade")
    if said not in ("", "Trade"):
        raise RowError(f"an execution of the type {said[:40]} is not a fill", field="execType")
    side = _SIDES.get(cells["side"].casefold())
    if side is None:
        raise RowError(f"the side {cells['side'][:40]!r} is neither Buy nor Sell", field="side")
    quantity, price = _positive(cells, "lastQty"), _positive(cells, "lastPx")
    at_us = parse_rfc3339(next(cells[name] for name in _TIMES if name in columns), field="event_time")
    cumulative = _positive(cells, "cumQty") if cells.get("cumQty") else None
    # A liquidation has no order.
    for name in ("execID", "symbol"):
        if not cells[name]:
            raise RowError(f"{name} is empty", field=name)
    value = _point_value(cells, quantity, price)
    position, ordered = book.after(cells["symbol"], signed(side, quantity), at_us)
    flags = flags_of(side, quantity, position)
    detail = FillDetail(
        order_id=cells["orderID"],
        instrument=cells["symbol"],
        side=side,
        quantity=quantity,
        price=price,
        currency=CURRENCY,
        point_value=value,
        instrument_type=INSTRUMENT_TYPE,
        venue=DEFAULT_ACCOUNT,
        position_after=position,
        is_entry=flags.is_entry,
        is_entry_strategy=flags.is_entry,
        is_exit=flags.is_exit,
        is_exit_strategy=flags.is_exit,
        is_initial_entry=flags.is_initial_entry,
        is_last_exit=flags.is_last_exit,
        cumulative_quantity=cumulative,
    )
    return Fill(
        line=line.number,
        id=cells["execID"],
        account=account,
        origin=ORIGIN,
        name="",
        at_us=at_us,
        detail=detail,
        notes=() if ordered else ("the fill is earlier than the one before it; its position after may be wrong",),
    )


def _cells(line: Line, columns: dict[str, int]) -> dict[str, str]:
    if line.cut or "\0" in line.text:
        raise RowError("the line is too long, or has a NUL character")
    try:
        fields = next(csv.reader([line.text], strict=True))
    except csv.Error as error:
        raise RowError(f"the line cannot be split into fields: {error}") from None
    if len(fields) != len(columns):
        raise RowError(f"the line has {len(fields)} fields and the header {len(columns)}")
    cells = {name: fields[place].strip() for name, place in columns.items()}
    if any(len(cell) > _MAX_CELL_CHARACTERS for cell in cells.values()):
        raise RowError(f"a field has more than {_MAX_CELL_CHARACTERS} characters")
    return cells


def _positive(cells: dict[str, str], name: str) -> Decimal:
    try:
        value = Decimal(cells[name])
    except InvalidOperation:
        raise RowError(f"{name} {cells[name][:40]!r} is not a number", field=name) from None
    if not value.is_finite() or value <= 0 or not -20 <= value.adjusted() <= 20 or len(value.as_tuple().digits) > 30:
        raise RowError(f"{name} {cells[name][:40]!r} is not a number above zero", field=name)
    return value


def _point_value(cells: dict[str, str], quantity: Decimal, price: Decimal) -> Decimal:
    """Bitcoin per point of price and contract, from execCost (satoshis = quantity · price · a power of ten).

    The export rounds prices to a tick, hence the tolerance. The cost of an inverse contract is not proportional to its
    price: then, and without a cost, the value is 1.
    """
    try:
        cost = abs(Decimal(cells.get("execCost") or "0"))
    except InvalidOperation:
        raise RowError(f"execCost {cells['execCost'][:40]!r} is not a number", field="execCost") from None
    if not cost.is_finite() or not cost or cost.adjusted() > 20:
        return Decimal(1)
    exponent = (cost / (quantity * price)).log10().to_integral_value()
    multiplier = Decimal(10) ** int(exponent)
    if not abs(multiplier * quantity * price - cost) < cost / 1000:
        return Decimal(1)
    return Decimal(f"{multiplier / _SATOSHI:f}")

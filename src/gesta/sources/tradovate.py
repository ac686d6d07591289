"""Tradovate's "Performance" export: each line is a buy and a sell that were paired; the fills are put together again.

One fill stands in as many lines as it was paired with others, each time with a part of its quantity, so that the lines
of a fill id are added up. The file is therefore held whole, within a bound. It tells local times and no account; the
pairs cover their fills, so that every position starts and ends flat.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

import msgspec

from gesta.kernel.times import from_datetime
from gesta.ledger.records import FillDetail, Side
from gesta.sources import contracts
from gesta.sources.files import Line, Opener, fingerprint, text_lines
from gesta.sources.positions import flags_of, signed
from gesta.sources.row import FileError, Fill, Item, Reading, Refused, RowError

ORIGIN = "tradovate"
DEFAULT_ACCOUNT = "Tradovate"
MAX_ROWS = 500_000
_REQUIRED = (
    *("symbol", "buyFillId", "sellFillId", "qty", "buyPrice", "sellPrice", "pnl"),
    *("boughtTimestamp", "soldTimestamp"),
)
_NAMES = {
    Side.BUY: ("buyFillId", "buyPrice", "boughtTimestamp"),
    Side.SELL: ("sellFillId", "sellPrice", "soldTimestamp"),
}
_MONEY = re.compile(r"(-?)\$?(\()?(-?)\$?(\d{1,3}(?:,\d{3})*|\d{1,15})((?:\.\d{1,10})?)\)?", re.ASCII)
_TIME = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d{2}):(\d{2})", re.ASCII)
_FILL_ID = re.compile(r"[0-9]{1,30}", re.ASCII)
_PLAIN = re.compile(r"[0-9]{1,15}(\.[0-9]{1,12})?", re.ASCII)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`zone` is that of the exporting screen. `currency` is that of the account."""

    zone: ZoneInfo
    account: str = DEFAULT_ACCOUNT
    currency: str = "USD"


class _Side(msgspec.Struct, frozen=True, kw_only=True):
    """One half of a pair. `note` says that its time happened twice."""

    id: str
    symbol: str
    side: Side
    price: Decimal
    local: datetime
    at_us: int
    note: str | None


class _Sum(msgspec.Struct, kw_only=True):
    """A fill as far as the lines read so far tell it. `line` is the first of them."""

    line: int
    half: _Side
    quantity: Decimal
    pnl: Decimal | None = None


def read(opener: Opener, options: Options) -> Reading:
    """Read an export. The fills come oldest first.

    Raises FileError when a column is missing, the file cannot be read, or it has more than MAX_ROWS lines.
    """
    lines = text_lines(opener, fingerprint(opener).encoding)
    columns = _columns(next(lines, None))
    sums: dict[str, _Sum] = {}
    refused: list[Refused] = []
    for count, line in enumerate(lines):
        if count >= MAX_ROWS:
            raise FileError(f"The file has more than {MAX_ROWS} lines; export a shorter period.")
        if not line.text.strip(" ,"):
            continue
        try:
            _add(line, _cells(line, columns), options.zone, sums)
        except RowError as error:
            refused.append(Refused(line=line.number, reason=error.message))
    return Reading(notes=(), expected=len(sums) + len(refused), items=_items(sums, refused, options))


def _columns(header: Line | None) -> dict[str, int]:
    names = [] if header is None else [name.strip().strip('"') for name in header.text.lstrip("\ufeff").split(",")]
    places = {name: place for place, name in enumerate(names)}
    missing = [name for name in _REQUIRED if name not in places]
    if missing:
        raise FileError(f"The first line has no {', '.join(missing)}; is it Tradovate's Performance export?")
    return places


def _cells(line: Line, columns: dict[str, int]) -> dict[str, str]:
    if line.cut or "\0" in line.text:
        raise RowError("the line is too long, or has a NUL character")
    try:
        fields = next(csv.reader([line.text], strict=True), [])
    except csv.Error as error:
        raise RowError(f"the line cannot be split into fields: {error}") from None
    if len(fields) != len(columns):
        raise RowError(f"the line has {len(fields)} fields and the header {len(columns)}")
    return {name: fields[columns[name]].strip() for name in _REQUIRED}


def _add(line: Line, cells: dict[str, str], zone: ZoneInfo, sums: dict[str, _Sum]) -> None:
    """Add both halves of a pair to their fills, or neither."""
    quantity = _number(cells, "qty")
    if quantity <= 0:
        raise RowError("qty is not above zero", field="qty")
    pnl = parse_money(cells["pnl"])
    bought = _half(cells, Side.BUY, zone)
    sold = _half(cells, Side.SELL, zone)
    if bought.id == sold.id:
        raise RowError("the buy and the sell have the same fill id", field="sellFillId")
    for half in (bought, sold):
        known = sums.get(half.id)
        if known is not None and known.half != half:
            raise RowError(f"the fill {half.id} has another symbol, side, price or time at line {known.line}")
    closing = max(bought, sold, key=_order)
    for half in (bought, sold):
        total = sums.setdefault(half.id, _Sum(line=line.number, half=half, quantity=Decimal(0)))
        total.quantity += quantity
        if half is closing:
            total.pnl = (total.pnl or Decimal(0)) + pnl


def _order(half: _Side) -> tuple[int, int]:
    # Fill ids grow, which decides among fills of one second.
    return half.at_us, int(half.id)


def _half(cells: dict[str, str], side: Side, zone: ZoneInfo) -> _Side:
    id_name, price_name, time_name = (
        ("buyFillId", "buyPrice", "boughtTimestamp")
        if side is Side.BUY
        else ("sellFillId", "sellPrice", "soldTimestamp")
    )
    if not _FILL_ID.fullmatch(cells[id_name]):
        raise RowError(f"{id_name} {cells[id_name][:40]!r} is not a fill id", field=id_name)
    if not cells["symbol"] or len(cells["symbol"]) > 64:
        raise RowError("symbol is empty or too long", field="symbol")
    local, at_us, note = _moment(cells[time_name], zone, time_name)
    price = _number(cells, price_name)
    return _Side(id=cells[id_name], symbol=cells["symbol"], side=side, price=price, local=local, at_us=at_us, note=note)


def _moment(text: str, zone: ZoneInfo, field: str) -> tuple[datetime, int, str | None]:
    match = _TIME.fullmatch(text)
    if match is None:
        raise RowError(f"{text[:40]!r} is not a time like 01/22/2025 23:02:03", field=field)
    month, day, year, hour, minute, second = (int(part) for part in match.groups())
    if not 1970 <= year <= 2199:
        raise RowError(f"the year of {text[:40]!r} is not between 1970 and 2199", field=field)
    try:
        local = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the zone is put on below
    except ValueError as error:
        raise RowError(f"{text[:40]!r} is impossible: {error}", field=field) from None
    at = local.replace(tzinfo=zone)
    moment = at.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) != local:
        raise RowError(f"{text} did not exist in {zone.key}: the clock was put forward", field=field)
    twice = at.replace(fold=1).utcoffset() != at.utcoffset()
    return local, from_datetime(moment), f"{text} happened twice in {zone.key}; the first was taken" if twice else None


def _number(cells: dict[str, str], name: str) -> Decimal:
    text = cells[name].removeprefix("-")
    if not _PLAIN.fullmatch(text):
        raise RowError(f"{name} {cells[name][:40]!r} is not a number", field=name)
    try:
        return Decimal(cells[name])
    except InvalidOperation:
        raise RowError(f"{name} {cells[name][:40]!r} is not a number", field=name) from None


def parse_money(text: str) -> Decimal:
    """`$62.50`, `$(41.25)`, `$-41.25`, `-$1,041.25`. Raises RowError for anything else."""
    match = _MONEY.fullmatch(text)
    if match is None or bool(match[2]) != text.endswith(")") or (match[1] + match[3]).count("-") + bool(match[2]) > 1:
        raise RowError(f"{text[:40]!r} is not an amount of dollars", field="pnl")
    amount = Decimal(match[4].replace(",", "") + match[5])
    return -amount if match[1] or match[2] or match[3] else amount


def _items(sums: dict[str, _Sum], refused: list[Refused], options: Options) -> Iterator[Item]:
    yield from refused
    positions: dict[str, Decimal] = {}
    for total in sorted(sums.values(), key=lambda total: _order(total.half)):
        yield _fill(total, positions, options)


def _fill(total: _Sum, positions: dict[str, Decimal], options: Options) -> Fill:
    half, quantity = total.half, total.quantity
    instrument = contracts.dated_name(half.symbol, half.local.year)
    position = positions.get(instrument, Decimal(0)) + signed(half.side, quantity)
    positions[instrument] = position
    flags = flags_of(half.side, quantity, position)
    detail = FillDetail(
        order_id="",
        instrument=instrument,
        side=half.side,
        quantity=quantity,
        price=half.price,
        currency=options.currency,
        point_value=contracts.point_value(instrument),
        instrument_type=contracts.instrument_type(instrument),
        venue=DEFAULT_ACCOUNT,
        position_after=position,
        is_entry=flags.is_entry,
        is_entry_strategy=flags.is_entry,
        is_exit=flags.is_exit,
        is_exit_strategy=flags.is_exit,
        is_initial_entry=flags.is_initial_entry,
        is_last_exit=flags.is_last_exit,
        realized_pnl=total.pnl,
    )
    return Fill(
        line=total.line,
        id=half.id,
        account=options.account,
        origin=ORIGIN,
        name="",
        at_us=half.at_us,
        detail=detail,
        time_zone=options.zone.key,
        notes=(half.note,) if half.note else (),
    )

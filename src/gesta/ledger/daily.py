"""Exact sums per UTC day of event time, kept in the transaction that changes the row."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal

import msgspec

from gesta.kernel.errors import InvalidInput
from gesta.kernel.json import encode_json
from gesta.kernel.times import DAY_US, MAX_US, MIN_US, day_of, format_day
from gesta.ledger.codes import kind_of, matches, status_of
from gesta.ledger.query import Filter, SummaryRow
from gesta.ledger.records import Detail, ExecutorDetail, FillDetail, Kind, Status
from gesta.ledger.statements import SQL
from gesta.storage.program import Fetch, Many, Program

ZERO = Decimal(0)
# Sums never round: the context holds more digits than any sum of rows within `bounds.py` can need.
EXACT = Context(prec=400)
_add, _subtract, _multiply = EXACT.add, EXACT.subtract, EXACT.multiply

# (day, account, cell, currency)
DayKey = tuple[int, int, int, str]
# (day, account, kind, status, currency); None where the summary does not group by it
Group = tuple[int | None, int | None, Kind | None, Status | None, str]


class Sums(msgspec.Struct):
    count: int = 0
    quantity: Decimal = ZERO
    volume: Decimal = ZERO
    fees: Decimal = ZERO
    pnl: Decimal = ZERO

    def add(self, other: Sums, sign: int = 1) -> None:
        change = _add if sign > 0 else _subtract
        self.count += sign * other.count
        if other.quantity:
            self.quantity = change(self.quantity, other.quantity)
        if other.volume:
            self.volume = change(self.volume, other.volume)
        if other.fees:
            self.fees = change(self.fees, other.fees)
        if other.pnl:
            self.pnl = change(self.pnl, other.pnl)


def measures(detail: Detail) -> tuple[str, int, Decimal, Decimal, Decimal, Decimal]:
    """The currency of one execution, then count, quantity, volume, fees and pnl as SummaryRow sums them."""
    if type(detail) is FillDetail:
        volume = _multiply(_multiply(detail.price, detail.quantity), detail.point_value)
        return detail.currency, 1, detail.quantity, volume, detail.commission, detail.realized_pnl or ZERO
    if type(detail) is ExecutorDetail:
        quote = (detail.trading_pair or "").rpartition("-")[2]
        return quote, 1, ZERO, detail.filled_quote, detail.fees_quote, detail.net_pnl_quote
    return "", 1, ZERO, ZERO, ZERO, ZERO


def collect(
    changes: dict[DayKey, Sums], account: int, cell: int, created_at_us: int, detail: Detail, sign: int = 1
) -> None:
    """Add (or with `sign` -1, take away) what one execution means to its day."""
    currency, count, quantity, volume, fees, pnl = measures(detail)
    key = (created_at_us // DAY_US, account, cell, currency)
    sums = changes.get(key)
    if sums is None:
        sums = changes[key] = Sums()
    change = _add if sign > 0 else _subtract
    sums.count += sign * count
    # Most rows lack most measures, and adding a zero costs as much as adding anything.
    if quantity:
        sums.quantity = change(sums.quantity, quantity)
    if volume:
        sums.volume = change(sums.volume, volume)
    if fees:
        sums.fees = change(sums.fees, fees)
    if pnl:
        sums.pnl = change(sums.pnl, pnl)


def put(organization: int, changes: dict[DayKey, Sums]) -> Program[None]:
    """Add the changes to the stored days. Runs under the organization's lock."""
    if not changes:
        return
    days = encode_json(sorted({key[0] for key in changes})).decode()
    accounts = encode_json(sorted({key[1] for key in changes})).decode()
    rows = yield Fetch(SQL["day.get"], (organization, days, accounts))
    stored = {tuple(row[:4]): Sums(row[4], *map(Decimal, row[5:])) for row in rows}
    puts = []
    empty = []
    for key in sorted(changes):
        sums = stored.get(key, Sums())
        sums.add(changes[key])
        puts.append((organization, *key, sums.count, *texts(sums)))
        if sums.count == 0:
            empty.append((organization, *key))
    yield Many(SQL["day.put"], puts)
    if empty:
        yield Many(SQL["day.drop_empty"], empty)


def texts(sums: Sums) -> tuple[str, str, str, str]:
    return plain(sums.quantity), plain(sums.volume), plain(sums.fees), plain(sums.pnl)


def plain(value: Decimal) -> str:
    """Decimal text without an exponent and without needless zeros."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def check(query: Filter) -> None:
    """Raise InvalidInput unless the days can answer the filter."""
    for name in ("parent_id", "name_contains", "sources", "modes", "correlation", "applications"):
        if getattr(query, name):
            raise InvalidInput(f"A summary cannot be filtered by {name}.", field=name, where="query")
    for name in ("created_from_us", "created_to_us"):
        value = getattr(query, name)
        if value is not None and value % DAY_US and value not in (MIN_US, MAX_US):
            raise InvalidInput("A summary covers whole UTC days.", field=name, where="query")


def summary(query: Filter, by: frozenset[str]) -> Program[list[SummaryRow]]:
    first = day_of(MIN_US if query.created_from_us is None else query.created_from_us)
    end = day_of(MAX_US) + 1 if query.created_to_us is None else day_of(query.created_to_us)
    rows = yield Fetch(SQL["day.range"], (query.organization, first, end))
    accounts = query.accounts | ({query.account} if query.account is not None else set())
    groups: dict[Group, Sums] = {}
    for day, account, cell, currency, count, *sums in rows:
        if (accounts and account not in accounts) or not matches(query, cell):
            continue
        group: Group = (
            day if "day" in by else None,
            account if "account" in by else None,
            kind_of(cell) if "kind" in by else None,
            status_of(cell) if "status" in by else None,
            currency,
        )
        groups.setdefault(group, Sums()).add(Sums(count, *map(Decimal, sums)))
    return list(_rows(groups.items()))


def _rows(groups: Iterable[tuple[Group, Sums]]) -> Iterable[SummaryRow]:
    for (day, account, kind, status, currency), sums in sorted(groups, key=_order):
        quantity, volume, fees, pnl = texts(sums)
        yield SummaryRow(
            day=None if day is None else format_day(day),
            account=account,
            kind=kind,
            status=status,
            currency=currency,
            count=sums.count,
            quantity=quantity,
            volume=volume,
            fees=fees,
            pnl=pnl,
        )


def _order(group: tuple[Group, Sums]) -> tuple[int, int, str, str, str]:
    day, account, kind, status, currency = group[0]
    return day or 0, account or 0, str(kind), str(status), currency

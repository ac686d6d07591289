"""Executors in groups: what a search by type, connector, pair, controller, account and status reads instead of rows.

A group is one combination of those words. It has an exact count and, of executors that have ended, exact sums, kept in
the transaction that changes the row; each executor's row names its group. A page is merged from the groups that match,
each in the order of its own index, or, where these are many, picked from all executors in order: by what is expected to
cost less. Neither depends on how many executors there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from gesta.kernel.json import encode_json
from gesta.ledger import walk
from gesta.ledger.codes import KIND_CODE, STATUS_CODE, STATUSES, every_of_kind
from gesta.ledger.daily import EXACT, ZERO, plain
from gesta.ledger.lifecycle import TERMINAL
from gesta.ledger.query import Cursor, ExecutorFilter, ExecutorSums, Filter, Page
from gesta.ledger.records import Execution, ExecutorDetail, Kind, Status
from gesta.ledger.rows import execution_of, key_of
from gesta.ledger.statements import GROUP_COLUMNS, SQL
from gesta.ledger.tree import END, FIRST, Key
from gesta.storage.program import Fetch, Many, Program, Row, Statement, postgres_text, sqlite_text

# A group's id is its organization and its number.
NUMBER_BITS = 32
NUMBER_MASK = (1 << NUMBER_BITS) - 1
# A page over more groups than this is not read on the event loop.
MOST_INLINE = 512
# Asking a group is taken to cost as much as looking at this many executors in order: an estimate from SQLite.
COST_OF_GROUP = 16
# A walk looks at this many times as many executors as it should need by the share of the groups.
WALK_HEADROOM = 2
# A page asks each group for this many times its even share of the rows first.
HEADROOM = 2


class TooMany(Exception):
    """More groups match than were allowed for."""


class Facets(NamedTuple):
    """What makes a group, with '' for what is not said. The close type counts only once an executor has ended."""

    account: int
    status: int
    executor_type: str
    connector: str
    trading_pair: str
    controller_id: str
    close_type: str


class Sums(msgspec.Struct):
    """`won` counts profits, `squares` are those of the net profits. Of executors that are active only `count`."""

    count: int = 0
    won: int = 0
    pnl: Decimal = ZERO
    squares: Decimal = ZERO
    pct: Decimal = ZERO
    fees: Decimal = ZERO
    volume: Decimal = ZERO

    def add(self, other: Sums) -> None:
        self.count += other.count
        self.won += other.won
        self.pnl = EXACT.add(self.pnl, other.pnl)
        self.squares = EXACT.add(self.squares, other.squares)
        self.pct = EXACT.add(self.pct, other.pct)
        self.fees = EXACT.add(self.fees, other.fees)
        self.volume = EXACT.add(self.volume, other.volume)


Changes = dict[Facets, Sums]


def facets_of(account: int, status: Status, correlation: Mapping[str, str], detail: ExecutorDetail) -> Facets:
    return Facets(
        account,
        STATUS_CODE[status],
        detail.executor_type or "",
        detail.connector or "",
        detail.trading_pair or "",
        correlation.get("controller_id", ""),
        (detail.close_type or "") if status in TERMINAL else "",
    )


def collect(changes: Changes, facets: Facets, detail: ExecutorDetail, sign: int = 1) -> None:
    """Add (or with `sign` -1, take away) one executor. What adds up to nothing is a change by zero."""
    sums = changes.get(facets)
    if sums is None:
        sums = changes[facets] = Sums()
    sums.count += sign
    if STATUSES[facets.status] not in TERMINAL:
        return
    change = EXACT.add if sign > 0 else EXACT.subtract
    pnl = detail.net_pnl_quote
    # Many executors have ended without a trade, and adding a zero costs as much as adding anything.
    if pnl:
        sums.won += sign * (pnl > 0)
        sums.pnl = change(sums.pnl, pnl)
        sums.squares = change(sums.squares, EXACT.multiply(pnl, pnl))
    if detail.net_pnl_pct:
        sums.pct = change(sums.pct, detail.net_pnl_pct)
    if detail.fees_quote:
        sums.fees = change(sums.fees, detail.fees_quote)
    if detail.filled_quote:
        sums.volume = change(sums.volume, detail.filled_quote)


def move(changes: Changes, before: Execution, after: Execution) -> Facets | None:
    """Collect what a changed execution means to its groups. The one that it has entered; None where it stays."""
    left, entered = before.detail, after.detail
    if type(left) is not ExecutorDetail or type(entered) is not ExecutorDetail:
        return None
    old = facets_of(before.account, before.status, before.correlation, left)
    new = facets_of(after.account, after.status, after.correlation, entered)
    if old == new and (left == entered or after.status not in TERMINAL):
        return None
    collect(changes, old, left, -1)
    collect(changes, new, entered)
    return None if old == new else new


def put(organization: int, changes: Changes) -> Program[dict[Facets, int]]:
    """Add the changes to the stored groups; the ids of all of them. Runs under the organization's lock."""
    if not changes:
        return {}
    keys = sorted(changes)
    hashes = {key: key_of(encode_json(key).decode()) for key in keys}
    rows = yield Fetch(SQL["group.get"], (organization, encode_json([*hashes.values()]).decode()))
    stored = {Facets(*row[1:8]): (row[0], sums_of(row)) for row in rows}
    first = last = organization << NUMBER_BITS
    if not stored.keys() >= changes.keys():
        newest = yield Fetch(SQL["group.newest"], (first, first | NUMBER_MASK))
        last = newest[0][0] or first
    ids: dict[Facets, int] = {}
    puts, empty = [], []
    for key in keys:
        if key in stored:
            ids[key], sums = stored[key]
        else:
            last += 1
            ids[key], sums = last, Sums()
        sums.add(changes[key])
        puts.append((ids[key], organization, hashes[key], *key, sums.count, sums.won, *texts(sums)))
        if sums.count == 0:
            empty.append((ids[key],))
    yield Many(SQL["group.put"], puts)
    if empty:
        yield Many(SQL["group.drop_empty"], empty)
    return ids


def sums_of(row: Row) -> Sums:
    """From GROUP_COLUMNS."""
    return Sums(row[8], row[9], *map(Decimal, row[10:15]))


def texts(sums: Sums) -> tuple[str, ...]:
    return tuple(map(plain, (sums.pnl, sums.squares, sums.pct, sums.fees, sums.volume)))


# -- reading


def sums(query: ExecutorFilter) -> Program[list[ExecutorSums]]:
    """The groups that match, in the order of their words."""
    rows = yield from _matching(query, GROUP_COLUMNS)
    return list(told((Facets(*row[1:8]), sums_of(row)) for row in rows))


def told(found: Iterable[tuple[Facets, Sums]]) -> Iterable[ExecutorSums]:
    for facets, each in sorted(found, key=lambda item: item[0]):
        yield ExecutorSums(
            account=facets.account,
            status=STATUSES[facets.status],
            executor_type=facets.executor_type or None,
            connector=facets.connector or None,
            trading_pair=facets.trading_pair or None,
            controller_id=facets.controller_id or None,
            close_type=facets.close_type or None,
            count=each.count,
            won=each.won,
            net_pnl_quote=each.pnl,
            net_pnl_quote_squares=each.squares,
            net_pnl_pct=each.pct,
            fees_quote=each.fees,
            filled_quote=each.volume,
        )


def page(query: ExecutorFilter, after: Cursor | None, limit: int, most: int | None) -> Program[Page]:
    """The newest `limit` executors after a cursor, and the exact total. Raises TooMany for more than `most` groups."""
    high = END if after is None else (after.created_at_us, after.row)
    if not (query.executor_types or query.connectors or query.trading_pairs or query.controllers) and (
        len(query.accounts) < 2
    ):
        return (yield from _counted(query, high, limit))
    groups = yield from _matching(query, "g.id, g.n", most)
    total = sum(count for _, count in groups)
    ids = [id_ for id_, _ in groups]
    keys = yield from _walk(query.organization, ids, total, high, limit + 1)
    if keys is None:
        keys = yield from _newest(ids, high, limit + 1)
    chosen = keys[:limit]
    rows: list[Row] = []
    if chosen:
        rows = yield Fetch(SQL["execution.listed"], (encode_json([rid for _, rid in chosen]).decode(),))
    return _page(rows, chosen, total, len(keys) > limit)


def _counted(query: ExecutorFilter, high: Key, limit: int) -> Program[Page]:
    """What the counter tree knows by itself needs no groups."""
    plan = yield from walk.plan(
        Filter(
            organization=query.organization,
            account=min(query.accounts, default=None),
            kinds=frozenset({Kind.EXECUTOR}),
            statuses=query.statuses,
        )
    )
    rows = yield from walk.first(plan, FIRST, high, limit=limit + 1, newest_first=True)
    chosen = rows[:limit]
    return _page(chosen, [(row[9], row[0]) for row in chosen], plan.total, len(rows) > limit)


def _page(rows: Sequence[Row], keys: Sequence[Key], total: int, more: bool) -> Page:
    return Page(
        rows=[execution_of(row) for row in rows],
        total=total,
        has_more=more,
        next=Cursor(*keys[-1]) if more and keys else None,
    )


def _walk(organization: int, groups: Sequence[int], total: int, high: Key, limit: int) -> Program[list[Key] | None]:
    """The newest `limit` keys of these groups below `high`, where most executors are of these groups; else None."""
    if WALK_HEADROOM * limit > COST_OF_GROUP * len(groups):
        return None
    counted = yield Fetch(SQL["group.executors"], (-organization, every_of_kind(KIND_CODE[Kind.EXECUTOR])))
    most = WALK_HEADROOM * limit * int(counted[0][0]) // total + 16
    if most > COST_OF_GROUP * len(groups):
        return None
    rows = yield Fetch(SQL["group.walk"], (organization, *high, encode_json(groups).decode(), most, limit))
    if len(rows) < limit:
        # The end of all executors, or a stretch where those of these groups are rare.
        walked = yield Fetch(SQL["group.walked"], (organization, *high, most))
        if walked[0][0] == most:
            return None
    return [(at, rid) for at, rid in rows]


def _newest(groups: Sequence[int], high: Key, limit: int) -> Program[list[Key]]:
    """The newest `limit` keys of these groups below `high`. A first round takes a share of each group; whose share ends
    before the page does is asked again for all that the page can hold."""
    if not groups:
        return []
    share = min(limit, HEADROOM * limit // len(groups) + 2)
    found: dict[int, list[Key]] = {}
    for group, at, rid in (yield from _places(groups, high, share)):
        found.setdefault(group, []).append((at, rid))
    keys = sorted((key for places in found.values() for key in places), reverse=True)
    if share < limit:
        cut = keys[limit - 1] if len(keys) >= limit else (-(1 << 62), 0)
        again = [group for group, places in found.items() if len(places) == share and min(places) > cut]
        if again:
            for group in again:
                found[group] = []
            for group, at, rid in (yield from _places(again, high, limit)):
                found[group].append((at, rid))
            keys = sorted((key for places in found.values() for key in places), reverse=True)
    return keys[:limit]


def _places(groups: Sequence[int], high: Key, each: int) -> Program[list[Row]]:
    return (yield Fetch(SQL["group.places"], (encode_json(groups).decode(), *high, each)))


def _matching(query: ExecutorFilter, columns: str, most: int | None = None) -> Program[list[Row]]:
    first = query.organization << NUMBER_BITS
    # Without a controller all groups are looked at, in the order in which they lie.
    parameters: list[Any] = [query.organization] if query.controllers else [first, first | NUMBER_MASK]
    conditions = ["organization = $1"] if query.controllers else ["id > $1 AND id <= $2"]

    def among(kind: str, column: str, values: Iterable[Any]) -> None:
        listed = sorted(values)
        if listed:
            parameters.append(encode_json(listed).decode())
            conditions.append(f"@{kind}({column}, ${len(parameters)})")

    among("texts", "controller_id", query.controllers)
    among("ints", "account", query.accounts)
    among("ints", "status", (STATUS_CODE[status] for status in query.statuses))
    among("texts", "executor_type", query.executor_types)
    among("texts", "connector", query.connectors)
    among("texts", "trading_pair", query.trading_pairs)
    text = f"SELECT {columns} FROM executor_groups g WHERE {' AND '.join(conditions)}"  # noqa: S608 — names of this file only
    if most is not None:
        text += f" LIMIT {most + 1}"
    rows = yield Fetch(Statement("groups", sqlite_text(text), postgres_text(text)), parameters)
    if most is not None and len(rows) > most:
        raise TooMany
    return rows

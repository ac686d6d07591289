"""Filters that the counter tree does not know: parent, correlation ids, several accounts, text in the name.

Such a query costs time in proportion to what its most selective index gives: references by id, else the scope's rows.
"""

from __future__ import annotations

from typing import Any

from gesta.kernel.json import encode_json
from gesta.ledger.codes import REFERENCE_CODE, matches
from gesta.ledger.query import Filter
from gesta.ledger.rows import ROW_COLUMNS
from gesta.ledger.statements import SQL
from gesta.ledger.tree import Key
from gesta.storage.program import Fetch, Program, Row, Statement, postgres_text, sqlite_text

# Mostly the first of these that is given has the fewest rows: it is the one that is walked.
_SELECTIVE = (
    *("external_ref", "order_id", "event_id", "parent_id", "workflow_id", "controller_id", "application"),
    *("instrument", "trading_pair"),
)


def is_needed(query: Filter) -> bool:
    return bool(
        query.parent_id is not None or query.correlation or query.applications or query.accounts or query.name_contains
    )


def select(query: Filter, low: Key, high: Key, *, offset: int, limit: int, newest_first: bool) -> Program[list[Row]]:
    tables, where, parameters = yield from _where(query, low, high)
    # By the table that is read first, so that its index gives the order.
    by = "r" if tables != "executions x" else "x"
    order = "created_at DESC, {by}rid DESC" if newest_first else "created_at, {by}rid"
    place = len(parameters)
    inner = (
        f"SELECT x.rid FROM {tables} WHERE {where} ORDER BY {by}.{order.format(by=by + '.')}"  # noqa: S608 — fragments of this file only
        f" LIMIT ${place + 1} OFFSET ${place + 2}"
    )
    text = f"SELECT {ROW_COLUMNS} FROM executions WHERE rid IN ({inner}) ORDER BY {order.format(by='')}"  # noqa: S608
    return (yield Fetch(_statement(text), (*parameters, limit, offset)))


def count(query: Filter, low: Key, high: Key) -> Program[int]:
    tables, where, parameters = yield from _where(query, low, high)
    rows = yield Fetch(_statement(f"SELECT count(*) FROM {tables} WHERE {where}"), parameters)  # noqa: S608
    return int(rows[0][0])


def _statement(text: str) -> Statement:
    # SQLite's LIKE folds the case of ASCII, PostgreSQL's ILIKE that of more; other text is stored without case.
    # The fence keeps PostgreSQL from joining all that one condition alone matches.
    sqlite = text.replace("@like", "LIKE").replace(" @fence", "")
    postgres = text.replace("@like", "ILIKE").replace("@fence", "OFFSET 0")
    return Statement("scan", sqlite_text(sqlite), postgres_text(postgres))


def _where(query: Filter, low: Key, high: Key) -> Program[tuple[str, str, tuple[Any, ...]]]:
    """The tables, the outer loop first (SQLite keeps to it), the conditions and their parameters."""
    parameters: list[Any] = []

    def bind(value: Any) -> str:
        parameters.append(value)
        return f"${len(parameters)}"

    references = dict(query.correlation)
    if query.parent_id is not None:
        references["parent_id"] = query.parent_id
    names = sorted(references, key=_SELECTIVE.index)
    by = "r" if names else "x"
    organization = bind(query.organization)
    conditions = [f"x.organization = {organization}"]
    if query.account is not None:
        conditions.append(f"x.account = {bind(query.account)}")
    if query.accounts:
        conditions.append(f"@ints(x.account, {bind(encode_json(sorted(query.accounts)).decode())})")
    conditions.append(f"({by}.created_at, {by}.rid) >= ({bind(low[0])}, {bind(low[1])})")
    conditions.append(f"({by}.created_at, {by}.rid) < ({bind(high[0])}, {bind(high[1])})")
    if query.kinds or query.statuses or query.sources or query.modes:
        root = yield Fetch(SQL["tally.root"], (-query.organization,))
        cells = [cell for cell, _ in root if cell >= 0 and matches(query, cell)]
        conditions.append(f"@ints(x.cell, {bind(encode_json(cells).decode())})")
    for name in names:
        key, value = bind(REFERENCE_CODE[name]), bind(references[name])
        if name == names[0]:
            conditions.append(
                f"r.organization = {organization} AND r.key = {key} AND r.value = {value} AND x.rid = r.rid"
            )
        else:
            conditions.append(
                "EXISTS (SELECT 1 FROM refs o"  # noqa: S608
                f" WHERE o.organization = {organization} AND o.key = {key} AND o.value = {value}"
                " AND o.created_at = x.created_at AND o.rid = x.rid @fence)"
            )
    if query.applications:
        key = bind(REFERENCE_CODE["application"])
        conditions.append(
            f"EXISTS (SELECT 1 FROM refs a WHERE a.organization = {organization} AND a.key = {key}"  # noqa: S608
            f" AND @texts(a.value, {bind(encode_json(sorted(query.applications)).decode())})"
            " AND a.created_at = x.created_at AND a.rid = x.rid @fence)"
        )
    if query.name_contains:
        escaped = query.name_contains.casefold()
        for special in ("\\", "%", "_"):
            escaped = escaped.replace(special, "\\" + special)
        conditions.append(f"coalesce(x.search, x.name) @like {bind(f'%{escaped}%')} ESCAPE '\\'")
    tables = "refs r CROSS JOIN executions x" if names else "executions x"
    return tables, " AND ".join(conditions), tuple(parameters)


assert sorted(_SELECTIVE) == sorted(REFERENCE_CODE)

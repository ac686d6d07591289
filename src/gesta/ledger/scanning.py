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


def is_needed(query: Filter) -> bool:
    return bool(query.parent_id is not None or query.correlation or query.accounts or query.name_contains)


def select(query: Filter, low: Key, high: Key, *, offset: int, limit: int, newest_first: bool) -> Program[list[Row]]:
    where, parameters = yield from _where(query, low, high)
    order = "created_at DESC, rid DESC" if newest_first else "created_at, rid"
    place = len(parameters)
    inner = f"SELECT rid FROM executions x WHERE {where} ORDER BY {order} LIMIT ${place + 1} OFFSET ${place + 2}"  # noqa: S608 — fragments of this file only
    text = f"SELECT {ROW_COLUMNS} FROM executions WHERE rid IN ({inner}) ORDER BY {order}"  # noqa: S608
    return (yield Fetch(_statement(text), (*parameters, limit, offset)))


def count(query: Filter, low: Key, high: Key) -> Program[int]:
    where, parameters = yield from _where(query, low, high)
    rows = yield Fetch(_statement(f"SELECT count(*) FROM executions x WHERE {where}"), parameters)  # noqa: S608
    return int(rows[0][0])


def _statement(text: str) -> Statement:
    # SQLite's LIKE folds the case of ASCII, PostgreSQL's ILIKE that of more; other text is stored without case.
    return Statement("scan", sqlite_text(text.replace("@like", "LIKE")), postgres_text(text.replace("@like", "ILIKE")))


def _where(query: Filter, low: Key, high: Key) -> Program[tuple[str, tuple[Any, ...]]]:
    parameters: list[Any] = []

    def bind(value: Any) -> str:
        parameters.append(value)
        return f"${len(parameters)}"

    organization = bind(query.organization)
    conditions = [f"organization = {organization}"]
    if query.account is not None:
        conditions.append(f"account = {bind(query.account)}")
    if query.accounts:
        conditions.append(f"@ints(account, {bind(encode_json(sorted(query.accounts)).decode())})")
    conditions.append(f"(created_at, rid) >= ({bind(low[0])}, {bind(low[1])})")
    conditions.append(f"(created_at, rid) < ({bind(high[0])}, {bind(high[1])})")
    if query.kinds or query.statuses or query.sources or query.modes:
        root = yield Fetch(SQL["tally.root"], (-query.organization,))
        cells = [cell for cell, _ in root if cell >= 0 and matches(query, cell)]
        conditions.append(f"@ints(cell, {bind(encode_json(cells).decode())})")
    references = dict(query.correlation)
    if query.parent_id is not None:
        references["parent_id"] = query.parent_id
    for name, value in references.items():
        key = bind(REFERENCE_CODE[name])
        conditions.append(
            f"rid IN (SELECT rid FROM refs WHERE organization = {organization}"  # noqa: S608
            f" AND key = {key} AND value = {bind(value)})"
        )
    if query.name_contains:
        escaped = query.name_contains.casefold()
        for special in ("\\", "%", "_"):
            escaped = escaped.replace(special, "\\" + special)
        conditions.append(f"coalesce(search, name) @like {bind(f'%{escaped}%')} ESCAPE '\\'")
    return " AND ".join(conditions), tuple(parameters)

"""The second half of migration 2: put the executors that are there into their groups.

It stands on nothing of the ledger but the tables as migrations 1 and 2 left them, and never changes: its text is part
of the migration's checksum.
"""

from __future__ import annotations

from decimal import Context, Decimal
from hashlib import blake2b
from typing import Any

import msgspec

from gesta.storage.program import Fetch, Many, Program, Statement, postgres_text, sqlite_text

_CHUNK = 2000
_EXACT = Context(prec=400)
# Codes of the statuses that an executor ends in.
_ENDED = frozenset({6, 7, 8, 9})
_AMOUNTS = ("net_pnl_quote", "net_pnl_pct", "fees_quote", "filled_quote")


def _statement(name: str, text: str) -> Statement:
    return Statement(name, sqlite_text(text), postgres_text(text))


_ROWS = _statement(
    "migration.executors",
    "SELECT rid, organization, account, cell, body FROM executions WHERE rid > $1 AND cell & 3 = 1"
    " ORDER BY rid LIMIT $2",
)
_SET = _statement("migration.set_group", "UPDATE executions SET executor_group = $2 WHERE rid = $1")
_ADD = _statement(
    "migration.add_group",
    "INSERT INTO executor_groups (id, organization, key, account, status, executor_type, connector,"
    " trading_pair, controller_id, close_type, n, won, pnl, squares, pct, fees, volume)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
)

_decoder = msgspec.json.Decoder(dict[str, Any])


class _Group:
    def __init__(self, id_: int) -> None:
        self.id = id_
        self.count = self.won = 0
        self.sums = [Decimal(0)] * 5

    def add(self, detail: dict[str, Any]) -> None:
        pnl, pct, fees, volume = (Decimal(detail.get(name, 0)) for name in _AMOUNTS)
        self.won += pnl > 0
        amounts = (pnl, _EXACT.multiply(pnl, pnl), pct, fees, volume)
        self.sums = [_EXACT.add(one, other) for one, other in zip(self.sums, amounts, strict=True)]


def program() -> Program[None]:
    groups: dict[tuple[Any, ...], _Group] = {}
    numbers: dict[int, int] = {}
    last = -1
    while rows := (yield Fetch(_ROWS, (last, _CHUNK))):
        places = []
        for rid, organization, account, cell, body in rows:
            decoded = _decoder.decode(body)
            detail, status = decoded["detail"], cell >> 2 & 15
            key = (
                *(organization, account, status),
                *(detail.get(name) or "" for name in ("executor_type", "connector", "trading_pair")),
                decoded.get("correlation", {}).get("controller_id") or "",
                (detail.get("close_type") or "") if status in _ENDED else "",
            )
            group = groups.get(key)
            if group is None:
                numbers[organization] = numbers.get(organization, 0) + 1
                group = groups[key] = _Group(organization << 32 | numbers[organization])
            group.count += 1
            if status in _ENDED:
                group.add(detail)
            places.append((rid, group.id))
        yield Many(_SET, places)
        last = rows[-1][0]
    added = [
        (group.id, key[0], _hash(key[1:]), *key[1:], group.count, group.won, *(_plain(value) for value in group.sums))
        for key, group in groups.items()
    ]
    if added:
        yield Many(_ADD, added)


def _hash(facets: tuple[Any, ...]) -> int:
    return int.from_bytes(blake2b(msgspec.json.encode(facets), digest_size=8).digest(), "big", signed=True)


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text

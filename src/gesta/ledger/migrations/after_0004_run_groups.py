"""The second half of migration 4: put the runs that are there into their groups, and count each group in a tree.

It stands on nothing of the ledger but the tables as migrations 1 to 4 left them, and never changes: its text is part of
the migration's checksum.
"""

from __future__ import annotations

from array import array
from collections import Counter
from hashlib import blake2b
from typing import Any

import msgspec

from gesta.storage.program import Fetch, Many, Program, Statement, postgres_text, sqlite_text

_CHUNK = 2000
_MOST_NAMES = 16
_BLOCK, _FANOUT, _ROOT, _TOP = 128, 64, 99, -9
_FIRST = (-(1 << 62), 0)

_Key = tuple[int, int]
_Place = tuple[int, int, str, str]


def _statement(name: str, text: str) -> Statement:
    return Statement(name, sqlite_text(text), postgres_text(text))


# In order of recording, as the groups would have come to be.
_ROWS = _statement(
    "migration.runs",
    "SELECT rid, organization, account, cell, created_at, coalesce(search, name), body FROM executions"
    " WHERE rid > $1 AND cell & 3 = 2 ORDER BY rid LIMIT $2",
)
_SET = _statement("migration.set_run_group", "UPDATE executions SET run_group = $2 WHERE rid = $1")
_ADD = _statement(
    "migration.add_run_group",
    "INSERT INTO run_groups (id, organization, key, account, workflow_id, application, search)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7)",
)
_TALLY = _statement(
    "migration.add_tally", "INSERT INTO tallies (scope, level, cell, lo_at, lo_rid, n) VALUES ($1, $2, $3, $4, $5, $6)"
)
_SCOPE = _statement("migration.add_scope", "INSERT INTO scopes (scope, path) VALUES ($1, $2)")


class _Groups:
    """Ids by combination. A workflow of too many names has one more group for all further ones."""

    def __init__(self) -> None:
        self.ids: dict[tuple[_Place, str | None], int] = {}
        # Event time, row id and cell of each run, one after the other.
        self.rows: dict[int, array[int]] = {}
        self._numbers: Counter[int] = Counter()
        self._names: Counter[_Place] = Counter()

    def of(self, place: _Place, search: str) -> int:
        id_ = self.ids.get((place, search))
        if id_ is None and self._names[place] >= _MOST_NAMES:
            id_ = self.ids.get((place, None))
            return self._new(place, None) if id_ is None else id_
        return self._new(place, search) if id_ is None else id_

    def _new(self, place: _Place, search: str | None) -> int:
        self._names[place] += search is not None
        self._numbers[place[0]] += 1
        id_ = self.ids[place, search] = place[0] << 32 | self._numbers[place[0]]
        self.rows[id_] = array("q")
        return id_


_decoder = msgspec.json.Decoder(dict[str, Any])


def program() -> Program[None]:
    groups = _Groups()
    last = -1
    while rows := (yield Fetch(_ROWS, (last, _CHUNK))):
        places = []
        for rid, organization, account, cell, created_at, search, body in rows:
            correlation = _decoder.decode(body).get("correlation", {})
            place = (
                *(organization, account),
                *(correlation.get("workflow_id") or "", correlation.get("application") or ""),
            )
            id_ = groups.of(place, search.casefold())
            groups.rows[id_].extend((created_at, rid, cell))
            places.append((rid, id_))
        yield Many(_SET, places)
        last = rows[-1][0]
    if groups.ids:
        yield Many(
            _ADD,
            [
                (id_, place[0], _hash((*place[1:], search)), *place[1:], search)
                for (place, search), id_ in groups.ids.items()
            ],
        )
    for id_, flat in groups.rows.items():
        yield from _tree(id_, sorted(zip(flat[::3], flat[1::3], flat[2::3], strict=True)))


def _hash(facets: tuple[Any, ...]) -> int:
    return int.from_bytes(blake2b(msgspec.json.encode(facets), digest_size=8).digest(), "big", signed=True)


def _tree(scope: int, rows: list[tuple[int, int, int]]) -> Program[None]:
    """The counters of one group, level by level, and where its newest nodes are."""
    nodes: list[tuple[_Key, Counter[int]]] = []
    for start in range(0, len(rows), _BLOCK):
        counters: Counter[int] = Counter()
        for _, _, cell in rows[start : start + _BLOCK]:
            counters.update((cell, -1, -2 - (cell & 3), -100 - (cell >> 2 & 15)))
        nodes.append((rows[start][:2] if start else _FIRST, counters))
    path: list[tuple[int, int, int]] = []
    children = len(rows) - (len(nodes) - 1) * _BLOCK
    level = 0
    while True:
        yield Many(_TALLY, [(scope, level, cell, *low, n) for low, cells in nodes for cell, n in cells.items()])
        path.append((*nodes[-1][0], children))
        if len(nodes) <= 2 * _FANOUT:
            break
        parents = [
            (nodes[start][0], sum((cells for _, cells in nodes[start : start + _FANOUT]), Counter[int]()))
            for start in range(0, len(nodes), _FANOUT)
        ]
        children = len(nodes) - (len(parents) - 1) * _FANOUT
        nodes, level = parents, level + 1
    path.append((*_FIRST, len(nodes)))
    root = sum((cells for _, cells in nodes), Counter[int]())
    if level:
        root[_TOP] = level
    yield Many(_TALLY, [(scope, _ROOT, cell, *_FIRST, n) for cell, n in root.items()])
    yield Fetch(_SCOPE, (scope, msgspec.json.encode([rows[-1][:2], path]).decode()))

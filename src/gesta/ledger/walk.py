"""Finding rows by rank: the reading half of the counter tree. All programs run in one snapshot."""

from __future__ import annotations

from typing import NamedTuple

from gesta.kernel.json import encode_json
from gesta.ledger.codes import EVERY, counters_for, matches
from gesta.ledger.query import Filter
from gesta.ledger.statements import SQL, rows_sql
from gesta.ledger.tree import BLOCK, END, FIRST, TOP, Key
from gesta.storage.program import Fetch, Program, Row

# Up to this offset a plain OFFSET over the index is cheaper than a walk.
NEAR = 2 * BLOCK
# How many index entries a filtered first page may look at before it asks the tree.
PROBE = 512


class Plan(NamedTuple):
    """What a filter comes to in one scope. `cells` is None when every row matches."""

    scope: int
    top: int
    counters: list[int]
    cells: str | None
    total: int


class Node(NamedTuple):
    low: Key
    high: Key
    matching: int


def plan(query: Filter) -> Program[Plan]:
    scope = -query.organization if query.account is None else query.account
    rows = yield Fetch(SQL["tally.root"], (scope,))
    root: dict[int, int] = dict(rows)  # type: ignore[arg-type]
    cells = [cell for cell in root if cell >= 0 and matches(query, cell)]
    total = sum(root[cell] for cell in cells)
    if total == root.get(EVERY, 0):
        return Plan(scope, root.get(TOP, 0), [EVERY], None, total)
    return Plan(scope, root.get(TOP, 0), counters_for(query, root), encode_json(cells).decode(), total)


def children(plan: Plan, level: int, low: Key, high: Key) -> Program[list[Node]]:
    """The nodes of a level in [low, high), oldest first. The counter of every row names them all."""
    counters = sorted({EVERY, *plan.counters})
    rows = yield Fetch(SQL["tally.children"], (plan.scope, level, *low, *high, encode_json(counters).decode()))
    lows = [(row[0], row[1]) for row in rows]
    column = 2 if plan.cells is None else 3
    return [Node(start, end, row[column]) for start, end, row in zip(lows, [*lows[1:], high], rows, strict=True)]


def rank(plan: Plan, key: Key) -> Program[int]:
    """How many matching rows have a lower key."""
    if key <= FIRST or plan.total == 0:
        return 0
    if key >= END:
        return plan.total
    low = FIRST
    passed = 0
    for level in range(plan.top, -1, -1):
        # Nodes that begin above the key are not read; the last one that is contains it.
        nodes = yield from children(plan, level, low, (key[0], key[1] + 1))
        passed += sum(node.matching for node in nodes[:-1])
        low = nodes[-1].low
    if plan.cells is None:
        statement, value = rows_sql(plan.scope, "count")
        rows = yield Fetch(statement, (value, *low, *key))
    else:
        statement, value = rows_sql(plan.scope, "count_in_cells")
        rows = yield Fetch(statement, (value, *low, *key, plan.cells))
    return passed + int(rows[0][0])


class _Walk:
    """Blocks that hold matching rows, from one end, after skipping `skip` matching rows."""

    def __init__(self, plan: Plan, skip: int, newest_first: bool) -> None:
        self._plan = plan
        self._skip = skip
        self._newest_first = newest_first
        self._stack: list[tuple[int, list[Node]]] | None = None

    def next(self) -> Program[tuple[Node, int] | None]:
        """The next block and how many of its matching rows are still to skip."""
        if self._stack is None:
            nodes = yield from children(self._plan, self._plan.top, FIRST, END)
            self._stack = [(self._plan.top, nodes)]
        while self._stack:
            level, nodes = self._stack[-1]
            if not nodes:
                self._stack.pop()
                continue
            node = nodes.pop(-1 if self._newest_first else 0)
            if node.matching <= self._skip:
                self._skip -= node.matching
            elif level == 0:
                skip, self._skip = self._skip, 0
                return node, skip
            else:
                below = yield from children(self._plan, level - 1, node.low, node.high)
                self._stack.append((level - 1, below))
        return None


def select(plan: Plan, low: Key, high: Key, *, offset: int, limit: int, newest_first: bool) -> Program[list[Row]]:
    """Up to `limit` matching rows with keys in [low, high), after `offset` of them from the chosen end."""
    if limit <= 0 or plan.total == 0 or offset >= plan.total:
        return []
    direction = "newest" if newest_first else "oldest"
    if plan.cells is None and offset <= NEAR:
        statement, value = rows_sql(plan.scope, direction)
        return (yield Fetch(statement, (value, *low, *high, limit, offset)))
    if plan.cells is not None and offset <= PROBE // 4:
        rows, complete = yield from _probe(plan, low, high, offset, limit, direction)
        if complete:
            return rows
    upper = yield from rank(plan, high)
    lower = yield from rank(plan, low)
    limit = min(limit, upper - lower - offset)
    if limit <= 0:
        return []
    skip = offset + (plan.total - upper if newest_first else lower)
    return (yield from _collect(plan, _Walk(plan, skip, newest_first), limit, direction))


def _probe(plan: Plan, low: Key, high: Key, offset: int, limit: int, direction: str) -> Program[tuple[list[Row], bool]]:
    """Try the first rows of the range: mostly the matching ones are not rare. `complete` says whether that was all."""
    statement, value = rows_sql(plan.scope, f"probe_{direction}")
    rows = yield Fetch(statement, (value, *low, *high, limit, offset, plan.cells, PROBE))
    if len(rows) == limit:
        return rows, True
    statement, value = rows_sql(plan.scope, "probed")
    seen = yield Fetch(statement, (value, *low, *high, PROBE))
    return rows, seen[0][0] < PROBE


def _collect(plan: Plan, walk: _Walk, limit: int, direction: str) -> Program[list[Row]]:
    found: list[Row] = []
    while len(found) < limit:
        block = yield from walk.next()
        if block is None:
            break
        node, skip = block
        if plan.cells is None:
            # Without a filter the page goes on past the block by itself.
            bounds = (*FIRST, *node.high) if direction == "newest" else (*node.low, *END)
            statement, value = rows_sql(plan.scope, direction)
            return (yield Fetch(statement, (value, *bounds, limit, skip)))
        statement, value = rows_sql(plan.scope, f"{direction}_in_cells")
        rows = yield Fetch(statement, (value, *node.low, *node.high, limit - len(found), skip, plan.cells))
        found.extend(rows)
    return found


def bounds_of(query: Filter) -> tuple[Key, Key]:
    low = FIRST if query.created_from_us is None else (query.created_from_us, 0)
    high = END if query.created_to_us is None else (query.created_to_us, 0)
    return low, high


def total_between(plan: Plan, low: Key, high: Key) -> Program[int]:
    upper = yield from rank(plan, high)
    lower = yield from rank(plan, low)
    return max(0, upper - lower)

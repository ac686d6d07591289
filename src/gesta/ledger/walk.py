"""Finding rows by rank: the reading half of the counter tree. All programs run in one snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gesta.kernel.json import encode_json
from gesta.ledger.codes import EVERY, counters_for, matching_cells
from gesta.ledger.query import Filter
from gesta.ledger.statements import SQL, rows_sql
from gesta.ledger.tree import END, FIRST, TOP, Key
from gesta.storage.program import Fetch, Program, Row

# Up to this offset a plain OFFSET over the index is cheaper than a walk.
NEAR = 512
# A filtered page near an end first looks at twice as many index entries as it should need by the filter's share of all
# rows; where that is more than this, it asks the tree at once.
PROBE = 1024
# So few matching rows are found by listing the blocks that hold any.
RARE = 1024
# With more counters than this the database adds up; with fewer it is cheaper done here.
MANY_COUNTERS = 6


class Plan(NamedTuple):
    """What a filter comes to in one scope: `total` of its `size` rows match; `cells` is None when all do."""

    scope: int
    top: int
    counters: list[int]
    cells: str | None
    total: int
    size: int


class Span(NamedTuple):
    """A key range, and the ranks of its ends among the matching rows."""

    low: Key
    high: Key
    below: int
    upto: int

    @property
    def rows(self) -> int:
        return max(0, self.upto - self.below)


class Node(NamedTuple):
    low: Key
    high: Key
    matching: int


def plan(query: Filter, scope: int | None = None) -> Program[Plan]:
    """Without a scope, in the query's account or organization."""
    if scope is None:
        scope = -query.organization if query.account is None else query.account
    if not (query.kinds or query.statuses or query.sources or query.modes):
        rows = yield Fetch(SQL["tally.total"], (scope,))
        root = {row[0]: row[1] for row in rows}
        size = root.get(EVERY, 0)
        return Plan(scope, root.get(TOP, 0), [EVERY], None, size, size)
    rows = yield Fetch(SQL["tally.root"], (scope,))
    root = {row[0]: row[1] for row in rows}
    cells = matching_cells(query, root)
    total = sum(root[cell] for cell in cells)
    top, size = root.get(TOP, 0), root.get(EVERY, 0)
    if total == size:
        return Plan(scope, top, [EVERY], None, total, size)
    return Plan(scope, top, counters_for(cells, root), encode_json(cells).decode(), total, size)


def span(plan: Plan, low: Key, high: Key) -> Program[Span]:
    below, upto = yield from _ranks(plan, (low, high))
    return Span(low, high, below, upto)


def children(plan: Plan, level: int, low: Key, high: Key) -> Program[list[Node]]:
    """The nodes of a level in [low, high), oldest first. The counter of every row names them all."""
    parameters = (plan.scope, level, *low, *high)
    if plan.cells is None:
        rows = yield Fetch(SQL["tally.nodes"], (*parameters, 1 << 40))
        matching = {(at, rid): count for at, rid, count in rows}
        lows = list(matching)
    else:
        counters = encode_json([EVERY, *plan.counters]).decode()
        if len(plan.counters) > MANY_COUNTERS:
            rows = yield Fetch(SQL["tally.children"], (*parameters, counters))
            matching = {(at, rid): count for at, rid, count in rows}
            lows = list(matching)
        else:
            rows = yield Fetch(SQL["tally.of_counters"], (*parameters, counters))
            lows = [(at, rid) for at, rid, counter, _ in rows if counter == EVERY]
            matching = dict.fromkeys(lows, 0)
            for at, rid, counter, count in rows:
                if counter != EVERY:
                    matching[at, rid] += count
    return [Node(start, end, matching[start]) for start, end in zip(lows, [*lows[1:], high], strict=True)]


def _ranks(plan: Plan, keys: Sequence[Key]) -> Program[list[int]]:
    """How many matching rows have a key lower than each of these."""
    passed = [plan.total if key >= END else 0 for key in keys]
    # The node that contains each key, from the top of the tree down.
    lows = {place: FIRST for place, key in enumerate(keys) if FIRST < key < END}
    if plan.total == 0 or not lows:
        return passed
    counters = encode_json(plan.counters).decode()
    for level in range(plan.top, -1, -1):
        places = list(lows)
        asked = encode_json([(plan.scope, level, *lows[place], *keys[place]) for place in places]).decode()
        for which, at, rid, count in (yield Fetch(SQL["tally.passed"], (asked, counters))):
            passed[places[which]] += count or 0
            lows[places[which]] = at, rid
    ranges = encode_json([(*low, *keys[place]) for place, low in lows.items()]).decode()
    statement, value = rows_sql(plan.scope, "counts" if plan.cells is None else "counts_in_cells")
    rows = yield Fetch(statement, (value, ranges) if plan.cells is None else (value, ranges, plan.cells))
    for place, (count,) in zip(lows, rows, strict=True):
        passed[place] += count
    return passed


def first(plan: Plan, low: Key, high: Key, *, limit: int, newest_first: bool) -> Program[list[Row]]:
    """The first `limit` matching rows of a key range from the chosen end."""
    if limit <= 0 or plan.total == 0:
        return []
    direction = "newest" if newest_first else "oldest"
    if plan.cells is None:
        statement, value = rows_sql(plan.scope, f"first_{direction}")
        return (yield Fetch(statement, (value, *low, *high, limit)))
    rows, complete = yield from _probe(plan, low, high, 0, limit, direction)
    if complete:
        return rows
    found = yield from span(plan, low, high)
    return (yield from select(plan, found, offset=0, limit=limit, newest_first=newest_first, probe=False))


def select(
    plan: Plan, span: Span, *, offset: int, limit: int, newest_first: bool, probe: bool = True
) -> Program[list[Row]]:
    """Up to `limit` matching rows of a span, after `offset` of them from the chosen end."""
    limit = min(limit, span.rows - offset)
    if limit <= 0:
        return []
    beyond = span.rows - offset - limit
    if beyond < offset:
        # The page lies nearer to the other end: take it from there, and turn it round.
        rows = yield from _select(plan, span, beyond, limit, not newest_first, probe)
        return rows[::-1]
    return (yield from _select(plan, span, offset, limit, newest_first, probe))


def _select(plan: Plan, span: Span, offset: int, limit: int, newest_first: bool, probe: bool) -> Program[list[Row]]:
    direction = "newest" if newest_first else "oldest"
    low, high = span.low, span.high
    if plan.cells is None and offset <= NEAR:
        if offset == 0:
            statement, value = rows_sql(plan.scope, f"first_{direction}")
            return (yield Fetch(statement, (value, *low, *high, limit)))
        statement, value = rows_sql(plan.scope, direction)
        return (yield Fetch(statement, (value, *low, *high, limit, offset)))
    if plan.cells is not None and probe:
        rows, complete = yield from _probe(plan, low, high, offset, limit, direction)
        if complete:
            return rows
    skip = offset + (plan.total - span.upto if newest_first else span.below)
    if plan.cells is not None and plan.total <= RARE:
        return (yield from _pick(plan, skip, limit, newest_first))
    return (yield from _collect(plan, _Walk(plan, skip, newest_first), limit, newest_first))


def _probe(plan: Plan, low: Key, high: Key, offset: int, limit: int, direction: str) -> Program[tuple[list[Row], bool]]:
    """Try the first rows of the range: mostly the matching ones are not rare. `complete` says whether that was all."""
    most = 2 * (offset + limit) * plan.size // plan.total + 16
    if most > PROBE:
        return [], False
    statement, value = rows_sql(plan.scope, f"probe_{direction}")
    rows = yield Fetch(statement, (value, *low, *high, limit, offset, plan.cells, most))
    if len(rows) == limit:
        return rows, True
    statement, value = rows_sql(plan.scope, "probed")
    seen = yield Fetch(statement, (value, *low, *high, most))
    return rows, seen[0][0] < most


def _pick(plan: Plan, skip: int, limit: int, newest_first: bool) -> Program[list[Row]]:
    """The rows of a rare filter: list the blocks that hold any, and read those that the page needs in one statement."""
    counters = encode_json(plan.counters).decode()
    rows = yield Fetch(SQL["tally.of_counters"], (plan.scope, 0, *FIRST, *END, counters))
    blocks: dict[Key, int] = {}
    for at, rid, _, count in rows:
        blocks[at, rid] = blocks.get((at, rid), 0) + count
    needed: list[Key] = []
    held = 0
    for low in sorted(blocks, reverse=newest_first):
        if not needed and skip >= blocks[low]:
            skip -= blocks[low]
            continue
        needed.append(low)
        held += blocks[low]
        if held >= skip + limit:
            break
    bounds = yield from _bounds(plan.scope, sorted(needed))
    return (yield from _picked(plan, bounds, skip, limit, newest_first))


def _bounds(scope: int, lows: Sequence[Key]) -> Program[list[tuple[int, int, int, int]]]:
    """The ranges of these blocks: each reaches to the next block."""
    listed = encode_json([[at, rid] for at, rid in lows]).decode()
    rows = yield Fetch(SQL["tally.ends"], (scope, listed))
    ends = {(at, rid): (end_at, end_rid) for at, rid, end_at, end_rid in rows if end_at is not None}
    return [(*low, *ends.get(low, END)) for low in lows]


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


def _collect(plan: Plan, walk: _Walk, limit: int, newest_first: bool) -> Program[list[Row]]:
    """The page from the blocks that the walk comes to, in one statement."""
    needed: list[tuple[int, int, int, int]] = []
    held = first_skip = 0
    while True:
        block = yield from walk.next()
        if block is None:
            break
        node, skip = block
        if plan.cells is None:
            # Without a filter the page goes on past the block by itself.
            bounds = (*FIRST, *node.high) if newest_first else (*node.low, *END)
            statement, value = rows_sql(plan.scope, "newest" if newest_first else "oldest")
            return (yield Fetch(statement, (value, *bounds, limit, skip)))
        first_skip = first_skip if needed else skip
        needed.append((*node.low, *node.high))
        held += node.matching
        if held >= first_skip + limit:
            break
    return (yield from _picked(plan, needed, first_skip, limit, newest_first))


def _picked(
    plan: Plan, bounds: list[tuple[int, int, int, int]], skip: int, limit: int, newest_first: bool
) -> Program[list[Row]]:
    if not bounds:
        return []
    statement, value = rows_sql(plan.scope, "picked_newest" if newest_first else "picked_oldest")
    return (yield Fetch(statement, (value, encode_json(bounds).decode(), plan.cells, limit, skip)))


def bounds_of(query: Filter) -> tuple[Key, Key]:
    low = FIRST if query.created_from_us is None else (query.created_from_us, 0)
    high = END if query.created_to_us is None else (query.created_to_us, 0)
    return low, high

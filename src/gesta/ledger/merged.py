"""Pages over several run groups at once: exact, at any depth, at a cost that depends on how many groups there are and
not on how many runs. All programs run in one snapshot.

Near an end a page is merged from the ends of the groups. Elsewhere the nodes of all their trees are laid over each
other: what their counters leave open of where the page lies is a few blocks of each group, which are read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

from gesta.kernel.json import encode_json
from gesta.ledger.codes import EVERY, STATUS_CODE, every_of_status, filter_cells
from gesta.ledger.query import Filter
from gesta.ledger.statements import SQL
from gesta.ledger.tree import END, FIRST, TOP, Key
from gesta.storage.program import Fetch, Program, Row

# A page this near to an end is merged from the ends of the groups, if so many keys suffice.
NEAR = 600
NEAR_KEYS = 4096
# Of each group twice its share of the keys is read, rounded up to one of these numbers, in one statement for each.
HEADROOM = 2
PORTIONS = (8, 32, 128, 512, 2048)


class Plan(NamedTuple):
    """What a filter comes to in several groups, of `sizes` runs: `total` of them match. `tops` are the highest levels
    of the groups' trees."""

    tops: dict[int, int]
    sizes: dict[int, int]
    cells: frozenset[int]
    counters: list[int]
    total: int


class Node(NamedTuple):
    """A node of one tree: its runs are those of keys in [low, high), of which `matching` match."""

    scope: int
    level: int
    low: Key
    high: Key
    matching: int


def plan(query: Filter, scopes: Sequence[int]) -> Program[Plan]:
    cells = filter_cells(query)
    if query.sources or query.modes:
        counters = sorted(cells)
    elif query.statuses:
        counters = sorted(every_of_status(STATUS_CODE[status]) for status in query.statuses)
    else:
        counters = [EVERY]
    asked = encode_json(sorted({*counters, EVERY, TOP})).decode()
    rows = yield Fetch(SQL["tally.roots"], (encode_json(scopes).decode(), asked))
    tops = dict.fromkeys(scopes, 0)
    sizes = dict.fromkeys(scopes, 0)
    total = 0
    wanted = set(counters)
    for scope, counter, count in rows:
        if counter == TOP:
            tops[scope] = count
        if counter == EVERY:
            sizes[scope] = count
        if counter in wanted:
            total += count
    return Plan(tops, sizes, cells, counters, total)


def ranks(plan: Plan, keys: Sequence[Key]) -> Program[list[int]]:
    """How many matching runs have a key lower than each of these."""
    passed = [plan.total if key >= END else 0 for key in keys]
    inner = [place for place, key in enumerate(keys) if FIRST < key < END]
    if plan.total == 0 or not inner:
        return passed
    counters = encode_json(plan.counters).decode()
    # The nodes that contain each key, from the tops of the trees down.
    nodes = [(place, scope, top, FIRST) for place in inner for scope, top in plan.tops.items()]
    blocks: list[list[tuple[int, int, int]]] = [[] for _ in keys]
    while nodes:
        asked = encode_json([(scope, level, *low, *keys[place]) for place, scope, level, low in nodes]).decode()
        lower = []
        for which, at, rid, count in (yield Fetch(SQL["tally.passed"], (asked, counters))):
            place, scope, level, _ = nodes[which]
            passed[place] += count or 0
            if level:
                lower.append((place, scope, level - 1, (at, rid)))
            else:
                blocks[place].append((scope, at, rid))
        nodes = lower
    for place in inner:
        ranges = [(*block, *keys[place]) for block in blocks[place]]
        listed = encode_json(ranges).decode()
        if plan.total == sum(plan.sizes.values()):
            rows = yield Fetch(SQL["merged.count_all"], (listed,))
        else:
            rows = yield Fetch(SQL["merged.count"], (listed, _listed(plan)))
        passed[place] += rows[0][0]
    return passed


def rows(
    plan: Plan, low: Key, high: Key, *, offset: int, limit: int, newest_first: bool, total: bool
) -> Program[tuple[list[Row], int | None]]:
    """Up to `limit` matching runs of a key range, after `offset` of them from the chosen end, and, if asked for, how
    many of the range match."""
    if plan.total == 0 or limit < 0:
        return [], 0 if total else None
    if not total:
        near = yield from _near(plan, low, high, offset, limit, newest_first)
        if near is not None:
            return (yield from _read(near, newest_first)), None
    below, upto = yield from ranks(plan, (low, high))
    counted = max(0, upto - below)
    limit = min(limit, counted - offset)
    if limit <= 0:
        return [], counted
    from_oldest = counted - offset - limit if newest_first else offset
    from_newest = counted - from_oldest - limit
    from_end = min(from_oldest, from_newest)
    keys = yield from _near(plan, low, high, from_end, limit, from_newest <= from_oldest)
    if keys is None:
        keys = yield from _window(plan, below + from_oldest, limit)
    return (yield from _read(keys, newest_first)), counted


def _listed(plan: Plan) -> str:
    return encode_json(sorted(plan.cells)).decode()


def _read(keys: Sequence[Key], newest_first: bool) -> Program[list[Row]]:
    if not keys:
        return []
    found = yield Fetch(SQL["execution.listed"], (encode_json([rid for _, rid in keys]).decode(),))
    return found if newest_first else found[::-1]


def _near(plan: Plan, low: Key, high: Key, offset: int, limit: int, newest: bool) -> Program[list[Key] | None]:
    """`limit` keys after `offset` from an end of a range, from the ends of the groups; None where these do not reach
    as far. Fewer keys are all there are."""
    wanted = offset + limit
    if wanted > NEAR:
        return None
    portions: dict[int, list[int]] = {}
    asked: dict[int, int] = {}
    for scope, size in plan.sizes.items():
        share = HEADROOM * wanted * size // plan.total + 1
        asked[scope] = next((each for each in PORTIONS if each >= share), share)
        portions.setdefault(asked[scope], []).append(scope)
    if sum(asked.values()) > NEAR_KEYS:
        return None
    statement = SQL["merged.newest" if newest else "merged.oldest"]
    keys: list[Key] = []
    read: dict[int, tuple[int, Key]] = {}
    for each, scopes in portions.items():
        found = yield Fetch(statement, (encode_json(scopes).decode(), *low, *high, each))
        for scope, at, rid, cell in found:
            count, _ = read.get(scope, (0, FIRST))
            read[scope] = count + 1, (at, rid)
            if cell in plan.cells:
                keys.append((at, rid))
    keys.sort(reverse=newest)
    # Behind the key at which the reading of some group stopped, that group may have more.
    stops = [key for scope, (count, key) in read.items() if count == asked[scope]]
    if stops:
        horizon = max(stops) if newest else min(stops)
        within = sum(key >= horizon if newest else key <= horizon for key in keys)
        if within < wanted:
            return None
    return keys[offset:wanted]


def _window(plan: Plan, first: int, count: int) -> Program[list[Key]]:
    """The keys at the ranks `first` to `first + count` among all matching runs, oldest first; all these ranks exist."""
    nodes = yield from _below(plan, [Node(scope, top + 1, FIRST, END, 0) for scope, top in plan.tops.items()])
    passed = 0
    while True:
        low, high = _bounds(nodes, first - passed, first + count - passed)
        passed += sum(node.matching for node in nodes if node.high <= low)
        inside = [node for node in nodes if node.matching and node.low < high and node.high > low]
        inner = [node for node in inside if node.level]
        if not inner:
            break
        nodes = [node for node in inside if not node.level] + (yield from _below(plan, inner))
    ranges = sorted((node.scope, *node.low, *min(node.high, high)) for node in inside)
    keys = yield Fetch(SQL["merged.keys"], (encode_json(ranges).decode(), _listed(plan), count, first - passed))
    return [(at, rid) for at, rid in keys]


def _bounds(nodes: list[Node], first: int, end: int) -> tuple[Key, Key]:
    """Keys between which the ranks from `first` to `end` lie for certain, counted from the lowest of these nodes."""
    low, high = FIRST, END
    passed = 0
    for node in sorted(nodes, key=attrgetter("low")):
        passed += node.matching
        if passed > first:
            low = node.low
            break
    passed = 0
    for node in sorted(nodes, key=attrgetter("high")):
        passed += node.matching
        if passed >= end:
            high = node.high
            break
    return low, high


def _below(plan: Plan, parents: Sequence[Node]) -> Program[list[Node]]:
    """The children of these nodes that begin below the nodes' ends, of each tree in order."""
    ranges = encode_json([(node.scope, node.level - 1, *node.low, *node.high) for node in parents]).decode()
    counters = encode_json(sorted({*plan.counters, EVERY})).decode()
    wanted = set(plan.counters)
    matching: dict[tuple[int, Key], int] = {}
    for scope, at, rid, counter, count in (yield Fetch(SQL["tally.many"], (ranges, counters))):
        place = scope, (at, rid)
        matching[place] = matching.get(place, 0) + (count if counter in wanted else 0)
    places = sorted(matching)
    found: list[Node] = []
    for node in sorted(parents):
        start = bisect_left(places, (node.scope, node.low))
        stop = bisect_left(places, (node.scope, node.high))
        lows = [low for _, low in places[start:stop]]
        found += [
            Node(node.scope, node.level - 1, one, other, matching[node.scope, one])
            for one, other in zip(lows, [*lows[1:], node.high], strict=True)
        ]
    return found

"""The counter tree: exact totals and pages at any depth, for rows that may arrive late.

The rows of a scope, in order of their key (event time, row id), are cut into blocks of about 128. Level 0 of `tallies`
counts each block's rows: one counter for every row, one per kind, one per status, one per cell (kind, status, source,
mode). Nodes of level 1 count up to 128 neighbouring blocks, and so on, until a level has at most 128 nodes. A node is
named by its lowest key and reaches to the next one's; the lowest of a level reaches down without end. Level 99 is the
root: the scope's totals, and under `TOP` the number of levels.

Rows mostly come in order, so the newest node of each level is kept beside the tree (`Tail`): such a row costs no
look-up. A late row is counted in the block whose range contains it; a block is cut when it has doubled, its neighbours
stay as they are. Everything happens in the transaction that changes the row, under the organization's lock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gesta.kernel.json import encode_json
from gesta.ledger.codes import counted_as
from gesta.ledger.statements import SQL, rows_sql
from gesta.storage.program import Fetch, Many, Program

BLOCK = 128
FANOUT = 64
ROOT = 99
TOP = -9

Key = tuple[int, int]
FIRST: Key = (-(1 << 62), 0)
END: Key = (1 << 62, 0)

# (level, counter, lowest key) → how much is added
Deltas = Counter[tuple[int, int, Key]]


class Level(msgspec.Struct, array_like=True):
    """The newest node of a level: its lowest key, and how many children (at level 0: rows) it has."""

    at: int
    rid: int
    count: int

    @property
    def low(self) -> Key:
        return self.at, self.rid


class Tail(msgspec.Struct, array_like=True):
    """The newest node of each level, the block first and the root (which is not stored as a node) last."""

    newest: Key
    levels: list[Level]

    @property
    def top(self) -> int:
        """The highest level that has nodes."""
        return len(self.levels) - 2


# What the tree knows of a row: event time, row id, cell
Entry = tuple[int, int, int]
# A row's key, the cell that it was counted under and the one that it is to be counted under.
Move = tuple[Key, int, int]


_tail_decoder = msgspec.json.Decoder(Tail)


def _tails(scopes: Iterable[int]) -> Program[dict[int, Tail]]:
    """The tails of these scopes; a new scope starts with one empty block."""
    wanted = list(scopes)
    rows = yield Fetch(SQL["scope.paths"], (encode_json(wanted).decode(),))
    found = {scope: _tail_decoder.decode(path) for scope, path in rows}
    for scope in wanted:
        if scope not in found:
            found[scope] = Tail(FIRST, [Level(*FIRST, 0), Level(*FIRST, 1)])
    return found


def add(entries: Mapping[int, Sequence[Entry]]) -> Program[None]:
    """Count new rows, which are already in the table, in each of these scopes. Entries in order of key."""
    scopes = sorted(entries)
    found = yield from _tails(scopes)
    deltas: dict[int, Deltas] = {}
    swollen: dict[int, list[tuple[Key, int]]] = {}
    for scope in scopes:
        deltas[scope], swollen[scope] = yield from _taken(scope, found[scope], entries[scope])
    yield _put(deltas)
    for scope in scopes:
        for low, count in swollen[scope]:
            yield from _cut_block(scope, found[scope], low, count)
        if swollen[scope]:
            yield from _find_tail(scope, found[scope])
        yield from _grow(scope, found[scope])
    yield Many(SQL["scope.put"], [(scope, encode_json(found[scope]).decode()) for scope in scopes])


def _taken(scope: int, tail: Tail, entries: Sequence[Entry]) -> Program[tuple[Deltas, list[tuple[Key, int]]]]:
    """What these rows add to the counters, and the blocks that become too large."""
    deltas: Deltas = Counter()
    boundary = tail.levels[0].low
    first = bisect_left(entries, boundary, key=lambda entry: entry[:2])
    late = entries[:first]
    _append(tail, entries[first:], deltas)
    swollen = yield from _insert(scope, tail, late, deltas)
    if tail.levels[0].count > 2 * BLOCK:
        swollen.append((tail.levels[0].low, tail.levels[0].count))
    return deltas, swollen


def move(moves: Mapping[int, Sequence[Move]]) -> Program[None]:
    """Count rows under other cells of the same kind, in each of these scopes. Moves in order of key."""
    scopes = sorted(moves)
    found = yield from _tails(scopes)
    deltas: dict[int, Deltas] = {}
    left_behind: list[tuple[int, int, int, int, int]] = []
    for scope in scopes:
        deltas[scope], left = yield from _moved(scope, found[scope], moves[scope])
        left_behind += [(scope, level, counter, *low) for level, counter, low in sorted(left)]
    if left_behind:
        yield _put(deltas)
        yield Many(SQL["tally.drop_empty"], left_behind)


def _moved(scope: int, tail: Tail, moves: Sequence[Move]) -> Program[tuple[Deltas, set[tuple[int, int, Key]]]]:
    """What these moves add to the counters, and the counters that may come to nothing."""
    deltas: Deltas = Counter()
    left_behind: set[tuple[int, int, Key]] = set()
    keys = [key for key, before, after in moves if before != after]
    if not keys:
        return deltas, left_behind
    pairs = [(before, after) for _, before, after in moves if before != after]
    counters = {pair: (set(counted_as(pair[0])), set(counted_as(pair[1]))) for pair in set(pairs)}
    changes = [(counters[pair][0] - counters[pair][1], counters[pair][1] - counters[pair][0]) for pair in pairs]
    for level in (*range(tail.top + 1), ROOT):
        lows = [FIRST] * len(keys) if level == ROOT else (yield from _lows(scope, tail, level, keys))
        for low, (left, entered) in zip(lows, changes, strict=True):
            for counter in left:
                deltas[level, counter, low] -= 1
                left_behind.add((level, counter, low))
            for counter in entered:
                deltas[level, counter, low] += 1
    return deltas, left_behind


def _lows(scope: int, tail: Tail, level: int, keys: Sequence[Key]) -> Program[list[Key]]:
    """The nodes that contain these keys, which come in order."""
    newest = tail.levels[level].low
    first = bisect_left(keys, newest)
    if first == 1:
        rows = yield Fetch(SQL["tally.node_at"], (scope, level, *keys[0]))
        older = [(rows[0][0], rows[0][1])]
    else:
        older = [low for low, _ in (yield from _locate(scope, level, keys[:first]))]
    return older + [newest] * (len(keys) - first)


def _put(deltas: Mapping[int, Deltas]) -> Many:
    # In one order everywhere: two writers that touch the same counters must not wait for each other crosswise.
    ordered = [
        (scope, level, counter, *low, count)
        for scope in sorted(deltas)
        for (level, counter, low), count in sorted(deltas[scope].items())
    ]
    return Many(SQL["tally.add"], ordered)


def _append(tail: Tail, entries: Sequence[Entry], deltas: Deltas) -> None:
    """Rows at or above the newest block's lowest key. A full block is closed only by a row newer than all others:
    a row that is a little late would else leave newer ones behind in the old block."""
    levels = tail.levels
    block = levels[0]
    newest = tail.newest
    cells: Counter[int] = Counter()
    for at, rid, cell in entries:
        key = (at, rid)
        if key > newest:
            newest = key
            if block.count >= BLOCK:
                _spread(tail, cells, deltas)
                cells.clear()
                _open(levels, 0, key)
                block = levels[0]
        block.count += 1
        cells[cell] += 1
    _spread(tail, cells, deltas)
    tail.newest = newest


def _spread(tail: Tail, cells: Counter[int], deltas: Deltas) -> None:
    lows = [(level, tail.levels[level].low) for level in range(tail.top + 1)]
    lows.append((ROOT, FIRST))
    for cell, count in cells.items():
        for counter in counted_as(cell):
            for level, low in lows:
                deltas[level, counter, low] += count


def _open(levels: list[Level], level: int, key: Key) -> None:
    """Start a new newest node; its parent may be full too. The root is never full here (`_grow`)."""
    levels[level] = Level(*key, 0)
    parent = levels[level + 1]
    if level + 2 < len(levels) and parent.count >= FANOUT:
        _open(levels, level + 1, key)
        parent = levels[level + 1]
    parent.count += 1


def _insert(scope: int, tail: Tail, late: Sequence[Entry], deltas: Deltas) -> Program[list[tuple[Key, int]]]:
    """Count late rows where they belong. Returns the blocks that have doubled, with their row counts."""
    if not late:
        return []
    placed = yield from _locate(scope, 0, [(at, rid) for at, rid, _ in late])
    blocks: dict[Key, Counter[int]] = {}
    rows_of: dict[Key, int] = {}
    for (_, _, cell), (low, rows) in zip(late, placed, strict=True):
        blocks.setdefault(low, Counter())[cell] += 1
        rows_of[low] = rows
    for level in range(tail.top + 1):
        nodes = placed_at = list(blocks)
        if level > 0:
            located = yield from _locate(scope, level, placed_at)
            nodes = [low for low, _ in located]
        for low, node in zip(placed_at, nodes, strict=True):
            _count(deltas, level, node, blocks[low])
    for cells in blocks.values():
        _count(deltas, ROOT, FIRST, cells)
    grown = ((low, rows_of[low] + cells.total()) for low, cells in blocks.items())
    return [(low, count) for low, count in grown if count > 2 * BLOCK]


def _count(deltas: Deltas, level: int, low: Key, cells: Counter[int]) -> None:
    for cell, count in cells.items():
        for counter in counted_as(cell):
            deltas[level, counter, low] += count


def _locate(scope: int, level: int, keys: Sequence[Key]) -> Program[list[tuple[Key, int]]]:
    """For each key, in order, the node that contains it and that node's rows. Neighbours are read ahead: late rows
    mostly come in runs."""
    found: list[tuple[Key, int]] = []
    ahead: list[tuple[Key, int]] = []
    for key in keys:
        while len(ahead) > 1 and ahead[1][0] <= key:
            ahead.pop(0)
        # With one node left its end is unknown, so the key may lie beyond it.
        if len(ahead) < 2:
            rows = yield Fetch(SQL["tally.node_at"], (scope, level, *key))
            low = (rows[0][0], rows[0][1])
            rows = yield Fetch(SQL["tally.nodes"], (scope, level, *low, *END, 32))
            ahead = [((at, rid), count) for at, rid, count in rows]
            if len(ahead) < 32:
                ahead.append((END, 0))
        found.append(ahead[0])
    return found


def _nodes(scope: int, level: int, low: Key, high: Key) -> Program[list[Key]]:
    rows = yield Fetch(SQL["tally.nodes"], (scope, level, *low, *high, 1 << 40))
    return [(at, rid) for at, rid, _ in rows]


def _end_of(scope: int, level: int, low: Key) -> Program[Key]:
    rows = yield Fetch(SQL["tally.nodes"], (scope, level, *low, *END, 2))
    return (rows[1][0], rows[1][1]) if len(rows) == 2 else END


def _cut_block(scope: int, tail: Tail, low: Key, count: int) -> Program[None]:
    """Cut a block that has doubled into pieces of at most one block, recounting them from the table."""
    high = yield from _end_of(scope, 0, low)
    pieces = -(-count // BLOCK)
    cuts = [low]
    for piece in range(1, pieces):
        statement, value = rows_sql(scope, "key_at")
        rows = yield Fetch(statement, (value, *low, *high, piece * count // pieces))
        cuts.append((rows[0][0], rows[0][1]))
    sums: dict[Key, Counter[int]] = {}
    for start, end in zip(cuts, [*cuts[1:], high], strict=True):
        statement, value = rows_sql(scope, "cells")
        rows = yield Fetch(statement, (value, *start, *end))
        counters = sums[start] = Counter()
        for cell, rows_of_cell in rows:
            for counter in counted_as(cell):
                counters[counter] += rows_of_cell
    yield from _replace(scope, 0, low, sums)
    yield from _cut_parent(scope, tail, 1, low)


def _cut_parent(scope: int, tail: Tail, level: int, child: Key) -> Program[None]:
    """Cut the node above a cut child if it has twice its fanout. Above the top is the root, which `_grow` cuts."""
    if level > tail.top:
        return
    rows = yield Fetch(SQL["tally.node_at"], (scope, level, *child))
    low = (rows[0][0], rows[0][1])
    high = yield from _end_of(scope, level, low)
    children = yield from _nodes(scope, level - 1, low, high)
    if len(children) <= 2 * FANOUT:
        return
    sums = yield from _sum_up(scope, level, children, high)
    yield from _replace(scope, level, low, sums)
    yield from _cut_parent(scope, tail, level + 1, low)


def _sum_up(scope: int, level: int, children: Sequence[Key], high: Key) -> Program[dict[Key, Counter[int]]]:
    """Nodes of `level` over `children` (of the level below), FANOUT each, with their counters."""
    lows = children[::FANOUT]
    sums: dict[Key, Counter[int]] = {}
    for start, end in zip(lows, [*lows[1:], high], strict=True):
        rows = yield Fetch(SQL["tally.sums"], (scope, level - 1, *start, *end))
        sums[start] = Counter({row[0]: row[1] for row in rows})
    return sums


def _replace(scope: int, level: int, low: Key, sums: dict[Key, Counter[int]]) -> Program[None]:
    """Put new nodes in the place of the one at `low`, whose range they share."""
    root = yield Fetch(SQL["tally.root"], (scope,))
    counters = encode_json([counter for counter, _ in root]).decode()
    yield Fetch(SQL["tally.drop_node"], (scope, level, *low, counters))
    deltas: Deltas = Counter()
    for start, cells in sums.items():
        for counter, count in cells.items():
            deltas[level, counter, start] += count
    yield _put({scope: deltas})


def _find_tail(scope: int, tail: Tail) -> Program[None]:
    """Read the newest node of each level anew, after cuts."""
    low = FIRST
    for level in range(tail.top, -1, -1):
        nodes = yield from _nodes(scope, level, low, END)
        tail.levels[level + 1].count = len(nodes)
        low = nodes[-1]
        tail.levels[level] = Level(*low, 0)
    rows = yield Fetch(SQL["tally.node_at"], (scope, 0, *END))
    tail.levels[0].count = rows[0][2]


def _grow(scope: int, tail: Tail) -> Program[None]:
    """Put a level under the root when the top level has twice its fanout."""
    while tail.levels[-1].count > 2 * FANOUT:
        level = tail.top + 1
        children = yield from _nodes(scope, level - 1, FIRST, END)
        sums = yield from _sum_up(scope, level, children, END)
        deltas: Deltas = Counter({(ROOT, TOP, FIRST): 1})
        for low, counters in sums.items():
            for counter, count in counters.items():
                deltas[level, counter, low] += count
        yield _put({scope: deltas})
        newest = max(sums)
        tail.levels[-1] = Level(*newest, len(children) - (len(sums) - 1) * FANOUT)
        tail.levels.append(Level(*FIRST, len(sums)))

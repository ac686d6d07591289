"""The recount: everything that is kept beside the rows, compared with the rows, in one snapshot, online."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal

import msgspec

from gesta.ledger import daily, groups, run_groups
from gesta.ledger.codes import EVERY, REFERENCE_CODE, counted_as, kind_of
from gesta.ledger.records import Execution, ExecutorDetail, RunDetail
from gesta.ledger.rows import ROW_COLUMNS, SEQ_BITS, SEQ_MASK, execution_of
from gesta.ledger.statements import GROUP_COLUMNS
from gesta.ledger.tree import END, FIRST, ROOT, TOP, Key
from gesta.storage.program import Database, Fetch, Program, Statement, postgres_text, sqlite_text

CHUNK = 2000
MOST_FAULTS = 100
_SUM_MASK = (1 << 64) - 1


class Report(msgspec.Struct, kw_only=True):
    """What was compared, and what differs: sentences, at most MOST_FAULTS of them."""

    organizations: int = 0
    executions: int = 0
    events: int = 0
    counters: int = 0
    days: int = 0
    groups: int = 0
    references: int = 0
    faults: list[str] = []

    def fault(self, text: str) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(text)


async def verify(database: Database, progress: Callable[[int], None] = lambda _: None) -> Report:
    """Recount every total, sum and feed position. `progress(executions read so far)`."""
    return await database.read(lambda: _verify(progress), unbounded=True)


def _statement(text: str) -> Statement:
    return Statement("verify", sqlite_text(text), postgres_text(text))


_STREAMS = _statement("SELECT organization, seq FROM streams ORDER BY organization")
# The feed is the births, which are the rows themselves, and the events: positions 1 to n, each once.
_FEED = _statement(
    "SELECT count(*), count(DISTINCT eid), min(eid), max(eid) FROM ("
    " SELECT eid FROM events WHERE eid > $1 AND eid <= $2"
    " UNION ALL SELECT rid FROM executions WHERE rid > $1 AND rid <= $2) feed"
)
_ORPHANS = _statement(
    "SELECT count(*) FROM events e WHERE eid > $1 AND eid <= $2"
    " AND NOT EXISTS (SELECT 1 FROM executions x WHERE x.rid = e.rid)"
)
_ROWS = _statement(
    f"SELECT {ROW_COLUMNS}, executor_group, run_group FROM executions"  # noqa: S608
    " WHERE organization = $1 AND (created_at, rid) > ($2, $3) ORDER BY created_at, rid LIMIT $4"
)
_RUN_GROUPS = _statement("SELECT id, account, workflow_id, application, search FROM run_groups WHERE organization = $1")
_REFS = _statement(
    "SELECT key, value, created_at, rid FROM refs"
    " WHERE organization = $1 AND (key, value, created_at, rid) > ($2, $3, $4, $5)"
    " ORDER BY key, value, created_at, rid LIMIT $6"
)
_TALLIES = _statement("SELECT scope, level, cell, lo_at, lo_rid, n FROM tallies WHERE scope = $1")
_SCOPES = _statement("SELECT scope FROM scopes ORDER BY scope")
_DAYS = _statement(
    "SELECT day, account, cell, currency, n, quantity, volume, fees, pnl FROM days WHERE organization = $1"
)


_GROUPS = _statement(f"SELECT {GROUP_COLUMNS} FROM executor_groups g WHERE organization = $1")  # noqa: S608


def _verify(progress: Callable[[int], None]) -> Program[Report]:
    report = Report(faults=[])
    rows = yield Fetch(_SCOPES)
    unseen = {scope for (scope,) in rows}
    streams = yield Fetch(_STREAMS)
    for organization, seq in streams:
        report.organizations += 1
        yield from _check_feed(report, organization, seq)
        counted = _Counted()
        yield from _recount(report, organization, counted, progress)
        for scope, entries in counted.scopes.items():
            unseen.discard(scope)
            yield from _check_tree(report, scope, entries)
        yield from _check_days(report, organization, counted.days)
        yield from _check_groups(report, organization, counted)
        yield from _check_run_groups(report, organization, counted)
        yield from _check_references(report, organization, counted.references)
    for scope in sorted(unseen):
        report.fault(f"scope {scope} has counters but no rows")
    return report


class _References:
    """How many references there are and a sum over them that does not depend on their order: two orders of the same
    set are compared without holding it."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0

    def add(self, key: int, value: str, created_at: int, rid: int) -> None:
        self.count += 1
        self.sum = (self.sum + hash((key, value, created_at, rid))) & _SUM_MASK

    def add_those_of(self, rid: int, execution: Execution) -> None:
        for name, value in execution.correlation.items():
            self.add(REFERENCE_CODE[name], value, execution.created_at_us, rid)
        if execution.parent_id is not None:
            self.add(REFERENCE_CODE["parent_id"], execution.parent_id, execution.created_at_us, rid)


class _Counted:
    def __init__(self) -> None:
        self.references = _References()
        self.scopes: dict[int, list[tuple[Key, int]]] = {}
        self.days: dict[daily.DayKey, daily.Sums] = {}
        self.groups: groups.Changes = {}
        # Which group the rows of each combination name.
        self.named: dict[groups.Facets | None, set[int | None]] = {}
        # Of what words the runs of each run group are; None is for what is no run.
        self.runs: dict[int | None, set[run_groups.Facets | None]] = {}

    def add_group(self, execution: Execution, named: int | None) -> None:
        facets = None
        if isinstance(execution.detail, ExecutorDetail):
            facets = groups.facets_of(execution.account, execution.status, execution.correlation, execution.detail)
            groups.collect(self.groups, facets, execution.detail)
        self.named.setdefault(facets, set()).add(named)


def _check_feed(report: Report, organization: int, seq: int) -> Program[None]:
    first = organization << SEQ_BITS
    rows = yield Fetch(_FEED, (first, first | SEQ_MASK))
    count, distinct, low, high = rows[0]
    report.events += count
    if not count == distinct == seq or (count and (low != first + 1 or high != first + seq)):
        report.fault(f"organization {organization}: the feed stands at {seq} but has {distinct} positions")
    rows = yield Fetch(_ORPHANS, (first, first | SEQ_MASK))
    if rows[0][0]:
        report.fault(f"organization {organization}: {rows[0][0]} events belong to no execution")


def _recount(report: Report, organization: int, counted: _Counted, progress: Callable[[int], None]) -> Program[None]:
    last = FIRST
    while True:
        rows = yield Fetch(_ROWS, (organization, *last, CHUNK))
        if not rows:
            return
        for row in rows:
            last = key = (row[9], row[0])
            try:
                execution = execution_of(row[:-2])
            except (ValueError, LookupError, msgspec.MsgspecError) as error:
                report.fault(f"execution {row[4]} cannot be read: {type(error).__name__}: {error}")
                continue
            cell = row[3]
            if kind_of(cell) is not execution.kind:
                report.fault(f"execution {execution.id}: its cell is not that of a {execution.kind}")
            run_group = row[-1]
            words = run_groups.facets_of(execution) if isinstance(execution.detail, RunDetail) else None
            counted.runs.setdefault(run_group, set()).add(words)
            scopes = (-organization, execution.account) + (() if run_group is None else (run_group,))
            for scope in scopes:
                counted.scopes.setdefault(scope, []).append((key, cell))
            counted.references.add_those_of(row[0], execution)
            counted.add_group(execution, row[-2])
            daily.collect(counted.days, execution.account, cell, execution.created_at_us, execution.detail)
        report.executions += len(rows)
        progress(report.executions)


def _check_tree(report: Report, scope: int, entries: list[tuple[Key, int]]) -> Program[None]:
    """Every counter of every level, against the rows in order."""
    rows = yield Fetch(_TALLIES, (scope,))
    stored: dict[int, dict[Key, dict[int, int]]] = {}
    for _, level, cell, at, rid, count in rows:
        stored.setdefault(level, {}).setdefault((at, rid), {})[cell] = count
    report.counters += len(rows)
    top = stored.get(ROOT, {}).get(FIRST, {}).pop(TOP, 0)
    if sorted(stored) != [*range(top + 1), ROOT]:
        report.fault(f"scope {scope}: the root names {top + 1} levels, the tree has {sorted(stored)}")
    for level, nodes in stored.items():
        for low, cells in _expected(sorted(nodes), entries):
            if {cell: count for cell, count in nodes[low].items() if count or cell == EVERY} != dict(cells):
                report.fault(f"scope {scope}, level {level}, node {low}: counts {nodes[low]}, rows {dict(cells)}")


def _expected(lows: list[Key], entries: list[tuple[Key, int]]) -> Iterator[tuple[Key, Counter[int]]]:
    place = 0
    for low, high in zip(lows, [*lows[1:], END], strict=True):
        cells: Counter[int] = Counter({EVERY: 0})
        while place < len(entries) and entries[place][0] < high:
            for counter in counted_as(entries[place][1]):
                cells[counter] += 1
            place += 1
        yield low, cells


def _check_days(report: Report, organization: int, counted: dict[daily.DayKey, daily.Sums]) -> Program[None]:
    rows = yield Fetch(_DAYS, (organization,))
    report.days += len(rows)
    stored = {tuple(row[:4]): daily.Sums(row[4], *map(Decimal, row[5:])) for row in rows}
    for key in sorted(stored.keys() | counted.keys()):
        if stored.get(key) != counted.get(key):
            report.fault(f"organization {organization}, day {key}: stored {stored.get(key)}, rows {counted.get(key)}")


def _check_groups(report: Report, organization: int, counted: _Counted) -> Program[None]:
    """What executors are searched and summed up by: each row names the group of its words, whose sums are right."""
    rows = yield Fetch(_GROUPS, (organization,))
    report.groups += len(rows)
    stored = {groups.Facets(*row[1:8]): (row[0], groups.sums_of(row)) for row in rows}
    if len(stored) != len(rows):
        report.fault(f"organization {organization}: {len(rows) - len(stored)} executor groups are there twice")
    for key in sorted(stored.keys() | counted.groups.keys()):
        id_, sums = stored.get(key, (None, None))
        if sums != counted.groups.get(key):
            report.fault(
                f"organization {organization}, executor group {tuple(key)}: stored {sums}, rows"
                f" {counted.groups.get(key)}"
            )
        if not counted.named.get(key, set()) <= {id_}:
            report.fault(f"organization {organization}, executor group {tuple(key)}: rows name another group")
    if not counted.named.get(None, set()) <= {None}:
        report.fault(f"organization {organization}: what is no executor names an executor group")


def _check_run_groups(report: Report, organization: int, counted: _Counted) -> Program[None]:
    """What runs are listed by: each names the group of its words, or the one of its workflow for any text."""
    rows = yield Fetch(_RUN_GROUPS, (organization,))
    report.groups += len(rows)
    stored = {row[0]: run_groups.Facets(*row[1:]) for row in rows}
    if len(set(stored.values())) != len(stored):
        report.fault(f"organization {organization}: there are run groups twice")
    for id_, words in counted.runs.items():
        group = None if id_ is None else stored.get(id_)
        expected = {each if group is None or group.search is not None else _any_text(each) for each in words}
        if expected != {group}:
            report.fault(f"organization {organization}: runs or others name run group {id_}, which is {group}")


def _any_text(words: run_groups.Facets | None) -> run_groups.Facets | None:
    return None if words is None else words._replace(search=None)


def _check_references(report: Report, organization: int, counted: _References) -> Program[None]:
    """What executions are found by: exactly the correlation ids and parents that their rows name."""
    stored = _References()
    last: tuple[int, str, int, int] = (-1, "", 0, 0)
    while rows := (yield Fetch(_REFS, (organization, *last, CHUNK))):
        for row in rows:
            stored.add(*row)
        last = tuple(rows[-1])
    report.references += stored.count
    if (stored.count, stored.sum) != (counted.count, counted.sum):
        report.fault(
            f"organization {organization}: the {stored.count} references stored are not"
            f" the {counted.count} that the rows name"
        )

"""The recount of runs: each run's row compared with its execution in the ledger, and its waits with its progress."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import msgspec

from gesta.ledger import changing
from gesta.ledger.records import Kind, Status
from gesta.ledger.rows import execution_of
from gesta.storage.program import Database, Fetch, Program
from gesta.workflows.graph.progress import WaitKind
from gesta.workflows.graph.steps import todo
from gesta.workflows.runs.rows import SQL, RunRow, RunState, run_of
from gesta.workflows.runs.telling import STATUS_OF_OUTCOME

CHUNK = 500
MOST_FAULTS = 100

# What the execution may say while the row says this; of one that is over, its outcome decides.
_STATUSES = {
    RunState.UNPAID: {Status.AWAITING_PAYMENT},
    RunState.DUE: {Status.QUEUED, Status.RUNNING, Status.WAITING},
    RunState.PARKED: {Status.WAITING},
}


class Report(msgspec.Struct, kw_only=True):
    """What was compared, and what differs: sentences, at most MOST_FAULTS of them."""

    runs: int = 0
    waits: int = 0
    faults: list[str] = []

    def fault(self, text: str) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(text)


async def verify(database: Database, progress: Callable[[int], None] = lambda _: None) -> Report:
    """In one snapshot, while the server runs. `progress(runs read so far)`."""
    return await database.read(lambda: _verify(progress), unbounded=True)


def _verify(progress: Callable[[int], None]) -> Program[Report]:
    report = Report(faults=[])
    last = (-1, "")
    while rows := (yield Fetch(SQL["run.after"], (*last, CHUNK))):
        first, last = last, (rows[-1][0], rows[-1][1])
        waits: defaultdict[tuple[int, str], dict[str, tuple[str, str, int]]] = defaultdict(dict)
        found = yield Fetch(SQL["wait.between"], (*first, *last))
        for organization, run_id, path, kind, key, account in found:
            waits[organization, run_id][path] = (kind, key, account)
        woken = yield Fetch(SQL["wake.between"], (*first, *last))
        waking = {(organization, run_id) for organization, run_id in woken}
        for row in rows:
            run = run_of(row)
            yield from _check(report, run, waits.get((run.organization, run.id), {}))
            if (run.organization, run.id) in waking and run.state not in _MAY_HAVE_WAKES:
                report.fault(f"run {run.id} is {run.state}, and has what came for it while it was at work")
        report.runs += len(rows)
        report.waits += len(found)
        progress(report.runs)
    orphans = yield Fetch(SQL["wait.orphans"])
    report.faults += [f"run {run_id} is not there, and waits or was woken" for _, run_id in orphans]
    return report


_MAY_HAVE_WAKES = (RunState.RUNNING, RunState.DUE)


def _check(report: Report, run: RunRow, waits: dict[str, tuple[str, str, int]]) -> Program[None]:
    row = yield from changing.find(run.organization, run.id, None)
    if row is None:
        report.fault(f"run {run.id} has no execution")
        return
    execution = execution_of(row)
    outcome = run.progress.outcome
    if execution.kind is not Kind.RUN:
        report.fault(f"run {run.id}: its execution is a {execution.kind}")
    elif execution.status not in _expected(run):
        report.fault(f"run {run.id}: its row is {run.state} ({outcome or 'goes on'}), its execution {execution.status}")
    if (run.state == RunState.OVER) is not run.progress.is_over:
        report.fault(f"run {run.id}: its row is {run.state}, its progress {outcome or 'goes on'}")
    needs = todo(run.progress)
    is_parked = run.state == RunState.PARKED
    expected = {
        path: (wait.kind.value, wait.key, run.account)
        for path, wait in needs.waits.items()
        if is_parked and wait.kind is not WaitKind.TIMER
    }
    if waits != expected:
        report.fault(f"run {run.id}: it is found by the waits {waits}, its progress has {expected}")
    if is_parked and run.wake_at_us != needs.next_us:
        report.fault(f"run {run.id}: it is woken at {run.wake_at_us}, its progress says {needs.next_us}")
    if is_parked and needs.performs:
        report.fault(f"run {run.id} is parked, and has something to perform")


def _expected(run: RunRow) -> set[Status]:
    if run.state == RunState.OVER:
        outcome = run.progress.outcome
        return set() if outcome is None else {STATUS_OF_OUTCOME[outcome]}
    if run.state == RunState.RUNNING:
        return {Status.STOPPING} if run.stop_asked else {Status.RUNNING}
    return _STATUSES.get(run.state, set())

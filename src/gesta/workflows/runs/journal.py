"""What changes a run, each as one transaction: its row, its waits, its execution in the ledger with the events, and the
run that waits for it.

A program may be run again from its start, and has no effect but its statements. Programs of one organization run one
after another, so that what is read here stays true until it is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from gesta.kernel.crash import reach
from gesta.kernel.errors import Conflict
from gesta.ledger import appending, changing
from gesta.ledger.lifecycle import TERMINAL, TRANSITIONS
from gesta.ledger.records import (
    AppendResult,
    Execution,
    Kind,
    NewEvent,
    RunDetail,
    Status,
    Transition,
)
from gesta.ledger.records import (
    Outcome as Recorded,
)
from gesta.ledger.rows import execution_of
from gesta.storage.program import Fetch, Many, Op, Program, Row
from gesta.workflows.graph.plan import Plan
from gesta.workflows.graph.progress import (
    Event,
    Passed,
    Progress,
    StopAsked,
    WaitKind,
    Woken,
)
from gesta.workflows.graph.steps import begin, node_of, step, todo
from gesta.workflows.hooks.telling import Told, tell, told_of
from gesta.workflows.hooks_face import HookEvent
from gesta.workflows.payments import rows as payments
from gesta.workflows.payments.standing import at_end, is_paid
from gesta.workflows.runs.rows import (
    AT_DESK,
    DESK,
    SQL,
    Plans,
    RunRow,
    RunState,
    SegmentId,
    encoder,
    get,
    put_row_of,
    row_of,
)
from gesta.workflows.runs.telling import STATUS_OF_OUTCOME, detail_of, events_between

# What is over when an execution is.
ENDED_KINDS = (WaitKind.EXECUTOR, WaitKind.RUN)
HOOK_OF_STATUS = {
    Status.SUCCEEDED: HookEvent.RUN_SUCCEEDED,
    Status.FAILED: HookEvent.RUN_FAILED,
    Status.CANCELLED: HookEvent.RUN_CANCELLED,
    Status.TIMED_OUT: HookEvent.RUN_TIMED_OUT,
}

_woken_decoder = msgspec.json.Decoder(Woken)


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction did: segments to submit, and those of them that need the trading desk, the feed position that
    it came to, runs that are over or have answered now, the first moment that a parked run waits for, ends that a run
    waits for from now on: (organization, kind, key), and a run that was born, if it is known how it stands."""

    due: tuple[SegmentId, ...] = ()
    at_desk: tuple[SegmentId, ...] = ()
    seq: int = 0
    over: tuple[Execution, ...] = ()
    wake_at_us: int | None = None
    made: Execution | None = None
    awaits: tuple[tuple[int, WaitKind, str], ...] = ()
    is_done: bool = True
    # Whether webhook endpoints are to be sent something.
    is_told: bool = False

    def with_(self, other: Changed) -> Changed:
        return Changed(
            due=(*self.due, *other.due),
            at_desk=(*self.at_desk, *other.at_desk),
            seq=max(self.seq, other.seq),
            over=(*self.over, *other.over),
            wake_at_us=min((at for at in (self.wake_at_us, other.wake_at_us) if at is not None), default=None),
            made=self.made or other.made,
            awaits=(*self.awaits, *other.awaits),
            is_done=self.is_done,
            is_told=self.is_told or other.is_told,
        )


NOTHING = Changed(is_done=False)


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A segment that this process carries out: the run as it is, and its plan. `is_new`: nobody has begun it before."""

    run: RunRow
    plan: Plan
    is_new: bool = False


# -- birth


class Key(msgspec.Struct, frozen=True):
    """What a run is made once for: of a workflow (0: of none), with a request's content, until a moment."""

    workflow: int
    key: str
    content: bytes
    until_us: int | None = None


class Known(Exception):
    """The key has a run already."""

    def __init__(self, run_id: str, content: bytes) -> None:
        super().__init__(run_id)
        self.run_id = run_id
        self.content = content


def born(
    run: RunRow,
    row: appending.Encoded,
    plan: Plan,
    key: Key | None,
    now_us: int,
    *,
    also: Sequence[Op] = (),
) -> Program[tuple[AppendResult, Changed]]:
    """A run's first rows, and with them `also`. `run.state` says whether it awaits its payment, is due, or over
    already: a run that needs nothing performed has come to its end in its first step. Raises Known, and writes nothing,
    for a key that has a run."""
    if key is not None:
        found = yield Fetch(SQL["key.get"], (run.organization, key.workflow, key.key))
        if found and (found[0][2] is None or found[0][2] > now_us):
            raise Known(found[0][0], bytes(found[0][1]))
    (result,) = yield from appending.append(run.organization, [row], now_us)
    if result.outcome is not Recorded.RECORDED or result.id != run.id:
        return result, NOTHING
    reach("workflows.born.ledger")
    owner = run.owner or _owner(run.state, plan, run.progress)
    yield Fetch(SQL["run.add"], row_of(msgspec.structs.replace(run, owner=owner)))
    if key is not None:
        made = (run.organization, key.workflow, key.key, run.id, key.content, key.until_us)
        yield Fetch(SQL["key.put"], made)
    # Not `yield from`: a program is sent the rows of each.
    for statement in also:  # noqa: UP028
        yield statement
    changed = Changed(seq=result.seq)
    if run.state != RunState.UNPAID:
        # One that is this process's own from the first has started with its birth.
        started = (_started(now_us),) if run.state == RunState.RUNNING else ()
        events = (*started, *events_between(plan, None, run.progress))
        if run.state in (RunState.DUE, RunState.RUNNING):
            # Its row says so already.
            changed = changed.with_((yield from _note_birth(run, row, result, events, now_us)))
        else:
            changed = changed.with_((yield from _tell(run, plan, events, now_us)))
        changed = changed.with_((yield from _write_waits(run)))
        if run.state in (RunState.DUE, RunState.RUNNING):
            changed = changed.with_(_submits(run.segment_id, owner))
    reach("workflows.born.rows")
    return result, changed


def _note_birth(
    run: RunRow, row: appending.Encoded, result: AppendResult, events: Sequence[NewEvent], now_us: int
) -> Program[Changed]:
    """What a run's birth led to that changes nothing of its execution."""
    execution = appending.as_recorded(run.organization, row.row, result, now_us)
    execution = yield from changing.note_newest(execution, events, now_us)
    is_told = yield from tell(run, execution, told_of(events), now_us)
    return Changed(seq=execution.seq, is_told=is_told, made=execution)


# -- a segment


def claim(segment: SegmentId, owner: str, plans: Plans, now_us: int) -> Program[Claimed | None]:
    """Take a segment over; None if it is not to be carried out any more. Whoever had it before writes nothing now, and
    what it told of its waves is not told again."""
    run = yield from get(segment.organization, segment.run)
    if run is None or run.segment != segment.number or run.state not in (RunState.DUE, RunState.RUNNING):
        return None
    plan = yield from plans.of(run)
    row = yield from _row(run)
    execution = execution_of(row)
    after = msgspec.structs.replace(run, state=RunState.RUNNING, owner=owner, fence=run.fence + 1, updated_at_us=now_us)
    yield Fetch(SQL["run.put"], put_row_of(after))
    reach("workflows.claim")
    if Status.RUNNING in TRANSITIONS[Kind.RUN][execution.status]:
        word = "run.started" if execution.started_at_us is None else "run.resumed"
        event = NewEvent(type=word, title=word.removeprefix("run.").capitalize(), at_us=now_us)
        asked = changing.Asked(run.id, None, Transition(event=event, status=Status.RUNNING))
        (execution,) = yield from changing.transitions(run.organization, [asked], now_us, rows={run.id: row})
        yield from tell(run, execution, told_of([event]), now_us)
    return Claimed(run=after, plan=plan, is_new=run.state == RunState.DUE)


def advance(claimed: Claimed, wave: int, events: Sequence[NewEvent], after: Progress, now_us: int) -> Program[Changed]:
    """What a segment's waves did up to this one, on the timeline. Nothing for a process that lost the run."""
    mine = yield from _mine(claimed)
    if mine is None:
        return NOTHING
    told = msgspec.structs.replace(mine.run, progress=after)
    yield Fetch(SQL["run.wave"], (told.organization, told.id, wave))
    reach("workflows.advance")
    return (yield from _tell(told, claimed.plan, events, now_us, is_heard=mine.is_heard))


def settle(
    claimed: Claimed, events: Sequence[NewEvent], before: Progress, after: Progress, now_us: int
) -> Program[Changed]:
    """The end of a segment: the run is over, or parked, or goes on at once with what came for it meanwhile. `events`
    are what happened up to `before`, and is not told yet."""
    mine = yield from _mine(claimed)
    if mine is None:
        return NOTHING
    run, progress = mine.run, after
    wakes = (yield Fetch(SQL["wake.all"], (run.organization, run.id))) if mine.has_wakes else []
    for (wake,) in wakes:
        progress = _step(claimed.plan, progress, _woken_decoder.decode(bytes(wake)))
    if run.stop_asked:
        progress = _step(claimed.plan, progress, StopAsked(at_us=now_us))
    if wakes:
        yield Fetch(SQL["wake.clear"], (run.organization, run.id))
    reach("workflows.settle")
    told = (*events, *events_between(claimed.plan, before, progress))
    return (yield from _put(run, claimed.plan, told, progress, now_us, is_heard=mine.is_heard))


class _Mine(NamedTuple):
    """A run as it was claimed, and whether it is to stop now; whether something came for it, and anybody is told."""

    run: RunRow
    has_wakes: bool
    is_heard: bool


def _mine(claimed: Claimed) -> Program[_Mine | None]:
    """None for a process that lost the run."""
    run = claimed.run
    rows = yield Fetch(SQL["run.mine"], (run.organization, run.id))
    if not rows or (rows[0][0], rows[0][1]) != (RunState.RUNNING, run.fence):
        return None
    _, _, stop_asked, has_wakes, is_heard = rows[0]
    return _Mine(msgspec.structs.replace(run, stop_asked=bool(stop_asked)), bool(has_wakes), bool(is_heard))


# -- what comes from outside


def woken(organization: int, run_id: str, event: Woken, plans: Plans, now_us: int) -> Program[Changed]:
    """What a run waited for has come. `is_done` False: it did not wait for it (any more)."""
    run = yield from get(organization, run_id)
    if run is None or run.state not in (RunState.PARKED, RunState.RUNNING, RunState.DUE):
        return NOTHING
    visit = run.progress.runs.get(event.path)
    if run.state == RunState.PARKED:
        plan = yield from plans.of(run)
        after = _worked(plans, plan, run.progress, event)
        if visit is None or after.runs.get(event.path) is visit:
            return NOTHING
        return (yield from _put(run, plan, events_between(plan, run.progress, after), after, now_us))
    if visit is not None and visit.status.is_over:
        return NOTHING
    yield Fetch(SQL["wake.add"], (organization, run_id, encoder.encode(event)))
    reach("workflows.wake")
    return Changed()


def passed(organization: int, run_id: str, plans: Plans, now_us: int) -> Program[Changed]:
    """A moment has come that a parked run waited for."""
    run = yield from get(organization, run_id)
    if run is None or run.state != RunState.PARKED or run.wake_at_us is None or run.wake_at_us > now_us:
        return NOTHING
    plan = yield from plans.of(run)
    after = _worked(plans, plan, run.progress, Passed(at_us=now_us))
    return (yield from _put(run, plan, events_between(plan, run.progress, after), after, now_us))


def asked_to_stop(organization: int, run_id: str, plans: Plans, now_us: int, by: dict[str, Any]) -> Program[Changed]:
    """A stop. What is parked, due or unpaid is over at once; what is being performed is told. Nothing for one that is
    over."""
    run = yield from get(organization, run_id)
    if run is None or run.state == RunState.OVER:
        return NOTHING
    asked = NewEvent(type="run.stop_asked", title="Stop asked", at_us=now_us, data={"by": by} if by else {})
    if run.state == RunState.RUNNING:
        if run.stop_asked:
            return Changed()
        yield Fetch(SQL["run.asked_to_stop"], (organization, run_id, now_us))
        change = Transition(event=asked, status=Status.STOPPING)
        execution = yield from changing.transition(organization, run_id, None, change, now_us)
        reach("workflows.stop")
        return Changed(seq=execution.seq)
    if run.state == RunState.UNPAID:
        yield Fetch(payments.SQL["checkout.abandon"], (organization, run_id, now_us))
    plan = yield from plans.of(run)
    after = _worked(plans, plan, run.progress, StopAsked(at_us=now_us))
    told = (asked, *events_between(plan, run.progress, after))
    return (yield from _put(run, plan, told, after, now_us))


def paid(
    organization: int, run_id: str, plans: Plans, now_us: int, event: NewEvent, detail: RunDetail
) -> Program[Changed]:
    """A verified payment: the run begins. Nothing for one that does not await it."""
    run = yield from get(organization, run_id)
    if run is None or run.state != RunState.UNPAID:
        return NOTHING
    plan = yield from plans.of(run)
    # Its time begins to count when it begins.
    unpaid = run.progress
    progress = plans.worked(
        plan, (run_id, now_us), lambda: begin(plan, input=unpaid.input, meta=unpaid.meta, at_us=now_us)
    )
    change = Transition(event=event, status=Status.PAID, detail=detail)
    yield from changing.transition(organization, run_id, None, change, now_us)
    queued = Transition(event=NewEvent(type="run.queued", title="Queued", at_us=now_us), status=Status.QUEUED)
    execution = yield from changing.transition(organization, run_id, None, queued, now_us)
    begun = msgspec.structs.replace(run, progress=progress)
    changed = yield from _put(begun, plan, events_between(plan, None, progress), progress, now_us)
    reach("workflows.paid")
    return changed.with_(Changed(seq=execution.seq))


def unpaid_over(
    organization: int, run_id: str, status: Status, reason: str, now_us: int, event: NewEvent, detail: RunDetail
) -> Program[Changed]:
    """A checkout that came to nothing: the run is over without having begun."""
    run = yield from get(organization, run_id)
    if run is None or run.state != RunState.UNPAID:
        return NOTHING
    outcome = next(outcome for outcome, word in STATUS_OF_OUTCOME.items() if word is status)
    progress = msgspec.structs.replace(run.progress, outcome=outcome, error=reason)
    over = msgspec.structs.replace(run, state=RunState.OVER, progress=progress, updated_at_us=now_us)
    yield Fetch(SQL["run.put"], put_row_of(over))
    told = msgspec.structs.replace(detail, status_reason=reason)
    change = Transition(event=event, status=status, detail=told)
    execution = yield from changing.transition(organization, run_id, None, change, now_us)
    is_told = yield from tell(run, execution, [Told(HOOK_OF_STATUS[status], event)], now_us)
    return Changed(seq=execution.seq, over=(execution,), is_told=is_told)


def again(
    organization: int, run_id: str, progress: Progress, plans: Plans, now_us: int, event: NewEvent
) -> Program[Changed]:
    """The same run from where it failed: `progress` is what of it still counts. Nothing for one that is not over.
    Raises Conflict for one whose payment is given back."""
    run = yield from get(organization, run_id)
    if run is None or run.state != RunState.OVER:
        return NOTHING
    plan = yield from plans.of(run)
    detail = execution_of((yield from _row(run))).detail
    assert isinstance(detail, RunDetail)
    if not is_paid(detail):
        raise Conflict(f"Run {run_id} is not paid ({detail.payment_status}); start a new execution.", run_id=run_id)
    if detail.payment_status == "refundable":
        detail = msgspec.structs.replace(detail, payment_status="paid")
    change = Transition(event=event, status=Status.QUEUED, detail=detail)
    execution = yield from changing.transition(organization, run_id, None, change, now_us)
    reopened = msgspec.structs.replace(run, stop_asked=False)
    changed = yield from _put(reopened, plan, (), progress, now_us)
    return changed.with_(Changed(seq=execution.seq))


# -- parts


def _step(plan: Plan, progress: Progress, event: Event) -> Progress:
    """Moments of different sources may come out of order: none is taken for an earlier one than what it follows."""
    return step(plan, progress, event)


def _worked(plans: Plans, plan: Plan, progress: Progress, event: Event) -> Progress:
    return plans.worked(plan, (progress, event), lambda: _step(plan, progress, event))


def _row(run: RunRow) -> Program[Row]:
    row = yield from changing.find(run.organization, run.id, None)
    assert row is not None, f"run {run.id} has no execution"
    return row


def _put(
    run: RunRow, plan: Plan, events: Sequence[NewEvent], progress: Progress, now_us: int, *, is_heard: bool = True
) -> Program[Changed]:
    """A run between two segments, as its progress says: over, due, or parked. `events` led to it."""
    needs = todo(progress)
    state, segment, wake_at_us = RunState.PARKED, run.segment, needs.next_us
    if progress.is_over:
        state, wake_at_us = RunState.OVER, None
    elif needs.performs:
        state, segment, wake_at_us = RunState.DUE, run.segment + 1, None
    after = msgspec.structs.replace(
        run,
        state=state,
        segment=segment,
        wake_at_us=wake_at_us,
        owner=_owner(state, plan, progress),
        wave=0,
        progress=progress,
        updated_at_us=now_us,
        stop_asked=run.stop_asked and not progress.is_over,
    )
    yield Fetch(SQL["run.put"], put_row_of(after))
    if run.state == RunState.PARKED:
        # Only what is parked has them.
        yield Fetch(SQL["wait.clear"], (run.organization, run.id))
    if run.state == RunState.DUE and state == RunState.OVER:
        # What came for it before it was begun, and is not looked at any more.
        yield Fetch(SQL["wake.clear"], (run.organization, run.id))
    changed = yield from _write_waits(after)
    changed = changed.with_((yield from _tell(after, plan, events, now_us, is_heard=is_heard)))
    if state == RunState.DUE:
        changed = changed.with_(_submits(after.segment_id, after.owner))
    reach("workflows.put")
    return changed


def _owner(state: str, plan: Plan, progress: Progress) -> str:
    """Of a run that nobody carries out: whether only a process with a trading desk can go on with it."""
    if state != RunState.DUE:
        return ""
    return AT_DESK if any(node_of(plan, path).type in DESK for path in todo(progress).performs) else ""


def _submits(segment: SegmentId, owner: str) -> Changed:
    return Changed(at_desk=(segment,)) if owner == AT_DESK else Changed(due=(segment,))


def _write_waits(run: RunRow) -> Program[Changed]:
    if run.state != RunState.PARKED:
        return Changed()
    waits = todo(run.progress).waits
    rows = [
        (run.organization, run.id, path, wait.kind.value, wait.key, run.account)
        for path, wait in waits.items()
        if wait.kind is not WaitKind.TIMER
    ]
    if rows:
        yield Many(SQL["wait.add"], rows)
    ends = [wait for wait in waits.values() if wait.kind in ENDED_KINDS]
    awaits = tuple((run.organization, wait.kind, wait.key) for wait in ends)
    return Changed(awaits=awaits, wake_at_us=run.wake_at_us)


def _tell(
    run: RunRow, plan: Plan, events: Sequence[NewEvent], now_us: int, *, is_heard: bool = True
) -> Program[Changed]:
    """Events, detail and status of the execution, and whoever waits for the run's end. `is_heard`: endpoints may be
    there to be told."""
    progress = run.progress
    row = yield from _row(run)
    execution = execution_of(row)
    assert isinstance(execution.detail, RunDetail)
    asked = [Transition(event=event) for event in events]
    detail = detail_of(plan, progress, execution.detail)
    status = _status(run, execution.status)
    if status is not None:
        if status in TERMINAL:
            detail = msgspec.structs.replace(detail, payment_status=at_end(detail.payment_status, status))
        if execution.status is Status.QUEUED and execution.started_at_us is None:
            # Over, or waiting, before anybody carried anything out.
            asked.insert(0, Transition(event=_started(now_us), status=Status.RUNNING))
        asked.append(Transition(event=_outcome_event(progress, status, now_us), status=status, detail=detail))
    elif asked:
        asked[-1] = msgspec.structs.replace(asked[-1], detail=detail)
    if not asked:
        return Changed()
    changes = [changing.Asked(run.id, None, change) for change in asked]
    made = yield from changing.transitions(run.organization, changes, now_us, rows={run.id: row})
    is_told = False
    if is_heard:
        is_told = yield from tell(run, made[-1], told_of([change.event for change in asked]), now_us)
    is_news = run.state == RunState.OVER or progress.answer is not None
    return Changed(seq=made[-1].seq, is_told=is_told, over=(made[-1],) if is_news else ())


def _started(now_us: int) -> NewEvent:
    return NewEvent(type="run.started", title="Started", at_us=now_us)


def _status(run: RunRow, status: Status) -> Status | None:
    """The status that the execution gets; None keeps it."""
    outcome = run.progress.outcome
    if outcome is not None and run.state == RunState.OVER:
        return STATUS_OF_OUTCOME[outcome]
    if run.state == RunState.PARKED and status not in (Status.WAITING, Status.STOPPING):
        return Status.WAITING
    return None


def _outcome_event(progress: Progress, status: Status, now_us: int) -> NewEvent:
    said = {Status.WAITING: "waiting", Status.CANCELLED: "stopped"}.get(status, status.value)
    data = {} if not progress.error_path else {"nodeId": progress.error_path}
    return NewEvent(
        type=f"run.{said}",
        title=said.replace("_", " ").capitalize(),
        message=progress.error,
        at_us=now_us,
        data=data,
    )


__all__ = [
    "NOTHING",
    "Changed",
    "Claimed",
    "advance",
    "again",
    "asked_to_stop",
    "born",
    "claim",
    "paid",
    "passed",
    "settle",
    "unpaid_over",
    "woken",
]

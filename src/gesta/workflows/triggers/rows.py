"""The rows of schedules, and what publishing a workflow writes of its trigger."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from gesta.kernel.slugs import slug_of
from gesta.ledger.records import Named
from gesta.storage.program import Fetch, Many, Program, Row, Statement, load
from gesta.workflows.face import ScheduleView, WorkflowStatus
from gesta.workflows.graph.definition import Definition, Trigger, TriggerKind
from gesta.workflows.graph.kinds import moment_us
from gesta.workflows.runs.rows import encoder
from gesta.workflows.triggers.schedules import US, Timing, next_at

SQL: dict[str, Statement] = load("gesta.workflows.sql", "triggers.sql")


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a schedule says. `environment` is that of the credential which made it, if that was bound to one."""

    timing: Timing
    name: str = ""
    input: Any = None
    environment: str = ""


class ScheduleRow(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it is on disk. `account` 0: whoever the workflow belongs to. `next_at_us` is the first moment that
    was not taken yet; None: it has ended. The schedule of a workflow's own trigger has the workflow's id."""

    organization: int
    id: str
    account: int
    workflow: int
    schedule: Schedule
    is_paused: bool
    next_at_us: int | None
    last_at_us: int | None
    created_at_us: int
    updated_at_us: int
    workflow_id: str
    workflow_account: int = 0

    @property
    def is_trigger(self) -> bool:
        return self.id == self.workflow_id


_decoder = msgspec.json.Decoder(Schedule, float_hook=Decimal)


def schedule_of(row: Row) -> ScheduleRow:
    return ScheduleRow(
        organization=row[0],
        id=row[1],
        account=row[2],
        workflow=row[3],
        schedule=_decoder.decode(bytes(row[4])),
        is_paused=bool(row[5]),
        next_at_us=row[6],
        last_at_us=row[7],
        created_at_us=row[8],
        updated_at_us=row[9],
        workflow_id=row[10],
        workflow_account=row[11],
    )


def put_row_of(row: ScheduleRow) -> tuple[Any, ...]:
    """The parameters of `schedule.put`."""
    return (
        row.organization,
        row.id,
        row.account,
        row.workflow,
        encoder.encode(row.schedule),
        int(row.is_paused),
        row.next_at_us,
        row.last_at_us,
        row.created_at_us,
        row.updated_at_us,
    )


def view_of(row: ScheduleRow) -> ScheduleView:
    timing = row.schedule.timing
    return ScheduleView(
        id=row.id,
        organization=row.organization,
        account=row.account,
        workflow_id=row.workflow_id,
        name=row.schedule.name,
        cron=timing.cron,
        every_s=timing.every_us / US if timing.every_us else None,
        at_us=timing.at_us,
        timezone=timing.timezone,
        input=row.schedule.input,
        catch_up=timing.catch_up,
        is_paused=row.is_paused,
        next_at_us=row.next_at_us,
        last_at_us=row.last_at_us,
        created_at_us=row.created_at_us,
        updated_at_us=row.updated_at_us,
        dates_us=timing.dates_us,
        from_us=timing.from_us,
        until_us=timing.until_us,
    )


def find(organization: int, id: str) -> Program[ScheduleRow | None]:
    rows = yield Fetch(SQL["schedule.get"], (organization, id))
    return schedule_of(rows[0]) if rows else None


def later(known: ScheduleRow | None, now_us: int) -> int:
    """When a schedule is changed: another moment than it was changed before, so that who read it before can tell."""
    return now_us if known is None else max(now_us, known.updated_at_us + 1)


# -- a workflow's own trigger


def applications_of(named: Named | None) -> tuple[str, ...]:
    """How an application is compared: by its id and by its name. Nothing: any application."""
    if named is None:
        return ("",)
    slugs = {slug_of(word) for word in (named.id, named.name) if word}
    return tuple(sorted(slug for slug in slugs if slug)) or ("",)


def put_trigger(
    organization: int, workflow: int, workflow_id: str, definition: Definition, now_us: int
) -> Program[None]:
    """What starts a published workflow from now on, instead of what did. A schedule that says what it said goes on."""
    trigger = definition.trigger
    yield Fetch(SQL["trigger.clear"], (workflow,))
    if trigger.kind is TriggerKind.EVENT:
        slugs = applications_of(trigger.application)
        yield Many(SQL["trigger.add"], [(organization, slug, trigger.event, workflow) for slug in slugs])
    known = yield from find(organization, workflow_id)
    if trigger.kind is not TriggerKind.SCHEDULE:
        yield Fetch(SQL["schedule.delete"], (organization, workflow_id))
        return
    schedule = Schedule(timing=_timing_of(trigger), name="trigger")
    if known is not None and known.schedule == schedule and known.next_at_us is not None:
        return
    row = ScheduleRow(
        organization=organization,
        id=workflow_id,
        account=0,
        workflow=workflow,
        schedule=schedule,
        is_paused=known is not None and known.is_paused,
        next_at_us=next_at(schedule.timing, now_us),
        last_at_us=None if known is None else known.last_at_us,
        created_at_us=now_us if known is None else known.created_at_us,
        updated_at_us=later(known, now_us),
        workflow_id=workflow_id,
    )
    yield Fetch(SQL["schedule.put"], put_row_of(row))


def _timing_of(trigger: Trigger) -> Timing:
    at_us = moment_us(trigger.at, "at") if trigger.at else None
    return Timing(cron="" if trigger.at else trigger.cron, at_us=at_us, timezone=trigger.timezone)


def clear_trigger(organization: int, workflow: int, workflow_id: str) -> Program[None]:
    """Nothing but a call starts it."""
    yield Fetch(SQL["trigger.clear"], (workflow,))
    yield Fetch(SQL["schedule.delete"], (organization, workflow_id))


def end(organization: int, workflow: int, workflow_id: str, now_us: int) -> Program[None]:
    """Of a workflow that nothing starts any more."""
    yield from clear_trigger(organization, workflow, workflow_id)
    yield Fetch(SQL["schedule.end"], (workflow, now_us))


def starts_by_itself(status: WorkflowStatus, published: int | None) -> bool:
    """Whether a workflow's triggers and schedules do anything."""
    return status is WorkflowStatus.ACTIVE and published is not None

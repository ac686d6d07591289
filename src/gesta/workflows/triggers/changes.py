"""What changes schedules, each as one transaction. Programs of one organization run one after another."""

from __future__ import annotations

import msgspec

from gesta.kernel.errors import Conflict, InvalidInput, NotFound
from gesta.storage.program import Fetch, Program
from gesta.workflows.definitions import changes as definitions
from gesta.workflows.definitions.changes import Seen
from gesta.workflows.face import ScheduleView
from gesta.workflows.triggers import rows
from gesta.workflows.triggers.rows import SQL, Schedule, ScheduleRow, later, put_row_of, schedule_of, view_of
from gesta.workflows.triggers.schedules import next_at


def find(seen: Seen, environment: str, id: str) -> Program[ScheduleRow]:
    """Raises NotFound, also for another account's or another environment's."""
    row = None if "\0" in id else (yield from rows.find(seen.organization, id))
    if row is None or not _sees(seen, environment, row):
        raise NotFound(f"Schedule {id[:128]} not found.", what="schedule")
    return row


def _sees(seen: Seen, environment: str, row: ScheduleRow) -> bool:
    if seen.account is not None:
        return seen.account in (row.account, row.workflow_account)
    return not environment or row.schedule.environment in ("", environment)


def listed(seen: Seen, environment: str, workflow: str) -> Program[list[ScheduleView]]:
    number = 0
    if workflow:
        number = (yield from definitions.find(seen, workflow)).number
    account = -1 if seen.account is None else seen.account
    found = yield Fetch(SQL["schedule.list"], (seen.organization, account, number))
    known = [schedule_of(row) for row in found]
    return [view_of(row) for row in known if _sees(seen, environment, row)]


def created(row: ScheduleRow, most: int, now_us: int) -> Program[ScheduleRow]:
    ((count,),) = yield Fetch(SQL["schedule.count"], (row.organization,))
    if count >= most:
        raise Conflict(f"An organization may have {most} schedules; delete one.")
    row = msgspec.structs.replace(row, next_at_us=_next(row.schedule, now_us))
    yield Fetch(SQL["schedule.put"], put_row_of(row))
    return row


def changed(
    seen: Seen, environment: str, id: str, workflow: int, schedule: Schedule, now_us: int
) -> Program[ScheduleRow]:
    row = yield from find(seen, environment, id)
    _check_is_own(row)
    schedule = msgspec.structs.replace(schedule, environment=row.schedule.environment)
    next_us = row.next_at_us
    before, after = row.schedule.timing, schedule.timing
    if msgspec.structs.replace(before, catch_up=after.catch_up) != after:
        next_us = _next(schedule, now_us)
    elif next_us is None:
        next_us = next_at(after, now_us)
    row = msgspec.structs.replace(
        row, workflow=workflow, schedule=schedule, next_at_us=next_us, updated_at_us=later(row, now_us)
    )
    yield Fetch(SQL["schedule.put"], put_row_of(row))
    return (yield from find(seen, environment, id))


def paused(seen: Seen, environment: str, id: str, *, is_paused: bool, now_us: int) -> Program[ScheduleRow]:
    row = yield from find(seen, environment, id)
    if row.is_paused is is_paused:
        return row
    next_us = row.next_at_us
    if not is_paused and next_us is not None:
        next_us = next_at(row.schedule.timing, now_us)
    row = msgspec.structs.replace(row, is_paused=is_paused, next_at_us=next_us, updated_at_us=later(row, now_us))
    yield Fetch(SQL["schedule.put"], put_row_of(row))
    return row


def deleted(seen: Seen, environment: str, id: str) -> Program[None]:
    row = yield from find(seen, environment, id)
    _check_is_own(row)
    yield Fetch(SQL["schedule.delete"], (seen.organization, id))


def _check_is_own(row: ScheduleRow) -> None:
    if row.is_trigger:
        raise Conflict(
            f"Schedule {row.id} is the trigger of workflow {row.workflow_id}: publish a version with another trigger, "
            "or pause it.",
            workflow=row.workflow_id,
        )


def _next(schedule: Schedule, now_us: int) -> int:
    next_us = next_at(schedule.timing, now_us)
    if next_us is None:
        field = "at_us" if schedule.timing.at_us is not None else "cron"
        raise InvalidInput("The schedule has no moment in the future.", field=field)
    return next_us

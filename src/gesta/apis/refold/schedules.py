"""Schedules of workflows (protocols/refold.md §5): cron expressions, or one moment, for a linked account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Scope as Right
from gesta.apis.common.services import Services
from gesta.apis.refold.calls import (
    Caller,
    check_is_own,
    enter,
    find_workflow,
    json_answer,
    read_object,
    text_in,
    word_of,
)
from gesta.apis.refold.codec import Scope
from gesta.apis.refold.errors import MissingField, ScheduleNotFound
from gesta.apis.refold.paging import envelope, read_page
from gesta.kernel.errors import InvalidInput, NotFound
from gesta.kernel.times import format_ms, from_datetime, parse_date, to_datetime
from gesta.workflows.face import ScheduleIn, ScheduleView, Triggers, WorkflowView
from gesta.workflows.graph.triggers import cron_problem, is_timezone
from gesta.workflows.triggers.checking import MOST_DATES
from gesta.workflows.triggers.schedules import Timing, next_at

MIN_GAP_S = 300
DELETED = "Scheduled Job Deleted Successfully"
_US = 1_000_000
# A day of a window has another after it.
_LAST_DAY = "9999-12-30"
# Expressions repeat themselves: two moments too close to each other are among so many, or nowhere that matters.
_MOMENTS = 100
_PARTS = ("year", "month", "day", "hour", "minute")


class ScheduleCalls:
    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def _triggers(self) -> Triggers:
        return self._services.runs_workflows.triggers

    async def create(self, request: Request) -> Response:
        caller = await enter(self._services.access, request)
        caller.principal.require(Right.RUN)
        posted = await read_object(request)
        word = word_of(request, caller.query, "workflow_id_alias") or text_in(posted, "workflow_id") or ""
        if not word:
            raise MissingField("workflow_id_alias", where="header")
        if posted.get("trigger_type") is None:
            raise MissingField("trigger_type")
        now_us = self._services.clock.now_us()
        schedule = read_schedule(posted, None, now_us=now_us)
        definitions = self._services.runs_workflows.definitions
        view = (await find_workflow(definitions, caller.principal, word)).view
        made = await self._triggers.create_schedule(
            caller.principal, msgspec.structs.replace(schedule, workflow=view.id)
        )
        return json_answer(encode_schedule(made, caller.scope, made.workflow_id))

    async def list_(self, request: Request) -> Response:
        caller = await enter(self._services.access, request)
        page = read_page(caller.query.get("page"), caller.query.get("limit"))
        found = await self._mine(caller)
        docs = [
            encode_schedule(each, caller.scope, await self._workflow(caller, each.workflow_id))
            for each in found[page.offset : page.offset + page.limit]
        ]
        return json_answer(envelope(docs, len(found), page))

    async def get(self, request: Request) -> Response:
        """An addition."""
        caller, view = await self._schedule(request)
        return json_answer(encode_schedule(view, caller.scope, await self._workflow(caller, view.workflow_id)))

    async def change(self, request: Request) -> Response:
        """What is not said stays."""
        caller, view = await self._own(request)
        schedule = read_schedule(await read_object(request), view, now_us=self._services.clock.now_us())
        changed = await self._triggers.change_schedule(caller.principal, view.id, schedule)
        return json_answer(encode_schedule(changed, caller.scope, changed.workflow_id))

    async def pause(self, request: Request) -> Response:
        return await self._set(request, paused=True)

    async def resume(self, request: Request) -> Response:
        return await self._set(request, paused=False)

    async def _set(self, request: Request, *, paused: bool) -> Response:
        caller, view = await self._own(request)
        changed = await self._triggers.pause_schedule(caller.principal, view.id, paused=paused)
        return json_answer(encode_schedule(changed, caller.scope, changed.workflow_id))

    async def delete(self, request: Request) -> Response:
        caller, view = await self._own(request)
        await self._triggers.delete_schedule(caller.principal, view.id)
        return json_answer({"message": DELETED})

    async def _schedule(self, request: Request) -> tuple[Caller, ScheduleView]:
        caller = await enter(self._services.access, request)
        id = request.path_params["schedule_id"]
        found = next((each for each in await self._mine(caller) if each.id == id), None)
        if found is None:
            raise ScheduleNotFound()
        return caller, found

    async def _own(self, request: Request) -> tuple[Caller, ScheduleView]:
        """One that the linked account may change: what it registered, and the trigger of a workflow of its own."""
        caller, view = await self._schedule(request)
        caller.principal.require(Right.RUN)
        if not view.account:
            check_is_own(await self._services.runs_workflows.definitions.get(caller.principal, view.workflow_id))
        return caller, view

    async def _mine(self, caller: Caller) -> Sequence[ScheduleView]:
        """Of the linked account and of workflows that are every account's."""
        found = await self._triggers.schedules(caller.principal)
        return [each for each in found if each.account in (0, caller.account.id)]

    async def _workflow(self, caller: Caller, workflow_id: str) -> dict[str, Any]:
        try:
            view = await self._services.runs_workflows.definitions.get(caller.principal, workflow_id)
        except NotFound:
            return {"_id": workflow_id, "name": "", "associated_application": None}
        return _reference(view)


def _reference(view: WorkflowView) -> dict[str, Any]:
    application = view.application
    named = None if application is None else {"_id": application.id, "name": application.name}
    return {"_id": view.id, "name": view.name, "associated_application": named}


def read_schedule(posted: Mapping[str, Any], before: ScheduleView | None, *, now_us: int) -> ScheduleIn:
    """A posted schedule, with what `before` says where it says nothing. Raises InvalidInput with the field."""
    kind = _kind(posted, before)
    timezone = text_in(posted, "tz") or (before.timezone if before else "UTC")
    if not is_timezone(timezone):
        raise InvalidInput(f"`tz` must be a time zone as `America/New_York`; it is {timezone[:64]!r}", field="tz")
    from_us, until_us = _window(posted, before, timezone)
    cron, dates_us, every_s = "", tuple[int, ...](), None
    if kind == "cron":
        cron = text_in(posted, "regex") or text_in(posted, "cron_patten") or (before.cron if before else "")
        _check_cron(cron, timezone, now_us)
    elif posted.get("interval_dates") is not None or before is None or before.cron:
        dates_us = _moments_us(posted.get("interval_dates"), timezone, now_us)
    else:
        dates_us, every_s = dates_of(before), before.every_s
    if every_s is None:
        timing = Timing(cron=cron, dates_us=dates_us, timezone=timezone, from_us=from_us, until_us=until_us)
        _check_has_future(timing, now_us)
    return ScheduleIn(
        workflow=before.workflow_id if before else "",
        cron=cron,
        every_s=every_s,
        at_us=dates_us[0] if len(dates_us) == 1 else None,
        dates_us=dates_us if len(dates_us) > 1 else (),
        from_us=from_us,
        until_us=until_us,
        timezone=timezone,
        input=posted.get("payload", before.input if before else {}),
        name=before.name if before else "",
        **({"catch_up": before.catch_up} if before else {}),
    )


def _kind(posted: Mapping[str, Any], before: ScheduleView | None) -> str:
    kind = posted.get("trigger_type")
    if kind is None and before is not None:
        return "cron" if posted.get("regex") or (before.cron and not posted.get("interval_dates")) else "interval"
    if kind not in ("cron", "interval"):
        raise InvalidInput("`trigger_type` is cron or interval", field="trigger_type")
    return str(kind)


def _check_cron(cron: str, timezone: str, now_us: int) -> None:
    if not cron:
        raise MissingField("regex")
    problem = cron_problem(cron)
    if problem:
        raise InvalidInput(problem.replace("`cron`", "`regex`"), field="regex")
    gap_s = shortest_gap_s(cron, timezone, now_us)
    if gap_s is not None and gap_s < MIN_GAP_S:
        raise InvalidInput(
            f"`regex` may start a workflow every {MIN_GAP_S // 60} minutes at the most often; {cron!r} does so after "
            f"{gap_s:g} seconds",
            field="regex",
        )


def shortest_gap_s(cron: str, timezone: str, now_us: int) -> float | None:
    """Between two of its next moments; None for an expression that has fewer than two."""
    timing = Timing(cron=cron, timezone=timezone)
    shortest, before = None, next_at(timing, now_us)
    for _ in range(_MOMENTS):
        moment = None if before is None else next_at(timing, before)
        if moment is None or before is None:
            break
        gap_s = (moment - before) / _US
        shortest = gap_s if shortest is None else min(shortest, gap_s)
        before = moment
    return shortest


def _window(posted: Mapping[str, Any], before: ScheduleView | None, timezone: str) -> tuple[int | None, int | None]:
    """From the first moment of `startDate` to the last of `endDate`, on the clocks of the time zone. What is not said
    stays as a day, null takes it away."""
    start, end = (_day_in(posted, name, _days_of(before)[place]) for place, name in enumerate(("startDate", "endDate")))
    if start is not None and end is not None and end < start:
        raise InvalidInput(f"`endDate` ({end}) is before `startDate` ({start})", field="endDate")
    zone = ZoneInfo(timezone)
    from_us = None if start is None else _midnight_us(start, zone)
    return from_us, None if end is None else _midnight_us(end + timedelta(days=1), zone) - 1


def _days_of(view: ScheduleView | None) -> tuple[date | None, date | None]:
    """The window of a schedule as days in its time zone."""
    if view is None:
        return None, None
    zone = ZoneInfo(view.timezone)
    first, last = (
        None if at_us is None else to_datetime(at_us).astimezone(zone).date() for at_us in (view.from_us, view.until_us)
    )
    return first, last


def _day_in(posted: Mapping[str, Any], name: str, before: date | None) -> date | None:
    if name not in posted:
        return before
    text = text_in(posted, name)
    if not text:
        return None
    at_us = parse_date(text, field=name)
    if at_us is None or text > _LAST_DAY:
        raise InvalidInput(f"`{name}` is a date like 2026-07-01; it is {text[:64]!r}", field=name)
    return to_datetime(at_us).date()


def _midnight_us(day: date, zone: ZoneInfo) -> int:
    return from_datetime(datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC))


def _check_has_future(timing: Timing, now_us: int) -> None:
    if next_at(timing, now_us) is not None:
        return
    if timing.until_us is not None and timing.until_us <= now_us:
        raise InvalidInput("`endDate` is in the past: the schedule would start nothing", field="endDate")
    if timing.from_us is None and timing.until_us is None:
        raise InvalidInput("The schedule has no moment in the future", field="interval_dates")
    raise InvalidInput("The schedule has no moment from `startDate` to `endDate`", field="startDate")


def _moments_us(dates: Any, timezone: str, now_us: int) -> tuple[int, ...]:
    """The dates of an interval schedule, on the clocks of the time zone, in their order."""
    if dates is None:
        raise MissingField("interval_dates")
    if not isinstance(dates, list) or not 0 < len(dates) <= MOST_DATES:
        raise InvalidInput(
            f"`interval_dates` is a list of 1 to {MOST_DATES} dates of day, month, year, hour, minute",
            field="interval_dates",
        )
    found = sorted({_moment_us(each, f"interval_dates[{place}]", timezone, now_us) for place, each in enumerate(dates)})
    for earlier, later in pairwise(found):
        if later - earlier < MIN_GAP_S * _US:
            raise InvalidInput(
                f"`interval_dates` may start a workflow every {MIN_GAP_S // 60} minutes at the most often",
                field="interval_dates",
            )
    return tuple(found)


def _moment_us(given: Any, field: str, timezone: str, now_us: int) -> int:
    if not isinstance(given, Mapping):
        raise InvalidInput(f"`{field}` has day, month, year, hour and minute", field=field)
    parts = {name: given.get(name, 0 if name in ("hour", "minute") else None) for name in _PARTS}
    if any(isinstance(part, bool) or not isinstance(part, int) for part in parts.values()):
        raise InvalidInput(f"`{field}` has whole numbers for day, month, year, hour, minute", field=field)
    try:
        moment = datetime(**parts, tzinfo=ZoneInfo(timezone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(f"`{field}` is not a possible date and time", field=field) from None
    at_us = from_datetime(moment)
    if at_us <= now_us:
        raise InvalidInput(f"`{field}` is in the past", field=field)
    return at_us


def dates_of(view: ScheduleView) -> tuple[int, ...]:
    return view.dates_us if view.at_us is None else (view.at_us,)


def encode_schedule(view: ScheduleView, scope: Scope, workflow: str | dict[str, Any]) -> dict[str, Any]:
    """With Refold's own spelling `cron_patten`."""
    kind = "cron" if view.cron else "interval"
    return {
        "_id": view.id,
        "event_id": view.id,
        "workflow": workflow,
        "config_id": scope.linked_account,
        "linked_account_id": scope.linked_account,
        "environment": scope.environment,
        "org_id": scope.organization,
        "trigger_type": kind,
        "cron_patten": view.cron or None,
        "trigger_interval": [_parts_of(at_us, view.timezone) for at_us in dates_of(view)],
        "status": "paused" if view.is_paused else "running",
        "inactive": view.is_paused,
        "registered_by_api": True,
        "options": _window_of(view) | {"tz": view.timezone, "trigger_type": kind},
        "payload": view.input,
        "next_run_at": None if view.next_at_us is None or view.is_paused else format_ms(view.next_at_us),
        "last_run_at": None if view.last_at_us is None else format_ms(view.last_at_us),
        "createdAt": format_ms(view.created_at_us),
        "updatedAt": format_ms(view.updated_at_us),
    }


def _window_of(view: ScheduleView) -> dict[str, str]:
    days = zip(("startDate", "endDate"), _days_of(view), strict=True)
    return {name: day.isoformat() for name, day in days if day is not None}


def _parts_of(at_us: int, timezone: str) -> dict[str, int]:
    moment = to_datetime(at_us).astimezone(ZoneInfo(timezone))
    return {name: getattr(moment, name) for name in ("day", "month", "year", "hour", "minute")}

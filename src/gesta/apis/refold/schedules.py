"""Schedules of workflows (protocols/refold.md §5): cron expressions, or one moment, for a linked account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Scope as Right
from gesta.apis.common.services import Services
from gesta.apis.refold.calls import Caller, enter, find_workflow, json_answer, read_object, text_in, word_of
from gesta.apis.refold.codec import Scope
from gesta.apis.refold.errors import MissingField, ScheduleNotFound
from gesta.apis.refold.paging import envelope, read_page
from gesta.kernel.errors import InvalidInput, NotFound
from gesta.kernel.times import format_ms, from_datetime, parse_date, to_datetime
from gesta.workflows.face import ScheduleIn, ScheduleView, Triggers, WorkflowView
from gesta.workflows.graph.triggers import cron_problem, is_timezone
from gesta.workflows.triggers.schedules import Timing, next_at

MIN_GAP_S = 300
DELETED = "Scheduled Job Deleted Successfully"
_US = 1_000_000
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
        caller, view = await self._schedule(request)
        caller.principal.require(Right.RUN)
        schedule = read_schedule(await read_object(request), view, now_us=self._services.clock.now_us())
        changed = await self._triggers.change_schedule(caller.principal, view.id, schedule)
        return json_answer(encode_schedule(changed, caller.scope, changed.workflow_id))

    async def pause(self, request: Request) -> Response:
        return await self._set(request, paused=True)

    async def resume(self, request: Request) -> Response:
        return await self._set(request, paused=False)

    async def _set(self, request: Request, *, paused: bool) -> Response:
        caller, view = await self._schedule(request)
        caller.principal.require(Right.RUN)
        changed = await self._triggers.pause_schedule(caller.principal, view.id, paused=paused)
        return json_answer(encode_schedule(changed, caller.scope, changed.workflow_id))

    async def delete(self, request: Request) -> Response:
        caller, view = await self._schedule(request)
        caller.principal.require(Right.RUN)
        await self._triggers.delete_schedule(caller.principal, view.id)
        return json_answer({"message": DELETED})

    async def _schedule(self, request: Request) -> tuple[Caller, ScheduleView]:
        caller = await enter(self._services.access, request)
        id = request.path_params["schedule_id"]
        found = next((each for each in await self._mine(caller) if each.id == id), None)
        if found is None:
            raise ScheduleNotFound()
        return caller, found

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
    _check_window(posted, now_us)
    cron, at_us = "", None
    if kind == "cron":
        cron = text_in(posted, "regex") or text_in(posted, "cron_patten") or (before.cron if before else "")
        _check_cron(cron, timezone, now_us)
    elif posted.get("interval_dates") is not None or before is None:
        at_us = _moment_us(posted.get("interval_dates"), timezone, now_us)
    else:
        at_us = before.at_us
    return ScheduleIn(
        workflow=before.workflow_id if before else "",
        cron=cron,
        every_s=before.every_s if before and not cron and at_us is None else None,
        at_us=at_us,
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


def _check_window(posted: Mapping[str, Any], now_us: int) -> None:
    """A window that is open already needs no keeping; any other is refused, since it would not be kept."""
    for name in ("startDate", "endDate"):
        text = text_in(posted, name)
        if text is None or not text:
            continue
        at_us = parse_date(text, field=name)
        if at_us is None:
            raise InvalidInput(f"`{name}` is a date like 2026-07-01", field=name)
        if name == "endDate" or at_us > now_us:
            raise InvalidInput(
                f"`{name}` is not kept: a schedule begins at once and goes on until it is paused or deleted", field=name
            )


def _moment_us(dates: Any, timezone: str, now_us: int) -> int:
    """The one date of an interval schedule, on the clocks of the time zone."""
    if not isinstance(dates, list) or len(dates) != 1 or not isinstance(dates[0], Mapping):
        raise InvalidInput(
            "`interval_dates` is a list of one {day, month, year, hour, minute}: register a schedule for each date",
            field="interval_dates",
        )
    parts = {name: dates[0].get(name, 0 if name in ("hour", "minute") else None) for name in _PARTS}
    if any(isinstance(part, bool) or not isinstance(part, int) for part in parts.values()):
        raise InvalidInput(
            "`interval_dates` has whole numbers for day, month, year, hour, minute", field="interval_dates"
        )
    try:
        moment = datetime(**parts, tzinfo=ZoneInfo(timezone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput("`interval_dates` is not a possible date and time", field="interval_dates") from None
    at_us = from_datetime(moment)
    if at_us <= now_us:
        raise InvalidInput("`interval_dates` is in the past", field="interval_dates")
    return at_us


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
        "trigger_interval": [] if view.at_us is None else [_parts_of(view.at_us, view.timezone)],
        "status": "paused" if view.is_paused else "running",
        "inactive": view.is_paused,
        "registered_by_api": True,
        "options": {"tz": view.timezone, "trigger_type": kind},
        "payload": view.input,
        "next_run_at": None if view.next_at_us is None or view.is_paused else format_ms(view.next_at_us),
        "last_run_at": None if view.last_at_us is None else format_ms(view.last_at_us),
        "createdAt": format_ms(view.created_at_us),
        "updatedAt": format_ms(view.updated_at_us),
    }


def _parts_of(at_us: int, timezone: str) -> dict[str, int]:
    moment = to_datetime(at_us).astimezone(ZoneInfo(timezone))
    return {name: getattr(moment, name) for name in ("day", "month", "year", "hour", "minute")}

"""The front door of triggers: events and webhooks start runs, schedules are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
import structlog

from gesta.access.face import Access
from gesta.access.model import Principal, Scope
from gesta.kernel.clock import Clock
from gesta.kernel.errors import CallerError, Conflict, InvalidInput
from gesta.kernel.ids import IdSource, hex_id
from gesta.kernel.slugs import slug_of
from gesta.ledger.records import Source
from gesta.storage.program import Database, Fetch, Program
from gesta.workflows.definitions import changes
from gesta.workflows.definitions import rows as definitions
from gesta.workflows.definitions.changes import Seen
from gesta.workflows.definitions.desk import seen_by
from gesta.workflows.definitions.rows import WorkflowRow
from gesta.workflows.face import (
    EventIn,
    EventTaken,
    ScheduleIn,
    ScheduleView,
    Signed,
    Started,
    StartRun,
    WorkflowStatus,
)
from gesta.workflows.graph.definition import SignaturePolicy, Trigger, TriggerKind
from gesta.workflows.graph.progress import Woken
from gesta.workflows.graph.schemas import check_input
from gesta.workflows.hooks.signing import SIGNATURE, refused
from gesta.workflows.runs import rows as runs_rows
from gesta.workflows.runs.desk import RunDesk
from gesta.workflows.runs.service import RunService
from gesta.workflows.triggers import changes as schedules
from gesta.workflows.triggers.checking import (
    MOST_PAYLOAD_BYTES,
    check_event,
    check_key,
    check_schedule,
    check_size,
    key_of,
    stored_key,
    timing_of,
)
from gesta.workflows.triggers.proving import Proofs
from gesta.workflows.triggers.rows import SQL, Schedule, ScheduleRow, starts_by_itself, view_of
from gesta.workflows.triggers.settings import TriggerSettings
from gesta.workflows.triggers.starting import Starter, attributes_of, correlation_of

SCHEDULE_ID_DIGITS = 24
EVENT_ID_DIGITS = 24
# Workflows that one event starts, and runs that it wakes, at the same time.
AT_ONCE = 100

log = structlog.get_logger("gesta.workflows")


class TriggerDesk:
    """`gesta.workflows.face.Triggers`. `on_schedules` is called when a schedule has changed."""

    def __init__(
        self,
        *,
        database: Database,
        access: Access,
        clock: Clock,
        ids: IdSource,
        runs: RunDesk,
        service: RunService,
        settings: TriggerSettings | None = None,
        on_schedules: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._access = access
        self._clock = clock
        self._ids = ids
        self._runs = runs
        self._service = service
        self._settings = settings or TriggerSettings()
        self._on_schedules = on_schedules
        self._proofs = Proofs(database=database, access=access, clock=clock)
        self.starter = Starter(database=database, access=access, clock=clock, ids=ids, runs=runs, service=service)

    # -- events

    async def event(self, principal: Principal, event: EventIn) -> EventTaken:
        """Start every active workflow of the event and the application, and wake the runs that wait for it; what is
        not said of the application is not compared. A workflow whose schema refuses the payload is not started; if
        that is all that comes of the event, it is told. Raises InvalidInput, TooLarge, Forbidden."""
        principal.require(Scope.RUN)
        slug, seen = check_event(event), seen_by(principal)
        event_id = hex_id(self._ids, EVENT_ID_DIGITS)
        found = await self._database.read(lambda: _of_event(seen, event.event, slug))
        started, duplicates = [], []
        refusals: list[CallerError] = []
        for part in range(0, len(found), AT_ONCE):
            asked = [self._start(principal, event, event_id, *each) for each in found[part : part + AT_ONCE]]
            outcomes = await asyncio.gather(*asked, return_exceptions=True)
            for (workflow, _), outcome in zip(found[part : part + AT_ONCE], outcomes, strict=True):
                if isinstance(outcome, CallerError):
                    log.warning("workflows.event_refused", workflow=workflow.view.id, error=outcome.message)
                    refusals.append(outcome)
                elif isinstance(outcome, BaseException):
                    raise outcome
                elif outcome is None:
                    duplicates.append(workflow.view.id)
                else:
                    started.append(outcome.execution)
        woken = await self._wake(principal, event, slug)
        if refusals and not (started or duplicates or woken):
            raise refusals[0]
        return EventTaken(event_id=event_id, started=started, woken=woken, duplicates=duplicates)

    async def _start(
        self, principal: Principal, event: EventIn, event_id: str, workflow: WorkflowRow, trigger: Trigger
    ) -> Started | None:
        request = StartRun(
            workflow=workflow.view.id,
            input=event.payload,
            source=Source.EVENT,
            attributes={"event_id": event_id, **attributes_of(workflow, trigger)},
            correlation=correlation_of(workflow, trigger),
        )
        key, window_s = key_of(trigger, TriggerKind.EVENT, event.key, event.payload)
        return await self.starter.keyed(
            workflow,
            _prefix("event", principal),
            key,
            window_s,
            lambda run_id: self._runs.start(principal, msgspec.structs.replace(request, run_id=run_id)),
        )

    async def _wake(self, principal: Principal, event: EventIn, slug: str) -> list[str]:
        """Runs that wait for the event. With a key they are woken by it once: the key is kept after they are awake, and
        a process that dies in between leaves nobody asleep."""
        organization = principal.organization.id
        accounts = await self._accounts(principal)
        key = None
        if event.key is not None:
            key = stored_key(_prefix("woke", principal), f"{event.event}\t{slug}\t{event.key}")
            known = key
            if await self._database.read(lambda: _is_known(organization, known), snapshot=False):
                return []
        woken: list[str] = []
        last: tuple[str, str] | None = ("", "")
        while last is not None:
            part = partial(_waiting, organization, accounts, event.event, slug, last)
            some, last = await self._database.read(part)
            told = [self._service.wake(organization, run_id, self._woken(path, event)) for run_id, path in some]
            outcomes = await asyncio.gather(*told)
            woken += [run_id for (run_id, _), is_woken in zip(some, outcomes, strict=True) if is_woken]
        if key is not None:
            parameters = (organization, 0, key, "", b"", None)
            await self._database.write(lambda: _put_key(parameters), key=organization)
        return list(dict.fromkeys(woken))

    def _woken(self, path: str, event: EventIn) -> Woken:
        return Woken(path=path, payload=event.payload, at_us=self._clock.now_us())

    async def _accounts(self, principal: Principal) -> frozenset[int] | None:
        """Whose runs a caller wakes; None: all of the organization's."""
        if principal.account is not None:
            return frozenset({principal.account.id})
        if principal.environment is None:
            return None
        accounts = await self._access.accounts(principal.organization.id)
        return frozenset(each.id for each in accounts if each.environment is principal.environment)

    # -- webhooks

    async def hook(
        self, workflow: str, secret: str | None, payload: Any, *, key: str | None = None, signed: Signed | None = None
    ) -> Started:
        """Any workflow with a secret has a webhook. Besides what `face.Triggers` says, raises Conflict for a workflow
        that is paused or not published, InvalidInput for a payload that its schema refuses, TooLarge."""
        row, proved = await self._proofs.of(workflow, secret, signed)
        if not starts_by_itself(row.view.status, row.view.published_version):
            word = "paused" if row.view.status is WorkflowStatus.PAUSED else "not published"
            raise Conflict(f"Workflow {row.view.id} is {word}; its webhook starts nothing.", workflow=row.view.id)
        trigger = await self._database.read(lambda: _trigger(row), snapshot=False)
        if proved is None and trigger.signature is SignaturePolicy.REQUIRED:
            raise refused(f"This webhook requires a signature: send `{SIGNATURE}`.")
        check_key(key)
        check_size(payload, MOST_PAYLOAD_BYTES, "payload")
        request = StartRun(
            workflow=row.view.id,
            input=payload,
            source=Source.EVENT,
            attributes=attributes_of(row, trigger),
            correlation=correlation_of(row, trigger),
        )
        wanted, window_s = key_of(trigger, TriggerKind.WEBHOOK, key, payload)
        started = await self.starter.keyed(
            row,
            "hook",
            wanted,
            window_s,
            lambda run_id: self._runs.start_workflow(row, msgspec.structs.replace(request, run_id=run_id)),
            once=proved,
        )
        if started is None:
            raise Conflict(f"Workflow {row.view.id} has had this already.", workflow=row.view.id, key=wanted)
        return started

    # -- schedules

    async def create_schedule(self, principal: Principal, schedule: ScheduleIn) -> ScheduleView:
        """Raises InvalidInput, TooLarge, NotFound for an unknown workflow, Conflict for an archived one and for one
        schedule too many."""
        principal.require(Scope.RUN)
        check_schedule(schedule)
        now_us, seen = self._clock.now_us(), seen_by(principal)
        workflow = await self._workflow(seen, schedule)
        row = ScheduleRow(
            organization=seen.organization,
            id=hex_id(self._ids, SCHEDULE_ID_DIGITS),
            account=seen.account or 0,
            workflow=workflow.number,
            schedule=self._schedule(principal, schedule, now_us),
            is_paused=False,
            next_at_us=None,
            last_at_us=None,
            created_at_us=now_us,
            updated_at_us=now_us,
            workflow_id=workflow.view.id,
            workflow_account=workflow.view.account,
        )
        return await self._write(seen, lambda: schedules.created(row, self._settings.schedules, now_us))

    async def change_schedule(self, principal: Principal, id: str, schedule: ScheduleIn) -> ScheduleView:
        """All of it is said anew; without a `workflow` it stays with its own. One whose moments stay the same keeps
        its next one."""
        principal.require(Scope.RUN)
        check_schedule(schedule)
        now_us, seen = self._clock.now_us(), seen_by(principal)
        known = await self._database.read(lambda: schedules.find(seen, _environment(principal), id), snapshot=False)
        workflow = await self._workflow(
            seen, msgspec.structs.replace(schedule, workflow=schedule.workflow or known.workflow_id)
        )
        said = self._schedule(principal, schedule, known.created_at_us)
        return await self._write(
            seen, lambda: schedules.changed(seen, _environment(principal), id, workflow.number, said, now_us)
        )

    async def pause_schedule(self, principal: Principal, id: str, *, paused: bool) -> ScheduleView:
        """What passes while it is paused is not caught up with."""
        principal.require(Scope.RUN)
        now_us, seen = self._clock.now_us(), seen_by(principal)
        return await self._write(
            seen, lambda: schedules.paused(seen, _environment(principal), id, is_paused=paused, now_us=now_us)
        )

    async def delete_schedule(self, principal: Principal, id: str) -> None:
        principal.require(Scope.RUN)
        seen = seen_by(principal)
        await self._database.write(lambda: schedules.deleted(seen, _environment(principal), id), key=seen.organization)
        self._on_schedules()

    async def schedules(self, principal: Principal, *, workflow: str = "") -> Sequence[ScheduleView]:
        """Newest first, with those of workflows' own triggers."""
        principal.require(Scope.READ)
        seen = seen_by(principal)
        return await self._database.read(
            lambda: schedules.listed(seen, _environment(principal), workflow), unbounded=True
        )

    async def _write(self, seen: Seen, program: Callable[[], Program[ScheduleRow]]) -> ScheduleView:
        row = await self._database.write(program, key=seen.organization)
        self._on_schedules()
        return view_of(row)

    async def _workflow(self, seen: Seen, schedule: ScheduleIn) -> WorkflowRow:
        """The workflow that is to be started, which takes the payload if it is published."""
        if not schedule.workflow:
            raise InvalidInput("`workflow` must be a workflow's id or alias.", field="workflow")
        workflow, schema = await self._database.read(lambda: _with_schema(seen, schedule.workflow))
        if workflow.view.status is WorkflowStatus.ARCHIVED:
            raise Conflict(f"Workflow {workflow.view.id} is archived; nothing starts it.", workflow=workflow.view.id)
        if schema is not None:
            check_input(schema, schedule.input)
        return workflow

    def _schedule(self, principal: Principal, asked: ScheduleIn, anchor_us: int) -> Schedule:
        return Schedule(
            timing=timing_of(asked, self._settings, anchor_us),
            name=asked.name,
            input=asked.input,
            environment=_environment(principal),
        )


def _environment(principal: Principal) -> str:
    """Which environment's schedules a caller has to do with; nothing: all."""
    if principal.account is not None:
        return principal.account.environment.value
    return principal.environment.value if principal.environment is not None else ""


def _prefix(word: str, principal: Principal) -> str:
    """Keys of one account, or environment, are no duplicates of another's."""
    account = 0 if principal.account is None else principal.account.id
    return f"{word} {account} {_environment(principal)}"


def _of_event(seen: Seen, event: str, slug: str) -> Program[list[tuple[WorkflowRow, Trigger]]]:
    numbers = yield Fetch(SQL["trigger.of_event"], (seen.organization, event, slug))
    found = []
    for (number,) in numbers:
        row = yield from definitions.find_number(number)
        if row is not None and seen.sees(row.view):
            found.append((row, (yield from _trigger(row))))
    return found


def _trigger(row: WorkflowRow) -> Program[Trigger]:
    assert row.view.published_version is not None
    version = yield from definitions.version(row.number, row.view.published_version)
    return Trigger() if version is None else version.definition.trigger


def _with_schema(seen: Seen, word: str) -> Program[tuple[WorkflowRow, dict[str, Any] | None]]:
    row = yield from changes.find(seen, word)
    if row.view.published_version is None:
        return row, None
    version = yield from definitions.version(row.number, row.view.published_version)
    return row, None if version is None else version.definition.input_schema


def _waiting(
    organization: int, accounts: frozenset[int] | None, event: str, slug: str, after: tuple[str, str]
) -> Program[tuple[list[tuple[str, str]], tuple[str, str] | None]]:
    """Some runs and paths that wait for an event, and after which the next ones come (None: there are no more)."""
    rows = yield Fetch(SQL["wait.page"], (organization, event, *after, AT_ONCE))
    found = []
    for run_id, path, account in rows:
        if accounts is not None and account not in accounts:
            continue
        if slug:
            run = yield from runs_rows.get(organization, run_id)
            if run is None or path not in run.progress.runs or not _listens(run.progress.runs[path].input, slug):
                continue
        found.append((run_id, path))
    return found, (rows[-1][0], rows[-1][1]) if len(rows) == AT_ONCE else None


def _is_known(organization: int, key: str) -> Program[bool]:
    rows = yield Fetch(SQL["key.get"], (organization, 0, key))
    return bool(rows)


def _listens(config: Any, slug: str) -> bool:
    """Whether a node that waits for an event waits for it from this application, or from any."""
    named = config.get("application") if isinstance(config, dict) else None
    return not isinstance(named, str) or slug_of(named) in ("", slug)


def _put_key(parameters: Sequence[Any]) -> Program[None]:
    yield Fetch(SQL["key.take"], parameters)

"""Starting a run once for an event, a webhook or a schedule's moment, whatever dies meanwhile.

What makes it once is the run's id: it is settled before the run is started (it follows from the moment, or is written
with the key), and the ledger takes an id once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from gesta.access.face import Access
from gesta.access.model import Account, Environment, Organization, Principal, Scope
from gesta.kernel.clock import Clock
from gesta.kernel.crash import reach
from gesta.kernel.errors import Conflict, NotFound
from gesta.kernel.ids import IdSource, hex_id
from gesta.kernel.slugs import slug_of
from gesta.ledger.records import Source
from gesta.storage.program import Database, Fetch, Program
from gesta.workflows.definitions.rows import WorkflowRow
from gesta.workflows.face import Started, StartRun
from gesta.workflows.graph.definition import Trigger
from gesta.workflows.runs.desk import RUN_ID_DIGITS, RunDesk
from gesta.workflows.runs.service import RunService
from gesta.workflows.triggers.checking import stored_key
from gesta.workflows.triggers.rows import SQL, ScheduleRow
from gesta.workflows.triggers.schedules import US

Start = Callable[[str | None], Coroutine[Any, Any, Started]]
#: Of keys that are not the caller's own.
_ONCE = "once"


class Once(msgspec.Struct, frozen=True, kw_only=True):
    """What may start a run once until a moment, whatever key comes with it."""

    key: str
    until_us: int


class Starter:
    def __init__(
        self,
        *,
        database: Database,
        access: Access,
        clock: Clock,
        ids: IdSource,
        runs: RunDesk,
        service: RunService,
    ) -> None:
        self._database = database
        self._access = access
        self._clock = clock
        self._ids = ids
        self._runs = runs
        self._service = service

    async def keyed(
        self,
        workflow: WorkflowRow,
        prefix: str,
        key: str | None,
        window_s: float | None,
        start: Start,
        *,
        once: Once | None = None,
    ) -> Started | None:
        """Start a run for a key, or None where the key, or `once`, has one already. Without either it is always
        started."""
        organization, now_us = workflow.view.organization, self._clock.now_us()
        keys: dict[str, int | None] = {}
        if once is not None:
            keys[stored_key(f"{prefix} {_ONCE}", once.key)] = once.until_us
        if key is not None:
            keys[stored_key(prefix, key)] = None if window_s is None else now_us + int(window_s * US)
        if not keys:
            return await start(None)
        wanted = hex_id(self._ids, RUN_ID_DIGITS)
        run_id = await self._database.write(
            lambda: _taken(organization, workflow.number, keys, wanted, now_us), key=organization
        )
        reach("workflows.key.taken")
        # Whoever took the key may have died before the run was there.
        if run_id != wanted and await self._exists(organization, run_id):
            return None
        return await self._once(organization, run_id, start)

    async def scheduled(self, row: ScheduleRow, workflow: WorkflowRow, moment_us: int) -> Started | None:
        """Start the run of a schedule's moment, or None where it was started already. Raises Conflict, InvalidInput
        and NotFound for what cannot be started now, and could not later."""
        key = f"schedule:{row.id}:{moment_us}"
        said: dict[str, Any] = {"idempotency_key": key, "initiated_by_type": "system", "initiated_by_id": None}
        request = StartRun(
            workflow=workflow.view.id,
            input=row.schedule.input,
            source=Source.SCHEDULE,
            attributes=said,
            correlation=correlation_of(workflow, Trigger()),
        )
        run_id = hashlib.sha256(f"{row.organization}:{key}".encode()).hexdigest()[:RUN_ID_DIGITS]
        principal = await self._principal(row)

        async def start(run_id: str | None) -> Started:
            asked = msgspec.structs.replace(request, run_id=run_id)
            if principal is None:
                return await self._runs.start_workflow(workflow, asked)
            return await self._runs.start(principal, asked)

        if await self._exists(row.organization, run_id):
            return None
        return await self._once(row.organization, run_id, start)

    async def _once(self, organization: int, run_id: str, start: Start) -> Started | None:
        try:
            return await start(run_id)
        except Conflict:
            if await self._exists(organization, run_id):
                return None
            raise

    async def _exists(self, organization: int, run_id: str) -> bool:
        return await self._service.ledger.get(organization, run_id) is not None

    async def _principal(self, row: ScheduleRow) -> Principal | None:
        """Who a schedule starts runs for: the account, or the environment, of who made it; or nobody in particular."""
        if not row.account and not row.schedule.environment:
            return None
        account: Account | None = None
        if row.account:
            account = await self._access.account_by_id(row.organization, row.account)
            if account is None:
                raise NotFound(f"The account of schedule {row.id} is gone.", what="account")
        environment = Environment(row.schedule.environment) if row.schedule.environment else None
        return Principal(
            organization=await self._organization(row.organization),
            identity_id=0,
            identity_name="schedule",
            credential_id=0,
            scopes=frozenset({Scope.RUN}),
            account=account,
            environment=environment,
        )

    async def _organization(self, organization: int) -> Organization:
        return next(each for each in await self._access.organizations() if each.id == organization)


def attributes_of(workflow: WorkflowRow, trigger: Trigger) -> dict[str, Any]:
    """What a run says of the application that started it."""
    said: dict[str, Any] = {}
    if trigger.application is not None:
        said["trigger_application"] = trigger.application
        if workflow.view.application is None:
            said["application"] = trigger.application
    return said


def correlation_of(workflow: WorkflowRow, trigger: Trigger) -> dict[str, str]:
    """The application by which the run is found."""
    named = workflow.view.application or trigger.application
    slug = "" if named is None else slug_of(named.name or named.id or "")
    return {"application": slug} if slug else {}


def _taken(organization: int, workflow: int, keys: Mapping[str, int | None], run_id: str, now_us: int) -> Program[str]:
    """The run that the keys stand for: the first one's that has one, else this. From now on it is that of each."""
    free = []
    taken = None
    for key in keys:
        rows = yield Fetch(SQL["key.get"], (organization, workflow, key))
        if not rows or (rows[0][1] is not None and rows[0][1] <= now_us):
            free.append(key)
        elif taken is None:
            taken = str(rows[0][0])
    stands_for = run_id if taken is None else taken
    for key in free:
        yield Fetch(SQL["key.take"], (organization, workflow, key, stands_for, b"", keys[key]))
    return stands_for

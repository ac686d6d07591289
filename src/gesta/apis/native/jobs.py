"""The routes of jobs: one action on every run that a filter admits."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Principal, Scope
from gesta.apis.common.services import Services
from gesta.apis.native import params
from gesta.apis.native.bodies import JSON, content_type, read_body
from gesta.apis.native.codec import check_json, decode_model
from gesta.apis.native.definitions import answer, path_word
from gesta.apis.native.executors import Enter
from gesta.apis.native.reads import Reads
from gesta.apis.native.workflow_codec import view_job
from gesta.apis.native.workflow_models import BulkModel, RunFilterModel
from gesta.kernel.errors import InvalidInput, NotFound, Unavailable
from gesta.ledger.lifecycle import TERMINAL
from gesta.ledger.query import Cursor
from gesta.ledger.records import Kind, Status
from gesta.workflows.jobs_face import MOST_RUNS, JobAction, JobIn, Jobs

PAGE_ROWS = 1000
LIST: dict[str, params.Param] = {"limit": params.integer_param(1, 200, "So many of the newest.", 50)}

# What each action is for, unless the filter says its statuses.
STATUSES = {
    JobAction.STOP: sorted(set(Status) - TERMINAL),
    JobAction.RETRY: [Status.FAILED, Status.CANCELLED, Status.TIMED_OUT],
    JobAction.RERUN: [Status.FAILED, Status.CANCELLED, Status.TIMED_OUT],
}


class JobRoutes:
    """The handlers. `enter` authenticates and reads the query."""

    def __init__(self, services: Services, reads: Reads, enter: Enter) -> None:
        self._services = services
        self._reads = reads
        self._enter = enter

    @property
    def _door(self) -> Jobs:
        door = self._services.runs_workflows.jobs
        if door is None:
            raise Unavailable("This server carries out no jobs.")
        return door

    async def bulk(self, request: Request) -> Response:
        principal, _ = await self._enter(request, {})
        principal.require(Scope.RUN)
        content_type(request, JSON)
        posted = decode_model(await read_body(request, self._services.limits), BulkModel)
        if posted.input is not msgspec.UNSET:
            check_json(posted.input, "input")
        door = self._door
        runs = await self._runs(principal, posted.action, posted.filter)
        job = JobIn(action=posted.action, runs=tuple(runs), input=posted.input, from_node=posted.from_node)
        return answer(view_job(await door.create(principal, job)), 202)

    async def _runs(self, principal: Principal, action: JobAction, wanted: RunFilterModel) -> list[str]:
        """The ids of the runs that the filter admits now. Raises InvalidInput for no condition and for too many runs,
        NotFound for an id or an account that the caller does not see."""
        said = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
        if not said:
            raise InvalidInput("`filter` needs a condition: it does not mean every run.", field="filter")
        if "ids" in said:
            if len(said) > 1:
                raise InvalidInput("`ids` stands alone.", field="filter.ids")
            return [await self._one(principal, run_id) for run_id in dict.fromkeys(said["ids"])]
        given = {name: self._parsed(name, value) for name, value in said.items()}
        given["status"] = said.get("status") or STATUSES[action]
        given["kind"] = [Kind.RUN]
        query = await self._reads.filter(principal, given)
        found: list[str] = []
        after: Cursor | None = None
        while query is not None:
            rows = await self._services.reading.seek(principal, query, after=after, limit=PAGE_ROWS)
            found += [row.id for row in rows.rows]
            if len(found) > MOST_RUNS:
                raise InvalidInput(
                    f"More than {MOST_RUNS} runs fit; narrow it, by `created_from` and `created_to` for one.",
                    field="filter",
                )
            after = rows.next
            if after is None:
                break
        return found

    async def _one(self, principal: Principal, run_id: str) -> str:
        row = await self._reads.find(principal, run_id, _reach(principal))
        if row.kind is not Kind.RUN:
            raise NotFound(f"Execution {run_id[:128]} not found.")
        return row.id

    def _parsed(self, name: str, value: Any) -> Any:
        """As a query parameter of the list would have it."""
        if name in ("status", "source", "environment"):
            return value
        try:
            parsed = params.LIST[name].parse(value, name)
        except InvalidInput as error:
            raise InvalidInput(error.message, field=f"filter.{name}") from None
        check_json(value, f"filter.{name}")
        return [parsed] if name == "account" else parsed

    async def jobs(self, request: Request) -> Response:
        principal, given = await self._enter(request, LIST)
        found = await self._door.list(principal, limit=given["limit"])
        return answer({"items": [view_job(job) for job in found]})

    async def job(self, request: Request) -> Response:
        principal, _ = await self._enter(request, {})
        return answer(view_job(await self._door.get(principal, path_word(request, "id", "job"))))

    async def cancel(self, request: Request) -> Response:
        principal, _ = await self._enter(request, {})
        return answer(view_job(await self._door.cancel(principal, path_word(request, "id", "job"))))


def _reach(principal: Principal) -> dict[str, Any]:
    return {} if principal.environment is None else {"environment": principal.environment}

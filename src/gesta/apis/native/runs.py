"""The routes of runs: started, watched, stopped, resumed, run again, paid back. Lists, timelines and streams are those
of every execution: `GET /ledger/executions?kind=run`."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import AccountType, Environment, Principal, Scope
from gesta.apis.common.services import Services
from gesta.apis.native import params
from gesta.apis.native.auth import Directory, one_header
from gesta.apis.native.bodies import JSON, content_type, read_body
from gesta.apis.native.codec import check_json, decode_model, view_execution
from gesta.apis.native.definitions import answer
from gesta.apis.native.executors import KEY_HEADER, Enter
from gesta.apis.native.reads import Reads
from gesta.apis.native.run_tree import view_batches, view_recorded, view_tree, view_waits
from gesta.apis.native.workflow_codec import answer_of, decode_definition, name_of, view_checkout
from gesta.apis.native.workflow_models import RefundModel, RerunModel, ResumeModel, StartRunModel
from gesta.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from gesta.ledger.lifecycle import TERMINAL
from gesta.ledger.records import Execution, Kind, Mode, RunDetail, Source, Status
from gesta.workflows.face import Runs, RunView, Started, StartRun

T = TypeVar("T", bound=msgspec.Struct)

RUN: dict[str, params.Param] = {
    **params.GET,
    "rounds": params.integer_param(0, 1000, "Of each container, so many of its first rounds.", 20),
    "payloads": params.boolean_param("Whether nodes show their inputs and outputs. True by default."),
}
BATCHES: dict[str, params.Param] = {
    **params.GET,
    "node": params.text_param("The container: its id, or its path within another's rounds.", "pay_lines"),
    "status": params.text_param("Only rounds of this status.", "failed"),
    "limit": params.integer_param(1, 1000, "Rounds of the page.", 50),
    "offset": params.integer_param(0, 2**31 - 1, "Rounds to pass over.", 0),
}


# What the engine's words for what a run is started with are in this dialect's body.
_FIELDS = {"runId": "id", "payload": "input", "idempotencyKey": "Idempotency-Key"}


class RunRoutes:
    """The handlers. `enter` authenticates and reads the query."""

    def __init__(self, services: Services, directory: Directory, reads: Reads, enter: Enter) -> None:
        self._services = services
        self._directory = directory
        self._reads = reads
        self._enter = enter

    @property
    def _runs(self) -> Runs:
        return self._services.runs_workflows.runs

    async def _body(self, request: Request, model: type[T]) -> T:
        content_type(request, JSON)
        return decode_model(await read_body(request, self._services.limits), model)

    async def _run(self, request: Request, allowed: dict[str, params.Param] = params.GET) -> Any:
        """The caller, the run, and the parameters. Raises NotFound for what is no run."""
        principal, given = await self._enter(request, allowed)
        run_id = request.path_params["id"]
        row = await self._reads.find(principal, run_id, given)
        if row.kind is not Kind.RUN:
            raise NotFound(f"Execution {run_id[:128]} not found.")
        return principal, row, given

    # -- starting

    async def start(self, request: Request) -> Response:
        principal, _ = await self._enter(request, {})
        principal.require(Scope.RUN)
        content_type(request, JSON)
        key = one_header(request, KEY_HEADER)
        posted = await self._body(request, StartRunModel)
        asked = await self._asked(posted, key)
        principal = await self._for_account(principal, posted.account, posted.environment)
        try:
            started = await self._runs.start(principal, asked)
        except InvalidInput as error:
            if "errors" not in error.details:  # those of a schema name places in the input
                error.field = _FIELDS.get(error.field or "", error.field)
            raise
        return await self._started(principal, started, posted.wait_s)

    async def _asked(self, posted: StartRunModel, key: str | None) -> StartRun:
        """Raises InvalidInput."""
        if (posted.workflow is None) == (posted.definition is None):
            raise InvalidInput("Give a `workflow` (its id or alias), or a `definition`.", field="workflow")
        self._check_wait(posted.wait_s)
        check_json(posted.input, "input")
        check_json(posted.client_safe_metadata, "client_safe_metadata")
        for field in ("id", "name", "external_ref", "source_system", "customer_email", "success_url", "cancel_url"):
            word = getattr(posted, field)
            if word is not None and not word.isprintable():
                raise InvalidInput(f"`{field}` must be printable text.", field=field)
        for field in ("success_url", "cancel_url"):
            word = getattr(posted, field)
            if word is not None and not word.startswith(("http://", "https://")):
                raise InvalidInput(f"`{field}` must begin with http:// or https://.", field=field)
        attributes = {
            name: value
            for name in ("external_ref", "source_system", "client_safe_metadata")
            if (value := getattr(posted, name)) is not None
        }
        definition, name = None, posted.name
        if posted.definition is not None:
            definition = await asyncio.to_thread(decode_definition, posted.definition, posted.form)
            name = name or await asyncio.to_thread(name_of, posted.definition)
        return StartRun(
            workflow=posted.workflow or "",
            definition=definition,
            version=posted.version,
            drafts=posted.drafts,
            input=posted.input,
            mode=Mode.SYNC if posted.wait_s else Mode.ASYNC,
            source=Source.API,
            environment="" if posted.environment is None else posted.environment.value,
            run_id=posted.id,
            key=key,
            name=name,
            attributes=attributes,
            customer_email=posted.customer_email,
            success_url=posted.success_url,
            cancel_url=posted.cancel_url,
        )

    def _check_wait(self, wait_s: float) -> None:
        most_s = self._services.limits.sync_wait_s
        if wait_s > most_s:
            raise InvalidInput(f"`wait_s` may be {most_s:g}, and is {wait_s:g}.", field="wait_s")

    async def _for_account(
        self, principal: Principal, account: str | None, environment: Environment | None
    ) -> Principal:
        """The caller, confined to the linked account that it names. Raises NotFound, Forbidden."""
        if principal.environment not in (None, environment) and environment is not None:
            raise Forbidden(f"This key is for {principal.environment} only.")
        if account is None:
            return principal
        wanted = environment or principal.environment or Environment.PRODUCTION
        (found,) = await self._directory.by_name(principal, account, AccountType.LINKED, wanted)
        return msgspec.structs.replace(principal, account=found)

    async def _started(self, principal: Principal, started: Started, wait_s: float) -> Response:
        """201 for a new run, 200 for a known one; where the caller waits, 200 when it is over or has answered, else
        202."""
        row, status = started.execution, 201 if started.is_new else 200
        is_unpaid = row.status is Status.AWAITING_PAYMENT
        if wait_s and not is_unpaid:
            ended = await self._runs.finished(principal, row.id, timeout_s=wait_s)
            status = 202 if ended is None else 200
            row = ended or await self._services.reading.get(principal, row.id, kind=Kind.RUN)
        elif wait_s:
            status = 202
        shown = {
            "run": await self._execution(principal, row),
            "is_new": started.is_new,
            "is_over": row.status in TERMINAL,
            "answer": answer_of(row),
            "checkout_url": started.checkout_url,
            "client_token": started.client_token,
        }
        return answer(shown, status)

    # -- watching

    async def run(self, request: Request) -> Response:
        principal, row, given = await self._run(request, RUN)
        view = await self._view(principal, row)
        if view is None:
            nodes = view_recorded(row.detail) if isinstance(row.detail, RunDetail) else []
            workflow_id = row.detail.workflow.id if isinstance(row.detail, RunDetail) else ""
            return answer(
                {
                    "run": await self._execution(principal, row),
                    "workflow_id": workflow_id,
                    "version": None,
                    "is_resident": False,
                    "nodes": nodes,
                    "waits": [],
                }
            )
        nodes = view_tree(view, rounds=given["rounds"], payloads=given.get("payloads", True))
        return answer(
            {
                "run": await self._execution(principal, view.execution),
                "workflow_id": view.workflow_id,
                "version": view.version or None,
                "is_resident": True,
                "nodes": nodes,
                "waits": view_waits(view),
            }
        )

    async def _view(self, principal: Principal, row: Execution) -> RunView | None:
        """None for a run that was recorded from elsewhere, or where this process has no workflows."""
        if self._services.workflows is None:
            return None
        try:
            return await self._runs.run(principal, row.id)
        except Conflict:
            return None

    async def batches(self, request: Request) -> Response:
        principal, row, given = await self._run(request, BATCHES)
        node = given.get("node")
        if node is None:
            raise InvalidInput("`node` is required: the container.", field="node", where="query")
        page = await self._runs.batches(
            principal,
            row.id,
            node,
            status=given.get("status", ""),
            offset=given["offset"],
            limit=given["limit"],
        )
        return answer(view_batches(page, given["offset"]))

    # -- acting on

    async def stop(self, request: Request) -> Response:
        principal, row, _ = await self._run(request)
        return answer(await self._execution(principal, await self._runs.stop(principal, row.id)))

    async def retry(self, request: Request) -> Response:
        principal, row, _ = await self._run(request)
        return answer(await self._execution(principal, await self._runs.retry(principal, row.id)))

    async def rerun(self, request: Request) -> Response:
        principal, row, _ = await self._run(request)
        principal.require(Scope.RUN)
        posted = await self._body(request, RerunModel)
        self._check_wait(posted.wait_s)
        if posted.input is not msgspec.UNSET:
            check_json(posted.input, "input")
        started = await self._runs.rerun(principal, row.id, input=posted.input, from_node=posted.from_node)
        return await self._started(principal, started, posted.wait_s)

    async def resume(self, request: Request) -> Response:
        principal, row, _ = await self._run(request)
        principal.require(Scope.RUN)
        posted = await self._body(request, ResumeModel)
        check_json(posted.node, "node")
        check_json(posted.payload, "payload")
        return answer({"resumed": await self._runs.resume(principal, row.id, posted.node, posted.payload)})

    # -- payment

    async def checkout(self, request: Request) -> Response:
        principal, row, _ = await self._run(request)
        return answer(view_checkout(await self._services.runs_workflows.payments.checkout(principal, row.id)))

    async def refund(self, request: Request) -> Response:
        principal, row, _ = await self._run(request)
        principal.require(Scope.RUN)
        posted = await self._body(request, RefundModel)
        check_json(posted.reason, "reason")
        view = await self._services.runs_workflows.payments.refund(principal, row.id, reason=posted.reason)
        return answer(view_checkout(view))

    async def _execution(self, principal: Principal, row: Execution) -> dict[str, Any]:
        return view_execution(row, await self._directory.by_id(principal.organization.id, row.account))

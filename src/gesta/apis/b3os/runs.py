"""`/v1/runs` and the runs of one workflow (protocols/b3os.md §7)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Principal, Scope
from gesta.apis.b3os.bodies import Fields, is_callers_own, posted, resumption, run_id_of
from gesta.apis.b3os.codec import RUN_PREFIX, encode_event
from gesta.apis.b3os.codec_runs import RUN_STATUSES_OF_NAME, encode_run, encode_run_item, printed_run_id
from gesta.apis.b3os.definitions import definition_of
from gesta.apis.b3os.door import Door, encoder, success
from gesta.apis.b3os.parameters import ListQuery, list_query, path_word, run_query, run_words, token_of
from gesta.apis.b3os.stream import Streams
from gesta.apis.common.printed import Printed
from gesta.kernel.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from gesta.kernel.times import format_shortest
from gesta.ledger.records import Event, Execution, Kind, Mode, Source
from gesta.workflows.face import RunView, Started, StartRun
from gesta.workflows.graph.definition import WAITS, Definition, NodeType, TriggerKind

SYNC_S = 60.0
# What is answered after the run's own time is up: it ends by itself then.
SYNC_GRACE_S = 3.0
SYNC_NODES = 20
_NOT_SYNC = WAITS | {NodeType.FOR_EACH, NodeType.EXECUTOR_AWAIT, NodeType.SUB_FLOW}


class Runs:
    """The endpoints. Each authenticates before it looks at anything else of the request."""

    def __init__(self, door: Door, streams: Streams) -> None:
        self._door = door
        self._streams = streams
        self._printed = Printed(encoder.encode)

    # -- starting

    async def run_workflow(self, request: Request) -> Response:
        """A run of a stored workflow, published or not."""
        principal = await self._door.caller(request)
        workflow = self._door.workflow_word(request)
        body = Fields(await posted(request, needs_body=False))
        _check_real(body)
        asked = StartRun(
            workflow=workflow,
            version=body.count("version"),
            drafts=True,
            input=body.document("payload") or {},
            run_id=run_id_of(body.values),
            source=Source.API,
        )
        started = await self._start(principal, asked)
        return success(request, {"runId": printed_run_id(started.execution), "executionId": started.execution.id})

    async def run_definition(self, request: Request) -> Response:
        """A run of a definition that is not stored."""
        principal = await self._door.caller(request)
        asked = self._inline(Fields(await posted(request)))
        started = await self._start(principal, asked)
        return success(request, {"runId": printed_run_id(started.execution), "executionId": started.execution.id})

    async def run_sync(self, request: Request) -> Response:
        """The same, answered when the run is over."""
        principal = await self._door.caller(request)
        asked = self._inline(Fields(await posted(request)))
        assert asked.definition is not None
        _check_sync(asked.definition)
        limited = msgspec.structs.replace(asked.definition, timeout_s=min(asked.definition.timeout_s, SYNC_S))
        asked = msgspec.structs.replace(asked, definition=limited, mode=Mode.SYNC)
        started = await self._start(principal, asked)
        id = started.execution.id
        await self._door.workflows.runs.finished(principal, id, timeout_s=SYNC_S + SYNC_GRACE_S)
        view = await self._door.workflows.runs.run(principal, id)
        shown = encode_run(view.execution, view, organization=principal.organization.public_id)
        ended_us = view.execution.finished_at_us or self._door.services.clock.now_us()
        data = {
            "runId": shown["id"],
            "status": shown["status"],
            "executionState": shown["executionState"],
            "durationMs": max(0, ended_us - view.execution.created_at_us) // 1000,
        }
        return success(request, data, **{key: value for key, value in data.items() if key != "code"})

    def _inline(self, body: Fields) -> StartRun:
        """What an inline definition asks for. Raises InvalidInput: 400228, 400229, 400078."""
        _check_real(body)
        definition = definition_of(body.values.get("definition"))
        if definition.trigger.kind not in (TriggerKind.MANUAL, TriggerKind.WEBHOOK):
            raise InvalidInput(
                f"A run of an inline definition starts by hand: its trigger is `{definition.trigger.kind}`.",
                field="definition",
                problem="trigger",
            )
        properties = body.document("propValues")
        if properties:
            merged = {**definition.properties, **properties}
            definition = msgspec.structs.replace(definition, properties=merged)
        triggered_at = format_shortest(self._door.services.clock.now_us())
        return StartRun(
            definition=definition,
            input={"triggeredAt": triggered_at, **(body.document("payload") or {})},
            run_id=run_id_of(body.values),
            source=Source.API,
        )

    async def _start(self, principal: Principal, asked: StartRun) -> Started:
        try:
            return await self._door.workflows.runs.start(principal, asked)
        except Conflict as error:
            problem = error.details.get("problem")
            if problem not in ("run_id_taken", "archived"):
                raise
            # B3OS calls both malformed requests (protocols/b3os.md §7).
            message = error.message
            if problem == "run_id_taken":
                message = f"There is a run {RUN_PREFIX}{asked.run_id} already; choose another `runId`."
            raise InvalidInput(message, problem=problem) from None

    # -- watching

    async def listing(self, request: Request) -> Response:
        """The runs of the organization, newest first."""
        principal = await self._door.caller(request)
        query = list_query(request.query_params, RUN_STATUSES_OF_NAME)
        return await self._list(request, principal, query)

    async def of_workflow(self, request: Request) -> Response:
        """The runs of one workflow, newest first."""
        principal = await self._door.caller(request)
        query = list_query(request.query_params, RUN_STATUSES_OF_NAME)
        view = await self._door.workflows.definitions.get(principal, self._door.workflow_word(request))
        correlation = {**query.correlation, "workflow_id": view.id}
        return await self._list(request, principal, msgspec.structs.replace(query, correlation=correlation))

    async def _list(self, request: Request, principal: Principal, query: ListQuery) -> Response:
        conditions = self._door.reading.filter(
            principal,
            kinds=frozenset({Kind.RUN}),
            statuses=query.statuses,
            correlation=query.correlation,
            created_from_us=query.created_from_us,
            created_to_us=query.created_to_us,
        )
        rows, more = await self._door.page(principal, query, conditions)
        organization = principal.organization.public_id
        items = [self._printed.of(row, partial(encode_run_item, row, organization=organization)) for row in rows]
        return success(request, {"items": items, "limit": query.limit, "offset": query.offset, **more})

    async def get(self, request: Request) -> Response:
        """One run with the state of its nodes and its definition."""
        principal = await self._door.caller(request)
        query = run_query(request.query_params)
        execution = await self._door.run(principal, request)
        view = await self._view(principal, execution)
        shown = self._encode(principal, execution, view, summary=query.summary, node_ids=query.node_ids)
        if view is not None and view.waits and principal.allows(Scope.RUN):
            shown["resumeSecret"] = await self._door.workflows.runs.wait_secret(principal, execution.id)
        return success(request, shown)

    async def _view(self, principal: Principal, execution: Execution) -> RunView | None:
        """None for a run that was recorded from elsewhere, or where this process has no workflows."""
        if self._door.services.workflows is None:
            return None
        try:
            return await self._door.workflows.runs.run(principal, execution.id)
        except (Conflict, NotFound):
            return None

    def _encode(
        self,
        principal: Principal,
        execution: Execution,
        view: RunView | None,
        *,
        summary: bool = False,
        node_ids: frozenset[str] = frozenset(),
    ) -> dict[str, Any]:
        newest = execution if view is None else view.execution
        organization = principal.organization.public_id
        return encode_run(newest, view, organization=organization, summary=summary, node_ids=node_ids)

    async def stream(self, request: Request) -> Response:
        """One run as a stream: all of it, then each change with the event that tells it."""
        principal = await self._door.caller(request)
        id, may_come = await self._to_watch(principal, request)
        organization = principal.organization.public_id

        async def show(execution: Execution, events: Sequence[Event], is_whole: bool) -> dict[str, Any]:
            view = await self._view(principal, execution) if is_whole else None
            run = encode_run(execution, view, organization=organization, summary=not is_whole)
            told = [encode_event(event, execution, organization=organization) for event in events]
            return {"run": run, "events": told} if is_whole else {"run": run, "event": told[0] if told else None}

        async def allowed() -> None:
            await self._door.caller(request)

        return await self._streams.open(
            request, principal, id, may_come=may_come, word="run", show=show, allowed=allowed
        )

    async def _to_watch(self, principal: Principal, request: Request) -> tuple[str, bool]:
        """The execution that the path names, and whether it may be one that its caller has yet to start: an id such as
        only callers make. Raises NotFound."""
        try:
            return (await self._door.run(principal, request)).id, False
        except NotFound:
            text = request.path_params["id"]
            if not is_callers_own(text):
                raise
            return text.removeprefix(RUN_PREFIX), True

    # -- acting on

    async def cancel(self, request: Request) -> Response:
        """Ask a run to stop. 409 for one that is over."""
        principal = await self._door.caller(request)
        execution = await self._door.run(principal, request)
        principal.require(Scope.RUN)
        stopped = await self._door.workflows.runs.stop(principal, execution.id)
        return success(request, self._encode(principal, stopped, await self._view(principal, stopped)))

    async def retry(self, request: Request) -> Response:
        """Go on with a run from where it failed. 409 for one that did not fail and was not cancelled."""
        principal = await self._door.caller(request)
        execution = await self._door.run(principal, request)
        principal.require(Scope.RUN)
        again = await self._door.workflows.runs.retry(principal, execution.id)
        shown = self._encode(principal, again, await self._view(principal, again))
        return success(request, {**shown, "runId": shown["id"]})

    async def resume(self, request: Request) -> Response:
        """Wake a node that waits for a webhook or a person: by the run's secret, or by an API key."""
        node = path_word(request.path_params["nodeId"], "node")
        if "secret" in request.query_params:
            woken = await self._resume_by_secret(request, node)
        else:
            principal = await self._door.caller(request)
            path, payload = resumption(await posted(request, needs_body=False), node)
            execution = await self._door.run(principal, request)
            woken = await self._door.workflows.runs.resume(principal, execution.id, path, payload)
        data = {"action": "resumed" if woken else "skipped", "reason": "" if woken else "The node does not wait."}
        return success(request, data, **data)

    async def _resume_by_secret(self, request: Request, node: str) -> bool:
        self._door.admit_address("b3os", request)
        secret = token_of(request.query_params, "secret")
        words = run_words(request.path_params["id"])
        path, payload = resumption(await posted(request, needs_body=False), node)
        for word in words:
            try:
                return await self._door.workflows.runs.resume_by_secret(word, path, secret, payload)
            except (NotFound, Unauthenticated) as error:
                if isinstance(error, NotFound) and error.what == "node":
                    raise
                continue
        # One answer for both: nobody learns without the secret whether there is such a run.
        raise Unauthenticated("The secret is not this run's, or there is no such run.", reason="client_token")


def _check_real(body: Fields) -> None:
    """Gesta performs what it runs: there is no simulation to ask for."""
    for name in ("simulate", "dustTest"):
        if body.flag(name):
            raise InvalidInput(
                f"`{name}` cannot be true: this server does not simulate runs.", field=name, problem="body"
            )


def _check_sync(definition: Definition) -> None:
    """Raises InvalidInput for what could take longer than a caller waits."""
    why = None
    waiting = next((node for node in definition.nodes if node.type in _NOT_SYNC), None)
    if len(definition.nodes) > SYNC_NODES:
        why = f"it has {len(definition.nodes)} nodes, and may have {SYNC_NODES}"
    elif waiting is not None:
        why = f"node `{waiting.id}` waits or loops (`{waiting.type}`)"
    elif definition.price is not None:
        why = "it has to be paid first"
    if why is not None:
        message = f"This cannot run synchronously: {why}. `POST /v1/runs` starts it."
        raise InvalidInput(message, field="definition", problem="sync")

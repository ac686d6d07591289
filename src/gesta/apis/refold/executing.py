"""Workflows are executed, executions are stopped, run again and asked for what they answered (protocols/refold.md §2,
§5)."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Scope as Right
from gesta.apis.common.services import Services
from gesta.apis.refold import listing
from gesta.apis.refold.calls import (
    Caller,
    check_is_private,
    enter,
    find_workflow,
    flag_of,
    json_answer,
    read_json,
    read_object,
    text_in,
    word_of,
)
from gesta.apis.refold.errors import InvalidWorkflow, NoBatches, WorkflowNotFound, WorkflowPrivate
from gesta.apis.refold.paging import PageOf, envelope, read_page
from gesta.apis.refold.vocabulary import BATCH_STATUS_OUT, NODE_STATUS_IN, STATUS_OUT
from gesta.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from gesta.kernel.slugs import slug_of
from gesta.ledger.lifecycle import TERMINAL
from gesta.ledger.records import Execution, Mode, RunDetail, Status
from gesta.workflows.face import StartRun, WorkflowView
from gesta.workflows.graph.definition import MOST_ITEMS, NodeType
from gesta.workflows.graph.progress import NodeRun

STARTED = "Workflow execution started"
QUEUED = "Execution queued"
STOPPING = "Stopping instance"
# What a request says of who sends it is not the workflow's to show.
_HIDDEN_HEADERS = frozenset({"authorization", "x-api-key", "cookie", "proxy-authorization"})
# Statuses that may have no body; every answer of this dialect has one.
_BODILESS = frozenset({204, 205, 304})
_OPEN_WORD = "Ready"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the headers of an execute call say, or its query."""

    is_sync: bool
    slug: str
    config_id: str
    tag: str
    shows_headers: bool


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has said so far. `status_code` None: no Response node has."""

    value: Any
    status_code: int | None
    error: str | None


class Executing:
    def __init__(self, services: Services) -> None:
        self._services = services

    # -- starting

    async def execute(self, request: Request) -> Response:
        caller = await enter(self._services.access, request)
        caller.principal.require(Right.RUN)
        asked = read_asked(request, caller)
        payload = unwrapped(await read_json(request))
        doors = self._services.runs_workflows
        view = await self._workflow(caller, request.path_params["workflow_id"])
        _check_slug(view, asked.slug)
        if view.published_version is None:
            raise InvalidWorkflow("Workflow is not published; publish it before it is executed", field="workflow_id")
        if asked.is_sync:
            await self._check_sync(caller, view)
        try:
            started = await doors.runs.start(caller.principal, _request_of(view, asked, payload, caller))
        except Forbidden as error:
            if "workflow" in error.details:
                raise WorkflowPrivate() from None
            raise
        more: dict[str, Any] = {"headers": _shown_headers(request)} if asked.shows_headers else {}
        if started.checkout_url is not None:
            more["checkout_url"] = started.checkout_url
        run_id = started.execution.id
        if not asked.is_sync or started.checkout_url is not None:
            status = 202 if asked.is_sync else 200
            return json_answer({"message": STARTED, "execution_id": run_id} | more, status)
        return await self._wait(caller, run_id, more)

    async def _workflow(self, caller: Caller, word: str) -> WorkflowView:
        definitions = self._services.runs_workflows.definitions
        try:
            return (await find_workflow(definitions, caller.principal, word)).view
        except WorkflowNotFound:
            await check_is_private(self._services.access, definitions, caller, word)
            raise

    async def _check_sync(self, caller: Caller, view: WorkflowView) -> None:
        version = await self._services.runs_workflows.definitions.version(
            caller.principal, view.id, view.published_version
        )
        group = next((node for node in version.definition.nodes if node.type is NodeType.FOR_EACH), None)
        if group is not None:
            raise InvalidInput(
                f"A workflow with a group node (`{group.id}`) cannot be executed with `sync_execution`",
                field="sync_execution",
                where="header",
            )

    async def _wait(self, caller: Caller, run_id: str, more: dict[str, Any]) -> Response:
        """The answer of the run, or 202 while it goes on."""
        runs = self._services.runs_workflows.runs
        done = await runs.finished(caller.principal, run_id, timeout_s=self._services.limits.sync_wait_s)
        if done is None:
            waiting = {"message": STARTED, "execution_id": run_id, "status": STATUS_OUT[Status.RUNNING]}
            return json_answer(waiting | more, 202)
        answered = await self._answered(caller, done)
        status = http_status_of(answered)
        body = {
            "execution_id": run_id,
            "return_value": answered.value,
            "errored": answered.error is not None,
            "status_code": 200 if answered.status_code is None else answered.status_code,
            "executed_by_thanos": False,
            "execution_error": None if answered.error is None else {"message": answered.error},
        }
        return json_answer(body | more, status)

    # -- reading

    async def response(self, request: Request) -> Response:
        """What the Response node said, or else the run's output; null until there is any."""
        caller, row = await self._execution(request)
        answered = await self._answered(caller, row)
        return json_answer({"response": answered.value, "status": STATUS_OUT[row.status]})

    async def batches(self, request: Request) -> Response:
        caller, row = await self._execution(request)
        page = read_page(caller.query.get("page"), caller.query.get("limit"))
        status = _batch_status(caller.query.get("status", ""))
        try:
            rounds, total = await self._rounds(caller, row, request.path_params["node_id"], status, page)
        except Conflict:
            raise NoBatches() from None
        docs = [_batch(number, run) for number, run in rounds]
        return json_answer(envelope(docs, total, page))

    async def _rounds(
        self, caller: Caller, row: Execution, node: str, status: str, page: PageOf
    ) -> tuple[list[tuple[int, NodeRun]], int]:
        runs = self._services.runs_workflows.runs
        if status == _OPEN_WORD:
            # One word of Refold's for several of Gesta's.
            everything = await runs.batches(caller.principal, row.id, node, offset=0, limit=MOST_ITEMS)
            found = [each for each in everything.rounds if BATCH_STATUS_OUT[each[1].status] == _OPEN_WORD]
            return found[page.offset : page.offset + page.limit], len(found)
        word = NODE_STATUS_IN[status] if status else ""
        asked = await runs.batches(
            caller.principal, row.id, node, status=word, offset=page.offset, limit=max(1, page.limit)
        )
        return list(asked.rounds)[: page.limit], asked.total

    async def _execution(self, request: Request) -> tuple[Caller, Execution]:
        caller = await enter(self._services.access, request)
        row = await listing.get(self._services.reading, caller.principal, request.path_params["execution_id"])
        if row is None:
            raise NotFound("Execution not found", what="execution")
        return caller, row

    async def _answered(self, caller: Caller, row: Execution) -> Answered:
        detail = row.detail
        assert isinstance(detail, RunDetail)
        if self._services.workflows is None:
            return Answered(value=detail.response_payload, status_code=None, error=_error_of(row, detail))
        try:
            view = await self._services.workflows.runs.run(caller.principal, row.id)
        except Conflict:
            # Recorded from elsewhere: what was recorded is all there is.
            return Answered(value=detail.response_payload, status_code=None, error=_error_of(row, detail))
        progress = view.progress
        answer = None if progress is None else progress.answer
        if answer is not None:
            return Answered(value=answer.body, status_code=answer.status_code, error=_error_of(row, detail))
        output = None if progress is None or not progress.is_over else progress.output
        return Answered(value=output, status_code=None, error=_error_of(row, detail))

    # -- acting on

    async def stop(self, request: Request) -> Response:
        caller, row = await self._execution(request)
        caller.principal.require(Right.RUN)
        if row.status not in TERMINAL:
            try:
                await self._services.runs_workflows.runs.stop(caller.principal, row.id)
                return json_answer({"message": STOPPING})
            except Conflict:
                # Either it has just ended, or it is not this server's to stop.
                row = await self._services.reading.get(caller.principal, row.id, kind=row.kind)
                if row.status not in TERMINAL:
                    raise
        word = STATUS_OUT[row.status]
        return json_answer({"message": f"Instance is {word} already; there is nothing to stop", "status": word})

    async def rerun(self, request: Request) -> Response:
        """Refold's pages differ in what is answered, so all four keys are; `from_node` and `payload` are additions."""
        caller, row = await self._execution(request)
        caller.principal.require(Right.RUN)
        posted = await read_object(request)
        node = text_in(posted, "from_node") or caller.query.get("from_node") or None
        started = await self._services.runs_workflows.runs.rerun(
            caller.principal, row.id, input=posted.get("payload", msgspec.UNSET), from_node=node
        )
        run_id = started.execution.id
        return json_answer({"status": "success", "id": run_id, "message": QUEUED, "instanceId": run_id})


def read_asked(request: Request, caller: Caller) -> Asked:
    query = caller.query
    return Asked(
        is_sync=flag_of(request, query, "sync_execution"),
        slug=word_of(request, query, "slug"),
        config_id=word_of(request, query, "config_id"),
        tag=word_of(request, query, "instance_tag"),
        shows_headers=flag_of(request, query, "include-headers"),
    )


def unwrapped(posted: Any) -> Any:
    """The payload: the body, or, where `payload` is all that the body has, what it holds; nothing is an empty object.

    The SDKs send the payload bare, the pages of the API wrap it (protocols/refold.md §5).
    """
    payload = posted["payload"] if isinstance(posted, dict) and set(posted) == {"payload"} else posted
    return {} if payload is None else payload


def http_status_of(answered: Answered) -> int:
    """The Response node's, where an answer with a body can have it; 200 for every other run that ended."""
    code = answered.status_code
    return code if code is not None and 200 <= code <= 599 and code not in _BODILESS else 200


def _request_of(view: WorkflowView, asked: Asked, payload: Any, caller: Caller) -> StartRun:
    attributes: dict[str, Any] = {"config_id": asked.config_id or caller.account.name}
    if asked.tag:
        attributes["external_ref"] = asked.tag
    application = slug_of(view.slug or (view.application.name if view.application else "") or asked.slug)
    return StartRun(
        workflow=view.id,
        input=payload,
        mode=Mode.SYNC if asked.is_sync else Mode.ASYNC,
        attributes=attributes,
        correlation={"application": application} if application else {},
    )


def _check_slug(view: WorkflowView, slug: str) -> None:
    """A slug names the application that the workflow belongs to; one without an application is any's."""
    own = {slug_of(word) for word in (view.slug, view.application.name if view.application else "") if word}
    if slug and own and slug_of(slug) not in own:
        raise InvalidWorkflow(
            f"The workflow belongs to the application {view.slug or sorted(own)[0]}, not to {slug[:64]}", field="slug"
        )


def _shown_headers(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name not in _HIDDEN_HEADERS}


def _error_of(row: Execution, detail: RunDetail) -> str | None:
    if row.status not in TERMINAL or row.status is Status.SUCCEEDED:
        return None
    return detail.error or f"The execution is {STATUS_OUT[row.status]}"


def _batch_status(word: str) -> str:
    """A status of nodes, by any case; empty is no filter."""
    if not word or word.casefold() == "all":
        return ""
    for known in NODE_STATUS_IN:
        if known.casefold() == word.strip().casefold():
            return known
    raise InvalidInput(
        f"`status` is one of All, {', '.join(NODE_STATUS_IN)}; it is {word[:64]!r}", field="status", where="query"
    )


def _batch(number: int, run: NodeRun) -> dict[str, Any]:
    error = {"error": run.error} if run.error else {}
    return {"batch_index": number, "status": BATCH_STATUS_OUT[run.status], "output": run.output} | error

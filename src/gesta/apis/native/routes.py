"""The routes of Gesta's own dialect under `/ledger`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket

from gesta.access.model import Principal
from gesta.apis.common import errors as common_errors
from gesta.apis.common.hot import HotRoute
from gesta.apis.common.services import Services
from gesta.apis.native import export, params
from gesta.apis.native.auth import Directory, authenticate
from gesta.apis.native.bodies import JSON, content_type, read_body
from gesta.apis.native.codec import (
    decode_event,
    decode_model,
    decode_transition,
    encoder,
    view_event,
    view_execution,
)
from gesta.apis.native.definitions import WorkflowRoutes
from gesta.apis.native.errors import allowed_after, render
from gesta.apis.native.executors import ExecutorRoutes
from gesta.apis.native.hub import Hub
from gesta.apis.native.inbound import PATH as HOOKS
from gesta.apis.native.inbound import HookRoutes
from gesta.apis.native.ingest import post_executions
from gesta.apis.native.jobs import JobRoutes
from gesta.apis.native.market import MarketRoutes
from gesta.apis.native.models import EventModel, TransitionModel
from gesta.apis.native.openapi import document
from gesta.apis.native.params import parse_query
from gesta.apis.native.reads import Reads
from gesta.apis.native.runs import RunRoutes
from gesta.apis.native.schedules import TriggerRoutes
from gesta.apis.native.stream import BUCKET, stream_events, stream_websocket
from gesta.apis.native.trading import TradingRoutes
from gesta.apis.native.webhooks import WebhookRoutes
from gesta.kernel.errors import Conflict, InvalidInput
from gesta.kernel.json import decode_json
from gesta.ledger.query import Cursor
from gesta.ledger.records import Execution, NewEvent

MAX_NOTES = 1000
Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Route = tuple[str, Handler, list[str]]


class Native:
    """The handlers. Each authenticates, takes a token of the caller's bucket, then reads its parameters."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._directory = Directory(services.access)
        self._reads = Reads(services, self._directory)
        self.trading = TradingRoutes(services, self._directory, self._reads, self._enter, self._view)
        self.executors = ExecutorRoutes(services, self._directory, self._reads, self._enter)
        self.market = MarketRoutes(services, self._enter)
        self.workflows = WorkflowRoutes(services, self._directory, self._enter)
        self.runs = RunRoutes(services, self._directory, self._reads, self._enter)
        self.jobs = JobRoutes(services, self._reads, self._enter)
        self.triggers = TriggerRoutes(services, self._directory, self._enter)
        self.hooks = HookRoutes(services)
        self.webhooks = WebhookRoutes(services, self._directory, self._enter)
        self.hub = Hub(services.reading, self._directory, heartbeat_s=services.limits.stream_heartbeat_s)
        self._ingest_params = {
            "dialect": params.word_param(
                sorted(services.vendor_codecs), "Rows are that vendor's own execution objects."
            ),
            "results": params.RESULTS,
            "time_zone": params.TIME_ZONE,
        }

    async def _enter(self, request: Request, allowed: dict[str, params.Param]) -> tuple[Principal, dict[str, Any]]:
        principal = await authenticate(self._services.access, request)
        self._services.access.admit(BUCKET, principal.credential_id)
        return principal, parse_query(request.scope["query_string"], allowed)

    async def _view(self, principal: Principal, row: Execution) -> Response:
        account = await self._directory.by_id(principal.organization.id, row.account)
        return _json(self._reads.printed.of(row, partial(view_execution, row, account)))

    async def executions(self, request: Request) -> Response:
        if request.method == "POST":
            principal, given = await self._enter(request, self._ingest_params)
            return await post_executions(
                request,
                self._services,
                principal,
                dialect=given.get("dialect"),
                errors_only=given["results"] == "errors",
                time_zone=given.get("time_zone"),
            )
        principal, given = await self._enter(request, params.LIST)
        return _json(await self._reads.page(principal, given))

    async def execution(self, request: Request) -> Response:
        principal, given = await self._enter(request, params.GET)
        return await self._view(principal, await self._reads.find(principal, request.path_params["id"], given))

    async def events(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._note(request)
        principal, given = await self._enter(request, params.EVENTS)
        row = await self._reads.find(principal, request.path_params["id"], given)
        found = await self._services.reading.events(principal, row, after_seq=given["after_seq"], limit=given["limit"])
        after = found.events[-1].seq if found.has_more and found.events else None
        return _json(
            {
                "items": [view_event(event) for event in found.events],
                "has_more": found.has_more,
                "next_after_seq": after,
            }
        )

    async def _note(self, request: Request) -> Response:
        principal, given = await self._enter(request, params.GET)
        # The execution first: a stranger to it learns nothing but that it is not there, whatever the body.
        row = await self._reads.find(principal, request.path_params["id"], given)
        content_type(request, JSON)
        notes = _decode_notes(await read_body(request, self._services.limits))
        made = await self._services.recording.note(principal, row, notes)
        return _json({"items": [view_event(event) for event in made]}, status=201)

    async def transitions(self, request: Request) -> Response:
        principal, given = await self._enter(request, params.GET)
        row = await self._reads.find(principal, request.path_params["id"], given)
        content_type(request, JSON)
        posted = decode_model(await read_body(request, self._services.limits), TransitionModel)
        change = decode_transition(posted, row.kind)
        try:
            changed = await self._services.recording.transition(principal, row, change)
        except Conflict as error:
            if "current" in error.details:
                error.details["allowed"] = allowed_after(row.kind, error.details["current"])
            raise
        return await self._view(principal, changed)

    async def summary(self, request: Request) -> Response:
        principal, given = await self._enter(request, params.SUMMARY)
        return _json(await self._reads.summary(principal, given))

    async def export(self, request: Request) -> Response:
        principal, given = await self._enter(request, params.EXPORT)
        format: str = given["format"]
        newest_first = given["order"] == "newest"
        query = await self._reads.filter(principal, given)
        first: list[Execution] = []
        after: Cursor | None = None
        if query is not None:
            # Read before the answer begins: what is wrong with the request still has a status.
            found = await self._services.reading.seek(
                principal, query, after=None, limit=export.PAGE_ROWS, newest_first=newest_first
            )
            first, after = found.rows, found.next

        async def pages() -> AsyncIterator[list[Execution]]:
            if query is None or after is None:
                return
            async for rows, _ in self._reads.pages(principal, query, after=after, newest_first=newest_first):
                yield rows

        async def accounts_of(page: export.Page) -> export.Accounts:
            return await self._directory.names(principal.organization.id, (row.account for row in page))

        return StreamingResponse(
            export.stream(format, first, pages(), accounts_of),
            media_type=export.MEDIA_TYPES[format],
            headers={"Content-Disposition": f'attachment; filename="executions.{format}"'},
        )

    async def stream(self, request: Request) -> Response:
        return await stream_events(self._services, self.hub, request)

    async def stream_websocket(self, websocket: WebSocket) -> None:
        await stream_websocket(self._services, self.hub, websocket)


def _decode_notes(body: bytes) -> list[NewEvent]:
    """One event, or an array of at most a thousand. Raises InvalidInput."""
    if body.lstrip(b" \t\r\n")[:1] != b"[":
        return [decode_event(decode_model(body, EventModel))]
    parts = decode_json(body, list[msgspec.Raw])
    if not 0 < len(parts) <= MAX_NOTES:
        raise InvalidInput(f"Post 1 to {MAX_NOTES} events at a time.")
    return [decode_event(decode_model(part, EventModel), path=f"[{place}].") for place, part in enumerate(parts)]


def _json(value: Any, status: int = 200) -> Response:
    return Response(encoder.encode(value), status_code=status, media_type=JSON)


def workflow_routes(native: Native) -> list[Route]:
    """Workflows, runs, jobs, schedules and events. A workflow's alias has no `/`; a run's id from elsewhere may."""
    workflows, runs, jobs, triggers = native.workflows, native.runs, native.jobs, native.triggers
    return [
        ("/ledger/workflows", workflows.workflows, ["GET", "POST"]),
        ("/ledger/workflows/validate", workflows.validate, ["POST"]),
        ("/ledger/workflows/{id}/versions", workflows.versions, ["GET"]),
        ("/ledger/workflows/{id}/versions/{version}", workflows.version, ["GET"]),
        ("/ledger/workflows/{id}/diff", workflows.diff, ["GET"]),
        ("/ledger/workflows/{id}/publish", workflows.publish, ["POST"]),
        ("/ledger/workflows/{id}/unpublish", workflows.unpublish, ["POST"]),
        ("/ledger/workflows/{id}/status", workflows.status, ["POST"]),
        ("/ledger/workflows/{id}/hook-secret", workflows.hook_secret, ["POST"]),
        ("/ledger/workflows/{id}", workflows.workflow, ["GET", "PUT", "DELETE"]),
        ("/ledger/runs", runs.start, ["POST"]),
        ("/ledger/runs/bulk", jobs.bulk, ["POST"]),
        ("/ledger/runs/{id:path}/batches", runs.batches, ["GET"]),
        ("/ledger/runs/{id:path}/stop", runs.stop, ["POST"]),
        ("/ledger/runs/{id:path}/retry", runs.retry, ["POST"]),
        ("/ledger/runs/{id:path}/rerun", runs.rerun, ["POST"]),
        ("/ledger/runs/{id:path}/resume", runs.resume, ["POST"]),
        ("/ledger/runs/{id:path}/checkout", runs.checkout, ["GET"]),
        ("/ledger/runs/{id:path}/refund", runs.refund, ["POST"]),
        ("/ledger/runs/{id:path}", runs.run, ["GET"]),
        ("/ledger/jobs", jobs.jobs, ["GET"]),
        ("/ledger/jobs/{id}/cancel", jobs.cancel, ["POST"]),
        ("/ledger/jobs/{id}", jobs.job, ["GET"]),
        ("/ledger/schedules", triggers.schedules, ["GET", "POST"]),
        ("/ledger/schedules/{id}/pause", triggers.pause, ["POST"]),
        ("/ledger/schedules/{id}/resume", triggers.resume, ["POST"]),
        ("/ledger/schedules/{id}", triggers.schedule, ["GET", "PUT", "DELETE"]),
        ("/ledger/events", triggers.event, ["POST"]),
        (f"{HOOKS}/{{workflow_id}}", native.hooks.hook, ["POST"]),
    ]


def webhook_routes(webhooks: WebhookRoutes) -> list[tuple[str, Handler, list[str]]]:
    one = "/ledger/webhooks/{id}"
    return [
        ("/ledger/webhooks", webhooks.webhooks, ["GET", "POST"]),
        (one, webhooks.webhook, ["GET", "PATCH", "DELETE"]),
        (f"{one}/enable", webhooks.enable, ["POST"]),
        (f"{one}/disable", webhooks.disable, ["POST"]),
        (f"{one}/secret", webhooks.secret, ["POST"]),
        (f"{one}/deliveries", webhooks.deliveries, ["GET"]),
        (f"{one}/deliveries/{{delivery}}", webhooks.delivery, ["GET"]),
        (f"{one}/deliveries/{{delivery}}/retry", webhooks.retry, ["POST"]),
        (f"{one}/deliveries/{{delivery}}/replay", webhooks.replay, ["POST"]),
    ]


def build(services: Services) -> FastAPI:
    """The sub-application. `app.state.close()` ends its streams: await it before the server stops."""
    app = FastAPI(title="Gesta ledger", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    native = Native(services)
    app.router.route_class = HotRoute
    routes: list[Route] = [
        ("/ledger/executions", native.executions, ["GET", "POST"]),
        # Some vendors' ids hold a `/`, which arrives decoded.
        ("/ledger/executions/{id:path}/events", native.events, ["GET", "POST"]),
        ("/ledger/executions/{id:path}/transitions", native.transitions, ["POST"]),
        ("/ledger/executions/{id:path}/bust", native.trading.bust, ["POST"]),
        ("/ledger/executions/{id:path}/correct", native.trading.correct, ["POST"]),
        ("/ledger/executions/{id:path}", native.execution, ["GET"]),
        ("/ledger/executors", native.executors.create, ["POST"]),
        ("/ledger/executors/{id:path}/stop", native.executors.stop, ["POST"]),
        ("/ledger/executors/{id:path}", native.executors.executor, ["GET"]),
        *workflow_routes(native),
        *webhook_routes(native.webhooks),
        ("/ledger/accounts/{name:path}/funds", native.trading.funds, ["GET", "PATCH"]),
        ("/ledger/market", native.market.markets, ["GET"]),
        ("/ledger/market/data", native.market.push, ["POST"]),
        ("/ledger/market/{instrument:path}", native.market.market, ["GET"]),
        ("/ledger/stream", native.stream, ["GET"]),
        ("/ledger/summary", native.summary, ["GET"]),
        ("/ledger/export", native.export, ["GET"]),
    ]
    for path, handler, methods in routes:
        app.router.add_api_route(path, handler, methods=methods, response_model=None)
    app.router.add_api_websocket_route("/ledger/stream", native.stream_websocket)
    common_errors.install(app, render)
    described = document(sorted(services.vendor_codecs))
    app.openapi = lambda: described  # type: ignore[method-assign]
    app.state.close = native.hub.close
    app.state.hub = native.hub
    return app

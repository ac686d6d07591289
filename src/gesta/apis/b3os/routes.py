"""The routes of B3OS under `/v1/executions` (seed 003, protocols/b3os.md §4.3–4.5)."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Principal
from gesta.apis.b3os import openapi
from gesta.apis.b3os.codec import DIALECT, encode, encode_event, message_of
from gesta.apis.b3os.errors import render
from gesta.apis.b3os.parameters import (
    EventsQuery,
    ListQuery,
    bearer_token,
    check_organization,
    events_query,
    list_query,
    path_id,
)
from gesta.apis.common.errors import install, request_id_of
from gesta.apis.common.hot import HotRoute
from gesta.apis.common.printed import Printed
from gesta.apis.common.services import Services
from gesta.ledger.cursor import encode_cursor
from gesta.ledger.query import Filter
from gesta.ledger.records import Execution, Kind

PREFIX = "/v1/executions"
EVENTS_PER_READ = 1000

# Payloads may hold exact numbers; in JSON they are numbers.
_encoder = msgspec.json.Encoder(decimal_format="number")


def success(request: Request, data: Any) -> Response:
    """The envelope of every success (protocols/b3os.md §3)."""
    body = _encoder.encode({"code": 200, "data": data, "message": "success", "requestId": request_id_of(request)})
    return Response(body, media_type="application/json")


class Executions:
    """The endpoints. Each authenticates before it looks at anything else of the request."""

    def __init__(self, services: Services) -> None:
        self._reading = services.reading
        self._access = services.access
        self._printed = Printed(_encoder.encode)

    async def _caller(self, request: Request) -> Principal:
        principal = await self._access.bearer(bearer_token(request.headers.get("authorization")))
        check_organization(request.headers.getlist("x-org-id"), principal.organization.public_id)
        self._access.admit(DIALECT, principal.credential_id)
        return principal

    async def _run(self, principal: Principal, request: Request) -> Execution:
        return await self._reading.get(principal, path_id(request.path_params["id"]), kind=Kind.RUN)

    async def listing(self, request: Request) -> Response:
        """The runs of the organization, newest first."""
        principal = await self._caller(request)
        query = list_query(request.query_params)
        conditions = self._reading.filter(
            principal,
            kinds=frozenset({Kind.RUN}),
            statuses=query.statuses,
            correlation=query.correlation,
            created_from_us=query.created_from_us,
            created_to_us=query.created_to_us,
        )
        rows, more = await self._page(principal, query, conditions)
        organization = principal.organization.public_id
        items = [self._printed.of(row, partial(encode, row, organization=organization)) for row in rows]
        return success(request, {"items": items, "limit": query.limit, "offset": query.offset, **more})

    async def _page(
        self, principal: Principal, query: ListQuery, conditions: Filter
    ) -> tuple[list[Execution], dict[str, Any]]:
        if query.by_cursor:
            found = await self._reading.seek(principal, conditions, after=query.after, limit=query.limit)
            cursor = None if found.next is None else encode_cursor(found.next)
            return found.rows, {"hasMore": cursor is not None, "nextCursor": cursor}
        page = await self._reading.page(principal, conditions, offset=query.offset, limit=query.limit, total=False)
        return page.rows, {"hasMore": page.has_more}

    async def get(self, request: Request) -> Response:
        """One run with its timeline and a sentence about where it stands."""
        principal = await self._caller(request)
        execution = await self._run(principal, request)
        organization = principal.organization.public_id
        data = {
            "execution": self._printed.of(execution, partial(encode, execution, organization=organization)),
            "events": await self._timeline(principal, execution, EventsQuery()),
            "message": message_of(execution),
        }
        return success(request, data)

    async def events(self, request: Request) -> Response:
        """The timeline of one run, oldest first, as a bare array."""
        principal = await self._caller(request)
        query = events_query(request.query_params)
        execution = await self._run(principal, request)
        return success(request, await self._timeline(principal, execution, query))

    async def _timeline(self, principal: Principal, execution: Execution, query: EventsQuery) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        after_seq, has_more = query.after_seq, True
        while has_more and len(events) < query.limit:
            wanted = min(EVENTS_PER_READ, query.limit - len(events))
            read = await self._reading.events(principal, execution, after_seq=after_seq, limit=wanted)
            organization = principal.organization.public_id
            events += [encode_event(event, execution, organization=organization) for event in read.events]
            has_more = read.has_more
            after_seq = read.events[-1].seq if read.events else after_seq
        return events


def build(services: Services) -> FastAPI:
    """The sub-app of this dialect. Its OpenAPI document is `app.openapi()`; no path of it is served by itself."""
    app = FastAPI(
        title="Gesta: workflow executions, in the dialect of B3OS",
        version="1.0.0",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    install(app, render)
    executions = Executions(services)
    # On the application's own router: an included one would be one more step for each request.
    router = app.router
    router.route_class = HotRoute
    for path, endpoint, name, summary, operation in (
        ("", executions.listing, "list_executions", "List executions", openapi.LIST),
        ("/{id}", executions.get, "get_execution", "Get an execution with its events", openapi.GET),
        ("/{id}/events", executions.events, "list_execution_events", "List an execution's events", openapi.EVENTS),
    ):
        router.add_api_route(
            PREFIX + path,
            endpoint,
            methods=["GET"],
            tags=["Executions"],
            summary=summary,
            operation_id=name,
            response_model=None,
            openapi_extra=operation,
        )
    openapi.complete(app)
    return app


__all__ = ["build"]

"""The routes of hummingbot-api under `/executors` (seed 002, protocols/hummingbot.md §11)."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Account, Principal
from gesta.apis.common.errors import install
from gesta.apis.common.hot import HotRoute
from gesta.apis.common.printed import Printed
from gesta.apis.common.services import Services
from gesta.apis.hummingbot import connectors, openapi, operations, positions
from gesta.apis.hummingbot.codec import DIALECT, encode, encode_log
from gesta.apis.hummingbot.errors import render
from gesta.apis.hummingbot.managing import Managing, json_response, marked
from gesta.apis.hummingbot.parameters import LogsQuery, basic_credentials, logs_query
from gesta.kernel.errors import NotFound
from gesta.ledger.records import Event, Execution, Kind

EVENTS_PER_READ = 1000

# A configuration may hold exact numbers; in JSON they are numbers.
_encoder = msgspec.json.Encoder(decimal_format="number")


class Logs(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a timeline as log entries, oldest first; `last_seq` is where it was read to."""

    entries: list[dict[str, Any]]
    total_count: int
    last_seq: int
    has_more: bool = False


class Executors:
    """The endpoints. Each authenticates first, so that 401 wins over every other error."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._reading = services.reading
        self._access = services.access
        self._printed = Printed(_encoder.encode)

    async def caller(self, request: Request) -> Principal:
        username, password = basic_credentials(request.headers.get("authorization"))
        principal = await self._access.basic(username, password)
        self._access.admit(DIALECT, principal.credential_id)
        return principal

    async def executor(self, principal: Principal, executor_id: str) -> Execution:
        missing = NotFound(f"Executor {executor_id[:256]} not found")
        if not executor_id.isprintable():
            raise missing
        try:
            return await self._reading.get(principal, executor_id, kind=Kind.EXECUTOR)
        except NotFound:
            raise missing from None

    async def get(self, request: Request) -> Response:
        """Detailed information about one executor: running or finished, the shape is the same."""
        principal = await self.caller(request)
        execution = await self.executor(principal, request.path_params["executor_id"])
        account = await self._access.account_by_id(execution.organization, execution.account)
        return Response(bytes(self.printed(principal, execution, account)), media_type="application/json")

    def printed(self, principal: Principal, execution: Execution, account: Account | None) -> msgspec.Raw:
        """As JSON. What runs is printed afresh, at current prices: its row has not changed, its profit has."""
        now = marked(self._services, principal, execution)
        if now is not execution:
            return msgspec.Raw(_encoder.encode(encode(now, account)))
        return self._printed.of(execution, partial(encode, execution, account))

    async def logs(self, request: Request) -> Response:
        """The timeline of an executor as log entries, of running and of finished executors alike: the newest `limit`
        of the level, oldest first."""
        principal = await self.caller(request)
        query = logs_query(request.query_params)
        execution = await self.executor(principal, request.path_params["executor_id"])
        newest = await self.newest_logs(principal, execution, query)
        return json_response({"executor_id": execution.id, "logs": newest.entries, "total_count": newest.total_count})

    async def newest_logs(self, principal: Principal, execution: Execution, query: LogsQuery) -> Logs:
        """The newest of the whole timeline."""
        newest: deque[Event] = deque(maxlen=query.limit)
        total_count, after_seq, has_more = 0, 0, True
        while has_more:
            read = await self._reading.events(principal, execution, after_seq=after_seq, limit=EVENTS_PER_READ)
            kept = [event for event in read.events if query.level in (None, event.level)]
            newest.extend(kept)
            total_count += len(kept)
            has_more = read.has_more
            after_seq = read.events[-1].seq if read.events else after_seq
        return Logs(entries=[encode_log(event) for event in newest], total_count=total_count, last_seq=after_seq)

    async def more_logs(self, principal: Principal, execution: Execution, query: LogsQuery, after_seq: int) -> Logs:
        """What follows in the timeline, oldest first: at most `limit` entries and one read, so that more may follow."""
        limit = query.limit if query.level is None else EVENTS_PER_READ
        read = await self._reading.events(principal, execution, after_seq=after_seq, limit=limit)
        kept = [event for event in read.events if query.level in (None, event.level)]
        has_more = read.has_more or len(kept) > query.limit
        last = kept[query.limit - 1 :][:1] if len(kept) > query.limit else read.events[-1:]
        entries = [encode_log(event) for event in kept[: query.limit]]
        last_seq = last[0].seq if last else after_seq
        return Logs(entries=entries, total_count=len(entries), last_seq=last_seq, has_more=has_more)


def build(services: Services) -> FastAPI:
    """The sub-app of this dialect. Its OpenAPI document is `app.openapi()`; no path of it is served by itself."""
    app = FastAPI(
        title="Gesta: executors, in the dialect of hummingbot-api",
        version="1.0.1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    install(app, render)
    executors = Executors(services)
    managing = Managing(services, executors.caller, executors.printed)
    # On the application's own router: an included one would be one more step for each request.
    router = app.router
    router.route_class = HotRoute
    positions.register(router, services)
    connectors.register(router, services)
    # Those with a name of their own stand before those with an id: the first that fits is taken.
    for method, path, endpoint, summary, extra in (
        ("POST", "", managing.create, "Create Executor", operations.CREATE),
        ("POST", "search", managing.search, "List Executors", operations.SEARCH),
        ("GET", "summary", managing.summary, "Get Executors Summary", operations.SUMMARY),
        ("GET", "performance", managing.performance, "Get Performance Report", operations.PERFORMANCE),
        ("GET", "types/available", managing.types, "Get Available Executor Types", operations.TYPES),
        ("GET", "types/{executor_type}/config", managing.config, "Get Executor Config Schema", operations.CONFIG),
        ("GET", "{executor_id}", executors.get, "Get Executor", openapi.GET_EXECUTOR),
        ("GET", "{executor_id}/logs", executors.logs, "Get Executor Logs", openapi.GET_LOGS),
        ("POST", "{executor_id}/stop", managing.stop, "Stop Executor", operations.STOP),
    ):
        router.add_api_route(
            f"/executors/{path}",
            endpoint,
            methods=[method],
            tags=["Executors"],
            summary=summary,
            # As FastAPI makes it of the name of hummingbot-api's function.
            operation_id=summary.lower().replace(" ", "_"),
            status_code=201 if endpoint == managing.create else 200,
            response_model=None,
            openapi_extra=extra,
        )
    openapi.complete(app)
    return app


__all__ = ["build"]

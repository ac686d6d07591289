"""The routes of hummingbot-api under `/executors`, and `/ws/executors` (seed 002, protocols/hummingbot.md §11)."""

from __future__ import annotations

from functools import partial

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
from gesta.apis.hummingbot.codec import DIALECT, encode
from gesta.apis.hummingbot.errors import render
from gesta.apis.hummingbot.managing import Managing, json_response, marked
from gesta.apis.hummingbot.parameters import basic_credentials, logs_query
from gesta.apis.hummingbot.timelines import newest
from gesta.apis.hummingbot.ws_stream import PATH as STREAM_PATH
from gesta.apis.hummingbot.ws_stream import Stream
from gesta.apis.hummingbot.ws_views import Views
from gesta.kernel.errors import NotFound
from gesta.ledger.records import Execution, Kind

# A configuration may hold exact numbers; in JSON they are numbers.
_encoder = msgspec.json.Encoder(decimal_format="number")


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
        found = await newest(self._reading, principal, execution, query)
        return json_response({"executor_id": execution.id, "logs": found.entries, "total_count": found.total_count})


def build(services: Services) -> FastAPI:
    """The sub-app of this dialect. Its OpenAPI document is `app.openapi()`; no path of it is served by itself.
    `app.state.close()` ends its connections: await it before the server stops."""
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
    stream = Stream(services, Views(services, managing, executors.executor, executors.printed))
    # On the application's own router: an included one would be one more step for each request.
    router = app.router
    router.route_class = HotRoute
    positions.register(router, services, on_cleared=stream.changes.cleared)
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
    router.add_api_websocket_route(STREAM_PATH, stream.serve)
    openapi.complete(app)
    app.state.close = stream.close
    app.state.stream = stream
    return app


__all__ = ["build"]

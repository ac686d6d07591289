"""The CrossTrade sub-app: `build(services)`. Every REST path is a row of `commands.COMMANDS`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from gesta.apis.common import errors as common_errors
from gesta.apis.common.hot import HotRoute
from gesta.apis.common.printed import Printed
from gesta.apis.common.services import Services
from gesta.apis.crosstrade import documentation
from gesta.apis.crosstrade.admission import admitted, bearer_of
from gesta.apis.crosstrade.bodies import read_arguments
from gesta.apis.crosstrade.calls import Call
from gesta.apis.crosstrade.commands import (
    COMMANDS,
    ENDPOINTS_PATH,
    OPENAPI_PATH,
    PATHS,
    STREAM_PATH,
    Command,
    endpoints,
)
from gesta.apis.crosstrade.errors import renderer
from gesta.apis.crosstrade.numbers import encode_reply
from gesta.apis.crosstrade.stream import Stream
from gesta.kernel.errors import NotFound

Endpoint = Callable[[Request], Awaitable[Response]]


def build(services: Services) -> FastAPI:
    """The sub-app that serves `/v1/api` and `/ws/stream`, paths as the client sent them. `app.state.close()` ends its
    WebSockets: await it before the server stops."""
    app = FastAPI(
        title="CrossTrade API",
        version="1.0.0",
        openapi_url=OPENAPI_PATH,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    common_errors.install(app, renderer(PATHS))
    printed = Printed(encode_reply)
    for command in COMMANDS:
        app.router.add_api_route(
            _mounted_path(command),
            _endpoint(services, printed, command),
            methods=[command.method],
            name=command.operation_id,
            operation_id=command.operation_id,
            summary=command.summary,
            description=command.description,
            tags=[command.tag],
            response_class=Response,
            openapi_extra=documentation.operation(command),
            route_class_override=HotRoute,
        )
    app.router.add_api_route(
        ENDPOINTS_PATH,
        _endpoints,
        methods=["GET"],
        operation_id="ListEndpoints",
        summary="The commands and their two spellings",
        tags=["about"],
        response_class=Response,
        openapi_extra=documentation.public_operation(),
        route_class_override=HotRoute,
    )
    stream = Stream(services, printed)
    app.add_api_websocket_route(STREAM_PATH, stream.serve)
    app.state.close = stream.close
    app.state.stream = stream
    documentation.install(app)
    return app


def _mounted_path(command: Command) -> str:
    """An id may contain an encoded slash, and Starlette matches decoded paths; `_check_path` counts the real ones."""
    return command.path.replace("Id}", "Id:path}")


def _endpoint(services: Services, printed: Printed, command: Command) -> Endpoint:
    slashes = command.path.count("/")

    async def endpoint(request: Request) -> Response:
        principal = await admitted(services.access, bearer_of(request.headers))
        _check_path(request, slashes)
        args = await read_arguments(request, command)
        body = await command.handler(Call(services=services, principal=principal, printed=printed, args=args))
        return Response(encode_reply(body), media_type="application/json")

    return endpoint


def _check_path(request: Request, slashes: int) -> None:
    """Raise NotFound for a path that is deeper than the command's, or is not as deep because an id holds its last word,
    or ends where an id should stand."""
    raw: bytes = request.scope.get("raw_path") or str(request.scope["path"]).encode()
    if raw.partition(b"?")[0].count(b"/") != slashes or "" in request.path_params.values():
        raise NotFound(f"No route {request.scope['path'][:256]}.", what="route")


async def _endpoints(request: Request) -> Response:
    return Response(encode_reply(endpoints()), media_type="application/json")

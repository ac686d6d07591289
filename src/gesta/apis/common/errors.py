"""One way for every exception to become a dialect's own error body."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from gesta.kernel.errors import CallerError, GestaError, InvalidInput, NotFound, Unavailable

log = structlog.get_logger("gesta.http")

_SECRET = re.compile(r"gwh_[^/]*")

Renderer = Callable[[Request, GestaError], Response]


class MethodNotAllowed(CallerError):
    """The path exists, the method does not. `details["allow"]` is the Allow header."""

    status = 405
    code = "method_not_allowed"


class BodyTimeout(CallerError):
    """The request body did not arrive in time."""

    status = 408
    code = "request_timeout"


class InternalError(GestaError):
    """Something unforeseen; the log has it under the request id."""


def request_id_of(request: Request) -> str:
    """The id that the dispatcher gave this request; it stands in the log and in `X-Request-Id`."""
    return str(request.scope.get("gesta.request_id", ""))


def logged_path(path: str) -> str:
    """A path as logs may have it: without the secret of an inbound webhook, which some dialects' addresses hold."""
    return (_SECRET.sub("gwh_…", path) if "gwh_" in path else path)[:256]


def install(app: FastAPI, render: Renderer) -> None:
    """Every error of the sub-app leaves through `render`, without internals. `renderer_of` gives it back."""
    app.state.render = render

    async def on_gesta(request: Request, error: Exception) -> Response:
        assert isinstance(error, GestaError)
        if not isinstance(error, CallerError):
            log.error("request.failed", request_id=request_id_of(request), error=error.code, message=error.message)
        return render(request, error)

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where, *path = [str(part) for part in first["loc"]]
        field = ".".join(path) or None
        message = f"{field or where}: {first['msg']}"
        return render(request, InvalidInput(message, field=field, where=where, errors=error.errors()))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            return render(request, NotFound(f"No route {request.url.path[:256]}.", what="route"))
        if error.status_code == 405:
            allow = _allowed(request) or (error.headers or {}).get("Allow", "")
            response = render(request, MethodNotAllowed(f"This path allows {allow or 'other methods'}.", allow=allow))
            if allow:
                response.headers["Allow"] = allow
            return response
        if isinstance(error.__cause__, GestaError):
            # FastAPI turns whatever reading the body raises (TooLarge, BodyTimeout) into its own 400.
            return await on_gesta(request, error.__cause__)
        return render(request, InvalidInput(str(error.detail)))

    async def on_anything(request: Request, error: Exception) -> Response:
        log.error(
            "request.crashed", request_id=request_id_of(request), path=logged_path(request.url.path), exc_info=error
        )
        request.scope["gesta.logged"] = True
        return render(request, InternalError("Internal error; the log has it under this request id."))

    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        GestaError: on_gesta,
        RequestValidationError: on_validation,
        HTTPException: on_http,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
    # Starlette re-raises what the `Exception` handler answered, for the server to log; the dispatcher swallows that.
    app.add_exception_handler(Exception, on_anything)


def _allowed(request: Request) -> str:
    """The methods of every route that the path matches: the router's own answer names those of the first alone."""
    routes = [route for route in request.app.router.routes if isinstance(route, Route)]
    matching = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(sorted({method for route in matching for method in route.methods or ()}))


def renderer_of(app: FastAPI) -> Renderer:
    """The renderer that `install` was given, for what is refused before the sub-app sees it."""
    render: Renderer = app.state.render
    return render


def retry_after(error: GestaError) -> dict[str, str]:
    """The Retry-After header of 429 and 503, whole seconds, at least 1."""
    seconds = getattr(error, "retry_after_s", None)
    if seconds is None and not isinstance(error, Unavailable):
        return {}
    return {"Retry-After": str(max(1, -(-int((seconds or 1) * 1000) // 1000)))}

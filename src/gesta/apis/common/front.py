"""The short way in for hot routes: past FastAPI's middleware and router, to the same endpoint (http_stack §4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from gesta.apis.common.hot import HotRoute
from gesta.kernel.errors import GestaError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Handler = Callable[[Request, Exception], Awaitable[Response]]


class Front:
    """An ASGI application in front of a dialect's own.

    A GET of a hot route goes straight to its endpoint, and an exception of the endpoint to the handler that the
    application has for it, so the answers are the same. Everything else takes the application's own way: other methods,
    other paths, WebSockets, and requests of browsers from elsewhere (`Origin`), which are for its CORS middleware.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._handlers: dict[Any, Any] = dict(app.exception_handlers)
        # What the CORS middleware says of every answer, since those to browsers from elsewhere differ.
        middleware: list[Any] = [each.cls for each in app.user_middleware]
        self._varies = CORSMiddleware in middleware
        routes = [route for route in app.router.routes if isinstance(route, HotRoute)]
        # The first route that matches is the one the router would choose, whatever its methods.
        self._routes = [
            (route.path_regex.match, route.param_convertors, "GET" in (route.methods or ()), route) for route in routes
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._route_of(scope)
        if route is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response: Response = await route.endpoint(request)
            foreseen = True
        except Exception as error:
            handler = self._handler_of(error)
            if handler is None:
                raise
            response = await handler(request, error)
            foreseen = isinstance(error, (GestaError, HTTPException))
        if self._varies and foreseen:
            response.headers["vary"] = "Origin"
        await response(scope, receive, send)

    def _route_of(self, scope: Scope) -> HotRoute | None:
        if scope["type"] != "http" or scope["method"] != "GET":
            return None
        for matches, convertors, gets, route in self._routes:
            match = matches(scope["path"])
            if match is None:
                continue
            if not gets or any(name == b"origin" for name, _ in scope["headers"]):
                return None
            scope["path_params"] = {name: convertors[name].convert(text) for name, text in match.groupdict().items()}
            scope["route"] = route
            scope["app"] = self._app
            return route
        return None

    def _handler_of(self, error: Exception) -> Handler | None:
        for kind in type(error).__mro__:
            handler: Handler | None = self._handlers.get(kind)
            if handler is not None:
                return handler
        return None

"""A FastAPI route that keeps its OpenAPI operation and skips FastAPI's per-request machinery (http_stack §4).

The endpoint takes the raw `Request` and returns a prepared `Response`; it must authenticate and validate by itself.
Parameters are documented through `openapi_extra` or `parameters=`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response


class HotRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint

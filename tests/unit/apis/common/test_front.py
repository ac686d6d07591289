"""The short way in answers as the application itself does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gesta.apis.common.errors import install
from gesta.apis.common.front import Front
from gesta.apis.common.hot import HotRoute
from gesta.kernel.errors import GestaError, NotFound, Unavailable


def an_app() -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.add_middleware(CORSMiddleware, allow_origins=["*"])

    def render(request: Request, error: GestaError) -> Response:
        return JSONResponse({"code": error.code, "message": error.message}, error.status)

    install(app, render)
    app.router.route_class = HotRoute

    async def hot(request: Request) -> Response:
        word = request.path_params["word"]
        if word == "missing":
            raise NotFound("none")
        if word == "down":
            raise Unavailable("later")
        if word == "crash":
            raise ZeroDivisionError
        return JSONResponse({"word": word, "query": request.url.query})

    async def post(request: Request) -> Response:
        return JSONResponse({"posted": (await request.body()).decode()})

    app.router.add_api_route("/words/only-post", post, methods=["POST"])
    app.router.add_api_route("/words/{word}", hot, methods=["GET"])
    return app


@pytest.fixture
async def both() -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    app = an_app()
    plain, short = (
        httpx.AsyncClient(
            transport=httpx.ASGITransport(application, raise_app_exceptions=False), base_url="http://gesta.test"
        )
        for application in (app, Front(app))
    )
    async with plain, short:
        yield plain, short


CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/words/a%20b?x=1", {}),
    ("GET", "/words/missing", {}),
    ("GET", "/words/down", {}),
    ("GET", "/words/crash", {}),
    ("GET", "/words/only-post", {}),
    ("GET", "/words", {}),
    ("GET", "/words/a/b", {}),
    ("POST", "/words/a", {}),
    ("POST", "/words/only-post", {"content": b"x"}),
    ("HEAD", "/words/a", {}),
    ("OPTIONS", "/words/a", {"headers": {"Origin": "http://x", "Access-Control-Request-Method": "GET"}}),
    ("GET", "/words/a", {"headers": {"Origin": "http://x"}}),
]


@pytest.mark.parametrize(("method", "path", "more"), CASES)
async def test_the_answers_are_the_same(
    both: tuple[httpx.AsyncClient, httpx.AsyncClient], method: str, path: str, more: dict[str, Any]
) -> None:
    plain, short = both
    expected = await plain.request(method, path, **more)
    found = await short.request(method, path, **more)
    assert (found.status_code, found.content) == (expected.status_code, expected.content)
    assert dict(found.headers) == dict(expected.headers)

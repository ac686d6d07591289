"""What every dialect's errors have in common."""

from __future__ import annotations

import httpx
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gesta.apis.common.errors import install
from gesta.kernel.errors import GestaError


def _render(_: Request, error: GestaError) -> Response:
    return JSONResponse({"said": error.message}, getattr(error, "status", 500))


async def test_a_refused_method_is_told_those_of_every_route_of_the_path() -> None:
    app = FastAPI()
    install(app, _render)

    @app.get("/things/{thing}")
    async def read(thing: str) -> str:
        return thing

    @app.put("/things/{thing}")
    async def write(thing: str) -> str:
        return thing

    @app.delete("/things/one")
    async def drop() -> None:
        return None

    @app.patch("/others/{other}")
    async def patch(other: str) -> str:
        return other

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        reply = await client.post("/things/one")
        assert (reply.status_code, reply.headers["allow"]) == (405, "DELETE, GET, PUT")
        assert reply.json() == {"said": "This path allows DELETE, GET, PUT."}
        assert (await client.post("/things/two")).headers["allow"] == "GET, PUT"

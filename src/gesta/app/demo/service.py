"""The HTTP service that the demo's workflows call: quotes, invoices, notices. It is on this machine only, slow at times
and busy at others, so that retries are to be seen."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gesta.app.demo import shop
from gesta.app.demo.shop import MIDDLES, SLOW_S, Mood
from gesta.kernel.clock import Clock
from gesta.kernel.events import set_within

HOST = "127.0.0.1"
PORT_FILE = "demo-service-port"
_REMEMBERED = 10_000
_GRACE_S = 2


class Service:
    """`app` answers. What is asked again with the same `Idempotency-Key` is another attempt at the same."""

    def __init__(self, seed: int, clock: Clock) -> None:
        self._seed = seed
        self._clock = clock
        self._attempts: OrderedDict[str, int] = OrderedDict()
        self.ending = asyncio.Event()
        self.app = Starlette(
            routes=[
                Route("/pairs", self._pairs),
                Route("/quote", self._quote),
                Route("/invoice", self._invoice, methods=["POST"]),
                Route("/notify", self._notify, methods=["POST"]),
            ]
        )

    async def _pairs(self, request: Request) -> Response:
        now_us = self._clock.now_us()
        return await self._said(request, str(now_us), shop.pairs(self._seed, now_us))

    async def _quote(self, request: Request) -> Response:
        pair, now_us = request.query_params.get("pair", ""), self._clock.now_us()
        if pair not in MIDDLES:
            return JSONResponse({"error": f"The pairs are {', '.join(MIDDLES)}."}, 404)
        return await self._said(request, f"{pair} {now_us}", shop.quote(self._seed, pair, now_us))

    async def _invoice(self, request: Request) -> Response:
        asked = await _object(request)
        return await self._said(request, str(asked.get("order")), shop.invoice(self._seed, asked), 201)

    async def _notify(self, request: Request) -> Response:
        asked = await _object(request)
        return await self._said(request, str(asked.get("text")), {"sent": True}, 202)

    async def _said(self, request: Request, about: str, answer: dict[str, Any], status: int = 200) -> Response:
        mood = shop.mood(self._seed, f"{request.url.path} {about}", self._attempt(request))
        if mood is Mood.BUSY:
            return JSONResponse({"error": "Busy; try again."}, 503)
        if mood is Mood.SLOW:
            await set_within(self.ending, SLOW_S)
        return JSONResponse(answer, status)

    def _attempt(self, request: Request) -> int:
        key = request.headers.get("idempotency-key")
        if key is None:
            return 1
        attempt = self._attempts[key] = self._attempts.pop(key, 0) + 1
        if len(self._attempts) > _REMEMBERED:
            self._attempts.popitem(last=False)
        return attempt


async def _object(request: Request) -> dict[str, Any]:
    try:
        asked = await request.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return asked if isinstance(asked, dict) else {}


class _Server(uvicorn.Server):
    """Whoever started it hears when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answering = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answering.set()


@asynccontextmanager
async def open_service(seed: int, clock: Clock, folder: Path) -> AsyncIterator[str]:
    """Its address, as long as it answers. The port is the one of the last time, if that is free: runs that wait since
    then will call it there."""
    service = Service(seed, clock)
    listener = _listen(folder / PORT_FILE)
    config = uvicorn.Config(
        service.app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config)
    serving = asyncio.create_task(server._serve([listener]), name="demo service")
    answering = asyncio.create_task(server.answering.wait())
    try:
        await asyncio.wait([serving, answering], return_when=asyncio.FIRST_COMPLETED)
        yield f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        service.ending.set()
        answering.cancel()
        server.should_exit = True
        await serving
        listener.close()


def _listen(file: Path) -> socket.socket:
    """Bind the port that the file names, or else one that the system chooses, and write it there."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setblocking(False)
    try:
        listener.bind((HOST, _last_port(file)))
    except OSError:
        listener.bind((HOST, 0))
    port = listener.getsockname()[1]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{port}\n", encoding="ascii")
    return listener


def _last_port(file: Path) -> int:
    try:
        port = int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
    return port if 1024 <= port < 65536 else 0

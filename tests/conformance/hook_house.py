"""A receiver of webhooks that fails, hangs and answers late as it is told, and checks signatures by itself."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections import deque
from typing import Any

import msgspec


class Received(msgspec.Struct, frozen=True):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["idempotency-key"]


class Receiver:
    """`answers` are given one after another, then 200s. An answer is a status, or a whole response as bytes; while
    `gate` is set, nothing is answered until it opens."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: deque[int | bytes] = deque()
        self.gate: asyncio.Event | None = None
        self.at_once = 0
        self.most_at_once = 0
        self._came = asyncio.Condition()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        if self.gate is not None:
            self.gate.set()
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    async def came(self, count: int) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(20), self._came:
            await self._came.wait_for(lambda: len(self.received) >= count)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split(" ")
            pairs = [line.split(":", 1) for line in head[1:] if line]
            headers = {name.lower(): value.strip() for name, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            async with self._came:
                self.received.append(Received(method, path, headers, body))
                self._came.notify_all()
            if self.gate is not None:
                await self.gate.wait()
            answer = self.answers.popleft() if self.answers else 200
            if isinstance(answer, int):
                answer = f"HTTP/1.1 {answer} Said\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello".encode()
            writer.write(answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.at_once -= 1
            writer.close()


def is_signed(received: Received, secret: str, now_s: int, tolerance_s: int = 300) -> bool:
    """What docs/how-to/webhooks.md tells a receiver to do, without anything of Gesta's."""
    parts = dict(part.split("=", 1) for part in received.headers["gesta-signature"].split(","))
    if abs(now_s - int(parts["t"])) > tolerance_s:
        return False
    expected = hmac.new(secret.encode(), parts["t"].encode() + b"." + received.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, parts["v1"])


def plain_signature(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()

"""What tests of nodes share: a performance of a node, and a small HTTP server that does what a test tells it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from gesta.workflows.graph.definition import Node, NodeType
from gesta.workflows.nodes.face import Performance

AT_US = 1_800_000_000_000_000


def performance(type_: NodeType, input: Any, **changes: Any) -> Performance:
    made = Performance(
        organization=1,
        account=1,
        run_id="run1",
        workflow_id="flow1",
        environment="production",
        path="step",
        node=Node(id="step", type=type_),
        input=input,
        attempt=1,
        key="run1/step",
        at_us=AT_US,
    )
    return msgspec.structs.replace(made, **changes)


class Request(msgspec.Struct, frozen=True):
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


#: Writes the answer. The connection is closed after it.
Handler = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """`requests` are those that came, `handlers` what answers each path."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.readers: dict[asyncio.StreamWriter, asyncio.StreamReader] = {}
        self.handlers: dict[str, Handler] = {}
        self.port = 0

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def on(self, path: str, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """Answer a path always alike. Underscores in header names are dashes."""

        async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
            writer.write(head(status, {"content_length": str(len(body)), **headers}) + body)

        self.handlers[path] = answer

    async def gone(self, writer: asyncio.StreamWriter) -> None:
        """Return when the client has closed its side."""
        with contextlib.suppress(ConnectionError):
            await self.readers[writer].read()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.readers[writer] = reader
        try:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = lines[0].split(" ", 2)
            headers = {}
            for line in lines[1:]:
                name, _, value = line.partition(":")
                if name:
                    headers[name.lower()] = value.strip()
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            request = Request(method, target, headers, body)
            self.requests.append(request)
            handler = self.handlers.get(target.partition("?")[0])
            if handler is None:
                writer.write(head(404, {"content_length": "0"}))
            else:
                await handler(request, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


def head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Said"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join([*lines, "connection: close", "", ""])).encode("latin-1")


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield server

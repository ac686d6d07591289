"""`/ledger/stream`: the change feed as Server-Sent Events and over WebSocket, resumed exactly."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from gesta.access.model import Principal
from gesta.apis.common.services import Services
from gesta.apis.native.auth import authenticate
from gesta.apis.native.errors import encode_problem, problem_of, render
from gesta.apis.native.hub import Hub, StreamFilter
from gesta.apis.native.params import STREAM, parse_query
from gesta.kernel.errors import CallerError, Forbidden, GestaError, InvalidInput, Unavailable
from gesta.kernel.json import decode_json, encode_json

BUCKET = "native"
_RETRY_MS = 2000


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asked for: everything after `after` that `wanted` admits. `head` was the newest `seq` then."""

    principal: Principal
    wanted: StreamFilter
    after: int
    head: int


async def open_subscription(services: Services, connection: HTTPConnection) -> Subscription:
    """Authenticate and read the parameters. Raises the errors of the problem table."""
    principal = await authenticate(services.access, connection)
    services.access.admit(BUCKET, principal.credential_id)
    given = parse_query(connection.scope["query_string"], STREAM)
    head = await services.reading.head(principal)
    after = _last_event_id(connection)
    where, field = ("query", "after") if after is None else ("header", "Last-Event-ID")
    if after is None:
        after = given.get("after", head)
    if after > head:
        raise InvalidInput(
            f"`{field}` is {after}, but the newest event is {head}: that position is not of this ledger.",
            field=field,
            where=where,
        )
    return Subscription(principal=principal, wanted=_wanted(principal, given), after=after, head=head)


def _last_event_id(connection: HTTPConnection) -> int | None:
    """The position after which an interrupted reader goes on. Raises InvalidInput for any text but a number."""
    text = connection.headers.get("last-event-id", "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidInput("`Last-Event-ID` must be the id of an event.", field="Last-Event-ID", where="header")
    return int(text)


def _wanted(principal: Principal, given: Mapping[str, Any]) -> StreamFilter:
    environment = given.get("environment", principal.environment)
    if principal.environment not in (None, environment):
        raise Forbidden(f"This key is for {principal.environment} only.")
    return StreamFilter(
        kinds=frozenset(given.get("kind", ())),
        statuses=frozenset(given.get("status", ())),
        sources=frozenset(given.get("source", ())),
        account_names=frozenset(name.casefold() for name in given.get("account", ())),
        account_type=given.get("account_type"),
        environment=environment,
        account_id=None if principal.account is None else principal.account.id,
    )


async def revoked(services: Services, connection: HTTPConnection) -> GestaError | None:
    """Whether the credential of an open stream is still good, asked at every heartbeat."""
    try:
        await authenticate(services.access, connection)
    except CallerError as error:
        return error
    except Unavailable:
        return None
    return None


class EventStream(Response):
    """Server-Sent Events: `ready`, then one event per feed item, a comment as heartbeat."""

    media_type = "text/event-stream"

    def __init__(self, services: Services, hub: Hub, request: Request, subscription: Subscription) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._services = services
        self._hub = hub
        self._request = request
        self._subscription = subscription

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = self._subscription
        async with self._hub.subscribe(asked.principal, asked.wanted, after=asked.after) as subscriber:

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                subscriber.leave()

            async def write(data: bytes, *, more: bool = True) -> None:
                await send({"type": "http.response.body", "body": data, "more_body": more})

            watching = asyncio.create_task(watch())
            try:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                ready = encode_json({"head": asked.head, "after": asked.after})
                await write(b"retry: %d\nid: %d\nevent: ready\ndata: %s\n\n" % (_RETRY_MS, asked.after, ready))
                while not subscriber.ended:
                    items = await subscriber.next()
                    if items:
                        await write(b"".join([item.as_frame() for item in items]))
                    elif not subscriber.ended:
                        problem = await revoked(self._services, self._request)
                        if problem is not None:
                            await write(b"event: problem\ndata: %s\n\n" % encode_problem(problem_of(problem)))
                            break
                        await write(b": heartbeat\n\n")
                await write(b"", more=False)
            finally:
                watching.cancel()
                await asyncio.wait({watching})


async def stream_events(services: Services, hub: Hub, request: Request) -> Response:
    """The answer to `GET /ledger/stream`."""
    subscription = await open_subscription(services, request)
    if hub.closed:
        raise Unavailable("The server is stopping; resume from your last id.")
    return EventStream(services, hub, request, subscription)


async def stream_websocket(services: Services, hub: Hub, websocket: WebSocket) -> None:
    """One WebSocket: `ready`, then `{"seq", "event", "execution"}` per item; `{"type": "ping"}` is answered."""
    try:
        asked = await open_subscription(services, websocket)
        if hub.closed:
            raise Unavailable("The server is stopping; resume from your last id.")
    except GestaError as error:
        await _deny(websocket, error)
        return
    await websocket.accept()
    async with hub.subscribe(asked.principal, asked.wanted, after=asked.after) as subscriber:

        async def write() -> None:
            ready = {"type": "ready", "head": asked.head, "after": asked.after}
            await websocket.send_text(encode_json(ready).decode())
            while not subscriber.ended:
                items = await subscriber.next()
                for item in items:
                    await websocket.send_text(item.as_text())
                if not items and not subscriber.ended:
                    problem = await revoked(services, websocket)
                    if problem is not None:
                        await websocket.close(1008, problem.message[:120])
                        return
                    await websocket.send_text(f'{{"type":"heartbeat","seq":{subscriber.cursor}}}')
            await websocket.close(1001, "The server is stopping; resume from your last seq.")

        writing = asyncio.create_task(write())
        listening = asyncio.create_task(_listen(websocket, services.limits.websocket_frame_bytes))
        try:
            await asyncio.wait({writing, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            writing.cancel()
            listening.cancel()
            await asyncio.wait({writing, listening})
    for task in (writing, listening):
        # A caller that went away is how most streams end.
        if not task.cancelled() and not isinstance(task.exception(), WebSocketDisconnect):
            task.result()


async def _listen(websocket: WebSocket, most_bytes: int) -> None:
    """Answer what the caller says until it leaves. Pings are answered one by one: a flood slows only itself."""
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        data = message.get("text") or message.get("bytes") or ""
        if len(data) > most_bytes:
            await websocket.close(1009, "The message is too large.")
            return
        await websocket.send_text(encode_json(_reply(data)).decode())


def _reply(data: str | bytes) -> dict[str, Any]:
    try:
        said = decode_json(data)
    except InvalidInput:
        said = data
    kind = said.get("type") if isinstance(said, dict) else said
    if kind in ("ping", b"ping"):
        return {"type": "pong"}
    return {"type": "error", "detail": 'This stream takes {"type":"ping"} only; its parameters are in the query.'}


async def _deny(websocket: WebSocket, error: GestaError) -> None:
    """Refuse the handshake, as a problem where the server can send one."""
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        await websocket.send_denial_response(render(websocket, error))
    else:
        await websocket.close(1008, error.message[:120])

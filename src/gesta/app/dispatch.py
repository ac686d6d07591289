"""The front of the server: a request goes to the dialect that owns the longest matching prefix of its path.

Around each request it puts what all dialects share: a request id, guards against unreadable or oversized input, a line
in the log, metrics, and the end of event streams at shutdown.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect

from gesta.apis.common.errors import InternalError, Renderer, logged_path
from gesta.app.logs import RequestLine
from gesta.app.metrics import HttpMetrics
from gesta.app.requests import (
    App,
    GuardedBody,
    Message,
    Receive,
    RequestIds,
    Scope,
    Send,
    read_head,
)
from gesta.app.settings import LimitSettings
from gesta.kernel.clock import Clock
from gesta.kernel.errors import GestaError, NotFound, Unavailable
from gesta.kernel.ids import IdSource
from gesta.kernel.times import format_us

log = structlog.get_logger("gesta.http")


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """A sub-application, the path prefixes it owns, and how its errors look. An empty `prefixes` takes what no other
    mount owns. Bodies of `streamed_type` have no end to wait for: the sub-application bounds them by itself. `close`
    ends its WebSockets when the server stops."""

    name: str
    prefixes: tuple[str, ...]
    app: App
    render: Renderer
    streamed_type: bytes | None = None
    close: Callable[[], Awaitable[None]] | None = None

    def streams(self, scope: Scope) -> bool:
        """Whether this request's body is such a stream."""
        wanted = self.streamed_type
        return wanted is not None and any(
            name == b"content-type" and value.partition(b";")[0].strip().lower() == wanted
            for name, value in scope["headers"]
        )


class Exchange:
    """One HTTP request on its way: what was answered so far."""

    __slots__ = ("complete", "dialect", "drained", "send", "status", "stream", "task")

    def __init__(self, send: Send, dialect: str) -> None:
        self.send = send
        self.dialect = dialect
        self.status = 0
        self.complete = False
        self.stream = False
        self.drained = False
        self.task = asyncio.current_task()


class Dispatcher:
    """ASGI application. `mounts` must hold exactly one mount without prefixes."""

    def __init__(
        self,
        mounts: Sequence[Mount],
        *,
        clock: Clock,
        ids: IdSource,
        limits: LimitSettings,
        query_bytes: int,
        metrics: HttpMetrics | None,
        request_log: Callable[[RequestLine], None] | None,
    ) -> None:
        self._by_prefix = {prefix: mount for mount in mounts for prefix in mount.prefixes}
        (self._rest,) = [mount for mount in mounts if not mount.prefixes]
        self._closers = [mount.close for mount in mounts if mount.close is not None]
        longest_first = sorted(self._by_prefix, key=len, reverse=True)
        self._find = re.compile(f"(?:{'|'.join(map(re.escape, longest_first))})(?=/|\\Z)").match
        self._clock = clock
        self._now_s = clock.monotonic_s
        self._ids = RequestIds(ids)
        self._limits = limits
        self._query_bytes = query_bytes
        self._metrics = metrics
        self._request_log = request_log
        self._streams: set[Exchange] = set()
        self.draining = False

    def mount_of(self, path: str) -> Mount:
        """The owner of a path: the longest prefix that ends where a path segment does."""
        found = self._find(path)
        return self._by_prefix.get(found[0], self._rest) if found else self._rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await _acknowledge_lifespan(receive, send)

    def refuse(self, scope: Scope, error: GestaError) -> Response:
        """The answer to a request that no sub-application is given, in the shape of the dialect that owns its path."""
        scope.setdefault("gesta.request_id", self._ids.next())
        request_id = scope["gesta.request_id"]
        try:
            response = self.mount_of(scope["path"]).render(Request(scope), error)
        except Exception as unforeseen:
            log.exception("render.crashed", request_id=request_id, error=error.code, exc_info=unforeseen)
            response = Response(status_code=500)
        response.headers["X-Request-Id"] = request_id
        return response

    # -- HTTP

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_s = self._now_s()
        mount = self.mount_of(scope["path"])
        request_id = scope["gesta.request_id"] = self._ids.next()
        exchange = Exchange(send, mount.name)
        metrics = self._metrics
        if metrics is not None:
            metrics.in_flight += 1
        head = read_head(scope, self._query_bytes)
        try:
            if head.defect is None:
                if head.body_bytes >= 0 and not mount.streams(scope):
                    receive = GuardedBody(receive, head.body_bytes, self._limits)
                await mount.app(scope, receive, self._sender(exchange, request_id))
            else:
                await self._answer(exchange, scope, receive, head.defect)
        except asyncio.CancelledError:
            if not self.draining:
                raise
            await self._cancelled(exchange, scope, receive)
        except Exception as unforeseen:
            # Starlette raises again what an `Exception` handler has answered and logged; that ends here.
            if not scope.get("gesta.logged"):
                log.exception(
                    "request.crashed", request_id=request_id, path=logged_path(scope["path"]), exc_info=unforeseen
                )
            if not exchange.status:
                await self._answer(exchange, scope, receive, _internal())
        finally:
            self._streams.discard(exchange)
            if metrics is not None:
                metrics.in_flight -= 1
                if exchange.stream:
                    metrics.streams[mount.name] -= 1
            self._account(scope, exchange, self._now_s() - started_s, head.client_id)

    def _sender(self, exchange: Exchange, request_id: str) -> Send:
        send = exchange.send
        header = (b"x-request-id", request_id.encode())

        def sender(message: Message) -> Any:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                headers = message["headers"] = [*message.get("headers", ()), header]
                for name, value in headers:
                    if name == b"content-type" and value.startswith(b"text/event-stream"):
                        self._stream_opened(exchange)
            elif not message.get("more_body", False):
                exchange.complete = True
            return send(message)

        return sender

    def _stream_opened(self, exchange: Exchange) -> None:
        exchange.stream = True
        self._streams.add(exchange)
        if self._metrics is not None:
            self._metrics.streams[exchange.dialect] += 1
        if self.draining:
            self._end_stream(exchange)

    async def _answer(self, exchange: Exchange, scope: Scope, receive: Receive, error: GestaError) -> None:
        response = self.refuse(scope, error)
        exchange.status = response.status_code
        exchange.complete = True
        await response(scope, receive, exchange.send)

    async def _cancelled(self, exchange: Exchange, scope: Scope, receive: Receive) -> None:
        """The stop ends an event stream, or aborts what outlived the deadline."""
        if exchange.task is not None:
            exchange.task.uncancel()
        if exchange.drained and exchange.status:
            exchange.complete = True
            await exchange.send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        log.warning("request.aborted", request_id=scope["gesta.request_id"], reason="the shutdown deadline passed")
        if not exchange.status:
            await self._answer(exchange, scope, receive, Unavailable("The server is stopping; ask again soon."))

    def _account(self, scope: Scope, exchange: Exchange, seconds: float, client_id: str | None) -> None:
        route = getattr(scope.get("route"), "path", None) or "unmatched"
        if self._metrics is not None:
            self._metrics.observe(
                exchange.dialect, scope["method"], route, exchange.status, None if exchange.stream else seconds
            )
        if self._request_log is None:
            return
        client = scope.get("client")
        self._request_log(
            RequestLine(
                timestamp=format_us(self._clock.now_us()),
                request_id=scope["gesta.request_id"],
                client_request_id=client_id,
                dialect=exchange.dialect,
                method=scope["method"],
                path=logged_path(scope["path"]),
                route=route,
                status=exchange.status,
                ms=round(seconds * 1000, 3),
                client=client[0] if client else None,
            )
        )

    # -- WebSocket

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        mount = self.mount_of(scope["path"])
        request_id = scope["gesta.request_id"] = self._ids.next()
        scope["method"] = "GET"
        error: GestaError | None = read_head(scope, self._query_bytes).defect
        if error is None and mount is self._rest:
            error = NotFound(f"There is no WebSocket at {scope['path'][:256]}.", what="route")
        if error is not None:
            await self._deny(scope, send, error)
            return
        started_s = self._now_s()
        opened = closed = False
        metrics = self._metrics

        def sender(message: Message) -> Any:
            nonlocal opened, closed
            kind = message["type"]
            if kind == "websocket.accept":
                opened = True
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
                if metrics is not None:
                    metrics.websockets[mount.name] += 1
            elif kind != "websocket.send":
                closed = True
            return send(message)

        try:
            await mount.app(scope, receive, sender)
        except WebSocketDisconnect:
            closed = True
        except Exception as unforeseen:
            log.exception(
                "websocket.crashed", request_id=request_id, path=logged_path(scope["path"]), exc_info=unforeseen
            )
            if not closed:
                await send({"type": "websocket.close", "code": 1011, "reason": "Internal error"})
        finally:
            if opened and metrics is not None:
                metrics.websockets[mount.name] -= 1
            if self._request_log is not None:
                log.info(
                    "websocket",
                    request_id=request_id,
                    dialect=mount.name,
                    path=logged_path(scope["path"]),
                    accepted=opened,
                    seconds=round(self._now_s() - started_s, 3),
                )

    async def _deny(self, scope: Scope, send: Send, error: GestaError) -> None:
        """Refuse the handshake with an HTTP answer where the server can, with a plain close where it cannot."""
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": error.message[:120]})
            return
        response = self.refuse({**scope, "type": "http"}, error)
        await send(
            {
                "type": "websocket.http.response.start",
                "status": response.status_code,
                "headers": response.raw_headers,
            }
        )
        await send({"type": "websocket.http.response.body", "body": bytes(response.body)})

    # -- shutdown

    def drain(self) -> None:
        """End the open event streams, cleanly; requests in progress go on. `/readyz` answers 503 from now on."""
        self.draining = True
        for exchange in list(self._streams):
            self._end_stream(exchange)

    async def close_sockets(self) -> None:
        """Let every dialect end its WebSockets as it says, each within its own deadline."""
        closing = [close() for close in self._closers]
        for ended in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(ended, BaseException):
                log.error("websockets.not_closed", exc_info=ended)

    @staticmethod
    def _end_stream(exchange: Exchange) -> None:
        if exchange.task is not None and not exchange.drained:
            exchange.drained = True
            exchange.task.cancel()


def _internal() -> InternalError:
    return InternalError("Internal error; the log has it under this request id.")


async def _acknowledge_lifespan(receive: Receive, send: Send) -> None:
    """Start and stop belong to `build`; a server that speaks the lifespan protocol is told that all is well."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


__all__ = ["Dispatcher", "Mount"]

"""uvicorn, with the bounds it lacks: a deadline and a size for the request head, a limit on connections that is kept at
the door, a stop that ends streams, and error bodies in the dialect's shape where the HTTP grammar itself was broken."""

from __future__ import annotations

import asyncio
import errno
import resource
import signal
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_from_bytes

import structlog
import uvicorn
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gesta.apis.common.errors import BodyTimeout
from gesta.app.dispatch import Dispatcher
from gesta.app.settings import ServerSettings, Settings
from gesta.kernel.errors import GestaError, InvalidInput, ServerError, TooLarge, Unavailable
from gesta.kernel.service import Supervisor

log = structlog.get_logger("gesta.server")

_SWEEP_S = 1.0
# Files that are not connections: the database, its readers, logs, the loop itself.
_RESERVED_FILES = 64
# Connections that were refused stay open for a moment, at most so many above the limit.
_LINGER_S = 1.0
_LINGERING = 32
_ASCII = bytes(range(0x80)).decode()


def _percent_encoded(data: bytes) -> bytes:
    """The parser refuses a target that is not ASCII. Percent-encoded, what is UTF-8 is understood, and what is not
    reaches the dialect, which says so in its own words."""
    line, end, rest = data.partition(b"\r\n")
    return data if line.isascii() else quote_from_bytes(line, safe=_ASCII).encode() + end + rest


class HeadTooLarge(Exception):
    """Raised inside of the parser only."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection. `guard` is set on the class that `protocol_class` makes for a server."""

    guard: Guard

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # When the present head or body began; None between requests, where the keep-alive timer rules.
        self.began_s: float | None = None
        self.in_head = True
        self.head_bytes = 0
        self.refused = False
        self.running: RequestResponseCycle | None = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.began_s = self.loop.time()
        if len(self.connections) > self.guard.max_connections:
            self.refuse(Unavailable("The server has as many connections as it may.", retry_after_s=5))

    def data_received(self, data: bytes) -> None:
        if self.refused or self.transport.is_closing():
            return
        if self.in_head:
            if not self.head_bytes and not data.isascii():
                data = _percent_encoded(data)
            self.head_bytes += len(data)
        super().data_received(data)
        if self.in_head and self.head_bytes > self.guard.header_bytes and not self.refused:
            self.refuse(TooLarge(f"The request head is larger than {self.guard.header_bytes} bytes."))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.in_head = True
        self.began_s = self.loop.time()

    def on_headers_complete(self) -> None:
        if self.head_bytes > self.guard.header_bytes and self._head_size() > self.guard.header_bytes:
            # It came in one piece, so that nothing was refused on the way. The parser stops where a callback raises.
            raise HeadTooLarge
        self.in_head = False
        self.head_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.began_s = None
        self.in_head = True

    def overdue(self, now_s: float) -> bool:
        """Whether the head is late, or a body that nobody waits for any more still trickles in."""
        if self.began_s is None:
            return False
        late_s = now_s - self.began_s
        if self.in_head:
            return late_s > self.guard.header_timeout_s
        return late_s > self.guard.body_timeout_s and self.cycle is not None and self.cycle.response_complete

    def expire(self) -> None:
        if self.in_head and self.head_bytes:
            self.refuse(BodyTimeout("The request head did not arrive in time."))
        else:
            self.transport.close()

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def send_400_response(self, msg: str) -> None:
        if self.in_head and self.head_bytes > self.guard.header_bytes:
            self.refuse(TooLarge(f"The request head is larger than {self.guard.header_bytes} bytes."))
            return
        self.refuse(InvalidInput(f"{msg.rstrip('.')}: it breaks the grammar of HTTP.", where="request"))

    def refuse(self, error: GestaError) -> None:
        """Answer outside of ASGI, in the shape of the dialect that owns the path as far as it is known, and close. An
        answer that has begun is cut off instead; one that has not never begins."""
        begun = self._abandon()
        if begun:
            self.transport.close()
            return
        response = self.guard.render(getattr(self, "url", b""), error)
        head = [STATUS_LINE[response.status_code]]
        for name, value in response.raw_headers:
            head += [name, b": ", value, b"\r\n"]
        head.append(b"connection: close\r\n\r\n")
        self.transport.write(b"".join(head) + bytes(response.body))
        self.refused = True
        self.began_s = None
        if len(self.connections) > self.guard.max_connections + _LINGERING:
            self.transport.close()
            return
        # Closing a socket with unread bytes resets it, and the client may lose the answer: read on for a moment.
        self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.close)

    def _abandon(self) -> bool:
        """Tell the request in progress, and those queued behind it, that nobody listens any more: what they would write
        now would come after the end. Whether an answer had begun."""
        self.pipeline.clear()
        cycle = self.running
        if cycle is None or cycle.response_complete:
            return False
        cycle.disconnected = True
        cycle.message_event.set()
        return cycle.response_started


class Guard:
    """The bounds of one server's connections, and the task that enforces those on time."""

    def __init__(self, dispatcher: Dispatcher, settings: Settings, max_connections: int) -> None:
        self.max_connections = max_connections
        self.header_bytes = settings.server.header_bytes
        self.header_timeout_s = settings.server.header_timeout_s
        self.body_timeout_s = settings.limits.body_timeout_s
        self._dispatcher = dispatcher

    def render(self, url: bytes, error: GestaError) -> Response:
        path = url.partition(b"?")[0].decode("latin-1") or "/"
        scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "scheme": "http"}
        return self._dispatcher.refuse(scope, error)

    def protocol_class(self) -> type[GuardedProtocol]:
        return type("Protocol", (GuardedProtocol,), {"guard": self})


class HttpServer(uvicorn.Server):
    """Runs until `stop` is called, a signal arrives, or a supervised task dies."""

    def __init__(self, config: uvicorn.Config, dispatcher: Dispatcher) -> None:
        super().__init__(config)
        self._dispatcher = dispatcher
        self.answering = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answering.set()

    def stop(self) -> None:
        """Begin a graceful stop; called again, stop at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def main_loop(self) -> None:
        sweeper = asyncio.create_task(self._sweep(), name="sweep connections")
        try:
            await super().main_loop()
        finally:
            sweeper.cancel()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_S)
            now_s = loop.time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, GuardedProtocol) and connection.overdue(now_s):
                    connection.expire()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._dispatcher.drain()
        # They say goodbye themselves, with 1001; what is left is closed with 1012 below.
        await self._dispatcher.close_sockets()
        await super().shutdown(sockets)


def listen(settings: ServerSettings) -> socket.socket:
    """Bind the port. Raises ServerError, saying what to do, when that is impossible."""
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        # The protocol is named: asyncio switches Nagle off only for sockets that say TCP, and 40 ms per answer with it.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise ServerError(f"Cannot listen on host {settings.host!r}: {error}. Set server.host (--host).") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise ServerError(_why_not(settings, error)) from None
    listener.setblocking(False)
    return listener


def _why_not(settings: ServerSettings, error: OSError) -> str:
    place = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return f"Port {place} is taken by another program. Stop it, or choose another with --port."
    if error.errno == errno.EACCES:
        return f"Port {place} needs more rights than this user has. Choose one above 1023 with --port."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"This machine has no address {settings.host}. Choose another with --host."
    return f"Cannot listen on {place}: {error.strerror or error}."


def address_of(listener: socket.socket) -> str:
    """The base URL that a client on this machine can use."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def allow_files(connections: int) -> int:
    """Raise the limit of open files to fit so many connections; return how many connections it does fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _RESERVED_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    except (OSError, ValueError):
        reachable = soft
    fits = max(1, reachable - _RESERVED_FILES)
    if fits < connections:
        log.warning("server.fewer_connections", wanted=connections, max_connections=fits, open_files=reachable)
    return min(connections, fits)


async def run(
    dispatcher: Dispatcher,
    supervisor: Supervisor,
    settings: Settings,
    listener: socket.socket,
    *,
    on_ready: Callable[[str], None],
    handle_signals: bool = True,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until a signal, until `stop` is set, or until a supervised task dies (its exception is raised then).

    `on_ready` gets the base URL once the server answers.
    """
    guard = Guard(dispatcher, settings, allow_files(settings.server.max_connections))
    server = HttpServer(_config(dispatcher, guard, settings), dispatcher)
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM) if handle_signals else ()
    for each in signals:
        loop.add_signal_handler(each, server.stop)
    address = address_of(listener)
    serving = asyncio.create_task(server._serve([listener]), name="serve")
    answering = asyncio.create_task(server.answering.wait(), name="watch start")
    enders = [asyncio.create_task(supervisor.failed.wait(), name="watch supervisor")]
    if stop is not None:
        enders.append(asyncio.create_task(stop.wait(), name="watch stop"))
    try:
        await asyncio.wait([serving, answering], return_when=asyncio.FIRST_COMPLETED)
        if server.started:
            on_ready(address)
        await asyncio.wait([serving, *enders], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
        for task in (answering, *enders):
            task.cancel()
        await asyncio.gather(answering, *enders, return_exceptions=True)
        listener.close()
    if supervisor.failure is not None:
        raise ServerError("A background task died; the log says why. The server has stopped.") from supervisor.failure


def _config(dispatcher: Dispatcher, guard: Guard, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        dispatcher,
        http=guard.protocol_class(),
        ws="websockets-sansio",
        ws_max_size=settings.limits.websocket_frame_bytes,
        ws_ping_interval=settings.limits.websocket_ping_s,
        ws_ping_timeout=settings.limits.websocket_ping_s,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=settings.server.backlog,
        timeout_keep_alive=settings.server.keep_alive_s,
        timeout_graceful_shutdown=max(1, round(settings.server.shutdown_deadline_s)),
    )

"""One open WebSocket of `/ws/stream` (protocols/crosstrade.md §3).

Frames are answered in order, so a connection costs at most one command's work at a time. Everything that is written
goes through one outbox and one task, so a reader that is slow holds up nobody but itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from gesta.access.model import Account, Principal, Scope
from gesta.apis.common.errors import InternalError
from gesta.apis.common.printed import Printed
from gesta.apis.common.services import Services
from gesta.apis.crosstrade.account_pushes import AccountPushes
from gesta.apis.crosstrade.admission import SUBSCRIBE_BUCKET, admitted
from gesta.apis.crosstrade.calls import Call
from gesta.apis.crosstrade.commands import BY_API
from gesta.apis.crosstrade.errors import status_and_body
from gesta.apis.crosstrade.frames import (
    Subscription,
    read_frame,
    read_frame_id,
    read_pnl,
    read_subscription,
)
from gesta.apis.crosstrade.market_pushes import MarketPushes, Watch
from gesta.apis.crosstrade.numbers import encode_reply
from gesta.apis.crosstrade.outbox import Outbox, Pushed, Topic
from gesta.apis.crosstrade.pnl_pushes import PnlPushes
from gesta.apis.crosstrade.reach import reaches
from gesta.apis.crosstrade.suggest import nearest
from gesta.kernel.errors import GestaError, InvalidInput, NotFound, RateLimited, Unauthenticated

POLICY_VIOLATION: Final = 1008
TOO_BIG: Final = 1009
MAX_VIOLATIONS: Final = 10
# A closing frame that the peer does not take by then is not waited for.
CLOSE_S: Final = 5.0

# A frame and its id; it replies by itself, before what follows from it is pushed.
Action = Callable[[dict[str, Any], Any], Awaitable[None]]

log = structlog.get_logger("gesta.crosstrade")


class Shared:
    """What the connections of one process have in common."""

    def __init__(self, services: Services, printed: Printed) -> None:
        self.services = services
        self.printed = printed
        self.account_pushes = AccountPushes(services, printed)
        self.market_pushes = MarketPushes(lambda: services.markets)
        self.pnl_pushes = PnlPushes(services)


class Session:
    """`run` returns when the connection is closed, and has left every subscription by then."""

    def __init__(self, shared: Shared, websocket: WebSocket, token: str, principal: Principal) -> None:
        self.token = token
        self.principal = principal
        self.topics: frozenset[Topic] = frozenset()
        self._shared = shared
        self._services = shared.services
        self._websocket = websocket
        self._loop = asyncio.get_running_loop()
        self._violations = 0
        self._outbox = Outbox()
        self._watch = Watch(shared.market_pushes, self._market_is_due)
        self._pnl: tuple[str, str] | None = None
        self._pnl_task: asyncio.Task[None] | None = None
        self._idle: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._writing_since_s: float | None = None
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._closing: tuple[int, str] | None = None
        self._answering = False
        self._actions: dict[str, Action] = {
            "rpc": self._rpc,
            "ping": self._ping,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "streamPnl": self._stream_pnl,
        }

    # -- life

    async def run(self) -> None:
        reader = asyncio.create_task(self._read(), name="stream reader")
        writer = asyncio.create_task(self._write(), name="stream writer")
        try:
            await asyncio.wait({reader, writer, self._over}, return_when=asyncio.FIRST_COMPLETED)
            if self._closing is not None:
                await asyncio.wait({writer}, timeout=CLOSE_S)
        finally:
            self._leave()
            writer.cancel()
            if not self._answering:
                reader.cancel()
            try:
                # A command that has begun is not torn apart because its caller is gone.
                await asyncio.wait({reader, writer})
            finally:
                self._leave()
        for task in (reader, writer):
            if not task.cancelled() and not isinstance(task.exception(), WebSocketDisconnect):
                task.result()

    def end(self, code: int, reason: str) -> None:
        """Close from this side, after the replies that wait; the pushes stop now. Returns at once."""
        if self._over.done():
            return
        self._leave()
        self._outbox.silence()
        self._closing = (code, reason)
        self._over.set_result(None)
        self._wake()

    def has_stalled(self, longest_s: float) -> bool:
        """Whether the peer has taken nothing for so long although something waits."""
        return self._writing_since_s is not None and self._loop.time() - self._writing_since_s > longest_s

    def _leave(self) -> None:
        """End every subscription; called again, nothing happens."""
        self.topics = frozenset()
        self._shared.account_pushes.leave(self.principal.organization.id, self)
        self._watch.clear()
        self._stop_pnl()

    # -- writing

    async def _write(self) -> None:
        send = self._websocket.send_text
        while True:
            text = self._outbox.next()
            if text is not None:
                self._writing_since_s = self._loop.time()
                await send(text)
                self._writing_since_s = None
                if self._room is not None and not self._outbox.is_full_of_replies:
                    if not self._room.done():
                        self._room.set_result(None)
                    self._room = None
            elif self._closing is not None:
                await self._websocket.close(*self._closing)
                return
            else:
                self._idle = self._loop.create_future()
                await self._idle

    def _wake(self) -> None:
        if self._idle is not None:
            if not self._idle.done():
                self._idle.set_result(None)
            self._idle = None

    def _reply(self, body: dict[str, Any]) -> None:
        # A newer connection may have closed this one while the command ran.
        if not self._over.done():
            self._outbox.reply(encode_reply(body).decode())
            self._wake()

    # -- what is pushed

    def hear(self, event: Pushed) -> None:
        if reaches(self.principal, event.account):
            self._outbox.push(event)
            self._wake()

    def miss(self, account: Account) -> None:
        if reaches(self.principal, account):
            self._outbox.lose(1)
            self._wake()

    def _market_is_due(self) -> None:
        self._outbox.due(self._watch.frame)
        self._wake()

    def _newest_pnl(self) -> tuple[str, str] | None:
        pnl, self._pnl = self._pnl, None
        return pnl

    async def _push_pnl(self, interval_s: float) -> None:
        while True:
            try:
                self._pnl = await self._shared.pnl_pushes.frame(self.principal)
            except GestaError as error:
                log.warning("stream.no_pnl", message=error.message)
            except Exception:
                log.exception("stream.no_pnl")
            else:
                self._outbox.due(self._newest_pnl)
                self._wake()
            await asyncio.sleep(interval_s)

    def _stop_pnl(self) -> None:
        if self._pnl_task is not None:
            self._pnl_task.cancel()
            self._pnl_task = None
        self._pnl = None

    # -- reading

    async def _read(self) -> None:
        while not self._over.done():
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            self._answering = True
            await self._on_frame(message.get("text"))
            self._answering = False
            if self._outbox.is_full_of_replies:
                self._room = self._loop.create_future()
                await self._room

    async def _on_frame(self, text: str | None) -> None:
        if text is not None and _bytes_of(text) > self._services.limits.websocket_frame_bytes:
            self.end(TOO_BIG, "Frame too large")
            return
        frame_id: Any = None
        try:
            frame = read_frame(text)
            frame_id = read_frame_id(frame)
            await self._answer(frame, frame_id)
        except GestaError as error:
            self._on_error(frame_id, error)
        except Exception:
            log.exception("stream.crashed")
            self._on_error(frame_id, InternalError("Internal error; the log has it."))

    def _on_error(self, frame_id: Any, error: GestaError) -> None:
        _, body = status_and_body(error)
        reply = {"id": frame_id, "error": body["error"], "data": body}
        if "did_you_mean" in body:
            reply["did_you_mean"] = body["did_you_mean"]
        self._reply(reply)
        if isinstance(error, Unauthenticated):
            self.end(POLICY_VIOLATION, "unauthorized")
        elif isinstance(error, RateLimited):
            self._violations += 1
            if self._violations >= MAX_VIOLATIONS:
                self.end(POLICY_VIOLATION, str(body["error"]))

    async def _answer(self, frame: dict[str, Any], frame_id: Any) -> None:
        action = frame.get("action")
        if not isinstance(action, str):
            raise InvalidInput("`action` must be one of " + ", ".join(self._actions))
        answer = self._actions.get(action)
        if answer is None:
            raise NotFound(f"No action {action[:64]!r}.", what="action", did_you_mean=nearest(action, self._actions))
        await answer(frame, frame_id)

    async def _ping(self, frame: dict[str, Any], frame_id: Any) -> None:
        self._reply({"type": "pong"})

    async def _rpc(self, frame: dict[str, Any], frame_id: Any) -> None:
        # The token is looked at again for each call: a revoked one stops working on open connections too.
        principal = await admitted(self._services.access, self.token)
        self._violations = 0
        api = frame.get("api")
        if not isinstance(api, str):
            raise InvalidInput("`api` must be the name of a command", field="api")
        command = BY_API.get(api)
        if command is None:
            raise NotFound(f"No command {api[:64]!r}.", what="api", did_you_mean=nearest(api, BY_API))
        args = frame.get("args")
        if args is not None and not isinstance(args, Mapping):
            raise InvalidInput("`args` must be an object", field="args")
        call = Call(services=self._services, principal=principal, printed=self._shared.printed, args=args or {})
        self._reply({"id": frame_id, "data": await command.handler(call)})

    # -- subscriptions

    async def _admit(self) -> None:
        """Take from the bucket of subscriptions, and look at the token again."""
        self.principal = await admitted(self._services.access, self.token, SUBSCRIBE_BUCKET)
        self._violations = 0
        self.principal.require(Scope.READ)

    async def _subscribe(self, frame: dict[str, Any], frame_id: Any) -> None:
        await self._admit()
        asked = read_subscription(frame)
        resolved = self._watch.resolve(asked.instruments) if asked.instruments else {}
        if asked.topics:
            self._shared.account_pushes.join(self.principal.organization.id, self)
        self._reply(_ack("subscribed", frame_id, asked, resolved.values()))
        if asked.topics:
            self.topics |= frozenset(asked.topics)
            self._outbox.due(_ready)
            self._wake()
        if resolved:
            if asked.interval_ms is not None:
                self._watch.interval_s = asked.interval_ms / 1000
            self._watch.add(resolved)

    async def _unsubscribe(self, frame: dict[str, Any], frame_id: Any) -> None:
        await self._admit()
        asked = read_subscription(frame)
        resolved = self._watch.remove(asked.instruments) if asked.instruments else []
        if asked.topics:
            gone = frozenset(asked.topics)
            self.topics -= gone
            self._outbox.forget(gone)
            if not self.topics:
                self._shared.account_pushes.leave(self.principal.organization.id, self)
        self._reply(_ack("unsubscribed", frame_id, asked, resolved))

    async def _stream_pnl(self, frame: dict[str, Any], frame_id: Any) -> None:
        await self._admit()
        interval_ms = read_pnl(frame)
        if interval_ms is not None:
            _ = self._services.trades
        self._stop_pnl()
        ack: dict[str, Any] = {} if frame_id is None else {"id": frame_id}
        ack |= {"status": "unsubscribed" if interval_ms is None else "subscribed", "stream": "pnl"}
        if interval_ms is not None:
            ack["interval"] = interval_ms
        self._reply(ack)
        if interval_ms is not None and not self._over.done():
            self._pnl_task = asyncio.create_task(self._push_pnl(interval_ms / 1000), name="pnl stream")


def _ack(status: str, frame_id: Any, asked: Subscription, resolved: Iterable[str]) -> dict[str, Any]:
    """As the vendor answers: `status`, without `type`, then what was asked for; the id where there was one."""
    ack: dict[str, Any] = {} if frame_id is None else {"id": frame_id}
    ack["status"] = status
    if asked.instruments:
        ack["instruments"] = list(dict.fromkeys(resolved))
    if asked.topics:
        ack["events"] = list(asked.topics)
    if asked.origin is not None:
        ack["origin"] = asked.origin
    return ack


def _ready() -> tuple[str, str]:
    """From this frame on nothing is missed: what is read by RPC after it and pushed after it leave no gap."""
    return '{"type":"status","state":"ready","seq":', "}"


def _bytes_of(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


__all__ = ["MAX_VIOLATIONS", "POLICY_VIOLATION", "Session", "Shared"]

"""One open WebSocket of `/ws/executors` (protocols/hummingbot.md §11.4).

Messages are answered in order. Everything that is written goes through one task: answers first, then the subscriptions
whose turn it is, each read when its turn comes and not before. So a reader that is slow holds up nobody but itself, and
what waits for it is one frame and a list of names.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from gesta.access.model import Principal, Scope
from gesta.apis.common.services import Services
from gesta.apis.hummingbot.codec import DIALECT
from gesta.apis.hummingbot.errors import TABLE
from gesta.apis.hummingbot.ws_changes import RETRY_S, Changes
from gesta.apis.hummingbot.ws_frames import ACTIONS, read_frame, subscription_id_of, subscription_of
from gesta.apis.hummingbot.ws_subscription import Subscription
from gesta.kernel.errors import GestaError, InvalidInput, RateLimited, Unavailable
from gesta.kernel.json import encode_json

MAX_SUBSCRIPTIONS: Final = 64
MAX_MESSAGE_BYTES: Final = 64 * 1024
# Answers that may wait before no further message of this reader is looked at.
MAX_REPLIES: Final = 16
# Messages above the rate, in a row.
MAX_VIOLATIONS: Final = 10
HEARTBEAT_S: Final = 30.0
# A closing frame that the peer does not take by then is not waited for.
CLOSE_S: Final = 5.0

POLICY_VIOLATION: Final = 1008
TOO_BIG: Final = 1009

log = structlog.get_logger("gesta.hummingbot")


def message_of(error: GestaError) -> str:
    """What an `error` says, by the table of this dialect; of a message that does not fit, what would be right."""
    if isinstance(error, InvalidInput):
        return error.message
    return str(next(said for kind, _, said in TABLE if isinstance(error, kind))(error))


class Session:
    """`run` returns when the connection is closed, and has left every subscription by then."""

    def __init__(
        self, services: Services, changes: Changes, websocket: WebSocket, principal: Principal, connection_id: str
    ) -> None:
        self.principal = principal
        self._services = services
        self._changes = changes
        self._websocket = websocket
        self._connection_id = connection_id
        self._loop = asyncio.get_running_loop()
        self._subscriptions: dict[str, Subscription] = {}
        self._due: dict[Subscription, None] = {}
        self._replies: deque[str] = deque()
        self._looking: asyncio.Task[None] | None = None
        self._ready: tuple[Subscription, str] | None = None
        self._violations = 0
        self._heartbeat: asyncio.TimerHandle | None = None
        self._beats = False
        self._idle: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._writing_since_s: float | None = None
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._closing: tuple[int, str] | None = None

    # -- life

    async def run(self) -> None:
        self._reply({"type": "connected", "connection_id": self._connection_id, "timestamp": self._now_s()})
        self._heartbeat = self._loop.call_later(HEARTBEAT_S, self._beat)
        reader = asyncio.create_task(self._read(), name="executors reader")
        writer = asyncio.create_task(self._write(), name="executors writer")
        try:
            await asyncio.wait({reader, writer, self._over}, return_when=asyncio.FIRST_COMPLETED)
            if self._closing is not None:
                await asyncio.wait({writer}, timeout=CLOSE_S)
        finally:
            self._leave()
            reader.cancel()
            writer.cancel()
            try:
                await asyncio.wait({reader, writer})
            finally:
                self._leave()
        for task in (reader, writer):
            if not task.cancelled() and not isinstance(task.exception(), WebSocketDisconnect):
                task.result()

    def end(self, code: int, reason: str, *, says: str | None = None) -> None:
        """Close from this side, after the answers that wait, with an `error` that says why. Returns at once."""
        if self._over.done():
            return
        self._leave()
        if says is not None:
            self._error(says)
        self._closing = (code, reason)
        self._over.set_result(None)
        self._wake()

    def has_stalled(self, longest_s: float) -> bool:
        """Whether the peer has taken nothing for so long although something waits."""
        return self._writing_since_s is not None and self._loop.time() - self._writing_since_s > longest_s

    def _leave(self) -> None:
        """End every subscription and the heartbeat; called again, nothing happens."""
        for subscription in list(self._subscriptions.values()):
            self._drop(subscription)
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            self._heartbeat = None

    def _drop(self, subscription: Subscription) -> None:
        self._subscriptions.pop(subscription.id, None)
        self._due.pop(subscription, None)
        source = subscription.source
        subscription.end()
        if source is not None:
            self._changes.leave(self.principal, source, subscription)

    def _now_s(self) -> float:
        return self._services.clock.now_us() / 1_000_000

    # -- writing

    async def _write(self) -> None:
        while True:
            text: str | None
            if self._replies:
                text = self._replies.popleft()
                if self._room is not None and not self._room.done():
                    self._room.set_result(None)
            elif self._closing is not None:
                await self._websocket.close(*self._closing)
                return
            elif self._beats:
                self._beats = False
                text = encode_json({"type": "heartbeat", "timestamp": self._now_s()}).decode()
            elif self._ready is not None:
                (subscription, frame), self._ready = self._ready, None
                # It may have been ended while its frame was made.
                text = None if subscription.source is None else frame
            elif self._due and self._looking is None:
                subscription = next(iter(self._due))
                del self._due[subscription]
                self._looking = asyncio.create_task(self._look(subscription), name="executors frame")
                continue
            else:
                self._idle = self._loop.create_future()
                await self._idle
                continue
            if text is not None:
                self._writing_since_s = self._loop.time()
                await self._websocket.send_text(text)
                self._writing_since_s = None

    async def _look(self, subscription: Subscription) -> None:
        """Beside the writing: what takes long to read holds up no answer. One at a time, and one that waits."""
        frame = await self._frame_of(subscription)
        self._looking = None
        if frame is not None:
            self._ready = subscription, frame
        self._wake()

    async def _frame_of(self, subscription: Subscription) -> str | None:
        try:
            return await subscription.frame(self._services.clock.now_us)
        except Unavailable as error:
            log.warning("executors.no_view", subscription=subscription.id, message=error.message)
            if subscription.source is not None:
                subscription.wait(max(RETRY_S, subscription.asked.interval_s))
        except GestaError as error:
            self._give_up(subscription, message_of(error))
        except Exception:
            log.exception("executors.view_failed", subscription=subscription.id)
            self._give_up(subscription, "Internal Server Error")
        return None

    def _give_up(self, subscription: Subscription, message: str) -> None:
        if subscription.source is not None:
            self._drop(subscription)
            self._reply({"type": "error", "message": message, "subscription_id": subscription.id})

    def _is_due(self, subscription: Subscription) -> None:
        self._due[subscription] = None
        self._wake()

    def _beat(self) -> None:
        self._heartbeat = self._loop.call_later(HEARTBEAT_S, self._beat)
        self._beats = True
        self._wake()

    def _reply(self, body: dict[str, Any]) -> None:
        if not self._over.done():
            self._replies.append(encode_json(body).decode())
            self._wake()

    def _error(self, message: str) -> None:
        self._reply({"type": "error", "message": message})

    def _wake(self) -> None:
        if self._idle is not None:
            if not self._idle.done():
                self._idle.set_result(None)
            self._idle = None

    # -- reading

    async def _read(self) -> None:
        while not self._over.done():
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            self._on_message(message.get("text"))
            if len(self._replies) >= MAX_REPLIES:
                self._room = self._loop.create_future()
                await self._room

    def _on_message(self, text: str | None) -> None:
        if text is not None and len(text.encode("utf-8", "surrogatepass")) > MAX_MESSAGE_BYTES:
            self.end(TOO_BIG, "Message too large", says=f"A message has at most {MAX_MESSAGE_BYTES} bytes.")
            return
        try:
            self._answer(read_frame(text))
        except RateLimited as error:
            self._error(message_of(error))
            self._violations += 1
            if self._violations >= MAX_VIOLATIONS:
                self.end(POLICY_VIOLATION, "Rate limit exceeded")
        except GestaError as error:
            self._error(message_of(error))
        except Exception:
            log.exception("executors.message_failed")
            self._error("Internal Server Error")

    def _answer(self, frame: dict[str, Any]) -> None:
        action = frame.get("action")
        if action == "ping":
            self._reply({"type": "pong", "timestamp": self._now_s()})
            return
        if action not in ("subscribe", "unsubscribe"):
            shown = action[:64] if isinstance(action, str) else type(action).__name__
            raise InvalidInput(f"Unknown action: {shown}. Valid actions: {', '.join(ACTIONS)}")
        self._services.access.admit(DIALECT, self.principal.credential_id)
        self._violations = 0
        if action == "subscribe":
            self._subscribe(frame)
        else:
            self._unsubscribe(frame)

    def _subscribe(self, frame: dict[str, Any]) -> None:
        self.principal.require(Scope.READ)
        asked = subscription_of(frame)
        older = self._subscriptions.get(asked.id)
        if older is None and len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise InvalidInput(f"A connection has at most {MAX_SUBSCRIPTIONS} subscriptions; end one first.")
        subscription = Subscription(asked, self._is_due)
        source = self._changes.join(self.principal, asked, subscription)
        if older is not None:
            self._drop(older)
        self._subscriptions[asked.id] = subscription
        self._reply(
            {
                "type": "subscribed",
                "subscription_id": asked.id,
                "subscription_type": asked.what.topic,
                "update_interval": asked.interval_s,
            }
        )
        subscription.begin(source)

    def _unsubscribe(self, frame: dict[str, Any]) -> None:
        subscription_id = subscription_id_of(frame)
        subscription = self._subscriptions.get(subscription_id)
        if subscription is None:
            raise InvalidInput(f"No subscription found: {subscription_id[:300]}")
        self._drop(subscription)
        self._reply({"type": "unsubscribed", "subscription_id": subscription_id})


__all__ = ["MAX_SUBSCRIPTIONS", "Session", "message_of"]

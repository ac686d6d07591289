"""The WebSocket `/ws/stream`: RPC and ping, one frame after the other (protocols/crosstrade.md §3).

A connection answers its frames in order, so it costs at most one command's work at a time. As at the vendor, a
credential has one connection: a newer one closes the older (within one server process).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from gesta.apis.common.errors import InternalError
from gesta.apis.common.printed import Printed
from gesta.apis.common.services import Services
from gesta.apis.crosstrade.admission import admitted, bearer_of
from gesta.apis.crosstrade.codec import encode_reply
from gesta.apis.crosstrade.commands import BY_API
from gesta.apis.crosstrade.errors import response_of, status_and_body
from gesta.apis.crosstrade.reading import Call
from gesta.apis.crosstrade.suggest import nearest
from gesta.kernel.errors import GestaError, InvalidInput, NotFound, RateLimited, Unauthenticated
from gesta.kernel.json import decode_json

ACTIONS: Final = ("rpc", "ping")
POLICY_VIOLATION: Final = 1008
TOO_BIG: Final = 1009
MAX_VIOLATIONS: Final = 10
REPLACED: Final = "Session active elsewhere"

log = structlog.get_logger("gesta.crosstrade")


class Stream:
    """The endpoint: authenticates the upgrade and keeps one connection per credential."""

    def __init__(self, services: Services, printed: Printed) -> None:
        self._services = services
        self._printed = printed
        self._active: dict[int, Connection] = {}

    async def serve(self, websocket: WebSocket) -> None:
        """Refuse the upgrade with the REST error (401, 503 …), or answer frames until either side closes."""
        try:
            token = bearer_of(websocket.headers)
            principal = await self._services.access.bearer(token)
        except GestaError as error:
            await _refuse(websocket, error)
            return
        connection = Connection(self._services, self._printed, websocket, token)
        try:
            await websocket.accept()
            older = self._active.get(principal.credential_id)
            self._active[principal.credential_id] = connection
            if older is not None:
                await older.close(POLICY_VIOLATION, REPLACED)
            await connection.run()
        except WebSocketDisconnect:
            pass  # the client went away while it was being answered
        finally:
            if self._active.get(principal.credential_id) is connection:
                del self._active[principal.credential_id]


async def _refuse(websocket: WebSocket, error: GestaError) -> None:
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        await websocket.send_denial_response(response_of(error))
    else:  # the server can only say 403
        await websocket.close(POLICY_VIOLATION, error.code)


class Connection:
    """One open socket. `run` returns when it is closed."""

    def __init__(self, services: Services, printed: Printed, websocket: WebSocket, token: str) -> None:
        self._services = services
        self._printed = printed
        self._websocket = websocket
        self._token = token
        self._violations = 0

    async def run(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            await self._on_frame(message.get("text"))
            if not self._open:
                return

    @property
    def _open(self) -> bool:
        return self._websocket.application_state is WebSocketState.CONNECTED

    async def close(self, code: int, reason: str) -> None:
        """Close from this side; nothing happens if either side has closed before."""
        if not self._open:
            return
        try:
            await self._websocket.close(code, reason)
        except WebSocketDisconnect:
            log.debug("stream.closed_by_both")

    async def _on_frame(self, text: str | None) -> None:
        if text is not None and _bytes_of(text) > self._services.limits.websocket_frame_bytes:
            await self.close(TOO_BIG, "Frame too large")
            return
        frame_id: Any = None
        try:
            frame = _read(text)
            frame_id = _id_of(frame)
            reply = await self._answer(frame, frame_id)
        except GestaError as error:
            await self._on_error(frame_id, error)
        except Exception:
            log.exception("stream.crashed")
            await self._on_error(frame_id, InternalError("Internal error; the log has it."))
        else:
            await self._send(reply)

    async def _answer(self, frame: dict[str, Any], frame_id: Any) -> dict[str, Any]:
        action = frame.get("action")
        if action == "ping":
            return {"type": "pong"}
        if action == "rpc":
            return {"id": frame_id, "data": await self._call(frame)}
        if not isinstance(action, str):
            raise InvalidInput("`action` must be one of " + ", ".join(ACTIONS), field="action")
        raise NotFound(f"No action {action[:64]!r}.", what="action", did_you_mean=nearest(action, ACTIONS))

    async def _call(self, frame: dict[str, Any]) -> dict[str, Any]:
        # The token is looked at again for each call: a revoked one stops working on open connections too.
        principal = await admitted(self._services.access, self._token)
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
        return await command.handler(
            Call(services=self._services, principal=principal, printed=self._printed, args=args or {})
        )

    async def _on_error(self, frame_id: Any, error: GestaError) -> None:
        _, body = status_and_body(error)
        reply = {"id": frame_id, "error": body["error"], "data": body}
        if "did_you_mean" in body:
            reply["did_you_mean"] = body["did_you_mean"]
        await self._send(reply)
        if isinstance(error, Unauthenticated):
            await self.close(POLICY_VIOLATION, "unauthorized")
        elif isinstance(error, RateLimited):
            self._violations += 1
            if self._violations >= MAX_VIOLATIONS:
                await self.close(POLICY_VIOLATION, str(body["error"]))

    async def _send(self, reply: dict[str, Any]) -> None:
        # A newer connection may have closed this one while the command ran.
        if self._open:
            await self._websocket.send_text(encode_reply(reply).decode())


def _bytes_of(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _read(text: str | None) -> dict[str, Any]:
    if text is None:
        raise InvalidInput("Frames are JSON text, not binary")
    frame = decode_json(text)
    if not isinstance(frame, dict):
        raise InvalidInput("A frame is a JSON object")
    return frame


def _id_of(frame: dict[str, Any]) -> Any:
    """The caller's own id, echoed: text, a number or nothing."""
    frame_id = frame.get("id")
    if isinstance(frame_id, (dict, list)):
        raise InvalidInput("`id` must be text or a number", field="id")
    return frame_id

"""The WebSocket `/ws/executors` (protocols/hummingbot.md §11.4): the connection is accepted first, then it is seen who
calls. While any is open, one task looks every few seconds at each: a user whose password is no longer good, or who may
no longer read, is closed, and so is a reader that takes nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final
from urllib.parse import urlsplit

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from gesta.access.model import Principal, Scope
from gesta.apis.common.services import Services
from gesta.apis.hummingbot.codec import DIALECT
from gesta.apis.hummingbot.parameters import basic_credentials
from gesta.apis.hummingbot.ws_changes import Changes
from gesta.apis.hummingbot.ws_session import POLICY_VIOLATION, Session, message_of
from gesta.apis.hummingbot.ws_views import Views
from gesta.kernel.errors import CallerError, Conflict, GestaError, Unauthenticated, Unavailable
from gesta.kernel.events import set_within
from gesta.kernel.json import encode_json

PATH: Final = "/ws/executors"
AUTHENTICATION_FAILED: Final = "Authentication failed"
UNAUTHORIZED: Final = 4001
GOING_AWAY: Final = 1001
TRY_AGAIN_LATER: Final = 1013
# Connections of one user at a time.
MAX_CONNECTIONS: Final = 32
CHECK_S: Final = 3.0
# A peer that has taken nothing for so long, while something waits for it, is closed.
STALLED_S: Final = 60.0

log = structlog.get_logger("gesta.hummingbot")


def credentials_of(websocket: WebSocket) -> tuple[str, str]:
    """Of the `Authorization` header, else of `?token=`, else of `?username=&password=`. Raises Unauthenticated.

    A browser adds a password that it remembers to whatever page asks: the header of another site's page does not count.
    """
    header = websocket.headers.get("authorization", "")
    if header.lower().startswith("basic ") and not _is_foreign(websocket):
        return basic_credentials(header)
    query = websocket.query_params
    token = query.get("token")
    if token is not None:
        # A plus sign that the client did not escape reads as a space.
        return basic_credentials("Basic " + token.replace(" ", "+"))
    return query.get("username", ""), query.get("password", "")


def _is_foreign(websocket: WebSocket) -> bool:
    origin = websocket.headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != websocket.headers.get("host", "").lower()
    except ValueError:
        return True


class Stream:
    """The endpoint, and every connection of this process."""

    def __init__(self, services: Services, views: Views) -> None:
        self._services = services
        self.changes = Changes(services, views)
        self._sessions: dict[Session, tuple[str, str]] = {}
        self._open_of: Counter[int] = Counter()
        self._checking: asyncio.Task[None] | None = None
        self._empty: asyncio.Event | None = None
        self._closed = False

    async def serve(self, websocket: WebSocket) -> None:
        """Answer and push until either side closes."""
        try:
            await websocket.accept()
            try:
                credentials = credentials_of(websocket)
                principal = await self._enter(credentials)
            except GestaError as error:
                await _refuse(websocket, error)
                return
            await self._serve(websocket, credentials, principal)
        except WebSocketDisconnect:
            pass  # the client went away while it was being answered

    async def _enter(self, credentials: tuple[str, str]) -> Principal:
        principal = await self._services.access.basic(*credentials)
        principal.require(Scope.READ)
        self._services.access.admit(DIALECT, principal.credential_id)
        if self._closed:
            raise Unavailable("The server is stopping.")
        if self._open_of[principal.credential_id] >= MAX_CONNECTIONS:
            raise Conflict(f"A user has at most {MAX_CONNECTIONS} connections at a time; close one first.")
        return principal

    async def _serve(self, websocket: WebSocket, credentials: tuple[str, str], principal: Principal) -> None:
        credential = principal.credential_id
        connection_id = self._services.ids.random_bytes(6).hex()
        session = Session(self._services, self.changes, websocket, principal, connection_id)
        self._sessions[session] = credentials
        self._open_of[credential] += 1
        try:
            if self._checking is None:
                self._checking = asyncio.create_task(self._check(), name="executors check")
            await session.run()
        finally:
            del self._sessions[session]
            self._open_of[credential] -= 1
            if not self._open_of[credential]:
                del self._open_of[credential]
            if not self._sessions:
                self._rest()

    def _rest(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
            self._checking = None
        if self._empty is not None:
            self._empty.set()

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(CHECK_S)
            for session, credentials in list(self._sessions.items()):
                if session.has_stalled(STALLED_S):
                    session.end(POLICY_VIOLATION, "Frames are not read")
                    continue
                try:
                    principal = await self._services.access.basic(*credentials)
                    principal.require(Scope.READ)
                    if principal.account != session.principal.account:
                        raise Unauthenticated("This user is another now.")
                except CallerError:
                    session.end(UNAUTHORIZED, AUTHENTICATION_FAILED, says=AUTHENTICATION_FAILED)
                except Unavailable:
                    continue  # an outage revokes nothing
                except Exception:
                    log.exception("executors.check_failed")

    async def close(self, *, deadline_s: float = 5.0) -> None:
        """End every connection with 1001 and wait until each is gone, at most `deadline_s`. May be called twice."""
        self._closed = True
        if not self._sessions:
            return
        self._empty = asyncio.Event()
        for session in self._sessions:
            session.end(GOING_AWAY, "The server is stopping")
        if not await set_within(self._empty, deadline_s):
            log.warning("executors.orphaned", connections=len(self._sessions))


async def _refuse(websocket: WebSocket, error: GestaError) -> None:
    """Say why, then close."""
    if isinstance(error, Unauthenticated):
        code, said = UNAUTHORIZED, AUTHENTICATION_FAILED
    else:
        code, said = (TRY_AGAIN_LATER if isinstance(error, Unavailable) else POLICY_VIOLATION), message_of(error)
    await websocket.send_text(encode_json({"type": "error", "message": said}).decode())
    await websocket.close(code, said[:120])


__all__ = ["CHECK_S", "MAX_CONNECTIONS", "PATH", "STALLED_S", "Stream"]

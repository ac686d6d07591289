"""The WebSocket `/ws/stream`: RPC, subscriptions and pushes (protocols/crosstrade.md §3).

As at the vendor, a credential has one connection: a newer one closes the older (within one server process). While any
connection is open, one task looks every few seconds at each: a credential that was revoked ends it, and so does a
reader that takes nothing.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from gesta.apis.common.printed import Printed
from gesta.apis.common.services import Services
from gesta.apis.crosstrade.admission import bearer_of
from gesta.apis.crosstrade.errors import response_of
from gesta.apis.crosstrade.stream_session import POLICY_VIOLATION, Session, Shared
from gesta.kernel.errors import CallerError, GestaError, Unavailable
from gesta.kernel.events import set_within

GOING_AWAY: Final = 1001
REPLACED: Final = "Session active elsewhere"
STOPPING: Final = "The server is stopping"
CHECK_S: Final = 3.0
# A peer that has taken nothing for so long, while something waits for it, is closed.
STALLED_S: Final = 60.0

log = structlog.get_logger("gesta.crosstrade")


class Stream:
    """The endpoint, and every connection of this process."""

    def __init__(self, services: Services, printed: Printed) -> None:
        self._services = services
        self.shared = Shared(services, printed)
        self._sessions: set[Session] = set()
        self._active: dict[int, Session] = {}
        self._checking: asyncio.Task[None] | None = None
        self._empty: asyncio.Event | None = None
        self._closed = False

    async def serve(self, websocket: WebSocket) -> None:
        """Refuse the upgrade with the REST error (401, 503 …), or answer and push until either side closes."""
        try:
            token = bearer_of(websocket.headers)
            principal = await self._services.access.bearer(token)
            if self._closed:
                raise Unavailable(STOPPING)
        except GestaError as error:
            await _refuse(websocket, error)
            return
        session = Session(self.shared, websocket, token, principal)
        self._sessions.add(session)
        try:
            await websocket.accept()
            older = self._active.get(principal.credential_id)
            self._active[principal.credential_id] = session
            if older is not None:
                older.end(POLICY_VIOLATION, REPLACED)
            if self._checking is None:
                self._checking = asyncio.create_task(self._check(), name="stream check")
            await session.run()
        except WebSocketDisconnect:
            pass  # the client went away while it was being answered
        finally:
            self._sessions.discard(session)
            if self._active.get(principal.credential_id) is session:
                del self._active[principal.credential_id]
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
            for session in list(self._sessions):
                if session.has_stalled(STALLED_S):
                    session.end(POLICY_VIOLATION, "Frames are not read")
                    continue
                try:
                    principal = await self._services.access.bearer(session.token)
                except CallerError:
                    session.end(POLICY_VIOLATION, "unauthorized")
                except Unavailable:
                    continue  # an outage revokes nothing
                except Exception:
                    log.exception("stream.check_failed")
                else:
                    session.principal = principal

    async def close(self, *, deadline_s: float = 5.0) -> None:
        """End every connection with 1001 and wait until each is gone, at most `deadline_s`. May be called twice."""
        self._closed = True
        if not self._sessions:
            return
        self._empty = asyncio.Event()
        for session in self._sessions:
            session.end(GOING_AWAY, STOPPING)
        if not await set_within(self._empty, deadline_s):
            log.warning("stream.orphaned", connections=len(self._sessions))


async def _refuse(websocket: WebSocket, error: GestaError) -> None:
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        await websocket.send_denial_response(response_of(error))
    else:  # the server can only say 403
        await websocket.close(POLICY_VIOLATION, error.code)


__all__ = ["CHECK_S", "STALLED_S", "Stream"]

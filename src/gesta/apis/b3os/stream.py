"""One execution as Server-Sent Events (protocols/b3os.md §4.8): the whole of it, then one frame per change.

Each frame has `id:`, the id of the event that it tells, so that an interrupted reader goes on with `Last-Event-ID`; its
`data:` is JSON with a `type`: `snapshot` or `change`. The stream ends after a terminal status.

A run may be watched before it is there, by the id that its caller will start it with (protocols/b3os.md §7).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gesta.access.model import Principal
from gesta.apis.b3os.codec import event_id
from gesta.apis.b3os.door import EVENTS_PER_READ, Door, encoder
from gesta.apis.b3os.parameters import MAX_EVENT_SEQ, EventsQuery
from gesta.apis.b3os.watching import Watch, Watching
from gesta.kernel.errors import CallerError, InvalidInput, NotFound, Unavailable
from gesta.kernel.events import set_within
from gesta.ledger.lifecycle import TERMINAL
from gesta.ledger.records import Event, Execution, Kind

RETRY_MS = 2000
# A reader that takes nothing of what is sent for so long is gone.
STALLED_S = 60.0
# How long a run is waited for that is not there yet.
PATIENCE_S = 60.0

HEARTBEAT = b": heartbeat\n\n"

_EVENT_ID = re.compile(r"evt_([0-9]{1,19})", re.ASCII)

#: What a frame says: of the execution, and of the events that it tells. `is_whole`: it is the snapshot.
Show = Callable[[Execution, Sequence[Event], bool], Awaitable[dict[str, Any]]]
#: Whether the caller may go on reading. Raises CallerError if not.
Allowed = Callable[[], Awaitable[object]]


def last_event_seq(request: Request) -> int | None:
    """The event after which an interrupted reader goes on. Raises InvalidInput for any text but an event's id."""
    text = request.headers.get("last-event-id", "").strip()
    if not text:
        return None
    match = _EVENT_ID.fullmatch(text)
    if match is None or int(match[1]) > MAX_EVENT_SEQ:
        raise InvalidInput("`Last-Event-ID` must be the id of an event, like evt_42.", field="after", where="header")
    return int(match[1])


class Streams:
    """Opens the streams of one process."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.heartbeat_s = door.services.limits.stream_heartbeat_s
        self.watching = Watching(door.reading)

    async def open(
        self,
        request: Request,
        principal: Principal,
        id: str,
        *,
        may_come: bool = False,
        word: str,
        show: Show,
        allowed: Allowed,
    ) -> Response:
        """The answer to a request that may read the execution `id`, or, with `may_come`, one that is not there yet.
        `word` is the `event:` of its frames. 204 for a reader that has seen the end already, which tells it not to
        come again. Raises NotFound, RateLimited."""
        after = last_event_seq(request)
        watch = await self.watching.open(principal.organization.id, id)
        try:
            follow = _Follow(self._door, principal, watch, after, may_come=may_come)
            first = await follow.read()
        except BaseException:
            watch.close()
            raise
        if follow.is_over and follow.is_resumed and not first:
            watch.close()
            return Response(status_code=204)
        told = _Told(follow, first, word=word, show=show, allowed=allowed, heartbeat_s=self.heartbeat_s)
        return EventStream(watch, told.frames)


class _Follow:
    """Where one stream is in the timeline of its execution."""

    def __init__(self, door: Door, principal: Principal, watch: Watch, after: int | None, *, may_come: bool) -> None:
        self._door = door
        self._principal = principal
        self._may_come = may_come
        self.watch = watch
        self.is_resumed = after is not None
        self.after = after or 0
        self.execution: Execution | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has told the end: the newest event of an execution in a terminal status."""
        execution = self.execution
        return execution is not None and execution.status in TERMINAL and self.after >= execution.seq

    async def read(self) -> list[Event]:
        """The events that follow, and the execution as it stands after them or later; `execution` stays None while
        there is none yet."""
        self.watch.changed.clear()
        principal, id = self._principal, self.watch.execution_id
        known = self.execution or await self._begun()
        if known is None:
            return []
        if self.execution is None and not self.is_resumed:
            events = await self._door.events(principal, known, EventsQuery())
        else:
            found = await self._door.reading.events(principal, known, after_seq=self.after, limit=EVENTS_PER_READ)
            events = list(found.events)
        self.execution = await self._door.reading.get(principal, id)
        if events:
            self.after = events[-1].seq
        if self.after < self.execution.seq:
            # There is more than one read gives, or something has happened between the two.
            self.watch.changed.set()
        return events

    async def _begun(self) -> Execution | None:
        try:
            known = await self._door.reading.get(self._principal, self.watch.execution_id, kind=Kind.RUN)
        except NotFound:
            if not self._may_come:
                raise
            return None
        if self.after > known.seq:
            # No event of it has this id: whoever names it has seen nothing of this timeline.
            self.is_resumed, self.after = False, 0
        return known


class EventStream(Response):
    """What `frames` give until they end or the reader leaves, which the watch is told."""

    media_type = "text/event-stream"

    def __init__(self, watch: Watch, frames: Callable[[], AsyncIterator[bytes]]) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._watch = watch
        self._frames = frames

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        watch = self._watch

        async def listen() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            watch.leave()

        async def write(data: bytes, *, more: bool = True) -> None:
            async with asyncio.timeout(STALLED_S):
                await send({"type": "http.response.body", "body": data, "more_body": more})

        listening = asyncio.create_task(listen())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await write(b"retry: %d\n\n" % RETRY_MS)
            async for frame in self._frames():
                await write(frame)
            await write(b"", more=False)
        except TimeoutError:
            # The reader takes nothing: its connection is dropped, and it may resume.
            return
        finally:
            watch.close()
            listening.cancel()
            await asyncio.wait({listening})


class _Told:
    """What one stream of an execution says."""

    def __init__(
        self, follow: _Follow, first: list[Event], *, word: str, show: Show, allowed: Allowed, heartbeat_s: float
    ) -> None:
        self._follow = follow
        self._first = first
        self._word = word
        self._show = show
        self._allowed = allowed
        self._heartbeat_s = heartbeat_s

    async def frames(self) -> AsyncIterator[bytes]:
        follow, watch = self._follow, self._follow.watch
        async for heartbeat in self._until_it_is_there():
            yield heartbeat
        if follow.execution is None:
            return
        events, is_behind = self._first, False
        if not follow.is_resumed:
            yield await self._frame(events, is_whole=True)
            events = []
        while not watch.gone:
            for event in events:
                yield await self._frame([event], is_whole=False)
            if follow.is_over:
                return
            if not await set_within(watch.changed, self._heartbeat_s):
                if not await self._may_go_on():
                    return
                events = []
                yield HEARTBEAT
                if not is_behind:
                    continue
            try:
                events = await follow.read()
                is_behind = False
            except Unavailable:
                # Nothing is lost: the next change or heartbeat goes on from the same event.
                events, is_behind = [], True

    async def _until_it_is_there(self) -> AsyncIterator[bytes]:
        """Heartbeats, until the execution is recorded, the reader leaves, or the patience ends."""
        follow, waited_s = self._follow, 0.0
        while follow.execution is None and not follow.watch.gone and waited_s < PATIENCE_S:
            if not await set_within(follow.watch.changed, self._heartbeat_s):
                waited_s += self._heartbeat_s
                if not await self._may_go_on():
                    return
                yield HEARTBEAT
            try:
                self._first = await follow.read()
            except Unavailable:
                continue

    async def _may_go_on(self) -> bool:
        return await may_go_on(self._allowed)

    async def _frame(self, events: Sequence[Event], *, is_whole: bool) -> bytes:
        execution = self._follow.execution
        assert execution is not None
        seq = events[-1].seq if events else self._follow.after
        shown = await self._show(execution, events, is_whole)
        data = encoder.encode({"type": "snapshot" if is_whole else "change", **shown})
        return frame_of(seq, self._word, data)


def frame_of(seq: int, word: str, data: bytes) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (event_id(seq).encode(), word.encode(), data)


async def may_go_on(allowed: Allowed) -> bool:
    """Whether the credential is still good, asked at every heartbeat."""
    try:
        await allowed()
    except CallerError:
        return False
    except Unavailable:
        return True
    return True

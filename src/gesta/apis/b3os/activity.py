"""`GET /v1/activity/stream`: what happens to the organization's runs, as Server-Sent Events (protocols/b3os.md §7).

Each frame has `id:`, the id of the event that it tells, `event: activity`, and `data:` with the `type` `event`, the
event, and the run as lists have it. `Last-Event-ID` goes on after that event; without it, what is next is told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Principal, Scope
from gesta.apis.b3os.codec import encode_event
from gesta.apis.b3os.codec_runs import encode_run_item
from gesta.apis.b3os.door import Door, encoder
from gesta.apis.b3os.stream import HEARTBEAT, EventStream, Streams, frame_of, last_event_seq, may_go_on
from gesta.apis.b3os.watching import EVERYTHING, READ_ITEMS, Watch
from gesta.kernel.errors import Unavailable
from gesta.kernel.events import set_within
from gesta.ledger.records import FeedItem, Kind


class Activity:
    """The endpoint."""

    def __init__(self, door: Door, streams: Streams) -> None:
        self._door = door
        self._streams = streams

    async def stream(self, request: Request) -> Response:
        """What happens to runs from now on, or from `Last-Event-ID` on."""
        principal = await self._door.caller(request)
        principal.require(Scope.READ)
        after = last_event_seq(request)
        watch = await self._streams.watching.open(principal.organization.id, EVERYTHING)
        try:
            head = await self._door.reading.head(principal)
        except BaseException:
            watch.close()
            raise
        # An id beyond the end of the record was never given: what is next is told.
        begin = head if after is None else min(after, head)
        if begin < head:
            watch.changed.set()

        def frames() -> AsyncIterator[bytes]:
            return self._frames(request, principal, watch, begin)

        return EventStream(watch, frames)

    async def _frames(self, request: Request, principal: Principal, watch: Watch, after: int) -> AsyncIterator[bytes]:
        async def allowed() -> None:
            await self._door.caller(request)

        while not watch.gone:
            if not await set_within(watch.changed, self._streams.heartbeat_s):
                if not await may_go_on(allowed):
                    return
                yield HEARTBEAT
            watch.changed.clear()
            try:
                items = await self._door.reading.feed(principal, after_seq=after, limit=READ_ITEMS)
            except Unavailable:
                # Nothing is lost: the next change or heartbeat goes on from the same event.
                continue
            for item in items:
                after = item.event.seq
                if _is_for(principal, item):
                    yield _frame(principal, item)
            if len(items) == READ_ITEMS:
                watch.changed.set()


def _is_for(principal: Principal, item: FeedItem) -> bool:
    execution = item.execution
    return execution.kind is Kind.RUN and (principal.account is None or principal.account.id == execution.account)


def _frame(principal: Principal, item: FeedItem) -> bytes:
    organization = principal.organization.public_id
    data = {
        "type": "event",
        "event": encode_event(item.event, item.execution, organization=organization),
        "run": encode_run_item(item.execution, organization=organization),
    }
    return frame_of(item.event.seq, "activity", encoder.encode(data))

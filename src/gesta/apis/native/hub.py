"""The change feed for many subscribers of one process, each item read and encoded once.

Per organization there is one channel, as long as somebody is subscribed: one task reads the ledger's feed into a ring
of encoded items, bounded in items and bytes. Subscribers pull from the ring by their own cursor, so a slow one holds
nobody up; one that falls behind the ring reads the ledger instead, so it loses nothing.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import structlog

from gesta.access.model import Account, AccountType, Environment, Organization, Principal, Scope
from gesta.apis.native.auth import Directory
from gesta.apis.native.codec import encoder, view_event, view_execution
from gesta.desk.reading import Reading
from gesta.kernel.errors import Unavailable
from gesta.kernel.events import set_within
from gesta.ledger.records import FeedItem, Kind, Source, Status

log = structlog.get_logger("gesta.stream")

RING_ITEMS = 4096
RING_BYTES = 16 * 1024 * 1024
READ_ITEMS = 500
# Subscribers that catch up from the ledger do so a few at a time; each holds one slice of the feed.
CATCH_UP_ITEMS = 200
CATCH_UP_READERS = 8
RETRY_S = 1.0


class Item(msgspec.Struct):
    """One feed item, encoded, with what filters look at. `status` is the one that the event brought, if any."""

    seq: int
    kind: Kind
    status: Status | None
    source: Source
    account: Account
    type: str
    payload: bytes
    frame: bytes = b""
    text: str = ""

    def as_frame(self) -> bytes:
        """The Server-Sent Event."""
        if not self.frame:
            head = f"id: {self.seq}\nevent: {_one_line(self.type)}\ndata: ".encode()
            self.frame = b"".join((head, self.payload, b"\n\n"))
        return self.frame

    def as_text(self) -> str:
        """The WebSocket text message."""
        if not self.text:
            self.text = self.payload.decode()
        return self.text


def _one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")


class StreamFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a subscriber wants; an empty set or None means no condition. `account_names` are case-folded;
    `account_id` is what its credential is bound to."""

    kinds: frozenset[Kind] = frozenset()
    statuses: frozenset[Status] = frozenset()
    sources: frozenset[Source] = frozenset()
    account_names: frozenset[str] = frozenset()
    account_type: AccountType | None = None
    environment: Environment | None = None
    account_id: int | None = None

    def admits(self, item: Item) -> bool:
        account = item.account
        return (
            (not self.kinds or item.kind in self.kinds)
            and (not self.statuses or item.status in self.statuses)
            and (not self.sources or item.source in self.sources)
            and (not self.account_names or account.name.casefold() in self.account_names)
            and (self.account_type is None or account.type is self.account_type)
            and (self.environment is None or account.environment is self.environment)
            and (self.account_id is None or account.id == self.account_id)
        )


class Subscriber:
    """One stream: its cursor and its filter. `next` gives what follows; it never blocks another subscriber."""

    def __init__(self, hub: Hub, channel: Channel, wanted: StreamFilter, after: int) -> None:
        self._hub = hub
        self._channel = channel
        self._wanted = wanted
        self._woken: asyncio.Future[None] | None = None
        self._beats = channel.beats
        self.cursor = after
        self.gone = False

    @property
    def ended(self) -> bool:
        """Whether the stream is over: the caller is gone, or the server stops."""
        return self.gone or self._hub.closed

    def leave(self) -> None:
        self.gone = True
        self.wake()

    def wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def next(self, limit: int = 64) -> list[Item]:
        """Items after the cursor that the filter admits, at least one; [] for a heartbeat or at the end."""
        while not self.ended:
            items = self._channel.after(self.cursor, limit)
            if items is None:
                try:
                    items = await self._hub.catch_up(self._channel, self.cursor)
                except Unavailable:
                    # Nothing is lost: the next heartbeat tries again from the same cursor.
                    items = []
            if items:
                self.cursor = items[-1].seq
                admitted = [item for item in items if self._wanted.admits(item)]
                if admitted:
                    return admitted
                continue
            if self._beats != self._channel.beats:
                self._beats = self._channel.beats
                return []
            await self._wait()
        return []

    async def _wait(self) -> None:
        self._woken = asyncio.get_running_loop().create_future()
        try:
            await self._woken
        finally:
            self._woken = None


class Channel:
    """The ring of one organization. It holds every item after `floor` that the feed has shown so far."""

    def __init__(self, organization: Organization) -> None:
        self.principal = Principal(
            organization=organization,
            identity_id=0,
            identity_name="stream",
            credential_id=0,
            scopes=frozenset({Scope.READ}),
        )
        self.subscribers: set[Subscriber] = set()
        self.floor = 0
        self.tip = 0
        self.beats = 0
        self.ready = False
        self.task: asyncio.Task[None] | None = None
        self._ring: list[Item] = []
        self._dropped = 0
        self._bytes = 0

    def publish(self, items: Sequence[Item]) -> None:
        ring = self._ring
        ring += items
        self._bytes += sum(len(item.payload) for item in items)
        self.tip = ring[-1].seq
        while len(ring) - self._dropped > RING_ITEMS or (self._bytes > RING_BYTES and len(ring) - self._dropped > 1):
            self.floor = ring[self._dropped].seq
            self._bytes -= len(ring[self._dropped].payload)
            self._dropped += 1
        if self._dropped > RING_ITEMS // 4:
            del ring[: self._dropped]
            self._dropped = 0
        self.wake()

    def wake(self) -> None:
        for subscriber in self.subscribers:
            subscriber.wake()

    def beat(self) -> None:
        self.beats += 1
        self.wake()

    def after(self, cursor: int, limit: int) -> list[Item] | None:
        """Items after the cursor, or None if the ring does not reach back that far."""
        if not self.ready or cursor >= self.tip:
            return []
        if cursor < self.floor:
            return None
        start = bisect_right(self._ring, cursor, lo=self._dropped, key=_seq)
        return self._ring[start : start + limit]


def _seq(item: Item) -> int:
    return item.seq


class Hub:
    """Every channel of the process. Created outside of any loop; tasks exist only while somebody is subscribed."""

    def __init__(self, reading: Reading, directory: Directory, *, heartbeat_s: float) -> None:
        self._reading = reading
        self._directory = directory
        self._heartbeat_s = heartbeat_s
        self._channels: dict[int, Channel] = {}
        self._catching_up = asyncio.Semaphore(CATCH_UP_READERS)
        self._empty: asyncio.Event | None = None
        self.closed = False

    @property
    def subscriber_count(self) -> int:
        return sum(len(channel.subscribers) for channel in self._channels.values())

    @asynccontextmanager
    async def subscribe(self, principal: Principal, wanted: StreamFilter, *, after: int) -> AsyncIterator[Subscriber]:
        """A subscription to everything after `after` of the caller's organization. Raises Unavailable once closed."""
        if self.closed:
            raise Unavailable("The server is stopping; resume from your last id.")
        organization = principal.organization
        channel = self._channels.get(organization.id)
        if channel is None:
            channel = self._channels[organization.id] = Channel(organization)
            channel.task = asyncio.create_task(self._read(channel), name=f"feed:{organization.public_id}")
        subscriber = Subscriber(self, channel, wanted, after)
        channel.subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            channel.subscribers.discard(subscriber)
            if not channel.subscribers and self._channels.get(organization.id) is channel:
                del self._channels[organization.id]
                if channel.task is not None:
                    channel.task.cancel()
                if self._empty is not None and not self._channels:
                    self._empty.set()

    async def catch_up(self, channel: Channel, cursor: int) -> list[Item]:
        """A slice of the feed from the ledger, for a subscriber that is behind the ring."""
        async with self._catching_up:
            found = await self._reading.feed(channel.principal, after_seq=cursor, limit=CATCH_UP_ITEMS)
            return await self._encode(channel, found)

    async def _encode(self, channel: Channel, found: Sequence[FeedItem]) -> list[Item]:
        organization = channel.principal.organization.id
        accounts = await self._directory.names(organization, (item.execution.account for item in found))
        return [encode_item(item, accounts[item.execution.account]) for item in found]

    async def _read(self, channel: Channel) -> None:
        """Follow the feed for as long as the channel lives. An outage of the ledger is waited out."""
        loop = asyncio.get_running_loop()
        next_beat_s = loop.time() + self._heartbeat_s
        while True:
            try:
                if not channel.ready:
                    channel.floor = channel.tip = await self._reading.head(channel.principal)
                    channel.ready = True
                    channel.wake()
                left_s = max(0.0, next_beat_s - loop.time())
                if await self._reading.wait(channel.principal, after_seq=channel.tip, timeout_s=left_s):
                    found = await self._reading.feed(channel.principal, after_seq=channel.tip, limit=READ_ITEMS)
                    if found:
                        channel.publish(await self._encode(channel, found))
            except Unavailable as error:
                log.warning("stream.ledger_unavailable", message=error.message)
                await asyncio.sleep(RETRY_S)
            except Exception as error:
                # The one reader of this organization must not die: its subscribers would hear nothing, for ever.
                log.exception("stream.reader_failed", exc_info=error)
                await asyncio.sleep(RETRY_S)
            if loop.time() >= next_beat_s:
                next_beat_s = loop.time() + self._heartbeat_s
                channel.beat()

    async def close(self, *, deadline_s: float = 5.0) -> None:
        """End every stream and wait until each has said goodbye, at most `deadline_s`. May be called twice."""
        self.closed = True
        if not self._channels:
            return
        self._empty = asyncio.Event()
        for channel in self._channels.values():
            channel.wake()
        if not await set_within(self._empty, deadline_s):
            log.warning("stream.orphaned", subscribers=self.subscriber_count)
        for channel in self._channels.values():
            if channel.task is not None:
                channel.task.cancel()


def encode_item(item: FeedItem, account: Account) -> Item:
    """`{"seq", "event", "execution"}` and the fields that filters look at."""
    view = {
        "seq": item.event.seq,
        "event": view_event(item.event),
        "execution": view_execution(item.execution, account),
    }
    return Item(
        seq=item.event.seq,
        kind=item.execution.kind,
        status=item.event.to_status,
        source=item.execution.source,
        account=account,
        type=item.event.type,
        payload=encoder.encode(view),
    )


__all__ = ["Hub", "Item", "StreamFilter", "Subscriber"]

"""`python -m benchmarks.subscribers sse|websocket HOST PORT TOKEN COUNT AFTER`: many readers of one feed.

On standard output it says `ready` once every subscriber has had its first word from the server. A line on standard
input says what it should receive, `FIRST LAST`, by `seq`. Then it tells, as JSON: how many subscribers got exactly
these in order, and for each delivery the microseconds from the row's `recorded_at` to its arrival.
"""

from __future__ import annotations

import array
import asyncio
import base64
import re
import resource
import struct
import sys
import time
from contextlib import suppress
from datetime import datetime
from typing import Any, cast

import msgspec
import uvloop

from benchmarks.harness import percentile

# How long the last deliveries may take after the last row is recorded.
GRACE_S = 60.0
CONNECTING_AT_ONCE = 50

_RECORDED = re.compile(rb'"recorded_at":"([^"]+)"')
_EVENT = re.compile(rb"(?:^|\n)id: ?(\d+)\nevent: ?(\w+)")
_SEQ = re.compile(rb'"seq":(\d+)')


class Arrivals:
    """What all subscribers of this process received. `recorded_us` is read once per row."""

    def __init__(self) -> None:
        self.recorded_us: dict[int, int] = {}

    def recorded(self, seq: int, message: bytes) -> None:
        if seq not in self.recorded_us and (found := _RECORDED.search(message)):
            at = datetime.fromisoformat(found[1].decode())
            self.recorded_us[seq] = round(at.timestamp() * 1e6)


class Subscriber(asyncio.Protocol):
    """One connection; `seqs` and `at_us` are what came, in order, and when."""

    def __init__(self, opening: bytes, arrivals: Arrivals) -> None:
        self.seqs = array.array("q")
        self.at_us = array.array("q")
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost: str | None = None
        self._opening = opening
        self._arrivals = arrivals
        self._buffer = b""
        self._enough: tuple[int, asyncio.Future[None]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._opening)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = f"closed: {exc}"
        if not self.ready.done():
            self.ready.set_exception(RuntimeError(f"closed before it was ready: {self._buffer[:300]!r}"))

    def data_received(self, data: bytes) -> None:
        now_us = time.time_ns() // 1000
        self._buffer = self.messages(self._buffer + data if self._buffer else data, now_us)

    def messages(self, data: bytes, now_us: int) -> bytes:
        """Take the whole messages; return the rest."""
        raise NotImplementedError

    def arrived(self, seq: int, message: bytes, now_us: int) -> None:
        self.seqs.append(seq)
        self.at_us.append(now_us)
        self._arrivals.recorded(seq, message)
        if self._enough is not None and len(self.seqs) == self._enough[0] and not self._enough[1].done():
            self._enough[1].set_result(None)

    async def until(self, count: int) -> None:
        """Return once so many events have come."""
        if len(self.seqs) < count:
            self._enough = count, asyncio.get_running_loop().create_future()
            await self._enough[1]

    def begin(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)


class SseSubscriber(Subscriber):
    def messages(self, data: bytes, now_us: int) -> bytes:
        *whole, rest = data.split(b"\n\n")
        for message in whole:
            found = _EVENT.search(message)
            if found is None:
                continue
            if found[2] == b"ready":
                self.begin()
            else:
                self.arrived(int(found[1]), message, now_us)
        return rest


class WebSocketSubscriber(Subscriber):
    _open = False

    def messages(self, data: bytes, now_us: int) -> bytes:
        if not self._open:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return data
            if not data.startswith(b"HTTP/1.1 101"):
                raise RuntimeError(f"no WebSocket: {data[:300]!r}")
            self._open = True
            data = data[end + 4 :]
        while (frame := frame_of(data)) is not None:
            code, payload, size = frame
            data = data[size:]
            if code == 9:
                # A pong, masked by zeros.
                self.transport.write(bytes((0x8A, 0x80 | len(payload), 0, 0, 0, 0)) + payload)
            elif code == 1:
                self._text(payload, now_us)
        return data

    def _text(self, payload: bytes, now_us: int) -> None:
        if payload.startswith(b'{"type":"ready"'):
            self.begin()
        elif payload.startswith(b'{"seq"') and (found := _SEQ.match(payload, 1)):
            self.arrived(int(found[1]), payload, now_us)


def frame_of(data: bytes) -> tuple[int, bytes, int] | None:
    """(opcode, payload, size of the frame), once it is whole: a server's frames are not masked (RFC 6455 §5.2)."""
    if len(data) < 2:
        return None
    length, start = data[1] & 0x7F, 2
    if length == 126:
        if len(data) < 4:
            return None
        (length,), start = struct.unpack_from("!H", data, 2), 4
    elif length == 127:
        if len(data) < 10:
            return None
        (length,), start = struct.unpack_from("!Q", data, 2), 10
    if len(data) < start + length:
        return None
    return data[0] & 0x0F, data[start : start + length], start + length


def opening(kind: str, token: str, after: int) -> bytes:
    upgrade = ""
    if kind == "websocket":
        key = base64.b64encode(bytes(16)).decode()
        upgrade = (
            f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        )
    head = f"GET /ledger/stream?after={after} HTTP/1.1\r\nHost: gesta.test\r\n"
    return f"{head}Authorization: Bearer {token}\r\n{upgrade}\r\n".encode()


async def subscribe(kind: str, place: tuple[str, int], token: str, count: int, after: int) -> list[Subscriber]:
    loop = asyncio.get_running_loop()
    arrivals, first_words = Arrivals(), opening(kind, token, after)
    make = SseSubscriber if kind == "sse" else WebSocketSubscriber
    subscribers: list[Subscriber] = []
    while len(subscribers) < count:
        some = range(min(CONNECTING_AT_ONCE, count - len(subscribers)))
        made = await asyncio.gather(
            *(loop.create_connection(lambda: make(first_words, arrivals), *place) for _ in some)
        )
        subscribers += [protocol for _, protocol in made]
        await asyncio.gather(*(protocol.ready for _, protocol in made))
    return subscribers


async def expect(subscribers: list[Subscriber], first: int, last: int) -> dict[str, Any]:
    """Wait until all have all, or for `GRACE_S`, and tell what came."""
    wanted = array.array("q", range(first, last + 1))
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE_S):
            await asyncio.gather(*(each.until(len(wanted)) for each in subscribers))
    recorded_us = subscribers[0]._arrivals.recorded_us
    latencies = [
        at_us - recorded_us[seq]
        for each in subscribers
        for seq, at_us in zip(each.seqs, each.at_us, strict=True)
        if seq in recorded_us
    ]
    return {
        "subscribers": len(subscribers),
        "complete": sum(each.seqs == wanted for each in subscribers),
        "lost_connections": sum(each.lost is not None for each in subscribers),
        "deliveries": len(latencies),
        "p50_us": percentile(latencies, 0.5) if latencies else 0,
        "p99_us": percentile(latencies, 0.99) if latencies else 0,
        "max_us": max(latencies, default=0),
    }


async def main() -> None:
    kind, host, port, token, count, after = sys.argv[1:]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    subscribers = await subscribe(kind, (host, int(port)), token, int(count), int(after))
    print("ready", flush=True)
    line = await asyncio.to_thread(sys.stdin.readline)
    first, last = map(int, line.split())
    sys.stdout.buffer.write(msgspec.json.encode(await expect(subscribers, first, last)) + b"\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())

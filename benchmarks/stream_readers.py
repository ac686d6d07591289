"""`python -m benchmarks.stream_readers HOST PORT TOKENS_FILE market|events`: many clients of CrossTrade's WebSocket.

Each has a credential of its own and subscribes to one instrument or to account events. On standard output it says
`ready` once all are subscribed. A line on standard input says how it ends: the newest bid that everyone must hear of,
or how many executions. Then it tells, as JSON, what came: every `seq` must follow the one before.
"""

from __future__ import annotations

import array
import asyncio
import base64
import re
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec
import uvloop

from benchmarks.harness import percentile
from benchmarks.subscribers import CONNECTING_AT_ONCE, GRACE_S, frame_of

INSTRUMENT = "BTC-USDT"
# A market frame at most so often; the least that the server allows.
INTERVAL_MS = 100
SUBSCRIBE: dict[str, dict[str, Any]] = {
    "market": {"action": "subscribe", "instruments": [INSTRUMENT], "interval": INTERVAL_MS},
    "events": {"action": "subscribe", "events": ["orders", "executions", "positions"]},
}
_SEQ = re.compile(rb'"seq":(\d+)')
_TIME = re.compile(rb'"time":"([0-9T:.-]{26})\d"')
_EPOCH = re.compile(rb'"volume":[^,]+,"bidSize":[^,]+,"askSize":[^,]+,"epoch":(\d+)')
_BID = re.compile(rb'"bid":([0-9.]+)')
_ID = re.compile(rb'"execution":\{"id":"([0-9a-f]{32})"')


class Reader(asyncio.Protocol):
    """One client. `latencies_us` are from the time that an execution or a quote says to its arrival."""

    def __init__(self, token: str, first_frame: dict[str, Any], moments: dict[bytes, int]) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.latencies_us = array.array("q")
        self.frames = 0
        self.holes = 0
        self.resyncs = 0
        self.executions = 0
        self.newest_bid = 0.0
        self.lost = ""
        self._token = token
        self._first_frame = first_frame
        self._moments = moments
        self._buffer = b""
        self._open = False
        self._waiting: tuple[Callable[[], bool], asyncio.Future[None]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(upgrade(self._token))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = f"closed: {exc}"
        if not self.ready.done():
            self.ready.set_exception(RuntimeError(f"closed before it was ready: {self._buffer[:300]!r}"))

    def data_received(self, data: bytes) -> None:
        now_us = time.time_ns() // 1000
        data = self._buffer + data
        if not self._open:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return
            if not data.startswith(b"HTTP/1.1 101"):
                raise RuntimeError(f"no WebSocket: {data[:300]!r}")
            self._open = True
            data = data[end + 4 :]
            self.transport.write(text_frame(msgspec.json.encode(self._first_frame)))
        while (frame := frame_of(data)) is not None:
            code, payload, size = frame
            data = data[size:]
            if code == 9:
                self.transport.write(bytes((0x8A, 0x80 | len(payload), 0, 0, 0, 0)) + payload)
            elif code == 1:
                self._text(payload, now_us)
        self._buffer = data
        if self._waiting is not None and self._waiting[0]() and not self._waiting[1].done():
            self._waiting[1].set_result(None)

    def _text(self, payload: bytes, now_us: int) -> None:
        if payload.startswith(b'{"status":"subscribed"'):
            self.ready.set_result(None)
            return
        found = _SEQ.search(payload)
        if found is None:
            raise RuntimeError(f"not a push: {payload[:300]!r}")
        self.frames += 1
        if int(found[1]) != self.frames:
            self.holes += 1
        if payload.startswith(b'{"type":"executionUpdate"'):
            self.executions += 1
            self.latencies_us.append(now_us - self._moment(payload))
        elif payload.startswith(b'{"type":"marketData"'):
            quoted, bid = _EPOCH.search(payload), _BID.search(payload)
            if quoted is None or bid is None:
                raise RuntimeError(f"not a quote: {payload[:300]!r}")
            self.newest_bid = float(bid[1])
            # The first one is whatever was quoted before this reader came.
            if self.frames > 1:
                self.latencies_us.append(now_us - int(quoted[1]) * 1000)
        elif payload.startswith(b'{"type":"resync"'):
            self.resyncs += 1

    def _moment(self, payload: bytes) -> int:
        """When the execution happened; its text is read once for all readers."""
        found = _ID.search(payload)
        if found is None:
            raise RuntimeError(f"not an execution: {payload[:300]!r}")
        if found[1] not in self._moments:
            said = _TIME.search(payload)
            if said is None:
                raise RuntimeError(f"without a time: {payload[:300]!r}")
            at = datetime.fromisoformat(said[1].decode()).replace(tzinfo=UTC)
            self._moments[found[1]] = round(at.timestamp() * 1e6)
        return self._moments[found[1]]

    async def until(self, true: Callable[[], bool]) -> None:
        if not true():
            self._waiting = true, asyncio.get_running_loop().create_future()
            await self._waiting[1]


def upgrade(token: str) -> bytes:
    key = base64.b64encode(bytes(16)).decode()
    return (
        "GET /ws/stream HTTP/1.1\r\nHost: gesta.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nAuthorization: Bearer {token}\r\n\r\n"
    ).encode()


def text_frame(data: bytes) -> bytes:
    """Of at most 125 bytes, masked by zeros."""
    if len(data) > 125:
        raise ValueError("too long for a short frame")
    return bytes((0x81, 0x80 | len(data), 0, 0, 0, 0)) + data


async def connect(place: tuple[str, int], tokens: list[str], kind: str) -> list[Reader]:
    loop = asyncio.get_running_loop()
    moments: dict[bytes, int] = {}
    readers: list[Reader] = []
    while len(readers) < len(tokens):
        some = tokens[len(readers) : len(readers) + CONNECTING_AT_ONCE]
        made = await asyncio.gather(
            *(
                loop.create_connection(lambda token=token: Reader(token, SUBSCRIBE[kind], moments), *place)  # type: ignore[misc]
                for token in some
            )
        )
        readers += [reader for _, reader in made]
        await asyncio.gather(*(reader.ready for _, reader in made))
    return readers


async def expect(readers: list[Reader], kind: str, wanted: float) -> dict[str, Any]:
    """Wait until all have it, or for `GRACE_S`, and tell what came."""

    def has(reader: Reader) -> bool:
        return reader.newest_bid == wanted if kind == "market" else reader.executions >= wanted

    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE_S):
            await asyncio.gather(*(reader.until(lambda reader=reader: has(reader)) for reader in readers))  # type: ignore[misc]
    latencies = [each for reader in readers for each in reader.latencies_us]
    return {
        "readers": len(readers),
        "complete": sum(has(reader) and not (reader.holes or reader.resyncs) for reader in readers),
        "lost_connections": sum(bool(reader.lost) for reader in readers),
        "deliveries": sum(reader.frames for reader in readers),
        "p50_us": percentile(latencies, 0.5) if latencies else 0,
        "p99_us": percentile(latencies, 0.99) if latencies else 0,
        "max_us": max(latencies, default=0),
    }


async def main(host: str, port: str, tokens: list[str], kind: str) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    readers = await connect((host, int(port)), tokens, kind)
    print("ready", flush=True)
    line = await asyncio.to_thread(sys.stdin.readline)
    told = await expect(readers, kind, float(line))
    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_text().split(), sys.argv[4]))

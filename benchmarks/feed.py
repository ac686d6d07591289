"""A thousand subscribers of `/ledger/stream`, by Server-Sent Events and by WebSocket, while rows are recorded.

The subscribers live in a process of their own. Rows are posted one by one at a steady pace. Latency is from the row's
`recorded_at`, taken just before the commit (so the disk's sync is in it), to the arrival of the event at each
subscriber. Every subscriber must receive every `seq`, in order, once. The floor is `sendall` of as
many bytes to as many local TCP sockets, in a bare loop.
"""

from __future__ import annotations

import asyncio
import http.client
import itertools
import random
import resource
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from benchmarks.harness import Report, bar, us
from benchmarks.http import row_of
from benchmarks.served import House, Process, house, post_over

SUBSCRIBERS = 1_000
PER_S = 5.0
ROWS = 100
QUICK_ROWS = 20
KINDS = ("sse", "websocket")


@dataclass(frozen=True)
class Taken:
    told: dict[str, Any]
    rows: int
    server_cpu_s: float
    floor_cpu_us: float

    @property
    def cpu_us(self) -> float:
        """Of the server, for one delivery; recording the rows is in it."""
        return self.server_cpu_s / (self.rows * SUBSCRIBERS) * 1e6


def endless_rows() -> Iterator[dict[str, Any]]:
    dice = random.Random(2)  # Not for secrets.
    for number in itertools.count():
        at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        yield row_of("fill", number, at, dice)


async def measure(database: str, options: Any) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(house(database))
        server = fleet.serve()
        stack.callback(server.stop)
        await server.address()
        rows = endless_rows()
        taken = {}
        for kind in KINDS:
            taken[kind] = await followed(kind, fleet, server, rows, QUICK_ROWS if options.quick else ROWS)
        tell(database, taken)


async def followed(kind: str, fleet: House, server: Process, rows: Iterator[dict[str, Any]], count: int) -> Taken:
    host, port = await server.address()
    token = fleet.made.bearer.secret
    connection = http.client.HTTPConnection(host, port)
    # The first row says where the feed stands, and that the server is warm.
    head = int((await asyncio.to_thread(post_over, connection, token, [next(rows)]))["results"][0]["seq"])
    arguments = ["-m", "benchmarks.subscribers", kind, host, str(port), token, str(SUBSCRIBERS), str(head)]
    readers = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    if readers.stdin is None or readers.stdout is None:
        raise RuntimeError("the subscribers have no pipes")
    try:
        if (await readers.stdout.readline()).strip() != b"ready":
            raise RuntimeError(f"the subscribers by {kind} did not connect")
        cpu_s = server.cpu()
        last = await record(connection, token, itertools.islice(rows, count), count)
        readers.stdin.write(f"{head + 1} {last}\n".encode())
        told = msgspec.json.decode(await readers.stdout.readline())
        cpu_s = server.cpu() - cpu_s
    finally:
        connection.close()
        if readers.returncode is None:
            readers.stdin.close()
            await readers.wait()
    if told["complete"] != SUBSCRIBERS or last - head != count:
        raise RuntimeError(f"{kind}: not every subscriber received seq {head + 1} to {last} once and in order: {told}")
    return Taken(told, count, cpu_s, await asyncio.to_thread(floor_us, 1_500))


async def record(connection: http.client.HTTPConnection, token: str, rows: Iterator[dict[str, Any]], count: int) -> int:
    """Post at a steady pace, late or not; return the `seq` of the last."""
    began_s, last = time.monotonic(), 0
    progress, advance = bar("rows", count)
    with progress:
        for number, row in enumerate(rows):
            await asyncio.sleep(max(0.0, began_s + number / PER_S - time.monotonic()))
            answer = await asyncio.to_thread(post_over, connection, token, [row])
            last = int(answer["results"][0]["seq"])
            advance(1)
    return last


def floor_us(size: int) -> float:
    """CPU of `send` alone, for one delivery of so many bytes."""
    with socket.create_server(("127.0.0.1", 0), backlog=SUBSCRIBERS) as listener:
        place = listener.getsockname()
        pairs = [(socket.create_connection(place), listener.accept()[0]) for _ in range(SUBSCRIBERS)]
    data = bytes(size)
    spent_s = 0.0
    for _ in range(20):
        began_s = time.thread_time()
        for sender, _ in pairs:
            sender.sendall(data)
        spent_s += time.thread_time() - began_s
        for _, receiver in pairs:
            receiver.recv(size)
    for pair in pairs:
        for each in pair:
            each.close()
    return spent_s / (20 * len(pairs)) * 1e6


def tell(database: str, taken: dict[str, Taken]) -> None:
    report = Report(
        f"feed-{database}",
        f"Feed on {database}: {SUBSCRIBERS:,} subscribers, {PER_S:.0f} rows a second",
        ["by", "deliveries", "lost", "p50", "p99", "longest", "CPU/delivery", "bare send"],
        "Latency: recorded_at (before the commit) to arrival. CPU: of the server, recording included.\n"
        "bare send: `sendall` of 1,500 bytes into a local TCP socket, nothing else.",
    )
    for kind, each in taken.items():
        told = each.told
        latencies = [us(told[name]) for name in ("p50_us", "p99_us", "max_us")]
        lost = each.rows * SUBSCRIBERS - told["deliveries"]
        report.add(kind, f"{told['deliveries']:,}", str(lost), *latencies, us(each.cpu_us), us(each.floor_cpu_us))
        report.raw[kind] = told | {"server_cpu_s": each.server_cpu_s, "rows": each.rows}
    report.finish()

"""CrossTrade's WebSocket: from an order over REST to its execution pushed, and 500 subscribers.

An order is placed, and the next one once its execution was pushed and its reply has come. The floor, in turn with it,
is one row in one durable commit through the bare driver. The subscribers live in a process of their own, each with a
credential; all follow one instrument that is quoted 50 times a second, at the shortest interval, or all hear of every
order, execution and position of one account that trades five times a second. Latency is from the time that the
execution has (before its commit), or that the quote has, to its arrival. Nothing may be lost: every `seq` follows the
one before, nobody is told to resync, everybody has every execution and the newest quote.
"""

from __future__ import annotations

import asyncio
import http.client
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Self, cast

import apsw
import asyncpg
import msgspec

from benchmarks.harness import Report, bar, percentile, us
from benchmarks.served import Caller, House, Process, house
from benchmarks.stream_readers import INSTRUMENT, SUBSCRIBE, Reader
from gesta.access.model import AccountType, CredentialType, Scope
from gesta.app.build import open_core
from gesta.app.settings import load_settings
from gesta.kernel.json import encode_json

ACCOUNT = "Sim101"
SUBSCRIBERS = 500
ORDERS, QUICK_ORDERS = 500, 50
QUOTES_PER_S, QUOTED_S, QUICK_QUOTED_S = 50.0, 20.0, 4.0
FILLS_PER_S, FILLS, QUICK_FILLS = 5.0, 100, 20
# Only what is pushed here is the market.
SETTINGS = "[trading]\nmarket = 'none'\nfees = 'zero'\n"
PLACE = f"/v1/api/accounts/{ACCOUNT}/orders/place"


@dataclass
class Taken:
    pushed_us: list[float] = field(default_factory=list)
    replied_us: list[float] = field(default_factory=list)
    commit_us: list[float] = field(default_factory=list)
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    cpu_us: dict[str, float] = field(default_factory=dict)
    took_s: dict[str, float] = field(default_factory=dict)


class Client:
    """REST over one connection that is kept alive."""

    def __init__(self, place: tuple[str, int], token: str) -> None:
        self._connection = http.client.HTTPConnection(*place)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def post(self, path: str, body: Any) -> dict[str, Any]:
        self._connection.request("POST", path, encode_json(body), self._headers)
        answer = self._connection.getresponse()
        said: dict[str, Any] = msgspec.json.decode(answer.read())
        if answer.status != 200:
            raise RuntimeError(f"POST {path} answered {answer.status}: {str(said)[:500]}")
        return said

    def quote(self, bid: float) -> None:
        row = {"instrument": INSTRUMENT, "bid": f"{bid:.2f}", "ask": f"{bid + 1:.2f}"}
        self.post("/ledger/market/data", [row | {"bid_size": "1000000", "ask_size": "1000000"}])

    def order(self, number: int) -> None:
        self.post(PLACE, order_of(number))

    def close(self) -> None:
        self._connection.close()


def order_of(number: int) -> dict[str, Any]:
    """Buy and sell in turn, so that the position stays small."""
    action = "BUY" if number % 2 == 0 else "SELL"
    terms = {"instrument": INSTRUMENT, "action": action, "quantity": 0.01}
    return terms | {"orderType": "MARKET", "timeInForce": "DAY"}


def request_of(number: int, token: str) -> bytes:
    body = encode_json(order_of(number))
    head = f"POST {PLACE} HTTP/1.1\r\nHost: gesta.test\r\nAuthorization: Bearer {token}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Watcher(Reader):
    """A reader that tells when the next execution has come."""

    def __init__(self, token: str) -> None:
        super().__init__(token, SUBSCRIBE["events"], {})
        self.arrived_s = 0.0

    @classmethod
    async def connect(cls, place: tuple[str, int], token: str) -> Self:
        _, made = await asyncio.get_running_loop().create_connection(lambda: cls(token), *place)
        await made.ready
        return made

    def _text(self, payload: bytes, now_us: int) -> None:
        before = self.executions
        super()._text(payload, now_us)
        if self.executions > before:
            self.arrived_s = time.perf_counter()


async def measure(database: str, options: Any) -> None:
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(house(database))
        config = fleet.folder / "gesta.toml"
        config.write_text(config.read_text() + SETTINGS)
        tokens = await credentials(fleet)
        server = fleet.serve()
        stack.callback(server.stop)
        place = await server.address()
        client = Client(place, fleet.made.bearer.secret)
        stack.callback(client.close)
        client.quote(60_000)
        commit = await commits(fleet, stack)
        taken = Taken()
        await placed(
            taken, place, (fleet.made.bearer.secret, tokens[0]), commit, QUICK_ORDERS if options.quick else ORDERS
        )
        tokens_file = fleet.folder / "tokens"
        tokens_file.write_text("\n".join(tokens))
        quoted_s = QUICK_QUOTED_S if options.quick else QUOTED_S
        fills = QUICK_FILLS if options.quick else FILLS
        arguments = [place[0], str(place[1]), str(tokens_file)]
        await followed(taken, "market", arguments, server, lambda: quotes(client, quoted_s))
        client.quote(60_000)
        await followed(taken, "events", arguments, server, lambda: orders(client, fills))
        tell(database, taken)


async def credentials(fleet: House) -> list[str]:
    """The account that trades, and a token for each subscriber: a credential has one connection."""
    settings = load_settings(fleet.folder / "gesta.toml", {"database.url": fleet.database})
    async with open_core(settings) as core:
        organization = fleet.made.organization.id
        await core.access.ensure_account(organization, ACCOUNT, AccountType.TRADING)
        scopes = frozenset({Scope.READ})
        return [
            (
                await core.access.create_credential(
                    organization, type=CredentialType.BEARER, scopes=scopes, label=f"reader {number}"
                )
            ).secret
            for number in range(SUBSCRIBERS)
        ]


async def commits(fleet: House, stack: AsyncExitStack) -> Callable[[], Awaitable[None]]:
    """One row, committed as durably as the server's, in a place of its own."""
    if fleet.database.startswith("postgresql:"):
        postgres = await asyncpg.connect(fleet.database)
        stack.push_async_callback(postgres.close)
        await postgres.execute("CREATE TABLE bare (id BIGSERIAL PRIMARY KEY, body BYTEA NOT NULL)")

        async def insert() -> None:
            await postgres.execute("INSERT INTO bare (body) VALUES ($1)", bytes(400))

        return insert
    sqlite = apsw.Connection(str(fleet.folder / "bare.sqlite3"))
    stack.callback(sqlite.close)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        sqlite.execute(f"PRAGMA {pragma}").fetchall()
    sqlite.execute("CREATE TABLE bare (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")

    async def commit() -> None:
        sqlite.execute("INSERT INTO bare (body) VALUES (?)", (bytes(400),))

    return commit


async def placed(
    taken: Taken,
    place: tuple[str, int],
    tokens: tuple[str, str],
    commit: Callable[[], Awaitable[None]],
    count: int,
) -> None:
    """`tokens` are those of who places and of who listens."""
    trading, reading = tokens
    watcher = await Watcher.connect(place, reading)
    caller = await Caller.connect(place)
    progress, advance = bar("orders", count)
    with progress:
        # The first ones warm up.
        for number in range(-10, count):
            asked, wanted = request_of(number, trading), watcher.executions + 1
            began_s = time.perf_counter()
            await caller.ask(asked)
            replied_us = (time.perf_counter() - began_s) * 1e6
            await watcher.until(lambda wanted=wanted: watcher.executions >= wanted)  # type: ignore[misc]
            pushed_us = (watcher.arrived_s - began_s) * 1e6
            began_s = time.perf_counter()
            await commit()
            if number >= 0:
                taken.pushed_us.append(pushed_us)
                taken.replied_us.append(replied_us)
                taken.commit_us.append((time.perf_counter() - began_s) * 1e6)
                advance(1)
    if watcher.holes or watcher.resyncs or watcher.lost:
        raise RuntimeError("a push was lost")
    watcher.transport.close()
    caller.close()


async def followed(
    taken: Taken, kind: str, arguments: list[str], server: Process, happen: Callable[[], Awaitable[float]]
) -> None:
    """Start the readers, let things happen, and ask them what came."""
    readers = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.stream_readers",
        *arguments,
        kind,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    if readers.stdin is None or readers.stdout is None:
        raise RuntimeError("the readers have no pipes")
    try:
        if (await readers.stdout.readline()).strip() != b"ready":
            raise RuntimeError("the readers did not connect")
        cpu_s, began_s = server.cpu(), time.perf_counter()
        wanted = await happen()
        readers.stdin.write(f"{wanted}\n".encode())
        told = msgspec.json.decode(await readers.stdout.readline())
        cpu_s, took_s = server.cpu() - cpu_s, time.perf_counter() - began_s
    finally:
        if readers.returncode is None:
            readers.stdin.close()
            await readers.wait()
    if told["complete"] != SUBSCRIBERS or told["lost_connections"]:
        raise RuntimeError(f"{kind}: not everybody has everything: {told}")
    taken.told[kind] = told
    taken.cpu_us[kind] = cpu_s / told["deliveries"] * 1e6
    taken.took_s[kind] = took_s


async def quotes(client: Client, seconds: float) -> float:
    """Quote at a steady pace; the newest bid."""
    bid = 50_000.0
    count = round(seconds * QUOTES_PER_S)
    began_s = time.monotonic()
    for number in range(count):
        await asyncio.sleep(max(0.0, began_s + number / QUOTES_PER_S - time.monotonic()))
        bid += 1
        await asyncio.to_thread(client.quote, bid)
    return bid


async def orders(client: Client, count: int) -> float:
    """Trade at a steady pace; how many executions that were."""
    began_s = time.monotonic()
    for number in range(count):
        await asyncio.sleep(max(0.0, began_s + number / FILLS_PER_S - time.monotonic()))
        await asyncio.to_thread(client.order, number)
    return float(count)


def tell(database: str, taken: Taken) -> None:
    latency = Report(
        f"stream-latency-{database}",
        f"One order after the other on {database}: REST in, WebSocket out",
        ["", "p50", "p99", "÷ commit, p50", "÷ commit, p99"],
        "From before the request is sent. One commit: one row of 400 bytes through the bare driver, in turn.",
    )
    floor = [percentile(taken.commit_us, share) for share in (0.5, 0.99)]
    rows = {"pushed": taken.pushed_us, "replied": taken.replied_us, "one commit": taken.commit_us}
    for name, values in rows.items():
        found = [percentile(values, share) for share in (0.5, 0.99)]
        ratios = [f"{mine / other:.1f}" for mine, other in zip(found, floor, strict=True)]
        latency.add(name, *(us(value) for value in found), *ratios)
        latency.raw[name] = values
    latency.finish()
    report = Report(
        f"stream-{database}",
        f"{SUBSCRIBERS} subscribers of CrossTrade's WebSocket on {database}",
        ["", "deliveries", "a second", "lost", "p50", "p99", "longest", "CPU/delivery"],
        "CPU: of the server, with the quotes or orders that came in meanwhile. Latency: see the module.",
    )
    for kind, told in taken.told.items():
        latencies = [us(cast(float, told[name])) for name in ("p50_us", "p99_us", "max_us")]
        rate = told["deliveries"] / taken.took_s[kind]
        report.add(kind, f"{told['deliveries']:,}", f"{rate:,.0f}", "0", *latencies, us(taken.cpu_us[kind]))
        report.raw[kind] = told | {"took_s": taken.took_s[kind], "cpu_us": taken.cpu_us[kind]}
    report.finish()

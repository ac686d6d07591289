"""A server of the dialect on a real socket, with a trading desk and a market that do what a test says."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import msgspec
import uvicorn
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect

from gesta.access.model import Account, Principal
from gesta.apis.crosstrade.routes import build
from gesta.desk.market.face import Snapshot
from gesta.desk.trading.views import (
    AccountView,
    FillUpdate,
    OrderUpdate,
    OrderView,
    PositionUpdate,
    PositionView,
    Update,
)
from gesta.kernel.errors import InvalidInput, Unavailable
from gesta.ledger.records import Execution, FillDetail, Kind, Mode, Source, Status
from gesta.ledger.records import Side as LedgerSide
from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.market import MarketData, Quote
from gesta.trading.orders import Order, OrderState, OrderType, Side
from gesta.trading.positions import Position, apply_fill

PATIENCE_S = 10.0


def instrument(name: str, root: str = "") -> Instrument:
    return Instrument(
        name=name,
        root=root or name.split()[0],
        kind=InstrumentKind.FUTURE,
        tick_size=Decimal("0.25"),
        lot_size=Decimal(1),
        point_value=Decimal(50),
    )


class FakeMarket:
    """Two futures, and `X0` … `X999`. `tick` gives a quote; `count` listeners are there."""

    def __init__(self) -> None:
        self.known = {each.name: each for each in (instrument("ES 12-26"), instrument("NQ 12-26"))}
        self.known |= {f"X{number}": instrument(f"X{number}") for number in range(1000)}
        self.quotes: dict[str, Quote] = {}
        self.listeners: list[Callable[[MarketData], None]] = []
        self.is_broken = False

    def resolve(self, name: str) -> Instrument:
        plain = name.strip().upper()
        for each in self.known.values():
            if plain in (each.name, each.root):
                return each
        raise InvalidInput(f"No instrument {name!r}.", field="instrument", did_you_mean="ES 12-26")

    def snapshot(self, name: str) -> Snapshot:
        if self.is_broken:
            raise RuntimeError("secret internals")
        return Snapshot(instrument=self.known[name], quote=self.quotes.get(name), trade=None, volume=17)

    def listen(self, listener: Callable[[MarketData], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def tick(self, name: str, bid: int) -> None:
        quote = Quote(name, bid, bid + 1, 3, 4, venue_time_us=5_000_000, received_at_us=6_000_000)
        self.quotes[name] = quote
        for listener in list(self.listeners):
            listener(quote)


class FakeTrading:
    """Tells its listeners what a test publishes, and answers for accounts."""

    def __init__(self) -> None:
        self.listeners: dict[int, list[Callable[[Sequence[Update]], None]]] = {}
        self.is_down = False
        self.asked = 0
        self.unrealized = Decimal(0)

    def subscribe(self, organization: int, listener: Callable[[Sequence[Update]], None]) -> Callable[[], None]:
        listeners = self.listeners.setdefault(organization, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    @property
    def listener_count(self) -> int:
        return sum(len(each) for each in self.listeners.values())

    def publish(self, organization: int, *updates: Update) -> None:
        for listener in list(self.listeners.get(organization, ())):
            listener(updates)

    async def account(self, principal: Principal, account: Account) -> AccountView:
        if self.is_down:
            raise Unavailable("The database does not answer.")
        self.asked += 1
        zero = Decimal(0)
        return AccountView(
            account=account,
            venue="paper",
            cash=Decimal("100010.5"),
            starting_cash=Decimal(100000),
            session_cash=Decimal(100000),
            realized=Decimal(15),
            session_realized=Decimal(15),
            commission=Decimal("4.5"),
            session_commission=Decimal("4.5"),
            unrealized=self.unrealized,
            initial_margin=zero,
            max_position=None,
            positions=[],
        )


def order_update(account: Account, number: int = 1, name: str = "Entry") -> OrderUpdate:
    order = Order(
        id=f"{number:032x}",
        organization=account.organization,
        account=account.id,
        instrument="ES 12-26",
        side=Side.BUY,
        type=OrderType.MARKET,
        quantity=1,
        name=name,
        state=OrderState.WORKING,
        created_at_us=1_700_000_000_000_000,
        updated_at_us=1_700_000_000_000_000,
    )
    return OrderUpdate(order=OrderView(account=account, instrument=instrument("ES 12-26"), order=order))


def fill_update(
    account: Account, number: int = 1, *, status: Status = Status.SUCCEEDED, version: int = 1
) -> FillUpdate:
    at_us = 1_700_000_000_000_000 + number
    execution = Execution(
        id=f"{number:032x}",
        organization=account.organization,
        account=account.id,
        kind=Kind.FILL,
        name="Entry",
        status=status,
        source=Source.SIMULATED,
        mode=Mode.SYNC,
        origin="paper",
        external_id=f"{number:032x}",
        parent_id=None,
        correlation={"order_id": f"{number:032x}"},
        created_at_us=at_us,
        started_at_us=at_us,
        finished_at_us=at_us,
        updated_at_us=at_us,
        recorded_at_us=at_us,
        version=version,
        seq=number * 10 + version,
        detail=FillDetail(
            order_id=f"{number:032x}",
            instrument="ES 12-26",
            side=LedgerSide.BUY,
            quantity=Decimal(1),
            price=Decimal("5804.25"),
            position_after=Decimal(1),
            is_entry=True,
        ),
    )
    return FillUpdate(account=account, execution=execution)


def position_update(account: Account, lots: int = 1) -> PositionUpdate:
    what = instrument("ES 12-26")
    position, _ = apply_fill(Position(), what, lots, 23217)
    view = PositionView(account=account, instrument=what, position=position, market_price=None, unrealized=None)
    return PositionUpdate(position=view)


class StreamHouse:
    """`base` is the dialect's own house (conftest.py); `app` is built anew over it, with desks."""

    def __init__(self, base: Any) -> None:
        self.base = base
        self.access = base.access
        self.market = FakeMarket()
        self.trading = FakeTrading()
        self.services = msgspec.structs.replace(base.services, trading=self.trading, market=self.market)
        self.app: FastAPI = build(self.services)
        self.url = ""

    @property
    def shared(self) -> Any:
        return self.app.state.stream.shared

    @asynccontextmanager
    async def serving(self, *, send_buffer: int | None = None) -> AsyncIterator[None]:
        # Listening from here on: a connection waits in the backlog until the server takes it.
        listening = socket.create_server(("127.0.0.1", 0))
        if send_buffer is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        config = uvicorn.Config(
            self.app, ws="websockets-sansio", ws_per_message_deflate=False, lifespan="off", log_level="critical"
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        self.url = f"ws://127.0.0.1:{listening.getsockname()[1]}/ws/stream"
        try:
            yield
        finally:
            server.should_exit = True
            await serving

    async def account(self, name: str = "Sim101", organization: int = 1) -> Account:
        for account in await self.access.accounts(organization):
            if account.name == name:
                found: Account = account
                return found
        raise KeyError(name)

    def connect(self, token: str = "gst_mine") -> Any:
        return connect(self.url, additional_headers={"Authorization": f"Bearer {token}"}, proxy=None)

    @asynccontextmanager
    async def connect_slowly(self, token: str = "gst_mine") -> AsyncIterator[ClientConnection]:
        """A peer that takes little more than what is received from it, and leaves without a word."""
        host, port = self.url.removeprefix("ws://").partition("/")[0].split(":")
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.connect((host, int(port)))
        made.setblocking(False)
        headers = {"Authorization": f"Bearer {token}"}
        peer = await connect(
            self.url, additional_headers=headers, proxy=None, sock=made, max_queue=1, ping_interval=None
        )
        try:
            yield peer
        finally:
            peer.transport.abort()
            await peer.wait_closed()

    def without_listeners(self) -> bool:
        shared = self.shared
        return not (
            self.trading.listener_count
            or self.market.listeners
            or len(shared.account_pushes)
            or len(shared.market_pushes)
        )


async def say(peer: ClientConnection, **frame: Any) -> None:
    await peer.send(json.dumps(frame))


async def hear(peer: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        said: dict[str, Any] = json.loads(await peer.recv())
        return said


async def ask(peer: ClientConnection, **frame: Any) -> dict[str, Any]:
    await say(peer, **frame)
    return await hear(peer)


async def until(true: Callable[[], bool]) -> None:
    """Wait for what another task does."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)

"""Keeps a few executors going, through their front door: real executors on the paper venue."""

from __future__ import annotations

import asyncio

import msgspec
import structlog

from gesta.access.model import Account, Principal
from gesta.app.demo import executors
from gesta.app.demo.executors import CONTROLLER, FEW, PERPETUAL, SPOT, STOCK, TURN_US, Alive, Look, Stop
from gesta.desk.market.face import Market
from gesta.desk.reading import MAX_PAGE, Reading
from gesta.desk.trading.face import Trading
from gesta.desk.trading.requests import PlaceOrder
from gesta.executors.control import CreateExecutor, Executors
from gesta.kernel.clock import Clock
from gesta.kernel.errors import Conflict
from gesta.ledger.lifecycle import ACTIVE
from gesta.ledger.records import Execution, ExecutorDetail, Kind, Status
from gesta.trading.orders import Side, TimeInForce

log = structlog.get_logger("gesta.demo")

INTERVAL_S = 1.0
# How long a start waits for the first quotes.
_QUOTES_S = 5.0


class Doors(msgspec.Struct, frozen=True, kw_only=True):
    """What the keeper acts through."""

    executors: Executors
    trading: Trading
    market: Market
    reading: Reading
    clock: Clock


class Keeper:
    """`begin` once, then `advance` every INTERVAL_S. Either may be repeated after an error: an executor's id follows
    from its turn, so that none is started twice, and those that are alive are found in the ledger, whoever started
    them: an earlier run of the server, too."""

    def __init__(self, seed: int, account: Account, principal: Principal, doors: Doors) -> None:
        self._seed = seed
        self._account = account
        self._principal = principal
        self._doors = doors
        self._turn = doors.clock.now_us() // TURN_US

    async def begin(self) -> None:
        """Wait for the market, stock up, then see to it that a few executors go on."""
        if not await self._quoted():
            log.warning("demo.no_market")
            return
        await self._stock_up()
        for number in range(FEW):
            look = await self._look()
            if look is None or len(look.alive) >= FEW:
                return
            # The last of them is the newest, which a newcomer is shown: one that has traded.
            await self._act(self._turn, look, number, at_once=number == FEW - 1)

    async def advance(self) -> None:
        """Make the turn that it is, unless it is made."""
        turn = self._doors.clock.now_us() // TURN_US
        if turn == self._turn:
            return
        look = await self._look()
        if look is not None:
            await self._act(turn, look)
        self._turn = turn

    async def _quoted(self) -> bool:
        spoke = asyncio.Event()
        end = self._doors.market.listen(lambda _: spoke.set())
        try:
            async with asyncio.timeout(_QUOTES_S):
                while len(await self._markets()) < 2 * len(STOCK):
                    spoke.clear()
                    await spoke.wait()
        except TimeoutError:
            return bool(await self._markets())
        finally:
            end()
        return True

    async def _stock_up(self) -> None:
        """Buy coins where most of the stock is missing."""
        for market in await self._markets():
            missing = STOCK[market.pair] - market.held
            if market.connector != SPOT or missing <= STOCK[market.pair] / 2:
                continue
            order = PlaceOrder(
                instrument=market.pair,
                side=Side.BUY,
                quantity=missing,
                time_in_force=TimeInForce.GTC,
                name="Stock",
                client_id=f"stock-{market.pair}-{self._turn}",
            )
            try:
                await self._doors.trading.place(self._principal, self._account, order)
            except Conflict:
                # It is placed already, and only the answer was lost.
                continue

    async def _markets(self) -> tuple[executors.Market, ...]:
        found = []
        for pair in STOCK:
            for connector, name in ((SPOT, pair), (PERPETUAL, f"{pair}-PERP")):
                instrument = self._doors.market.resolve(name)
                snapshot = self._doors.market.snapshot(instrument.name)
                if snapshot.bid is None or snapshot.ask is None or snapshot.is_stale:
                    continue
                view = await self._doors.trading.position(self._principal, self._account, instrument.name)
                found.append(
                    executors.Market(
                        connector=connector,
                        pair=pair,
                        bid=snapshot.bid,
                        ask=snapshot.ask,
                        tick=instrument.tick_size,
                        lot=instrument.lot_size,
                        held=instrument.quantity(view.position.lots),
                    )
                )
        return tuple(found)

    async def _look(self) -> Look | None:
        """None where so many executors go on that the demo's own could be overlooked."""
        reading = self._doors.reading
        query = reading.filter(
            self._principal, kinds=frozenset({Kind.EXECUTOR}), statuses=ACTIVE, account=self._account.id
        )
        found = await reading.seek(self._principal, query, after=None, limit=MAX_PAGE)
        if found.next is not None:
            return None
        ours = (row for row in found.rows if row.correlation.get("controller_id") == CONTROLLER)
        alive = tuple(_alive(row) for row in ours)
        return Look(now_us=self._doors.clock.now_us(), markets=await self._markets(), alive=alive)

    async def _act(self, turn: int, look: Look, number: int = 0, *, at_once: bool = False) -> None:
        for request in executors.decide(self._seed, turn, look, number=number, at_once=at_once):
            try:
                if isinstance(request, Stop):
                    await self._doors.executors.stop(self._principal, request.executor_id)
                else:
                    wanted = CreateExecutor(
                        config=request.config, account_name=self._account.name, controller_id=CONTROLLER
                    )
                    await self._doors.executors.create(self._principal, wanted)
            except Conflict:
                # It has ended meanwhile, or this turn's executor goes on already and only the answer was lost.
                continue


def _alive(row: Execution) -> Alive:
    type_ = row.detail.executor_type if isinstance(row.detail, ExecutorDetail) else None
    return Alive(id=row.id, type=type_ or "", since_us=row.created_at_us, is_stopping=row.status is Status.STOPPING)

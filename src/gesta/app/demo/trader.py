"""Trades as the strategy decides, through the trading desk: real orders on the paper venue."""

from __future__ import annotations

import asyncio

import msgspec
import structlog

from gesta.access.model import Account, Principal
from gesta.app.demo import strategy
from gesta.app.demo.strategy import ROOTS, TURN_US, Cancel, Look, Working
from gesta.desk.market.face import Market
from gesta.desk.trading.face import Trading
from gesta.kernel.clock import Clock
from gesta.kernel.errors import Conflict
from gesta.trading.orders import Order

log = structlog.get_logger("gesta.demo")

INTERVAL_S = 0.5
# How long a start waits for the first quotes.
_QUOTES_S = 5.0


class Trader:
    """`begin` once, then `advance` every INTERVAL_S. Either may be repeated after an error: an order's client id
    follows from its turn, so that nothing is placed twice."""

    def __init__(
        self, seed: int, account: Account, principal: Principal, trading: Trading, market: Market, clock: Clock
    ) -> None:
        self._seed = seed
        self._account = account
        self._principal = principal
        self._trading = trading
        self._market = market
        self._clock = clock
        self._turn = clock.now_us() // TURN_US

    async def begin(self) -> None:
        """Wait for the market, then make sure that something is traded at once."""
        spoke = asyncio.Event()
        end = self._market.listen(lambda _: spoke.set())
        try:
            async with asyncio.timeout(_QUOTES_S):
                for root in ROOTS:
                    spoke.clear()
                    while (look := await self._look(root)) is None:
                        await spoke.wait()
                        spoke.clear()
                    await self._act(self._turn, look, at_once=True)
        except TimeoutError:
            log.warning("demo.no_market")
        finally:
            end()

    async def advance(self) -> None:
        """Make the turn that it is, unless it is made."""
        turn = self._clock.now_us() // TURN_US
        if turn == self._turn:
            return
        look = await self._look(ROOTS[turn % len(ROOTS)])
        if look is not None:
            await self._act(turn, look)
        self._turn = turn

    async def _look(self, root: str) -> Look | None:
        """None while the market is not there, or not to be trusted."""
        instrument = self._market.resolve(root)
        snapshot = self._market.snapshot(instrument.name)
        bid, ask = snapshot.bid, snapshot.ask
        if bid is None or ask is None or snapshot.is_stale:
            return None
        position = await self._trading.position(self._principal, self._account, instrument.name)
        working = await self._trading.orders(self._principal, self._account, working=True)
        return Look(
            root=root,
            now_us=self._clock.now_us(),
            tick=instrument.tick_size,
            bid=bid,
            ask=ask,
            position=position.position.lots,
            working=tuple(_working(view.order) for view in working.rows if view.instrument.name == instrument.name),
        )

    async def _act(self, turn: int, look: Look, *, at_once: bool = False) -> None:
        for request in strategy.decide(self._seed, turn, look, at_once=at_once):
            try:
                if isinstance(request, Cancel):
                    await self._trading.cancel(self._principal, self._account, request.order_id)
                else:
                    named = msgspec.structs.replace(request, client_id=f"{look.root}-{turn}")
                    await self._trading.place(self._principal, self._account, named)
            except Conflict:
                # It has ended meanwhile, or this turn's order is placed already and only the answer was lost.
                continue


def _working(order: Order) -> Working:
    return Working(id=order.id, quantity=order.leaves, is_exit=order.reduce_only, since_us=order.created_at_us)

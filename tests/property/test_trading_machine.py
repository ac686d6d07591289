"""Random orders, cancels, changes, quotes, trades, busts, corrections and restarts over the real engine, its journal
and the real paper venue. Whatever happens, `trading_house.check` holds."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import msgspec
import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gesta.desk.trading import moves
from gesta.desk.trading.requests import BracketPosition, ChangeOrder, PlaceOrder
from gesta.kernel.errors import CallerError
from gesta.ledger.records import Status
from gesta.trading.order_states import TERMINAL
from gesta.trading.orders import Bracket, OrderState, OrderType, Side, TimeInForce
from tests.integration.trading_house import ES, INVERSE, PERP, SECOND_US, House, check, check_ledger

T = TypeVar("T")

EXAMPLES = int(os.environ.get("TRADING_EXAMPLES", "12"))
STEPS = 30
# One lot of each, so that quantities make a difference, and a price around which the market moves, in ticks.
MARKETS = {ES: 27_600, PERP: 950_000, INVERSE: 190_000}

ON_ITS_WAY = {
    OrderState.INITIALIZED,
    OrderState.SUBMITTED,
    OrderState.CANCEL_PENDING,
    OrderState.CHANGE_PENDING,
    OrderState.UNKNOWN,
}

instruments = st.sampled_from(sorted(MARKETS))
sides = st.sampled_from(Side)
quantities = st.integers(1, 5)
offsets = st.integers(-4, 4)
picks = st.integers(0, 10**6)
lives = st.sampled_from([TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK])
brackets = st.one_of(
    st.none(),
    st.builds(Bracket, stop_ticks=st.integers(1, 5), target_ticks=st.integers(1, 5)),
    st.builds(Bracket, stop_ticks=st.integers(1, 5)),
)


class TradingMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="gesta-machine-"))
        self.patience = mock.patch.object(moves, "PATIENCE_S", 0.01)
        self.patience.start()
        self.house = House(str(self.folder / "ledger.sqlite3"), **self.venue())
        self.run(self.house.open())
        self.middles = dict(MARKETS)
        self.groups: dict[str, tuple[int, ...]] = {}
        self.refusals = 0

    def venue(self) -> dict[str, Any]:
        return {"starting_cash": 10_000_000}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def attempt(self, ask: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """What the desk may refuse: a refusal of the caller changes nothing, and is never the server's fault."""

        async def asked() -> None:
            before = await self.house.picture()
            try:
                await ask()
            except CallerError:
                await self.house.settle()
                self.refusals += 1
                if ask.__name__ == "single":
                    assert await self.house.picture() == before, "a refused request left something behind"
            await self.house.settle()

        self.run(asked())

    def teardown(self) -> None:
        try:
            self.run(check_ledger(self.house))
            self.run(self.house.close())
        finally:
            self.patience.stop()
            self.runner.close()
            shutil.rmtree(self.folder)

    # -- the market

    @initialize()
    def begin(self) -> None:
        for instrument in MARKETS:
            self.quote(instrument, 0, 1, 9, 9)

    @rule(
        instrument=instruments,
        move=st.integers(-6, 6),
        spread=st.sampled_from([1, 1, 1, 2, 3, -1]),
        bid_size=st.integers(0, 6),
        ask_size=st.integers(0, 6),
    )
    def quote(self, instrument: str, move: int, spread: int, bid_size: int, ask_size: int) -> None:
        """A spread of -1 is a crossed book: told, never matched."""
        self.middles[instrument] += move
        bid = self.middles[instrument]
        self.house.quote(instrument, bid, bid + spread, bid_size, ask_size)
        self.run(self.house.settle())

    @rule(instrument=instruments, move=st.integers(-2, 2))
    def deep_quote(self, instrument: str, move: int) -> None:
        self.quote(instrument, move, 1, 9, 9)

    @rule(instrument=instruments, move=offsets, size=st.integers(1, 8), aggressor=st.sampled_from([-1, 0, 1]))
    def trade(self, instrument: str, move: int, size: int, aggressor: int) -> None:
        self.house.trade(instrument, self.middles[instrument] + move, size, aggressor)
        self.run(self.house.settle())

    @rule(instrument=instruments, move=st.integers(-3, 3))
    def quotes_of_one_turn(self, instrument: str, move: int) -> None:
        """Several before anything is written."""
        for _ in range(3):
            self.middles[instrument] += move
            self.house.quote(instrument, self.middles[instrument], self.middles[instrument] + 1, 2, 2)
        self.run(self.house.settle())

    @rule(hours=st.sampled_from([1, 8, 20]))
    def time_passes(self, hours: int) -> None:
        """Days end, at the next data."""
        self.house.clock.advance_us(hours * 3600 * SECOND_US)

    # -- orders

    def request(
        self, instrument: str, side: Side, quantity: int, type_: OrderType, offset: int, trigger: int, **terms: Any
    ) -> PlaceOrder:
        resolved = self.house.desk.resolve(instrument)
        middle = self.middles[instrument]
        return PlaceOrder(
            instrument=instrument,
            side=side,
            quantity=resolved.quantity(quantity * self.size(instrument)),
            type=type_,
            limit_price=resolved.price(middle + offset) if type_.has_limit else None,
            stop_price=resolved.price(middle + trigger) if type_.has_stop else None,
            **terms,
        )

    @staticmethod
    def size(instrument: str) -> int:
        """So many lots are worth what the venue asks for at least."""
        return 2 if instrument == PERP else 1

    @rule(
        instrument=instruments,
        side=sides,
        quantity=quantities,
        type_=st.sampled_from(OrderType),
        offset=offsets,
        trigger=offsets,
        life=lives,
        bracket=brackets,
        reduce_only=st.sampled_from([False, False, False, True]),
        client_id=st.sampled_from([None, None, "a", "b"]),
    )
    def place(
        self,
        instrument: str,
        side: Side,
        quantity: int,
        type_: OrderType,
        offset: int,
        trigger: int,
        life: TimeInForce,
        bracket: Bracket | None,
        reduce_only: bool,
        client_id: str | None,
    ) -> None:
        terms = {"time_in_force": life, "bracket": bracket, "reduce_only": reduce_only, "client_id": client_id}

        async def single() -> None:
            request = self.request(instrument, side, quantity, type_, offset, trigger, **terms)
            await self.house.desk.place(self.house.principal, self.house.account, request)

        self.attempt(single)

    @rule(instrument=instruments, side=sides, quantity=quantities, bracket=brackets)
    def place_market(self, instrument: str, side: Side, quantity: int, bracket: Bracket | None) -> None:
        async def single() -> None:
            request = self.request(instrument, side, quantity, OrderType.MARKET, 0, 0, bracket=bracket)
            await self.house.desk.place(self.house.principal, self.house.account, request)

        self.attempt(single)

    @rule(instrument=instruments, side=sides, quantity=quantities, behind=st.integers(0, 3), bracket=brackets)
    def place_resting(self, instrument: str, side: Side, quantity: int, behind: int, bracket: Bracket | None) -> None:
        async def single() -> None:
            offset = -behind if side is Side.BUY else 1 + behind
            request = self.request(
                instrument, side, quantity, OrderType.LIMIT, offset, 0, bracket=bracket, time_in_force=TimeInForce.GTC
            )
            await self.house.desk.place(self.house.principal, self.house.account, request)

        self.attempt(single)

    @rule(instrument=instruments, side=sides, first=quantities, second=quantities, below=offsets, above=offsets)
    def place_pair(self, instrument: str, side: Side, first: int, second: int, below: int, above: int) -> None:
        group = f"group {len(self.groups)}"

        async def both() -> None:
            for type_, quantity in ((OrderType.LIMIT, first), (OrderType.STOP_MARKET, second)):
                request = self.request(
                    instrument, side, quantity, type_, below, above, oco_id=group, time_in_force=TimeInForce.GTC
                )
                placed = await self.house.desk.place(self.house.principal, self.house.account, request)
                self.groups[group] = (*self.groups.get(group, ()), placed.order.quantity)

        self.attempt(both)

    @rule(instrument=instruments, side=sides, quantity=quantities, count=st.integers(2, 4))
    def place_at_once(self, instrument: str, side: Side, quantity: int, count: int) -> None:
        """Several callers in one turn of the loop, a quote among them."""

        async def together() -> None:
            request = self.request(instrument, side, quantity, OrderType.MARKET, 0, 0)
            place = self.house.desk.place
            asked = [place(self.house.principal, self.house.account, request) for _ in range(count)]
            outcomes = asyncio.gather(*asked, return_exceptions=True)
            await asyncio.sleep(0)
            self.house.quote(instrument, self.middles[instrument], self.middles[instrument] + 1, 3, 3)
            for outcome in await outcomes:
                if isinstance(outcome, BaseException) and not isinstance(outcome, CallerError):
                    raise outcome

        self.attempt(together)

    def chosen(self, pick: int, *, working: bool) -> str:
        """Some order's id; mostly one that works, where it matters."""
        views = self.run(self.house.orders())
        alive = [view for view in views if view.order.state not in TERMINAL]
        candidates = alive if alive and working else views
        return candidates[pick % len(candidates)].order.id if candidates else "0" * 32

    @rule(pick=picks, working=st.sampled_from([True, True, False]))
    def cancel(self, pick: int, working: bool) -> None:
        order_id = self.chosen(pick, working=working)

        async def single() -> None:
            await self.house.desk.cancel(self.house.principal, self.house.account, order_id)

        self.attempt(single)

    @rule(instrument=st.sampled_from([None, *sorted(MARKETS)]), gate=st.integers(0, 2))
    def cancel_orders(self, instrument: str | None, gate: int) -> None:
        """Seldom: it leaves nothing to happen."""
        if gate:
            return

        async def single() -> None:
            await self.house.desk.cancel_orders(self.house.principal, [self.house.account], instrument=instrument)

        self.attempt(single)

    @rule(pick=picks, offset=offsets, quantity=st.one_of(st.none(), quantities))
    def change(self, pick: int, offset: int, quantity: int | None) -> None:
        order_id = self.chosen(pick, working=True)

        async def change() -> None:
            view = await self.house.order(order_id)
            price = view.instrument.price(self.middles[view.order.instrument] + offset)
            terms = ChangeOrder(
                limit_price=price if view.order.type.has_limit else None,
                stop_price=price if view.order.type.has_stop else None,
                # What a group may fill is known only while its quantities are left alone.
                quantity=None if quantity is None or view.order.oco_id else view.instrument.quantity(quantity),
            )
            await self.house.desk.change(self.house.principal, self.house.account, order_id, terms)

        self.attempt(change)

    @rule(pick=picks, offset=offsets, quantity=quantities)
    def replace(self, pick: int, offset: int, quantity: int) -> None:
        order_id = self.chosen(pick, working=True)

        async def replace() -> None:
            view = await self.house.order(order_id)
            request = self.request(
                view.order.instrument, view.order.side, quantity, OrderType.LIMIT, offset, 0, reduce_only=True
            )
            await self.house.desk.replace(self.house.principal, self.house.account, order_id, request)

        self.attempt(replace)

    @rule(instrument=instruments, how=st.sampled_from(["close", "flatten", "reverse", "flat_place", "bracket"]))
    def move(self, instrument: str, how: str) -> None:
        house = self.house
        resolved = house.desk.resolve(instrument)
        middle = self.middles[instrument]

        async def moved() -> None:
            if how == "close":
                await house.desk.close(house.principal, house.account, instrument)
            elif how == "flatten":
                await house.desk.flatten(house.principal, [house.account], instrument=instrument)
            elif how == "reverse":
                await house.desk.reverse(house.principal, house.account, instrument)
            elif how == "flat_place":
                request = self.request(instrument, Side.BUY, 1, OrderType.MARKET, 0, 0)
                await house.desk.flat_place(house.principal, house.account, request)
            else:
                held = await house.desk.position(house.principal, house.account, instrument)
                sign = 1 if held.position.lots > 0 else -1
                request_ = BracketPosition(
                    instrument=instrument,
                    stop_price=resolved.price(middle - sign * 3),
                    target_price=resolved.price(middle + sign * 3),
                )
                await house.desk.cancel_and_bracket(house.principal, house.account, request_)

        self.attempt(moved)

    # -- what the venue takes back

    def some_fill(self, pick: int) -> str | None:
        standing = [fill for fill in self.run(self.house.fills()) if fill.status is Status.SUCCEEDED]
        return standing[pick % len(standing)].id if standing else None

    @rule(pick=picks)
    def bust(self, pick: int) -> None:
        execution_id = self.some_fill(pick)
        if execution_id is not None:
            self.run(self.house.desk.bust(self.house.principal, execution_id, reason="It was a mistake."))
            self.run(self.house.settle())

    @rule(pick=picks, move=offsets, lots=st.one_of(st.none(), quantities))
    def correct(self, pick: int, move: int, lots: int | None) -> None:
        execution_id = self.some_fill(pick)
        if execution_id is None:
            return

        async def corrected() -> None:
            fill = await self.house.core.ledger.get(self.house.account.organization, execution_id)
            assert fill is not None
            instrument = self.house.desk.resolve(fill.detail.instrument)  # type: ignore[union-attr]
            await self.house.desk.correct(
                self.house.principal,
                execution_id,
                price=instrument.price(self.middles[instrument.name] + move),
                quantity=None if lots is None else instrument.quantity(lots),
                reason="It was a mistake.",
            )
            await self.house.settle()

        self.run(corrected())

    # -- the process

    @rule(kill=st.booleans())
    def restart(self, kill: bool) -> None:
        """All is as it was, save that what was on its way to the venue is sent, or asked for, once more."""
        before = self.run(self.house.picture())
        self.run(self.house.crash() if kill else self.house.close())
        self.run(self.house.open())
        after = self.run(self.house.picture())
        for order, again in zip(before[0], after[0], strict=True):
            if order.state in ON_ITS_WAY:
                again = msgspec.structs.replace(
                    again, state=order.state, updated_at_us=order.updated_at_us, reason=order.reason
                )
            assert again == order
        moving = {order.seq for order in before[0] if order.state in ON_ITS_WAY}
        assert set(after[3]) <= set(before[3])
        assert set(before[3]) - set(after[3]) <= moving
        assert after[1:3] == before[1:3]
        assert after[4] == before[4]

    @precondition(lambda self: self.middles)
    @invariant()
    def everything_adds_up(self) -> None:
        self.run(check(self.house, self.groups))


class SlowMachine(TradingMachine):
    """An order reaches the venue later, waits behind what is displayed, and never slips."""

    def venue(self) -> dict[str, Any]:
        return {**super().venue(), "slip_ticks": 0, "latency_ms": 250, "queue_ahead": True}


def quiet(_: object, __: str, event: dict[str, Any]) -> Any:
    raise structlog.DropEvent


def suite(machine: type[TradingMachine]) -> Any:
    case = machine.TestCase
    case.settings = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=True,
        # Thirty steps can be read; to make them fewer takes minutes.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    return case


TestTrading = suite(TradingMachine)
TestSlowTrading = suite(SlowMachine)

"""Moves made of several orders: close, flatten, reverse, replace, bracket. Each step is an order or a cancel like any
other, journaled and answered by the venue before the next."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from gesta.access.model import Account, Principal
from gesta.desk.trading.bookkeeping import STOP_NAME, TARGET_NAME
from gesta.desk.trading.requests import BracketPosition, MarketPosition, PlaceOrder
from gesta.desk.trading.terms import market_position as position_word
from gesta.desk.trading.views import Flattened, OrderView, PositionView
from gesta.kernel.errors import Conflict, InvalidInput
from gesta.trading.instruments import Instrument
from gesta.trading.orders import Order, OrderState, OrderType, Side, TimeInForce
from gesta.trading.positions import Position

if TYPE_CHECKING:
    from gesta.desk.trading.desk import TradingDesk

# How long a move waits for the venue's word before it goes on or gives up (protocols/crosstrade.md §2.2).
PATIENCE_S = 5.0

# What protects a position as a whole rather than the fill of one entry.
POSITION = "position"
CLOSE = "Close"
REVERSE = "Reverse"


class Moves:
    def __init__(self, desk: TradingDesk) -> None:
        self._desk = desk

    async def replace(self, principal: Principal, account: Account, order_id: str, request: PlaceOrder) -> OrderView:
        desk = self._desk
        order = await desk.find(account, order_id)
        await desk.check_works(account, order, order_id)
        # What cannot be placed must not cost the order that stands.
        desk.check_terms(account, request)
        before = order.filled
        await desk.cancel(principal, account, order.id)
        if not await desk.engine.final(order.id, PATIENCE_S):
            raise Conflict("The venue has not confirmed the cancel, so nothing new was placed.", order_id=order.id)
        gone = await desk.find(account, order.id)
        filled = gone.filled - before
        if gone.state is OrderState.FILLED:
            raise Conflict(f"Order {order_id[:64]} was filled before the cancel; nothing new was placed.")
        if filled:
            instrument = desk.instrument(order.instrument)
            left = request.quantity - instrument.quantity(filled)
            if left <= 0:
                raise Conflict("What was filled before the cancel is all that was wanted; nothing new was placed.")
            request = msgspec.structs.replace(request, quantity=left)
        return await desk.put(principal, account, request, replaces=order.id)

    async def close(
        self, principal: Principal, account: Account, instrument: str, *, quantity: Decimal | None = None
    ) -> OrderView | None:
        desk = self._desk
        resolved = desk.resolve(instrument)
        held = desk.engine.state.position(account.id, resolved.name)
        if not held.lots:
            desk.may_trade(principal, account)
            return None
        lots = abs(held.lots)
        if quantity is not None:
            lots = min(lots, resolved.lots(quantity))
        return await desk.put(principal, account, _closing(resolved, held, lots))

    async def flatten(
        self,
        principal: Principal,
        accounts: Sequence[Account],
        *,
        instrument: str | None,
        market_position: MarketPosition | None,
    ) -> Flattened:
        desk = self._desk
        name = None if instrument is None else desk.resolve(instrument).name
        for account in accounts:
            desk.may_trade(principal, account)
        desk.engine.check()
        order_ids: list[str] = []
        closed: list[PositionView] = []
        cancelled: list[str] = []
        for account in accounts:
            wanted = self._open(account, name, market_position)
            cancelled += await self._cancel_there(principal, account, name, wanted, all=market_position is None)
            for held_in in wanted:
                resolved = desk.instrument(held_in)
                held = desk.engine.state.position(account.id, held_in)
                if not held.lots:
                    continue
                closed.append(desk.engine.position_view(account.id, resolved, held))
                placed = await desk.put(principal, account, _closing(resolved, held, abs(held.lots)))
                order_ids.append(placed.order.id)
        return Flattened(order_ids=order_ids, closed=closed, cancelled=cancelled)

    def _open(self, account: Account, name: str | None, wanted: MarketPosition | None) -> list[str]:
        state = self._desk.engine.state
        return [
            held_in
            for held_in in sorted(state.open_positions(account.id))
            if name in (None, held_in) and wanted in (None, position_word(state.position(account.id, held_in)))
        ]

    async def _cancel_there(
        self, principal: Principal, account: Account, name: str | None, instruments: Sequence[str], *, all: bool
    ) -> list[str]:
        """Cancel what works on the instruments, or everything that the filter means, and wait for the venue's word."""
        desk = self._desk
        working = desk.engine.state.working(account.id, name)
        chosen = [order for order in working if all or order.instrument in instruments]
        for order in chosen:
            desk.request_cancel(account, order.id)
        await desk.engine.committed(account.organization)
        await self._settled(chosen)
        return [order.id for order in chosen]

    async def _settled(self, orders: Sequence[Order]) -> bool:
        done = [await self._desk.engine.final(order.id, PATIENCE_S) for order in orders]
        return all(done)

    async def reverse(self, principal: Principal, account: Account, instrument: str) -> OrderView | None:
        desk = self._desk
        resolved = desk.resolve(instrument)
        desk.may_trade(principal, account)
        desk.engine.check()
        await self._cancel_there(principal, account, resolved.name, (), all=True)
        held = desk.engine.state.position(account.id, resolved.name)
        if not held.lots:
            return None
        request = PlaceOrder(
            instrument=resolved.name,
            side=_against(held),
            quantity=resolved.quantity(2 * abs(held.lots)),
            name=REVERSE,
        )
        return await desk.put(principal, account, request)

    async def reverse_position(self, principal: Principal, account: Account, request: PlaceOrder) -> OrderView:
        await self._flat(principal, account, request)
        return await self._desk.put(principal, account, request)

    async def flat_place(self, principal: Principal, account: Account, request: PlaceOrder) -> OrderView:
        name = await self._flat(principal, account, request)
        held = self._desk.engine.state.position(account.id, name)
        if held.lots:
            raise Conflict(
                f"The position in {name} did not get flat within {PATIENCE_S:g} s; nothing was placed.",
                market_position=position_word(held).value,
            )
        return await self._desk.put(principal, account, request)

    async def _flat(self, principal: Principal, account: Account, request: PlaceOrder) -> str:
        """Flatten the instrument of a request whose terms are right, and wait for it."""
        desk = self._desk
        desk.may_trade(principal, account)
        name = desk.check_terms(account, request).name
        closing = await self.flatten(principal, [account], instrument=name, market_position=None)
        for order_id in closing.order_ids:
            await desk.engine.final(order_id, PATIENCE_S)
        return name

    async def cancel_and_bracket(
        self, principal: Principal, account: Account, request: BracketPosition
    ) -> list[OrderView]:
        desk = self._desk
        desk.may_trade(principal, account)
        resolved = desk.resolve(request.instrument)
        if request.stop_price is None and request.target_price is None:
            raise InvalidInput("A bracket has a stop price, a target price, or both.", field="stop_price")
        desk.engine.check()
        self._held(account, resolved, request)
        for leg in _legs(request, resolved, Side.SELL, Decimal(resolved.lot_size)):
            desk.check_terms(account, leg)
        await self._cancel_there(principal, account, resolved.name, (), all=True)
        held = self._held(account, resolved, request)
        lots = abs(held.lots)
        if request.quantity is not None:
            lots = min(lots, resolved.lots(request.quantity))
        legs = _legs(request, resolved, _against(held), resolved.quantity(lots))
        if len(legs) == 2 and request.oco_id is None:
            group = desk.new_id()
            legs = [msgspec.structs.replace(leg, oco_id=group) for leg in legs]
        return [await desk.put(principal, account, leg, opened_by=POSITION) for leg in legs]

    def _held(self, account: Account, instrument: Instrument, request: BracketPosition) -> Position:
        """Raises Conflict where there is nothing to protect, or the other way round than expected."""
        held = self._desk.engine.state.position(account.id, instrument.name)
        if not held.lots:
            raise Conflict(f"There is no position in {instrument.name} to protect; nothing was placed.")
        if request.position is not None and request.position is _against(held):
            raise Conflict(
                f"The position in {instrument.name} is {position_word(held)}, not what the request expects; "
                "nothing was placed."
            )
        return held


def _against(held: Position) -> Side:
    return Side.SELL if held.lots > 0 else Side.BUY


def _closing(instrument: Instrument, held: Position, lots: int) -> PlaceOrder:
    return PlaceOrder(
        instrument=instrument.name,
        side=_against(held),
        quantity=instrument.quantity(lots),
        type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY,
        reduce_only=True,
        name=CLOSE,
    )


def _legs(request: BracketPosition, instrument: Instrument, side: Side, quantity: Decimal) -> list[PlaceOrder]:
    leg = PlaceOrder(
        instrument=instrument.name,
        side=side,
        quantity=quantity,
        time_in_force=request.time_in_force,
        oco_id=request.oco_id,
        reduce_only=True,
    )
    legs = []
    if request.stop_price is not None:
        legs.append(
            msgspec.structs.replace(leg, type=OrderType.STOP_MARKET, stop_price=request.stop_price, name=STOP_NAME)
        )
    if request.target_price is not None:
        legs.append(
            msgspec.structs.replace(leg, type=OrderType.LIMIT, limit_price=request.target_price, name=TARGET_NAME)
        )
    return legs

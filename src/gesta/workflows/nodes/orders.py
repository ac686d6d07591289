"""The node `order.submit`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from gesta.access.face import Access
from gesta.access.model import Account, AccountType, Principal, Scope
from gesta.desk.trading.face import Trading
from gesta.desk.trading.requests import PlaceOrder
from gesta.desk.trading.views import OrderUpdate, OrderView, Update
from gesta.kernel.events import set_within
from gesta.trading.order_states import TERMINAL
from gesta.trading.orders import OrderState, OrderType, Side, TimeInForce
from gesta.workflows.nodes.face import NodeFailed, Performance, Performed
from gesta.workflows.nodes.principals import Principals
from gesta.workflows.nodes.values import choice_of, config_of, decimal_of, digest_of, refused, text_of

#: The venue has not answered yet.
_UNANSWERED: Final = frozenset({OrderState.INITIALIZED, OrderState.SUBMITTED, OrderState.UNKNOWN})
MAX_PARENT = 64
#: An order is read so often besides being told of: another process may have begun to trade.
LOOK_S = 5.0


class SubmitOrder:
    """The order's client id is the visit's: however often it is performed, it is one order."""

    def __init__(self, trading: Trading, access: Access, principals: Principals, *, look_s: float = LOOK_S) -> None:
        self._trading = trading
        self._access = access
        self._principals = principals
        self._look_s = look_s

    async def __call__(self, performance: Performance) -> Performed:
        config = config_of(performance)
        request = request_of(performance, config)
        is_final = choice_of(config, "waits_for", ("accepted", "filled"), "accepted") == "filled"
        name = text_of(config, "account")
        account = await self._access.account(performance.organization, name, AccountType.TRADING)
        if account is None:
            refused(f"There is no trading account {name[:128]!r}.")
        principal = await self._principals.organization(performance, Scope.TRADE)
        view = await self._placed(principal, account, request, is_final)
        if view.order.state is OrderState.REJECTED:
            why = view.order.reason or "the venue gave no reason"
            raise NodeFailed(f"The order was rejected: {why}", is_final=True, output=output_of(view))
        return Performed(output=output_of(view))

    async def _placed(self, principal: Principal, account: Account, request: PlaceOrder, is_final: bool) -> OrderView:
        """The order once it is over, or else once the venue has answered."""
        told = asyncio.Event()

        def hear(updates: Sequence[Update]) -> None:
            if any(isinstance(each, OrderUpdate) and each.order.account.id == account.id for each in updates):
                told.set()

        # Before the order is placed: its first word may come before the placement returns.
        end = self._trading.subscribe(account.organization, hear)
        try:
            view = await self._trading.place(principal, account, request)
            while not _is_enough(view.order.state, is_final):
                await set_within(told, self._look_s)
                told.clear()
                view = await self._trading.order(principal, account, view.order.id)
            return view
        finally:
            end()


def request_of(performance: Performance, config: dict[str, Any]) -> PlaceOrder:
    """Raises NodeFailed for terms that are none; whether they fit the instrument, the desk knows."""
    quantity = decimal_of(config, "quantity")
    if quantity is None or quantity <= 0:
        refused("`quantity` must come to a number above zero.")
    run_id = performance.run_id
    return PlaceOrder(
        instrument=text_of(config, "instrument"),
        side=Side(choice_of(config, "side", tuple(Side))),
        quantity=quantity,
        type=OrderType(choice_of(config, "order_type", tuple(OrderType), OrderType.MARKET)),
        time_in_force=TimeInForce(choice_of(config, "time_in_force", tuple(TimeInForce), TimeInForce.DAY)),
        limit_price=decimal_of(config, "limit_price"),
        stop_price=decimal_of(config, "stop_price"),
        client_id=f"workflow-{digest_of(performance)}",
        parent_id=run_id if len(run_id) <= MAX_PARENT else None,
    )


def output_of(view: OrderView) -> dict[str, Any]:
    """The order as the run's templates see it; prices and quantities exact."""
    order, instrument = view.order, view.instrument

    def price(ticks: int | None) -> Decimal | None:
        return None if ticks is None else instrument.price(ticks)

    return {
        "order_id": order.id,
        "client_id": order.client_id,
        "account": view.account.name,
        "instrument": instrument.name,
        "side": order.side.value,
        "order_type": order.type.value,
        "time_in_force": order.time_in_force.value,
        "quantity": instrument.quantity(order.quantity),
        "limit_price": price(order.limit_ticks),
        "stop_price": price(order.stop_ticks),
        "state": order.state.value,
        "filled_quantity": instrument.quantity(order.filled),
        "average_price": view.average_price if order.filled else None,
        "commission": order.commission,
        "reason": order.reason,
    }


def _is_enough(state: OrderState, is_final: bool) -> bool:
    return state in TERMINAL or not (is_final or state in _UNANSWERED)

"""A desk for one grid in a test: it keeps the time and the price, hands the grid's orders to a small venue, and tells
the grid what became of them. The venue fills limit orders at their own price once the market is through them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from gesta.executors.machines.face import (
    Cancel,
    Event,
    Leg,
    Log,
    Moved,
    OrderKind,
    OrderStatus,
    OrderUpdated,
    Place,
    Price,
    Report,
    Started,
    StopAsked,
    Tracked,
    Trade,
    TradingRules,
)
from gesta.executors.machines.grid import MACHINE, State

RULES = TradingRules(min_price_increment=Decimal("0.01"), min_base_increment=Decimal("0.0001"))
MAKER, TAKER = Decimal("0.0002"), Decimal("0.0005")
SECOND = 1_000_000

CONFIG: dict[str, Any] = {
    "type": "grid_executor",
    "connector_name": "binance",
    "trading_pair": "BTC-USDT",
    "side": "BUY",
    "start_price": "95",
    "end_price": "105",
    "limit_price": "90",
    "total_amount_quote": "1000",
    "min_spread_between_orders": "0.01",
    "min_order_amount_quote": "10",
    "max_open_orders": 10,
    "triple_barrier_config": {"take_profit": "0.01", "open_order_type": "LIMIT", "take_profit_order_type": "LIMIT"},
}


def config(**changes: Any) -> dict[str, Any]:
    """CONFIG with changes; a change of None takes the field out. `barrier` is added to the triple barrier."""
    barrier = {**CONFIG["triple_barrier_config"], **changes.pop("barrier", {})}
    merged = {**CONFIG, "triple_barrier_config": barrier, **changes}
    return {name: value for name, value in merged.items() if value is not None}


class GridDesk:
    def __init__(
        self,
        asked: Mapping[str, Any],
        price: str | Price = "100",
        *,
        rules: TradingRules = RULES,
        max_retries: int = 10,
        fees_in_base: bool = False,
        automatic: bool = True,
    ) -> None:
        self.automatic = automatic
        self.fees_in_base = fees_in_base
        self.refused: set[int] = set()
        self.at_us = 0
        self.price = price if isinstance(price, Price) else Price(bid=Decimal(price), ask=Decimal(price))
        self.orders: dict[int, Tracked] = {}
        self.sent: list[Tracked] = []
        self.cancelled: list[int] = []
        self.logs: list[Log] = []
        self.unanswered_cancels = False
        parsed = MACHINE.parse(asked)
        legs = tuple(msgspec.structs.replace(leg, rules=rules) for leg in MACHINE.legs(parsed))
        self.legs: tuple[Leg, ...] = legs
        self.state: State = MACHINE.begin(parsed, legs, at_us=0, prices={0: self.price}, max_retries=max_retries)

    # -- what the test does

    def start(self, affordable: bool = True) -> GridDesk:
        self.tell(Started(at_us=self.at_us, prices={0: self.price}, affordable=affordable))
        return self

    def stop(self, keep_position: bool = False) -> None:
        self.tell(StopAsked(at_us=self.at_us, prices={0: self.price}, keep_position=keep_position))

    def move(self, price: str | None = None, *, seconds: int = 1) -> None:
        """Time passes, the price changes, and the grid looks."""
        self.at_us += seconds * SECOND
        if price is not None:
            self.price = Price(bid=Decimal(price), ask=Decimal(price))
        self.look()

    def look(self) -> None:
        self.tell(Moved(at_us=self.at_us, prices={0: self.price}))

    def match(self) -> None:
        """Every resting order that the market is through is filled at its own price, as a maker."""
        for order in list(self.orders.values()):
            if order.is_done or order.price is None:
                continue
            through = self.price.ask <= order.price if order.side is Trade.BUY else self.price.bid >= order.price
            if through:
                self.fill(order.tag)

    def run(self, price: str, *, seconds: int = 1) -> None:
        """The price is moved, orders fill at it, and the grid answers."""
        self.move(price, seconds=seconds)
        self.match()
        self.look()

    def fill(self, tag: int, amount: str | None = None, price: Decimal | None = None, fee: Decimal = MAKER) -> None:
        """Fill an order, in whole or by `amount`."""
        order = self.orders[tag]
        base = order.amount - order.executed_base if amount is None else Decimal(amount)
        at = price if price is not None else order.price
        assert at is not None
        in_base = self.fees_in_base and order.side is Trade.BUY
        done = order.executed_base + base
        self.answer(
            tag,
            status=OrderStatus.FILLED if done == order.amount else OrderStatus.OPEN,
            executed_base=done,
            executed_quote=order.executed_quote + base * at,
            fees_quote=order.fees_quote + base * at * fee,
            fees_base=order.fees_base + (base * fee if in_base else 0),
        )

    def answer(self, tag: int, **changes: Any) -> None:
        """Tell the grid what became of an order."""
        order = msgspec.structs.replace(self.orders[tag], updated_at_us=self.at_us, **changes)
        self.orders[tag] = order
        self.tell(OrderUpdated(at_us=self.at_us, prices={0: self.price}, order=order))

    # -- what the test reads

    @property
    def report(self) -> Report:
        return MACHINE.report(self.state, {0: self.price})

    @property
    def live(self) -> list[Tracked]:
        return [order for order in self.orders.values() if not order.is_done]

    def placed(self, since: int = 0) -> list[tuple[str, str, str]]:
        """Side, amount and price of the orders that were sent, from number `since`."""
        return [(order.side.value, str(order.amount), str(order.price)) for order in self.sent[since:]]

    def tell(self, event: Event) -> None:
        self.state, commands = MACHINE.step(self.state, event)
        for command in commands:
            match command:
                case Place(order=order):
                    assert order.tag not in self.orders, "a tag was used twice"
                    self.orders[order.tag] = order
                    self.sent.append(order)
                case Cancel(tag=tag):
                    self.cancelled.append(tag)
                case Log():
                    self.logs.append(command)
        if self.automatic:
            for command in commands:
                self._automatic(command)

    def _automatic(self, command: object) -> None:
        if isinstance(command, Cancel) and not self.unanswered_cancels and not self.orders[command.tag].is_done:
            self.answer(command.tag, status=OrderStatus.CANCELLED)
        if not isinstance(command, Place):
            return
        order = command.order
        if order.tag in self.refused:
            self.answer(order.tag, status=OrderStatus.FAILED, reason="refused")
            return
        touch = self.price.ask if order.side is Trade.BUY else self.price.bid
        if order.kind is OrderKind.MARKET:
            self.fill(order.tag, price=touch, fee=TAKER)
        else:
            self.answer(order.tag, status=OrderStatus.OPEN)

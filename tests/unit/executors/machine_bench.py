"""A bench for one machine with one leg: the test says what the venue answers and what the price is, and nothing happens
by itself. It checks after each step what holds for every machine."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from gesta.executors.machines.face import (
    Cancel,
    Command,
    Event,
    Log,
    Machine,
    Moved,
    OrderStatus,
    OrderUpdated,
    Place,
    Price,
    Report,
    RunnableStatus,
    Started,
    StopAsked,
    Tracked,
    TradingRules,
)

RULES = TradingRules(min_price_increment=Decimal("0.01"), min_base_increment=Decimal("0.0001"))
FEE = Decimal("0.0005")
SECOND = 1_000_000
START_US = 1_700_000_000 * SECOND


class Bench:
    """`sent` and `cancelled` are what the machine commanded; `orders` the orders as the venue has them, by tag."""

    def __init__(
        self,
        machine: Machine[Any, Any],
        config: Mapping[str, Any],
        price: str | None = "100",
        *,
        rules: TradingRules = RULES,
        max_retries: int = 10,
        affordable: bool = True,
        start: bool = True,
    ) -> None:
        self.machine = machine
        self.at_us = START_US
        self.prices: dict[int, Price] = {}
        self.price(price)
        self.sent: list[Tracked] = []
        self.cancelled: list[int] = []
        self.logs: list[Log] = []
        self.orders: dict[int, Tracked] = {}
        parsed = machine.parse(config)
        legs = tuple(msgspec.structs.replace(leg, rules=rules) for leg in machine.legs(parsed))
        self.state = machine.begin(parsed, legs, at_us=START_US, prices=self.prices, max_retries=max_retries)
        if start:
            self.step(Started(at_us=self.at_us, prices=self.prices, affordable=affordable))

    def price(self, price: str | Decimal | None) -> None:
        self.prices = {} if price is None else {0: Price(bid=Decimal(price), ask=Decimal(price))}

    @property
    def report(self) -> Report:
        return self.machine.report(self.state, self.prices)

    @property
    def last(self) -> Tracked:
        return self.sent[-1]

    def at(self, seconds: float, price: str | Decimal | None = None) -> tuple[Command, ...]:
        """The machine looks at a price, at a time since the start."""
        self.at_us = START_US + int(seconds * SECOND)
        if price is not None:
            self.price(price)
        return self.step(Moved(at_us=self.at_us, prices=self.prices))

    def fill(
        self, tag: int, base: str | Decimal | None = None, price: str | Decimal | None = None, *, in_base: bool = False
    ) -> tuple[Command, ...]:
        """A fill; by default of all that is left, at the order's own price or else the market's."""
        order = self.orders[tag]
        amount = order.amount - order.executed_base if base is None else Decimal(base)
        paid = Decimal(price) if price is not None else order.price or self.prices[0].bid
        executed = order.executed_base + amount
        return self.answer(
            tag,
            OrderStatus.FILLED if executed >= order.amount else OrderStatus.OPEN,
            executed_base=executed,
            executed_quote=order.executed_quote + amount * paid,
            fees_quote=order.fees_quote + amount * paid * FEE,
            fees_base=order.fees_base + (amount * FEE if in_base else 0),
        )

    def answer(self, tag: int, status: OrderStatus, **changes: Any) -> tuple[Command, ...]:
        self.orders[tag] = msgspec.structs.replace(
            self.orders[tag], status=status, updated_at_us=self.at_us, venue_id=f"v{tag}", **changes
        )
        return self.step(OrderUpdated(at_us=self.at_us, prices=self.prices, order=self.orders[tag]))

    def accept(self, tag: int) -> tuple[Command, ...]:
        return self.answer(tag, OrderStatus.OPEN)

    def fail(self, tag: int) -> tuple[Command, ...]:
        return self.answer(tag, OrderStatus.FAILED, reason="rejected")

    def cancel(self, tag: int) -> tuple[Command, ...]:
        return self.answer(tag, OrderStatus.CANCELLED)

    def stop(self, *, keep_position: bool = False) -> tuple[Command, ...]:
        return self.step(StopAsked(at_us=self.at_us, prices=self.prices, keep_position=keep_position))

    def step(self, event: Event) -> tuple[Command, ...]:
        before = self.state
        self.state, commands = self.machine.step(self.state, event)
        if before.status is RunnableStatus.TERMINATED:
            assert (self.state, commands) == (before, ())
        for command in commands:
            if isinstance(command, Place):
                assert command.order.tag not in self.orders, "a tag is used twice"
                assert command.order.status is OrderStatus.SENT
                assert command.order.amount > 0
                assert command.order.tag == max(self.orders, default=0) + 1
                self.sent.append(command.order)
                self.orders[command.order.tag] = command.order
            elif isinstance(command, Cancel):
                assert command.tag in self.orders
                self.cancelled.append(command.tag)
            elif isinstance(command, Log):
                self.logs.append(command)
        # The journal keeps a state as bytes.
        state_type = type(self.state)
        assert msgspec.json.decode(msgspec.json.encode(self.state), type=state_type) == self.state
        return commands

"""The venue that the oracle's executors traded on, in virtual time (protocols/hummingbot.md §13).

A market order fills right after it is created, at the touch, as taker. A limit order that is marketable at entry fills
at the touch as taker; otherwise it is matched 0.1 s after the start and every 0.25 s from there, at its own price, as
maker. A limit-maker order that would cross is rejected. At most `slice_base` is filled per match. Fees are added to the
cost, in quote, or in base on buys. Times are microseconds since the scenario's start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from gesta.executors.machines.face import Leg, OrderKind, OrderStatus, Price, Tracked, Trade, TradingRules

__all__ = ["Sent", "SimulatedVenue", "leg_of", "prices_of"]

SECOND_US = 1_000_000
#: Virtual time starts here, so that a time of 0 is never mistaken for none.
EPOCH_US = 1_700_000_000 * SECOND_US
MATCH_OFFSET_US = 100_000
MATCH_EVERY_US = 250_000
DEFAULT_RULES = {"min_price_increment": "0.01", "min_base_amount_increment": "0.0001"}


class Sent(msgspec.Struct, frozen=True):
    """An order as it reached the venue. A market order has no price."""

    connector_name: str
    side: Trade
    kind: OrderKind
    amount: Decimal
    price: Decimal | None

    def __str__(self) -> str:
        price = "" if self.price is None else f" @ {_plain(self.price)}"
        return f"{self.connector_name} {self.side.value} {self.kind.value} {_plain(self.amount)}{price}"


class PriceLine:
    """A step function of time. Before its first step the first holds, after its last the last."""

    def __init__(self, steps: Sequence[Sequence[Any]], spread: Decimal) -> None:
        self._steps: list[tuple[int, Price]] = []
        for at_s, *values in steps:
            numbers = [Decimal(str(value)) for value in values]
            if len(numbers) == 1:
                half = spread / 2
                numbers = [numbers[0] * (1 - half), numbers[0] * (1 + half)]
            self._steps.append((int(Decimal(str(at_s)) * SECOND_US), Price(bid=numbers[0], ask=numbers[1])))

    @property
    def steps_us(self) -> list[int]:
        return [at_us for at_us, _ in self._steps]

    def at(self, at_us: int) -> Price:
        price = self._steps[0][1]
        for step_us, step in self._steps:
            if step_us > at_us:
                break
            price = step
        return price


def leg_of(leg: Leg, scenario: Mapping[str, Any]) -> Leg:
    """The leg as the scenario's connector describes it."""
    rules = {**DEFAULT_RULES, **scenario.get("rules", {})}
    return msgspec.structs.replace(
        leg,
        rules=TradingRules(
            min_order_size=Decimal(str(rules.get("min_order_size", 0))),
            min_price_increment=Decimal(str(rules["min_price_increment"])),
            min_base_increment=Decimal(str(rules["min_base_amount_increment"])),
            min_notional=Decimal(str(rules.get("min_notional_size", 0))),
        ),
        is_perpetual="perpetual" in leg.connector_name,
        is_one_way=scenario.get("position_mode", "HEDGE") == "ONEWAY",
        maker_fee=Decimal(str(scenario.get("maker_fee", "0.0002"))),
        taker_fee=Decimal(str(scenario.get("taker_fee", "0.0005"))),
    )


def prices_of(scenario: Mapping[str, Any], legs: Sequence[Leg]) -> list[PriceLine]:
    """The price of each leg over time."""
    spread = Decimal(str(scenario.get("spread", 0)))
    by_connector = scenario.get("prices_by_connector", {})
    return [PriceLine(by_connector.get(leg.connector_name, scenario["prices"]), spread) for leg in legs]


class SimulatedVenue:
    """`orders` are as the venue has them, by tag; `changed` the tags that the executor has not been told of yet, the
    one that changed last at the end; `sent` every submission that reached the venue, rejected ones too."""

    def __init__(self, scenario: Mapping[str, Any], legs: Sequence[Leg]) -> None:
        self.orders: dict[int, Tracked] = {}
        self.changed: dict[int, None] = {}
        self.sent: list[Sent] = []
        self._legs = legs
        self._lines = prices_of(scenario, legs)
        self._slice = Decimal(str(scenario["slice_base"])) if "slice_base" in scenario else None
        self._latency_us = int(Decimal(str(scenario.get("market_latency", 0))) * SECOND_US)
        self._fails = set(scenario.get("fail_orders", ()))
        self._fee_in_base = scenario.get("fee_mode") == "base_on_buy"
        self._submissions = [0] * len(legs)
        # Market orders fill from this moment on; limit orders rest and are makers.
        self._fills_from_us: dict[int, int] = {}

    @property
    def price_steps_us(self) -> list[int]:
        """Every moment at which a price changes, in order."""
        return sorted({at_us for line in self._lines for at_us in line.steps_us})

    def prices(self, at_us: int) -> dict[int, Price]:
        return {number: line.at(at_us) for number, line in enumerate(self._lines)}

    def next_match_us(self, after_us: int) -> int | None:
        """The next moment at which something may fill; None if nothing is open."""
        open_tags = [tag for tag, order in self.orders.items() if not order.is_done]
        if not open_tags:
            return None
        periods = max(0, (after_us - MATCH_OFFSET_US) // MATCH_EVERY_US + 1)
        moment = MATCH_OFFSET_US + periods * MATCH_EVERY_US
        late = [us for tag in open_tags if (us := self._fills_from_us.get(tag, 0)) > after_us]
        return min([moment, *late])

    def place(self, order: Tracked, at_us: int) -> None:
        """Take an order, or reject it: what is too small fails before it is submitted."""
        leg, price = self._legs[order.leg], self._lines[order.leg].at(at_us)
        touch = price.ask if order.side is Trade.BUY else price.bid
        limit = order.price if order.kind.is_limit else None
        reference = touch if order.price is None else order.price
        small = order.amount < leg.rules.min_order_size or order.amount * reference < leg.rules.min_notional
        if order.amount <= 0 or small:
            self._put(order, at_us, OrderStatus.FAILED, "below the minimum of the connector")
            return
        self._submissions[order.leg] += 1
        self.sent.append(Sent(leg.connector_name, order.side, order.kind, order.amount, limit))
        marketable = limit is None or (limit >= touch if order.side is Trade.BUY else limit <= touch)
        if self._submissions[order.leg] in self._fails:
            self._put(order, at_us, OrderStatus.FAILED, "rejected by the scenario")
        elif order.kind is OrderKind.LIMIT_MAKER and marketable:
            self._put(order, at_us, OrderStatus.FAILED, "a limit-maker order that would cross")
        else:
            self._put(order, at_us, OrderStatus.OPEN)
            if limit is None:
                self._fills_from_us[order.tag] = at_us + self._latency_us
            if marketable and not (limit is None and self._latency_us):
                self._fill(order.tag, at_us, touch, leg.taker_fee)

    def cancel(self, tag: int, at_us: int) -> None:
        """Cancel, or do nothing to an order that is done: the answer to that was given when it was."""
        order = self.orders.get(tag)
        if order is not None and not order.is_done:
            self._put(order, at_us, OrderStatus.CANCELLED)

    def match(self, at_us: int) -> None:
        """One exchange tick."""
        for tag, order in list(self.orders.items()):
            if order.is_done or self._fills_from_us.get(tag, 0) > at_us:
                continue
            leg, price = self._legs[order.leg], self._lines[order.leg].at(at_us)
            touch = price.ask if order.side is Trade.BUY else price.bid
            if not order.kind.is_limit:
                self._fill(tag, at_us, touch, leg.taker_fee)
            elif order.price is not None and (
                order.price >= touch if order.side is Trade.BUY else order.price <= touch
            ):
                self._fill(tag, at_us, order.price, leg.maker_fee)

    def _fill(self, tag: int, at_us: int, price: Decimal, rate: Decimal) -> None:
        order = self.orders[tag]
        base = order.amount - order.executed_base
        if self._slice is not None:
            base = min(base, self._slice)
        in_base = self._fee_in_base and order.side is Trade.BUY
        filled = msgspec.structs.replace(
            order,
            executed_base=order.executed_base + base,
            executed_quote=order.executed_quote + base * price,
            fees_quote=order.fees_quote + base * price * rate,
            fees_base=order.fees_base + (base * rate if in_base else 0),
        )
        whole = filled.executed_base >= order.amount
        self._put(filled, at_us, OrderStatus.FILLED if whole else OrderStatus.OPEN)

    def _put(self, order: Tracked, at_us: int, status: OrderStatus, reason: str = "") -> None:
        changed = msgspec.structs.replace(order, status=status, reason=reason, updated_at_us=EPOCH_US + at_us)
        self.orders[order.tag] = changed
        self.changed.pop(order.tag, None)
        self.changed[order.tag] = None


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

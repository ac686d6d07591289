"""Pieces that several machines are made of: barriers, quantizing by a market's rules, the book of tracked orders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from gesta.executors.machines.face import (
    Leg,
    OrderKind,
    OrderStatus,
    PositionAction,
    Price,
    RunnableStatus,
    Tracked,
    Trade,
    TradingRules,
)

__all__ = [
    "RETRY_US",
    "US",
    "ZERO",
    "Book",
    "TrailingStop",
    "TripleBarrier",
    "average_price",
    "best_price",
    "check_row",
    "closing_action",
    "closing_price",
    "executed_base",
    "executed_quote",
    "failure_message",
    "fees_quote",
    "held_json",
    "is_perpetual",
    "meets_minimum",
    "merged",
    "one_leg",
    "order_ids",
    "quantize_amount",
    "quantize_price",
    "trailing_raised",
    "trailing_step",
]

ZERO = Decimal(0)
US = 1_000_000
#: An order that ended before it was filled is placed again at the earliest this long after it was placed: Hummingbot's
#: rhythm (§1.3), and no storm of orders against a venue that refuses them.
RETRY_US = 1 * US


def check_row(
    table: Mapping[RunnableStatus, frozenset[RunnableStatus]], old: RunnableStatus, new: RunnableStatus
) -> None:
    """Raise RuntimeError if the table has no row from `old` to `new`: a defect of the machine, not of its input."""
    if new not in table[old]:
        raise RuntimeError(f"No transition from {old} to {new}.")


class TrailingStop(msgspec.Struct, frozen=True, kw_only=True):
    """Both are fractions of PnL, although the wire calls the first `activation_price`."""

    activation_pct: Decimal
    delta_pct: Decimal


class TripleBarrier(msgspec.Struct, frozen=True, kw_only=True):
    """protocols/hummingbot.md §2.1. Stop-loss and time limit always close by market order."""

    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    time_limit_s: int | None = None
    trailing_stop: TrailingStop | None = None
    open_order_type: OrderKind = OrderKind.LIMIT
    take_profit_order_type: OrderKind = OrderKind.MARKET


def trailing_raised(trailing: TrailingStop | None, trigger: Decimal | None, best_pct: Decimal) -> Decimal | None:
    """The trigger after the best PnL since it was looked at last; one that is not active yet stays so."""
    if trailing is None or trigger is None:
        return trigger
    return max(trigger, best_pct - trailing.delta_pct)


def trailing_step(trailing: TrailingStop, trigger: Decimal | None, pnl_pct: Decimal) -> tuple[Decimal | None, bool]:
    """The trigger after a look at the PnL, and whether it was crossed. The trigger never falls.

    Unlike Hummingbot, where a trigger of exactly 0 counts as none (§2.3), 0 is a trigger like any other.
    """
    if trigger is None:
        return (pnl_pct - trailing.delta_pct if pnl_pct > trailing.activation_pct else None), False
    if pnl_pct < trigger:
        return trigger, True
    return max(trigger, pnl_pct - trailing.delta_pct), False


# -- quantizing


def _down_to_step(value: Decimal, step: Decimal) -> Decimal:
    # A step so fine that 28 digits cannot count it changes nothing that could be sent.
    if step <= 0 or value <= 0 or value.adjusted() - step.adjusted() > 26:
        return value
    return value // step * step


def quantize_amount(rules: TradingRules, amount: Decimal) -> Decimal:
    """Down to a whole number of base increments (§1.1)."""
    return _down_to_step(amount, rules.min_base_increment)


def quantize_price(rules: TradingRules, price: Decimal) -> Decimal:
    """Down to a whole number of price increments, on both sides (§1.1)."""
    return _down_to_step(price, rules.min_price_increment)


def meets_minimum(rules: TradingRules, amount: Decimal, price: Decimal | None) -> bool:
    """Whether a venue would take the order: enough base, and enough notional at a price if there is one."""
    if amount <= 0 or amount < rules.min_order_size:
        return False
    return price is None or amount * price >= rules.min_notional


# -- prices and sides


def best_price(side: Trade, price: Price) -> Decimal:
    """The price of one's own side of the book: the bid to buy at, the ask to sell at."""
    return price.bid if side is Trade.BUY else price.ask


def closing_price(side: Trade, price: Price) -> Decimal:
    """The price at which a position of `side` can be closed: a long sells at the bid, a short buys at the ask."""
    return price.bid if side is Trade.BUY else price.ask


def is_perpetual(connector_name: str) -> bool:
    return "perpetual" in connector_name


def one_leg(connector_name: str, trading_pair: str) -> tuple[Leg, ...]:
    """What an executor of one market trades in, before the market's rules are known."""
    leg = Leg(connector_name=connector_name, trading_pair=trading_pair, is_perpetual=is_perpetual(connector_name))
    return (leg,)


def closing_action(leg: Leg) -> PositionAction:
    """A perpetual account with one net position opens the other way (§2.3); all others close."""
    return PositionAction.OPEN if leg.is_perpetual and leg.is_one_way else PositionAction.CLOSE


# -- orders


def merged(known: Tracked, update: Tracked) -> Tracked:
    """`known` as `update` says it is. What the executor asked for stays as it asked; sums never fall and an order that
    is done stays done, so that an answer that is late or told twice changes nothing. A fill after a cancel is real."""
    status = known.status if known.is_done and not update.is_filled else update.status
    # The venue has not seen the cancel yet; its answer to it ends the order.
    if known.status is OrderStatus.CANCELLING and not update.is_done:
        status = OrderStatus.CANCELLING
    if known.status is not OrderStatus.SENT and update.status is OrderStatus.SENT:
        status = known.status
    newer = update if update.executed_base >= known.executed_base else known
    return msgspec.structs.replace(
        known,
        status=status,
        executed_base=newer.executed_base,
        executed_quote=newer.executed_quote,
        fees_quote=newer.fees_quote,
        fees_base=newer.fees_base,
        created_at_us=known.created_at_us or update.created_at_us,
        updated_at_us=max(known.updated_at_us, update.updated_at_us),
        reason=update.reason or known.reason,
        venue_id=update.venue_id or known.venue_id,
    )


def executed_base(orders: Iterable[Tracked]) -> Decimal:
    return sum((order.executed_base for order in orders), ZERO)


def executed_quote(orders: Iterable[Tracked]) -> Decimal:
    return sum((order.executed_quote for order in orders), ZERO)


def fees_quote(orders: Iterable[Tracked]) -> Decimal:
    return sum((order.fees_quote for order in orders), ZERO)


def average_price(orders: Iterable[Tracked]) -> Decimal | None:
    """Of all the orders' fills; None before the first. One order's own average keeps its digits."""
    filled = [order for order in orders if order.executed_base]
    if len(filled) == 1:
        return filled[0].average
    base = executed_base(filled)
    return executed_quote(filled) / base if base else None


class Book(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The orders of an executor by tag, in the order of their sending. `last_tag` counts up and is never used again."""

    orders: tuple[Tracked, ...] = ()
    last_tag: int = 0

    def get(self, tag: int | None) -> Tracked | None:
        if tag is None:
            return None
        # Those that are asked about are mostly the newest.
        return next((order for order in reversed(self.orders) if order.tag == tag), None)

    def some(self, tags: Iterable[int]) -> tuple[Tracked, ...]:
        return tuple(order for tag in tags if (order := self.get(tag)) is not None)

    def placed(
        self,
        *,
        side: Trade,
        kind: OrderKind,
        amount: Decimal,
        price: Decimal | None,
        action: PositionAction,
        at_us: int,
        leg: int = 0,
    ) -> tuple[Book, Tracked]:
        """The book with one order more, SENT, and that order: what a Place carries."""
        order = Tracked(
            tag=self.last_tag + 1,
            leg=leg,
            side=side,
            kind=kind,
            amount=amount,
            price=price,
            action=action,
            created_at_us=at_us,
            updated_at_us=at_us,
        )
        return Book(orders=(*self.orders, order), last_tag=order.tag), order

    def put(self, order: Tracked) -> Book:
        """The book with `order` in the place of the one of its tag."""
        orders = tuple(order if known.tag == order.tag else known for known in self.orders)
        return Book(orders=orders, last_tag=self.last_tag)

    def pruned(self, keep: int) -> Book:
        """The book without its orders that ended unfilled, but for the newest `keep`: a late fill may still come."""
        ended = [order.tag for order in self.orders if order.is_done and not order.executed_base]
        if len(ended) <= keep:
            return self
        gone = frozenset(ended[: len(ended) - keep])
        return Book(orders=tuple(o for o in self.orders if o.tag not in gone), last_tag=self.last_tag)

    def cancelling(self, tag: int) -> Book:
        """The book with the order's cancel asked for."""
        order = self.get(tag)
        if order is None or order.is_done:
            return self
        return self.put(msgspec.structs.replace(order, status=OrderStatus.CANCELLING))

    def updated(self, update: Tracked) -> Book:
        """The book after an update; itself if the tag is unknown or nothing is new."""
        known = self.get(update.tag)
        if known is None:
            return self
        order = merged(known, update)
        return self if order == known else self.put(order)

    @property
    def live(self) -> tuple[Tracked, ...]:
        return tuple(order for order in self.orders if not order.is_done)

    @property
    def filled(self) -> tuple[Tracked, ...]:
        """Every order with a fill, whatever became of the rest of it."""
        return tuple(order for order in self.orders if order.executed_base)


def failure_message(order: Tracked) -> str:
    """The line of the log for an order that failed."""
    price = "" if order.price is None else f" at {order.price}"
    reason = order.reason or "the venue gave no reason"
    return f"Order {order.tag} failed ({order.side} {order.kind} {order.amount}{price}): {reason}."


def order_ids(orders: Iterable[Tracked]) -> list[str]:
    return [order.venue_id or str(order.tag) for order in orders]


def held_json(orders: Iterable[Tracked]) -> list[dict[str, Any]]:
    """held_position_orders: the fields of an order that the API's position holds are summed up from (§10)."""
    return [
        {
            "client_order_id": order.venue_id or str(order.tag),
            "exchange_order_id": order.venue_id or None,
            "trade_type": order.side.value,
            "order_type": order.kind.value,
            "price": None if order.price is None else str(order.price),
            "amount": str(order.amount),
            "executed_amount_base": str(order.executed_base),
            "executed_amount_quote": str(order.executed_quote),
            "cumulative_fee_paid_quote": str(order.fees_quote),
            "average_executed_price": str(order.average),
            "position": order.action.value,
            "creation_timestamp": order.created_at_us / US,
            "last_update_timestamp": order.updated_at_us / US,
        }
        for order in orders
    ]

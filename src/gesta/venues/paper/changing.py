"""New terms for a working order: whether they can be, and what they do. Its time priority stays."""

from __future__ import annotations

from gesta.trading.orders import Change
from gesta.venues.paper import admission
from gesta.venues.paper.accounts import Accounts
from gesta.venues.paper.working import Place, Working


def refusal(order: Working, change: Change, accounts: Accounts) -> str | None:
    """Why the terms cannot be, in words for a person."""
    quantity = order.quantity if change.quantity is None else change.quantity
    if order.place is Place.ON_ITS_WAY:
        return "The order is still on its way; ask again."
    if quantity <= order.filled:
        filled = order.book.instrument.quantity(order.filled)
        return f"The quantity must be more than what is filled, {filled:f}."
    if change.limit_ticks is not None and order.limit is None:
        return "The order has no limit price to change."
    if change.stop_ticks is not None and change.stop_ticks != order.stop:
        if order.stop is None:
            return "The order has no stop price to change."
        if order.is_triggered:
            return "The stop price was reached already."
    leaves = quantity - order.filled
    if order.is_capped and not order.order.reduce_only and leaves > order.exposure.lots:
        return f"{order.book.instrument.name} cannot be sold short."
    price = order.price
    order.price = _price_after(order, change)
    reason = admission.growth_reason(order, accounts, leaves, order.leaves)
    order.price = price
    return reason


def apply(order: Working, change: Change, accounts: Accounts) -> None:
    """Take the order out of its place, with its new terms."""
    order.book.leave(order)
    before = order.leaves
    order.price = _price_after(order, change)
    if change.quantity is not None:
        order.quantity = change.quantity
    if change.limit_ticks is not None:
        order.limit = change.limit_ticks
    if change.stop_ticks is not None:
        order.stop = change.stop_ticks
    accounts.count(order, order.leaves, before)


def _price_after(order: Working, change: Change) -> int:
    if order.limit is not None:
        return order.limit if change.limit_ticks is None else change.limit_ticks
    if order.stop is not None:
        return order.stop if change.stop_ticks is None else change.stop_ticks
    return order.price

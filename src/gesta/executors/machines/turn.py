"""A step in the making: the state as it has become so far, and the commands that follow from it.

Inside one step a machine's rules are tried one after the other, each seeing what the one before has done. `Turn` is
what they share; it does not outlive the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from gesta.executors.machines.common import Book, check_row
from gesta.executors.machines.face import (
    Cancel,
    CloseType,
    Command,
    Event,
    Log,
    OrderKind,
    OrderStatus,
    Place,
    PositionAction,
    Price,
    RunnableStatus,
    Tracked,
    Trade,
)

__all__ = ["Transitions", "Turn"]

Transitions = Mapping[RunnableStatus, frozenset[RunnableStatus]]


class Stateful(Protocol):
    @property
    def status(self) -> RunnableStatus: ...
    @property
    def close_type(self) -> CloseType | None: ...
    @property
    def book(self) -> Book: ...


S = TypeVar("S", bound=Stateful)


class Turn(Generic[S]):
    """`price` is that of the machine's one leg, None without market data."""

    __slots__ = ("_transitions", "at_us", "commands", "price", "state")

    def __init__(self, state: S, event: Event, transitions: Transitions) -> None:
        self.state = state
        self.at_us = event.at_us
        self.price: Price | None = event.prices.get(0)
        self.commands: list[Command] = []
        self._transitions = transitions

    def change(self, **changes: Any) -> None:
        self.state = msgspec.structs.replace(self.state, **changes)  # type: ignore[type-var]

    def to(self, status: RunnableStatus, **changes: Any) -> None:
        """Change the status, by a row of the table."""
        check_row(self._transitions, self.state.status, status)
        self.change(status=status, **changes)

    def log(self, level: str, message: str) -> None:
        self.commands.append(Log(level=level, message=message))

    def place(
        self, side: Trade, kind: OrderKind, amount: Decimal, price: Decimal | None, action: PositionAction
    ) -> Tracked:
        book, order = self.state.book.placed(
            side=side, kind=kind, amount=amount, price=price, action=action, at_us=self.at_us
        )
        self.change(book=book)
        self.commands.append(Place(order=order))
        return order

    def cancel(self, order: Tracked) -> None:
        """Ask for it once: the venue's answer, whatever it is, ends the order."""
        if order.is_done or order.status is OrderStatus.CANCELLING:
            return
        self.change(book=self.state.book.cancelling(order.tag))
        self.commands.append(Cancel(tag=order.tag))

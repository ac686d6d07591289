"""What one commit of trading holds: rows to write, commands for the venue once they are on disk, updates to tell."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from gesta.desk.trading.state import Funds, Holding
from gesta.desk.trading.views import OrderView, PositionView
from gesta.ledger.records import Execution, NewExecution, Transition
from gesta.storage.program import Statement
from gesta.trading.orders import Change, Order
from gesta.trading.positions import Position


class Submit(msgspec.Struct, frozen=True):
    order_id: str


class Cancel(msgspec.Struct, frozen=True):
    order_id: str


class Amend(msgspec.Struct, frozen=True):
    order_id: str
    change: Change


Command = Submit | Cancel | Amend


class NoteRow(msgspec.Struct, frozen=True, gc=False):
    """One entry of an order's life: `number` is the order's, `note` counts over all orders."""

    number: int
    note: int
    at_us: int
    source: str
    event: str
    state: str
    message: str = ""
    data: dict[str, Any] = {}


class Filled(msgspec.Struct, frozen=True):
    """A fill to tell of, by its id: the ledger gives it its place in the feed."""

    execution_id: str


class Restated(msgspec.Struct, frozen=True):
    """A change of a recorded fill: a bust, a correction, or what they change in later fills."""

    execution_id: str
    account: int
    transition: Transition


Telling = OrderView | PositionView | Filled


class Batch:
    """Of one organization. Rows that change twice before the commit are written once, as they stand last."""

    def __init__(self, organization: int, number: int) -> None:
        self.organization = organization
        self.number = number
        self.orders: dict[str, Order] = {}
        self.notes: list[NoteRow] = []
        self.fills: list[NewExecution] = []
        self.restated: list[Restated] = []
        self.positions: dict[Holding, Position] = {}
        self.funds: dict[tuple[int, str], Funds] = {}
        # Rows of whoever stands on trading, by a key of theirs: what is put twice is written once, as it stands last.
        self.also: dict[object, tuple[Statement, tuple[Any, ...]]] = {}
        self.commands: list[Command] = []
        self.tellings: list[Telling] = []
        self.waiters: list[asyncio.Future[None]] = []
        # Set when a commit failed and the callers were told so: their orders must not be sent when it succeeds later.
        self.is_late = False
        # The feed position that the commit came to, and what it made of the executions in `restated`. Both are unknown
        # of a commit that got no answer and was found done.
        self.seq = 0
        self.became: dict[str, Execution] = {}

    @property
    def weight(self) -> int:
        return len(self.notes) + len(self.fills)

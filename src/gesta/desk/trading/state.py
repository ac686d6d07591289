"""What trading knows while it runs: working orders, positions and money. A copy of the tables, ahead of them by what is
on its way to disk."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TypeVar

import msgspec

from gesta.access.model import Account
from gesta.trading.order_states import TERMINAL
from gesta.trading.orders import Order
from gesta.trading.positions import FLAT, Position

K = TypeVar("K")

# (account, instrument)
Holding = tuple[int, str]


class Funds(msgspec.Struct, frozen=True, kw_only=True):
    """An account's money in one currency, in units. cash = starting + realized − commission, always. `session` is the
    ordinal of the trading day that the session's figures belong to; `session_cash` is the cash it began with."""

    account: int
    currency: str
    organization: int
    starting: int
    cash: int
    realized: int = 0
    commission: int = 0
    session: int = 0
    session_cash: int = 0
    session_realized: int = 0
    session_commission: int = 0
    max_position: Decimal | None = None

    def at(self, session: int) -> Funds:
        """The same money on a trading day: a new one begins with what is there."""
        if session <= self.session:
            return self
        return msgspec.structs.replace(
            self, session=session, session_cash=self.cash, session_realized=0, session_commission=0
        )

    def booked(self, realized: int, commission: int, session: int) -> Funds:
        today = self.at(session)
        return msgspec.structs.replace(
            today,
            cash=today.cash + realized - commission,
            realized=today.realized + realized,
            commission=today.commission + commission,
            session_realized=today.session_realized + realized,
            session_commission=today.session_commission + commission,
        )


class State:
    """Mutable, in one event loop. Final orders stay until they are on disk (`forget`)."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.by_client: dict[tuple[int, str], str] = {}
        self.by_holding: defaultdict[Holding, dict[str, None]] = defaultdict(dict)
        self.by_account: defaultdict[int, dict[str, None]] = defaultdict(dict)
        self.positions: defaultdict[int, dict[str, Position]] = defaultdict(dict)
        self.funds: defaultdict[int, dict[str, Funds]] = defaultdict(dict)
        self.accounts: dict[int, Account] = {}
        self.numbers = 0
        self.notes = 0

    def put(self, order: Order) -> None:
        self.orders[order.id] = order
        if order.client_id is not None:
            self.by_client[order.account, order.client_id] = order.id
        holding = (order.account, order.instrument)
        if order.state in TERMINAL:
            _drop(self.by_holding, holding, order.id)
            _drop(self.by_account, order.account, order.id)
        else:
            self.by_holding[holding][order.id] = None
            self.by_account[order.account][order.id] = None

    def forget(self, order: Order) -> None:
        """Let go of a final order that is on disk, unless it has changed since."""
        if order.state in TERMINAL and self.orders.get(order.id) is order:
            del self.orders[order.id]
            if order.client_id is not None:
                self.by_client.pop((order.account, order.client_id), None)

    def working(self, account: int, instrument: str | None = None) -> list[Order]:
        """What is not final, oldest first."""
        ids = self.by_account.get(account) if instrument is None else self.by_holding.get((account, instrument))
        return [self.orders[id_] for id_ in ids or ()]

    def position(self, account: int, instrument: str) -> Position:
        held = self.positions.get(account)
        return FLAT if held is None else held.get(instrument, FLAT)

    def open_positions(self, account: int) -> list[str]:
        """The instruments in which the account is not flat."""
        return [instrument for instrument, held in self.positions.get(account, {}).items() if held.lots]

    def funds_of(self, account: int) -> list[Funds]:
        return list(self.funds.get(account, {}).values())


def _drop(index: dict[K, dict[str, None]], key: K, id_: str) -> None:
    members = index.get(key)
    if members is not None:
        members.pop(id_, None)
        if not members:
            del index[key]

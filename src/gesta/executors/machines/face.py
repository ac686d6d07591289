"""What an executor's machine is: a pure function over frozen values. No clock, no I/O, no randomness.

`step(state, event)` gives the state after an event and the commands that follow from it. Amounts, prices and money are
`Decimal`; times are UTC microseconds; percentages are fractions. The vocabulary is Hummingbot's
(protocols/hummingbot.md §1). A machine never polls: it says which prices and which moment concern it (`watches`), and
is woken by them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Generic, Protocol, TypeVar

import msgspec


class RunnableStatus(enum.StrEnum):
    NOT_STARTED = "NOT_STARTED"
    RUNNING = "RUNNING"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    TERMINATED = "TERMINATED"


class CloseType(enum.StrEnum):
    TIME_LIMIT = "TIME_LIMIT"
    STOP_LOSS = "STOP_LOSS"
    TAKE_PROFIT = "TAKE_PROFIT"
    EXPIRED = "EXPIRED"
    EARLY_STOP = "EARLY_STOP"
    TRAILING_STOP = "TRAILING_STOP"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    FAILED = "FAILED"
    COMPLETED = "COMPLETED"
    POSITION_HOLD = "POSITION_HOLD"


class Trade(enum.StrEnum):
    """The side of an order; on the wire 1 and 2, or the words."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        return 1 if self is Trade.BUY else -1

    @property
    def opposite(self) -> Trade:
        return Trade.SELL if self is Trade.BUY else Trade.BUY


class OrderKind(enum.StrEnum):
    """On the wire 1, 2, 3, or the words."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    LIMIT_MAKER = "LIMIT_MAKER"

    @property
    def is_limit(self) -> bool:
        return self is not OrderKind.MARKET


class PositionAction(enum.StrEnum):
    OPEN = "OPEN"
    CLOSE = "CLOSE"
    NIL = "NIL"


class OrderStatus(enum.StrEnum):
    """`SENT`: the command is journaled, the venue has not answered yet."""

    SENT = "sent"
    OPEN = "open"
    CANCELLING = "cancelling"
    FILLED = "filled"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_done(self) -> bool:
        return self in (OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.FAILED)


class TradingRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a connector asks of an order in a pair."""

    min_order_size: Decimal = Decimal(0)
    min_price_increment: Decimal = Decimal("0.0001")
    min_base_increment: Decimal = Decimal("0.0001")
    min_notional: Decimal = Decimal(0)


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """A market that the executor trades in. Most have one; arbitrage and market making across venues have two."""

    connector_name: str
    trading_pair: str
    rules: TradingRules = TradingRules()
    is_perpetual: bool = False
    is_one_way: bool = True
    maker_fee: Decimal = Decimal(0)
    taker_fee: Decimal = Decimal(0)


class Price(msgspec.Struct, frozen=True, gc=False):
    """`best` is the best price since the machine's trail was set, for a machine that has one."""

    bid: Decimal
    ask: Decimal
    best: Decimal | None = None

    @property
    def mid(self) -> Decimal:
        return (self.bid + self.ask) / 2


class Tracked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One order of the executor, as far as it is known. `tag` names it: it is the executor's step number, so that its
    id at the venue is a function of (executor, tag). `price` is the order's own limit, None for a market order.
    `executed_quote` = Σ price·base of its fills; `fees_quote` all fees, in quote; `fees_base` those that were taken in
    base. `reason` is the venue's, of a failure."""

    tag: int
    leg: int = 0
    side: Trade
    kind: OrderKind
    amount: Decimal
    price: Decimal | None = None
    action: PositionAction = PositionAction.OPEN
    status: OrderStatus = OrderStatus.SENT
    executed_base: Decimal = Decimal(0)
    executed_quote: Decimal = Decimal(0)
    fees_quote: Decimal = Decimal(0)
    fees_base: Decimal = Decimal(0)
    created_at_us: int = 0
    updated_at_us: int = 0
    reason: str = ""
    venue_id: str = ""

    @property
    def average(self) -> Decimal:
        """The average price of its fills, its own price before the first."""
        if not self.executed_base:
            return self.price or Decimal(0)
        return self.executed_quote / self.executed_base

    @property
    def is_filled(self) -> bool:
        return self.status is OrderStatus.FILLED

    @property
    def is_done(self) -> bool:
        return self.status.is_done


# -- events


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    """`prices` by leg, as they are at `at_us`; a leg without market data is missing."""

    at_us: int
    prices: Mapping[int, Price]


class Started(_Event, frozen=True, kw_only=True):
    """The first event. `affordable` is what the budget check leaves of the opening amount: False is none of it."""

    affordable: bool = True


class Moved(_Event, frozen=True, kw_only=True):
    """A watched price was reached, or a watched moment has come: the machine looks at everything again."""


class OrderUpdated(_Event, frozen=True, kw_only=True):
    """An order is as `order` says now: accepted, filled in part or whole, cancelled, failed. Sums are cumulative, so an
    update that is told twice changes nothing."""

    order: Tracked


class StopAsked(_Event, frozen=True, kw_only=True):
    keep_position: bool = False


Event = Started | Moved | OrderUpdated | StopAsked


# -- commands


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """`order` as it is now in the state: SENT, its amount and price quantized by the leg's rules already."""

    order: Tracked


class Cancel(msgspec.Struct, frozen=True, kw_only=True):
    tag: int


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the executor's log: level `INFO`, `WARNING` or `ERROR`."""

    level: str
    message: str


Command = Place | Cancel | Log


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What must wake the machine, for one leg: the closing side's price at or below / at or above, in the price that
    `of` names. `at_us` is the next moment that concerns it."""

    leg: int = 0
    of: str = "bid"  # bid | ask | mid
    at_or_below: Decimal | None = None
    at_or_above: Decimal | None = None


class Trail(msgspec.Struct, frozen=True, kw_only=True):
    """Wakes the machine when the price that `of` names has fallen back by `distance` from the best since `since_us`:
    the highest, or the lowest for one that does not rise. A new best price wakes nobody; every event has it
    (`Price.best`)."""

    leg: int = 0
    of: str = "bid"  # bid | ask | mid
    is_rising: bool = True
    distance: Decimal
    since_us: int


class Watches(msgspec.Struct, frozen=True, kw_only=True):
    """`every`: any change of price concerns it (pegged orders, and orders without a level yet)."""

    prices: tuple[Watch, ...] = ()
    at_us: int | None = None
    every: bool = False
    trail: Trail | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How the executor stands at given prices. `held`: the orders that it leaves to the position hold; `own_pnl_quote`
    is what of its PnL has come of none of them."""

    status: RunnableStatus
    close_type: CloseType | None
    net_pnl_quote: Decimal
    net_pnl_pct: Decimal
    cum_fees_quote: Decimal
    filled_amount_quote: Decimal
    is_active: bool
    is_trading: bool
    close_at_us: int | None
    custom_info: dict[str, Any]
    held: tuple[Tracked, ...] = ()
    own_pnl_quote: Decimal = Decimal(0)


S = TypeVar("S")
C = TypeVar("C")


class Machine(Protocol, Generic[C, S]):
    """One executor type. `parse` raises InvalidInput with `field` for a config that cannot be."""

    type: str

    def parse(self, config: Mapping[str, Any]) -> C: ...

    def legs(self, config: C) -> tuple[Leg, ...]: ...

    def begin(
        self, config: C, legs: tuple[Leg, ...], *, at_us: int, prices: Mapping[int, Price], max_retries: int
    ) -> S: ...

    def step(self, state: S, event: Event) -> tuple[S, tuple[Command, ...]]: ...

    def watches(self, state: S) -> Watches: ...

    def report(self, state: S, prices: Mapping[int, Price]) -> Report: ...

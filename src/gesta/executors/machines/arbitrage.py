"""arbitrage_executor: buy in one market and sell in another at once, when the difference pays (§7).

The price of each side is its best one; fees are the takers' of both. Where Hummingbot is wrong this machine is not:
PnL % is of the cost, volume is reported, a leg that was sent is never abandoned, and what is left open is held.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from gesta.executors.machines.common import (
    ZERO,
    Book,
    executed_base,
    held_json,
    meets_minimum,
    order_ids,
    quantize_amount,
)
from gesta.executors.machines.face import (
    Cancel,
    CloseType,
    Command,
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
    RunnableStatus,
    Started,
    StopAsked,
    Tracked,
    Trade,
    Watches,
)
from gesta.executors.machines.parsing import BASE_FIELDS, Fields
from gesta.executors.machines.two_markets import (
    BUYING,
    ONE,
    SELLING,
    Market,
    legs_of,
    opening_action,
    parse_markets,
    rate_of,
    report_of,
    result_of,
)

__all__ = ["MACHINE", "TRANSITIONS", "Config", "State"]

FIELDS = (
    *BASE_FIELDS,
    "buying_market",
    "selling_market",
    "order_amount",
    "min_profitability",
    "gas_conversion_price",
)

#: What follows what. A row that is missing cannot happen.
TRANSITIONS: Mapping[RunnableStatus, frozenset[RunnableStatus]] = {
    # Started; or not affordable.
    RunnableStatus.NOT_STARTED: frozenset({RunnableStatus.RUNNING, RunnableStatus.TERMINATED}),
    # The difference pays and both legs are sent; or a stop before that, or an amount that no venue would take.
    RunnableStatus.RUNNING: frozenset({RunnableStatus.SHUTTING_DOWN, RunnableStatus.TERMINATED}),
    # Both legs are done: filled, given up after too many failures, or called off by a stop that keeps.
    RunnableStatus.SHUTTING_DOWN: frozenset({RunnableStatus.TERMINATED}),
    RunnableStatus.TERMINATED: frozenset(),
}

SIDES = {BUYING: Trade.BUY, SELLING: Trade.SELL}


class Config(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`min_profitability` is a fraction, after fees. `gas_conversion_price` matters to on-chain markets only."""

    buying_market: Market
    selling_market: Market
    order_amount: Decimal
    min_profitability: Decimal
    gas_conversion_price: Decimal | None = None
    id: str | None = None
    timestamp_us: int | None = None
    controller_id: str = "main"


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`rate` is the quotes' when the legs were sent. `keep`: a stop asked to leave what is open as it is."""

    config: Config
    legs: tuple[Leg, ...]
    max_retries: int
    status: RunnableStatus = RunnableStatus.NOT_STARTED
    close_type: CloseType | None = None
    close_at_us: int | None = None
    book: Book = Book()
    failures: int = 0
    rate: Decimal = ONE
    keep: bool = False


class Quote(msgspec.Struct, frozen=True):
    """What the trade would bring at given prices, as fractions; `rate` converts the selling market's quote."""

    buy: Decimal
    sell: Decimal
    rate: Decimal
    pnl_pct: Decimal
    cost_pct: Decimal

    @property
    def profit_pct(self) -> Decimal:
        return self.pnl_pct - self.cost_pct


def quote(state: State, prices: Mapping[int, Price]) -> Quote | None:
    """None while a price that it needs is missing."""
    buying, selling, rate = prices.get(BUYING), prices.get(SELLING), rate_of(state.legs, prices)
    if buying is None or selling is None or rate is None or not buying.ask:
        return None
    pnl_pct = (selling.bid * rate - buying.ask) / buying.ask
    cost_pct = state.legs[BUYING].taker_fee + state.legs[SELLING].taker_fee
    return Quote(buying.ask, selling.bid, rate, pnl_pct, cost_pct)


class ArbitrageMachine:
    type = "arbitrage_executor"

    def parse(self, config: Mapping[str, Any]) -> Config:
        fields = Fields(config, FIELDS)
        buying, selling = parse_markets(fields)
        return Config(
            buying_market=buying,
            selling_market=selling,
            order_amount=fields.decimal("order_amount", above=0),
            min_profitability=fields.decimal("min_profitability"),
            gas_conversion_price=fields.decimal_or("gas_conversion_price", None, above=0),
            **fields.base(),
        )

    def legs(self, config: Config) -> tuple[Leg, ...]:
        return legs_of(config.buying_market, config.selling_market)

    def begin(
        self, config: Config, legs: tuple[Leg, ...], *, at_us: int, prices: Mapping[int, Price], max_retries: int
    ) -> State:
        return State(config=config, legs=legs, max_retries=max_retries)

    def step(self, state: State, event: Event) -> tuple[State, tuple[Command, ...]]:
        match event:
            case _ if state.status is RunnableStatus.TERMINATED:
                return state, ()
            case Started(affordable=affordable) if state.status is RunnableStatus.NOT_STARTED:
                if not affordable:
                    return _close(state, CloseType.INSUFFICIENT_BALANCE, event.at_us)
                return _look(_enter(state, RunnableStatus.RUNNING), event)
            case Moved() if state.status is RunnableStatus.RUNNING:
                return _look(state, event)
            case OrderUpdated(order=order):
                return _hear(state, order, event.at_us)
            case StopAsked(keep_position=keep):
                return _stop(state, keep, event.at_us)
        return state, ()

    def watches(self, state: State) -> Watches:
        """Profit is of two prices, so that no level of one says when it is there."""
        return Watches(every=state.status is RunnableStatus.RUNNING)

    def report(self, state: State, prices: Mapping[int, Price]) -> Report:
        result = result_of(state.book, state.rate)
        held = result.held if state.status is RunnableStatus.TERMINATED else ()
        return report_of(
            result,
            status=state.status,
            close_type=state.close_type,
            close_at_us=state.close_at_us,
            custom_info=_custom_info(state, prices, held),
            held=held,
        )


MACHINE = ArbitrageMachine()


def _enter(state: State, status: RunnableStatus) -> State:
    if status not in TRANSITIONS[state.status]:
        raise ValueError(f"{state.status} is not followed by {status}")
    return msgspec.structs.replace(state, status=status)


def _close(state: State, close_type: CloseType, at_us: int) -> tuple[State, tuple[Command, ...]]:
    ended = _enter(state, RunnableStatus.TERMINATED)
    return msgspec.structs.replace(ended, close_type=close_type, close_at_us=at_us), ()


def _look(state: State, event: Event) -> tuple[State, tuple[Command, ...]]:
    """Send both legs if that pays."""
    now = quote(state, event.prices)
    if now is None or now.profit_pct <= state.config.min_profitability:
        return state, ()
    for leg, price in ((BUYING, now.buy), (SELLING, now.sell)):
        rules = state.legs[leg].rules
        if not meets_minimum(rules, quantize_amount(rules, state.config.order_amount), price):
            connector = state.legs[leg].connector_name
            message = f"order_amount ({state.config.order_amount}) is below the minimum of {connector}"
            closed, _ = _close(state, CloseType.FAILED, event.at_us)
            return closed, (Log(level="ERROR", message=message),)
    state = msgspec.structs.replace(_enter(state, RunnableStatus.SHUTTING_DOWN), rate=now.rate)
    state, commands = _settle(state, event.at_us)
    message = f"profit {now.profit_pct:.6f} is above {state.config.min_profitability}: both legs are sent"
    return state, (*commands, Log(level="INFO", message=message))


def _hear(state: State, order: Tracked, at_us: int) -> tuple[State, tuple[Command, ...]]:
    known = state.book.get(order.tag)
    book = state.book.updated(order)
    if known is None or book is state.book:
        return state, ()
    logs: tuple[Command, ...] = ()
    now = book.orders[order.tag - 1]
    # A market order that a venue cancels of its own accord is a failure as well; one that was called off is not.
    ended_unfilled = now.status in (OrderStatus.FAILED, OrderStatus.CANCELLED) and not known.is_done
    failed = ended_unfilled and known.status is not OrderStatus.CANCELLING
    if failed:
        message = f"order {order.tag} ({now.side} {now.amount}) {now.status}: {now.reason or 'no reason given'}"
        logs = (Log(level="ERROR", message=message),)
    state = msgspec.structs.replace(state, book=book, failures=state.failures + failed)
    state, commands = _settle(state, at_us)
    return state, (*logs, *commands)


def _stop(state: State, keep: bool, at_us: int) -> tuple[State, tuple[Command, ...]]:
    if state.status is not RunnableStatus.SHUTTING_DOWN:
        return _close(state, CloseType.EARLY_STOP, at_us)
    if not keep:
        # Both legs together leave nothing open; half of them would.
        return state, (Log(level="INFO", message="stop asked while both legs are out: they are completed"),)
    return _settle(msgspec.structs.replace(state, keep=True), at_us)


def _settle(state: State, at_us: int) -> tuple[State, tuple[Command, ...]]:
    """Send what is missing of each leg; when nothing more is to come, end."""
    commands: list[Command] = []
    book = state.book
    if state.keep or state.failures > state.max_retries:
        for order in book.live:
            if order.status is not OrderStatus.CANCELLING:
                book = book.cancelling(order.tag)
                commands.append(Cancel(tag=order.tag))
    else:
        for leg in (BUYING, SELLING):
            missing = _missing(state, leg)
            if missing and not any(order.leg == leg for order in book.live):
                book, order = book.placed(
                    side=SIDES[leg],
                    kind=OrderKind.MARKET,
                    amount=missing,
                    price=None,
                    action=opening_action(state.legs[leg]),
                    at_us=at_us,
                    leg=leg,
                )
                commands.append(Place(order=order))
    state = msgspec.structs.replace(state, book=book)
    if book.live:
        return state, tuple(commands)
    ended, _ = _close(state, _close_type(state), at_us)
    return ended, tuple(commands)


def _missing(state: State, leg: int) -> Decimal:
    """What of a leg is not executed yet, if it is enough for an order."""
    rules = state.legs[leg].rules
    executed = executed_base(order for order in state.book.orders if order.leg == leg)
    missing = quantize_amount(rules, state.config.order_amount - executed)
    return missing if meets_minimum(rules, missing, None) else ZERO


def _close_type(state: State) -> CloseType:
    if not _missing(state, BUYING) and not _missing(state, SELLING):
        # A fill that came after a failure was told, and the amount was sent again, leaves one side with too much.
        exposed = abs(result_of(state.book, state.rate).exposed_base)
        rules = state.legs[SELLING].rules
        too_much = meets_minimum(rules, quantize_amount(rules, exposed), None)
        return CloseType.POSITION_HOLD if too_much else CloseType.COMPLETED
    if state.failures > state.max_retries:
        return CloseType.FAILED
    return CloseType.POSITION_HOLD if result_of(state.book, state.rate).held else CloseType.EARLY_STOP


def _custom_info(state: State, prices: Mapping[int, Price], held: tuple[Tracked, ...]) -> dict[str, Any]:
    now = quote(state, prices)
    config = state.config
    return {
        "buy_connector": config.buying_market.connector_name,
        "sell_connector": config.selling_market.connector_name,
        "buy_pair": config.buying_market.trading_pair,
        "sell_pair": config.selling_market.trading_pair,
        "buy_price": None if now is None else now.buy,
        "sell_price": None if now is None else now.sell,
        "trade_pnl_pct": None if now is None else now.pnl_pct,
        "tx_cost_pct": None if now is None else now.cost_pct,
        "profit_pct": None if now is None else now.profit_pct,
        "failures": state.failures,
        "current_retries": state.failures,
        "max_retries": state.max_retries,
        "order_ids": order_ids(state.book.orders),
        "held_position_orders": held_json(held),
    }

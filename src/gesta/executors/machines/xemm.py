"""xemm_executor: rest an order in one market at a price that pays when its fill is hedged in another (§8).

A maker order is hedged when it is done: filled, or cancelled with fills because the profit left its bounds; what of the
amount is left is quoted on. Where Hummingbot is wrong this machine is not: PnL has the right sign for a selling maker
and is a percentage of the cost, a partial fill is hedged and not forgotten, completion has a close type, a stop hedges
or holds what is filled, volume and fees are reported as they arise.
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
    quantize_price,
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
    Watch,
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
    "maker_side",
    "order_amount",
    "min_profitability",
    "target_profitability",
    "max_profitability",
)

#: What follows what. A row that is missing cannot happen.
TRANSITIONS: Mapping[RunnableStatus, frozenset[RunnableStatus]] = {
    # Started; or not affordable, or stopped before that.
    RunnableStatus.NOT_STARTED: frozenset({RunnableStatus.RUNNING, RunnableStatus.TERMINATED}),
    # The whole amount is made, a stop was asked, or there were too many failures; at once to the end if nothing is out.
    RunnableStatus.RUNNING: frozenset({RunnableStatus.SHUTTING_DOWN, RunnableStatus.TERMINATED}),
    # Every order is done, and what was made is hedged, held, or cannot be hedged.
    RunnableStatus.SHUTTING_DOWN: frozenset({RunnableStatus.TERMINATED}),
    RunnableStatus.TERMINATED: frozenset(),
}


class Config(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Profitabilities are fractions, after fees, of the maker's price."""

    buying_market: Market
    selling_market: Market
    maker_side: Trade
    order_amount: Decimal
    min_profitability: Decimal
    target_profitability: Decimal
    max_profitability: Decimal
    id: str | None = None
    timestamp_us: int | None = None
    controller_id: str = "main"


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`ending` is the close type that a stop or a failure has decided; None while the amount is being made, and when it
    was. `keep`: what is made and not hedged stays so. `rate` is the quotes' when an order was last sent. Failures are
    counted by side: a maker that is rejected for ever must not use up the retries of the hedge."""

    config: Config
    legs: tuple[Leg, ...]
    max_retries: int
    status: RunnableStatus = RunnableStatus.NOT_STARTED
    close_type: CloseType | None = None
    close_at_us: int | None = None
    book: Book = Book()
    failures: int = 0
    hedge_failures: int = 0
    rate: Decimal = ONE
    ending: CloseType | None = None
    keep: bool = False

    @property
    def maker(self) -> int:
        """The leg of the maker's market; the taker's is the other."""
        return BUYING if self.config.maker_side is Trade.BUY else SELLING

    @property
    def taker(self) -> int:
        return SELLING if self.maker == BUYING else BUYING

    @property
    def live_maker(self) -> Tracked | None:
        return next((order for order in self.book.live if order.leg == self.maker), None)

    @property
    def live_taker(self) -> Tracked | None:
        return next((order for order in self.book.live if order.leg == self.taker), None)

    def executed(self, leg: int) -> Decimal:
        return executed_base(order for order in self.book.orders if order.leg == leg)


class Quote(msgspec.Struct, frozen=True):
    """Prices at a moment: what the hedge would get, in the maker's quote, and where a maker order would be put."""

    taker: Decimal
    target: Decimal
    rate: Decimal
    cost_pct: Decimal


def quote(state: State, prices: Mapping[int, Price]) -> Quote | None:
    """None while a price that it needs is missing, or if no price could pay."""
    price, rate = prices.get(state.taker), rate_of(state.legs, prices)
    if price is None or not rate:
        return None
    cost_pct = state.legs[state.taker].taker_fee + state.legs[state.maker].maker_fee
    target = state.config.target_profitability + cost_pct
    if state.config.maker_side is Trade.BUY:
        taker = price.bid * rate
        divisor = 1 + target
    else:
        taker = price.ask / rate
        divisor = 1 - target
    if divisor <= 0:
        return None
    wanted = quantize_price(state.legs[state.maker].rules, taker / divisor)
    return Quote(taker, wanted, rate, cost_pct) if wanted > 0 else None


def profit_pct(state: State, now: Quote, price: Decimal) -> Decimal:
    """What a maker order at a price would bring, after fees, as a fraction of that price."""
    difference = now.taker - price if state.config.maker_side is Trade.BUY else price - now.taker
    return difference / price - now.cost_pct


class XemmMachine:
    type = "xemm_executor"

    def parse(self, config: Mapping[str, Any]) -> Config:
        fields = Fields(config, FIELDS)
        buying, selling = parse_markets(fields)
        least, target, most = (fields.decimal(f"{name}_profitability") for name in ("min", "target", "max"))
        if least >= most:
            fields.refuse("min_profitability", f"be less than max_profitability ({most})")
        if not least <= target <= most:
            fields.refuse("target_profitability", f"be from min_profitability ({least}) to max_profitability ({most})")
        return Config(
            buying_market=buying,
            selling_market=selling,
            maker_side=fields.side("maker_side"),
            order_amount=fields.decimal("order_amount", above=0),
            min_profitability=least,
            target_profitability=target,
            max_profitability=most,
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
                    return _close(state, CloseType.INSUFFICIENT_BALANCE, event.at_us), ()
                return _settle(_enter(state, RunnableStatus.RUNNING), event)
            case Moved() if state.status is not RunnableStatus.NOT_STARTED:
                return _settle(state, event)
            case OrderUpdated(order=order):
                return _hear(state, order, event)
            case StopAsked(keep_position=keep):
                return _stop(state, keep, event)
        return state, ()

    def watches(self, state: State) -> Watches:
        """A live maker order is wrong when the taker's price leaves its bounds; a missing one is put at any price."""
        if state.status is not RunnableStatus.RUNNING:
            return Watches()
        live = state.live_maker
        if live is None or live.price is None or len(state.legs) > len((BUYING, SELLING)):
            # With a rate between the quotes, the bounds are of two prices.
            return Watches(every=True)
        if live.status is OrderStatus.CANCELLING:
            return Watches()
        cost_pct = state.legs[state.taker].taker_fee + state.legs[state.maker].maker_fee
        least, most = state.config.min_profitability + cost_pct, state.config.max_profitability + cost_pct
        if state.config.maker_side is Trade.BUY:
            below, above, of = live.price * (1 + least), live.price * (1 + most), "bid"
        else:
            below, above, of = live.price * (1 - most), live.price * (1 - least), "ask"
        return Watches(prices=(Watch(leg=state.taker, of=of, at_or_below=below, at_or_above=above),))

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


MACHINE = XemmMachine()


def _enter(state: State, status: RunnableStatus) -> State:
    if status is state.status:
        return state
    if status not in TRANSITIONS[state.status]:
        raise ValueError(f"{state.status} is not followed by {status}")
    return msgspec.structs.replace(state, status=status)


def _close(state: State, close_type: CloseType, at_us: int) -> State:
    ended = _enter(state, RunnableStatus.TERMINATED)
    return msgspec.structs.replace(ended, close_type=close_type, close_at_us=at_us)


def _hear(state: State, order: Tracked, event: Event) -> tuple[State, tuple[Command, ...]]:
    known = state.book.get(order.tag)
    book = state.book.updated(order)
    if known is None or book is state.book:
        return state, ()
    now = book.orders[order.tag - 1]
    # An order that a venue cancels of its own accord has failed as well; one that was called off has not.
    ended_unfilled = now.status in (OrderStatus.FAILED, OrderStatus.CANCELLED) and not known.is_done
    failed = ended_unfilled and known.status is not OrderStatus.CANCELLING
    logs: tuple[Command, ...] = ()
    if failed:
        message = f"order {order.tag} ({now.side} {now.amount}) {now.status}: {now.reason or 'no reason given'}"
        logs = (Log(level="ERROR", message=message),)
    maker_failed = failed and now.leg == state.maker
    state = msgspec.structs.replace(
        state,
        book=book,
        failures=state.failures + maker_failed,
        hedge_failures=state.hedge_failures + (failed and not maker_failed),
    )
    if state.ending is None and max(state.failures, state.hedge_failures) > state.max_retries:
        state = msgspec.structs.replace(state, ending=CloseType.FAILED)
    # A rejected maker order is put again when the price is next looked at: at once it would be rejected again.
    state, commands = _settle(state, event, quoting=not maker_failed)
    return state, (*logs, *commands)


def _stop(state: State, keep: bool, event: Event) -> tuple[State, tuple[Command, ...]]:
    if state.status is RunnableStatus.NOT_STARTED:
        return _close(state, CloseType.EARLY_STOP, event.at_us), ()
    if state.ending is None and not _is_made(state):
        state = msgspec.structs.replace(state, ending=CloseType.EARLY_STOP)
    return _settle(msgspec.structs.replace(state, keep=state.keep or keep), event)


def _settle(state: State, event: Event, *, quoting: bool = True) -> tuple[State, tuple[Command, ...]]:
    """Everything that follows from how the orders and the prices are now."""
    commands: list[Command] = []
    if state.status is RunnableStatus.RUNNING and (state.ending or _is_made(state)):
        state = _enter(state, RunnableStatus.SHUTTING_DOWN)
    now = quote(state, event.prices)
    if state.status is RunnableStatus.RUNNING:
        state = _keep_quote(state, now, event.at_us, commands, quoting)
    else:
        state = _cancelled(state, state.live_maker, commands)
    if state.keep:
        state = _cancelled(state, state.live_taker, commands)
    elif state.hedge_failures <= state.max_retries:
        state = _hedged(state, now, event.at_us, commands)
    if state.status is RunnableStatus.SHUTTING_DOWN and not state.book.live:
        state = _close(state, _close_type(state), event.at_us)
    return state, tuple(commands)


def _keep_quote(state: State, now: Quote | None, at_us: int, commands: list[Command], quoting: bool) -> State:
    """One maker order for what is left of the amount, at a price within the bounds."""
    live = state.live_maker
    if now is None:
        return state
    if live is not None:
        if live.status is not OrderStatus.CANCELLING and live.price is not None:
            profit = profit_pct(state, now, live.price)
            if not state.config.min_profitability <= profit <= state.config.max_profitability:
                message = f"profit {profit:.6f} of order {live.tag} is out of its bounds: cancelled"
                commands.append(Log(level="INFO", message=message))
                return _cancelled(state, live, commands)
        return state
    if not quoting:
        return state
    amount = _left(state)
    if not meets_minimum(state.legs[state.maker].rules, amount, now.target):
        if not state.executed(state.maker):
            message = f"order_amount: {amount} at {now.target} is below the minimum of the maker's market"
            commands.append(Log(level="ERROR", message=message))
            state = msgspec.structs.replace(state, ending=CloseType.FAILED)
        # A remainder that the venue would not take is not waited for.
        return _enter(state, RunnableStatus.SHUTTING_DOWN)
    state = msgspec.structs.replace(state, rate=now.rate)
    return _placed(state, state.maker, OrderKind.LIMIT, amount, now.target, at_us, commands)


def _hedged(state: State, now: Quote | None, at_us: int, commands: list[Command]) -> State:
    """One taker order for what the maker orders that are done have made. What is made by a live one waits for its end:
    leaving the bounds ends it too."""
    if state.live_taker is not None:
        return state
    missing = _unhedged(state)
    if not missing:
        return state
    if now is not None:
        state = msgspec.structs.replace(state, rate=now.rate)
    return _placed(state, state.taker, OrderKind.MARKET, missing, None, at_us, commands)


def _placed(
    state: State,
    leg: int,
    kind: OrderKind,
    amount: Decimal,
    price: Decimal | None,
    at_us: int,
    commands: list[Command],
) -> State:
    book, order = state.book.placed(
        side=Trade.BUY if leg == BUYING else Trade.SELL,
        kind=kind,
        amount=amount,
        price=price,
        action=opening_action(state.legs[leg]),
        at_us=at_us,
        leg=leg,
    )
    commands.append(Place(order=order))
    return msgspec.structs.replace(state, book=book)


def _cancelled(state: State, order: Tracked | None, commands: list[Command]) -> State:
    if order is None or order.status is OrderStatus.CANCELLING:
        return state
    commands.append(Cancel(tag=order.tag))
    return msgspec.structs.replace(state, book=state.book.cancelling(order.tag))


def _left(state: State) -> Decimal:
    """What of the amount is not made yet, in the maker's increments."""
    return quantize_amount(state.legs[state.maker].rules, state.config.order_amount - state.executed(state.maker))


def _is_made(state: State) -> bool:
    """Whether the maker's part is done. A remainder that the venue would not take is not waited for."""
    left = _left(state)
    return state.live_maker is None and (
        left <= 0 or (left < state.legs[state.maker].rules.min_order_size and state.executed(state.maker) > 0)
    )


def _unhedged(state: State) -> Decimal:
    """What is made by orders that are done and not hedged, if the taker's market takes that much."""
    made = executed_base(order for order in state.book.orders if order.leg == state.maker and order.is_done)
    rules = state.legs[state.taker].rules
    missing = quantize_amount(rules, made - state.executed(state.taker))
    return missing if meets_minimum(rules, missing, None) else ZERO


def _close_type(state: State) -> CloseType:
    if state.ending is CloseType.FAILED:
        return CloseType.FAILED
    if _unhedged(state):
        # Kept on purpose, or given up; either way it is open.
        return CloseType.POSITION_HOLD if state.keep else CloseType.FAILED
    rules = state.legs[state.taker].rules
    overdone = quantize_amount(rules, state.executed(state.taker) - state.executed(state.maker))
    if meets_minimum(rules, overdone, None):
        # A fill that came after a failure was told, and the hedge was sent again.
        return CloseType.POSITION_HOLD
    return state.ending or CloseType.COMPLETED


def _custom_info(state: State, prices: Mapping[int, Price], held: tuple[Tracked, ...]) -> dict[str, Any]:
    now, live, config = quote(state, prices), state.live_maker, state.config
    markets = (config.buying_market, config.selling_market)
    profit = None if now is None or live is None or not live.price else profit_pct(state, now, live.price)
    return {
        "side": config.maker_side.value,
        "maker_connector": markets[state.maker].connector_name,
        "maker_trading_pair": markets[state.maker].trading_pair,
        "taker_connector": markets[state.taker].connector_name,
        "taker_trading_pair": markets[state.taker].trading_pair,
        "min_profitability": config.min_profitability,
        "target_profitability": config.target_profitability,
        "max_profitability": config.max_profitability,
        "trade_profitability": profit,
        "tx_cost_pct": None if now is None else now.cost_pct,
        "taker_price": None if now is None else now.taker,
        "maker_target_price": None if now is None else now.target,
        "maker_price": None if live is None else live.price,
        "maker_executed_base": state.executed(state.maker),
        "taker_executed_base": state.executed(state.taker),
        "failures": state.failures + state.hedge_failures,
        "current_retries": max(state.failures, state.hedge_failures),
        "max_retries": state.max_retries,
        "order_ids": order_ids(state.book.orders),
        "held_position_orders": held_json(held),
    }

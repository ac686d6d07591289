"""Connectors and trading pairs as instruments, orders as the machines see them. Pure."""

from __future__ import annotations

from collections.abc import Callable

from gesta.executors.machines.face import (
    Leg,
    OrderKind,
    OrderStatus,
    PositionAction,
    Price,
    Tracked,
    Trade,
    TradingRules,
)
from gesta.kernel.errors import InvalidInput
from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.market import Quote
from gesta.trading.orders import Order, OrderState, OrderType, Side

_STATUS = {
    OrderState.INITIALIZED: OrderStatus.SENT,
    OrderState.SUBMITTED: OrderStatus.SENT,
    OrderState.UNKNOWN: OrderStatus.SENT,
    OrderState.ACCEPTED: OrderStatus.OPEN,
    OrderState.WORKING: OrderStatus.OPEN,
    OrderState.PART_FILLED: OrderStatus.OPEN,
    OrderState.CHANGE_PENDING: OrderStatus.OPEN,
    OrderState.CANCEL_PENDING: OrderStatus.CANCELLING,
    OrderState.FILLED: OrderStatus.FILLED,
    OrderState.CANCELLED: OrderStatus.CANCELLED,
    OrderState.EXPIRED: OrderStatus.CANCELLED,
    OrderState.REJECTED: OrderStatus.FAILED,
}
TYPES = {OrderKind.MARKET: OrderType.MARKET, OrderKind.LIMIT: OrderType.LIMIT, OrderKind.LIMIT_MAKER: OrderType.LIMIT}
SIDES = {Trade.BUY: Side.BUY, Trade.SELL: Side.SELL}


def instrument_of(leg: Leg, resolve: Callable[[str], Instrument]) -> Instrument:
    """`binance` `BTC-USDT` is the spot pair, `binance_perpetual` `BTC-USDT` the linear perpetual.

    Raises InvalidInput(field="trading_pair") for what is no pair that is traded by its base coin."""
    name = f"{leg.trading_pair}-PERP" if leg.is_perpetual else leg.trading_pair
    try:
        instrument = resolve(name)
    except InvalidInput as error:
        raise InvalidInput(
            f"{leg.connector_name} has no trading pair {leg.trading_pair}: {error.message}",
            field="trading_pair",
            **error.details,
        ) from None
    if instrument.kind not in (InstrumentKind.SPOT, InstrumentKind.LINEAR_PERPETUAL) or instrument.point_value != 1:
        raise InvalidInput(
            f"Executors trade pairs whose amounts are coins; {instrument.name} is a {instrument.kind}.",
            field="trading_pair",
        )
    return instrument


def rules_of(instrument: Instrument) -> TradingRules:
    """What an order must keep to."""
    return TradingRules(
        min_order_size=instrument.lot_size,
        min_price_increment=instrument.tick_size,
        min_base_increment=instrument.lot_size,
        min_notional=instrument.min_notional,
    )


def price_of(instrument: Instrument, quote: Quote | None) -> Price | None:
    """None while one side is empty: there is no price to close at."""
    if quote is None or not quote.bid_size or not quote.ask_size or quote.bid > quote.ask:
        return None
    return Price(instrument.price(quote.bid), instrument.price(quote.ask))


def tracked_of(order: Order, instrument: Instrument, tag: int, leg: int, kind: OrderKind) -> Tracked:
    """The order as a machine sees it."""
    return Tracked(
        tag=tag,
        leg=leg,
        side=Trade.BUY if order.side is Side.BUY else Trade.SELL,
        kind=kind,
        amount=instrument.quantity(order.quantity),
        price=None if order.limit_ticks is None else instrument.price(order.limit_ticks),
        action=PositionAction.CLOSE if order.reduce_only else PositionAction.OPEN,
        status=_STATUS[order.state],
        executed_base=instrument.quantity(order.filled),
        executed_quote=order.filled_ticks * instrument.tick_size * instrument.lot_size,
        fees_quote=order.commission,
        created_at_us=order.created_at_us,
        updated_at_us=order.updated_at_us,
        reason=order.reason,
        venue_id=order.id,
    )

"""The terms of an order, read from a flat JSON object (protocols/crosstrade.md §2.1). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from gesta.apis.crosstrade.values import (
    missing,
    read_count,
    read_flag,
    read_price,
    read_quantity,
    read_text,
    read_word,
    required_word,
)
from gesta.desk.trading.requests import BracketPosition, ChangeOrder, MarketPosition, PlaceOrder
from gesta.kernel.errors import InvalidInput
from gesta.trading.orders import Bracket, OrderType, Side, TimeInForce

ACTIONS: Final = {"BUY": Side.BUY, "SELL": Side.SELL}
# NinjaTrader's own words for the same two sides.
_ACTIONS: Final = {**ACTIONS, "BUYTOCOVER": Side.BUY, "SELLSHORT": Side.SELL}
ORDER_TYPES: Final = {
    "MARKET": OrderType.MARKET,
    "LIMIT": OrderType.LIMIT,
    "STOPMARKET": OrderType.STOP_MARKET,
    "STOPLIMIT": OrderType.STOP_LIMIT,
    "MIT": OrderType.MARKET_IF_TOUCHED,
    "MARKETIFTOUCHED": OrderType.MARKET_IF_TOUCHED,
}
TIMES_IN_FORCE: Final = {
    "DAY": TimeInForce.DAY,
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
}
MARKET_POSITIONS: Final = {
    "LONG": MarketPosition.LONG,
    "SHORT": MarketPosition.SHORT,
    "FLAT": MarketPosition.FLAT,
}
MAX_OFFSET_TICKS: Final = 1_000_000
MAX_POSITIONS: Final = 1_000_000


def read_place(args: Mapping[str, Any], *, client_id: str | None = "orderId") -> PlaceOrder:
    """A new order. `client_id` names the argument that carries the caller's own id; None where `orderId` means the
    order that is replaced."""
    instrument = read_instrument(args)
    side = required_word(args, "action", _ACTIONS)
    quantity = read_quantity(args, "quantity")
    if quantity is None:
        raise missing("quantity")
    kind = required_word(args, "orderType", ORDER_TYPES)
    return PlaceOrder(
        instrument=instrument,
        side=side,
        quantity=quantity,
        type=kind,
        time_in_force=read_word(args, "timeInForce", TIMES_IN_FORCE) or TimeInForce.DAY,
        limit_price=_price_of(args, "limitPrice", kind, wanted=kind.has_limit),
        stop_price=_price_of(args, "stopPrice", kind, wanted=kind.has_stop),
        oco_id=read_text(args, "ocoId"),
        client_id=None if client_id is None else read_text(args, client_id),
        reduce_only=read_flag(args, "reduceOnly"),
        bracket=_bracket(args),
        name=read_text(args, "name") or "",
        strategy=read_text(args, "strategy") or "",
        require_market_position=_required_positions(args),
        max_positions=read_count(args, "maxPositions", least=1, most=MAX_POSITIONS),
    )


def read_instrument(args: Mapping[str, Any]) -> str:
    instrument = read_text(args, "instrument", required=True)
    assert instrument is not None
    return instrument


def _price_of(args: Mapping[str, Any], name: str, kind: OrderType, *, wanted: bool) -> Decimal | None:
    price = read_price(args, name)
    word = kind.replace("_", "").upper()
    if wanted and price is None:
        raise InvalidInput(f"`{name}` is missing: a {word} order needs it", field=name)
    if price is not None and not wanted:
        kinds = {str(each.replace("_", "").upper()) for each in OrderType if _has(each, name)}
        raise InvalidInput(
            f"a {word} order has no `{name}`: leave it out, or make it one of {', '.join(sorted(kinds))}", field=name
        )
    return price


def _has(kind: OrderType, name: str) -> bool:
    return kind.has_limit if name == "limitPrice" else kind.has_stop


def _bracket(args: Mapping[str, Any]) -> Bracket | None:
    """`stopLossTicks` and `takeProfitTicks`, flat or within `bracket`."""
    given = args.get("bracket")
    if given is not None and not isinstance(given, Mapping):
        raise InvalidInput(
            '`bracket` must be an object such as {"stopLossTicks": 8, "takeProfitTicks": 16}', field="bracket"
        )
    said = {name: args.get(name) for name in ("stopLossTicks", "takeProfitTicks")}
    for name, value in (given or {}).items():
        if name not in said:
            raise InvalidInput(f"`bracket` has `stopLossTicks` and `takeProfitTicks`, not {name[:64]!r}", field=name)
        if said[name] is not None and value is not None:
            raise InvalidInput(f"`{name}` is given twice, in `bracket` and beside it", field=name)
        said[name] = value if value is not None else said[name]
    stop, target = (read_count(said, name, least=1, most=MAX_OFFSET_TICKS) for name in said)
    return None if stop is None and target is None else Bracket(stop_ticks=stop, target_ticks=target)


def _required_positions(args: Mapping[str, Any]) -> frozenset[MarketPosition]:
    """`"flat"`, `"flat,long"` or an array of these words."""
    name = "requireMarketPosition"
    value = args.get(name)
    if value is None or value == "":
        return frozenset()
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list) or not 0 < len(words) <= 3:
        raise InvalidInput(f"`{name}` must be some of flat, long, short, with commas between", field=name)
    return frozenset(required_word({name: word}, name, MARKET_POSITIONS) for word in words)


def read_change(args: Mapping[str, Any]) -> ChangeOrder:
    """At least one of the three. 0 for a price means that it stays."""
    change = ChangeOrder(
        quantity=read_quantity(args, "quantity"),
        limit_price=read_price(args, "limitPrice"),
        stop_price=read_price(args, "stopPrice"),
    )
    if change == ChangeOrder():
        raise InvalidInput("Give what should change: `quantity`, `limitPrice` or `stopPrice`", field="quantity")
    return change


def read_protection(args: Mapping[str, Any]) -> BracketPosition:
    """`action` is the direction of the position (§2.1): the orders that close it are its opposite."""
    stop, target = read_price(args, "stopLoss"), read_price(args, "takeProfit")
    if stop is None and target is None:
        raise InvalidInput("Give the prices of the bracket: `stopLoss`, `takeProfit` or both", field="stopLoss")
    return BracketPosition(
        instrument=read_instrument(args),
        position=read_word(args, "action", _ACTIONS),
        quantity=read_quantity(args, "quantity"),
        stop_price=stop,
        target_price=target,
        time_in_force=read_word(args, "timeInForce", TIMES_IN_FORCE) or TimeInForce.GTC,
        oco_id=read_text(args, "ocoId"),
    )

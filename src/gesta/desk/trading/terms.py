"""From a request to an order in ticks and lots, or a refusal that says what would be right. Pure."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gesta.desk.trading.requests import ChangeOrder, MarketPosition, PlaceOrder
from gesta.kernel.errors import Conflict, InvalidInput
from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.orders import Bracket, Change, Order, OrderType, TimeInForce
from gesta.trading.positions import Position

MAX_TEXT = 64
MAX_BRACKET_TICKS = 1_000_000
# Σ ticks·lots of an order stays within 64 bits, on disk too.
MAX_TICKS_LOTS = 10**18
MAX_LOTS = 10**12

_WORDS = {
    OrderType.MARKET: "A market order",
    OrderType.LIMIT: "A limit order",
    OrderType.STOP_MARKET: "A stop-market order",
    OrderType.STOP_LIMIT: "A stop-limit order",
    OrderType.MARKET_IF_TOUCHED: "A market-if-touched order",
}
# What two placements with one client id must agree in to be the same order.
_TERMS = (
    *("instrument", "side", "type", "quantity", "time_in_force", "limit_ticks", "stop_ticks", "oco_id", "reduce_only"),
    *("bracket", "name", "strategy", "parent_id"),
)


def order_of(
    request: PlaceOrder,
    instrument: Instrument,
    *,
    id: str,
    organization: int,
    account: int,
    number: int,
    now_us: int,
    replaces: str | None = None,
    opened_by: str | None = None,
) -> Order:
    """Raises InvalidInput with `field` in the request's own words."""
    for name in ("oco_id", "client_id", "name", "strategy", "parent_id"):
        _check_text(name, getattr(request, name))
    lots = instrument.lots(request.quantity)
    limit_ticks = _price(request, instrument, "limit_price", request.limit_price, wanted=request.type.has_limit)
    stop_ticks = _price(request, instrument, "stop_price", request.stop_price, wanted=request.type.has_stop)
    if request.type.has_stop and request.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
        raise InvalidInput(
            f"{_WORDS[request.type]} waits for its price, so it cannot be {request.time_in_force}; use day or gtc.",
            field="time_in_force",
        )
    _check_bracket(request.bracket, reduce_only=request.reduce_only)
    _check_size(lots, limit_ticks, stop_ticks)
    return Order(
        id=id,
        organization=organization,
        account=account,
        instrument=instrument.name,
        side=request.side,
        type=request.type,
        quantity=lots,
        time_in_force=request.time_in_force,
        limit_ticks=limit_ticks,
        stop_ticks=stop_ticks,
        client_id=request.client_id,
        oco_id=request.oco_id,
        reduce_only=request.reduce_only,
        bracket=request.bracket,
        name=request.name,
        strategy=request.strategy,
        parent_id=request.parent_id,
        opened_by=opened_by,
        replaces=replaces,
        created_at_us=now_us,
        updated_at_us=now_us,
        seq=number,
    )


def change_of(request: ChangeOrder, order: Order, instrument: Instrument) -> Change:
    """Raises InvalidInput for a price that the order's type does not have, or a quantity that is filled already."""
    limit_ticks = stop_ticks = quantity = None
    if request.limit_price is not None:
        if not order.type.has_limit:
            raise InvalidInput(f"{_WORDS[order.type]} has no limit price to change.", field="limit_price")
        limit_ticks = _ticks(instrument, "limit_price", request.limit_price)
    if request.stop_price is not None:
        if not order.type.has_stop:
            raise InvalidInput(f"{_WORDS[order.type]} has no stop price to change.", field="stop_price")
        stop_ticks = _ticks(instrument, "stop_price", request.stop_price)
    if request.quantity is not None:
        quantity = instrument.lots(request.quantity)
        if quantity <= order.filled:
            raise InvalidInput(
                f"`quantity` is the whole one: {instrument.quantity(order.filled)} is filled already, so it must be "
                "more. Cancel the order to give up the rest.",
                field="quantity",
            )
    if limit_ticks is None and stop_ticks is None and quantity is None:
        raise InvalidInput("Nothing to change: give a quantity, a limit price or a stop price.", field="quantity")
    _check_size(quantity or order.quantity, limit_ticks, stop_ticks)
    return Change(quantity=quantity, limit_ticks=limit_ticks, stop_ticks=stop_ticks)


def is_same(order: Order, wanted: Order) -> bool:
    """Whether a placement asks for what this order was placed as, whatever it has been changed to."""
    if order.placed is not None:
        placed = order.placed
        order = msgspec.structs.replace(
            order, quantity=placed.quantity, limit_ticks=placed.limit_ticks, stop_ticks=placed.stop_ticks
        )
    return all(getattr(order, name) == getattr(wanted, name) for name in _TERMS)


def check_position(request: PlaceOrder, position: Position, open_instruments: int) -> None:
    """Raise Conflict unless the position is one of those that the order requires."""
    held = market_position(position)
    wanted = request.require_market_position
    if wanted and held not in wanted:
        raise Conflict(
            f"The position is {held}, the order requires {' or '.join(sorted(wanted))}; nothing was placed.",
            market_position=held.value,
        )
    if request.max_positions is not None and not position.lots and open_instruments >= request.max_positions:
        raise Conflict(
            f"The account has {open_instruments} open positions, the order allows {request.max_positions}; "
            "nothing was placed.",
            open_positions=open_instruments,
        )


def market_position(position: Position) -> MarketPosition:
    if not position.lots:
        return MarketPosition.FLAT
    return MarketPosition.LONG if position.lots > 0 else MarketPosition.SHORT


def _price(
    request: PlaceOrder, instrument: Instrument, field: str, price: Decimal | None, *, wanted: bool
) -> int | None:
    words = field.replace("_", " ")
    if not wanted:
        if price is not None:
            raise InvalidInput(f"{_WORDS[request.type]} has no {words}.", field=field)
        return None
    if price is None:
        raise InvalidInput(f"{_WORDS[request.type]} needs a {words}.", field=field)
    return _ticks(instrument, field, price)


def _ticks(instrument: Instrument, field: str, price: Decimal) -> int:
    ticks = instrument.ticks(price, field)
    if ticks <= 0 and instrument.kind is not InstrumentKind.FUTURE:
        raise InvalidInput(f"`{field}` must be above 0.", field=field)
    return ticks


def _check_text(field: str, text: str | None) -> None:
    if text is None or text == "":
        if text == "" and field in ("client_id", "oco_id"):
            raise InvalidInput(f"`{field}` must not be empty; leave it out.", field=field)
        return
    if len(text) > MAX_TEXT or not text.isprintable():
        raise InvalidInput(f"`{field}` has at most {MAX_TEXT} printable characters.", field=field)


def _check_bracket(bracket: Bracket | None, *, reduce_only: bool) -> None:
    if bracket is None:
        return
    if reduce_only:
        raise InvalidInput("A reduce-only order opens nothing, so it can bring no bracket.", field="bracket")
    if bracket.stop_ticks is None and bracket.target_ticks is None:
        raise InvalidInput("A bracket has a stop, a target, or both.", field="bracket")
    for offset in msgspec.structs.astuple(bracket):
        if offset is not None and not 1 <= offset <= MAX_BRACKET_TICKS:
            raise InvalidInput(f"A bracket's offsets are 1 to {MAX_BRACKET_TICKS} ticks.", field="bracket")


def _check_size(lots: int, limit_ticks: int | None, stop_ticks: int | None) -> None:
    largest = max(abs(limit_ticks or 1), abs(stop_ticks or 1))
    if lots > MAX_LOTS or lots * largest > MAX_TICKS_LOTS:
        raise InvalidInput("The order is too large to be meant.", field="quantity")

"""The commands of orders (protocols/crosstrade.md §2.1 and the vendor's pages of each)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gesta.access.model import Scope
from gesta.apis.crosstrade import examples, models_trading, orders
from gesta.apis.crosstrade.command import ACCOUNT, CURSOR, LIMIT, Argument, Command, id_schema
from gesta.apis.crosstrade.terms import ACTIONS, MAX_OFFSET_TICKS, MAX_POSITIONS, ORDER_TYPES, TIMES_IN_FORCE
from gesta.apis.crosstrade.values import MAX_TEXT

_TEXT: Final = {"type": "string", "maxLength": MAX_TEXT}
_NUMBER: Final = {"oneOf": [{"type": "number"}, {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"}]}


def body(name: str, description: str, schema: dict[str, Any], example: Any = None, *, required: bool = False) -> Any:
    return Argument(
        name=name, where="body", description=description, schema=schema, example=example, is_required=required
    )


def word(name: str, description: str, words: Any, example: str, *, required: bool = False) -> Argument:
    """A word without regard to case: the document names the vendor's spelling and allows any."""
    described = f"{description} {', '.join(words)}; case does not count."
    argument: Argument = body(name, described, {"type": "string"}, example, required=required)
    return argument


INSTRUMENT: Final = body(
    "instrument",
    "Any form of the name: `ES 12-26`, `ES`, `ES1!`, `ESZ6`, `BTC-USDT`.",
    {"type": "string", "minLength": 1, "maxLength": MAX_TEXT},
    "ES",
    required=True,
)
INSTRUMENT_FILTER: Final = msgspec.structs.replace(INSTRUMENT, is_required=False)
ACTION: Final = word("action", "The side:", ACTIONS, "BUY", required=True)
ORDER_ID: Final = Argument(
    name="orderId",
    where="path",
    description="The order's id, or the caller's own that was given at the placing.",
    schema=id_schema(),
    example=examples.ORDER_ID,
)
_TICKS: Final = {"type": "integer", "minimum": 1, "maximum": MAX_OFFSET_TICKS}
PLACE: Final = (
    INSTRUMENT,
    ACTION,
    body("quantity", "Contracts, or units where fractions trade.", _NUMBER, 1, required=True),
    word("orderType", "One of", ORDER_TYPES, "LIMIT", required=True),
    word("timeInForce", "DAY if it is left out:", TIMES_IN_FORCE, "DAY"),
    body("limitPrice", "Of LIMIT and STOPLIMIT, on tick. 0 is none.", _NUMBER, 5804.25),
    body("stopPrice", "Of STOPMARKET, STOPLIMIT and MIT, on tick. 0 is none.", _NUMBER),
    body("ocoId", "Orders with the same text cancel each other.", _TEXT),
    body("strategy", "Recorded with the order. Gesta has no ATM templates: nothing is placed for it.", _TEXT),
    body("requireMarketPosition", "`flat`, `long`, `short`, several with commas: else no order.", {"type": "string"}),
    body(
        "maxPositions",
        "No order that opens a position when the account has that many open ones.",
        {"type": "integer", "minimum": 1, "maximum": MAX_POSITIONS},
    ),
    body("reduceOnly", "Gesta's addition. It may only make the position smaller.", {"type": "boolean"}),
    body("stopLossTicks", "Gesta's addition. Each fill brings a stop that many ticks away.", _TICKS, 8),
    body("takeProfitTicks", "Gesta's addition. Each fill brings a target that many ticks away.", _TICKS, 16),
    body(
        "bracket",
        "Gesta's addition. The same two in an object.",
        {"type": "object", "properties": {"stopLossTicks": _TICKS, "takeProfitTicks": _TICKS}},
    ),
    body("name", "Gesta's addition. The signal's name, as executions print it.", _TEXT, "Entry"),
)
_CLIENT_ID: Final = body(
    "orderId",
    "The caller's own id, by which the order can be found. The same again with the same terms is the same order.",
    _TEXT,
)
_PLACED: Final = {"orderId": examples.ORDER_ID, "success": True}
_CANCELLED: Final = {"orderIds": [examples.ORDER_ID], "success": True}

_CHANGES: Final = (
    ACCOUNT,
    ORDER_ID,
    body("quantity", "The whole quantity, filled lots included.", _NUMBER, 2),
    body("limitPrice", "The new limit price. 0 leaves it.", _NUMBER),
    body("stopPrice", "The new stop price. 0 leaves it.", _NUMBER),
    body("strategyId", "The order must be of this strategy.", _TEXT),
)

COMMANDS: Final = (
    Command(
        api="PlaceOrder",
        method="POST",
        path="/v1/api/accounts/{account}/orders/place",
        summary="Place an order",
        description="Answers once the order is on disk and at the venue. Its fills come as executions.",
        arguments=(ACCOUNT, *PLACE, _CLIENT_ID),
        reply=models_trading.OrderReply,
        example=_PLACED,
        run=orders.place_order,
        tag="orders",
        scope=Scope.TRADE,
        unknown="judged",
    ),
    Command(
        api="FlatPlace",
        method="POST",
        path="/v1/api/accounts/{account}/orders/flatplace",
        summary="Close the position of the instrument, then place an order",
        description="The order is placed whether or not there was a position.",
        arguments=(ACCOUNT, *PLACE, _CLIENT_ID),
        reply=models_trading.OrderReply,
        example=_PLACED,
        run=orders.flat_place,
        tag="orders",
        scope=Scope.TRADE,
        unknown="judged",
    ),
    Command(
        api="CancelOrders",
        method="POST",
        path="/v1/api/accounts/{account}/orders/cancel",
        summary="Cancel what works in an account",
        description="Every working order, or those of one instrument.",
        arguments=(ACCOUNT, INSTRUMENT_FILTER),
        reply=models_trading.OrdersReply,
        example=_CANCELLED,
        run=orders.cancel_orders,
        tag="orders",
        scope=Scope.TRADE,
        unknown="refused",
    ),
    Command(
        api="CancelAllOrders",
        method="POST",
        path="/v1/api/orders/cancelall",
        summary="Cancel what works in every account",
        description="Every working order of every account within reach, or of one account or instrument.",
        arguments=(body("account", "Only this account.", id_schema(), "Sim101"), INSTRUMENT_FILTER),
        reply=models_trading.OrdersReply,
        example=_CANCELLED,
        run=orders.cancel_all_orders,
        tag="orders",
        scope=Scope.TRADE,
        unknown="refused",
    ),
    Command(
        api="CancelAndBracket",
        method="POST",
        path="/v1/api/accounts/{account}/orders/cancel_and_bracket",
        summary="Replace what protects a position",
        description=(
            "Cancels what works on the instrument, then places a stop and a target that cancel each other. The "
            "quantity is clamped to the position; without one, before or meanwhile, nothing is placed."
        ),
        arguments=(
            ACCOUNT,
            INSTRUMENT,
            word("action", "The direction of the position, not of the orders:", ACTIONS, "BUY"),
            body("quantity", "At most the position, which is the default.", _NUMBER, 1),
            body("stopLoss", "Price of the stop.", _NUMBER, 5790.25),
            body("takeProfit", "Price of the target.", _NUMBER, 5820.25),
            word("timeInForce", "GTC if it is left out:", TIMES_IN_FORCE, "GTC"),
            body("ocoId", "Names the pair.", _TEXT),
        ),
        reply=models_trading.BracketReply,
        example={
            "orderIds": [examples.ORDER_ID],
            "stopLossOrderId": examples.ORDER_ID,
            "takeProfitOrderId": None,
            "ocoId": None,
            "success": True,
        },
        run=orders.cancel_and_bracket,
        tag="orders",
        scope=Scope.TRADE,
        unknown="judged",
    ),
    Command(
        api="Cancel",
        aliases=("CancelOrder",),
        method="POST",
        path="/v1/api/accounts/{account}/orders/{orderId}/cancel",
        summary="Cancel an order",
        description="An order that is unknown or final is refused in the vendor's own words.",
        arguments=(ACCOUNT, ORDER_ID),
        reply=models_trading.OrderReply,
        example=_PLACED,
        run=orders.cancel_order,
        tag="orders",
        scope=Scope.TRADE,
    ),
    Command(
        api="CancelReplace",
        method="POST",
        path="/v1/api/accounts/{account}/orders/{orderId}/replace",
        summary="Cancel an order and place another",
        description="The new order has an id of its own. What was filled meanwhile is not placed again.",
        arguments=(ACCOUNT, ORDER_ID, *PLACE),
        reply=models_trading.OrderReply,
        example=_PLACED,
        run=orders.cancel_replace,
        tag="orders",
        scope=Scope.TRADE,
        unknown="judged",
    ),
    Command(
        api="Change",
        method="PUT",
        path="/v1/api/accounts/{account}/orders/{orderId}/change",
        summary="Change a working order",
        description="Quantity, limit price, stop price: what is given changes, and the order keeps its id.",
        arguments=_CHANGES,
        reply=models_trading.OrderReply,
        example=_PLACED,
        run=orders.change_order,
        tag="orders",
        scope=Scope.TRADE,
        unknown="judged",
    ),
    Command(
        api="Change",
        method="POST",
        path="/v1/api/accounts/{account}/orders/{orderId}/change",
        summary="Change a working order",
        description="Gesta's addition: the same as PUT.",
        arguments=_CHANGES,
        reply=models_trading.OrderReply,
        example=_PLACED,
        run=orders.change_order,
        tag="orders",
        scope=Scope.TRADE,
        unknown="judged",
        operation="ChangeByPost",
    ),
    Command(
        api="GetOrderStatus",
        path="/v1/api/accounts/{account}/orders/{orderId}/status",
        summary="The state of an order",
        description="In NinjaTrader's words.",
        arguments=(ACCOUNT, ORDER_ID),
        reply=models_trading.StatusReply,
        example={"status": "Filled", "success": True},
        run=orders.get_order_status,
        tag="orders",
    ),
    Command(
        api="GetOrderLifecycle",
        path="/v1/api/accounts/{account}/orders/{orderId}/lifecycle",
        summary="Everything that happened to an order",
        description="Oldest first: what was asked, every state, and the fills.",
        arguments=(
            ACCOUNT,
            ORDER_ID,
            Argument(
                name="includeFills",
                where="query",
                description="Whether the fills are among the events; true if it is left out.",
                schema={"type": "boolean"},
            ),
            Argument(
                name="includeRaw",
                where="query",
                description="Whether each event brings what was recorded with it.",
                schema={"type": "boolean"},
            ),
            Argument(
                name="limit",
                where="query",
                description=f"Most events; {orders.DEFAULT_EVENTS} if it is left out, more than {orders.MAX_EVENTS} "
                f"counts as {orders.MAX_EVENTS}. Fills join only where there is room.",
                schema={"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
            ),
        ),
        reply=models_trading.Lifecycle,
        example=examples.LIFECYCLE,
        run=orders.get_order_lifecycle,
        tag="orders",
    ),
    Command(
        api="ListOrders",
        aliases=("GetAllOrders",),
        path="/v1/api/accounts/{account}/orders",
        summary="The orders of an account",
        description=(
            f"Working and final, newest first, at most {orders.MAX_REPLY_ORDERS}; with `cursor` or `limit` one page "
            "of them. Over the WebSocket `account` may be left out, for the orders of every account within reach."
        ),
        arguments=(
            ACCOUNT,
            Argument(
                name="activeOnly",
                where="query",
                description="Only orders that are not final.",
                schema={"type": "boolean"},
            ),
            Argument(
                name="working",
                where="query",
                description="Gesta's addition. The same.",
                schema={"type": "boolean"},
            ),
            CURSOR,
            LIMIT,
        ),
        reply=models_trading.OrderList,
        example={"orders": [examples.ORDER], "success": True},
        run=orders.list_orders,
        tag="orders",
    ),
    Command(
        api="GetOrder",
        path="/v1/api/accounts/{account}/orders/{orderId}",
        summary="One order",
        description="By its id or the caller's own.",
        arguments=(ACCOUNT, ORDER_ID),
        reply=models_trading.OrderObjectReply,
        example={**examples.ORDER, "success": True},
        run=orders.get_order,
        tag="orders",
    ),
)

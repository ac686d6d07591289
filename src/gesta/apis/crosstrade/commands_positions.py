"""The commands of positions (protocols/crosstrade.md §2.2 and the vendor's pages of each)."""

from __future__ import annotations

from typing import Final

from gesta.access.model import Scope
from gesta.apis.crosstrade import examples, models_trading, positions
from gesta.apis.crosstrade.command import ACCOUNT, Argument, Command, id_schema
from gesta.apis.crosstrade.commands_orders import INSTRUMENT, INSTRUMENT_FILTER, PLACE, body, word

_INCLUDE_FLAT: Final = Argument(
    name="includeFlat",
    where="query",
    description="Also the positions that were closed; false if it is left out.",
    schema={"type": "boolean"},
)
_SIDE: Final = word("marketPosition", "Only positions of this side:", ("LONG", "SHORT"), "LONG")
_CLOSED: Final = {"closedPositions": [examples.POSITION], "success": True}
_REVERSED: Final = {"orderId": examples.ORDER_ID, "success": True}

COMMANDS: Final = (
    Command(
        api="ListPositions",
        path="/v1/api/accounts/{account}/positions",
        summary="The positions of an account",
        description="Open ones; with `includeFlat` also those that were closed.",
        arguments=(ACCOUNT, _INCLUDE_FLAT),
        reply=models_trading.PositionList,
        example={"positions": [examples.POSITION], "success": True},
        run=positions.list_positions,
        tag="positions",
    ),
    Command(
        api="GetPosition",
        path="/v1/api/accounts/{account}/position",
        summary="The position in one instrument",
        description="Flat where there is none.",
        arguments=(
            ACCOUNT,
            Argument(
                name="instrument",
                where="query",
                description=INSTRUMENT.description,
                schema=INSTRUMENT.schema,
                example="ES",
                is_required=True,
            ),
        ),
        reply=models_trading.PositionReply,
        example={**examples.POSITION, "success": True},
        run=positions.get_position,
        tag="positions",
    ),
    Command(
        api="GetAllPositions",
        path="/v1/api/positions",
        summary="The positions of every account",
        description="Of every account within reach.",
        arguments=(_INCLUDE_FLAT,),
        reply=models_trading.AllPositions,
        example={"positions": [examples.POSITION], "count": 1, "success": True},
        run=positions.get_all_positions,
        tag="positions",
    ),
    Command(
        api="ClosePosition",
        method="POST",
        path="/v1/api/accounts/{account}/positions/close",
        summary="Close a position, or a part of it",
        description=(
            "All of it, which cancels what works on the instrument too; or `quantity`, at most the position; or "
            "`percent`, a fraction rounded up to a contract. A part leaves working orders alone."
        ),
        arguments=(
            ACCOUNT,
            INSTRUMENT,
            body("quantity", "How much to close. It goes before `percent`.", {"type": "number", "exclusiveMinimum": 0}),
            body(
                "percent",
                "A fraction of the position: 0.25 is a quarter.",
                {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            ),
        ),
        reply=models_trading.ClosedPositions,
        example=_CLOSED,
        run=positions.close_position,
        tag="positions",
        scope=Scope.TRADE,
        unknown="refused",
    ),
    Command(
        api="Flatten",
        method="POST",
        path="/v1/api/accounts/{account}/positions/flatten",
        summary="Flatten an account",
        description="Cancels what works and closes what is open, on one instrument if it is named.",
        arguments=(ACCOUNT, INSTRUMENT_FILTER, _SIDE),
        reply=models_trading.ClosedPositions,
        example=_CLOSED,
        run=positions.flatten,
        tag="positions",
        scope=Scope.TRADE,
        unknown="refused",
    ),
    Command(
        api="FlattenEverything",
        method="POST",
        path="/v1/api/positions/flatten",
        summary="Flatten every account, or what the filters leave",
        description=(
            "Without filters everything within reach. Over the WebSocket `Flatten` takes the filters without an "
            "account, and only `FlattenEverything` flattens everything."
        ),
        arguments=(body("account", "Only this account.", id_schema(), "Sim101"), INSTRUMENT_FILTER, _SIDE),
        reply=models_trading.FlattenedPositions,
        example={"orderIds": [examples.ORDER_ID], **_CLOSED},
        run=positions.flatten_everything,
        tag="positions",
        scope=Scope.TRADE,
        unknown="refused",
    ),
    Command(
        api="Reverse",
        method="POST",
        path="/v1/api/accounts/{account}/positions/reverse",
        summary="Turn a position into its opposite",
        description="Of the same size. Without a position nothing is done.",
        arguments=(ACCOUNT, INSTRUMENT),
        reply=models_trading.OrderReply,
        example=_REVERSED,
        run=positions.reverse,
        tag="positions",
        scope=Scope.TRADE,
        unknown="judged",
    ),
    Command(
        api="ReversePosition",
        method="POST",
        path="/v1/api/accounts/{account}/positions/reverseposition",
        summary="Close a position, then place an order",
        description="Waits for the close, at most about five seconds, and places the order of these terms.",
        arguments=(ACCOUNT, *PLACE),
        reply=models_trading.OrderReply,
        example=_REVERSED,
        run=positions.reverse_position,
        tag="positions",
        scope=Scope.TRADE,
        unknown="judged",
    ),
)

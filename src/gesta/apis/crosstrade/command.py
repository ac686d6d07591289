"""What a command is. `commands.COMMANDS` is the one table of them; this says how a row of it behaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from gesta.access.model import Scope
from gesta.apis.crosstrade.arguments import DEFAULT_LIMIT, MAX_ID
from gesta.apis.crosstrade.calls import Call, Handler
from gesta.desk.reading import MAX_PAGE
from gesta.kernel.errors import InvalidInput

# What callers write for an argument that has another name here: ignored, it would change what is traded.
_MEANT: Final = {
    "qty": "quantity",
    "size": "quantity",
    "amount": "quantity",
    "contracts": "quantity",
    "side": "action",
    "orderaction": "action",
    "direction": "action",
    "symbol": "instrument",
    "ticker": "instrument",
    "contract": "instrument",
    "type": "orderType",
    "ordertype": "orderType",
    "tif": "timeInForce",
    "duration": "timeInForce",
    "price": "limitPrice",
    "limit": "limitPrice",
    "triggerprice": "stopPrice",
    "oco": "ocoId",
    "clientorderid": "orderId",
    "clordid": "orderId",
    "stoploss": "stopLossTicks",
    "stop": "stopLossTicks",
    "takeprofit": "takeProfitTicks",
    "target": "takeProfitTicks",
    "requireposition": "requireMarketPosition",
    "position": "marketPosition",
    "accountname": "account",
}
# There is no such order here; without it the rest would be another trade.
_NOT_HERE: Final = frozenset({"trailingstop", "trailstop", "trail", "stoplosslimit", "stoplossstop", "gtd", "goodtill"})


class Argument(msgspec.Struct, frozen=True, kw_only=True):
    """One argument: in the path, the query or the JSON body over REST, in `args` over the WebSocket. `schema` is JSON
    Schema. Those in a path are required."""

    name: str
    where: Literal["path", "query", "body"]
    description: str
    schema: dict[str, Any]
    example: Any = None
    is_required: bool = False

    @property
    def required(self) -> bool:
        return self.is_required or self.where == "path"


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """`api` is the name over the WebSocket, `aliases` the vendor's other names for the same; `path` a template under
    the host. `reply` is the model of a 200. `operation` is the id in the OpenAPI document where `api` has two paths.

    `unknown` says what becomes of an argument that the command does not have, as the vendor ignores them all:
    `ignored`; `judged`, refused where it is another word for one that it has; `refused`, where the arguments narrow
    what is done, so that a slip of the pen would widen it.
    """

    api: str
    aliases: tuple[str, ...] = ()
    method: Literal["GET", "POST", "PUT"] = "GET"
    path: str
    summary: str
    description: str
    arguments: tuple[Argument, ...]
    reply: Any
    example: Any
    run: Handler
    tag: str
    scope: Scope = Scope.READ
    unknown: Literal["ignored", "judged", "refused"] = "ignored"
    operation: str = ""

    @property
    def query_names(self) -> tuple[str, ...]:
        return tuple(argument.name for argument in self.arguments if argument.where == "query")

    @property
    def body_arguments(self) -> tuple[Argument, ...]:
        return tuple(argument for argument in self.arguments if argument.where == "body")

    @property
    def operation_id(self) -> str:
        return self.operation or self.api

    async def handler(self, call: Call) -> Any:
        """Answer one call from either surface. Raises Forbidden, InvalidInput and what the command raises."""
        call.principal.require(self.scope)
        if self.unknown != "ignored":
            self._check(call.args)
        return await self.run(call)

    def _check(self, args: Mapping[str, Any]) -> None:
        known = {argument.name: argument for argument in self.arguments}
        for name, value in args.items():
            if name in known or value is None:
                continue
            meant = _meant(name, known)
            if meant is not None:
                raise InvalidInput(
                    f"There is no argument {name[:64]!r} here; did you mean `{meant}`?", did_you_mean=meant
                )
            if self.unknown == "refused" or _plain(name) in _NOT_HERE:
                has = ", ".join(f"`{each}`" for each in known) or "none"
                raise InvalidInput(f"There is no argument {name[:64]!r} here; there is {has}")


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")


def _meant(name: str, known: Mapping[str, Argument]) -> str | None:
    plain = _plain(name)
    for each in known:
        if _plain(each) == plain:
            return each
    meant = _MEANT.get(plain)
    return meant if meant in known else None


# -- what many commands have


def id_schema() -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": MAX_ID}


INSTANT: Final = {
    "oneOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "date"},
        {"type": "integer", "format": "int64"},
    ]
}
ACCOUNT: Final = Argument(
    name="account",
    where="path",
    description="Name of the account; upper and lower case are the same, the reply has the canonical name.",
    schema=id_schema(),
    example="Sim101",
)
CURSOR: Final = Argument(
    name="cursor",
    where="query",
    description="Gesta's addition. The `nextCursor` of the page before.",
    schema={"type": "string", "minLength": 1},
)
LIMIT: Final = Argument(
    name="limit",
    where="query",
    description=f"Gesta's addition. Rows per page, 1 to {MAX_PAGE}; {DEFAULT_LIMIT} where only another paging "
    "argument is given.",
    schema={"type": "integer", "minimum": 1, "maximum": MAX_PAGE},
)

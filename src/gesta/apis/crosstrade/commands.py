"""The commands of the dialect: one table, of which REST paths and WebSocket `api` names are two spellings.

A row is everything there is to say about a command: both surfaces, the OpenAPI document, `/v1/api/_endpoints` and the
suggestions for mistyped names are made from it (protocols/crosstrade.md §0).
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from gesta.apis.crosstrade import models, reading
from gesta.apis.crosstrade.arguments import DEFAULT_LIMIT, DEFAULT_LOOKBACK_S, INT32_MAX, MAX_ID, MAX_LOOKBACK_S
from gesta.desk.reading import MAX_PAGE


class Argument(msgspec.Struct, frozen=True, kw_only=True):
    """One argument: in the path or the query over REST, in `args` over the WebSocket. `schema` is JSON Schema."""

    name: str
    where: Literal["path", "query"]
    description: str
    schema: dict[str, Any]
    example: Any = None


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """`api` is the name over the WebSocket, `path` a template under the host. `reply` is the model of a 200."""

    api: str
    method: Literal["GET"]
    path: str
    summary: str
    description: str
    arguments: tuple[Argument, ...]
    reply: type[msgspec.Struct]
    example: dict[str, Any]
    handler: reading.Handler

    @property
    def query_names(self) -> tuple[str, ...]:
        return tuple(argument.name for argument in self.arguments if argument.where == "query")


def _id_schema() -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": MAX_ID}


_INSTANT: Final = {
    "oneOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "date"},
        {"type": "integer", "format": "int64"},
    ]
}
_ACCOUNT: Final = Argument(
    name="account",
    where="path",
    description="Name of the account; upper and lower case are the same, the reply has the canonical name.",
    schema=_id_schema(),
    example="Sim101",
)
_CURSOR: Final = Argument(
    name="cursor",
    where="query",
    description="Gesta's addition. The `nextCursor` of the page before.",
    schema={"type": "string", "minLength": 1},
)
_LIMIT: Final = Argument(
    name="limit",
    where="query",
    description=f"Gesta's addition. Rows per page, 1 to {MAX_PAGE}; {DEFAULT_LIMIT} where only another paging "
    "argument is given.",
    schema={"type": "integer", "minimum": 1, "maximum": MAX_PAGE},
)

LIST_EXECUTIONS: Final = Command(
    api="ListExecutions",
    method="GET",
    path="/v1/api/accounts/{account}/executions",
    summary="Executions of the last seconds, or a page of the whole history",
    description=(
        "Newest first. Without paging arguments: every fill whose time is within `lookbackTime` seconds before now "
        f"(default {DEFAULT_LOOKBACK_S}; more than {MAX_LOOKBACK_S} counts as {MAX_LOOKBACK_S}), at most "
        f"{reading.MAX_REPLY_ROWS} of them; if there are more, `nextCursor` leads to the rest. With any of `cursor`, "
        "`limit`, `from`, `to`: one page of the account's whole history, with `nextCursor`. Busted fills are left out."
    ),
    arguments=(
        _ACCOUNT,
        Argument(
            name="lookbackTime",
            where="query",
            description=f"Seconds before now; default {DEFAULT_LOOKBACK_S}, more than {MAX_LOOKBACK_S} counts as "
            f"{MAX_LOOKBACK_S}. Beside `from` or `to` both conditions hold.",
            schema={"type": "integer", "format": "int32", "minimum": 1, "maximum": INT32_MAX},
            example=DEFAULT_LOOKBACK_S,
        ),
        _CURSOR,
        _LIMIT,
        Argument(
            name="from",
            where="query",
            description="Gesta's addition. First moment, inclusive: ISO time or date (UTC) or Unix milliseconds.",
            schema=_INSTANT,
        ),
        Argument(
            name="to",
            where="query",
            description="Gesta's addition. Last moment, exclusive, in the same forms.",
            schema=_INSTANT,
        ),
    ),
    reply=models.ExecutionList,
    example={"executions": [models.EXAMPLE_EXECUTION], "success": True},
    handler=reading.list_executions,
)

GET_EXECUTION: Final = Command(
    api="GetExecution",
    method="GET",
    path="/v1/api/accounts/{account}/executions/{executionId}",
    summary="One execution by its id",
    description="Looks in the account's whole history. A busted fill is not found.",
    arguments=(
        _ACCOUNT,
        Argument(
            name="executionId",
            where="path",
            description="The execution's `id`, opaque text, percent-encoded in the path.",
            schema=_id_schema(),
            example=models.EXAMPLE_EXECUTION["id"],
        ),
    ),
    reply=models.ExecutionReply,
    example={**models.EXAMPLE_EXECUTION, "success": True},
    handler=reading.get_execution,
)

LIST_EXECUTIONS_OF_ORDER: Final = Command(
    api="GetExecutionsByOrderId",
    method="GET",
    path="/v1/api/accounts/{account}/orders/{orderId}/executions",
    summary="The executions of one order",
    description="Newest first, from the whole history; an order without fills gives an empty list.",
    arguments=(
        _ACCOUNT,
        Argument(
            name="orderId",
            where="path",
            description="The order's id.",
            schema=_id_schema(),
            example=models.EXAMPLE_EXECUTION["orderId"],
        ),
        _CURSOR,
        _LIMIT,
    ),
    reply=models.ExecutionList,
    example={"executions": [models.EXAMPLE_EXECUTION], "success": True},
    handler=reading.list_executions_of_order,
)

LIST_ACCOUNTS: Final = Command(
    api="ListAccounts",
    method="GET",
    path="/v1/api/accounts",
    summary="The trading accounts",
    description="The accounts that the token reaches.",
    arguments=(),
    reply=models.AccountList,
    example={
        "accounts": [
            {"id": 1, "name": "Sim101", "displayName": "Sim101", "denomination": "UsDollar", "status": "Enabled"}
        ],
        "success": True,
    },
    handler=reading.list_accounts,
)

COMMANDS: Final = (LIST_ACCOUNTS, LIST_EXECUTIONS, GET_EXECUTION, LIST_EXECUTIONS_OF_ORDER)
BY_API: Final = {command.api: command for command in COMMANDS}
ENDPOINTS_PATH: Final = "/v1/api/_endpoints"
OPENAPI_PATH: Final = "/v1/api/openapi.json"
STREAM_PATH: Final = "/ws/stream"
PATHS: Final = (*(command.path for command in COMMANDS), ENDPOINTS_PATH, OPENAPI_PATH, STREAM_PATH)


def endpoints() -> dict[str, Any]:
    """The body of `/v1/api/_endpoints`: the table, readable by machines."""
    return {
        "endpoints": [
            {
                "method": command.method,
                "path": command.path,
                "api": command.api,
                "summary": command.summary,
                "arguments": [
                    {
                        "name": argument.name,
                        "where": argument.where,
                        "required": argument.where == "path",
                        "description": argument.description,
                    }
                    for argument in command.arguments
                ],
            }
            for command in COMMANDS
        ],
        "success": True,
    }

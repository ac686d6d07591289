"""The commands of executions (seeds 000 and 001, protocols/crosstrade.md §1)."""

from __future__ import annotations

from typing import Final

from gesta.apis.crosstrade import models, reading
from gesta.apis.crosstrade.arguments import DEFAULT_LOOKBACK_S, INT32_MAX, MAX_LOOKBACK_S
from gesta.apis.crosstrade.command import ACCOUNT, CURSOR, INSTANT, LIMIT, Argument, Command, id_schema

LIST_EXECUTIONS: Final = Command(
    api="ListExecutions",
    path="/v1/api/accounts/{account}/executions",
    summary="Executions of the last seconds, or a page of the whole history",
    description=(
        "Newest first. Without paging arguments: every fill whose time is within `lookbackTime` seconds before now "
        f"(default {DEFAULT_LOOKBACK_S}; more than {MAX_LOOKBACK_S} counts as {MAX_LOOKBACK_S}), at most "
        f"{reading.MAX_REPLY_ROWS} of them; if there are more, `nextCursor` leads to the rest. With any of `cursor`, "
        "`limit`, `from`, `to`: one page of the account's whole history, with `nextCursor`. Busted fills are left out."
    ),
    arguments=(
        ACCOUNT,
        Argument(
            name="lookbackTime",
            where="query",
            description=f"Seconds before now; default {DEFAULT_LOOKBACK_S}, more than {MAX_LOOKBACK_S} counts as "
            f"{MAX_LOOKBACK_S}. Beside `from` or `to` both conditions hold.",
            schema={"type": "integer", "format": "int32", "minimum": 1, "maximum": INT32_MAX},
            example=DEFAULT_LOOKBACK_S,
        ),
        CURSOR,
        LIMIT,
        Argument(
            name="from",
            where="query",
            description="Gesta's addition. First moment, inclusive: ISO time or date (UTC) or Unix milliseconds.",
            schema=INSTANT,
        ),
        Argument(
            name="to",
            where="query",
            description="Gesta's addition. Last moment, exclusive, in the same forms.",
            schema=INSTANT,
        ),
    ),
    reply=models.ExecutionList,
    example={"executions": [models.EXAMPLE_EXECUTION], "success": True},
    run=reading.list_executions,
    tag="executions",
)

GET_EXECUTION: Final = Command(
    api="GetExecution",
    path="/v1/api/accounts/{account}/executions/{executionId}",
    summary="One execution by its id",
    description="Looks in the account's whole history. A busted fill is not found.",
    arguments=(
        ACCOUNT,
        Argument(
            name="executionId",
            where="path",
            description="The execution's `id`, opaque text, percent-encoded in the path.",
            schema=id_schema(),
            example=models.EXAMPLE_EXECUTION["id"],
        ),
    ),
    reply=models.ExecutionReply,
    example={**models.EXAMPLE_EXECUTION, "success": True},
    run=reading.get_execution,
    tag="executions",
)

LIST_EXECUTIONS_OF_ORDER: Final = Command(
    api="GetExecutionsByOrderId",
    path="/v1/api/accounts/{account}/orders/{orderId}/executions",
    summary="The executions of one order",
    description="Newest first, from the whole history; an order without fills gives an empty list.",
    arguments=(
        ACCOUNT,
        Argument(
            name="orderId",
            where="path",
            description="The order's id.",
            schema=id_schema(),
            example=models.EXAMPLE_EXECUTION["orderId"],
        ),
        CURSOR,
        LIMIT,
    ),
    reply=models.ExecutionList,
    example={"executions": [models.EXAMPLE_EXECUTION], "success": True},
    run=reading.list_executions_of_order,
    tag="executions",
)

COMMANDS: Final = (LIST_EXECUTIONS, GET_EXECUTION, LIST_EXECUTIONS_OF_ORDER)

"""What the commands of executions do: arguments in, reply body out. The same for REST and for the WebSocket."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import msgspec

from gesta.access.model import Account
from gesta.apis.crosstrade.arguments import read_id, read_page, read_window
from gesta.apis.crosstrade.calls import Call as Call
from gesta.apis.crosstrade.calls import account_of
from gesta.apis.crosstrade.codec import encode
from gesta.desk.reading import MAX_PAGE
from gesta.kernel.errors import NotFound
from gesta.ledger.cursor import encode_cursor
from gesta.ledger.query import Cursor, Filter
from gesta.ledger.records import Kind, Status

# A reply that is not paged holds at most this many rows; beyond it `nextCursor` says where to go on.
MAX_REPLY_ROWS: Final = 5000

_FILLS: Final = frozenset({Kind.FILL})
# A busted fill is cancelled; NinjaTrader takes it out of its collection, so this dialect neither lists nor finds it.
_STANDING: Final = frozenset({Status.SUCCEEDED})


async def list_executions(call: Call) -> dict[str, Any]:
    """ListExecutions: the published window, or one page of the history (Gesta's addition)."""
    window = read_window(call.args)
    account = await account_of(call)
    from_us = window.from_us
    if window.lookback_s is not None:
        since_us = call.services.clock.now_us() - window.lookback_s * 1_000_000
        from_us = since_us if from_us is None else max(from_us, since_us)
    query = call.services.reading.filter(
        call.principal,
        account=account.id,
        kinds=_FILLS,
        statuses=_STANDING,
        created_from_us=from_us,
        created_to_us=window.to_us,
    )
    return await _reply(call, account, query, after=window.after, limit=window.limit if window.paged else None)


async def get_execution(call: Call) -> dict[str, Any]:
    """GetExecution: the object itself beside `success` (seed 001)."""
    execution_id = read_id(call.args, "executionId", what="execution")
    account = await account_of(call)
    found = await call.services.reading.get(call.principal, execution_id, account=account.id, kind=Kind.FILL)
    if found.status not in _STANDING:
        raise NotFound(f"Execution {execution_id[:128]} not found.")
    body = encode(found, account)
    body["success"] = True
    return body


async def list_executions_of_order(call: Call) -> dict[str, Any]:
    """GetExecutionsByOrderId: every fill of one order; an order without fills gives an empty list."""
    order_id = read_id(call.args, "orderId", what="order")
    after, limit = read_page(call.args)
    account = await account_of(call)
    query = call.services.reading.filter(
        call.principal,
        account=account.id,
        kinds=_FILLS,
        statuses=_STANDING,
        correlation={"order_id": order_id},
    )
    return await _reply(call, account, query, after=after, limit=limit)


async def _reply(
    call: Call, account: Account, query: Filter, *, after: Cursor | None, limit: int | None
) -> dict[str, Any]:
    """One page of `limit` rows with its `nextCursor`; or, without a limit, all rows and no cursor up to the cap."""
    wanted = limit or MAX_REPLY_ROWS
    executions: list[msgspec.Raw] = []
    while True:
        part = await call.services.reading.seek(
            call.principal, query, after=after, limit=min(MAX_PAGE, wanted - len(executions))
        )
        executions += [call.printed.of(row, partial(encode, row, account)) for row in part.rows]
        after = part.next
        if after is None or len(executions) >= wanted:
            break
    body: dict[str, Any] = {"executions": executions, "success": True}
    if limit is not None or after is not None:
        body["nextCursor"] = None if after is None else encode_cursor(after)
    return body

"""What CrossTrade says when something is wrong: one table, one body, for REST and for the WebSocket.

The body is a superset of both published contracts (protocols/crosstrade.md §4): `error` as the older pages have it,
`success` and `detail` of the newer. What is not there, or is another organization's, is a 400 as the vendor has it, the
same for both; only unknown paths and names are a 404.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from gesta.apis.common.errors import BodyTimeout, MethodNotAllowed, retry_after
from gesta.apis.crosstrade.numbers import encode_reply
from gesta.apis.crosstrade.suggest import nearest_call
from gesta.kernel.errors import (
    CallerError,
    Conflict,
    Forbidden,
    GestaError,
    InvalidInput,
    NotFound,
    RateLimited,
    StorageFull,
    TooLarge,
    Unauthenticated,
    Unavailable,
)


class Published(CallerError):
    """Refused in the very words of the vendor's page, which its clients compare: they are `error` and `detail`."""

    status = 400
    code = "published"


# The first row that an error is an instance of: status, `error`.
TABLE: Final[tuple[tuple[type[GestaError], int, str], ...]] = (
    (InvalidInput, 400, "Invalid request"),
    (Unauthenticated, 401, "unauthorized"),
    (Forbidden, 403, "forbidden"),
    (NotFound, 404, "not_found"),
    (MethodNotAllowed, 405, "method_not_allowed"),
    (BodyTimeout, 408, "request_timeout"),
    (Conflict, 400, "conflict"),
    (TooLarge, 413, "too_large"),
    (RateLimited, 429, "Rate limit exceeded"),
    (StorageFull, 503, "storage_full"),
    (Unavailable, 503, "unavailable"),
    (CallerError, 400, "Invalid request"),
    (GestaError, 500, "internal_error"),
)
# `invalid_account` is the vendor's word; the others follow it.
NOT_FOUND: Final = {
    "account": (400, "invalid_account"),
    "execution": (400, "invalid_execution"),
    "order": (400, "invalid_order"),
    "instrument": (400, "invalid_instrument"),
    "api": (404, "unknown_api"),
    "action": (404, "unknown_action"),
}
# The terms of a trade have a word each, after the same pattern; every other argument is an `Invalid request`, as the
# pages of the executions have it.
INVALID: Final = {
    "instrument": "invalid_instrument",
    "action": "invalid_action",
    "quantity": "invalid_quantity",
    "orderType": "invalid_order_type",
    "timeInForce": "invalid_time_in_force",
    "limitPrice": "invalid_limit_price",
    "stopPrice": "invalid_stop_price",
    "stopLoss": "invalid_stop_loss",
    "takeProfit": "invalid_take_profit",
    "stopLossTicks": "invalid_stop_loss_ticks",
    "takeProfitTicks": "invalid_take_profit_ticks",
    "ocoId": "invalid_oco_id",
    "requireMarketPosition": "invalid_require_market_position",
    "maxPositions": "invalid_max_positions",
    "percent": "invalid_percent",
    "marketPosition": "invalid_market_position",
    "periodType": "invalid_period_type",
    "bracket": "invalid_bracket",
}
# What the state of things forbids, by the detail that the trading desk gives of it.
CONFLICTS: Final = {
    "market_position": "market_position_mismatch",
    "open_positions": "max_positions_reached",
}
# The trading desk's names of the same.
_HERE: Final = {
    "side": "action",
    "type": "orderType",
    "time_in_force": "timeInForce",
    "limit_price": "limitPrice",
    "stop_price": "stopPrice",
    "target_price": "takeProfit",
    "oco_id": "ocoId",
    "client_id": "orderId",
    "reduce_only": "reduceOnly",
    "require_market_position": "requireMarketPosition",
    "max_positions": "maxPositions",
    "market_position": "marketPosition",
    "stop_ticks": "stopLossTicks",
    "target_ticks": "takeProfitTicks",
}


def status_and_body(error: GestaError) -> tuple[int, dict[str, Any]]:
    """The HTTP status and the JSON body of an error. `details["did_you_mean"]` is passed on."""
    status, word = next((status, word) for kind, status, word in TABLE if isinstance(error, kind))
    if isinstance(error, NotFound):
        status, word = NOT_FOUND.get(error.what, (status, word))
    elif isinstance(error, InvalidInput) and error.field is not None:
        word = INVALID.get(_HERE.get(error.field, error.field), word)
    elif isinstance(error, Conflict):
        word = next((CONFLICTS[key] for key in error.details if key in CONFLICTS), word)
    elif isinstance(error, Published):
        word = error.message
    body: dict[str, Any] = {"success": False, "error": word, "detail": _said_here(error)}
    if "did_you_mean" in error.details:
        body["did_you_mean"] = error.details["did_you_mean"]
    if waiting := retry_after(error):
        body["retryAfter"] = int(waiting["Retry-After"])
    return status, body


def _said_here(error: GestaError) -> str:
    """The message, with the caller's own word for the argument that it names."""
    field = getattr(error, "field", None)
    here = _HERE.get(field) if isinstance(field, str) else None
    return error.message if here is None else error.message.replace(f"`{field}`", f"`{here}`")


def response_of(error: GestaError) -> Response:
    status, body = status_and_body(error)
    headers = retry_after(error)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(encode_reply(body), status, headers, "application/json")


def renderer(paths: Sequence[str]) -> Callable[[Request, GestaError], Response]:
    """The renderer of the sub-app: a call that does not exist is told the closest of `paths`."""

    def render(request: Request, error: GestaError) -> Response:
        if isinstance(error, MethodNotAllowed) or (isinstance(error, NotFound) and error.what == "route"):
            meant = nearest_call(request.scope.get("method", "GET"), str(request.scope["path"]), paths)
            error.details.setdefault("did_you_mean", meant)
        return response_of(error)

    return render

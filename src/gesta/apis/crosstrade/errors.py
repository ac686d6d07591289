"""What CrossTrade says when something is wrong: one table, one body, for REST and for the WebSocket.

The body is a superset of both published contracts (protocols/crosstrade.md §4): `error` as the older pages have it,
`success` and `detail` of the newer. The isolation of organizations wants 404 for unknown accounts and executions; the
vendor documents no status for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from gesta.apis.common.errors import BodyTimeout, MethodNotAllowed, retry_after
from gesta.apis.crosstrade.codec import encode_reply
from gesta.apis.crosstrade.suggest import nearest_path
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

# The first row that an error is an instance of: status, `error`.
TABLE: Final[tuple[tuple[type[GestaError], int, str], ...]] = (
    (InvalidInput, 400, "Invalid request"),
    (Unauthenticated, 401, "unauthorized"),
    (Forbidden, 403, "forbidden"),
    (NotFound, 404, "not_found"),
    (MethodNotAllowed, 405, "method_not_allowed"),
    (BodyTimeout, 408, "request_timeout"),
    (Conflict, 409, "conflict"),
    (TooLarge, 413, "too_large"),
    (RateLimited, 429, "Rate limit exceeded"),
    (StorageFull, 503, "storage_full"),
    (Unavailable, 503, "unavailable"),
    (CallerError, 400, "Invalid request"),
    (GestaError, 500, "internal_error"),
)
# `invalid_account` is the vendor's word; the others follow it.
NOT_FOUND: Final = {
    "account": "invalid_account",
    "execution": "invalid_execution",
    "api": "unknown_api",
    "action": "unknown_action",
}


def status_and_body(error: GestaError) -> tuple[int, dict[str, Any]]:
    """The HTTP status and the JSON body of an error. `details["did_you_mean"]` is passed on."""
    status, word = next((status, word) for kind, status, word in TABLE if isinstance(error, kind))
    if isinstance(error, NotFound):
        word = NOT_FOUND.get(error.what, word)
    body: dict[str, Any] = {"success": False, "error": word, "detail": error.message}
    if "did_you_mean" in error.details:
        body["did_you_mean"] = error.details["did_you_mean"]
    if waiting := retry_after(error):
        body["retryAfter"] = int(waiting["Retry-After"])
    return status, body


def response_of(error: GestaError) -> Response:
    status, body = status_and_body(error)
    headers = retry_after(error)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(encode_reply(body), status, headers, "application/json")


def renderer(paths: Sequence[str]) -> Callable[[Request, GestaError], Response]:
    """The renderer of the sub-app: an unknown route is told the closest of `paths`."""

    def render(request: Request, error: GestaError) -> Response:
        if isinstance(error, NotFound) and error.what == "route":
            path = str(request.scope["path"])
            error.details.setdefault("did_you_mean", nearest_path(path, paths))
        return response_of(error)

    return render

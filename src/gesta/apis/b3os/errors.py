"""The one table from Gesta's errors to B3OS's envelope (protocols/b3os.md §3).

`code` is the HTTP status followed by a three-digit sequence. B3OS publishes four; the others are Gesta's own and are
kept clear of those four.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gesta.apis.common.errors import BodyTimeout, MethodNotAllowed, request_id_of, retry_after
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

# Every code of this dialect and what it means. The published four belong to the creation of runs.
CODES: dict[int, str] = {
    400000: "The request is malformed.",
    400001: "`limit` is not a whole number from 1.",
    400002: "`offset` is not a whole number from 0, or is above 2^53-1.",
    400003: "A parameter is given more than once.",
    400004: "`status` is not one of the published statuses.",
    400005: "`createdAfter` or `createdBefore` is not a timestamp or a date.",
    400006: "`cursor` is not one that this server gave, or is combined with `offset`.",
    400007: "`workflowId`, `externalRef` or `orderId` is empty, too long or has a NUL character.",
    400008: "The execution id in the path is malformed.",
    400009: "`after` is not the id of an event.",
    400078: "Published by B3OS: invalid run id.",
    400079: "Published by B3OS: duplicate run id.",
    400228: "Published by B3OS: invalid workflow definition.",
    400229: "Published by B3OS: the workflow's trigger is not manual.",
    401001: "No bearer token.",
    401002: "The token is unknown.",
    401003: "The token has expired.",
    401004: "The token was revoked.",
    403001: "The token lacks a scope.",
    403002: "`X-Org-ID` names another organization than the token's.",
    404001: "No such execution, or not in the token's organization.",
    404002: "No such route.",
    404003: "No such account.",
    405001: "The path exists, the method does not; `Allow` lists those that do.",
    408001: "The request body did not arrive in time.",
    409001: "The record's state forbids the change.",
    413001: "The request is too large.",
    429001: "More requests than the limit of this token; `Retry-After` says when.",
    500001: "A defect of the server; its log has the request id.",
    503001: "The database is out of reach; `Retry-After` says when to try again.",
    503002: "The server's disk is full: writes are refused, reads go on.",
}

PUBLISHED_CODES = frozenset({400078, 400079, 400228, 400229})

CODE_OF_PARAMETER = {
    "limit": 400001,
    "offset": 400002,
    "status": 400004,
    "createdAfter": 400005,
    "createdBefore": 400005,
    "cursor": 400006,
    "workflowId": 400007,
    "externalRef": 400007,
    "orderId": 400007,
    "id": 400008,
    "after": 400009,
}
_CODE_OF_REASON = {"missing": 401001, "expired": 401003, "revoked": 401004}
_CODE_OF_MISSING = {"execution": 404001, "account": 404003}


def _code_of_input(error: GestaError) -> int:
    if error.details.get("problem") == "duplicate":
        return 400003
    return CODE_OF_PARAMETER.get(getattr(error, "field", None) or "", 400000)


# The first class that fits decides the code. A server error says what its code means and no more.
TABLE: tuple[tuple[type[GestaError], Callable[[GestaError], int]], ...] = (
    (Unauthenticated, lambda error: _CODE_OF_REASON.get(getattr(error, "reason", ""), 401002)),
    (Forbidden, lambda error: 403002 if error.details.get("header") else 403001),
    (NotFound, lambda error: _CODE_OF_MISSING.get(getattr(error, "what", ""), 404002)),
    (MethodNotAllowed, lambda error: 405001),
    (BodyTimeout, lambda error: 408001),
    (Conflict, lambda error: 409001),
    (TooLarge, lambda error: 413001),
    (RateLimited, lambda error: 429001),
    (InvalidInput, _code_of_input),
    (CallerError, lambda error: 400000),
    (StorageFull, lambda error: 503002),
    (Unavailable, lambda error: 503001),
    (GestaError, lambda error: 500001),
)


def envelope_of(code: int, message: str, request_id: str) -> dict[str, Any]:
    return {"code": code, "message": message, "data": None, "requestId": request_id}


def render(request: Request, error: GestaError) -> Response:
    """The response of an error: the envelope with `data` null."""
    code = next(code_of(error) for kind, code_of in TABLE if isinstance(error, kind))
    status = code // 1000
    headers = retry_after(error)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    message = CODES[code] if status >= 500 else error.message
    body = msgspec.json.encode(envelope_of(code, message, request_id_of(request)))
    return Response(body, status_code=status, headers=headers, media_type="application/json")

"""The one table from Gesta's errors to B3OS's envelope (protocols/b3os.md §3).

`code` is the HTTP status followed by a three-digit sequence. B3OS publishes four; the others are Gesta's own and are
kept clear of those four.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gesta.apis.b3os.codec import RUN_PREFIX, WORKFLOW_PREFIX
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
    400010: "The body is not a JSON object, or not JSON.",
    400011: "A field of the body is missing or has a value that it cannot have.",
    400012: "The workflow is archived.",
    400013: "A run, workflow, node or version in the path is malformed.",
    400014: "`token` or `secret` is missing, or too long.",
    400015: "The definition cannot run synchronously.",
    400016: "`summary`, `nodeIds`, `_fields_filter`, `search` or `endpointId` has a value that it cannot have.",
    400078: "Published by B3OS: invalid run id.",
    400079: "Published by B3OS: duplicate run id.",
    400228: "Published by B3OS: invalid workflow definition.",
    400229: "Published by B3OS: the workflow's trigger is not manual.",
    401001: "No bearer token.",
    401002: "The token is unknown.",
    401003: "The token has expired.",
    401004: "The token was revoked.",
    401005: "The client token or secret is not that of the execution.",
    401006: "The webhook's signature is missing, malformed, stale, or not that of its secret.",
    403001: "The token lacks a scope.",
    403002: "`X-Org-ID` names another organization than the token's.",
    403003: "The workflow is not open to the public, or is another account's.",
    404001: "No such execution, or not in the token's organization.",
    404002: "No such route.",
    404003: "No such account.",
    404004: "No such workflow, or not in the token's organization.",
    404005: "No such run, or not in the token's organization.",
    404006: "The run has no such node.",
    404007: "The workflow has no such version.",
    404008: "No such execution webhook, or not in the token's organization.",
    404009: "No such delivery of an execution webhook, or not in the token's organization.",
    405001: "The path exists, the method does not; `Allow` lists those that do.",
    408001: "The request body did not arrive in time.",
    409001: "The record's state forbids the change.",
    409002: "The idempotency key was used for another execution.",
    413001: "The request is too large.",
    429001: "More requests than the limit of this token; `Retry-After` says when.",
    429002: "More executions of this workflow from this address than the limit; `Retry-After` says when.",
    429003: "More streams than the limit; `Retry-After` says when to try again.",
    500001: "A defect of the server; its log has the request id.",
    503001: "The database is out of reach; `Retry-After` says when to try again.",
    503002: "The server's disk is full: writes are refused, reads go on.",
    503003: "Workflows are switched off on this server.",
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
# `details["problem"]` of an InvalidInput says more than its field.
_CODE_OF_PROBLEM = {
    "duplicate": 400003,
    "json": 400010,
    "body": 400011,
    "archived": 400012,
    "path": 400013,
    "token": 400014,
    "sync": 400015,
    "view": 400016,
    "run_id": 400078,
    "run_id_taken": 400079,
    "definition": 400228,
    "trigger": 400229,
}
_CODE_OF_REASON = {"missing": 401001, "expired": 401003, "revoked": 401004, "client_token": 401005, "signature": 401006}
_CODE_OF_MISSING = {
    "execution": 404001,
    "account": 404003,
    "workflow": 404004,
    "run": 404005,
    "node": 404006,
    "version": 404007,
    "webhook": 404008,
    "delivery": 404009,
}
_CODE_OF_BUCKET = {"b3os_public": 429002, "b3os_streams": 429003}


def _code_of_input(error: GestaError) -> int:
    problem = _CODE_OF_PROBLEM.get(error.details.get("problem", ""))
    if problem is not None:
        return problem
    field, where = getattr(error, "field", None) or "", getattr(error, "where", "")
    if field in CODE_OF_PARAMETER and where != "body":
        return CODE_OF_PARAMETER[field]
    return 400011 if field and where == "body" else 400000


def _code_of_refusal(error: GestaError) -> int:
    if error.details.get("header"):
        return 403002
    return 403003 if error.details.get("workflow") else 403001


# The first class that fits decides the code. A server error says what its code means and no more.
TABLE: tuple[tuple[type[GestaError], Callable[[GestaError], int]], ...] = (
    (Unauthenticated, lambda error: _CODE_OF_REASON.get(getattr(error, "reason", ""), 401002)),
    (Forbidden, _code_of_refusal),
    (NotFound, lambda error: _CODE_OF_MISSING.get(getattr(error, "what", ""), 404002)),
    (MethodNotAllowed, lambda error: 405001),
    (BodyTimeout, lambda error: 408001),
    (Conflict, lambda error: 409002 if error.details.get("problem") == "idempotency" else 409001),
    (TooLarge, lambda error: 413001),
    (RateLimited, lambda error: _CODE_OF_BUCKET.get(error.details.get("bucket", ""), 429001)),
    (InvalidInput, _code_of_input),
    (CallerError, lambda error: 400000),
    (StorageFull, lambda error: 503002),
    (Unavailable, lambda error: 503003 if error.details.get("setting") else 503001),
    (GestaError, lambda error: 500001),
)


# The server's own ids, as the record has them and messages of the front door name them.
_OWN_IDS = re.compile(r"\b([Rr]un|[Ww]orkflow) ([0-9a-f]{24})\b", re.ASCII)
_PREFIX_OF = {"run": RUN_PREFIX, "workflow": WORKFLOW_PREFIX}


def _as_printed(message: str) -> str:
    """A message that names runs and workflows as this dialect does."""
    return _OWN_IDS.sub(lambda found: f"{found[1]} {_PREFIX_OF[found[1].lower()]}{found[2]}", message)


def envelope_of(code: int, message: str, request_id: str) -> dict[str, Any]:
    return {"code": code, "message": message, "data": None, "requestId": request_id}


def render(request: Request, error: GestaError) -> Response:
    """The response of an error: the envelope with `data` null."""
    code = next(code_of(error) for kind, code_of in TABLE if isinstance(error, kind))
    status = code // 1000
    headers = retry_after(error)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    message = CODES[code] if status >= 500 else _as_printed(error.message)
    body = msgspec.json.encode(envelope_of(code, message, request_id_of(request)))
    return Response(body, status_code=status, headers=headers, media_type="application/json")

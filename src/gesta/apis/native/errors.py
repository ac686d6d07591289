"""Problem details (RFC 9457) of Gesta's own dialect: one table, one shape.

`type` is a relative reference, `/problems/<code>`; docs/dialects/native.md lists them all.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import HTTPConnection
from starlette.responses import Response

from gesta.apis.common.errors import retry_after
from gesta.kernel.errors import CallerError, GestaError, InvalidInput, Unauthenticated
from gesta.ledger.lifecycle import TRANSITIONS
from gesta.ledger.records import Kind, Status

PROBLEM_JSON = "application/problem+json"

# code → (HTTP status, title). A code that is missing here would be a defect: a test walks the error hierarchy.
PROBLEMS: dict[str, tuple[int, str]] = {
    "invalid_input": (400, "A value is malformed or out of range"),
    "bad_request": (400, "The request is at fault"),
    "unauthenticated": (401, "No valid credential"),
    "forbidden": (403, "The credential lacks a scope"),
    "not_found": (404, "Not found"),
    "method_not_allowed": (405, "The path does not take this method"),
    "request_timeout": (408, "The body did not arrive in time"),
    "conflict": (409, "The state or content of the record forbids it"),
    "too_large": (413, "Above the bound"),
    "unsupported_media_type": (415, "The content type is not one that this path takes"),
    "rows_invalid": (422, "No row could be recorded"),
    "rate_limited": (429, "Too many requests"),
    "internal": (500, "Internal error"),
    "unavailable": (503, "The ledger is out of reach"),
    "storage_full": (503, "The disk refuses writes"),
}


class UnsupportedMediaType(CallerError):
    status = 415
    code = "unsupported_media_type"


class RowsInvalid(CallerError):
    """Every row of a batch is invalid: nothing was recorded. `details` has the per-row results and the counts."""

    status = 422
    code = "rows_invalid"


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """RFC 9457, with Gesta's own members: `field` and `where` name what is wrong, `allowed` what may follow."""

    type: str
    title: str
    status: int
    detail: str
    instance: str = ""
    request_id: str = ""
    field: str | None = None
    where: str | None = None
    what: str | None = None
    current: str | None = None
    wanted: str | None = None
    allowed: list[str] | None = None
    retry_after_s: float | None = None
    results: list[dict[str, Any]] | None = None
    recorded: int | None = None
    taken: int | None = None
    duplicates: int | None = None
    conflicts: int | None = None
    invalid: int | None = None
    problems: list[dict[str, Any]] | None = None


_MEMBERS = (
    "what",
    "current",
    "wanted",
    "allowed",
    "results",
    "recorded",
    "taken",
    "duplicates",
    "conflicts",
    "invalid",
    "problems",
)
_encoder = msgspec.json.Encoder(decimal_format="string")


def problem_of(error: GestaError, *, instance: str = "", request_id: str = "") -> Problem:
    """The problem that tells an error. Every code of the hierarchy is in the table."""
    status, title = PROBLEMS.get(error.code, PROBLEMS["internal"])
    members = {name: error.details[name] for name in _MEMBERS if name in error.details}
    if isinstance(error, InvalidInput):
        members |= {"field": error.field, "where": error.where}
    if (what := getattr(error, "what", None)) is not None:
        members["what"] = what
    if (seconds := getattr(error, "retry_after_s", None)) is not None:
        members["retry_after_s"] = seconds
    return Problem(
        type=f"/problems/{error.code if error.code in PROBLEMS else 'internal'}",
        title=title,
        status=status,
        detail=error.message,
        instance=instance,
        request_id=request_id,
        **members,
    )


def allowed_after(kind: Kind, current: str) -> list[str]:
    """The statuses that may follow, for a 409."""
    return sorted(TRANSITIONS[kind].get(Status(current), frozenset()))


def encode_problem(problem: Problem) -> bytes:
    return _encoder.encode(problem)


def headers_of(error: GestaError) -> dict[str, str]:
    headers = retry_after(error)
    if isinstance(error, Unauthenticated):
        challenge = 'Bearer realm="gesta"'
        if error.reason == "signature":
            challenge = 'Gesta-Signature realm="gesta"'
        elif error.reason != "missing":
            challenge += ', error="invalid_token"'
        headers["WWW-Authenticate"] = challenge
    return headers


def render(request: HTTPConnection, error: GestaError) -> Response:
    """One response for every error of this dialect."""
    problem = problem_of(
        error,
        instance=request.url.path[:512],
        request_id=str(request.scope.get("gesta.request_id", "")),
    )
    return Response(
        encode_problem(problem), status_code=problem.status, headers=headers_of(error), media_type=PROBLEM_JSON
    )

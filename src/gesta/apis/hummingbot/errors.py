"""The one table from Gesta's errors to hummingbot-api's bodies (protocols/hummingbot.md §11).

Every body is `{"detail": text}`; only a request that does not fit its parameters has FastAPI's list of defects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gesta.apis.common.errors import BodyTimeout, MethodNotAllowed, retry_after
from gesta.kernel.errors import (
    CallerError,
    Conflict,
    Forbidden,
    GestaError,
    InvalidInput,
    NotFound,
    RateLimited,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

NOT_AUTHENTICATED = "Not authenticated"
WRONG_CREDENTIALS = "Incorrect username or password"


class Refused(CallerError):
    """What hummingbot-api answers 400 to: an executor that cannot be, or is over."""


_encoder = msgspec.json.Encoder(enc_hook=str)


def _said(error: GestaError) -> str:
    return error.message


def _credentials(error: GestaError) -> str:
    return NOT_AUTHENTICATED if getattr(error, "reason", "") == "missing" else WRONG_CREDENTIALS


def _missing(error: GestaError) -> str:
    return "Not Found" if getattr(error, "what", "") == "route" else error.message


def _defects(error: GestaError) -> list[dict[str, Any]]:
    """FastAPI's own list where it made one, else one entry of the same shape."""
    found = error.details.get("errors")
    if found is None:
        where, field = getattr(error, "where", "query"), getattr(error, "field", None)
        found = [{"type": "value_error", "loc": [where, field] if field else [where], "msg": error.message}]
    return [
        {"type": defect["type"], "loc": defect["loc"], "msg": defect["msg"], "input": defect.get("input")}
        | ({"ctx": defect["ctx"]} if defect.get("ctx") else {})
        for defect in found
    ]


# The first class that fits decides: status, and what stands in `detail`.
TABLE: tuple[tuple[type[GestaError], int, Callable[[GestaError], Any]], ...] = (
    (Unauthenticated, 401, _credentials),
    (Forbidden, 403, _said),
    (NotFound, 404, _missing),
    (MethodNotAllowed, 405, lambda error: "Method Not Allowed"),
    (BodyTimeout, 408, _said),
    (Conflict, 409, _said),
    (TooLarge, 413, _said),
    (InvalidInput, 422, _defects),
    (RateLimited, 429, _said),
    (CallerError, 400, _said),
    (Unavailable, 503, lambda error: "The database is out of reach; retry later."),
    (GestaError, 500, lambda error: "Internal Server Error"),
)


def render(request: Request, error: GestaError) -> Response:
    """The response of an error. Only what a caller did wrong is told; of a server error, nothing but its class."""
    status, detail = next((status, detail) for kind, status, detail in TABLE if isinstance(error, kind))
    headers = retry_after(error)
    if status == 401:
        headers["WWW-Authenticate"] = "Basic"
    body = _encoder.encode({"detail": detail(error)})
    return Response(body, status_code=status, headers=headers, media_type="application/json")

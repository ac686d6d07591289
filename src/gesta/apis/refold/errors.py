"""Every error of the dialect, rendered by one table (protocols/refold.md §1, seed 004).

The body is a superset of the published variants: `status_code, http_error_type, error_code, error, message,
request_id`, where `error` repeats `error_code` (most services use one of the two names). Always JSON: the SDK calls
`res.json()` on every answer.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gesta.apis.common.errors import BodyTimeout, MethodNotAllowed, request_id_of, retry_after
from gesta.kernel.errors import (
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
from gesta.kernel.json import encode_json


class LinkedAccountRequired(InvalidInput):
    """An API key came without a linked account."""

    def __init__(self) -> None:
        super().__init__("linked_account_id or org_id is required", field="linked_account_id", where="header")


class UnknownLinkedAccount(InvalidInput):
    """The organization has no such linked account in the key's environment."""

    def __init__(self) -> None:
        super().__init__("Invalid linked_account_id", field="linked_account_id", where="header")


class TokenMissing(Unauthenticated):
    def __init__(self) -> None:
        super().__init__("Authorization Token Missing", reason="missing")


class InvalidToken(Unauthenticated):
    def __init__(self) -> None:
        super().__init__("Invalid token")


class InvalidCredentials(Unauthenticated):
    def __init__(self) -> None:
        super().__init__("Invalid Credentials")


# class → (http_error_type, error_code); the nearest class of an error's ancestry holds.
TABLE: dict[type[GestaError], tuple[str, str]] = {
    # Swapped in the published example (seed 004, 400), and only there.
    LinkedAccountRequired: ("INVALID_LINKED_ACCOUNT_ID", "BAD_REQUEST"),
    UnknownLinkedAccount: ("BAD_REQUEST", "INVALID_LINKED_ACCOUNT_ID"),
    InvalidInput: ("BAD_REQUEST", "VALIDATION_ERROR"),
    TokenMissing: ("UNAUTHORIZED", "AUTH_SERVICE_ERROR"),
    InvalidToken: ("UNAUTHORIZED", "INVALID_TOKEN"),
    InvalidCredentials: ("UNAUTHORIZED", "SERVER_ERROR"),
    Unauthenticated: ("UNAUTHORIZED", "INVALID_TOKEN"),
    Forbidden: ("FORBIDDEN", "AUTH_SERVICE_ERROR"),
    NotFound: ("NOT_FOUND", "RESOURCE_NOT_FOUND"),
    MethodNotAllowed: ("METHOD_NOT_ALLOWED", "VALIDATION_ERROR"),
    Conflict: ("CONFLICT", "VALIDATION_ERROR"),
    BodyTimeout: ("REQUEST_TIMEOUT", "VALIDATION_ERROR"),
    TooLarge: ("PAYLOAD_TOO_LARGE", "VALIDATION_ERROR"),
    RateLimited: ("TOO_MANY_REQUESTS", "RATE_LIMIT_EXCEEDED"),
    Unavailable: ("SERVICE_UNAVAILABLE", "SERVER_ERROR"),
    GestaError: ("INTERNAL_SERVER_ERROR", "SERVER_ERROR"),
}


def render(request: Request, error: GestaError) -> Response:
    """The JSON answer for any error, with CORS even where the middleware does not reach (a crash)."""
    http_error_type, error_code = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    message = error.message
    if isinstance(error, NotFound) and error.what == "execution":
        message = "Execution not found"
    body = {
        "status_code": error.status,
        "http_error_type": http_error_type,
        "error_code": error_code,
        "error": error_code,
        "message": message,
        "request_id": request_id_of(request),
    }
    headers = retry_after(error) | {"Access-Control-Allow-Origin": "*"}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(encode_json(body), error.status, headers, "application/json")

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
from gesta.kernel.json import encode_json


class LinkedAccountRequired(InvalidInput):
    """An API key came without a linked account."""

    def __init__(self) -> None:
        super().__init__("linked_account_id or org_id is required", field="linked_account_id", where="header")


class UnknownLinkedAccount(InvalidInput):
    """The organization has no such linked account in the key's environment."""

    def __init__(self) -> None:
        super().__init__("Invalid linked_account_id", field="linked_account_id", where="header")


class LinkedAccountMissing(InvalidInput):
    """A linked account is to be created without an id."""

    def __init__(self) -> None:
        super().__init__("linked_account_id required", field="account_id")


class TokenMissing(Unauthenticated):
    def __init__(self) -> None:
        super().__init__("Authorization Token Missing", reason="missing")


class InvalidToken(Unauthenticated):
    def __init__(self) -> None:
        super().__init__("Invalid token")


class InvalidCredentials(Unauthenticated):
    def __init__(self) -> None:
        super().__init__("Invalid Credentials")


class HookRefused(Unauthenticated):
    """The address of an inbound webhook is of no workflow, or its secret is not the workflow's."""

    def __init__(self) -> None:
        super().__init__("Invalid webhook address or secret")


class HookUnsigned(Unauthenticated):
    """The signature of a call of an inbound webhook is missing, malformed, stale, or wrong: the message says which."""


class WorkflowNotFound(NotFound):
    def __init__(self) -> None:
        super().__init__("Workflow not found", what="workflow")


class WorkflowPrivate(Forbidden):
    def __init__(self) -> None:
        super().__init__("Workflow is private to another linked account")


class InvalidWorkflow(InvalidInput):
    """The workflow is there, and not in the state that the call needs."""


class MissingField(InvalidInput):
    def __init__(self, field: str, *, where: str = "body") -> None:
        super().__init__(f"{field} is required", field=field, where=where)


class InvalidEvent(NotFound):
    """No workflow has a trigger for the event, and nothing waits for it."""

    def __init__(self) -> None:
        super().__init__("Trigger not found", what="event")


class ScheduleNotFound(NotFound):
    def __init__(self) -> None:
        super().__init__("Scheduled Job Not Found", what="schedule")


class UnsupportedMediaType(CallerError):
    status = 415
    code = "unsupported_media_type"


class NoBatches(CallerError):
    """The node is no container, or the execution was recorded without its rounds (protocols/refold.md §2)."""

    status = 501
    code = "not_implemented"

    def __init__(self) -> None:
        super().__init__("Batch details are not yet available for this execution type")


# class → (http_error_type, error_code); the nearest class of an error's ancestry holds.
TABLE: dict[type[GestaError], tuple[str, str]] = {
    # Swapped in the published example (seed 004, 400), and only there.
    LinkedAccountRequired: ("INVALID_LINKED_ACCOUNT_ID", "BAD_REQUEST"),
    UnknownLinkedAccount: ("BAD_REQUEST", "INVALID_LINKED_ACCOUNT_ID"),
    LinkedAccountMissing: ("BAD_REQUEST", "INVALID_LINKED_ACCOUNT_ID"),
    InvalidWorkflow: ("BAD_REQUEST", "INVALID_WORKFLOW_ID"),
    MissingField: ("BAD_REQUEST", "MISSING_REQUIRED_FIELD"),
    InvalidInput: ("BAD_REQUEST", "VALIDATION_ERROR"),
    TokenMissing: ("UNAUTHORIZED", "AUTH_SERVICE_ERROR"),
    InvalidToken: ("UNAUTHORIZED", "INVALID_TOKEN"),
    InvalidCredentials: ("UNAUTHORIZED", "SERVER_ERROR"),
    HookRefused: ("UNAUTHORIZED", "SERVER_ERROR"),
    HookUnsigned: ("UNAUTHORIZED", "SERVER_ERROR"),
    Unauthenticated: ("UNAUTHORIZED", "INVALID_TOKEN"),
    WorkflowPrivate: ("FORBIDDEN", "SERVER_ERROR"),
    Forbidden: ("FORBIDDEN", "AUTH_SERVICE_ERROR"),
    InvalidEvent: ("NOT_FOUND", "INVALID_EVENT"),
    NotFound: ("NOT_FOUND", "RESOURCE_NOT_FOUND"),
    MethodNotAllowed: ("METHOD_NOT_ALLOWED", "VALIDATION_ERROR"),
    Conflict: ("CONFLICT", "VALIDATION_ERROR"),
    BodyTimeout: ("REQUEST_TIMEOUT", "VALIDATION_ERROR"),
    UnsupportedMediaType: ("UNSUPPORTED_MEDIA_TYPE", "VALIDATION_ERROR"),
    NoBatches: ("NOT_IMPLEMENTED", "SERVER_ERROR"),
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

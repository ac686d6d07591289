"""What can go wrong, as the server's problem details (RFC 9457) say it.

ClientError
├── NotConfigured        no URL or token that could be used
├── Unreachable          the server does not answer, or the connection broke
├── ProtocolError        an answer that is not Gesta's
└── ApiError             a problem: `status`, `code`, `detail`, `field`, `request_id`, `problem`
    ├── BadRequest           400 408 415 422
    ├── Unauthenticated      401
    ├── Forbidden            403
    ├── NotFound             404
    ├── Conflict             409
    ├── TooLarge             413
    ├── RateLimited          429
    └── ServerFault          5xx
        └── Unavailable          502 503 504
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class ClientError(Exception):
    """Base of every error of this client. `message` is a sentence a person can act on."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotConfigured(ClientError):
    """No token, or a URL that is none."""


class Unreachable(ClientError):
    """Nothing listens there, or the connection broke before the answer was whole."""


class ProtocolError(ClientError):
    """The answer is not one of a Gesta server."""


class ApiError(ClientError):
    """The server refused. `problem` is the whole of what it said; `retry_after_s` when it said when to come back;
    `did_you_mean` what it takes to be meant, where it knows."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        said = problem.get("detail") or problem.get("title") or problem.get("error")
        detail = str(said or f"The server answered {status}.")
        super().__init__(detail)
        self.status = status
        self.problem = problem
        self.detail = detail
        self.code = str(problem.get("type") or problem.get("error") or "").rpartition("/")[2]
        self.did_you_mean = str(problem.get("did_you_mean") or "")
        self.field: str | None = problem.get("field")
        self.request_id = str(problem.get("request_id") or "")
        self.retry_after_s = retry_after_s


class BadRequest(ApiError):
    """The request is at fault."""


class Unauthenticated(ApiError):
    """The token is missing, wrong, expired or revoked."""


class Forbidden(ApiError):
    """The token lacks a scope."""


class NotFound(ApiError):
    """Unknown, or out of the token's reach."""


class Conflict(ApiError):
    """The record's state or content forbids it."""


class TooLarge(ApiError):
    """Above one of the server's bounds."""


class RateLimited(ApiError):
    """Too many requests; `retry_after_s` says when."""


class ServerFault(ApiError):
    """The server, or what it stands on, is at fault."""


class Unavailable(ServerFault):
    """Out of reach for a while; nothing was acknowledged."""


_CLASSES: dict[int, type[ApiError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def api_error(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The error of an answer that is not a success. A body that is no problem is quoted in part."""
    try:
        problem = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
        problem = {"detail": f"The server answered {status}: {body[:200].decode('utf-8', 'replace')}".rstrip(": ")}
    kind = _CLASSES.get(status, ServerFault if status >= 500 else BadRequest)
    return kind(status, problem, _retry_after(headers))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None

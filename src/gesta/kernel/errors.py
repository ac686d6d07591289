"""The one error hierarchy. A class says whose fault it is; a dialect renders it by a table.

GestaError
├── CallerError            the request is at fault: 4xx
│   ├── InvalidInput           400/422  a field is wrong; `field` names it
│   ├── Unauthenticated        401      no credential, or a wrong one; `reason` says which
│   ├── Forbidden              403      the credential lacks a scope
│   ├── NotFound               404      unknown, or another organization's
│   ├── Conflict               409      the record's state or content forbids it
│   ├── TooLarge               413      body, page or depth above the bound
│   └── RateLimited            429      `retry_after_s` says when
└── ServerError            Gesta or what it stands on is at fault: 5xx
    ├── Unavailable            503      the database does not answer; `retry_after_s`
    └── StorageFull            507→503  the disk refuses writes; reads go on
"""

from __future__ import annotations

from typing import Any, ClassVar


class GestaError(Exception):
    """Base of every error that Gesta raises on purpose. `message` is a sentence a person can act on."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class CallerError(GestaError):
    status = 400
    code = "bad_request"


class InvalidInput(CallerError):
    """A value is malformed or out of range. `field` is its name; `where` is query, path, header or body."""

    status = 400
    code = "invalid_input"

    def __init__(self, message: str, *, field: str | None = None, where: str = "body", **details: Any) -> None:
        super().__init__(message, **details)
        self.field = field
        self.where = where


class Unauthenticated(CallerError):
    """`reason` is `missing`, `invalid`, `expired` or `revoked`; of a client's token it is `client_token`, of what is to
    be signed `signature`."""

    status = 401
    code = "unauthenticated"

    def __init__(self, message: str, *, reason: str = "invalid", **details: Any) -> None:
        super().__init__(message, **details)
        self.reason = reason


class Forbidden(CallerError):
    status = 403
    code = "forbidden"


class NotFound(CallerError):
    """`what` is the kind of thing that was not found: execution, account, route …"""

    status = 404
    code = "not_found"

    def __init__(self, message: str, *, what: str = "execution", **details: Any) -> None:
        super().__init__(message, **details)
        self.what = what


class Conflict(CallerError):
    status = 409
    code = "conflict"


class TooLarge(CallerError):
    status = 413
    code = "too_large"


class RateLimited(CallerError):
    status = 429
    code = "rate_limited"

    def __init__(self, message: str, *, retry_after_s: float, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after_s = retry_after_s


class ServerError(GestaError):
    status = 500


class Unavailable(ServerError):
    """The database is out of reach. Nothing was acknowledged; the caller may retry after `retry_after_s`."""

    status = 503
    code = "unavailable"

    def __init__(self, message: str, *, retry_after_s: float = 2, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after_s = retry_after_s


class StorageFull(Unavailable):
    code = "storage_full"

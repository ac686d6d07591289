"""What a request of this dialect carries besides its path: Basic credentials and query parameters. Pure."""

from __future__ import annotations

import base64
import re
from typing import Any

import msgspec
from starlette.datastructures import QueryParams

from gesta.apis.hummingbot.codec import SEVERITY_OF_LEVEL
from gesta.apis.hummingbot.errors import NOT_AUTHENTICATED
from gesta.kernel.errors import InvalidInput, Unauthenticated
from gesta.ledger.records import Severity

DEFAULT_LOGS = 50
MAX_LOGS = 1000

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)


def basic_credentials(header: str | None) -> tuple[str, str]:
    """Username and password of an `Authorization` header.

    Raises Unauthenticated(reason="missing") for no header, another scheme, and what does not decode, as FastAPI's
    HTTPBasic does.
    """
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        raise Unauthenticated(NOT_AUTHENTICATED, reason="missing")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:
        raise Unauthenticated(NOT_AUTHENTICATED, reason="missing") from None
    username, colon, password = text.partition(":")
    if not colon:
        raise Unauthenticated(NOT_AUTHENTICATED, reason="missing")
    return username, password


class LogsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """`level` None means every level."""

    level: Severity | None
    limit: int


def logs_query(query: QueryParams) -> LogsQuery:
    """`level` and `limit` of the logs. Raises InvalidInput with every defect in pydantic's words."""
    defects: list[dict[str, Any]] = []
    level, limit = _single(query, "level", defects), _single(query, "limit", defects)
    severity = None if level is None else SEVERITY_OF_LEVEL.get(level.upper())
    if level is not None and severity is None:
        *names, last = (repr(name) for name in SEVERITY_OF_LEVEL)
        expected = f"{', '.join(names)} or {last}"
        defects.append(_defect("literal_error", "level", f"Input should be {expected}", level, expected=expected))
    count = DEFAULT_LOGS if limit is None else _count(limit, defects)
    if defects:
        raise InvalidInput(defects[0]["msg"], field=defects[0]["loc"][-1], where="query", errors=defects)
    return LogsQuery(level=severity, limit=count)


def _defect(kind: str, name: str, message: str, given: Any, **context: Any) -> dict[str, Any]:
    return {"type": kind, "loc": ["query", name], "msg": message, "input": given, "ctx": context}


def _single(query: QueryParams, name: str, defects: list[dict[str, Any]]) -> str | None:
    given = query.getlist(name)
    if len(given) > 1:
        message = f"Input should be given once, it was given {len(given)} times"
        defects.append(_defect("too_many_values", name, message, given[:10]))
        return None
    return given[0] if given else None


def _count(text: str, defects: list[dict[str, Any]]) -> int:
    if _INTEGER.fullmatch(text.strip()) is None:
        message = "Input should be a valid integer, unable to parse string as an integer"
        defects.append(_defect("int_parsing", "limit", message, text[:256]))
        return 0
    count = int(text)
    if count < 1:
        message = "Input should be greater than or equal to 1"
        defects.append(_defect("greater_than_equal", "limit", message, text, ge=1))
    elif count > MAX_LOGS:
        message = f"Input should be less than or equal to {MAX_LOGS}"
        defects.append(_defect("less_than_equal", "limit", message, text, le=MAX_LOGS))
    return count

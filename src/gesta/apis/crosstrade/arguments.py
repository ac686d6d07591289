"""Reading the arguments of a command: text from a path or a query, JSON values from a WebSocket frame. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from gesta.desk.reading import MAX_PAGE
from gesta.kernel.errors import InvalidInput, NotFound
from gesta.kernel.times import MAX_US, MIN_US, parse_date, parse_rfc3339
from gesta.ledger.cursor import decode_cursor
from gesta.ledger.query import Cursor

DEFAULT_LOOKBACK_S: Final = 320
MAX_LOOKBACK_S: Final = 900
DEFAULT_LIMIT: Final = 500
INT32_MAX: Final = 2**31 - 1
MAX_ID: Final = 512
MAX_QUERY_BYTES: Final = 8192

_WHOLE = re.compile(r"[0-9]{1,10}", re.ASCII)
_EPOCH_MS = re.compile(r"-?[0-9]{1,15}", re.ASCII)


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Which fills a list call asks for, newest first.

    `paged` is Gesta's addition: any of cursor, limit, from and to asks for one page of the whole history. Without it
    the answer is the published one: everything of the last `lookback_s` seconds.
    """

    lookback_s: int | None
    paged: bool
    after: Cursor | None
    limit: int
    from_us: int | None
    to_us: int | None


def read_query(query: bytes, names: Iterable[str]) -> dict[str, str]:
    """The values of the known parameters; unknown ones are ignored.

    Raises InvalidInput for a parameter given twice, for text that is not UTF-8 and for too long a query.
    """
    if not query:
        return {}
    if len(query) > MAX_QUERY_BYTES:
        raise InvalidInput("The query is too long", where="query")
    known = frozenset(names)
    values: dict[str, str] = {}
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=256)
    except ValueError:  # UnicodeDecodeError is one
        raise InvalidInput("The query is not valid percent-encoded UTF-8", where="query") from None
    for key, value in pairs:
        if key not in known:
            continue
        if key in values:
            raise InvalidInput(f"`{key}` is given twice", field=key, where="query")
        values[key] = value
    return values


def read_id(args: Mapping[str, Any], name: str, *, what: str) -> str:
    """An opaque id. Raises InvalidInput if it is missing or no text, NotFound if nothing can have such an id."""
    value = args.get(name)
    if value is None or value == "":
        raise InvalidInput(f"`{name}` is missing", field=name, where="query")
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # the published table calls executionId an integer
    if not isinstance(value, str):
        raise InvalidInput(f"`{name}` must be text", field=name, where="query")
    if len(value) > MAX_ID or "\0" in value or not _encodable(value):
        raise NotFound(f"{what.capitalize()} {_shown(value)} not found", what=what)
    return value


def _encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _shown(text: str) -> str:
    return text[:64].encode("ascii", "backslashreplace").decode().replace("\0", "\\0")


def read_window(args: Mapping[str, Any]) -> Window:
    """Raises InvalidInput, naming the argument."""
    lookback_s = _whole(args, "lookbackTime", INT32_MAX)
    cursor = args.get("cursor")
    limit = _whole(args, "limit", MAX_PAGE)
    from_us, to_us = read_instant(args, "from"), read_instant(args, "to")
    if cursor is not None and not isinstance(cursor, str):
        raise InvalidInput("`cursor` must be text", field="cursor", where="query")
    paged = any(args.get(name) is not None for name in ("cursor", "limit", "from", "to"))
    if lookback_s is None and not paged:
        lookback_s = DEFAULT_LOOKBACK_S
    return Window(
        lookback_s=None if lookback_s is None else min(lookback_s, MAX_LOOKBACK_S),
        paged=paged,
        after=None if cursor is None else decode_cursor(cursor),
        limit=DEFAULT_LIMIT if limit is None else limit,
        from_us=from_us,
        to_us=to_us,
    )


def read_page(args: Mapping[str, Any]) -> tuple[Cursor | None, int | None]:
    """`cursor` and `limit` of a list without a time window."""
    window = read_window({name: args.get(name) for name in ("cursor", "limit")})
    return window.after, None if args.get("limit") is None else window.limit


def _whole(args: Mapping[str, Any], name: str, largest: int) -> int | None:
    value = args.get(name)
    if value is None:
        return None
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= largest:
        raise InvalidInput(f"`{name}` must be an integer from 1 to {largest}", field=name, where="query")
    return value


def read_instant(args: Mapping[str, Any], name: str) -> int | None:
    """ISO text (a date is its midnight, no zone is UTC) or Unix milliseconds, as UTC microseconds."""
    value = args.get(name)
    if value is None:
        return None
    if isinstance(value, str) and _EPOCH_MS.fullmatch(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        at_us = value * 1000
    elif isinstance(value, str):
        midnight = parse_date(value, field=name)
        at_us = parse_rfc3339(value, field=name) if midnight is None else midnight
    else:
        raise InvalidInput(f"`{name}` must be an ISO time or Unix milliseconds", field=name, where="query")
    if not MIN_US <= at_us <= MAX_US:
        raise InvalidInput(f"`{name}` is not within the years 1 to 9999", field=name, where="query")
    return at_us

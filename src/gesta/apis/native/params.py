"""The query parameters of the native dialect: one table that the parser obeys and the OpenAPI document prints.

Strict: an unknown parameter, one given twice that takes one value, an empty or impossible value is InvalidInput.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import msgspec

from gesta.access.model import AccountType, Environment
from gesta.apis.native.codec import comparable
from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import parse_date, parse_rfc3339
from gesta.ledger.cursor import decode_cursor
from gesta.ledger.records import CORRELATIONS, Kind, Mode, Source, Status

MAX_OFFSET = 10**15
MAX_TEXT = 256
_MAX_FIELDS = 256


class Param(msgspec.Struct, frozen=True, kw_only=True):
    """One query parameter. `parse` takes (text, name); `many` may be repeated, `commas` also splits at commas."""

    schema: dict[str, Any]
    description: str
    parse: Callable[[str, str], Any]
    many: bool = False
    commas: bool = False
    default: Any = None


def _text(value: str, name: str) -> str:
    if not value or len(value) > MAX_TEXT:
        raise InvalidInput(f"`{name}` has 1 to {MAX_TEXT} characters.", field=name, where="query")
    return value


def _integer(low: int, high: int) -> Callable[[str, str], int]:
    def parse(value: str, name: str) -> int:
        if not value.isascii() or not value.removeprefix("-").isdigit() or len(value) > 20:
            raise InvalidInput(f"`{name}` must be a whole number, not {value[:64]!r}.", field=name, where="query")
        number = int(value)
        if not low <= number <= high:
            raise InvalidInput(f"`{name}` must be from {low} to {high}, not {number}.", field=name, where="query")
        return number

    return parse


def _boolean(value: str, name: str) -> bool:
    if value not in ("true", "false"):
        raise InvalidInput(f"`{name}` is `true` or `false`, not {value[:64]!r}.", field=name, where="query")
    return value == "true"


def _zone(value: str, name: str) -> str:
    try:
        return ZoneInfo(_text(value, name)[:65]).key
    except (ValueError, OSError, KeyError):
        raise InvalidInput(
            f"`{name}` must be a time zone like America/Chicago, not {value[:64]!r}.", field=name, where="query"
        ) from None


def _word(*words: str) -> Callable[[str, str], str]:
    def parse(value: str, name: str) -> str:
        if value not in words:
            raise InvalidInput(f"`{name}` is one of {', '.join(words)}, not {value[:64]!r}.", field=name, where="query")
        return value

    return parse


def _member(kind: type[enum.StrEnum]) -> Callable[[str, str], Any]:
    parse_word = _word(*(member.value for member in kind))
    return lambda value, name: kind(parse_word(value, name))


def _moment(value: str, name: str) -> int:
    try:
        midnight_us = parse_date(value, field=name)
        return parse_rfc3339(value, field=name) if midnight_us is None else midnight_us
    except InvalidInput as error:
        raise InvalidInput(error.message, field=name, where="query") from None


def _cursor(value: str, name: str) -> Any:
    return decode_cursor(_text(value, name), field=name)


def integer_param(low: int, high: int, description: str, default: int | None = None) -> Param:
    schema: dict[str, Any] = {"type": "integer", "minimum": low, "maximum": high}
    if default is not None:
        schema["default"] = default
    return Param(schema=schema, description=description, parse=_integer(low, high), default=default)


def text_param(description: str, example: str) -> Param:
    schema = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT, "examples": [example]}
    return Param(schema=schema, description=description, parse=_text)


def word_param(words: Iterable[str], description: str, default: str | None = None) -> Param:
    schema: dict[str, Any] = {"type": "string", "enum": list(words)}
    if default is not None:
        schema["default"] = default
    return Param(schema=schema, description=description, parse=_word(*words), default=default)


def _set_param(kind: type[enum.StrEnum], description: str) -> Param:
    values = [member.value for member in kind]
    return Param(
        schema={"type": "array", "items": {"type": "string", "enum": values}, "minItems": 1},
        description=description + " Repeat it, or separate values by commas.",
        parse=_member(kind),
        many=True,
        commas=True,
    )


def _enum_param(kind: type[enum.StrEnum], description: str) -> Param:
    values = [member.value for member in kind]
    return Param(schema={"type": "string", "enum": values}, description=description, parse=_member(kind))


def boolean_param(description: str) -> Param:
    return Param(schema={"type": "boolean"}, description=description, parse=_boolean)


def moment_param(description: str) -> Param:
    return Param(
        schema={"type": "string", "maxLength": 64, "examples": ["2026-03-10", "2026-03-10T12:00:00Z"]},
        description=description + " A date (midnight UTC) or an RFC 3339 time.",
        parse=_moment,
    )


ACCOUNT = Param(
    schema={"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}, "minItems": 1},
    description="Account by name, without case. Repeat it for several.",
    parse=_text,
    many=True,
)
ONE_ACCOUNT = text_param("Account by name, where an id is used in several accounts.", "Sim101")
ACCOUNT_TYPE = _enum_param(AccountType, "Narrows `account` to one type.")
ENVIRONMENT = _enum_param(Environment, "Only accounts of this environment.")

_CORRELATION_EXAMPLES = {"trading_pair": "BTC-USDT", "instrument": "ES 12-26"}
CORRELATION = {
    name: text_param(f"Executions whose correlation has this `{name}`.", _CORRELATION_EXAMPLES.get(name, "a1b2c3"))
    for name in CORRELATIONS
}
CORRELATION["application"] = msgspec.structs.replace(
    text_param("Runs of this application; compared by letters and digits only, without case.", "Google Sheets"),
    parse=lambda value, name: comparable(_text(value, name)),
)
SCOPE: dict[str, Param] = {"account": ACCOUNT, "account_type": ACCOUNT_TYPE, "environment": ENVIRONMENT}
SUMMARY_FILTERS: dict[str, Param] = {
    **SCOPE,
    "kind": _set_param(Kind, "Kind."),
    "status": _set_param(Status, "Canonical status."),
    "created_from": moment_param("Created at or after."),
    "created_to": moment_param("Created before."),
}
FILTERS: dict[str, Param] = {
    **SUMMARY_FILTERS,
    "source": _set_param(Source, "What started it."),
    "mode": _set_param(Mode, "How it runs."),
    "parent_id": text_param("Executions that this one started.", "b8c1f2d3e4a5968778695a4b"),
    "name": text_param("Text in the name, without case.", "rebalance"),
    **CORRELATION,
}
LIST: dict[str, Param] = {
    **FILTERS,
    "order": word_param(["newest", "oldest"], "By creation time.", "newest"),
    "limit": integer_param(1, 1000, "Rows of the page.", 50),
    "cursor": Param(
        schema={"type": "string", "minLength": 1, "maxLength": MAX_TEXT},
        description="`next_cursor` of the page before. Not together with `offset`.",
        parse=_cursor,
    ),
    "offset": integer_param(0, MAX_OFFSET, "Rows to pass over, at the same cost at any depth."),
    "total": boolean_param("Whether to count. True by default, false by default with a `cursor`."),
}
GET: dict[str, Param] = {"account": ONE_ACCOUNT, "account_type": ACCOUNT_TYPE, "environment": ENVIRONMENT}
FUNDS: dict[str, Param] = {"environment": ENVIRONMENT}
EVENTS: dict[str, Param] = {
    **GET,
    "after_seq": integer_param(0, 2**63 - 1, "Events after this one.", 0),
    "limit": integer_param(1, 1000, "Events of the page.", 100),
}
STREAM: dict[str, Param] = {
    **SCOPE,
    "kind": SUMMARY_FILTERS["kind"],
    "status": _set_param(
        Status, "Events that bring an execution to one of these; notes and amendments of others are left out."
    ),
    "source": FILTERS["source"],
    "after": integer_param(0, 2**63 - 1, "Start after this `seq`; 0 replays everything. Default: from now on."),
}
_DIMENSIONS = ("day", "kind", "status", "account")
SUMMARY: dict[str, Param] = {
    "by": Param(
        schema={"type": "array", "items": {"type": "string", "enum": list(_DIMENSIONS)}, "minItems": 1},
        description="What to group by; always by currency, too. Repeat it, or separate values by commas.",
        parse=_word(*_DIMENSIONS),
        many=True,
        commas=True,
    ),
    **SUMMARY_FILTERS,
}
EXPORT: dict[str, Param] = {
    "format": word_param(["csv", "ndjson", "parquet"], "The form of the file.", "ndjson"),
    "order": LIST["order"],
    **FILTERS,
}
TIME_ZONE = Param(
    schema={"type": "string", "minLength": 1, "maxLength": 64, "examples": ["America/Chicago"]},
    description="Time zone of accounts that this request creates; that of an existing account stays.",
    parse=_zone,
)
PUSH: dict[str, Param] = {
    "restart": boolean_param(
        "What is known of each instrument is forgotten at its first row, so that a recording can begin anew."
    ),
}
RESULTS = word_param(["all", "errors"], "`errors` leaves `recorded` and `duplicate` rows out of the results.", "all")


def parse_query(query_string: bytes, allowed: Mapping[str, Param]) -> dict[str, Any]:
    """The parameters that are given, and the defaults of those that are not. Raises InvalidInput.

    A parameter that may be repeated is a list.
    """
    found: dict[str, Any] = {name: param.default for name, param in allowed.items() if param.default is not None}
    if not query_string:
        return found
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS
        )
    except ValueError:
        raise InvalidInput(
            f"The query string is not valid UTF-8 in percent-encoding, or has more than {_MAX_FIELDS} fields.",
            where="query",
        ) from None
    seen: set[str] = set()
    for name, text in pairs:
        param = allowed.get(name)
        if param is None:
            raise InvalidInput(f"There is no parameter {name[:64]!r} here.", field=name[:64], where="query")
        if "\x00" in text:
            raise InvalidInput(f"`{name}` holds a NUL character.", field=name, where="query")
        if name in seen and not param.many:
            raise InvalidInput(f"`{name}` is given more than once.", field=name, where="query")
        if param.many:
            texts = text.split(",") if param.commas else [text]
            found.setdefault(name, []).extend(param.parse(part, name) for part in texts)
        else:
            found[name] = param.parse(text, name)
        seen.add(name)
    return found

"""What a node is given and gives, as JSON: its configuration read, its output made plain."""

from __future__ import annotations

import hashlib
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import msgspec

from gesta.kernel.errors import InvalidInput
from gesta.kernel.json import decode_json_exact
from gesta.workflows.graph.problems import shown
from gesta.workflows.nodes.face import NodeFailed, Performance

_encoder = msgspec.json.Encoder(decimal_format="number")


def json_bytes(value: Any) -> bytes:
    """JSON with every number as exact as it is. Raises TypeError, ValueError for what is no JSON."""
    return _encoder.encode(value)


def plain(value: Any) -> Any:
    """What the value is as JSON. Raises TypeError, ValueError, InvalidInput for what has no JSON form."""
    return decode_json_exact(_encoder.encode(value))


def refused(message: str) -> NoReturn:
    """The configuration came to something that cannot be performed, now or later."""
    raise NodeFailed(message, is_final=True)


def config_of(performance: Performance) -> dict[str, Any]:
    given = performance.input
    return given if isinstance(given, dict) else {}


def text_of(config: dict[str, Any], field: str, default: str | None = None) -> str:
    """A text, or a number as one. Without a default it must be there."""
    value = config.get(field)
    if value is None or value == "":
        if default is not None:
            return default
        refused(f"`{field}` came to nothing; it must be a text.")
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        refused(f"`{field}` must come to a text, and came to {shown(value)}.")
    text = str(value)
    if "\0" in text:
        refused(f"`{field}` came to a text with a NUL character.")
    return text


def flag_of(config: dict[str, Any], field: str, *, default: bool) -> bool:
    value = config.get(field)
    if value is None:
        return default
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        refused(f"`{field}` must come to true or false, and came to {shown(value)}.")
    return value


def choice_of(config: dict[str, Any], field: str, choices: tuple[str, ...], default: str = "") -> str:
    word = text_of(config, field, default or None).lower()
    if word not in choices:
        refused(f"`{field}` must come to {', '.join(choices[:-1])} or {choices[-1]}, and came to {shown(word)}.")
    return word


def decimal_of(config: dict[str, Any], field: str) -> Decimal | None:
    value = config.get(field)
    if value is None or value == "":
        return None
    number = Decimal("NaN")
    if isinstance(value, str | int | float | Decimal) and not isinstance(value, bool):
        try:
            number = Decimal(str(value).strip())
        except InvalidOperation:
            number = Decimal("NaN")
    if not number.is_finite():
        refused(f"`{field}` must come to a number, and came to {shown(value)}.")
    return number


def integer_of(config: dict[str, Any], field: str) -> int | None:
    number = decimal_of(config, field)
    if number is None:
        return None
    if not -(10**18) < number < 10**18 or number != int(number):
        refused(f"`{field}` must come to an integer, and came to {shown(config[field])}.")
    return int(number)


def object_of(config: dict[str, Any], field: str) -> dict[str, Any]:
    """An object, or a text of one."""
    value = config.get(field)
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = decode_json_exact(value)
        except InvalidInput:
            refused(f"`{field}` must come to an object, and came to {shown(config[field])}.")
    if not isinstance(value, dict):
        refused(f"`{field}` must come to an object, and came to {shown(value)}.")
    return value


def key_of(performance: Performance, most: int) -> str:
    """The key of the visit as at most so many printable ASCII characters: itself, or a digest of it."""
    key = performance.key
    if len(key) <= most and key.isascii() and key.isprintable() and " " not in key:
        return key
    return digest_of(performance)


def digest_of(performance: Performance) -> str:
    """32 hexadecimal digits that name the visit within its organization."""
    return hashlib.sha256(f"{performance.organization}:{performance.key}".encode()).hexdigest()[:32]

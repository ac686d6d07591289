"""JSON in and out. Every defect of the bytes becomes InvalidInput; nothing else escapes."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, TypeVar, overload

import msgspec

from gesta.kernel.errors import InvalidInput

T = TypeVar("T")
_encoder = msgspec.json.Encoder(decimal_format="string")
_number_encoder = msgspec.json.Encoder(decimal_format="number")
_sorted_encoder = msgspec.json.Encoder(decimal_format="string", order="deterministic")


@overload
def decode_json(data: bytes | str) -> Any: ...
@overload
def decode_json(data: bytes | str, kind: type[T]) -> T: ...
def decode_json(data: bytes | str, kind: Any = Any) -> Any:
    """Decode and validate. Raises InvalidInput, with the path msgspec names, for any JSON that does not fit."""
    return _decoded(partial(msgspec.json.decode, type=kind), data)


def decode_json_exact(data: bytes | str) -> Any:
    """As `decode_json`, with every number that has a point or an exponent as the Decimal that its text says."""
    return _decoded(_exact_decoder.decode, data)


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("a number is out of range") from None


_exact_decoder = msgspec.json.Decoder(float_hook=_exact)


def _decoded(decode: Callable[[bytes | str], Any], data: bytes | str) -> Any:
    try:
        return decode(data)
    except msgspec.ValidationError as error:
        raise InvalidInput(_shortened(str(error)), field=path_of(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise InvalidInput(f"The body is not valid JSON: {error}") from None
    except RecursionError:
        raise InvalidInput("The JSON is nested too deeply") from None


def _shortened(message: str) -> str:
    """The start and the end, where the path stands: a message repeats the value, which may be a megabyte."""
    return message if len(message) <= 400 else f"{message[:200]} … {message[-200:]}"


def path_of(message: str) -> str | None:
    """The `$.a[0].b` path at the end of a msgspec message, without the `$`."""
    _, found, tail = message.rpartition(" - at `$")
    return tail.rstrip("`").lstrip(".")[:200] or None if found else None


def encode_json(value: Any) -> bytes:
    return _encoder.encode(value)


def encode_json_numbers(value: Any) -> bytes:
    """As `encode_json`, with Decimals as numbers: for payloads, whose numbers were numbers when they came in."""
    return _number_encoder.encode(value)


def encode_json_sorted(value: Any) -> bytes:
    """Equal values give equal bytes: for content hashes."""
    return _sorted_encoder.encode(value)

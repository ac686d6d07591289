"""Cursors as opaque text: URL-safe, versioned, and any other text is InvalidInput."""

from __future__ import annotations

import base64
import binascii
import struct

from gesta.kernel.errors import InvalidInput
from gesta.ledger.query import Cursor

_FORM = struct.Struct(">cqq")
_VERSION = b"1"


def encode_cursor(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(_FORM.pack(_VERSION, cursor.created_at_us, cursor.row)).decode().rstrip("=")


def decode_cursor(text: str, *, field: str = "cursor") -> Cursor:
    """Raises InvalidInput for any text that `encode_cursor` did not make."""
    try:
        version, created_at_us, row = _FORM.unpack(
            base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        )
    except (binascii.Error, struct.error, ValueError):
        raise InvalidInput(f"`{field}` is not a cursor that this server gave", field=field, where="query") from None
    if version != _VERSION:
        raise InvalidInput(f"`{field}` is of a version that this server does not know", field=field, where="query")
    return Cursor(created_at_us, row)

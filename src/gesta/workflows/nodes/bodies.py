"""The body of an HTTP answer as a value: read up to a bound, packed or not."""

from __future__ import annotations

import base64
import zlib
from typing import Any, Final

import httpcore
import httpx

from gesta.kernel.errors import InvalidInput
from gesta.kernel.json import decode_json_exact

#: zlib's word for "gzip or zlib, as its head says".
_ANY_HEAD: Final = 47
_BINARY: Final = ("image/", "audio/", "video/", "font/")
_BINARY_KINDS: Final = frozenset({"application/octet-stream", "application/pdf", "application/zip", "application/gzip"})
#: Python reads them as charsets, and no server means them.
_NO_CHARSETS: Final = frozenset({"idna", "punycode", "undefined", *("unicode_escape", "raw_unicode_escape")})


class TooLong(Exception):
    """The answer is larger than may be kept."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the answer has more than {most} bytes, which is the most that a node may read.")


async def body_of(response: httpx.Response, most: int) -> Any:
    """JSON with exact numbers, a text, or bytes in base64; None for none. Raises TooLong."""
    packing = response.headers.get("content-encoding", "").strip().lower()
    data, is_packed = await _read(response, most, packing in ("gzip", "x-gzip", "deflate"))
    if not data:
        return None
    if is_packed or packing not in ("", "identity", "gzip", "x-gzip", "deflate"):
        return base64.b64encode(data).decode()
    return _value(data, response.headers.get("content-type", ""), response.charset_encoding)


async def _read(response: httpx.Response, most: int, is_packed: bool) -> tuple[bytes, bool]:
    """The bytes, and whether they are still packed, because they are not packed as the head says."""
    raw, data = bytearray(), bytearray()
    unpacking = zlib.decompressobj(_ANY_HEAD) if is_packed else None
    async for part in response.aiter_raw():
        raw += part
        if len(raw) > most:
            raise TooLong(most)
        if unpacking is None:
            continue
        try:
            # Never more than may be kept, however small what it came from.
            data += unpacking.decompress(part, most + 1 - len(data))
        except zlib.error:
            unpacking, is_packed = None, True
            continue
        if len(data) > most:
            raise TooLong(most)
    if unpacking is None:
        return bytes(raw), is_packed
    if raw and not unpacking.eof:
        raise httpcore.RemoteProtocolError("its packed body ends early")
    return bytes(data), False


def _value(data: bytes, content_type: str, charset: str | None) -> Any:
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return decode_json_exact(data)
        except InvalidInput:
            # What is not what it says: as the text that it is.
            pass
    if not kind.startswith(_BINARY) and kind not in _BINARY_KINDS:
        try:
            text = data.decode("utf-8" if charset is None or charset.lower() in _NO_CHARSETS else charset)
        except (ValueError, LookupError):
            text = "\0"
        if "\0" not in text:
            return text
    return base64.b64encode(data).decode()

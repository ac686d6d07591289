"""Ids for requests, and the checks that every request passes before a dialect sees it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from operator import itemgetter
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from gesta.apis.common.errors import BodyTimeout
from gesta.app.settings import LimitSettings
from gesta.kernel.errors import CallerError, InvalidInput, TooLarge
from gesta.kernel.ids import IdSource

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")


_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class RequestIds:
    """Random UUIDs (version 4), their randomness drawn for many at once."""

    _DRAW = 256

    def __init__(self, ids: IdSource) -> None:
        self._ids = ids
        self._pool = ""
        self._place = 0

    def next(self) -> str:
        if self._place == len(self._pool):
            self._pool = self._ids.random_bytes(16 * self._DRAW).hex()
            self._place = 0
        place = self._place
        self._place = place + 32
        digits = self._pool[place : place + 32]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"


def client_request_id(value: bytes) -> str | None:
    """What the caller calls this request, for the log, if it is short and harmless."""
    return value.decode() if _SANE_ID.fullmatch(value) else None


class Head(msgspec.Struct, frozen=True, gc=False):
    """What the guards want of a request's head. `body_bytes` is the declared length, 0 when it is not declared, and -1
    when there is no body; `defect` is what makes the head unreadable."""

    body_bytes: int
    client_id: str | None
    defect: CallerError | None


# A length that no body has: above every limit.
_ENDLESS = 1 << 62
_value_of = itemgetter(1)


def read_head(scope: Scope, query_bytes: int) -> Head:
    """Unreadable: bytes that are not UTF-8, or NUL, in path, query or header, and a query longer than `query_bytes`."""
    headers = scope["headers"]
    by_name = dict(headers)
    length = by_name.get(b"content-length")
    if length is not None:
        body_bytes = int(length) if length.isdigit() and len(length) < 19 else _ENDLESS
    else:
        body_bytes = 0 if b"transfer-encoding" in by_name else -1
    named = by_name.get(b"x-request-id")
    client_id = None if named is None else client_request_id(named)
    values = b"".join(map(_value_of, headers))
    defect = None if values.isascii() and b"\0" not in values else _header_defect(headers)
    raw_path, query = scope.get("raw_path"), scope["query_string"]
    if "\0" in scope["path"] or (raw_path and b"%" in raw_path and not _is_text(unquote_to_bytes(raw_path))):
        defect = InvalidInput("The path is not valid UTF-8 text, or holds a NUL character.", where="path")
    elif query:
        if len(query) > query_bytes:
            defect = InvalidInput(f"The query string is longer than {query_bytes} bytes.", where="query")
        elif (b"%" in query or not query.isascii() or b"\0" in query) and not _is_text(unquote_to_bytes(query)):
            defect = InvalidInput("The query is not valid UTF-8 text, or holds a NUL character.", where="query")
    return Head(body_bytes, client_id, defect)


def _header_defect(headers: Iterable[tuple[bytes, bytes]]) -> CallerError | None:
    for name, value in headers:
        if not _is_text(value):
            shown = name.decode("latin-1")
            message = f"The header {shown} is not valid UTF-8 text, or holds a NUL character."
            return InvalidInput(message, field=shown, where="header")
    return None


def _is_text(data: bytes) -> bool:
    if b"\0" in data:
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class GuardedBody:
    """A `receive` that raises TooLarge beyond the size limit and BodyTimeout for a body that stalls or takes too long,
    inside the dialect, so that its own renderer answers. Once the body is whole it only passes on."""

    __slots__ = ("_deadline", "_declared", "_idle_s", "_left", "_limit", "_loop", "_receive", "_whole")

    def __init__(self, receive: Receive, declared: int, limits: LimitSettings) -> None:
        self._receive = receive
        self._declared = declared
        self._limit = limits.body_bytes
        self._left = limits.body_bytes
        self._idle_s = limits.body_idle_timeout_s
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + limits.body_timeout_s
        self._whole = False

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        if self._declared > self._limit:
            raise TooLarge(f"The body is larger than {self._limit} bytes.", limit_bytes=self._limit)
        try:
            async with asyncio.timeout_at(min(self._deadline, self._loop.time() + self._idle_s)):
                message = await self._receive()
        except TimeoutError:
            raise BodyTimeout("The request body did not arrive in time.") from None
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise TooLarge(f"The body is larger than {self._limit} bytes.", limit_bytes=self._limit)
            self._whole = not message.get("more_body", False)
        else:
            self._whole = True
        return message

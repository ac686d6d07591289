"""Ids for requests, and the checks that every request passes before a dialect sees it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

from gesta.apis.common.errors import BodyTimeout
from gesta.kernel.errors import CallerError, InvalidInput, TooLarge
from gesta.kernel.ids import IdSource

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")


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
        variant = "89ab"[int(digits[16], 16) & 3]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def client_request_id(value: bytes) -> str | None:
    """What the caller calls this request, for the log, if it is short and harmless."""
    return value.decode() if _SANE_ID.fullmatch(value) else None


def defect(scope: Scope, query_bytes: int) -> CallerError | None:
    """What makes this request's head unreadable: bytes that are not UTF-8, or NUL, in path, query or header; or a query
    longer than `query_bytes`. None for every request that a dialect can be given."""
    raw_path = scope.get("raw_path") or b""
    if b"%" in raw_path and not _is_text(unquote_to_bytes(raw_path)):
        return InvalidInput("The path is not valid UTF-8 text.", where="path")
    query = scope["query_string"]
    if query:
        if len(query) > query_bytes:
            return InvalidInput(f"The query string is longer than {query_bytes} bytes.", where="query")
        if (b"%" in query or not query.isascii() or b"\0" in query) and not _is_text(unquote_to_bytes(query)):
            return InvalidInput("The query string is not valid UTF-8 text.", where="query")
    if "\0" in scope["path"]:
        return InvalidInput("The path holds a NUL character.", where="path")
    for name, value in scope["headers"]:
        if (not value.isascii() or b"\0" in value) and not _is_text(value):
            shown = name.decode("latin-1")
            return InvalidInput(f"The header {shown} is not valid UTF-8 text.", field=shown, where="header")
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

    def __init__(self, receive: Receive, declared: int, limit: int, idle_s: float, total_s: float) -> None:
        self._receive = receive
        self._declared = declared
        self._limit = limit
        self._left = limit
        self._idle_s = idle_s
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + total_s
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

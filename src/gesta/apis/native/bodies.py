"""Request bodies, bounded in size and in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.types import Message

from gesta.apis.common.errors import BodyTimeout
from gesta.apis.common.services import Limits
from gesta.apis.native.errors import UnsupportedMediaType
from gesta.kernel.errors import InvalidInput, TooLarge

JSON = "application/json"
NDJSON = "application/x-ndjson"
MAX_LINE_BYTES = 1024 * 1024

# The dispatcher bounds every body as a whole. A stream of rows has no such end: where the dispatcher leaves the
# server's own `receive` under this name, the stream is read from it and bounded line by line here.
UNGUARDED_RECEIVE = "gesta.unguarded_receive"


def content_type(request: Request, *accepted: str) -> str:
    """The media type of the body. Raises UnsupportedMediaType for any other than `accepted`, and for an encoding."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedMediaType("Send the body without Content-Encoding.")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in accepted:
        raise UnsupportedMediaType(f"Send Content-Type {' or '.join(accepted)}, not {media_type[:64] or 'none'}.")
    return media_type


def _part(message: Message) -> tuple[bytes, bool]:
    if message["type"] == "http.disconnect":
        raise InvalidInput("The connection closed before the body ended.")
    return message.get("body", b""), message.get("more_body", False)


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body. Raises TooLarge above `limits.body_bytes`, BodyTimeout after `limits.body_timeout_s`."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > limits.body_bytes:
        raise TooLarge(f"The body is larger than {limits.body_bytes} bytes.")
    parts: list[bytes] = []
    size = 0
    more = True
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            while more:
                part, more = _part(await request.receive())
                size += len(part)
                if size > limits.body_bytes:
                    raise TooLarge(f"The body is larger than {limits.body_bytes} bytes.")
                parts.append(part)
    except TimeoutError:
        raise BodyTimeout("The request body did not arrive in time.") from None
    return b"".join(parts)


async def read_lines(request: Request, limits: Limits, *, pause_s: float) -> AsyncGenerator[bytes | None, None]:
    """Complete lines without their end, as they arrive; None when nothing more arrived for `pause_s`.

    Holds at most one line and one part of the body. Raises TooLarge for a line above 1 MiB, BodyTimeout when nothing
    arrives for `limits.body_timeout_s`, InvalidInput when the connection closes early.
    """
    receive = request.scope.get(UNGUARDED_RECEIVE, request.receive)
    pieces: list[bytes] = []
    held = 0
    more = True
    while more:
        message = asyncio.ensure_future(receive())
        try:
            done, _ = await asyncio.wait({message}, timeout=pause_s)
            if not done:
                yield None
                done, _ = await asyncio.wait({message}, timeout=limits.body_timeout_s)
                if not done:
                    raise BodyTimeout("The next part of the body did not arrive in time.")
        finally:
            if not message.done():
                message.cancel()
        part, more = _part(message.result())
        *lines, rest = part.split(b"\n")
        for line in lines:
            if held + len(line) > MAX_LINE_BYTES:
                raise _line_too_long()
            yield b"".join((*pieces, line)) if pieces else line
            pieces, held = [], 0
        if rest:
            pieces.append(rest)
            held += len(rest)
        if held > MAX_LINE_BYTES:
            raise _line_too_long()
    if pieces:
        yield b"".join(pieces)


def _line_too_long() -> TooLarge:
    return TooLarge(f"A line is longer than {MAX_LINE_BYTES} bytes.")

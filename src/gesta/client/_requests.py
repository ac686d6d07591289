"""Requests as values, and answers read: all that the sync and the async client share. No I/O."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from gesta.client._errors import ClientError, NotConfigured, ProtocolError, Unreachable, api_error
from gesta.client._shapes import RowResult, StreamItem
from gesta.client._sse import ServerSentEvent

DEFAULT_URL = "http://127.0.0.1:8080"
CHUNK_ROWS = 1000
CHUNK_BYTES = 1024 * 1024
MAX_ROW_BYTES = 1024 * 1024 - 1
# Of a batch whose every row is invalid, the server tells about so many.
SHOWN_RESULTS = 100
PAGE_ROWS = 500
CONNECT_TIMEOUT_S = 5.0
TIMEOUT_S = 60.0
EXPORT_FORMATS = ("csv", "ndjson", "parquet")
_ENCODER = msgspec.json.Encoder(decimal_format="string")


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request."""

    method: str
    path: str
    params: list[tuple[str, str]] = []
    headers: dict[str, str] = {}
    content: bytes = b""


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Encoded rows that go in one request: `rows` are (index, line)."""

    rows: list[tuple[int, bytes]]


def base_url(url: str | None) -> str:
    """The URL given, that of GESTA_URL, or the local default. Raises NotConfigured for a text that is no URL."""
    chosen = (url or os.environ.get("GESTA_URL") or DEFAULT_URL).strip().rstrip("/")
    try:
        parts = urlsplit(chosen)
        _ = parts.port
    except ValueError:
        raise NotConfigured(f"{chosen!r} is not a URL like {DEFAULT_URL}.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotConfigured(f"{chosen!r} is not a URL like {DEFAULT_URL}.")
    return chosen


def headers_of(token: str | None) -> dict[str, str]:
    """The headers of every request. Raises NotConfigured without a usable token."""
    chosen = (token or os.environ.get("GESTA_TOKEN") or "").strip()
    if not chosen:
        raise NotConfigured("There is no token: pass one, or set GESTA_TOKEN. `gesta keys create` makes one.")
    if not chosen.isascii() or not chosen.isprintable() or " " in chosen:
        raise NotConfigured("The token holds characters that no token has.")
    return {"Authorization": f"Bearer {chosen}", "User-Agent": "gesta-client"}


def params_of(filters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Query parameters: None is left out, a list is repeated, times are RFC 3339, truth is `true` and `false`."""
    pairs: list[tuple[str, str]] = []
    for name, value in filters.items():
        for one in value if isinstance(value, (list, tuple, set, frozenset)) else [value]:
            if one is None:
                continue
            if isinstance(one, bool):
                text = "true" if one else "false"
            elif isinstance(one, datetime):
                if one.tzinfo is None:
                    raise ValueError(f"`{name}` needs a time zone: {one!r}")
                text = one.isoformat()
            else:
                text = str(one)
            pairs.append((name, text))
    return pairs


def chunks(rows: Iterable[Mapping[str, Any] | bytes]) -> Iterator[Chunk | RowResult]:
    """Rows encoded and gathered, lazily; a row above the server's bound is a result at once."""
    held: list[tuple[int, bytes]] = []
    size = 0
    for index, row in enumerate(rows):
        line = encode_row(row)
        if len(line) > MAX_ROW_BYTES:
            error = {"code": "too_large", "detail": f"The row has more than {MAX_ROW_BYTES} bytes."}
            yield RowResult(index=index, outcome="invalid", error=error)
            continue
        if held and (len(held) >= CHUNK_ROWS or size + len(line) > CHUNK_BYTES):
            yield Chunk(rows=held)
            held, size = [], 0
        held.append((index, line))
        size += len(line) + 1
    if held:
        yield Chunk(rows=held)


def encode_row(row: Mapping[str, Any] | bytes) -> bytes:
    """One line of NDJSON. Bytes are taken as they are, on one line."""
    if isinstance(row, bytes):
        return row.strip().replace(b"\r", b" ").replace(b"\n", b" ") or b"null"
    return _ENCODER.encode(row)


def ingest_call(chunk: Chunk, *, dialect: str | None, time_zone: str | None) -> Call:
    return Call(
        method="POST",
        path="/ledger/executions",
        params=params_of({"dialect": dialect, "time_zone": time_zone}),
        headers={"Content-Type": "application/x-ndjson"},
        content=b"\n".join(line for _, line in chunk.rows) + b"\n",
    )


def ingest_results(chunk: Chunk, body: bytes) -> list[RowResult]:
    """The results of a chunk. Raises Unreachable for an answer that was cut off, ProtocolError for another one."""
    try:
        lines = [msgspec.json.decode(line, type=dict[str, Any]) for line in body.splitlines() if line.strip()]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"The results are not JSON lines: {error}") from None
    if not lines or "summary" not in lines[-1]:
        raise Unreachable("The results were cut off.")
    return row_results(chunk, lines[:-1])


def row_results(chunk: Chunk, lines: Iterable[Mapping[str, Any]]) -> list[RowResult]:
    """The server's results, its `line` turned into the index of the row. Raises ProtocolError if they do not fit."""
    found: list[RowResult] = []
    try:
        for line in lines:
            index = chunk.rows[int(line["line"]) - 1][0]
            found.append(
                RowResult(
                    index=index,
                    outcome=str(line["outcome"]),
                    id=str(line.get("id") or ""),
                    seq=int(line.get("seq") or 0),
                    error=line.get("error"),
                )
            )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ProtocolError(f"The results do not fit the rows: {error!r}") from None
    return found


def refused_whole(chunk: Chunk, error: ClientError) -> list[RowResult] | list[Chunk] | None:
    """What to do with a chunk of which the server says that every row is invalid: its results, or smaller chunks where
    it told about some rows only. None if the error is another one."""
    problem = getattr(error, "problem", {})
    if getattr(error, "status", 0) != 422 or "results" not in problem:
        return None
    if len(problem["results"]) >= len(chunk.rows):
        return row_results(chunk, problem["results"])
    return [Chunk(rows=chunk.rows[start : start + SHOWN_RESULTS]) for start in range(0, len(chunk.rows), SHOWN_RESULTS)]


def execution_call(execution_id: str, filters: Mapping[str, Any], *, part: str = "") -> Call:
    if not execution_id:
        raise ValueError("an execution id cannot be empty")
    path = f"/ledger/executions/{quote(execution_id, safe='')}{part}"
    return Call(method="GET", path=path, params=params_of(filters))


def decode_object(body: bytes) -> dict[str, Any]:
    """Raises ProtocolError for anything but a JSON object."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"The answer is not a JSON object: {error}") from None


def items_of(page: Mapping[str, Any]) -> list[dict[str, Any]]:
    items = page.get("items")
    if not isinstance(items, list):
        raise ProtocolError("The answer has no `items`.")
    return items


def stream_call(after: int | None, filters: Mapping[str, Any]) -> Call:
    headers = {"Accept": "text/event-stream"}
    if after is not None:
        headers["Last-Event-ID"] = str(after)
    return Call(method="GET", path="/ledger/stream", params=params_of(filters), headers=headers)


def stream_item(event: ServerSentEvent) -> StreamItem | None:
    """The item of an event; None for `ready`. Raises the error that a `problem` event tells."""
    if event.type == "ready":
        return None
    data = event.data.encode()
    if event.type == "problem":
        problem = decode_object(data)
        raise api_error(int(problem.get("status") or 500), {}, data)
    try:
        return msgspec.json.decode(data, type=StreamItem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"An event of the stream is not one of Gesta's: {error}") from None


def export_format(path: Path, format: str | None) -> str:
    """The format asked for, or that of the file's name. Raises ValueError for another."""
    chosen = format or path.suffix.lstrip(".").lower()
    if chosen not in EXPORT_FORMATS:
        raise ValueError(f"an export is one of {', '.join(EXPORT_FORMATS)}, not {chosen!r}")
    return chosen


def unreachable(url: str, error: Exception) -> Unreachable:
    """A transport's error as ours."""
    return Unreachable(f"{url} does not answer: {error or type(error).__name__}")

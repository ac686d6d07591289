"""The event stream parser: whole, byte by byte, with any line end."""

from __future__ import annotations

import pytest

from gesta.client._errors import ProtocolError
from gesta.client._sse import MAX_EVENT_BYTES, ServerSentEvent, SseParser

BODY = (
    ": hello\nretry: 5\nid: 1\nevent: ready\ndata: {}\n\ndata: a\ndata:b\nid: 2\n\nevent: empty\n\n: x\n\ndata: é\n\n"
)
EVENTS = [
    ServerSentEvent("1", "ready", "{}"),
    ServerSentEvent("2", "message", "a\nb"),
    ServerSentEvent("2", "message", "é"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_parts_of_any_size(size: int, end: str) -> None:
    body = BODY.replace("\n", end).encode()
    parser = SseParser()
    found = [event for start in range(0, len(body), size) for event in parser.feed(body[start : start + size])]
    assert found == EVENTS


def test_an_event_without_end_is_an_error() -> None:
    parser = SseParser()
    for _ in range(MAX_EVENT_BYTES // 1_000_000):
        parser.feed(b"x" * 1_000_000)
    with pytest.raises(ProtocolError):
        parser.feed(b"x" * 1_000_000)

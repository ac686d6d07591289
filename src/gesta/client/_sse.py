"""Server-Sent Events out of parts of any size. No I/O; the format is the HTML standard's, UTF-8 only."""

from __future__ import annotations

import msgspec

from gesta.client._errors import ProtocolError

MAX_EVENT_BYTES = 16 * 1024 * 1024


class ServerSentEvent(msgspec.Struct, frozen=True):
    id: str
    type: str
    data: str


class SseParser:
    """Feed parts of the body, get the events that they complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._id = ""
        self._type = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, part: bytes) -> list[ServerSentEvent]:
        """Raises ProtocolError for an event above MAX_EVENT_BYTES."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        if len(self._rest) + self._size > MAX_EVENT_BYTES:
            raise ProtocolError("An event of the stream is larger than 16 MiB.")
        found = [self._line(line.removesuffix(b"\r").decode("utf-8", "replace")) for line in lines]
        return [event for event in found if event is not None]

    def _line(self, line: str) -> ServerSentEvent | None:
        if not line:
            event = ServerSentEvent(self._id, self._type or "message", "\n".join(self._data)) if self._data else None
            self._type, self._data, self._size = "", [], 0
            return event
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._size += len(value)
        elif name == "event":
            self._type = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

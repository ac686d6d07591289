"""What a client may say on `/ws/stream`, read and bounded (protocols/crosstrade.md §3.1). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from gesta.apis.crosstrade.market_pushes import MAX_INSTRUMENTS
from gesta.apis.crosstrade.outbox import Topic
from gesta.kernel.errors import InvalidInput
from gesta.kernel.json import decode_json_exact

DEFAULT_INTERVAL_MS: Final = 1000
MIN_INTERVAL_MS: Final = 100
MAX_INTERVAL_MS: Final = 60_000
_LONGEST_NAME: Final = 64
_TOPICS: Final = {topic.value: topic for topic in Topic}
_EVENTS: Final = ", ".join(_TOPICS)


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """`subscribe` or `unsubscribe`: instruments as they are named, account events, or both. `interval_ms` is None where
    none is given. `origin` is the client's own word, echoed: accounts of every origin are the same here."""

    instruments: tuple[str, ...] = ()
    topics: tuple[Topic, ...] = ()
    interval_ms: int | None = None
    origin: str | None = None


def read_frame(text: str | None) -> dict[str, Any]:
    """Raises InvalidInput for anything but a JSON object. `text` is None for a binary frame."""
    if text is None:
        raise InvalidInput("Frames are JSON text, not binary")
    frame = decode_json_exact(text)
    if not isinstance(frame, dict):
        raise InvalidInput("A frame is a JSON object")
    return frame


def read_frame_id(frame: Mapping[str, Any]) -> Any:
    """The caller's own id, echoed: text, a number or nothing."""
    frame_id = frame.get("id")
    if isinstance(frame_id, (dict, list)):
        raise InvalidInput("`id` must be text or a number", field="id")
    return frame_id


def read_subscription(frame: Mapping[str, Any]) -> Subscription:
    """Raises InvalidInput, naming the key."""
    instruments = _words(frame, "instruments", MAX_INSTRUMENTS)
    events = _words(frame, "events", len(Topic))
    if not instruments and not events:
        raise InvalidInput(
            f'Give `instruments` (such as ["ES 12-26"]), or `events` ({_EVENTS}), or both.', field="instruments"
        )
    for event in events:
        if event not in _TOPICS:
            raise InvalidInput(f"`events` are {_EVENTS}, not {event!r}.", field="events")
    origin = frame.get("origin")
    if origin is not None and not (isinstance(origin, str) and len(origin) <= _LONGEST_NAME):
        raise InvalidInput(f"`origin` must be text of at most {_LONGEST_NAME} characters.", field="origin")
    return Subscription(
        instruments=instruments,
        topics=tuple(_TOPICS[event] for event in events),
        interval_ms=_interval(frame),
        origin=origin,
    )


def read_pnl(frame: Mapping[str, Any]) -> int | None:
    """The interval of `streamPnl` in milliseconds; None where it is to end. Raises InvalidInput, naming the key."""
    enabled = frame.get("enabled", True)
    if not isinstance(enabled, bool):
        raise InvalidInput("`enabled` must be true or false.", field="enabled")
    interval_ms = _interval(frame)
    if not enabled:
        return None
    return DEFAULT_INTERVAL_MS if interval_ms is None else interval_ms


def _words(frame: Mapping[str, Any], key: str, most: int) -> tuple[str, ...]:
    """The list of texts under `key`, each once, in the order given."""
    given = frame.get(key)
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > most:
        raise InvalidInput(f"`{key}` must be a list of at most {most} names.", field=key)
    for name in given:
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME or "\0" in name:
            raise InvalidInput(f"`{key}` must hold names of 1 to {_LONGEST_NAME} characters.", field=key)
    return tuple(dict.fromkeys(given))


def _interval(frame: Mapping[str, Any]) -> int | None:
    given = frame.get("interval")
    if given is None:
        return None
    is_number = isinstance(given, (int, Decimal)) and not isinstance(given, bool)
    if not is_number or not MIN_INTERVAL_MS <= given <= MAX_INTERVAL_MS:
        raise InvalidInput(
            f"`interval` must be a number of milliseconds from {MIN_INTERVAL_MS} to {MAX_INTERVAL_MS}.",
            field="interval",
        )
    return int(given)


__all__ = [
    "DEFAULT_INTERVAL_MS",
    "MAX_INTERVAL_MS",
    "MIN_INTERVAL_MS",
    "Subscription",
    "read_frame",
    "read_frame_id",
    "read_pnl",
    "read_subscription",
]

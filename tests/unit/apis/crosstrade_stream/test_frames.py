"""Whatever a client says is read, or refused with one kind of error."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.apis.crosstrade.frames import (
    MAX_INTERVAL_MS,
    MIN_INTERVAL_MS,
    read_frame,
    read_frame_id,
    read_pnl,
    read_subscription,
)
from gesta.apis.crosstrade.outbox import Topic
from gesta.kernel.errors import InvalidInput

WORDS = st.sampled_from(["orders", "executions", "positions", "ES", "ES 12-26", "", "x" * 65, "\0"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["id", "instruments", "events", "interval", "origin", "enabled", "other"])


def attempt(read: Callable[[Any], Any], said: Any) -> tuple[Any, InvalidInput | None]:
    """What is read, or how it is refused."""
    try:
        return read(said), None
    except InvalidInput as error:
        return None, error


def outcome(read: Callable[[Any], Any], given: Any) -> Any:
    """What is read, or None where it is refused."""
    try:
        return read(given)
    except InvalidInput:
        return None


@given(said=st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_frame_is_read_or_refused(said: dict[str, Any]) -> None:
    frame = outcome(read_frame, json.dumps(said))
    if frame is None:
        return  # NaN and infinities are no JSON
    asked = outcome(read_subscription, frame)
    interval_ms: int | None = outcome(read_pnl, frame)
    for each in (interval_ms, None if asked is None else asked.interval_ms):
        assert each is None or MIN_INTERVAL_MS <= each <= MAX_INTERVAL_MS
    assert not isinstance(outcome(read_frame_id, frame), (dict, list))


@given(text=st.text(max_size=200))
def test_any_text_is_an_object_or_refused(text: str) -> None:
    assert isinstance(outcome(read_frame, text), (dict, type(None)))


def test_what_is_said_is_what_is_read() -> None:
    asked = read_subscription(
        read_frame('{"instruments":["ES","NQ","ES"],"events":["positions","orders"],"interval":250.0,"origin":"nt8"}')
    )
    assert asked.instruments == ("ES", "NQ")
    assert asked.topics == (Topic.POSITIONS, Topic.ORDERS)
    assert (asked.interval_ms, asked.origin) == (250, "nt8")
    assert read_pnl({"enabled": False, "interval": 500}) is None
    assert read_pnl({}) == 1000
    assert read_pnl({"interval": 100}) == 100


def test_a_binary_frame_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not binary"):
        read_frame(None)

"""Messages to `/ws/executors`, read (protocols/hummingbot.md §11.4)."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.apis.hummingbot.ws_frames import Asked, Topic, read_frame, subscription_of
from gesta.kernel.errors import InvalidInput
from gesta.ledger.records import Severity, Status

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("update_interval", "filters", "executor_id", "controller_id", "level", "limit", "bot_name")


@pytest.mark.parametrize(
    ("frame", "id_"),
    [
        ({"type": "executors"}, "executors_99914b93"),
        ({"type": "executors", "filters": {}}, "executors_99914b93"),
        ({"type": "executors", "filters": None}, "executors_99914b93"),
        ({"type": "executor_detail", "executor_id": "a/b"}, "executor_detail_a/b"),
        ({"type": "executor_summary", "executor_id": "ignored"}, "executor_summary"),
        ({"type": "performance"}, "performance_all"),
        ({"type": "performance", "controller_id": ""}, "performance_all"),
        ({"type": "positions", "controller_id": "mm"}, "positions_mm"),
        ({"type": "executor_logs", "executor_id": "x", "level": None}, "executor_logs_x"),
    ],
)
def test_ids_are_those_of_hummingbot(frame: dict[str, Any], id_: str) -> None:
    assert subscription_of(frame).id == id_


def test_filters() -> None:
    filters = {
        "account_name": "Master_Account",
        "connector_name": "binance",
        "trading_pair": "BTC-USDT",
        "executor_type": "grid_executor",
        "controller_id": None,
        "status": "running",
        "limit": 7,
    }
    search = subscription_of({"type": "executors", "filters": filters}).what.search
    assert search is not None
    assert (search.accounts, search.connectors, search.pairs, search.types, search.controllers, search.limit) == (
        frozenset({"master_account"}),
        frozenset({"binance"}),
        frozenset({"BTC-USDT"}),
        frozenset({"grid_executor"}),
        frozenset(),
        7,
    )
    assert Status.RUNNING in search.statuses


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ([], "filters is an object"),
        ({"side": "BUY"}, "Unknown filter: side"),
        ({"status": "RUNING"}, "filters.status: Input should be"),
        ({"executor_type": "grid"}, "filters.executor_type: Input should be"),
        ({"account_name": 7}, "filters.account_name: Input should be a valid string"),
        ({"trading_pair": ["BTC-USDT"]}, "filters.trading_pair: Input should be a valid string"),
        ({"limit": 1001}, "filters.limit: Input should be less than or equal to 1000"),
        ({"connector_name": "\0"}, "filters.connector_name: Input should have printable"),
    ],
)
def test_filters_that_cannot_be(filters: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match="filter") as refused:
        subscription_of({"type": "executors", "filters": filters})
    assert said in refused.value.message


@pytest.mark.parametrize(
    ("asked", "interval_s"),
    [(None, 2), (0.5, 0.5), (60, 60), (0, 0.5), (-1e300, 0.5), (1e300, 60), (10**400, 60), (float("inf"), 60), (7, 7)],
)
def test_the_interval_is_within_its_bounds(asked: Any, interval_s: float) -> None:
    assert subscription_of({"type": "executor_summary", "update_interval": asked}).interval_s == interval_s


def test_logs() -> None:
    logs = subscription_of({"type": "executor_logs", "executor_id": "x"}).logs
    assert logs is not None
    assert (logs.level, logs.limit) == (None, 100)
    logs = subscription_of({"type": "executor_logs", "executor_id": "x", "level": "Error", "limit": 1000}).logs
    assert logs is not None
    assert (logs.level, logs.limit) == (Severity.ERROR, 1000)
    for more in ({"level": "FATAL"}, {"level": 1}, {"limit": 0}, {"limit": 1001}, {"limit": True}, {"limit": "5"}):
        with pytest.raises(InvalidInput):
            subscription_of({"type": "executor_logs", "executor_id": "x", **more})


@given(st.dictionaries(st.sampled_from(NAMES), JSON), st.sampled_from(list(Topic)) | JSON)
def test_anything_is_read_or_refused(frame: dict[str, Any], topic: Any) -> None:
    try:
        asked = subscription_of({"type": topic, **frame})
    except InvalidInput as error:
        said = error.message
    else:
        said = asked.id
        assert isinstance(asked, Asked)
        assert {asked.what: 1}[asked.what]
        assert 0.5 <= asked.interval_s <= 60
    assert 0 < len(said) < 1000


@given(st.text() | st.none())
def test_any_text_is_an_object_or_refused(text: str | None) -> None:
    with contextlib.suppress(InvalidInput):
        assert isinstance(read_frame(text), dict)

"""The executor codec: tables, refusals, and laws that hold for any object."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.access.model import Account, AccountType, Environment
from gesta.apis.common.posted import as_recorded
from gesta.apis.hummingbot import codec
from gesta.kernel.errors import InvalidInput
from gesta.ledger.lifecycle import TERMINAL, check_birth
from gesta.ledger.records import Execution, ExecutorDetail, Kind, NewExecution, Status

NOW_US = 1_760_000_000_000_000
ACCOUNT = Account(
    id=7, organization=1, name="master_account", type=AccountType.TRADING, environment=Environment.PRODUCTION
)
BARE = {"executor_id": "e1", "status": "RUNNING"}


def recorded(posted: Any) -> Execution:
    decoded = codec.decode(posted, now_us=NOW_US, organization="org_1")
    new = decoded.row(ACCOUNT)
    stored = msgspec.json.decode(msgspec.json.encode(new), type=NewExecution)
    check_birth(stored.kind, stored.status)
    return msgspec.structs.replace(as_recorded(stored), wire=stored.wire)


def test_every_canonical_status_has_a_name_and_comes_back() -> None:
    assert set(codec.RUNNABLE_STATUS) == set(Status)
    for status, name in codec.RUNNABLE_STATUS.items():
        if status in (Status.AWAITING_PAYMENT, Status.PAID, Status.WAITING):
            continue
        close_type = codec.CLOSE_TYPE_OF_STATUS.get(status)
        again = recorded(BARE | {"status": name, "close_type": close_type})
        assert again.status is status


@pytest.mark.parametrize(("close_type", "status"), codec.STATUS_OF_CLOSE_TYPE.items())
def test_how_it_ended_decides_the_status(close_type: str, status: Status) -> None:
    ended = recorded(BARE | {"status": "TERMINATED", "close_type": close_type, "close_timestamp": 1705315801.5})
    assert (ended.status, ended.finished_at_us) == (status, 1_705_315_801_500_000)
    assert status in TERMINAL
    body = codec.encode(ended, ACCOUNT)
    assert (body["status"], body["close_type"], body["close_timestamp"]) == ("TERMINATED", close_type, 1705315801.5)


def test_an_end_without_a_close_type_is_kept_as_posted() -> None:
    ended = recorded(BARE | {"status": "TERMINATED", "close_type": None})
    assert ended.status is Status.SUCCEEDED
    assert codec.encode(ended, ACCOUNT)["close_type"] is None
    assert codec.encode(msgspec.structs.replace(ended, wire=None), ACCOUNT)["close_type"] == "COMPLETED"


@pytest.mark.parametrize(("executor_type", "is_active"), [("grid_executor", True), ("position_executor", False)])
def test_activity_while_stopping_depends_on_the_type(executor_type: str, is_active: bool) -> None:
    stopping = recorded(BARE | {"status": "SHUTTING_DOWN", "executor_type": executor_type})
    assert codec.encode(stopping, ACCOUNT)["is_active"] is is_active


def test_what_the_record_keeps_of_the_example() -> None:
    posted = {"account_name": "desk", "created_at": "2024-01-15T10:30:00Z", "timestamp": 1705315800, "side": "SELL"}
    posted |= {"net_pnl_quote": 0.1, "trading_pair": "BTC-USDT", "controller_id": "main"}
    decoded = codec.decode(BARE | posted, now_us=NOW_US, organization="org_1")
    assert (decoded.account_name, decoded.account_type) == ("desk", AccountType.TRADING)
    row = decoded.row(ACCOUNT)
    assert (row.id, row.origin, row.kind, row.account) == ("e1", "hummingbot", Kind.EXECUTOR, 7)
    assert row.created_at_us == 1_705_314_600_000_000
    assert row.correlation == {"trading_pair": "BTC-USDT", "controller_id": "main"}
    assert isinstance(row.detail, ExecutorDetail)
    assert row.detail.net_pnl_quote == Decimal("0.1")


@pytest.mark.parametrize(
    ("times", "created_at_us"),
    [
        ({}, NOW_US),
        ({"close_timestamp": 2}, 2_000_000),
        ({"timestamp": 1.000001, "close_timestamp": 2}, 1_000_001),
        ({"timestamp": 5, "created_at": "1970-01-01T00:00:03+00:00"}, 3_000_000),
    ],
)
def test_when_it_was_created(times: dict[str, Any], created_at_us: int) -> None:
    assert recorded(BARE | times).created_at_us == created_at_us


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("executor_id", None),
        ("executor_id", ""),
        ("executor_id", 5),
        ("executor_id", "a/b"),
        ("executor_id", "a\nb"),
        ("executor_id", "x" * 129),
        ("status", None),
        ("status", "running"),
        ("status", 2),
        ("status", "NO_SUCH"),
        ("close_type", "EXPLODED"),
        ("side", 1),
        ("side", "buy"),
        ("is_active", "yes"),
        ("is_active", 1),
        ("is_trading", 0),
        ("net_pnl_quote", "1.5"),
        ("net_pnl_quote", True),
        ("net_pnl_pct", 1e300),
        ("cum_fees_quote", 1e-300),
        ("filled_amount_quote", []),
        ("timestamp", "1705315800"),
        ("timestamp", 1e18),
        ("close_timestamp", -1e18),
        ("created_at", 1705315800),
        ("created_at", "yesterday"),
        ("created_at", "2024-02-30T00:00:00Z"),
        ("created_at", "0001-01-01T00:00:00+14:00"),
        ("created_at", "2024-01-01T00:00:00+99:99"),
        ("error_count", -1),
        ("error_count", 1.5),
        ("error_count", True),
        ("last_error", 5),
        ("config", []),
        ("custom_info", "x"),
        ("account_name", 5),
        ("account_name", "x" * 257),
        ("controller_id", {}),
        ("trading_pair", "A\0B"),
        ("anything", 2**70),
        ("anything", ["\0"]),
        ("anything", float("nan")),
    ],
)
def test_what_the_shape_does_not_allow_is_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        codec.decode(BARE | {field: value}, now_us=NOW_US, organization="org_1")
    assert refused.value.field == field


@pytest.mark.parametrize("posted", [[], "x", None, 5, {"executor_id": "e", "status": "RUNNING", "\0": 1}])
def test_what_is_not_an_object_is_refused(posted: Any) -> None:
    with pytest.raises(InvalidInput):
        codec.decode(posted, now_us=NOW_US, organization="org_1")


def test_deep_nesting_is_refused_before_it_costs_anything() -> None:
    deep: Any = 0
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(InvalidInput, match="deeper than 64"):
        codec.decode(BARE | {"config": {"a": deep}}, now_us=NOW_US, organization="org_1")


def test_numbers_that_are_not_finite_are_reported_as_zero() -> None:
    assert [codec.double(Decimal(text)) for text in ("NaN", "Infinity", "1e400", "-1e400", "0.1")] == [0, 0, 0, 0, 0.1]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = (
    *codec.REQUIRED,
    "side",
    "timestamp",
    "created_at",
    "close_type",
    "close_timestamp",
    "controller_id",
    "error_count",
    "last_error",
    "config",
    "custom_info",
)
anything = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), json_values)

amounts = st.floats(-1e20, 1e20).filter(lambda value: value == 0 or abs(value) > 1e-30) | st.integers(-(10**15), 10**15)
seconds = st.integers(0, 4_000_000_000) | st.floats(0, 4e9).map(lambda value: round(value, 3))
plain = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
documents = st.none() | st.dictionaries(plain, plain | st.booleans() | st.integers(-9, 9) | amounts, max_size=3)
executors = st.fixed_dictionaries(
    {"executor_id": st.from_regex(r"[A-Za-z0-9.<>_-]{1,20}", fullmatch=True)}
    | {"status": st.sampled_from(sorted(codec.STATUS_OF_RUNNABLE)), "is_active": st.booleans()}
    | {"is_trading": st.booleans(), "account_name": st.none() | st.just("desk"), "executor_type": st.none() | plain}
    | {"connector_name": st.none() | plain, "trading_pair": st.none() | plain}
    | dict.fromkeys(("net_pnl_quote", "net_pnl_pct", "cum_fees_quote", "filled_amount_quote"), amounts),
    optional={
        "side": st.sampled_from(["BUY", "SELL", "RANGE", None]),
        "timestamp": st.none() | seconds,
        "created_at": st.none() | st.datetimes().map(lambda moment: moment.isoformat() + "+00:00"),
        "close_type": st.none() | st.sampled_from(sorted(codec.STATUS_OF_CLOSE_TYPE)),
        "close_timestamp": st.none() | seconds,
        "controller_id": st.none() | plain,
        "error_count": st.none() | st.integers(0, 10**9),
        "last_error": st.none() | plain,
        "config": documents,
        "custom_info": documents,
        "closed_at": st.none() | plain,
    },
)


@given(anything)
def test_any_object_gives_a_row_or_one_kind_of_error(posted: Any) -> None:
    try:
        execution = recorded(posted)
    except InvalidInput:
        return
    codec.encode(execution, ACCOUNT)


@given(executors)
def test_an_executor_comes_out_as_it_was_posted(posted: Any) -> None:
    execution = recorded(posted)
    body = msgspec.json.decode(msgspec.json.encode(codec.encode(execution, ACCOUNT)))
    assert body == msgspec.json.decode(msgspec.json.encode(posted))


@given(executors)
def test_what_is_printed_reads_back_as_the_same_record(posted: Any) -> None:
    printed = codec.encode(msgspec.structs.replace(recorded(posted), wire=None), ACCOUNT)
    again = recorded(printed)
    assert codec.encode(msgspec.structs.replace(again, wire=None), ACCOUNT) == printed
    assert again.wire is None

"""Fills out and in: times, numbers, what is kept as posted, what is refused."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gesta.access.model import Account, AccountType, Environment
from gesta.apis.common.posted import as_recorded
from gesta.apis.crosstrade.codec import decode, encode, encode_reply, local_time
from gesta.apis.crosstrade.models import EXAMPLE_EXECUTION, Execution
from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import MAX_US, MIN_US, parse_rfc3339
from gesta.ledger.records import FillDetail, NewExecution, Side, Source, Status

# 2024-09-27T01:09:38.373Z, a year before the example's time in Los Angeles.
EXAMPLE_US = 1_727_399_378_373_000


def account(zone: str = "America/Los_Angeles", **fields: Any) -> Account:
    return msgspec.structs.replace(
        Account(
            id=7,
            organization=1,
            name="Sim101",
            type=AccountType.TRADING,
            environment=Environment.PRODUCTION,
            time_zone=zone,
        ),
        **fields,
    )


def example(**fields: Any) -> dict[str, Any]:
    return {**copy.deepcopy(EXAMPLE_EXECUTION), **fields}


def read(posted: dict[str, Any], where: Account | None = None) -> NewExecution:
    return decode(posted, now_us=0, organization="org_x").row(where or account())


def printed(posted: dict[str, Any], where: Account | None = None) -> dict[str, Any]:
    """What comes out of what was posted, after a stay in the ledger."""
    where = where or account()
    row = read(posted, where)
    wire = msgspec.json.decode(msgspec.json.encode(row.wire), type=type(row.wire)) if row.wire else None
    return encode(msgspec.structs.replace(as_recorded(row), wire=wire), where)


def test_the_example_is_read_as_what_it_says() -> None:
    decoded = decode(example(), now_us=0, organization="org_x")
    assert (decoded.account_name, decoded.account_type) == ("Sim101", AccountType.TRADING)
    assert decoded.environment is Environment.PRODUCTION
    row = decoded.row(account(currency="EUR"))
    assert (row.id, row.account, row.origin, row.name) == (EXAMPLE_EXECUTION["id"], 7, "ninjatrader", "Exit")
    assert (row.status, row.source) == (Status.SUCCEEDED, Source.VENUE)
    assert (row.created_at_us, row.started_at_us, row.finished_at_us) == (EXAMPLE_US,) * 3
    assert row.correlation == {"order_id": EXAMPLE_EXECUTION["orderId"], "instrument": "ES 12-25"}
    assert row.detail == FillDetail(
        order_id=EXAMPLE_EXECUTION["orderId"],
        instrument="ES 12-25",
        side=Side.SELL,
        quantity=Decimal(1),
        price=Decimal("5804.5"),
        currency="EUR",
        server_name="DESKTOP-200Q1V3",
        is_exit=True,
        is_exit_strategy=True,
        is_last_exit=True,
    )


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "UTC", "Asia/Kathmandu", "Australia/Lord_Howe"])
def test_the_example_comes_out_equal_in_any_zone(zone: str) -> None:
    assert printed(example(), account(zone)) == example()
    assert list(printed(example())) == list(EXAMPLE_EXECUTION)


@pytest.mark.parametrize(
    ("time", "epoch", "at_us"),
    [
        # Consistent: the digits below the millisecond are the time's.
        ("2024-09-26T18:09:38.3736787", 1727399378373, EXAMPLE_US + 678),
        ("2024-09-26T18:09:38.3736787", None, EXAMPLE_US + 678),
        ("2024-09-26T18:09:38.373", 1727399378373, EXAMPLE_US),
        ("2024-09-26T18:09:38", 1727399378000, EXAMPLE_US - 373_000),
        ("2024-09-27T01:09:38.3736787Z", 1727399378373, EXAMPLE_US + 678),
        ("2024-09-27T06:54:38.3736787+05:45", None, EXAMPLE_US + 678),
        # Inconsistent, by a year (the published example) and by a millisecond: the epoch decides.
        ("2025-09-26T18:09:38.3736787", 1727399378373, EXAMPLE_US),
        ("2024-09-26T18:09:38.3736787", 1727399378374, EXAMPLE_US + 1000),
        (None, 1727399378373, EXAMPLE_US),
        # The hour that the clock repeats: the epoch says which one; without it, the first.
        ("2024-11-03T01:30:00.0000005", 1730622600000, 1_730_622_600_000_000),
        ("2024-11-03T01:30:00.0000005", 1730626200000, 1_730_626_200_000_000),
        ("2024-11-03T01:30:00.0000005", None, 1_730_622_600_000_000),
        # The hour that the clock skips.
        ("2024-03-10T02:30:00.0000000", 1710066600000, 1_710_066_600_000_000),
        # Before 1970.
        ("1969-12-31T15:59:59.9996787", -1, -322),
    ],
)
def test_event_time(time: str | None, epoch: int | None, at_us: int) -> None:
    posted = example(time=time, epoch=epoch)
    assert read(posted).created_at_us == at_us
    out = printed(posted)
    assert out["epoch"] == at_us // 1000
    assert out["time"] == (time or local_time(at_us, "America/Los_Angeles"))


def test_local_time_has_seven_digits_and_no_zone() -> None:
    assert local_time(EXAMPLE_US + 678, "America/Los_Angeles") == "2024-09-26T18:09:38.3736780"
    assert local_time(EXAMPLE_US, "UTC") == "2024-09-27T01:09:38.3730000"
    assert local_time(0, "UTC") == "1970-01-01T00:00:00.0000000"
    assert local_time(parse_rfc3339("0987-01-02T03:04:05Z"), "UTC") == "0987-01-02T03:04:05.0000000"


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles", "UTC"])
def test_the_ends_of_the_calendar_are_printed(zone: str) -> None:
    for at_us in (MIN_US, MAX_US):
        assert len(local_time(at_us, zone)) == 27


def test_what_was_posted_is_printed_until_the_record_says_something_else() -> None:
    row = read(example(commission="0.625"))
    execution = as_recorded(row)
    stored = msgspec.structs.replace(execution, wire=row.wire)
    assert encode(stored, account())["commission"] == "0.625"
    assert isinstance(row.detail, FillDetail)
    corrected = msgspec.structs.replace(row.detail, commission=Decimal("1.1"))
    assert encode(msgspec.structs.replace(stored, detail=corrected), account())["commission"] == "1.10"
    # In another zone the same moment has another wall clock.
    assert encode(stored, account("UTC"))["time"] == "2024-09-27T01:09:38.3730000"


def test_unknown_keys_come_out_again_and_success_does_not() -> None:
    posted = example(fillType="Simulated", nested={"a": [1, None, {"b": 1.5}]}, success=True)
    out = printed(posted)
    del posted["success"]
    assert out == posted


def test_keys_left_out_are_printed_with_what_follows_from_the_rest() -> None:
    required = ("id", "account", "instrument", "marketPosition", "price", "quantity", "epoch")
    minimal = {key: EXAMPLE_EXECUTION[key] for key in required}
    out = printed(minimal)
    assert list(out) == list(EXAMPLE_EXECUTION)
    assert out == example(
        time="2024-09-26T18:09:38.3730000",
        name="",
        orderId="",
        serverName="GESTA",
        isExit=False,
        isExitStrategy=False,
        isLastExit=False,
    )
    assert read(minimal).correlation == {"instrument": "ES 12-25"}
    assert printed({**dict.fromkeys(EXAMPLE_EXECUTION), **minimal}) == out


@pytest.mark.parametrize("posted", [1.25, 1, "1.25", "0", "-3.5", "0.00000001", "1234567.891"])
def test_commission_is_always_text(posted: Any) -> None:
    out = printed(example(commission=posted))["commission"]
    assert isinstance(out, str)
    assert out == (posted if isinstance(posted, str) else f"{posted:.2f}")


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0.00"),
        ("-0.001", "0.00"),
        ("0.005", "0.01"),
        ("-0.005", "-0.01"),
        ("0.625", "0.63"),
        ("1E+3", "1000.00"),
        ("1E+30", "1" + "0" * 30),
    ],
)
def test_commission_has_two_decimals(amount: str, text: str) -> None:
    assert encode(fill(commission=Decimal(amount)), account())["commission"] == text


@pytest.mark.parametrize(
    ("value", "double", "whole"),
    [
        ("5804.5", "5804.5", "5804.5"),
        ("1", "1.0", "1"),
        ("1.000", "1.0", "1"),
        ("-0.5", "-0.5", "-0.5"),
        ("0.1", "0.1", "0.1"),
        ("0.1234567890123456789", "0.1234567890123456789", "0.1234567890123456789"),
        ("12345678901234567890.5", "12345678901234567890.5", "12345678901234567890.5"),
        ("1E+400", "1E+400", "1E+400"),
        ("1E-400", "1E-400", "1E-400"),
    ],
)
def test_numbers_keep_every_digit(value: str, double: str, whole: str) -> None:
    out = encode_reply(encode(fill(price=Decimal(value), quantity=Decimal(value)), account())).decode()
    assert f'"price":{double},' in out
    assert f'"quantity":{whole},' in out
    json.loads(out)


def fill(**fields: Any) -> Any:
    row = read(example())
    assert isinstance(row.detail, FillDetail)
    return msgspec.structs.replace(as_recorded(row), detail=msgspec.structs.replace(row.detail, **fields))


def test_a_fill_without_a_host_has_the_accounts() -> None:
    assert encode(fill(server_name=""), account(server_name="HOST"))["serverName"] == "HOST"
    assert printed(example(serverName=""), account(server_name="HOST"))["serverName"] == ""


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("id", [None, "", 5, True, [], "a/b", "a\0", "x" * 129]),
        ("type", ["Execution", 1]),
        ("time", [5, "yesterday", "2025-09-26", "2025-02-30T00:00:00", "2025-09-26T24:00:00", "0001-01-01T00:00:00"]),
        ("time", ["9999-12-31T00:00:00", "2025-09-26T18:09:38.37367871234", "2025-09-26T18:09:38+24:00", "٢٠٢٥" * 9]),
        ("epoch", ["1727399378373", 1.5, True, 10**18, -(10**18), 1e300, float("nan")]),
        ("name", [5, "x" * 257, "a\0b"]),
        ("orderId", [5, ["a"]]),
        ("account", [None, "", 5]),
        ("instrument", [None, "", 5]),
        ("marketPosition", [None, "", "long", "Flat", 1]),
        ("position", ["0", True, 1e300, float("inf")]),
        ("positionStrategy", [0.5, 2**63, "0"]),
        ("price", [None, "5804.5", True, float("nan"), 1e60, {}]),
        ("quantity", [None, -1, "1", False]),
        ("commission", ["$1.00", "1,00", "", "1e3", ".5", "٣", True, []]),
        ("slippage", ["0"]),
        ("isEntry", [0, "false"]),
        ("isSod", [1]),
        ("barsInProgress", [1.5]),
        ("unknown", ["a\0", 2**64]),
    ],
)
def test_each_defect_is_refused_by_name(field: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(InvalidInput) as refused:
            decode(example(**{field: value}), now_us=0, organization="org_x")
        assert refused.value.field == field, value


@pytest.mark.parametrize("posted", [None, [], "text", 5])
def test_what_is_no_object_is_refused(posted: Any) -> None:
    with pytest.raises(InvalidInput):
        decode(posted, now_us=0, organization="org_x")


def test_a_time_must_be_said() -> None:
    with pytest.raises(InvalidInput) as refused:
        decode(example(time=None, epoch=None), now_us=0, organization="org_x")
    assert refused.value.field == "time"


def test_the_documented_model_is_what_is_printed() -> None:
    msgspec.json.decode(encode_reply(printed(example())), type=Execution, strict=True)

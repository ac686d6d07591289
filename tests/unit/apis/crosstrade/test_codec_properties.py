"""decode(encode(x)) = x, posted objects come out equal, and any JSON gives a row or InvalidInput."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.access.model import Account, AccountType, Environment
from gesta.apis.common.overrides import same
from gesta.apis.common.posted import as_recorded
from gesta.apis.crosstrade.codec import ORIGIN, correlation_of, decode, encode, encode_reply, local_time
from gesta.apis.crosstrade.models import EXAMPLE_EXECUTION, NINJATRADER_EXECUTION, Execution
from gesta.kernel.errors import InvalidInput
from gesta.kernel.json import decode_json, encode_json
from gesta.kernel.times import MAX_US, MIN_US
from gesta.ledger.records import FillDetail, NewExecution, Side, Source, Status

ZONES = ("UTC", "America/Los_Angeles", "America/Chicago", "Asia/Kathmandu", "Australia/Lord_Howe", "Europe/Lisbon")
# 1902 to 2098, in microseconds.
TIMES = st.integers(-2_145_916_800_000_000, 4_070_908_800_000_000)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
IDS = st.text(st.sampled_from("abcdef0123456789|_-"), min_size=1, max_size=40)
# Fifteen digits: what a double says exactly.
NUMBERS = st.decimals(-999_999_999, 999_999_999, places=6)
QUANTITIES = st.decimals(0, 999_999, places=8)
MONEY = st.decimals(-99_999, 99_999, places=2)
INTEGERS = st.integers(-(2**53), 2**53)
FLAGS = (
    *("is_entry", "is_entry_strategy", "is_exit", "is_exit_strategy"),
    *("is_initial_entry", "is_last_exit", "is_start_of_day"),
)
ACCOUNTS = st.builds(
    Account,
    id=st.just(7),
    organization=st.just(1),
    name=st.just("Sim101"),
    type=st.just(AccountType.TRADING),
    environment=st.just(Environment.PRODUCTION),
    time_zone=st.sampled_from(ZONES),
)
DETAILS = st.builds(
    FillDetail,
    order_id=TEXT,
    instrument=TEXT.filter(bool),
    side=st.sampled_from(Side),
    quantity=QUANTITIES,
    price=NUMBERS,
    commission=MONEY,
    instrument_type=TEXT,
    exchange=TEXT,
    server_name=TEXT.filter(bool),
    position_after=NUMBERS,
    position_strategy=INTEGERS,
    rate=NUMBERS,
    lot_size=NUMBERS,
    slippage_ticks=NUMBERS,
    bars_in_progress=INTEGERS,
    **{flag: st.booleans() for flag in FLAGS},
)


@given(account=ACCOUNTS, detail=DETAILS, execution_id=IDS, name=TEXT, at_us=TIMES)
def test_a_fill_survives_the_wire(
    account: Account, detail: FillDetail, execution_id: str, name: str, at_us: int
) -> None:
    row = NewExecution(
        id=execution_id,
        account=account.id,
        origin=ORIGIN,
        name=name,
        status=Status.SUCCEEDED,
        source=Source.VENUE,
        created_at_us=at_us,
        started_at_us=at_us,
        finished_at_us=at_us,
        detail=detail,
        correlation=correlation_of(detail),
    )
    sent = encode_reply(encode(as_recorded(row), account))
    msgspec.json.decode(sent, type=Execution, strict=True)
    decoded = decode(decode_json(sent), now_us=0, organization="org_x")
    assert decoded.account_name == account.name
    assert decoded.row(account) == row


HISTORIC = (*ZONES, "Africa/Casablanca", "America/St_Johns", "Pacific/Apia", "Antarctica/Troll", "Africa/Monrovia")


@given(at_us=st.integers(MIN_US, MAX_US) | TIMES, zone=st.sampled_from(HISTORIC))
def test_local_time_is_the_calendars_own(at_us: int, zone: str) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
    try:
        local = moment.astimezone(ZoneInfo(zone))
    except OverflowError:
        local = moment
    assert local_time(at_us, zone) == local.replace(tzinfo=None).isoformat(timespec="microseconds") + "0"


@settings(max_examples=25, deadline=None)
@given(year=st.integers(1970, 2037), zone=st.sampled_from(HISTORIC), around_s=st.integers(-7200, 7200))
def test_local_time_around_every_change_of_clock(year: int, zone: str, around_s: int) -> None:
    tz, first = ZoneInfo(zone), datetime(year, 1, 1, tzinfo=UTC)
    hours = [first + timedelta(hours=hour) for hour in range(366 * 24)]
    changes = [b for a, b in pairwise(hours) if a.astimezone(tz).utcoffset() != b.astimezone(tz).utcoffset()]
    for change in changes:
        moment = change + timedelta(seconds=around_s)
        at_us = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        expected = moment.astimezone(tz).replace(tzinfo=None).isoformat(timespec="microseconds") + "0"
        assert local_time(at_us, zone) == expected


POSTED = st.fixed_dictionaries(
    {
        "id": IDS,
        "type": st.just(NINJATRADER_EXECUTION),
        "time": st.builds(
            lambda at_us, zone, digit: local_time(at_us, zone)[:-1] + digit,
            TIMES,
            st.sampled_from(ZONES),
            st.sampled_from("0123456789"),
        ),
        "epoch": TIMES.map(lambda at_us: at_us // 1000),
        "name": TEXT,
        "orderId": TEXT,
        "account": st.just("Sim101"),
        "serverName": TEXT,
        "instrument": TEXT.filter(bool),
        "instrumentType": TEXT,
        "position": st.integers(-100, 100),
        "marketPosition": st.sampled_from(["Long", "Short"]),
        "positionStrategy": st.integers(-100, 100),
        "price": st.floats(-1e9, 1e9, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-9),
        "quantity": st.integers(0, 10_000),
        "rate": st.floats(0.01, 100),
        "commission": st.decimals(0, 1000, places=2).map(str) | st.decimals(0, 1, places=5).map(str),
        "slippage": st.integers(-8, 8).map(lambda ticks: ticks / 4),
        "lotSize": st.just(1.0),
        **{
            key: st.booleans()
            for key in (
                *("isEntry", "isEntryStrategy", "isExit", "isExitStrategy"),
                *("isInitialEntry", "isLastExit", "isSod"),
            )
        },
        "barsInProgress": st.integers(0, 5),
        "exchange": TEXT,
    }
)


@given(account=ACCOUNTS, posted=POSTED)
def test_what_is_posted_comes_out_equal(account: Account, posted: dict[str, Any]) -> None:
    # As it arrives and leaves: through JSON on both sides.
    arrived = decode_json(encode_json(posted))
    row = decode(arrived, now_us=0, organization="org_x").row(account)
    stored = msgspec.json.decode(encode_json(row), type=NewExecution)
    execution = msgspec.structs.replace(as_recorded(stored), wire=stored.wire)
    assert same(decode_json(encode_reply(encode(execution, account))), arrived)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from([*EXAMPLE_EXECUTION, "success", "more"])


@given(account=ACCOUNTS, changed=st.dictionaries(KEYS, JSON, max_size=6), posted=st.none() | JSON)
def test_any_json_is_a_row_or_invalid_input(account: Account, changed: dict[str, Any], posted: Any) -> None:
    whole = {**EXAMPLE_EXECUTION, **changed} if posted is None else posted
    try:
        row = decode(whole, now_us=0, organization="org_x").row(account)
    except InvalidInput:
        return
    stored = msgspec.json.decode(encode_json(row), type=NewExecution)
    out = encode(msgspec.structs.replace(as_recorded(stored), wire=stored.wire), account)
    assert EXAMPLE_EXECUTION.keys() <= out.keys()
    known = {key: out[key] for key in EXAMPLE_EXECUTION}
    msgspec.json.decode(encode_reply(known), type=Execution, strict=True)


@given(quantity=st.decimals(0, 10**12, places=12), price=st.decimals(0, 10**12, places=12))
def test_no_digit_of_a_crypto_fill_is_lost(quantity: Decimal, price: Decimal) -> None:
    row = decode(EXAMPLE_EXECUTION, now_us=0, organization="org_x").row(
        Account(id=7, organization=1, name="Sim101", type=AccountType.TRADING, environment=Environment.PRODUCTION)
    )
    assert isinstance(row.detail, FillDetail)
    detail = msgspec.structs.replace(row.detail, quantity=quantity, price=price)
    account = Account(id=7, organization=1, name="Sim101", type=AccountType.TRADING, environment=Environment.PRODUCTION)
    sent = encode_reply(encode(msgspec.structs.replace(as_recorded(row), detail=detail), account))

    class Exact(msgspec.Struct):
        quantity: Decimal
        price: Decimal

    assert msgspec.json.decode(sent, type=Exact) == Exact(quantity, price)

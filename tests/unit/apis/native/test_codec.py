"""The codec: decimals in one form, details there and back, and bounds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.access.model import Account, AccountType, Environment
from gesta.apis.native.codec import (
    canonical,
    check_json,
    decode_detail,
    decode_model,
    decode_row,
    encoder,
    parse_moment,
    view_detail,
    view_execution,
)
from gesta.apis.native.models import (
    CorrelationModel,
    ExecutorModel,
    FillModel,
    NodeModel,
    RowModel,
    RunModel,
)
from gesta.kernel.errors import InvalidInput
from gesta.ledger.records import (
    CORRELATIONS,
    Execution,
    ExecutorDetail,
    FillDetail,
    Kind,
    Mode,
    Named,
    RunDetail,
    RunNode,
    Side,
    Source,
    Status,
)

ACCOUNT = Account(id=7, organization=1, name="Sim101", type=AccountType.TRADING, environment=Environment.PRODUCTION)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)
text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
money = st.decimals(-(10**9), 10**9, places=8, allow_nan=False)
moments = st.integers(0, 253_402_300_799_999_999)
fills = st.builds(
    FillDetail,
    order_id=text,
    instrument=text.filter(bool),
    side=st.sampled_from(Side),
    quantity=money,
    price=money,
    commission=money,
    realized_pnl=st.none() | money,
    cumulative_quantity=st.none() | money,
    is_entry=st.booleans(),
)
executors = st.builds(
    ExecutorDetail,
    executor_type=st.none() | text,
    trading_pair=st.none() | text,
    side=st.none() | st.sampled_from(Side),
    net_pnl_pct=money,
    error_count=st.integers(0, 2**31 - 1),
    config=st.none() | st.dictionaries(st.text("abc", max_size=3), json_values, max_size=3),
)
nodes = st.builds(
    RunNode,
    id=text.filter(bool),
    started_at_us=st.none() | moments,
    duration_ms=st.integers(0, 2**63 - 1),
    input=json_values,
    output=json_values,
)
named = st.builds(Named, id=text, name=text, icon=text)
runs = st.builds(
    RunDetail,
    workflow=named,
    application=st.none() | named,
    error=st.none() | text,
    request_payload=json_values,
    nodes=st.lists(nodes, max_size=3).map(tuple),
)


def same_numbers(detail: Any) -> Any:
    """The detail with its decimals in their one form."""
    fields = msgspec.structs.asdict(detail)
    return msgspec.structs.replace(
        detail, **{name: canonical(value, name) for name, value in fields.items() if isinstance(value, Decimal)}
    )


@given(fills | executors | runs)
def test_a_detail_comes_in_as_it_went_out(detail: FillDetail | ExecutorDetail | RunDetail) -> None:
    model = {FillDetail: FillModel, ExecutorDetail: ExecutorModel, RunDetail: RunModel}[type(detail)]
    data = encoder.encode(view_detail(detail))
    assert decode_detail(decode_model(data, model)) == same_numbers(detail)


@given(fills, moments, st.none() | moments, text, st.sampled_from(Source))
def test_a_row_comes_in_as_it_went_out(
    detail: FillDetail, created_at_us: int, finished_at_us: int | None, name: str, source: Source
) -> None:
    row = Execution(
        id="x1",
        organization=1,
        account=7,
        kind=Kind.FILL,
        name=name,
        status=Status.SUCCEEDED,
        source=source,
        mode=Mode.SYNC,
        origin="myapp",
        external_id="x1",
        parent_id=None,
        correlation={"instrument": detail.instrument},
        created_at_us=created_at_us,
        started_at_us=None,
        finished_at_us=finished_at_us,
        updated_at_us=created_at_us,
        recorded_at_us=created_at_us,
        version=1,
        seq=1,
        detail=detail,
    )
    posted = decode_model(encoder.encode(view_execution(row, ACCOUNT)), RowModel)
    decoded = decode_row(posted, default_environment=Environment.TEST)
    assert (decoded.account_name, decoded.account_type, decoded.environment) == ("Sim101", "trading", "production")
    new = decoded.row(ACCOUNT)
    assert new.detail == same_numbers(detail)
    assert (new.created_at_us, new.finished_at_us, new.name, new.source) == (
        created_at_us,
        finished_at_us,
        name,
        source,
    )
    assert (new.id, new.account, new.mode) == ("x1", 7, Mode.SYNC)


@pytest.mark.parametrize(
    ("model", "record", "own"),
    [
        (FillModel, FillDetail, {}),
        (ExecutorModel, ExecutorDetail, {}),
        (RunModel, RunDetail, {}),
        (NodeModel, RunNode, {"started_at": "started_at_us"}),
    ],
)
def test_every_field_of_a_record_can_be_posted(model: Any, record: Any, own: dict[str, str]) -> None:
    posted = {own.get(field.name, field.name) for field in msgspec.structs.fields(model)}
    assert posted == {field.name for field in msgspec.structs.fields(record)}


def test_every_correlation_can_be_posted() -> None:
    assert {field.name for field in msgspec.structs.fields(CorrelationModel)} == set(CORRELATIONS)


@given(st.decimals(-(10**29), 10**29, allow_nan=False, places=6))
def test_the_one_form_is_equal_and_the_same_for_all_spellings(value: Decimal) -> None:
    one = canonical(value, "x")
    assert one == value
    assert "E" not in f"{one:f}"
    for spelling in (value.normalize(), Decimal(f"{value:f}"), Decimal(f"{value:E}"), value * Decimal("1.000")):
        if spelling == value:
            assert str(canonical(spelling, "x")) == str(one)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e30", "1e-40", "1e999999999", "1" * 37, "sNaN"])
def test_numbers_out_of_bounds(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        canonical(Decimal(text), "price")
    assert refused.value.field == "price"


@given(json_values)
def test_what_can_be_stored_passes(value: Any) -> None:
    check_json(value)


@pytest.mark.parametrize("value", ["\0", {"\0": 1}, [[["a\0"]]], 2**64, -(2**63) - 1, {"a": [2**70]}])
def test_what_cannot_be_stored_does_not(value: Any) -> None:
    with pytest.raises(InvalidInput):
        check_json(value)


def test_escaped_nul_is_refused_and_its_escape_is_not() -> None:
    with pytest.raises(InvalidInput):
        decode_model(
            rb'{"order_id":"a\u0000","instrument":"i","side":"buy","quantity":1,"price":1,"kind":"fill"}', FillModel
        )
    said = rb'{"order_id":"a\\u0000","instrument":"i","side":"buy","quantity":1,"price":1,"kind":"fill"}'
    assert decode_model(said, FillModel).order_id == "a\\u0000"


@pytest.mark.parametrize("moment", ["1969-12-31T23:59:59.999999Z", "2026-01-01", "10000-01-01T00:00:00Z", "", "now"])
def test_times_out_of_bounds(moment: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_moment(moment, "created_at")
    assert refused.value.field == "created_at"


@given(st.binary(max_size=200))
def test_any_bytes_give_a_row_or_one_error(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode_model(data, RowModel)

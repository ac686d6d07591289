"""Whatever is sent as the terms of an order is a request or InvalidInput, and numbers are what their text says."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.apis.crosstrade.terms import read_change, read_place, read_protection
from gesta.apis.crosstrade.values import read_flag, read_number
from gesta.desk.trading.requests import BracketPosition, ChangeOrder, PlaceOrder
from gesta.kernel.errors import InvalidInput

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text(max_size=20)
    | st.sampled_from(["BUY", "Sell", "market", "LIMIT", "Stop_Market", "gtc", "long,flat", "5804.25", "1", "ES"])
)
VALUES = SCALARS | st.lists(SCALARS, max_size=4) | st.dictionaries(st.text(max_size=10), SCALARS, max_size=3)
NAMES = (
    *("instrument", "action", "quantity", "orderType", "timeInForce", "limitPrice", "stopPrice", "ocoId", "orderId"),
    *("strategy", "requireMarketPosition", "maxPositions", "reduceOnly", "bracket", "stopLossTicks", "stopLoss"),
    *("takeProfit", "takeProfitTicks", "name"),
)


@given(args=st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_anything_is_a_request_or_invalid_input(args: dict[str, Any]) -> None:
    readers = ((read_place, PlaceOrder), (read_change, ChangeOrder), (read_protection, BracketPosition))
    for read, kind in readers:
        with suppress(InvalidInput):
            assert isinstance(read(args), kind)


@given(value=VALUES)
def test_a_valid_order_with_one_strange_term(value: Any) -> None:
    whole = {"instrument": "ES", "action": "BUY", "quantity": 1, "orderType": "LIMIT", "limitPrice": "5804.25"}
    for name in NAMES:
        with suppress(InvalidInput):
            request = read_place({**whole, name: value})
            assert request.quantity > 0
            assert request.limit_price is None or request.limit_price > 0


@given(number=st.decimals(min_value=-(10**17), max_value=10**17, places=9))
def test_a_number_is_what_its_text_says(number: Decimal) -> None:
    assert read_number({"n": f"{number:f}"}, "n") == number
    assert read_number({"n": number}, "n") == number


@pytest.mark.parametrize("value", ["1_000", "1,5", "½", "1e5", "0b1", "--1", "1 2", "nan", "-inf", float("nan"), 1e300])
def test_what_is_no_number(value: Any) -> None:
    with pytest.raises(InvalidInput):
        read_number({"n": value}, "n")


@pytest.mark.parametrize(
    ("value", "flag"), [(True, True), (False, False), ("TRUE", True), ("0", False), (None, True), ("", True)]
)
def test_flags(value: Any, flag: bool) -> None:
    assert read_flag({"f": value}, "f", default=True) is flag

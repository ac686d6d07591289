"""A placement with a client id is compared with what its order was placed as."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gesta.desk.trading.rows import order_of, order_row
from gesta.desk.trading.terms import is_same
from gesta.trading.orders import Change, Order, OrderState, OrderType, Side

WANTED = Order(
    id="a" * 32,
    organization=1,
    account=1,
    instrument="ES 12-26",
    side=Side.BUY,
    type=OrderType.LIMIT,
    quantity=3,
    limit_ticks=23_200,
    created_at_us=1,
    updated_at_us=1,
)
# A venue takes lots of it away for what the other order of its pair has filled; a client asks for another price.
CHANGED = msgspec.structs.replace(
    WANTED,
    id="b" * 32,
    quantity=2,
    limit_ticks=23_210,
    state=OrderState.WORKING,
    placed=Change(quantity=3, limit_ticks=23_200),
)


def test_an_order_that_was_changed_is_still_the_order_that_was_placed() -> None:
    assert is_same(CHANGED, WANTED)
    assert is_same(order_of(order_row(CHANGED)[-1]), WANTED)


@pytest.mark.parametrize("terms", [{"quantity": 2}, {"limit_ticks": 23_210}, {"stop_ticks": 1}, {"name": "other"}])
def test_what_it_was_changed_to_is_another_placement(terms: dict[str, Any]) -> None:
    assert not is_same(CHANGED, msgspec.structs.replace(WANTED, **terms))

"""The grid against what Hummingbot's own grid executor did in the same market.

Hummingbot sends every level at once where `max_open_orders` of 3 allows three. With the bound wide enough for all of
them, both are to do the same thing, but for two things in what they report. Hummingbot counts the fees of openings
twice if the final market order closed them: once in a position of size 0, once as realized. And its fees come out of
a float, so that they are equal to some 16 digits.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gesta.executors.machines.face import RunnableStatus
from gesta.executors.machines.grid import MACHINE
from gesta.executors.machines.grid_state import position
from gesta.kernel.errors import InvalidInput
from tests.unit.executors.grid_desk import SECOND, GridDesk

ORACLE = Path(__file__).resolve().parents[4] / "shared" / "oracle" / "executors.json"

pytestmark = pytest.mark.skipif(not ORACLE.exists(), reason="the oracle's results are not here")


def _entry(name: str) -> dict[str, Any]:
    return next(entry for entry in json.loads(ORACLE.read_text()) if entry["scenario"]["name"] == name)


def _run(scenario: dict[str, Any]) -> tuple[GridDesk, Decimal]:
    """The market of the scenario: the grid looks at every second, the venue matches a tenth of a second later. With
    the fees of what was open before the grid ended."""
    open_fees = Decimal(0)
    prices = [(at, str(mid)) for at, mid in scenario["prices"]]
    desk = GridDesk({**scenario["executor"], "max_open_orders": 10}, prices[0][1]).start()
    for second in range(int(scenario["max_t"])):
        if desk.state.status is RunnableStatus.RUNNING:
            open_fees = position(desk.state).fees_quote
        due = [mid for at, mid in prices if at <= second]
        if second:
            desk.at_us = (second - 1) * SECOND
            desk.move(due[-1])
        for at, *action in scenario.get("actions", ()):
            if at == second and action[0] == "stop":
                desk.stop(action[1])
        if desk.state.status is RunnableStatus.TERMINATED:
            break
        desk.match()
    return desk, open_fees


@pytest.mark.parametrize(
    "name", ["grid_oscillate_tp", "grid_limit_price_sl", "grid_early_stop", "grid_early_stop_keep"]
)
def test_same_orders_and_same_result_with_room_for_every_level(name: str) -> None:
    entry = _entry(name)
    (desk, open_fees), expected = _run(entry["scenario"]), entry["expected"]
    report = desk.report
    assert [str(level.price) for level in desk.state.levels] == expected["grid"]["levels"]
    assert desk.state.plan is not None
    assert str(desk.state.plan.amount_quote) == expected["grid"]["amount_quote"]
    assert [
        (order.side.value, order.kind.value, order.amount, order.price, order.action.value) for order in desk.sent
    ] == [
        (
            order["side"],
            order["type"],
            Decimal(order["amount"]),
            None if order["price"] is None else Decimal(order["price"]),
            order["position_action"],
        )
        for order in expected["orders"]
    ]
    assert (report.status.value, report.close_type and report.close_type.value) == (
        expected["status"],
        expected["close_type"],
    )
    assert len(report.held) == expected["held_orders"]
    # What is held was traded: Hummingbot reports nothing of it.
    held_quote = sum((order.executed_quote for order in report.held), Decimal(0))
    assert report.filled_amount_quote - held_quote == Decimal(expected["filled_amount_quote"])
    twice = Decimal(0) if report.held else open_fees
    net_pnl = report.net_pnl_quote - twice
    assert abs(net_pnl - Decimal(expected["net_pnl_quote"])) < Decimal("1e-14")
    assert abs(report.cum_fees_quote + twice - Decimal(expected["cum_fees_quote"])) < Decimal("1e-14")
    net_pnl_pct = net_pnl / report.filled_amount_quote if net_pnl else net_pnl
    assert abs(net_pnl_pct - Decimal(expected["net_pnl_pct"])) < Decimal("1e-14")


def test_a_limit_price_on_the_wrong_side_is_refused_in_the_same_words() -> None:
    entry = _entry("grid_bad_limit")
    with pytest.raises(InvalidInput) as refused:
        MACHINE.parse(entry["scenario"]["executor"])
    assert [f"Value error, {refused.value.message}"] == entry["expected"]["config_error"]

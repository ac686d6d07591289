"""What is shown alike, and what is never in turn."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from gesta.executors.snapshots import Snapshots, is_shown_alike
from gesta.ledger.records import ExecutorDetail
from gesta.testing.fakes import ManualClock

DETAIL = ExecutorDetail(
    is_trading=True, net_pnl_quote=Decimal("12.341"), net_pnl_pct=Decimal("0.01234"), filled_quote=Decimal(1000)
)


@pytest.mark.parametrize(
    ("change", "alike"),
    [
        ({"net_pnl_quote": Decimal("12.3449"), "net_pnl_pct": Decimal("0.012349")}, True),
        ({"net_pnl_quote": Decimal("12.35")}, False),
        ({"net_pnl_quote": Decimal("-12.341")}, False),
        ({"net_pnl_pct": Decimal("0.0124")}, False),
        ({"filled_quote": Decimal("1000.01")}, False),
        ({"fees_quote": Decimal("0.001")}, True),
        ({"is_trading": False}, False),
        ({"custom_info": {"current_retries": 1}}, True),
    ],
)
def test_what_is_shown_alike(change: dict[str, Any], alike: bool) -> None:
    assert is_shown_alike(DETAIL, msgspec.structs.replace(DETAIL, **change)) is alike


def made(interval_s: float) -> tuple[Snapshots, ManualClock]:
    clock = ManualClock()
    engine: Any = SimpleNamespace(clock=clock, pipeline=SimpleNamespace(takes_market=True))
    return Snapshots(engine=engine, find=lambda key: None, prices=lambda live: {}, interval_s=interval_s), clock


def test_zero_seconds_is_never() -> None:
    snapshots, clock = made(0)
    snapshots.recorded("1/a", DETAIL, clock.now_us())
    assert snapshots.count == 0


def test_one_that_lost_its_exposure_is_out_of_turn() -> None:
    snapshots, clock = made(10)
    snapshots.recorded("1/a", DETAIL, clock.now_us())
    assert snapshots.count == 1
    snapshots.recorded("1/a", ExecutorDetail(), clock.now_us())
    assert snapshots.count == 0


def test_one_that_is_over_is_forgotten_in_its_turn() -> None:
    snapshots, clock = made(10)
    snapshots.recorded("1/a", DETAIL, clock.now_us())
    clock.advance_us(9_999_999)
    assert (snapshots.take(), snapshots.count) == (0, 1)
    clock.advance_us(1)
    assert (snapshots.take(), snapshots.count) == (0, 0)

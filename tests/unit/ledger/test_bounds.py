"""What the ledger refuses whoever sends it, and that no sum within its bounds is ever rounded."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import MAX_US, MIN_US
from gesta.ledger.bounds import MAX_MAGNITUDE, MIN_EXPONENT, check_amounts, check_time, check_values
from gesta.ledger.daily import Sums, measures, texts
from gesta.ledger.records import NewEvent
from gesta.ledger.rows import check_text
from gesta.ledger.store import check_event
from gesta.testing.rows import executor, fill, run

FITS = ["0", "-0", "1.5", "1e40", "1e-64", "0e-64", "-999999999999999999999999.999999999999999999999999999999"]
BOMBS = ["1e1000000", "0e1000000", "1e-1000000", "0e-65", "1e41", "1e-65", "NaN", "sNaN", "Infinity", "-Infinity"]
LONG = ["0." + "1" * 61, "1." + "0" * 61, "1" * 41 + "." + "1" * 20]


def changed(row: Any, **amounts: Decimal) -> Any:
    return msgspec.structs.replace(row, detail=msgspec.structs.replace(row.detail, **amounts))


@pytest.mark.parametrize("text", FITS)
def test_amounts_that_fit(text: str) -> None:
    check_values(changed(fill(1), price=Decimal(text), realized_pnl=Decimal(text)))
    check_values(changed(executor(1), fees_quote=Decimal(text)))


@pytest.mark.parametrize("text", [*BOMBS, *LONG])
@pytest.mark.parametrize(
    ("row", "field"),
    [(fill(1), "quantity"), (fill(1), "cumulative_quantity"), (executor(1), "net_pnl_pct")],
    ids=["fill", "optional", "executor"],
)
def test_amounts_that_would_grow(row: Any, field: str, text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_amounts(changed(row, **{field: Decimal(text)}).detail)
    assert refused.value.field == field


@pytest.mark.parametrize("name", ["created_at_us", "started_at_us", "finished_at_us", "updated_at_us"])
@pytest.mark.parametrize("at_us", [MIN_US - 1, MAX_US + 1, 2**63, -(2**80)])
def test_times_outside_of_the_calendar(name: str, at_us: int) -> None:
    with pytest.raises(InvalidInput):
        check_values(msgspec.structs.replace(run(1), **{name: at_us}))


@pytest.mark.parametrize("at_us", [MIN_US, 0, MAX_US])
def test_times_inside(at_us: int) -> None:
    check_time(at_us)


def test_the_extremes_are_summed_exactly() -> None:
    finest, greatest = Decimal((0, (1,), MIN_EXPONENT)), Decimal((0, (1,), MAX_MAGNITUDE))
    sums = Sums(*measures(changed(fill(1), price=finest, quantity=finest, point_value=finest).detail)[1:])
    great = Sums(*measures(changed(fill(1), price=greatest, quantity=greatest, point_value=greatest).detail)[1:])
    total = Sums()
    for _ in range(3):
        total.add(great)
    total.add(sums)
    for _ in range(3):
        total.add(great, -1)
    assert texts(total)[1] == "0." + "0" * (-3 * MIN_EXPONENT - 1) + "1"


@pytest.mark.parametrize(
    ("field", "most"), [("id", 256), ("name", 1024), ("parent_id", 512), ("correlation", 512)], ids=str
)
def test_lengths(field: str, most: int) -> None:
    def of_length(length: int) -> Any:
        text: Any = "x" * length
        return msgspec.structs.replace(run(1), **{field: {"order_id": text} if field == "correlation" else text})

    check_text(of_length(most))
    with pytest.raises(InvalidInput):
        check_text(of_length(most + 1))


@pytest.mark.parametrize("field", ["title", "message"])
def test_lengths_of_events(field: str) -> None:
    check_event(NewEvent(type="a", **{field: "x" * 65_536}))
    with pytest.raises(InvalidInput):
        check_event(NewEvent(type="a", **{field: "x" * 65_537}))

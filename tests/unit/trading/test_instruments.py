"""Ticks and lots at the edge, and what they are worth."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.kernel.errors import InvalidInput
from gesta.trading.instruments import MAX_LOTS, MAX_TICKS, Instrument, InstrumentKind
from gesta.trading.money import UNITS, to_units

ES = Instrument(
    name="ES 12-26",
    root="ES",
    kind=InstrumentKind.FUTURE,
    tick_size=Decimal("0.25"),
    lot_size=Decimal(1),
    point_value=Decimal(50),
    initial_margin=Decimal(16500),
)
BTC = Instrument(
    name="BTC-USDT",
    root="BTC-USDT",
    kind=InstrumentKind.SPOT,
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.00001"),
    currency="USDT",
    margin_rate=Decimal("0.1"),
)
XBTUSD = Instrument(
    name="XBTUSD",
    root="XBTUSD",
    kind=InstrumentKind.INVERSE_PERPETUAL,
    tick_size=Decimal("0.5"),
    lot_size=Decimal(100),
    point_value=Decimal(1),
    currency="XBT",
)


@pytest.mark.parametrize(("price", "ticks"), [("5804.25", 23217), ("5804.250000", 23217), ("0", 0), ("-37.5", -150)])
def test_a_price_on_the_grid_is_so_many_ticks(price: str, ticks: int) -> None:
    assert ES.ticks(Decimal(price)) == ticks
    assert ES.price(ticks) == Decimal(price)


@pytest.mark.parametrize(
    ("price", "below", "above"),
    [
        ("5804.3", "5804.25", "5804.50"),
        ("-37.63", "-37.75", "-37.50"),
        ("0.1", "0.00", "0.25"),
        ("-0.1", "-0.25", "0.00"),
        ("1E-9999999", "0.00", "0.25"),
        ("5804." + "25" + "0" * 60 + "1", "5804.25", "5804.50"),
    ],
)
def test_a_price_off_the_grid_is_told_the_nearest(price: str, below: str, above: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        ES.ticks(Decimal(price), "limitPrice")
    assert f"use {below} or {above}" in refused.value.message
    assert "`limitPrice`" in refused.value.message
    assert refused.value.field == "limitPrice"


@pytest.mark.parametrize("price", ["NaN", "sNaN", "Infinity", "-Infinity", "1E9999999", "-1E9999999", "250000000001"])
def test_a_price_out_of_any_range_is_refused(price: str) -> None:
    with pytest.raises(InvalidInput, match="out of range"):
        ES.ticks(Decimal(price))


@pytest.mark.parametrize("quantity", ["0", "-1", "NaN", "sNaN", "Infinity", "1E9999999", "1000000000000001"])
def test_a_quantity_that_is_none_is_refused(quantity: str) -> None:
    with pytest.raises(InvalidInput, match="must be a positive number of ES 12-26"):
        ES.lots(Decimal(quantity))


@pytest.mark.parametrize("quantity", ["0.5", "1.000001", "1E-9999999"])
def test_a_part_of_a_lot_is_refused(quantity: str) -> None:
    with pytest.raises(InvalidInput, match="not a multiple"):
        ES.lots(Decimal(quantity))


def test_a_refusal_never_repeats_a_page_of_digits() -> None:
    page = Decimal("0." + "1" * 100_000)
    for read in (ES.ticks, ES.lots):
        with pytest.raises(InvalidInput) as refused:
            read(page)
        assert len(refused.value.message) < 200


@given(st.integers(-MAX_TICKS, MAX_TICKS), st.integers(1, MAX_LOTS), st.sampled_from([ES, BTC, XBTUSD]))
def test_ticks_and_lots_survive_the_edge(ticks: int, lots: int, instrument: Instrument) -> None:
    assert instrument.ticks(instrument.price(ticks)) == ticks
    assert instrument.lots(instrument.quantity(lots)) == lots


@given(st.integers(-MAX_TICKS, MAX_TICKS), st.integers(-MAX_LOTS, MAX_LOTS), st.sampled_from([ES, BTC]))
def test_a_linear_value_is_price_times_quantity(ticks: int, lots: int, instrument: Instrument) -> None:
    exact = Fraction(instrument.price(ticks)) * Fraction(instrument.quantity(lots)) * Fraction(instrument.point_value)
    assert Fraction(instrument.value(ticks, lots), UNITS) == exact
    assert Fraction(instrument.notional(ticks, lots), UNITS) == abs(exact)


@given(st.integers(1, 10**7), st.integers(-(10**7), 10**7))
def test_an_inverse_value_is_minus_the_face_over_the_price(ticks: int, lots: int) -> None:
    coins = -Fraction(XBTUSD.quantity(lots)) / Fraction(XBTUSD.price(ticks))
    assert XBTUSD.value(ticks, lots) == round(coins * UNITS)


def test_an_inverse_long_gains_when_the_price_rises() -> None:
    low, high = XBTUSD.ticks(Decimal(50_000)), XBTUSD.ticks(Decimal(100_000))
    assert XBTUSD.value(high, 10) - XBTUSD.value(low, 10) == to_units(Decimal("0.01"))
    assert XBTUSD.notional(low, 10) == to_units(Decimal(1000))
    assert XBTUSD.quoted(to_units(Decimal("0.01")), low) == to_units(Decimal(500))


def test_margin_is_per_contract_or_a_share_of_the_value() -> None:
    assert ES.margin(ES.ticks(Decimal(5800)), -3) == to_units(Decimal(49500))
    lots = BTC.lots(Decimal("0.5"))
    assert BTC.margin(BTC.ticks(Decimal(90_000)), lots) == to_units(Decimal(4500))
    assert BTC.quoted(7, 1) == 7

"""Money units: exact in, exact out, halves to even."""

from __future__ import annotations

import decimal
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.trading.money import DIGITS, UNITS, divided, from_units, to_units

LARGE = 10**40


@pytest.mark.parametrize(
    ("amount", "units"),
    [
        ("0", 0),
        ("-0", 0),
        ("1", UNITS),
        ("-12.5", -125 * UNITS // 10),
        ("0.000000000001", 1),
        ("1E+3", 1000 * UNITS),
        ("2.2500", 225 * UNITS // 100),
    ],
)
def test_an_amount_is_so_many_units(amount: str, units: int) -> None:
    assert to_units(Decimal(amount)) == units


@pytest.mark.parametrize("amount", ["0.0000000000001", "1.0000000000005", "-1E-13"])
def test_what_is_finer_than_a_unit_is_never_rounded_in_silence(amount: str) -> None:
    with pytest.raises(decimal.Inexact):
        to_units(Decimal(amount))


@pytest.mark.parametrize("amount", ["NaN", "sNaN", "Infinity"])
def test_what_is_no_amount_has_no_units(amount: str) -> None:
    with pytest.raises((decimal.InvalidOperation, ValueError, OverflowError)):
        to_units(Decimal(amount))


@pytest.mark.parametrize(
    ("units", "text"),
    [(0, "0"), (100 * UNITS, "100"), (125 * UNITS // 10, "12.5"), (-1, "-0.000000000001"), (-UNITS, "-1")],
)
def test_units_are_printed_without_trailing_zeros(units: int, text: str) -> None:
    assert f"{from_units(units):f}" == text


@given(st.integers(-LARGE, LARGE))
def test_units_survive_the_edge(units: int) -> None:
    assert to_units(from_units(units)) == units


@given(st.decimals(allow_nan=False, allow_infinity=False, places=DIGITS, min_value=-(10**30), max_value=10**30))
def test_an_amount_survives_the_units(amount: Decimal) -> None:
    assert from_units(to_units(amount)) == amount


@given(st.integers(-LARGE, LARGE), st.integers(1, LARGE))
def test_a_quotient_is_rounded_as_fractions_round(numerator: int, denominator: int) -> None:
    assert divided(numerator, denominator) == round(Fraction(numerator, denominator))


@given(st.integers(-LARGE, LARGE), st.integers(1, LARGE))
def test_what_is_owed_is_rounded_as_what_is_owned(numerator: int, denominator: int) -> None:
    assert divided(-numerator, denominator) == -divided(numerator, denominator)


@pytest.mark.parametrize(("numerator", "quotient"), [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2), (-5, -2)])
def test_halves_go_to_the_even_one(numerator: int, quotient: int) -> None:
    assert divided(numerator, 2) == quotient

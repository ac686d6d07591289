"""The spellings of futures contracts."""

from __future__ import annotations

import pytest

from gesta.trading.contracts import Continuous, Contract, full_year, parse_code, parse_continuous, parse_contract

_ES = Contract("ES", 2025, 12)


@pytest.mark.parametrize(
    "name",
    [
        "ES 12-25",
        "ES 12-2025",
        "ES DEC25",
        "ES DEC 25",
        "ES DEC2025",
        "ESZ5",
        "ESZ25",
        "ESZ2025",
        "esz5",
        "  es   dec25\t",
        "es 12-25\n",
    ],
)
def test_every_spelling_is_the_same_contract(name: str) -> None:
    assert parse_contract(name, 2025) == _ES


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("6EH4", Contract("6E", 2024, 3)),
        ("M2KZ5", Contract("M2K", 2025, 12)),
        ("MNQ SEP25", Contract("MNQ", 2025, 9)),
        ("ZNZ25", Contract("ZN", 2025, 12)),
        ("NGN26", Contract("NG", 2026, 7)),
        ("MGCG26", Contract("MGC", 2026, 2)),
        ("M6EU25", Contract("M6E", 2025, 9)),
    ],
)
def test_roots_with_digits_and_month_letters(name: str, expected: Contract) -> None:
    assert parse_contract(name, 2025) == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ES",
        "ES1!",
        "ES 13-25",
        "ES 00-25",
        "ES DEZ25",
        "ESA5",
        "ES 12-1925",
        "ES 12-225",
        "ESZ225",
        "ES12-25",
        "ES\x0012-25",
        "ES 12-٢٥",
    ],
)
def test_what_names_no_month_is_no_contract(name: str) -> None:
    assert parse_contract(name, 2025) is None


@pytest.mark.parametrize(
    ("reference", "digit", "year"),
    [(2025, "4", 2024), (2025, "5", 2025), (2025, "3", 2033), (2026, "5", 2025), (2026, "4", 2034), (2030, "9", 2029)],
)
def test_one_digit_is_a_year_from_the_one_before_the_reference_to_the_eighth_after(
    reference: int, digit: str, year: int
) -> None:
    assert parse_contract(f"ESZ{digit}", reference) == Contract("ES", year, 12)


def test_a_source_counts_one_digit_from_the_year_of_the_fill() -> None:
    assert full_year("5", 2026) == 2035
    assert parse_code("ESH5", 2026) == Contract("ES", 2035, 3)


def test_printed_forms() -> None:
    assert (_ES.name, _ES.code) == ("ES 12-25", "ESZ25")
    assert (Contract("6E", 2009, 3).name, Contract("6E", 2009, 3).code) == ("6E 03-09", "6EH09")


def test_continuous_names() -> None:
    assert parse_continuous("es1!") == Continuous("ES", 1)
    assert parse_continuous(" ES2! ") == Continuous("ES", 2)
    assert parse_continuous("6E1!") == Continuous("6E", 1)
    assert [parse_continuous(name) for name in ("ES", "ES0!", "ES!", "1!", "ES1!!")] == [None] * 5

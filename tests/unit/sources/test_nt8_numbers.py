"""Numbers and money in every culture."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gesta.sources.nt8_grid.numbers import DecimalMark, evidence, parse_money, parse_number
from gesta.sources.row import RowError

POINT, COMMA = DecimalMark.POINT, DecimalMark.COMMA


@pytest.mark.parametrize(
    ("text", "mark", "value"),
    [
        ("22089.25", POINT, "22089.25"),
        ("22092", POINT, "22092"),
        ("5000.00", POINT, "5000"),
        ("7200,75", COMMA, "7200.75"),
        ("7.200,75", COMMA, "7200.75"),
        ("7,200.75", POINT, "7200.75"),
        ("1,234,567.5", POINT, "1234567.5"),
        ("12,34,567.5", POINT, "1234567.5"),
        ("7 200,75", COMMA, "7200.75"),
        ("7\u00a0200,75", COMMA, "7200.75"),
        ("7\u202f200,75", COMMA, "7200.75"),
        ("7'200.75", POINT, "7200.75"),
        ("7\u2019200.75", POINT, "7200.75"),
        ("5,006", POINT, "5006"),
        ("5,006", COMMA, "5.006"),
        ("1.08345", POINT, "1.08345"),
        (".5", POINT, "0.5"),
        ("0,5", COMMA, "0.5"),
        ("-3.25", POINT, "-3.25"),
        ("\u22123.25", POINT, "-3.25"),
        ("\u200e3.25", POINT, "3.25"),
    ],
)
def test_number(text: str, mark: DecimalMark, value: str) -> None:
    parsed = parse_number(text, mark, field="price")
    assert parsed == Decimal(value)
    assert str(parsed) == value


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("1,25", POINT),  # a decimal comma is never a group: this is not 125
        ("1.25", COMMA),
        ("7200,75", POINT),
        ("1,2345", POINT),
        ("1234,567.8", POINT),
        ("1.234.56", COMMA),
        ("", POINT),
        ("-", POINT),
        (".", POINT),
        ("1.2.3", POINT),
        ("1e5", POINT),
        ("NaN", POINT),
        ("١٢", POINT),
        ("1 2", POINT),
        ("--1", POINT),
        ("9" * 40, POINT),
    ],
)
def test_not_a_number(text: str, mark: DecimalMark) -> None:
    with pytest.raises(RowError):
        parse_number(text, mark, field="price")


@pytest.mark.parametrize(
    ("text", "mark", "value", "currency"),
    [
        ("$1.24", POINT, "1.24", "USD"),
        ("$0.00", POINT, "0", "USD"),
        ("0,62 $", COMMA, "0.62", "USD"),
        ("0,62\u00a0$", COMMA, "0.62", "USD"),
        ("($410.16)", POINT, "-410.16", "USD"),
        ("$(41.25)", POINT, "-41.25", "USD"),
        ("-90,00 $", COMMA, "-90", "USD"),
        ("-$1.24", POINT, "-1.24", "USD"),
        ("$-1.24", POINT, "-1.24", "USD"),
        ("1.24-", POINT, "-1.24", None),
        ("1 250,50 $", COMMA, "1250.5", "USD"),
        ("1\u202f250,50 €", COMMA, "1250.5", "EUR"),
        ("$1,025.00", POINT, "1025", "USD"),
        ("1.025,00 €", COMMA, "1025", "EUR"),
        ("€ 1.025,00", COMMA, "1025", "EUR"),
        ("CHF 1'025.00", POINT, "1025", "CHF"),
        ("Fr. 2.40", POINT, "2.4", "CHF"),
        ("kr. 12,50", COMMA, "12.5", None),
        ("12,50 kr", COMMA, "12.5", None),
        ("R$ 12,50", COMMA, "12.5", "BRL"),
        ("12,50 zł", COMMA, "12.5", "PLN"),
        ("£3.10", POINT, "3.1", "GBP"),
        ("\u200e$1.24", POINT, "1.24", "USD"),
        ("USD 4.18", POINT, "4.18", "USD"),
        ("$.50", POINT, "0.5", "USD"),
        ("2.04", POINT, "2.04", None),
        ("", POINT, "0", None),
    ],
)
def test_money(text: str, mark: DecimalMark, value: str, currency: str | None) -> None:
    money = parse_money(text, mark, field="commission")
    assert (money.amount, money.currency) == (Decimal(value), currency)


@pytest.mark.parametrize("text", ["0,62 $", "$1.2.3", "abc", "($1.24", "(-$1.24)", "$1.24 $2", "--1", "$1.24$", "1;2"])
def test_not_money(text: str) -> None:
    with pytest.raises(RowError):
        parse_money(text, POINT, field="commission")


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("22089.25", POINT),
        ("7200,75", COMMA),
        ("7200,750", COMMA),  # no group of four digits: three digits after prove nothing here
        ("0,123", COMMA),
        ("1,234.5", POINT),
        ("1.234,5", COMMA),
        ("1.234.567", COMMA),
        ("1,234,567", POINT),
        ("5,006", None),
        ("5.006", None),
        ("5006", None),
        ("0,62 $", COMMA),
        ("…", None),
    ],
)
def test_what_one_number_proves(text: str, mark: DecimalMark | None) -> None:
    assert evidence(text) is mark

"""Expiries and rolls, against dates that the exchanges published."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from gesta.trading.contracts import Contract, parse_contract
from gesta.trading.futures import FUTURES
from gesta.trading.rolls import easter, expiry_date, front_month, holidays, is_business_day, roll_date


@pytest.mark.parametrize(
    ("code", "expiry"),
    [
        ("ESH24", date(2024, 3, 15)),
        ("ESZ25", date(2025, 12, 19)),
        ("ESM26", date(2026, 6, 18)),  # the third Friday is Juneteenth
        ("NKDH24", date(2024, 3, 7)),
        ("CLG24", date(2024, 1, 22)),
        ("CLG26", date(2026, 1, 20)),  # the 25th is a Sunday
        ("CLK20", date(2020, 4, 21)),
        ("MCLG26", date(2026, 1, 16)),  # Martin Luther King Day between
        ("NGG24", date(2024, 1, 29)),
        ("NGF26", date(2025, 12, 29)),
        ("RBF26", date(2025, 12, 31)),
        ("GCG24", date(2024, 2, 27)),
        ("SIH24", date(2024, 3, 26)),  # Good Friday is the last weekday
        ("ZNH24", date(2024, 3, 19)),
        ("ZTH24", date(2024, 3, 28)),
        ("ZCH24", date(2024, 3, 14)),
        ("ZSF24", date(2024, 1, 12)),
        ("6EH24", date(2024, 3, 18)),
        ("6CH24", date(2024, 3, 19)),
        ("BTCF24", date(2024, 1, 26)),
        ("FDAXH24", date(2024, 3, 15)),
        ("FGBLH24", date(2024, 3, 7)),
    ],
)
def test_expiries(code: str, expiry: date) -> None:
    contract = parse_contract(code, 2024)
    assert contract is not None
    assert expiry_date(FUTURES[contract.root].cycle, contract) == expiry


def _front(root: str, at: date, **options: int) -> str:
    return front_month(root, FUTURES[root].cycle, at, **options).name


@pytest.mark.parametrize(
    ("root", "at", "name"),
    [
        ("ES", date(2023, 12, 25), "ES 03-24"),
        ("ES", date(2023, 12, 6), "ES 12-23"),
        ("ES", date(2023, 12, 7), "ES 03-24"),
        ("ES", date(2026, 6, 10), "ES 06-26"),
        ("ES", date(2026, 6, 11), "ES 09-26"),  # counted from the Friday, holiday or not
        ("CL", date(2024, 1, 17), "CL 02-24"),
        ("CL", date(2024, 1, 18), "CL 03-24"),
        ("GC", date(2023, 12, 25), "GC 02-24"),
        ("GC", date(2024, 1, 27), "GC 02-24"),
        ("GC", date(2024, 1, 28), "GC 04-24"),
        ("ZN", date(2024, 2, 27), "ZN 03-24"),
        ("ZN", date(2024, 2, 28), "ZN 06-24"),
        ("6E", date(2024, 1, 2), "6E 03-24"),
        ("ZS", date(2024, 5, 30), "ZS 07-24"),
        ("ZS", date(2024, 6, 20), "ZS 11-24"),
    ],
)
def test_the_front_month_rolls(root: str, at: date, name: str) -> None:
    assert _front(root, at) == name


def test_the_second_month_and_other_roll_days() -> None:
    assert _front("ES", date(2023, 12, 25), position=2) == "ES 06-24"
    assert _front("ES", date(2023, 12, 14), roll_days=0) == "ES 12-23"
    assert _front("ES", date(2023, 12, 1), roll_days=14) == "ES 03-24"


@pytest.mark.parametrize("root", sorted(FUTURES))
def test_a_front_month_has_not_expired_and_the_row_never_goes_back(root: str) -> None:
    cycle = FUTURES[root].cycle
    before: Contract | None = None
    for offset in range(0, 800, 3):
        at = date(2024, 1, 1) + timedelta(days=offset)
        front = front_month(root, cycle, at)
        assert cycle.trades(front)
        assert at < roll_date(cycle, front) <= expiry_date(cycle, front)
        assert before is None or front >= before
        before = front


def test_the_table_ends_with_the_century() -> None:
    with pytest.raises(ValueError, match="no active contract"):
        _front("ES", date(2099, 12, 31))


def test_holidays() -> None:
    assert [easter(year) for year in (2018, 2024, 2025, 2038)] == [
        date(2018, 4, 1),
        date(2024, 3, 31),
        date(2025, 4, 20),
        date(2038, 4, 25),
    ]
    assert sorted(holidays(2026)) == [
        date(2026, 1, 1),
        date(2026, 1, 19),
        date(2026, 2, 16),
        date(2026, 4, 3),
        date(2026, 5, 25),
        date(2026, 6, 19),
        date(2026, 7, 3),
        date(2026, 9, 7),
        date(2026, 11, 26),
        date(2026, 12, 25),
    ]
    assert date(2021, 6, 18) not in holidays(2021)
    assert is_business_day(date(2021, 12, 31))  # New Year's Day 2022 is a Saturday: not observed
    assert not is_business_day(date(2023, 1, 2))

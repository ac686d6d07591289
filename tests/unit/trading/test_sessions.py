"""Sessions: the facts of the exchange's calendar, and the shape of the generated table."""

from __future__ import annotations

from datetime import date, time, timedelta

import pytest

from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import parse_rfc3339
from gesta.trading.session_tables import TABLES
from gesta.trading.sessions import (
    RULES,
    is_open,
    session_at,
    session_date,
    session_end_us,
    session_start_us,
)
from scripts import sessions as script

_us = parse_rfc3339


def test_the_thanksgiving_week() -> None:
    for day in ("2025-11-27", "2025-11-28"):
        close = _us(f"{day}T18:00:00Z")
        assert is_open("cme_equity", close - 1)
        assert not is_open("cme_equity", close)
        assert session_end_us("cme_equity", close - 1) == close
    assert session_date("cme_equity", _us("2025-11-28T18:00:00Z")) == date(2025, 12, 1)


def test_no_session_on_christmas_but_one_opens_that_evening() -> None:
    assert not is_open("cme_equity", _us("2023-12-25T15:00:00Z"))
    opening = _us("2023-12-25T23:00:00Z")
    assert session_start_us("cme_equity", opening - 1) == opening
    assert not is_open("cme_equity", opening - 1)
    assert is_open("cme_equity", opening)
    assert session_date("cme_equity", opening) == date(2023, 12, 26)
    assert session_end_us("cme_equity", opening) == _us("2023-12-26T22:00:00Z")


@pytest.mark.parametrize(
    ("at", "open_", "day", "start", "end"),
    [
        # winter: 23:00Z to 22:00Z
        ("2025-01-14T12:00:00Z", True, "2025-01-14", "2025-01-13T23:00:00Z", "2025-01-14T22:00:00Z"),
        # summer: 22:00Z to 21:00Z, with the daily pause between
        ("2025-07-01T20:59:59Z", True, "2025-07-01", "2025-06-30T22:00:00Z", "2025-07-01T21:00:00Z"),
        ("2025-07-01T21:30:00Z", False, "2025-07-02", "2025-07-01T22:00:00Z", "2025-07-02T21:00:00Z"),
        # a weekend belongs to Monday
        ("2025-07-12T12:00:00Z", False, "2025-07-14", "2025-07-13T22:00:00Z", "2025-07-14T21:00:00Z"),
        # over the night in which daylight saving begins: Sunday's opening is in summer time
        ("2025-03-08T12:00:00Z", False, "2025-03-10", "2025-03-09T22:00:00Z", "2025-03-10T21:00:00Z"),
        # Good Friday with the labor report: closes at 8:15
        ("2026-04-03T13:00:00Z", True, "2026-04-03", "2026-04-02T22:00:00Z", "2026-04-03T13:15:00Z"),
        # after the table, the rule alone
        ("2040-12-25T12:00:00Z", True, "2040-12-25", "2040-12-24T23:00:00Z", "2040-12-25T22:00:00Z"),
    ],
)
def test_sessions_of_the_index_futures(at: str, open_: bool, day: str, start: str, end: str) -> None:
    assert is_open("cme_equity", _us(at)) is open_
    session = session_at("cme_equity", _us(at))
    assert (session.day, session.start_us, session.end_us) == (date.fromisoformat(day), _us(start), _us(end))


def test_what_never_closes_has_trading_days_too() -> None:
    saturday = _us("2025-07-12T12:00:00Z")
    assert is_open("always", saturday)
    assert session_date("always", saturday) == date(2025, 7, 12)
    assert session_end_us("always", saturday) == _us("2025-07-12T22:00:00Z")
    assert session_date("always", _us("2025-07-12T22:00:00Z")) == date(2025, 7, 13)


def test_a_pause_is_closed_within_the_session() -> None:
    pause = _us("2025-07-01T13:00:00Z")  # 08:00 in Chicago
    assert not is_open("cbot_grains", pause)
    assert session_date("cbot_grains", pause) == date(2025, 7, 1)
    assert is_open("cbot_grains", _us("2025-07-01T13:30:00Z"))
    assert is_open("cbot_grains", _us("2025-07-01T12:44:59Z"))


def test_eurex_opens_in_the_morning() -> None:
    assert session_start_us("eurex", _us("2025-07-01T12:00:00Z")) == _us("2025-06-30T23:10:00Z")
    assert not is_open("eurex", _us("2025-06-30T20:00:00Z"))
    assert session_date("eurex", _us("2025-12-24T12:00:00Z")) == date(2025, 12, 29)


def test_an_unknown_calendar_and_an_impossible_time_are_refused() -> None:
    with pytest.raises(InvalidInput, match="Known: always, cbot_grains"):
        is_open("nyse", 0)
    for at_us in (-(10**18), 10**18, 10**30):
        with pytest.raises(InvalidInput, match="out of range"):
            session_end_us("always", at_us)


@pytest.mark.parametrize("calendar", sorted(TABLES))
def test_the_table_has_working_days_of_its_years_in_order(calendar: str) -> None:
    assert calendar in RULES
    seen = set()
    for line in TABLES[calendar].splitlines():
        year, what, *days = line.split()
        assert 2015 <= int(year) <= 2032
        assert what == "closed" or time.fromisoformat(what) != RULES[calendar].closes
        assert days == sorted(days)
        for day in days:
            moment = date.fromisoformat(f"{year}-{day}")
            assert moment.weekday() < 5
            assert moment not in seen
            seen.add(moment)
    assert len(seen) > 18


def test_the_script_writes_what_differs_from_the_rule() -> None:
    closes = {
        date(2015, 1, 1) + timedelta(days=offset): time(16)
        for offset in range(6575)
        if (date(2015, 1, 1) + timedelta(days=offset)).weekday() < 5
    }
    del closes[date(2020, 12, 25)]
    closes[date(2020, 11, 27)] = closes[date(2020, 7, 3)] = time(12)
    closes[date(2021, 4, 2)] = time(8, 15)
    text = script.exceptions(closes, time(16))
    assert text == "2020 closed 12-25\n2020 12:00 07-03 11-27\n2021 08:15 04-02\n"
    namespace: dict[str, dict[str, str]] = {}
    exec(compile(script.module({"a": text}), "tables", "exec", dont_inherit=True), namespace)
    assert namespace["TABLES"] == {"a": text}


def test_the_generated_module_is_what_the_script_writes() -> None:
    assert script.TARGET.read_text("utf-8") == script.module(TABLES)

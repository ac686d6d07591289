"""Dates, times of day and zones in every culture."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from gesta.kernel.times import from_datetime
from gesta.sources.nt8_grid.dates import DateOrder, local_datetime, proof, take_apart, to_utc
from gesta.sources.row import RowError

MDY, DMY, YMD = DateOrder.MDY, DateOrder.DMY, DateOrder.YMD


@pytest.mark.parametrize(
    ("text", "order", "local"),
    [
        ("7/23/2026 4:44:46 PM", MDY, "2026-07-23 16:44:46"),
        ("7/23/2026 12:00:00 AM", MDY, "2026-07-23 00:00:00"),
        ("7/23/2026 12:00:00 PM", MDY, "2026-07-23 12:00:00"),
        ("7/23/2026 4:44:46\u202fPM", MDY, "2026-07-23 16:44:46"),
        ("27/04/2026 6:05:02", DMY, "2026-04-27 06:05:02"),
        ("01-04-2026 00:27:56", DMY, "2026-04-01 00:27:56"),
        ("6/16/2025 21:08", MDY, "2025-06-16 21:08:00"),
        ("27.04.2026 06:05:02", DMY, "2026-04-27 06:05:02"),
        ("27. 4. 2026 6:05:02", DMY, "2026-04-27 06:05:02"),
        ("2026-04-27 06:05:02", DMY, "2026-04-27 06:05:02"),
        ("2026-04-27T06:05:02", MDY, "2026-04-27 06:05:02"),
        ("2026/04/27 6:05:02", YMD, "2026-04-27 06:05:02"),
        ("2026. 04. 27. 6:05:02", YMD, "2026-04-27 06:05:02"),
        ("2026. 4. 27. 오후 6:05:02", YMD, "2026-04-27 18:05:02"),
        ("2026/4/27 下午 06:05:02", YMD, "2026-04-27 18:05:02"),
        ("27/04/2026 6:05:02 p. m.", DMY, "2026-04-27 18:05:02"),
        ("27/04/2026 6:05:02 p.\u00a0m.", DMY, "2026-04-27 18:05:02"),
        ("27/4/2026 6:05:02 μμ", DMY, "2026-04-27 18:05:02"),
        ("27/04/2026 06.05.02", DMY, "2026-04-27 06:05:02"),
        ("27-Apr-26 18:05:02", DMY, "2026-04-27 18:05:02"),
        ("27 févr. 2026 18:05:02", DMY, "2026-02-27 18:05:02"),
        ("27/04/26 06:05", DMY, "2026-04-27 06:05:00"),
        ("26/04/27 06:05", YMD, "2026-04-27 06:05:00"),
        ("7/23/2026 16:44:46.1234567", MDY, "2026-07-23 16:44:46.123456"),
    ],
)
def test_local_time(text: str, order: DateOrder, local: str) -> None:
    assert str(local_datetime(take_apart(text), order)) == local


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("31/02/2026 6:05:02", DMY),
        ("27/04/2026 6:05:02", MDY),
        ("27/04/2026 25:05:02", DMY),
        ("27/04/2026 6:65:02", DMY),
        ("27/04/2026 13:05:02 PM", DMY),
        ("27/04/2026 6:05:02 XX", DMY),
        ("27/04/2026", DMY),
        ("6:05:02", DMY),
        ("27/04/1926 6:05:02", DMY),
        ("27/04/9999 6:05:02", DMY),
        ("27-Foo-2026 6:05:02", DMY),
        ("0/0/0 0:00", DMY),
        ("", DMY),
        ("99999999999", DMY),
    ],
)
def test_impossible_time(text: str, order: DateOrder) -> None:
    with pytest.raises(RowError):
        local_datetime(take_apart(text), order)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("27/04/2026 6:05", DMY),
        ("4/27/2026 6:05", MDY),
        ("4/7/2026 6:05", None),
        ("04.07.2026 6:05", DMY),
        ("04-07-2026 6:05", None),
        ("2026-04-07 6:05", YMD),
        ("4-Jul-2026 6:05", DMY),
    ],
)
def test_what_one_date_proves(text: str, order: DateOrder | None) -> None:
    assert proof(take_apart(text)) is order


def test_a_time_that_the_clock_skipped_is_refused() -> None:
    with pytest.raises(RowError, match="did not exist in America/Chicago"):
        to_utc(datetime.fromisoformat("2026-03-08 02:30"), ZoneInfo("America/Chicago"))


def test_a_time_that_the_clock_showed_twice_is_the_first_and_noted() -> None:
    at_us, note = to_utc(datetime.fromisoformat("2026-11-01 01:30"), ZoneInfo("America/Chicago"))
    assert at_us == from_datetime(datetime(2026, 11, 1, 6, 30, tzinfo=UTC))
    assert note is not None
    assert "happened twice" in note


def test_a_plain_time_has_no_note() -> None:
    at_us, note = to_utc(datetime.fromisoformat("2026-04-27 06:05:02"), ZoneInfo("America/Chicago"))
    assert (at_us, note) == (from_datetime(datetime(2026, 4, 27, 11, 5, 2, tzinfo=UTC)), None)

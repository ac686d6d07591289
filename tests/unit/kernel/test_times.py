from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.kernel import times
from gesta.kernel.errors import InvalidInput

moments = st.integers(times.MIN_US, times.MAX_US)


@given(moments)
def test_printed_times_read_back(at_us: int) -> None:
    assert times.parse_rfc3339(times.format_us(at_us)) == at_us
    assert times.parse_rfc3339(times.format_shortest(at_us)) == at_us
    assert times.parse_rfc3339(times.format_ms(at_us)) == at_us // 1000 * 1000


@given(moments)
def test_printing_equals_the_standard_library(at_us: int) -> None:
    moment = times.to_datetime(at_us)
    assert times.format_us(at_us) == moment.isoformat(timespec="microseconds")[:-6] + "Z"
    assert times.format_ms(at_us) == moment.isoformat(timespec="milliseconds")[:-6] + "Z"
    assert times.from_datetime(moment) == at_us


@pytest.mark.parametrize(
    ("text", "at_us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01 00:00:01.5", 1_500_000),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1969-12-31T23:59:59.9999999-00:00", -1),
        ("2023-10-31T14:19:34.788Z", 1_698_761_974_788_000),
    ],
)
def test_forms_that_are_read(text: str, at_us: int) -> None:
    assert times.parse_rfc3339(text) == at_us


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01",
        "٢٠٢٦-01-01T00:00:00Z",
        "2026-01-01T00:00:00Zx",
        "2026-01-01T00:00:60Z",
        "9999-12-31T23:59:59-23:59",
    ],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        times.parse_rfc3339(text, field="at")


def test_dates() -> None:
    assert times.parse_date("1970-01-02") == times.DAY_US
    assert times.parse_date("1970-01-02T00:00:00Z") is None
    with pytest.raises(InvalidInput):
        times.parse_date("2026-02-29")
    assert times.format_day(times.day_of(times.DAY_US * 3 - 1)) == "1970-01-03"

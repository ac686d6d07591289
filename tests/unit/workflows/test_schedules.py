"""When schedules are due: time zones that change, leap days, what passed meanwhile."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.kernel.times import format_ms, parse_rfc3339
from gesta.workflows.face import CatchUp
from gesta.workflows.triggers.schedules import GRACE_US, MOST_CAUGHT_UP, Due, Timing, due, next_at

S = 1_000_000
HOUR = 3600 * S


def us(text: str) -> int:
    return parse_rfc3339(text)


def moments(timing: Timing, after: str, count: int) -> list[str]:
    found, at = [], us(after)
    for _ in range(count):
        moment = next_at(timing, at)
        assert moment is not None
        found.append(format_ms(moment).replace(".000Z", "Z"))
        at = moment
    return found


def berlin(cron: str) -> Timing:
    return Timing(cron=cron, timezone="Europe/Berlin")


def test_a_cron_is_about_the_wall_clock_of_its_zone() -> None:
    assert moments(berlin("0 9 * * 1-5"), "2026-03-27T09:00:00Z", 2) == [
        "2026-03-30T07:00:00Z",  # the Monday after the clocks went forward
        "2026-03-31T07:00:00Z",
    ]


def test_a_moment_in_the_gap_is_taken_at_its_end() -> None:
    # 29 March 2026: 02:00 is followed by 03:00.
    assert moments(berlin("30 2 * * *"), "2026-03-28T00:00:00Z", 3) == [
        "2026-03-28T01:30:00Z",
        "2026-03-29T01:00:00Z",
        "2026-03-30T00:30:00Z",
    ]


def test_several_moments_in_the_gap_are_one() -> None:
    assert moments(berlin("*/20 2,3 * * *"), "2026-03-28T23:00:00Z", 3) == [
        "2026-03-29T01:00:00Z",
        "2026-03-29T01:20:00Z",
        "2026-03-29T01:40:00Z",
    ]


def test_a_moment_that_is_shown_twice_is_taken_once() -> None:
    # 25 October 2026: 03:00 is followed by 02:00.
    assert moments(berlin("30 2 * * *"), "2026-10-24T12:00:00Z", 2) == [
        "2026-10-25T00:30:00Z",
        "2026-10-26T01:30:00Z",
    ]
    # Also for who asks between the two.
    assert next_at(berlin("30 2 * * *"), us("2026-10-25T01:10:00Z")) == us("2026-10-26T01:30:00Z")


def test_every_hour_is_every_hour_that_passes() -> None:
    assert moments(berlin("30 * * * *"), "2026-03-28T23:45:00Z", 3) == [
        "2026-03-29T00:30:00Z",
        "2026-03-29T01:30:00Z",  # 03:30 on the wall
        "2026-03-29T02:30:00Z",
    ]
    assert moments(berlin("*/30 * * * *"), "2026-10-24T23:45:00Z", 6) == [
        "2026-10-25T00:00:00Z",
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:00:00Z",  # 02:00 again
        "2026-10-25T01:30:00Z",
        "2026-10-25T02:00:00Z",
        "2026-10-25T02:30:00Z",
    ]


def test_half_an_hour_of_daylight_saving() -> None:
    # Lord Howe: on 5 October 2025 02:00 is followed by 02:30.
    timing = Timing(cron="15 2 * * *", timezone="Australia/Lord_Howe")
    assert moments(timing, "2025-10-04T00:00:00Z", 2) == ["2025-10-04T15:30:00Z", "2025-10-05T15:15:00Z"]


def test_a_day_that_a_zone_left_out() -> None:
    # Samoa had no 30 December 2011; the moment of that day falls on the first of the next one.
    timing = Timing(cron="0 9 * * *", timezone="Pacific/Apia")
    assert moments(timing, "2011-12-29T00:00:00Z", 3) == [
        "2011-12-29T19:00:00Z",
        "2011-12-30T10:00:00Z",
        "2011-12-30T19:00:00Z",
    ]


def test_leap_days() -> None:
    assert moments(Timing(cron="0 0 29 2 *"), "2096-02-29T00:00:00Z", 2) == [
        "2104-02-29T00:00:00Z",
        "2108-02-29T00:00:00Z",
    ]
    # Also where every hour of it is meant, across sixteen changes of the clocks.
    assert next_at(berlin("0 * 29 2 *"), us("2024-03-01T00:00:00Z")) == us("2028-02-28T23:00:00Z")
    assert next_at(Timing(cron="0 0 30 2 *"), us("2024-01-01T00:00:00Z")) is None


def test_seconds_are_the_sixth_field() -> None:
    assert moments(Timing(cron="* * * * * */20"), "2026-01-01T00:00:00.5Z", 3) == [
        "2026-01-01T00:00:20Z",
        "2026-01-01T00:00:40Z",
        "2026-01-01T00:01:00Z",
    ]


def test_every_so_often_is_counted_from_the_creation() -> None:
    timing = Timing(every_us=90 * S, anchor_us=7 * S)
    assert next_at(timing, 0) == next_at(timing, 7 * S) == 97 * S
    assert next_at(timing, 97 * S - 1) == 97 * S
    assert next_at(timing, 97 * S) == 187 * S


def test_once() -> None:
    timing = Timing(at_us=50)
    assert (next_at(timing, 49), next_at(timing, 50)) == (50, None)
    assert due(timing, 49, 60) == Due(moments=(50,), next_us=None)


@pytest.mark.parametrize(
    ("catch_up", "moments"),
    [
        (CatchUp.ONE, (10 * S,)),
        (CatchUp.ALL, tuple(range(10 * S, 10 * S * (MOST_CAUGHT_UP + 1), 10 * S))),
        (CatchUp.SKIP, (5000 * S,)),
    ],
)
def test_what_passed_while_nobody_looked(catch_up: CatchUp, moments: tuple[int, ...]) -> None:
    timing = Timing(every_us=10 * S, catch_up=catch_up)
    assert due(timing, 0, 5001 * S) == Due(moments=moments, next_us=5010 * S)


def test_skip_leaves_out_what_is_later_than_its_grace() -> None:
    timing = Timing(every_us=HOUR, catch_up=CatchUp.SKIP)
    assert due(timing, 0, HOUR + GRACE_US - 1).moments == (HOUR,)
    assert due(timing, 0, HOUR + GRACE_US) == Due(moments=(), next_us=2 * HOUR)


def test_a_clock_that_goes_back_starts_nothing() -> None:
    assert due(Timing(every_us=10 * S), 100 * S, 50 * S) == Due(moments=(), next_us=110 * S)


TIMINGS = st.builds(
    Timing,
    every_us=st.integers(S, 1000 * S),
    anchor_us=st.integers(0, 10**15),
    catch_up=st.sampled_from(CatchUp),
) | st.builds(
    Timing,
    cron=st.sampled_from(
        ["* * * * *", "*/7 * * * *", "30 2 * * *", "*/20 1-3 * * *", "0 * * * 1", "5 4 29 2 *", "* * * * * */9"]
    ),
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    catch_up=st.sampled_from(CatchUp),
)
# Around the changes of the clocks in the autumn of 2026 and the spring of 2027, and anywhere in between.
STARTS = st.sampled_from(
    ["2026-10-24T22:00:00Z", "2026-11-01T04:00:00Z", "2027-03-27T23:00:00Z", "2027-04-03T13:00:00Z"]
)
STEPS = st.lists(st.integers(-2 * HOUR, 6 * HOUR) | st.integers(0, 90 * S), max_size=12)


@settings(deadline=None)
@given(TIMINGS, STARTS, STEPS)
def test_no_moment_is_given_twice_and_all_are_in_order(timing: Timing, start: str, steps: list[int]) -> None:
    now_us = last_us = us(start)
    seen: list[int] = []
    for step in steps:
        now_us = max(0, now_us + step)
        found = due(timing, last_us, now_us)
        assert all(last_us < moment <= now_us for moment in found.moments)
        seen += found.moments
        last_us = max(last_us, now_us)
        assert found.next_us is None or found.next_us > last_us
    assert seen == sorted(set(seen))


@settings(deadline=None)
@given(TIMINGS, STARTS, STEPS)
def test_the_next_moment_may_stand_for_the_last_look(timing: Timing, start: str, steps: list[int]) -> None:
    """What a row keeps is the next moment: asked from just before it, nothing is lost or doubled."""
    now_us = us(start)
    next_us = next_at(timing, now_us)
    last_us = now_us
    for step in steps:
        now_us = max(0, now_us + step)
        if next_us is None or next_us > now_us:
            assert due(timing, last_us, now_us).moments == ()
        else:
            assert due(timing, next_us - 1, now_us) == due(timing, last_us, now_us)
            next_us = due(timing, next_us - 1, now_us).next_us
        last_us = max(last_us, now_us)


@settings(deadline=None)
@given(st.sampled_from(["30 2 * * *", "*/20 * * * *", "15 */2 * * *"]), STARTS, st.integers(0, 4 * HOUR))
def test_what_is_next_does_not_depend_on_when_it_is_asked(cron: str, start: str, ahead_us: int) -> None:
    timing = berlin(cron)
    first = next_at(timing, us(start))
    assert first is not None
    between = min(us(start) + ahead_us, first - 1)
    assert next_at(timing, between) == first


def test_moments_have_no_fractions() -> None:
    moment = next_at(berlin("*/5 * * * *"), us("2026-06-01T10:00:00Z") + 123_456)
    assert moment is not None
    assert moment % (300 * S) == 0


def test_several_dates_are_taken_one_after_another() -> None:
    timing = Timing(dates_us=(10 * S, 20 * S, 30 * S), catch_up=CatchUp.ALL)
    assert [next_at(timing, at * S) for at in (0, 10, 29, 30)] == [10 * S, 20 * S, 30 * S, None]
    assert due(timing, 0, 25 * S) == Due(moments=(10 * S, 20 * S), next_us=30 * S)
    assert due(timing, 20 * S, 99 * S).next_us is None


def test_what_is_outside_the_window_is_left_out() -> None:
    day_us = 86_400 * S
    timing = Timing(cron="0 0 * * *", from_us=5 * day_us, until_us=7 * day_us - 1)
    assert [next_at(timing, at * day_us) for at in (0, 5, 6)] == [5 * day_us, 6 * day_us, None]
    assert next_at(msgspec.structs.replace(timing, until_us=None), 9 * day_us) == 10 * day_us
    assert due(timing, 0, 100 * day_us) == Due(moments=(5 * day_us,), next_us=None)
    every = Timing(every_us=60 * S, anchor_us=0, from_us=90 * S, until_us=180 * S)
    assert [next_at(every, at * S) for at in (0, 120, 180)] == [120 * S, 180 * S, None]

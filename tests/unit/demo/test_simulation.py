"""The simulated world is a pure function of seed and time, and keeps the rules of the ledger."""

from __future__ import annotations

import functools
import itertools
import re
from collections import defaultdict
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.app.demo import simulation
from gesta.app.demo.fills import EPISODE_US, fill_episode
from gesta.app.demo.market import FUTURES, SECOND_US, contract
from gesta.app.demo.noise import walk
from gesta.app.demo.story import Accounts, Story
from gesta.kernel.times import DAY_US, parse_rfc3339
from gesta.ledger.lifecycle import TERMINAL, check, check_birth
from gesta.ledger.records import ExecutorDetail, FillDetail, Kind, RunDetail, Source, Status

ACCOUNTS = Accounts(trading=1, executors=2, linked=3)
NOW_US = parse_rfc3339("2026-11-20T15:30:00Z")
HOUR_US = 3600 * SECOND_US


@functools.cache
def told(from_us: int = NOW_US - 6 * HOUR_US, to_us: int = NOW_US, seed: int = 1) -> list[Story]:
    return simulation.stories(seed, ACCOUNTS, from_us, to_us)


def test_the_same_seed_tells_the_same_and_another_tells_something_else() -> None:
    assert told() == told()
    assert {story.birth.id for story in told()}.isdisjoint(story.birth.id for story in told(seed=2))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3600), max_size=6))
def test_a_stretch_told_in_pieces_is_the_stretch(cuts_s: list[int]) -> None:
    start_us = NOW_US - HOUR_US
    places = sorted({start_us, NOW_US, *(start_us + cut * SECOND_US for cut in cuts_s)})
    pieces = [story for low, high in itertools.pairwise(places) for story in told(low, high)]
    assert pieces == told(start_us, NOW_US)


def test_sparse_stories_are_some_of_all_stories() -> None:
    sparse = simulation.stories(1, ACCOUNTS, NOW_US - 6 * HOUR_US, NOW_US, every=simulation.SPARSE)
    everything = {story.birth.id for story in told()}
    assert {story.birth.id for story in sparse} < everything
    assert {story.birth.kind for story in sparse} == set(Kind)


def test_every_story_keeps_to_the_life_cycle_and_ends() -> None:
    endings: dict[Kind, set[Status]] = defaultdict(set)
    for story in told():
        status = story.birth.status
        check_birth(story.birth.kind, status)
        at_us = story.birth.created_at_us
        for step in story.steps:
            assert step.at_us >= at_us
            assert step.change.event.at_us == step.at_us
            at_us = step.at_us
            if step.change.status is not None:
                check(story.birth.kind, status, step.change.status)
                status = step.change.status
        assert status in TERMINAL
        endings[story.birth.kind].add(status)
    assert endings[Kind.FILL] == {Status.SUCCEEDED}
    assert endings[Kind.EXECUTOR] == {Status.SUCCEEDED, Status.FAILED, Status.CANCELLED}
    assert endings[Kind.RUN] == TERMINAL


def test_everything_says_that_it_is_simulated() -> None:
    for story in told():
        assert story.birth.name.startswith("Simulated")
        assert story.birth.source is Source.SIMULATED
        assert story.birth.origin == "gesta-demo"


def test_ids_have_the_forms_that_clients_of_each_dialect_expect() -> None:
    forms = {Kind.FILL: r"[0-9a-f]{32}", Kind.EXECUTOR: r"[1-9A-HJ-NP-Za-km-z]{40,44}", Kind.RUN: r"[0-9a-f]{24}"}
    ids = [story.birth.id for story in told()]
    assert len(set(ids)) == len(ids)
    for story in told():
        assert re.fullmatch(forms[story.birth.kind], story.birth.id)


def test_positions_fold_and_every_episode_ends_flat() -> None:
    positions: dict[str, Decimal] = defaultdict(Decimal)
    first_us = (NOW_US - 6 * HOUR_US) // (240 * SECOND_US) * 240 * SECOND_US
    last_us = first_us + 6 * HOUR_US
    fills = [story.birth.detail for story in told(first_us, last_us) if isinstance(story.birth.detail, FillDetail)]
    assert len(fills) > 200
    for fill in fills:
        before = positions[fill.instrument]
        change = fill.quantity if fill.side == "buy" else -fill.quantity
        positions[fill.instrument] = before + change
        assert fill.position_after == before + change
        assert fill.is_initial_entry == (fill.is_entry and before * change <= 0)
        assert fill.is_last_exit == (fill.is_exit and fill.position_after == 0)
        assert (fill.realized_pnl is None) == (not fill.is_exit)
        assert fill.price % Decimal("0.25") == 0
    assert set(positions.values()) == {0}


def test_realized_profit_is_what_the_cash_flow_says() -> None:
    first_us = NOW_US // (240 * SECOND_US) * 240 * SECOND_US
    fills = [story.birth.detail for story in told(first_us - HOUR_US, first_us)]
    cash = realized = Decimal(0)
    for fill in fills:
        if isinstance(fill, FillDetail):
            sign = -1 if fill.side == "buy" else 1
            cash += sign * fill.price * fill.quantity * fill.point_value
            realized += fill.realized_pnl or 0
    assert cash == realized


@pytest.mark.parametrize("seed", range(5))
def test_no_320_seconds_pass_without_a_fill(seed: int) -> None:
    first = NOW_US // EPISODE_US
    episodes = (fill_episode(seed, ACCOUNTS, index) for index in range(first, first + DAY_US // EPISODE_US))
    times = [story.birth.created_at_us for episode in episodes for story in episode]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert max(gaps) < 160 * SECOND_US


def test_an_executor_trades_while_it_runs_and_says_how_it_closed() -> None:
    ways = set()
    for story in told():
        if story.birth.kind is Kind.EXECUTOR:
            *_, last = (step.change.detail for step in story.steps if step.change.detail is not None)
            assert isinstance(last, ExecutorDetail)
            assert not last.is_trading
            ways.add(last.close_type)
    assert ways >= {"TAKE_PROFIT", "STOP_LOSS", "TIME_LIMIT"}


def test_a_run_that_succeeds_has_run_all_its_nodes() -> None:
    for story in told():
        if story.birth.kind is Kind.RUN and story.steps[-1].change.status is Status.SUCCEEDED:
            detail = story.steps[-1].change.detail
            assert isinstance(detail, RunDetail)
            assert {node.status for node in detail.nodes} == {"succeeded"}


def test_any_story_is_found_again_by_its_id_and_birth() -> None:
    for story in told():
        birth = story.birth
        assert simulation.story_of(1, ACCOUNTS, birth.kind, birth.id, birth.created_at_us) == story
        assert simulation.story_of(1, ACCOUNTS, birth.kind, "other", birth.created_at_us) is None


@pytest.mark.parametrize(
    ("day", "name"),
    [
        ("2026-11-20", "ES 12-26"),
        ("2026-12-09", "ES 12-26"),
        ("2026-12-10", "ES 03-27"),
        ("2026-12-31", "ES 03-27"),
        ("2027-01-01", "ES 03-27"),
        ("2027-03-11", "ES 06-27"),
    ],
)
def test_contracts_roll_eight_days_before_the_third_friday(day: str, name: str) -> None:
    assert contract("ES", parse_rfc3339(f"{day}T12:00:00Z")) == name


def test_a_walk_moves_by_about_its_deviation() -> None:
    values = [walk(7, "x", second, deviation=1000) for second in range(1_700_000_000, 1_700_002_000)]
    steps = [later - earlier for earlier, later in itertools.pairwise(values)]
    mean_square = sum(step * step for step in steps) / len(steps)
    assert 0.8e6 < mean_square < 1.2e6


def test_prices_stay_positive_on_the_grid() -> None:
    for instrument in FUTURES:
        price = instrument.price_at(3, NOW_US)
        assert price > 0
        assert price % instrument.tick == 0

"""The simulated world is a pure function of seed and time, and keeps the rules of the ledger."""

from __future__ import annotations

import functools
import itertools
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.app.demo import simulation
from gesta.app.demo.story import SECOND_US, Accounts, Story
from gesta.kernel.times import parse_rfc3339
from gesta.ledger.lifecycle import TERMINAL, check, check_birth
from gesta.ledger.records import Kind, RunDetail, Source, Status

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
    assert sparse


def test_every_story_keeps_to_the_life_cycle_and_ends() -> None:
    endings: set[Status] = set()
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
        endings.add(status)
    assert endings == TERMINAL
    assert {story.birth.kind for story in told()} == {Kind.RUN}, "fills and executors are real, on the paper venue"


def test_everything_says_that_it_is_simulated() -> None:
    for story in told():
        assert story.birth.name.startswith("Simulated")
        assert story.birth.source is Source.SIMULATED
        assert story.birth.origin == "gesta-demo"


def test_ids_have_the_form_that_clients_expect() -> None:
    ids = [story.birth.id for story in told()]
    assert len(set(ids)) == len(ids)
    for story in told():
        assert re.fullmatch(r"[0-9a-f]{24}", story.birth.id)


def test_a_run_that_succeeds_has_run_all_its_nodes() -> None:
    for story in told():
        if story.steps[-1].change.status is Status.SUCCEEDED:
            detail = story.steps[-1].change.detail
            assert isinstance(detail, RunDetail)
            assert {node.status for node in detail.nodes} == {"succeeded"}


def test_any_story_is_found_again_by_its_id_and_birth() -> None:
    for story in told():
        birth = story.birth
        assert simulation.story_of(1, ACCOUNTS, birth.id, birth.created_at_us) == story
        assert simulation.story_of(1, ACCOUNTS, "other", birth.created_at_us) is None

"""Runs of the simulated world, as a pure function of a seed and of time. No clock, no chance, no I/O.

Time is cut into slots; each slot has its own story, so any stretch of time can be told without what came before, and
telling it again tells the same.
"""

from __future__ import annotations

from gesta.app.demo.runs import SLOT_US, run_story
from gesta.app.demo.story import Accounts, Story

# Of stretches long past only every so many slots are told, so that days of history are some hundred rows.
SPARSE = 8


def stories(seed: int, accounts: Accounts, from_us: int, to_us: int, *, every: int = 1) -> list[Story]:
    """The stories born in from ≤ t < to, oldest first; only those of slots divisible by `every`."""
    told = [
        story
        for index in range(from_us // SLOT_US, -(-to_us // SLOT_US))
        if index % every == 0
        for story in (run_story(seed, accounts, index),)
        if from_us <= story.birth.created_at_us < to_us
    ]
    return sorted(told, key=lambda story: story.birth.created_at_us)


def story_of(seed: int, accounts: Accounts, execution_id: str, created_at_us: int) -> Story | None:
    """The story of a recorded execution, so that a server started again goes on with it. None if it is none of ours."""
    story = run_story(seed, accounts, created_at_us // SLOT_US)
    return story if story.birth.id == execution_id else None

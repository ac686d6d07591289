"""Executors and runs of the simulated world, as a pure function of a seed and of time. No clock, no chance, no I/O.

Time is cut into slots; each slot of each kind has its own story, so any stretch of time can be told without what came
before, and telling it again tells the same.
"""

from __future__ import annotations

from gesta.app.demo import executors, runs
from gesta.app.demo.story import Accounts, Story
from gesta.ledger.records import Kind

# Of stretches long past only every so many slots are told, so that days of history are some hundred rows.
SPARSE = {Kind.EXECUTOR: 24, Kind.RUN: 12}
DENSE = {Kind.EXECUTOR: 1, Kind.RUN: 1}


def stories(seed: int, accounts: Accounts, from_us: int, to_us: int, *, every: dict[Kind, int] = DENSE) -> list[Story]:
    """The stories born in from ≤ t < to, oldest first; of each kind, only the slots divisible by `every`."""
    told = [
        story
        for kind, slot_us in SLOTS.items()
        for index in range(from_us // slot_us, -(-to_us // slot_us))
        if index % every[kind] == 0
        for story in (slot_story(seed, accounts, kind, index),)
        if from_us <= story.birth.created_at_us < to_us
    ]
    return sorted(told, key=lambda story: story.birth.created_at_us)


def slot_story(seed: int, accounts: Accounts, kind: Kind, index: int) -> Story:
    """The story of one slot of one kind."""
    if kind is Kind.EXECUTOR:
        return executors.executor_story(seed, accounts, index)
    return runs.run_story(seed, accounts, index)


def story_of(seed: int, accounts: Accounts, kind: Kind, execution_id: str, created_at_us: int) -> Story | None:
    """The story of a recorded execution, so that a server started again goes on with it. None if it is none of ours."""
    if kind not in SLOTS:
        return None
    story = slot_story(seed, accounts, kind, created_at_us // SLOTS[kind])
    return story if story.birth.id == execution_id else None


SLOTS = {Kind.EXECUTOR: executors.SLOT_US, Kind.RUN: runs.SLOT_US}

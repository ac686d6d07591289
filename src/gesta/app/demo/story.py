"""A story: how one simulated execution is born and what happens to it."""

from __future__ import annotations

import msgspec

from gesta.ledger.records import NewExecution, Transition

SECOND_US = 1_000_000
ORIGIN = "gesta-demo"


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """The ids of the accounts that the activity happens in."""

    trading: int
    executors: int
    linked: int


class Step(msgspec.Struct, frozen=True):
    at_us: int
    change: Transition


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """`birth` is recorded at its `created_at_us`; each step, in order, raises the version of the execution by one."""

    birth: NewExecution
    steps: tuple[Step, ...] = ()

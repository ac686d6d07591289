"""What Gesta asks of a durable-execution engine, and no more: a segment that is submitted is carried out to its end,
whatever dies meanwhile, and what its steps gave before is not done again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from gesta.workflows.runs.rows import SegmentId

#: A step of a segment: gives a JSON text, which is kept. It must not raise, except for its cancellation.
Body = Callable[[], Awaitable[str]]


class Step(msgspec.Struct, frozen=True):
    """`name` says which node and which attempt; it is shown by tools that look into the engine."""

    name: str
    body: Body


class Steps(Protocol):
    async def perform(self, wave: Sequence[Step]) -> list[str]:
        """What each step gave, in their order; all of them run at once. A step that gave its text before an
        interruption gives the same text again without being run; one that did not is run again."""
        ...

    async def attempt(self, step: Step) -> str:
        """What one step gives, which is not kept: for what the segment's own end keeps at once, or `perform` then."""
        ...


#: Carries out one segment. It is told the same again after an interruption, and must ask for the same steps.
Carry = Callable[[SegmentId, Steps], Awaitable[None]]


class Engine(Protocol):
    async def start(self, carry: Carry) -> None:
        """Begin, and go on with what this process had under way when it ended. Raises Unavailable where the engine's
        database does not answer."""
        ...

    async def submit(self, segments: Sequence[SegmentId], *, needs_desk: bool = False) -> None:
        """On return they are on disk, and are carried out here or by a worker; those that need the trading desk by a
        process that has one, if one is there. Submitting again does nothing."""
        ...

    async def wake(self) -> None:
        """Begin, if it is one that waits for its first segment: others may have left something."""
        ...

    async def recover(self, worker: str) -> int:
        """Take over what a dead process had under way. Returns how many segments."""
        ...

    async def stop(self, *, timeout_s: float) -> None:
        """End; what is under way goes on at the next start. No thread and no connection is left behind."""
        ...

    async def forget(self, before_us: int, most: int) -> int:
        """Delete what is known of at most so many segments that ended before a moment. Returns how many."""
        ...

"""Tells the simulated stories to the ledger: those of the past at once, the rest in time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import msgspec
import structlog

from gesta.access.model import Principal
from gesta.app.demo import simulation
from gesta.app.demo.story import ORIGIN, SECOND_US, Accounts, Story
from gesta.desk.reading import MAX_PAGE, Reading
from gesta.desk.recording import Recording
from gesta.kernel.clock import Clock
from gesta.kernel.errors import Conflict
from gesta.kernel.times import DAY_US
from gesta.ledger.lifecycle import ACTIVE, TERMINAL
from gesta.ledger.records import Execution, Outcome, Source

log = structlog.get_logger("gesta.demo")

# How far back a first start tells, and how much of that in full.
HISTORY_US = 3 * DAY_US
FULL_US = 30 * 60 * SECOND_US
INTERVAL_S = 1.0

# Stories are made this far ahead, so that a tick at which nothing happens costs nothing.
_AHEAD_US = 60 * SECOND_US
_BATCH = 200
# So many stories go on at once: the database commits their steps together.
_TOGETHER = 50


class _Open(msgspec.Struct):
    """A story in progress; `next` is its first step that is not recorded."""

    story: Story
    execution: Execution
    next: int


class Activity:
    """`begin` once, then `advance` every INTERVAL_S. Either may be repeated after an error: nothing is told twice."""

    def __init__(
        self,
        seed: int,
        accounts: Accounts,
        principal: Principal,
        reading: Reading,
        recording: Recording,
        clock: Clock,
    ) -> None:
        self._seed = seed
        self._accounts = accounts
        self._principal = principal
        self._reading = reading
        self._recording = recording
        self._clock = clock
        self._open: dict[str, _Open] = {}
        self._coming: deque[Story] = deque()
        self._made_until_us = 0

    async def begin(self) -> None:
        """Record the past, and take up what an earlier run of the server left unfinished."""
        now_us = self._clock.now_us()
        await self._adopt()
        full_from_us = now_us - FULL_US
        history_us = now_us - HISTORY_US
        sparse = simulation.stories(self._seed, self._accounts, history_us, full_from_us, every=simulation.SPARSE)
        await self._bear([*sparse, *simulation.stories(self._seed, self._accounts, full_from_us, now_us)])
        self._made_until_us = now_us
        await self._go_on(now_us)

    async def advance(self) -> None:
        """Record what has happened since the last call."""
        now_us = self._clock.now_us()
        while self._made_until_us <= now_us:
            until_us = self._made_until_us + _AHEAD_US
            self._coming += simulation.stories(self._seed, self._accounts, self._made_until_us, until_us)
            self._made_until_us = until_us
        due = [story for story in self._coming if story.birth.created_at_us <= now_us]
        await self._bear(due)
        for _ in due:
            self._coming.popleft()
        await self._go_on(now_us)

    async def _adopt(self) -> None:
        query = self._reading.filter(self._principal, statuses=ACTIVE, sources=frozenset({Source.SIMULATED}))
        after = None
        while True:
            found = await self._reading.seek(self._principal, query, after=after, limit=MAX_PAGE)
            for execution in found.rows:
                if execution.origin == ORIGIN:
                    self._take_up(execution)
            if found.next is None:
                return
            after = found.next

    def _take_up(self, execution: Execution) -> None:
        story = simulation.story_of(self._seed, self._accounts, execution.external_id, execution.created_at_us)
        if story is not None:
            self._follow(story, execution)

    def _follow(self, story: Story, execution: Execution) -> None:
        """Go on with a story, unless it is over: to its end, or because someone else took the execution further."""
        if execution.status not in TERMINAL and execution.version <= len(story.steps):
            self._open[execution.id] = _Open(story, execution, execution.version - 1)

    async def _bear(self, stories: Sequence[Story]) -> None:
        differing = 0
        for start in range(0, len(stories), _BATCH):
            batch = stories[start : start + _BATCH]
            results = await self._recording.record(self._principal, [story.birth for story in batch])
            for story, result in zip(batch, results, strict=True):
                if result.outcome is Outcome.CONFLICT:
                    differing += 1
                elif story.steps and result.id not in self._open:
                    self._follow(story, await self._reading.get(self._principal, result.id))
        if differing:
            log.warning("demo.recorded_before_with_other_content", executions=differing)

    async def _go_on(self, now_us: int) -> None:
        due = [each for each in self._open.values() if each.story.steps[each.next].at_us <= now_us]
        for start in range(0, len(due), _TOGETHER):
            await asyncio.gather(*(self._tell(each, now_us) for each in due[start : start + _TOGETHER]))

    async def _tell(self, each: _Open, now_us: int) -> None:
        steps = each.story.steps
        while each.next < len(steps) and steps[each.next].at_us <= now_us:
            version = each.execution.version
            change = msgspec.structs.replace(steps[each.next].change, expected_version=version)
            try:
                each.execution = await self._recording.transition(self._principal, each.execution, change)
            except Conflict:
                # Someone else moved it, or this step is on disk already and only its answer was lost.
                each.execution = await self._reading.get(self._principal, each.execution.id)
                if each.execution.version == version:
                    break
            if each.execution.status in TERMINAL:
                break
            each.next = each.execution.version - 1
        else:
            if each.next < len(steps):
                return
        del self._open[each.execution.id]

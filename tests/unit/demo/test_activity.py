"""The driver tells every story once, in time, across restarts and lost answers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gesta.access.model import Organization, Principal, Scope
from gesta.app.demo import simulation
from gesta.app.demo.activity import FULL_US, Activity
from gesta.app.demo.story import SECOND_US, Accounts
from gesta.desk.reading import Reading
from gesta.desk.recording import Recording
from gesta.kernel.errors import Unavailable
from gesta.kernel.times import parse_rfc3339
from gesta.ledger.lifecycle import ACTIVE
from gesta.ledger.query import Page
from gesta.ledger.records import Execution, Kind, NewEvent, Status, Transition
from gesta.testing.fakes import ManualClock
from gesta.testing.memory_ledger import MemoryLedger

ACCOUNTS = Accounts(trading=1, executors=2, linked=3)
NOW_US = parse_rfc3339("2026-11-20T15:30:00Z")
PRINCIPAL = Principal(
    organization=Organization(id=1, public_id="org_x", name="Demo"),
    identity_id=1,
    identity_name="simulation",
    credential_id=1,
    scopes=frozenset({Scope.ADMIN}),
)


class World:
    def __init__(self, ledger: MemoryLedger | None = None, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock(NOW_US)
        self.ledger = ledger or MemoryLedger(self.clock)
        self.reading = Reading(self.ledger)
        self.recording = Recording(self.ledger)
        self.activity = Activity(1, ACCOUNTS, PRINCIPAL, self.reading, self.recording, self.clock)

    async def page(self, **conditions: object) -> Page:
        return await self.reading.page(PRINCIPAL, self.reading.filter(PRINCIPAL, **conditions), offset=0, limit=1000)

    async def run_for(self, seconds: int, *, every_s: int = 1) -> None:
        for _ in range(0, seconds, every_s):
            self.clock.advance_us(every_s * SECOND_US)
            await self.activity.advance()

    async def running(self) -> Execution:
        """One that runs, as soon as there is one."""
        while not (found := (await self.page(statuses=frozenset({Status.RUNNING}))).rows):
            await self.run_for(1)
        return found[0]


async def test_the_past_is_recorded_at_once_and_what_is_long_past_has_ended() -> None:
    world = World()
    await world.activity.begin()
    everything = await world.page()
    assert everything.total is not None
    assert 250 < everything.total < 500
    active = (await world.page(statuses=ACTIVE)).rows
    assert len(active) < 20
    assert all(row.created_at_us > NOW_US - FULL_US for row in active)


async def test_life_goes_on_as_the_stories_say() -> None:
    world = World()
    await world.activity.begin()
    await world.run_for(1200)
    expected = {
        story.birth.id: sum(step.at_us <= world.clock.now_us() for step in story.steps)
        for story in simulation.stories(1, ACCOUNTS, NOW_US, world.clock.now_us() + 1)
    }
    rows = (await world.page(created_from_us=NOW_US)).rows
    assert {row.id: row.version - 1 for row in rows} == expected
    assert {row.kind for row in rows} == {Kind.RUN}


async def test_a_restart_finishes_what_was_running_and_repeats_nothing() -> None:
    first = World()
    await first.activity.begin()
    await first.run_for(300)
    left_open = (await first.page(statuses=ACTIVE)).rows
    total = (await first.page()).total
    first.clock.advance_us(3600 * SECOND_US)
    again = World(first.ledger, first.clock)
    await again.activity.begin()
    for row in left_open:
        assert (await again.reading.get(PRINCIPAL, row.id)).status not in ACTIVE
    at_restart = (await again.page()).total
    assert at_restart is not None
    assert total is not None
    assert at_restart > total
    await World(first.ledger, first.clock).activity.begin()
    assert (await again.page()).total == at_restart


async def test_an_execution_that_someone_else_ended_is_left_alone() -> None:
    world = World()
    await world.activity.begin()
    victim = await world.running()
    change = Transition(event=NewEvent(type="execution.cancelled"), status=Status.CANCELLED)
    await world.recording.transition(PRINCIPAL, victim, change)
    await world.run_for(1200, every_s=10)
    after = await world.reading.get(PRINCIPAL, victim.id)
    assert (after.status, after.version) == (Status.CANCELLED, victim.version + 1)


async def test_an_execution_that_someone_else_took_further_does_not_hinder_a_restart() -> None:
    world = World()
    await world.activity.begin()
    victim = await world.running()
    for _ in range(200):
        amendment = Transition(event=NewEvent(type="execution.amended"))
        victim = await world.recording.transition(PRINCIPAL, victim, amendment)
    again = World(world.ledger, world.clock)
    await again.activity.begin()
    await again.run_for(1200, every_s=10)
    assert (await again.reading.get(PRINCIPAL, victim.id)).version == victim.version
    assert (await again.page(statuses=ACTIVE)).total


async def test_a_lost_answer_is_not_told_twice() -> None:
    class Flaky(Recording):
        calls = 0

        async def transition(self, principal: Principal, execution: Execution, change: Transition) -> Execution:
            changed = await super().transition(principal, execution, change)
            self.calls += 1
            if self.calls % 7 == 0:
                raise Unavailable("The answer was lost.")
            return changed

        async def record(self, principal: Principal, rows: Sequence[object]) -> list[object]:  # type: ignore[override]
            results = await super().record(principal, rows)  # type: ignore[arg-type]
            self.calls += 1
            if rows and self.calls % 5 == 0:
                raise Unavailable("The answer was lost.")
            return results  # type: ignore[return-value]

    world, calm = World(), World()
    flaky = Flaky(world.ledger)
    world.activity = Activity(1, ACCOUNTS, PRINCIPAL, world.reading, flaky, world.clock)
    await calm.activity.begin()
    while True:
        try:
            await world.activity.begin()
        except Unavailable:
            continue
        break
    for _ in range(600):
        world.clock.advance_us(SECOND_US)
        try:
            await world.activity.advance()
        except Unavailable:
            continue
    await calm.run_for(600)
    while True:
        try:
            await world.activity.advance()
        except Unavailable:
            continue
        break
    mine = {row.id: (row.status, row.version) for row in (await world.page()).rows}
    assert mine == {row.id: (row.status, row.version) for row in (await calm.page()).rows}
    assert flaky.calls > 100


@pytest.mark.parametrize("seconds", [0, 1])
async def test_a_clock_that_stands_still_records_nothing_twice(seconds: int) -> None:
    world = World()
    await world.activity.begin()
    world.clock.advance_us(seconds * SECOND_US)
    await world.activity.advance()
    head = await world.reading.head(PRINCIPAL)
    await world.activity.advance()
    assert await world.reading.head(PRINCIPAL) == head

"""Events, webhooks and schedules on each kind of database: what they start is started once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from gesta.access.model import Account, AccountType, Environment, Principal, Scope
from gesta.app.build import MIGRATIONS
from gesta.kernel.errors import Conflict, Forbidden, GestaError, InvalidInput, NotFound, TooLarge, Unavailable
from gesta.kernel.times import parse_rfc3339
from gesta.ledger.query import Filter
from gesta.ledger.records import Execution, Kind, Named, RunDetail, Source
from gesta.storage.migrate import migrate
from gesta.storage.program import Database
from gesta.testing.fakes import ManualClock, SeededIds
from gesta.testing.memory_engine import EngineDisk
from gesta.workflows.definitions.desk import DefinitionDesk
from gesta.workflows.face import (
    CatchUp,
    Draft,
    EventIn,
    ScheduleIn,
    ScheduleView,
    StartRun,
    WorkflowStatus,
    WorkflowView,
)
from gesta.workflows.graph.definition import Definition, Trigger, TriggerKind
from gesta.workflows.runs.rows import MIGRATIONS as WORKFLOWS
from gesta.workflows.triggers import desk, ticker
from gesta.workflows.triggers.checking import MOST_PAYLOAD_BYTES, MOST_SCHEDULE_INPUT_BYTES
from gesta.workflows.triggers.desk import TriggerDesk
from gesta.workflows.triggers.settings import TriggerSettings
from gesta.workflows.triggers.starting import Starter
from gesta.workflows.triggers.ticker import Ticker
from tests.conformance.run_house import House, Remote, flow, node

S = 1_000_000
HOUR_S = 3600


class Bell:
    """One process that takes events and rings at moments, over a house that carries runs out."""

    def __init__(self, house: House, seed: int, settings: TriggerSettings | None = None) -> None:
        self.house, self.clock = house, house.clock
        ids = SeededIds(seed)
        self.definitions = DefinitionDesk(
            database=house.database,
            clock=house.clock,
            ids=ids,
            key=house.access.derived_key,
            settings=settings,
            on_schedules=self._kick,
        )
        self.triggers = TriggerDesk(
            database=house.database,
            access=house.access,
            clock=house.clock,
            ids=ids,
            runs=house.runs,
            service=house.service,
            settings=settings,
            on_schedules=self._kick,
        )
        self.ticker = Ticker(database=house.database, clock=house.clock, starter=self.triggers.starter)

    def _kick(self) -> None:
        self.ticker.kick()

    @property
    def me(self) -> Principal:
        return self.house.principal

    def bound(self, account: Account) -> Principal:
        me = self.me
        return Principal(
            organization=me.organization,
            identity_id=2,
            identity_name="user",
            credential_id=2,
            scopes=me.scopes,
            account=account,
            environment=account.environment,
        )

    async def account(self, name: str, environment: Environment = Environment.PRODUCTION) -> Account:
        return await self.house.access.ensure_account(self.me.organization.id, name, AccountType.LINKED, environment)

    async def publish(self, definition: Definition, principal: Principal | None = None, **words: Any) -> WorkflowView:
        principal = principal or self.me
        made = await self.definitions.create(principal, Draft(definition=definition, **words))
        return await self.definitions.publish(principal, made.id)

    async def executions(self) -> list[Execution]:
        query = Filter(organization=self.me.organization.id, kinds=frozenset({Kind.RUN}))
        return list((await self.house.ledger.seek(query, after=None, limit=500)).rows)

    async def schedule(self, workflow: WorkflowView, **said: Any) -> ScheduleView:
        return await self.triggers.create_schedule(self.me, ScheduleIn(workflow=workflow.id, **said))

    async def schedule_now(self, id: str) -> ScheduleView:
        (found,) = [each for each in await self.triggers.schedules(self.me) if each.id == id]
        return found

    def advance(self, seconds: float) -> None:
        self.clock.advance_us(int(seconds * S))


def quick(trigger: Trigger | None = None, **changes: Any) -> Definition:
    """Over as soon as it begins."""
    return flow(trigger=trigger or Trigger(), **changes)


def on(event: str = "order.paid", application: Named | None = None, **changes: Any) -> Trigger:
    return Trigger(kind=TriggerKind.EVENT, event=event, application=application, **changes)


@pytest.fixture
async def house(database: Database, clock: ManualClock) -> AsyncIterator[House]:
    await migrate(database, list(dict.fromkeys([*MIGRATIONS, WORKFLOWS])))
    house = House(database, clock, EngineDisk(), Remote(), 0)
    await house.open()
    yield house
    await house.kill()


@pytest.fixture
def bell(house: House) -> Bell:
    return Bell(house, 77)


# -- events


async def test_an_event_starts_every_workflow_of_it(bell: Bell) -> None:
    first = await bell.publish(quick(on()))
    second = await bell.publish(quick(on()))
    await bell.publish(quick(on("order.lost")))
    await bell.definitions.create(bell.me, Draft(definition=quick(on())))  # a draft
    taken = await bell.triggers.event(bell.me, EventIn(event="order.paid", payload={"n": 7}))
    assert {detail(each).workflow.id for each in taken.started} == {first.id, second.id}
    assert (taken.woken, taken.duplicates) == ([], [])
    for execution in taken.started:
        assert execution.source is Source.EVENT
        assert detail(execution).event_id == execution.correlation["event_id"] == taken.event_id
        assert detail(execution).request_payload == {"n": 7}
    again = await bell.triggers.event(bell.me, EventIn(event="order.paid"))
    assert len(again.started) == 2
    assert again.event_id != taken.event_id
    nothing = await bell.triggers.event(bell.me, EventIn(event="nobody.listens"))
    assert (nothing.started, nothing.woken, nothing.duplicates) == ([], [], [])


@pytest.mark.parametrize(
    ("trigger", "event", "starts"),
    [
        (None, "", True),
        (None, "Google Sheets", True),
        (Named(id="a1", name="Google Sheets"), "", True),
        (Named(id="a1", name="Google Sheets"), "google-sheets", True),
        (Named(id="a1", name="Google Sheets"), "A1", True),
        (Named(id="a1", name="Google Sheets"), "hubspot", False),
    ],
)
async def test_applications_are_compared_by_their_slugs(
    bell: Bell, trigger: Named | None, event: str, starts: bool
) -> None:
    await bell.publish(quick(on(application=trigger)))
    taken = await bell.triggers.event(bell.me, EventIn(event="order.paid", application=event))
    assert len(taken.started) == starts
    if starts and trigger is not None:
        (execution,) = taken.started
        assert execution.correlation["application"] == "googlesheets"
        assert detail(execution).trigger_application == detail(execution).application == trigger


async def test_what_is_paused_archived_or_withdrawn_is_not_started(bell: Bell) -> None:
    workflow = await bell.publish(quick(on()))
    event = EventIn(event="order.paid")
    for status, count in (
        (WorkflowStatus.PAUSED, 0),
        (WorkflowStatus.ACTIVE, 1),
        (WorkflowStatus.ARCHIVED, 0),
        (WorkflowStatus.ACTIVE, 1),
    ):
        await bell.definitions.set_status(bell.me, workflow.id, status)
        assert len((await bell.triggers.event(bell.me, event)).started) == count, status
    await bell.definitions.unpublish(bell.me, workflow.id)
    assert (await bell.triggers.event(bell.me, event)).started == []
    await bell.definitions.publish(bell.me, workflow.id)
    await bell.definitions.delete(bell.me, workflow.id)
    assert (await bell.triggers.event(bell.me, event)).started == []


async def test_a_keys_window(bell: Bell) -> None:
    template = await bell.publish(quick(on(dedup_key="{{input.id}}", dedup_window_s=60)))
    plain = await bell.publish(quick(on()))

    async def ids(payload: Any, key: str | None = None) -> tuple[set[str], set[str]]:
        taken = await bell.triggers.event(bell.me, EventIn(event="order.paid", payload=payload, key=key))
        return {detail(each).workflow.id for each in taken.started}, set(taken.duplicates)

    both = {template.id, plain.id}
    assert await ids({"id": 1}) == (both, set())
    assert await ids({"id": 1}) == ({plain.id}, {template.id})
    assert await ids({"id": 2}) == (both, set())
    # Nothing to compare by.
    assert await ids({}) == await ids({}) == await ids(None) == (both, set())
    bell.advance(59)
    assert await ids({"id": 1}) == ({plain.id}, {template.id})
    bell.advance(1)
    assert await ids({"id": 1}) == (both, set())
    # A key of its own counts instead, as long as each trigger says, or for good.
    assert await ids({"id": 1}, "k") == (both, set())
    assert await ids({"id": 9}, "k") == (set(), both)
    bell.advance(60)
    assert await ids({}, "k") == ({template.id}, {plain.id})
    bell.advance(10**8)
    assert await ids({}, "k") == ({template.id}, {plain.id})


async def test_one_event_many_times_at_once_starts_one_run(bell: Bell) -> None:
    await bell.publish(quick(on()))
    event = EventIn(event="order.paid", key="k")
    taken = await asyncio.gather(*(bell.triggers.event(bell.me, event) for _ in range(20)))
    assert sum(len(each.started) for each in taken) == 1
    assert len(await bell.executions()) == 1


async def test_a_key_whose_run_was_never_written_starts_it(bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies between the two."""
    workflow = await bell.publish(quick(on()))

    async def dies(*_: Any) -> Any:
        raise Unavailable("dead")

    with monkeypatch.context() as patch:
        patch.setattr(Starter, "_once", dies)
        with pytest.raises(Unavailable):
            await bell.triggers.event(bell.me, EventIn(event="order.paid", key="k"))
    assert await bell.executions() == []
    event = EventIn(event="order.paid", key="k")
    (started,) = (await bell.triggers.event(bell.me, event)).started
    assert (await bell.triggers.event(bell.me, event)).duplicates == [workflow.id]
    assert [each.id for each in await bell.executions()] == [started.id]


async def test_an_event_wakes_the_runs_that_wait_for_it(bell: Bell) -> None:
    house = bell.house

    async def waiting(**config: Any) -> str:
        started = await house.start(flow(node("w", "wait_event", event="shipped", **config), links=("start>w",)))
        return started.execution.id

    anyone, sheets, other = await waiting(), await waiting(application="Sheets"), await waiting(application="other")
    taken = await bell.triggers.event(bell.me, EventIn(event="shipped", application="sheets", payload={"by": "air"}))
    assert set(taken.woken) == {anyone, sheets}
    assert detail(await house.ended(anyone)).nodes[1].status == "succeeded"
    later = await bell.triggers.event(bell.me, EventIn(event="shipped", key="k"))
    assert later.woken == [other]
    # The key has woken all that it wakes.
    last = await waiting()
    assert (await bell.triggers.event(bell.me, EventIn(event="shipped", key="k"))).woken == []
    assert (await bell.triggers.event(bell.me, EventIn(event="shipped", key="l"))).woken == [last]


async def test_an_accounts_event_stays_with_the_account(bell: Bell) -> None:
    ann, bob = await bell.account("ann"), await bell.account("bob")
    shared = await bell.publish(quick(on()))
    hers = await bell.publish(quick(on()), bell.bound(ann), is_private=True)
    waits = flow(node("w", "wait_event", event="order.paid"), links=("start>w",))
    parked = {
        account.name: (await bell.house.runs.start(bell.bound(account), StartRun(definition=waits))).execution.id
        for account in (ann, bob)
    }
    taken = await bell.triggers.event(bell.bound(bob), EventIn(event="order.paid"))
    assert [(detail(each).workflow.id, each.account) for each in taken.started] == [(shared.id, bob.id)]
    assert taken.woken == [parked["bob"]]
    taken = await bell.triggers.event(bell.me, EventIn(event="order.paid"))
    assert {detail(each).workflow.id: each.account for each in taken.started}[hers.id] == ann.id
    assert taken.woken == [parked["ann"]]


async def test_accounts_and_environments_share_no_keys_and_no_runs(bell: Bell) -> None:
    ann, bob = await bell.account("ann"), await bell.account("bob")
    await bell.publish(quick(on()))
    key = msgspec.structs.replace(bell.me, environment=Environment.TEST)
    waits = flow(node("w", "wait_event", event="order.paid"), links=("start>w",))
    starters = (bell.bound(ann), key)
    hers, tests = [(await bell.house.runs.start(each, StartRun(definition=waits))).execution.id for each in starters]
    event = EventIn(event="order.paid", key="1")
    for principal, woken in ((bell.bound(bob), []), (key, [tests]), (bell.bound(ann), [hers]), (bell.me, [])):
        taken = await bell.triggers.event(principal, event)
        assert (len(taken.started), taken.woken) == (1, woken)
        assert len((await bell.triggers.event(principal, event)).duplicates) == 1


async def test_one_event_wakes_more_runs_than_are_woken_at_once(bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "AT_ONCE", 2)
    waits = flow(node("a", "wait_event", event="go"), node("b", "wait_event", event="go"), links=("start>a", "start>b"))
    started = [(await bell.house.start(waits)).execution.id for _ in range(3)]
    taken = await bell.triggers.event(bell.me, EventIn(event="go"))
    assert set(taken.woken) == set(started)
    for run_id in started:
        await bell.house.ended(run_id)
    assert (await bell.triggers.event(bell.me, EventIn(event="go"))).woken == []


async def test_a_payload_that_a_schema_refuses_starts_only_the_others(bell: Bell) -> None:
    schema = {"type": "object", "required": ["id"]}
    await bell.publish(quick(on(), input_schema=schema))
    with pytest.raises(InvalidInput):
        await bell.triggers.event(bell.me, EventIn(event="order.paid", payload={}))
    assert await bell.executions() == []
    free = await bell.publish(quick(on()))
    (started,) = (await bell.triggers.event(bell.me, EventIn(event="order.paid", payload={}))).started
    assert detail(started).workflow.id == free.id


@pytest.mark.parametrize(
    "event",
    [
        EventIn(event=""),
        EventIn(event="  "),
        EventIn(event="x" * 201),
        EventIn(event="a\0"),
        EventIn(event="order.paid", application="__"),
        EventIn(event="order.paid", application="x" * 257),
        EventIn(event="order.paid", key=""),
        EventIn(event="order.paid", key="x" * 257),
        EventIn(event="order.paid", key="a\tb"),
        EventIn(event="order.paid", payload="x" * MOST_PAYLOAD_BYTES),
    ],
)
async def test_an_event_that_cannot_be_starts_nothing(bell: Bell, event: EventIn) -> None:
    await bell.publish(quick(on()))
    with pytest.raises((InvalidInput, TooLarge)):
        await bell.triggers.event(bell.me, event)
    assert await bell.executions() == []


# -- webhooks


async def test_a_webhook_starts_its_workflow(bell: Bell) -> None:
    definition = quick(Trigger(kind=TriggerKind.WEBHOOK, dedup_key="{{input.id}}"))
    workflow = await bell.publish(definition)
    secret = await bell.definitions.new_hook_secret(bell.me, workflow.id)
    started = await bell.triggers.hook(workflow.id, secret, {"id": "a"})
    assert (started.is_new, started.execution.source) == (True, Source.EVENT)
    assert detail(started.execution).request_payload == {"id": "a"}
    with pytest.raises(Conflict):
        await bell.triggers.hook(workflow.id, secret, {"id": "a"})
    with pytest.raises(Conflict):
        await bell.triggers.hook(workflow.id, secret, {"id": "b"}, key="a")
    await bell.triggers.hook(workflow.id, secret, {"id": "a"}, key="b")
    for wrong in (secret[:-1], "", "\ud800", "\0", "0" * 68):
        with pytest.raises(NotFound):
            await bell.triggers.hook(workflow.id, wrong, {})
    for unknown in ("nothing", "\0", workflow.id[:-1]):
        with pytest.raises(NotFound):
            await bell.triggers.hook(unknown, secret, {})
    with pytest.raises(TooLarge):
        await bell.triggers.hook(workflow.id, secret, "x" * MOST_PAYLOAD_BYTES)
    renewed = await bell.definitions.new_hook_secret(bell.me, workflow.id)
    with pytest.raises(NotFound):
        await bell.triggers.hook(workflow.id, secret, {"id": "c"})
    await bell.definitions.set_status(bell.me, workflow.id, WorkflowStatus.PAUSED)
    with pytest.raises(Conflict):
        await bell.triggers.hook(workflow.id, renewed, {"id": "c"})
    await bell.definitions.delete(bell.me, workflow.id)
    with pytest.raises(NotFound):
        await bell.triggers.hook(workflow.id, renewed, {"id": "c"})
    assert len(await bell.executions()) == 2


async def test_without_a_secret_there_is_no_webhook(bell: Bell) -> None:
    workflow = await bell.publish(quick(Trigger(kind=TriggerKind.WEBHOOK)))
    for secret in ("", "\0" * 32):
        with pytest.raises(NotFound):
            await bell.triggers.hook(workflow.id, secret, {})


# -- schedules


async def test_a_schedule_starts_a_run_at_each_of_its_moments(bell: Bell) -> None:
    workflow = await bell.publish(quick())
    made = await bell.schedule(workflow, every_s=60, input={"n": 1}, name="minutely")
    assert made.next_at_us == bell.clock.now_us() + 60 * S
    assert (made.every_s, made.cron, made.at_us, made.is_paused, made.last_at_us) == (60.0, "", None, False, None)
    assert await bell.triggers.schedules(bell.me) == [made]
    assert await bell.ticker.tick() == 0
    for count in (1, 2, 3):
        bell.advance(60)
        assert await bell.ticker.tick() == 1
        assert await bell.ticker.tick() == 0
        runs = await bell.executions()
        assert len(runs) == count
        now = await bell.schedule_now(made.id)
        assert (now.last_at_us, now.next_at_us) == (bell.clock.now_us(), bell.clock.now_us() + 60 * S)
    assert {each.source for each in runs} == {Source.SCHEDULE}
    assert detail(runs[0]).request_payload == {"n": 1}
    assert detail(runs[0]).idempotency_key == f"schedule:{made.id}:{bell.clock.now_us()}"


@pytest.mark.parametrize(("catch_up", "count"), [(CatchUp.SKIP, 0), (CatchUp.ONE, 1), (CatchUp.ALL, 3)])
async def test_what_passed_while_no_server_ran(bell: Bell, catch_up: CatchUp, count: int) -> None:
    workflow = await bell.publish(quick())
    made = await bell.schedule(workflow, every_s=HOUR_S, catch_up=catch_up)
    bell.advance(3.5 * HOUR_S)
    await bell.ticker.tick()
    assert len(await bell.executions()) == count
    assert (await bell.schedule_now(made.id)).next_at_us == made.created_at_us + 4 * HOUR_S * S
    bell.advance(0.5 * HOUR_S)
    await bell.ticker.tick()
    assert len(await bell.executions()) == count + 1


async def test_a_kill_between_the_run_and_the_next_moment_starts_no_second_run(
    bell: Bell, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = await bell.publish(quick())
    await bell.schedule(workflow, every_s=60, catch_up=CatchUp.ONE)
    bell.advance(61)

    def dies(_: str) -> None:
        raise Unavailable("dead")

    with monkeypatch.context() as patch:
        patch.setattr(ticker, "reach", dies)
        with pytest.raises(Unavailable):
            await bell.ticker.tick()
    assert len(await bell.executions()) == 1
    bell.advance(150)
    other = Bell(bell.house, 78)
    await other.ticker.tick()
    assert len(await bell.executions()) == 1
    bell.advance(60)
    await other.ticker.tick()
    assert len(await bell.executions()) == 2


async def test_of_several_processes_one_starts_it(bell: Bell) -> None:
    workflow = await bell.publish(quick())
    for _ in range(5):
        await bell.schedule(workflow, every_s=60)
    bells = [bell, *(Bell(bell.house, seed) for seed in (78, 79))]
    for count in (5, 10):
        bell.advance(60)
        await asyncio.gather(*(each.ticker.tick() for each in bells))
        assert len(await bell.executions()) == count


async def test_what_cannot_be_started_now_is_started_later(bell: Bell) -> None:
    workflow = await bell.publish(quick())
    made = await bell.schedule(workflow, every_s=60)
    bell.advance(60)
    await bell.house.service.stop()
    with pytest.raises(Unavailable):
        await bell.ticker.tick()
    assert (await bell.schedule_now(made.id)).next_at_us == made.next_at_us
    await bell.house.service.start()
    await bell.ticker.tick()
    assert len(await bell.executions()) == 1


async def test_a_refused_payload_does_not_stop_the_schedule(bell: Bell) -> None:
    workflow = await bell.publish(quick())
    made = await bell.schedule(workflow, every_s=60, input={})
    strict = Draft(definition=quick(input_schema={"type": "object", "required": ["id"]}))
    await bell.definitions.save(bell.me, workflow.id, strict)
    await bell.definitions.publish(bell.me, workflow.id)
    bell.advance(60)
    assert await bell.ticker.tick() == 1
    assert await bell.executions() == []
    assert (await bell.schedule_now(made.id)).next_at_us == made.created_at_us + 120 * S
    with pytest.raises(InvalidInput):
        await bell.triggers.change_schedule(bell.me, made.id, ScheduleIn(workflow="", every_s=60, input={}))
    changed = ScheduleIn(workflow="", every_s=60, input={"id": 1})
    assert (await bell.triggers.change_schedule(bell.me, made.id, changed)).next_at_us == made.created_at_us + 120 * S
    bell.advance(60)
    await bell.ticker.tick()
    assert len(await bell.executions()) == 1


async def test_paused_workflows_and_schedules_do_nothing(bell: Bell) -> None:
    workflow = await bell.publish(quick())
    made = await bell.schedule(workflow, every_s=60, catch_up=CatchUp.ALL)
    await bell.definitions.set_status(bell.me, workflow.id, WorkflowStatus.PAUSED)
    bell.advance(180)
    await bell.ticker.tick()
    await bell.definitions.set_status(bell.me, workflow.id, WorkflowStatus.ACTIVE)
    await bell.ticker.tick()
    paused = await bell.triggers.pause_schedule(bell.me, made.id, paused=True)
    assert paused.is_paused
    bell.advance(180)
    assert await bell.ticker.tick() == 0
    resumed = await bell.triggers.pause_schedule(bell.me, made.id, paused=False)
    assert resumed.next_at_us == bell.clock.now_us() + 60 * S
    await bell.ticker.tick()
    assert await bell.executions() == []
    bell.advance(60)
    await bell.ticker.tick()
    assert len(await bell.executions()) == 1


async def test_the_schedules_of_an_archived_workflow_end(bell: Bell) -> None:
    workflow = await bell.publish(quick())
    made = await bell.schedule(workflow, every_s=60)
    await bell.definitions.delete(bell.me, workflow.id)
    assert (await bell.schedule_now(made.id)).next_at_us is None
    bell.advance(60)
    assert await bell.ticker.tick() == 0
    with pytest.raises(Conflict):
        await bell.schedule(workflow, every_s=60)


async def test_once_is_once(bell: Bell) -> None:
    workflow = await bell.publish(quick())
    at_us = bell.clock.now_us() + 90 * S
    made = await bell.schedule(workflow, at_us=at_us)
    bell.advance(90)
    await bell.ticker.tick()
    done = await bell.schedule_now(made.id)
    assert (done.next_at_us, done.last_at_us) == (None, at_us)
    bell.advance(90)
    assert await bell.ticker.tick() == 0
    assert len(await bell.executions()) == 1
    renamed = ScheduleIn(workflow=workflow.id, at_us=at_us, name="done")
    assert (await bell.triggers.change_schedule(bell.me, made.id, renamed)).next_at_us is None
    with pytest.raises(InvalidInput):
        await bell.triggers.change_schedule(bell.me, made.id, ScheduleIn(workflow="", at_us=at_us + 1))


async def test_a_workflows_own_schedule(bell: Bell) -> None:
    trigger = Trigger(kind=TriggerKind.SCHEDULE, cron="*/5 * * * *", timezone="Europe/Berlin")
    workflow = await bell.publish(quick(trigger))
    (own,) = await bell.triggers.schedules(bell.me, workflow=workflow.id)
    assert (own.id, own.cron, own.timezone) == (workflow.id, "*/5 * * * *", "Europe/Berlin")
    bell.advance(300)
    await bell.ticker.tick()
    (run,) = await bell.executions()
    assert detail(run).workflow.id == workflow.id
    for action in (
        bell.triggers.change_schedule(bell.me, own.id, ScheduleIn(workflow=workflow.id, every_s=5)),
        bell.triggers.delete_schedule(bell.me, own.id),
    ):
        with pytest.raises(Conflict):
            await action
    # A pause outlasts the next version.
    await bell.triggers.pause_schedule(bell.me, own.id, paused=True)
    busier = msgspec.structs.replace(trigger, cron="* * * * *")
    await bell.definitions.save(bell.me, workflow.id, Draft(definition=quick(busier)))
    await bell.definitions.publish(bell.me, workflow.id)
    (own,) = await bell.triggers.schedules(bell.me)
    assert (own.cron, own.is_paused) == ("* * * * *", True)


async def test_a_change_while_it_is_due_is_kept(bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ticker has read it, and somebody changes it before it goes on."""
    workflow = await bell.publish(quick())
    made = await bell.schedule(workflow, every_s=60)
    bell.advance(60)
    start = Starter.scheduled

    async def changing(self: Starter, *given: Any) -> Any:
        await bell.triggers.change_schedule(bell.me, made.id, ScheduleIn(workflow="", every_s=HOUR_S))
        return await start(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Starter, "scheduled", changing)
        await bell.ticker.tick()
    assert (await bell.schedule_now(made.id)).next_at_us == made.created_at_us + HOUR_S * S
    assert await bell.ticker.tick() == 0


async def test_accounts_and_environments_have_their_own_schedules(bell: Bell) -> None:
    ann, bob = await bell.account("ann"), await bell.account("bob")
    tester = await bell.account("tester", Environment.TEST)
    workflow = await bell.publish(quick())
    said = ScheduleIn(workflow=workflow.id, every_s=60)
    hers = await bell.triggers.create_schedule(bell.bound(ann), said)
    key = Principal(
        organization=bell.me.organization,
        identity_id=3,
        identity_name="key",
        credential_id=3,
        scopes=frozenset({Scope.RUN}),
        environment=Environment.TEST,
    )
    test = await bell.triggers.create_schedule(key, said)
    assert await bell.triggers.schedules(bell.bound(ann)) == [hers]
    assert await bell.triggers.schedules(bell.bound(bob)) == []
    assert await bell.triggers.schedules(key) == [test]
    with pytest.raises(NotFound):
        await bell.triggers.delete_schedule(key, hers.id)
    for action in (
        bell.triggers.change_schedule(bell.bound(bob), hers.id, said),
        bell.triggers.pause_schedule(bell.bound(bob), hers.id, paused=True),
        bell.triggers.delete_schedule(bell.bound(bob), hers.id),
    ):
        with pytest.raises(NotFound):
            await action
    bell.advance(60)
    await bell.ticker.tick()
    assert {each.account for each in await bell.executions()} == {ann.id, tester.id}
    await bell.triggers.delete_schedule(bell.bound(ann), hers.id)
    assert [each.id for each in await bell.triggers.schedules(bell.me)] == [test.id]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"every_s": 60, "cron": "* * * * *"},
        {"every_s": 0.5},
        {"every_s": float("nan")},
        {"every_s": float("inf")},
        {"every_s": -1},
        {"every_s": 10**9},
        {"cron": "* * * *"},
        {"cron": "61 * * * *"},
        {"cron": "0 0 30 2 *"},
        {"cron": "* * * * * *"},
        {"cron": "\0"},
        {"cron": "* * * * *", "timezone": "Mars/Olympus"},
        {"cron": "* * * * *", "timezone": "../etc/passwd"},
        {"at_us": 1},
        {"at_us": -1},
        {"at_us": 10**30},
        {"every_s": 60, "name": "x" * 257},
        {"every_s": 60, "name": "\0"},
        {"every_s": 60, "input": "x" * MOST_SCHEDULE_INPUT_BYTES},
    ],
)
async def test_a_schedule_that_cannot_be(house: House, said: dict[str, Any]) -> None:
    bell = Bell(house, 77, TriggerSettings(cron_seconds=False, schedules=1))
    workflow = await bell.publish(quick())
    with pytest.raises((InvalidInput, TooLarge)):
        await bell.schedule(workflow, **said)
    assert await bell.triggers.schedules(bell.me) == []


async def test_bounds_scopes_and_unknown_ones(house: House) -> None:
    bell = Bell(house, 77, TriggerSettings(schedules=1))
    workflow = await bell.publish(quick())
    said = ScheduleIn(workflow=workflow.id, every_s=60)
    await bell.triggers.create_schedule(bell.me, said)
    with pytest.raises(Conflict):
        await bell.triggers.create_schedule(bell.me, said)
    for word in ("", "nothing", "\0"):
        with pytest.raises(GestaError):
            await bell.triggers.create_schedule(bell.me, ScheduleIn(workflow=word, every_s=60))
        with pytest.raises(NotFound):
            await bell.triggers.pause_schedule(bell.me, word, paused=True)
    reader = Principal(
        organization=bell.me.organization,
        identity_id=1,
        identity_name="reader",
        credential_id=1,
        scopes=frozenset({Scope.READ}),
    )
    assert len(await bell.triggers.schedules(reader, workflow=workflow.id)) == 1
    for action in (
        bell.triggers.create_schedule(reader, said),
        bell.triggers.event(reader, EventIn(event="order.paid")),
    ):
        with pytest.raises(Forbidden):
            await action


async def test_the_ticker_wakes_when_a_schedule_is_made(bell: Bell) -> None:
    """On the wall's time: a moment that has come is found as soon as the schedule is kicked."""
    workflow = await bell.publish(quick())
    await bell.ticker.start()
    await bell.ticker.start()
    head = await bell.house.ledger.head(bell.me.organization.id)
    made = await bell.schedule(workflow, every_s=HOUR_S)
    bell.advance(HOUR_S)
    bell.ticker.kick()
    async with asyncio.timeout(4):  # less than it takes until it looks by itself
        await bell.house.ledger.wait(bell.me.organization.id, after_seq=head, timeout_s=4)
    (run,) = await bell.executions()
    assert detail(run).idempotency_key == f"schedule:{made.id}:{made.next_at_us}"
    await bell.ticker.stop()
    await bell.ticker.stop()


async def test_the_ticker_outlives_an_outage(bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticker, "RETRY_S", 0.01)
    workflow = await bell.publish(quick())
    await bell.schedule(workflow, every_s=60)
    bell.advance(60)
    tick, failures = Ticker.tick, [Unavailable("away"), RuntimeError("a defect")]

    async def failing(self: Ticker) -> int:
        if failures:
            raise failures.pop()
        return await tick(self)

    monkeypatch.setattr(Ticker, "tick", failing)
    head = await bell.house.ledger.head(bell.me.organization.id)
    await bell.ticker.start()
    async with asyncio.timeout(10):
        await bell.house.ledger.wait(bell.me.organization.id, after_seq=head, timeout_s=10)
    assert failures == []
    await bell.ticker.stop()


async def test_the_moments_of_a_cron_are_those_of_its_zone(bell: Bell) -> None:
    workflow = await bell.publish(quick())
    made = await bell.schedule(workflow, cron="30 2 * * *", timezone="Europe/Berlin")
    bell.clock.advance_us(parse_rfc3339("2026-03-29T00:00:00Z") - bell.clock.now_us())
    await bell.ticker.tick()
    assert (await bell.schedule_now(made.id)).next_at_us == parse_rfc3339("2026-03-29T01:00:00Z")


def detail(execution: Execution) -> RunDetail:
    assert isinstance(execution.detail, RunDetail)
    return execution.detail

"""The demo's workflows on the whole server: ordered, answered, paid at the page, and once whatever is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from gesta.access.model import Account, Environment, Principal
from gesta.app import http_server
from gesta.app.build import Server, build
from gesta.app.demo import shop
from gesta.app.demo.customer import Customer, Doors
from gesta.app.demo.handout import Runs
from gesta.app.demo.published import ALIASES, OPEN_POSITION, SERVICE, TAKE_ORDER, WATCH_PRICES, publish
from gesta.app.demo.service import open_service
from gesta.app.demo.shop import PAYS, Mood
from gesta.app.demo.stage import Stage, set_stage
from gesta.app.settings import DatabaseSettings, LogSettings, ServerSettings, Settings
from gesta.cli.demo_command import with_workflows
from gesta.kernel.clock import SystemClock
from gesta.kernel.errors import Unavailable
from gesta.ledger.records import Execution, ExecutorDetail, Kind, RunDetail, Source, Status
from gesta.workflows.face import StartRun, WorkflowStatus

OVER_S = 60.0


class World:
    """One process of the demo: the server over HTTP, the service, and the customer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = SystemClock()
        self.stack = AsyncExitStack()
        self.server: Server
        self.stage: Stage
        self.account: Account
        self.principal: Principal
        self.service = self.address = ""
        self.customer: Customer

    async def open(self) -> None:
        listener = http_server.listen(ServerSettings(port=0))
        settings = Settings(
            server=ServerSettings(port=0),
            database=DatabaseSettings(url=f"sqlite:///{self.folder / 'ledger.sqlite3'}"),
            log=LogSettings(level="error"),
        )
        settings = with_workflows(settings, listener)
        self.service = await self.stack.enter_async_context(open_service(1, self.clock, self.folder))
        self.server = await self.stack.enter_async_context(build(settings))
        core = self.server.core
        self.stage = await set_stage(core.access, self.folder)
        account = await core.access.account_by_id(self.stage.organization.id, self.stage.accounts.linked)
        assert account is not None
        self.account = account
        self.principal = msgspec.structs.replace(self.stage.actor, account=account, environment=Environment.TEST)
        self.address = http_server.address_of(listener)
        self.customer = self.made()
        ready, end = asyncio.Event(), asyncio.Event()
        serving = asyncio.create_task(
            http_server.run(
                self.server.app,
                self.server.supervisor,
                settings,
                listener,
                on_ready=lambda _: ready.set(),
                handle_signals=False,
                stop=end,
            )
        )

        async def stop() -> None:
            end.set()
            await serving

        self.stack.push_async_callback(stop)
        await ready.wait()

    def made(self, **others: Any) -> Customer:
        """A customer, as a new process has one; `others` replace doors."""
        workflows = self.server.services.workflows
        assert workflows is not None
        doors = {
            "workflows": workflows,
            "reading": self.server.core.reading,
            "clock": self.clock,
            "address": self.address,
            "service": self.service,
        }
        return Customer(1, self.account, self.stage.actor, Doors(**{**doors, **others}))

    async def close(self) -> None:
        await self.stack.aclose()
        self.stack = AsyncExitStack()

    async def get(self, run_id: str) -> Execution:
        return await self.server.core.reading.get(self.principal, run_id, kind=Kind.RUN)

    async def rows(self) -> list[Execution]:
        query = self.server.core.reading.filter(self.principal, kinds=frozenset({Kind.RUN}))
        return list((await self.server.core.reading.page(self.principal, query, offset=0, limit=200)).rows)

    async def until(self, run_id: str, told: Callable[[Execution], bool]) -> Execution:
        """The run, once it is so; the change feed says when to look. Meanwhile the customer goes on."""
        ledger, organization = self.server.core.ledger, self.stage.organization.id
        async with asyncio.timeout(OVER_S):
            while True:
                head = await ledger.head(organization)
                found = await self.get(run_id)
                if told(found):
                    return found
                await self.customer.advance()
                await ledger.wait(organization, after_seq=head, timeout_s=0.2)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Nobody hesitates, and the service does well."""
    monkeypatch.setattr(shop, "PAYS_AFTER_US", 0)
    monkeypatch.setattr(shop, "ANSWERS_AFTER_US", 0)
    monkeypatch.setattr(shop, "mood", lambda *_: Mood.WELL)
    made = World(tmp_path)
    await made.open()
    yield made
    await made.close()


def detail(run: Execution) -> RunDetail:
    assert isinstance(run.detail, RunDetail)
    return run.detail


def nodes(run: Execution) -> dict[str, str]:
    return {node.id: node.status for node in detail(run).nodes}


def is_over(run: Execution) -> bool:
    return run.finished_at_us is not None


async def begun(world: World) -> Runs:
    runs = await world.customer.begin()
    assert runs.order_id is not None
    assert runs.paid_id is not None
    assert runs.checkout_url is not None
    return runs


async def test_what_is_bought_is_paid_at_the_page_and_starts_an_executor(world: World) -> None:
    runs = await begun(world)
    paid = runs.paid_id or ""
    assert (await world.get(paid)).status is Status.AWAITING_PAYMENT
    waiting = await world.until(paid, lambda run: run.status is Status.WAITING or is_over(run))
    assert (waiting.status, detail(waiting).payment_status) == (Status.WAITING, "paid")
    assert nodes(waiting)["size"] == "succeeded"
    timeline = (await world.server.core.ledger.events(waiting.organization, paid)).events
    assert "payment.confirmed" in [event.type for event in timeline]
    query = world.server.core.reading.filter(world.stage.actor, kinds=frozenset({Kind.EXECUTOR}))
    executor = (await world.server.core.reading.page(world.stage.actor, query, offset=0, limit=9)).rows[-1]
    assert isinstance(executor.detail, ExecutorDetail)
    assert executor.correlation["controller_id"] == OPEN_POSITION
    # What is left to the visitor to pay is not paid by itself.
    left = [row for row in await world.rows() if row.status is Status.AWAITING_PAYMENT]
    assert left
    assert {(detail(row).external_ref or "").startswith("demo-leaves-") for row in left} == {True}
    assert runs.checkout_url is not None
    assert runs.checkout_url.startswith(f"{world.address}/pay/test/")


async def test_prices_are_watched_and_orders_taken(world: World) -> None:
    runs = await begun(world)
    order = await world.until(runs.order_id or "", is_over)
    assert order.status is Status.SUCCEEDED
    assert nodes(order)["invoice"] == "succeeded"
    watched = await world.until((await _newest(world, WATCH_PRICES)).id, is_over)
    assert watched.status is Status.SUCCEEDED
    assert nodes(watched)["is_open"] == "succeeded"


@pytest.mark.parametrize(("word", "ends_with"), [("yes", "shipped"), ("no", "refused")])
async def test_a_large_order_is_answered_by_a_person(world: World, word: str, ends_with: str) -> None:
    await begun(world)
    number = next(
        f"A-{n}"
        for n in range(1000)
        if (answers := shop.due(1, 1, [], [shop.Asked(id="", number=f"A-{n}", since_us=0)]))
        and answers[0] == shop.Answer("", approved=word == "yes")
    )
    order = {"number": number, "customer": "Ada", "lines": [{"item": "desk", "quantity": 2, "price": 389.5}]}
    workflows = world.server.services.workflows
    assert workflows is not None
    started = await workflows.runs.start(world.principal, StartRun(workflow=TAKE_ORDER, input=order))
    over = await world.until(started.execution.id, is_over)
    assert over.status is Status.SUCCEEDED
    assert nodes(over)[ends_with] == "succeeded"
    assert nodes(over).keys() >= {"ask", "is_approved"}


async def test_a_restart_takes_up_what_is_there(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop, "PAYS_AFTER_US", 2**60)
    runs = await begun(world)
    workflows = world.server.services.workflows
    assert workflows is not None
    before = {alias: await workflows.definitions.get(world.principal, alias) for alias in ALIASES}
    assert all(each.status is WorkflowStatus.ACTIVE and each.account == world.account.id for each in before.values())
    await workflows.definitions.set_status(world.principal, WATCH_PRICES, WorkflowStatus.PAUSED)
    for _ in range(2):
        await publish(workflows.definitions, world.principal, world.service)
    service = world.service
    await world.close()
    await world.open()
    assert world.service == service
    monkeypatch.setattr(shop, "PAYS_AFTER_US", 0)
    await begun(world)
    workflows = world.server.services.workflows
    assert workflows is not None
    after = {alias: await workflows.definitions.get(world.principal, alias) for alias in ALIASES}
    assert {alias: view.id for alias, view in after.items()} == {alias: view.id for alias, view in before.items()}
    assert {view.newest_version for view in after.values()} == {1}
    assert after[WATCH_PRICES].status is WorkflowStatus.PAUSED
    # Who was about to pay when the server stopped pays now, at the new address.
    await world.until(runs.paid_id or "", lambda run: detail(run).payment_status == "paid")


async def test_another_address_is_another_version_and_nothing_else_changes(world: World) -> None:
    await begun(world)
    workflows = world.server.services.workflows
    assert workflows is not None
    first = await workflows.definitions.version(world.principal, TAKE_ORDER)
    await publish(workflows.definitions, world.principal, "http://127.0.0.1:1")
    second = await workflows.definitions.version(world.principal, TAKE_ORDER)
    assert (first.version, second.version) == (1, 2)
    assert second.definition.properties == {**first.definition.properties, SERVICE: "http://127.0.0.1:1"}
    assert (second.definition.nodes, second.definition.edges) == (first.definition.nodes, first.definition.edges)


async def test_a_lost_answer_starts_nothing_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    workflows = world.server.services.workflows
    assert workflows is not None

    chance = Random(7)

    class Flaky:
        def __init__(self, door: Any, *losing: str) -> None:
            self._door, self._losing, self.lost = door, losing, 0

        def __getattr__(self, name: str) -> Any:
            asked = getattr(self._door, name)
            if name not in self._losing:
                return asked

            async def lose(*arguments: Any, **named: Any) -> Any:
                done = await asked(*arguments, **named)
                if chance.random() < 0.5:
                    self.lost += 1
                    raise Unavailable("The answer was lost.")
                return done

            return lose

    starts, events = Flaky(workflows.runs, "start"), Flaky(workflows.triggers, "event")
    flaky = msgspec.structs.replace(workflows, runs=starts, triggers=events)
    clock = world.clock
    frozen_us = clock.now_us()
    monkeypatch.setattr(type(clock), "now_us", lambda _: frozen_us)
    unsteady = world.made(workflows=flaky)
    for _ in range(200):
        try:
            runs = await unsteady.begin()
            break
        except Unavailable:
            continue
    else:
        pytest.fail("it never began")
    assert runs.order_id is not None
    assert starts.lost
    assert events.lost
    bought = [row for row in await world.rows() if row.source is not Source.SCHEDULE]
    assert len(bought) == 4


async def test_a_workflow_that_its_user_put_away_is_no_defect(world: World) -> None:
    await begun(world)
    workflows = world.server.services.workflows
    assert workflows is not None
    for alias in ALIASES:
        await workflows.definitions.set_status(world.principal, alias, WorkflowStatus.ARCHIVED)
    rows = len(await world.rows())
    again = world.made()
    assert await again.begin() == Runs(order_id=(await _newest(world, TAKE_ORDER)).id)
    assert len(await world.rows()) == rows
    await again.advance()


async def _newest(world: World, alias: str) -> Execution:
    workflows = world.server.services.workflows
    assert workflows is not None
    view = await workflows.definitions.get(world.principal, alias)
    return next(row for row in await world.rows() if detail(row).workflow.id == view.id)


async def test_without_executors_nothing_is_bought(world: World) -> None:
    workflows = world.server.services.workflows
    assert workflows is not None
    doors = Doors(
        workflows=workflows,
        reading=world.server.core.reading,
        clock=world.clock,
        address=world.address,
        service=world.service,
    )
    poor = Customer(1, world.account, world.stage.actor, doors, buys=False)
    runs = await poor.begin()
    assert (runs.paid_id, runs.checkout_url) == (None, None)
    assert not [row for row in await world.rows() if (detail(row).external_ref or "").startswith(PAYS)]


async def test_a_page_that_does_not_answer_is_tried_again(world: World) -> None:
    away = world.made(address="http://127.0.0.1:9")
    runs = await away.begin()
    for _ in range(2):
        await away.advance()
    assert detail(await world.get(runs.paid_id or "")).payment_status == "unpaid"
    await world.until(runs.paid_id or "", lambda run: detail(run).payment_status == "paid")

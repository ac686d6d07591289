"""Runs on each kind of database: what they did is on record, a kill loses none and doubles nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gesta.app.build import MIGRATIONS
from gesta.kernel.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from gesta.ledger.records import ExecutorDetail, NewEvent, NewExecution, Source, Status, Transition
from gesta.storage.migrate import migrate
from gesta.storage.program import Database
from gesta.testing.fakes import ManualClock
from gesta.testing.memory_engine import EngineDisk
from gesta.workflows.graph.progress import Wait, WaitKind
from gesta.workflows.graph.steps import begin, step
from gesta.workflows.runs.rows import MIGRATIONS as WORKFLOWS
from tests.conformance.run_house import House, Remote, Start, detail, flow, node

S = 1_000_000


@pytest.fixture
async def start(database: Database) -> AsyncIterator[Start]:
    """Start a process; the next start is the next process, the last one having been killed."""
    await migrate(database, list(dict.fromkeys([*MIGRATIONS, WORKFLOWS])))
    clock, disk, remote, opened = ManualClock(), EngineDisk(), Remote(), list[House]()

    async def start() -> House:
        if opened:
            await opened[-1].kill()
        house = House(database, clock, disk, remote, len(opened))
        opened.append(house)
        await house.open()
        return house

    yield start
    await opened[-1].kill()


@pytest.fixture
async def house(start: Start) -> House:
    return await start()


async def test_a_run_is_carried_out_to_its_end(house: House) -> None:
    definition = flow(
        node("a", url="{{input.to}}"),
        node("b", url="{{a.did}}"),
        node("say", "response", status_code=201, body={"first": "{{a.did}}"}),
        links=("start>a", "a>b", "b>say"),
    )
    started = await house.start(definition, {"to": "there"}, attributes={"external_ref": "order 7"})
    over = await house.ended(started.execution.id)
    assert over.status is Status.SUCCEEDED
    assert detail(over).response_payload == {"status_code": 201, "body": {"first": "a"}}
    assert [(each.id, each.status, each.attempts) for each in detail(over).nodes] == [
        ("start", "succeeded", 1),
        ("a", "succeeded", 1),
        ("b", "succeeded", 1),
        ("say", "succeeded", 1),
    ]
    assert detail(over).external_ref == "order 7"
    words = [event.type for event in await house.events(over.id)]
    assert words[0] == "execution.recorded"
    assert words[-1] == "run.succeeded"
    assert words.count("node.succeeded") == 4
    assert words.index("run.started") < words.index("run.succeeded")
    assert dict(house.remote.keys) == {f"{over.id}/a": 1, f"{over.id}/b": 1}
    await house.check()


async def test_what_needs_nobody_is_over_at_once(house: House) -> None:
    definition = flow(node("t", "transform", value={"twice": ["{{input}}", "{{input}}"]}), links=("start>t",))
    started = await house.start(definition, 3)
    assert started.execution.status is Status.SUCCEEDED
    assert detail(started.execution).response_payload == {"twice": [3, 3]}
    assert house.engine.disk.ended_at_us == {}


async def test_a_kill_in_the_middle_does_only_what_was_not_done(start: Start) -> None:
    house = await start()
    house.remote.gates["b"] = asyncio.Event()
    started = await house.start(flow(node("a"), node("b"), node("c"), links=("start>a", "a>b", "b>c")))
    run_id = started.execution.id
    await house.remote.began("b")
    house = await start()
    house.remote.gates["b"].set()
    assert (await house.ended(run_id)).status is Status.SUCCEEDED
    assert dict(house.remote.keys) == {f"{run_id}/a": 1, f"{run_id}/b": 1, f"{run_id}/c": 1}
    await house.check()


async def test_a_retry_is_parked_and_comes_back(start: Start) -> None:
    house = await start()
    house.remote.failing["a"] = 1
    started = await house.start(flow(node("a", attempts=2), links=("start>a",)))
    waiting = await house.until(started.execution.id, Status.WAITING)
    assert detail(waiting).nodes[1].attempts == 1
    house = await start()
    house.clock.advance_us(5 * S)
    over = await house.ended(waiting.id)
    assert (over.status, detail(over).nodes[1].attempts) == (Status.SUCCEEDED, 2)
    assert [event.type for event in await house.events(over.id)].count("node.retrying") == 1


async def test_a_failure_is_on_record_and_the_same_run_goes_on_from_it(house: House) -> None:
    house.remote.failing["b"] = 1
    started = await house.start(flow(node("a"), node("b"), links=("start>a", "a>b")))
    failed = await house.ended(started.execution.id)
    assert (failed.status, detail(failed).error) == (Status.FAILED, "b does not work")
    assert detail(failed).status_reason == "node_failed: b"
    again = await house.runs.retry(house.principal, failed.id)
    assert again.id == failed.id
    over = await house.until(failed.id, Status.SUCCEEDED)
    assert dict(house.remote.keys) == {f"{over.id}/a": 1, f"{over.id}/b": 2}
    assert detail(over).error is None
    with pytest.raises(Conflict, match="only one that failed"):
        await house.runs.retry(house.principal, failed.id)
    await house.check()


async def test_a_run_again_is_another_run(house: House) -> None:
    started = await house.start(flow(node("a"), node("b"), links=("start>a", "a>b")), {"x": 1})
    await house.ended(started.execution.id)
    again = await house.runs.rerun(house.principal, started.execution.id, input={"x": 2})
    over = await house.ended(again.execution.id)
    assert detail(over).request_payload == {"x": 2}
    assert over.id != started.execution.id
    from_b = await house.runs.rerun(house.principal, started.execution.id, from_node="b")
    await house.ended(from_b.execution.id)
    assert house.remote.keys[f"{from_b.execution.id}/a"] == 0
    assert house.remote.keys[f"{from_b.execution.id}/b"] == 1
    await house.check()


async def test_a_stop_interrupts_what_is_being_done(house: House) -> None:
    house.remote.gates["a"] = asyncio.Event()
    started = await house.start(flow(node("a"), node("b"), links=("start>a", "a>b")))
    run_id = started.execution.id
    await house.remote.began("a")
    asked = await house.runs.stop(house.principal, run_id)
    assert asked.status in (Status.STOPPING, Status.CANCELLED)
    over = await house.ended(run_id)
    assert (over.status, detail(over).status_reason) == (Status.CANCELLED, "stopped")
    assert not house.remote.keys
    with pytest.raises(Conflict, match="over already"):
        await house.runs.stop(house.principal, run_id)
    await house.check()


async def test_a_stop_that_a_kill_follows_still_counts(start: Start) -> None:
    house = await start()
    house.remote.gates["a"] = asyncio.Event()
    started = await house.start(flow(node("a"), links=("start>a",)))
    await house.remote.began("a")
    assert house.service.carrier is not None
    house.service.carrier.stop = lambda organization, run_id: False  # type: ignore[method-assign]
    assert (await house.runs.stop(house.principal, started.execution.id)).status is Status.STOPPING
    house = await start()
    assert (await house.ended(started.execution.id)).status is Status.CANCELLED
    assert not house.remote.keys


async def test_a_webhook_wakes_a_parked_run_once(start: Start) -> None:
    house = await start()
    definition = flow(
        node("wait", "wait_webhook", timeout_s=60),
        node("a", url="{{wait.x}}"),
        links=("start>wait", "wait:resumed>a"),
    )
    started = await house.start(definition)
    run_id = started.execution.id
    assert started.execution.status is Status.WAITING
    secret = await house.runs.wait_secret(house.principal, run_id)
    house = await start()
    with pytest.raises(Unauthenticated):
        await house.runs.resume_by_secret(run_id, "wait", "0" * 64, {})
    for path in ("other", "a", "start", "x[0]/wait", "wait[0]/wait", "wait/"):
        with pytest.raises(NotFound):
            await house.runs.resume_by_secret(run_id, path, secret, {})
        with pytest.raises(NotFound):
            await house.runs.resume(house.principal, run_id, path, {})
    assert await house.runs.resume_by_secret(run_id, "wait", secret, {"x": 5})
    assert not await house.runs.resume_by_secret(run_id, "wait", secret, {"x": 6})
    over = await house.ended(run_id)
    assert detail(over).nodes[2].input == {"url": 5}
    await house.check()


async def test_what_may_take_long_is_worked_out_before_the_transaction(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others wait for the database meanwhile, and for the loop."""
    threads: list[str] = []

    def watched(*given: Any) -> Any:
        threads.append(threading.current_thread().name)
        return step(*given)

    house = await start()
    definition = flow(
        node("wait", "wait_webhook", timeout_s=60),
        node("sum", "transform", jsonata="$sum(wait.x)"),
        node("late", "transform", jsonata="'late'"),
        links=("start>wait", "wait:resumed>sum", "wait:timed_out>late"),
    )
    first, second = [(await house.start(definition)).execution.id for _ in range(2)]
    monkeypatch.setattr("gesta.workflows.runs.journal.step", watched)
    assert await house.runs.resume(house.principal, first, "wait", {"x": [1, 2, 3]})
    house.clock.advance_us(60 * S)
    assert detail(await house.ended(first)).response_payload == {"sum": 6}
    assert detail(await house.ended(second)).response_payload == {"late": "late"}
    assert len(threads) == 2
    assert all(name.startswith("asyncio_") for name in threads), threads
    await house.check()


async def test_a_run_that_moved_on_meanwhile_is_worked_out_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    definition = flow(
        node("one", "wait_webhook"),
        node("two", "wait_webhook"),
        node("both", "merge"),
        node("sum", "transform", jsonata="one.x + two.x"),
        links=("start>one", "start>two", "one>both", "two>both", "both>sum"),
    )
    run_id = (await house.start(definition)).execution.id
    worked = 0

    def watched(*given: Any) -> Any:
        nonlocal worked
        worked += 1
        return step(*given)

    monkeypatch.setattr("gesta.workflows.runs.journal.step", watched)
    resumed = [house.runs.resume(house.principal, run_id, word, {"x": x}) for word, x in (("one", 1), ("two", 2))]
    assert await asyncio.gather(*resumed) == [True, True]
    assert detail(await house.ended(run_id)).response_payload == 3
    assert worked == 3


async def test_nobody_waits_for_the_queries_of_a_long_list(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nothing else is to be done; and a kill while it begins loses nothing."""
    may_begin = threading.Event()

    def held(*given: Any, **named: Any) -> Any:
        assert may_begin.wait(10)
        return begin(*given, **named)

    monkeypatch.setattr("gesta.workflows.runs.carrier.begin", held)
    definition = flow(
        node("loop", "for_each", items="{{input}}"),
        node("twice", "transform", scope="loop", jsonata="item * 2"),
        links=("start>loop",),
    )
    house = await start()
    started = await house.start(definition, [1, 2, 3])
    assert started.execution.status in (Status.QUEUED, Status.RUNNING)
    assert await house.runs.finished(house.principal, started.execution.id, timeout_s=0.05) is None
    house = await start()
    may_begin.set()
    over = await house.ended(started.execution.id)
    assert (over.status, detail(over).response_payload) == (Status.SUCCEEDED, [2, 4, 6])
    done = [event.data["nodeId"] for event in await house.events(over.id) if event.type == "node.succeeded"]
    assert sorted(done) == ["loop", "loop[0]/twice", "loop[1]/twice", "loop[2]/twice", "start"]
    stopped = await house.start(definition, [1])
    await house.runs.stop(house.principal, stopped.execution.id)
    await house.ended(stopped.execution.id)
    await house.check()


async def test_the_timeline_is_in_the_order_of_what_happened(house: House) -> None:
    definition = flow(
        node("say", "log", message="at first"),
        node("loop", "for_each", items=[1, 2]),
        node("in", "transform", scope="loop", value="{{item}}"),
        node("then", "log", message="at last"),
        links=("start>say", "say>loop", "loop>then"),
    )
    run_id = (await house.start(definition)).execution.id
    told = [
        (event.data["nodeId"], event.type.rpartition(".")[2])
        for event in await house.events(run_id)
        if event.type.startswith("node.") or event.type == "run.log"
    ]
    assert [each for each in told if each[0] != "start"] == [
        ("say", "log"),
        ("say", "succeeded"),
        ("loop[0]/in", "succeeded"),
        ("loop[1]/in", "succeeded"),
        ("loop", "succeeded"),
        ("then", "log"),
        ("then", "succeeded"),
    ]


async def test_a_wait_is_over_at_its_time(start: Start) -> None:
    house = await start()
    definition = flow(
        node("wait", "human", title="Look at it", timeout_s=60),
        node("late"),
        links=("start>wait", "wait:timed_out>late"),
    )
    started = await house.start(definition)
    house = await start()
    house.clock.advance_us(60 * S)
    over = await house.ended(started.execution.id)
    assert (over.status, house.remote.keys[f"{over.id}/late"]) == (Status.SUCCEEDED, 1)


@pytest.mark.parametrize("failures", [0, 1])
async def test_nothing_ends_before_what_it_waited_for(house: House, failures: int) -> None:
    house.remote.gates["slow"] = asyncio.Event()
    house.remote.failing["quick"] = failures
    links = ("start>slow", "start>quick", "slow>join", "quick>join")
    started = await house.start(flow(node("slow"), node("quick"), node("join", "merge"), links=links))
    await house.remote.began("slow")
    await house.remote.began("quick")
    for _ in range(50):  # what `quick` comes to is had before the clock goes on
        await asyncio.sleep(0)
    house.clock.advance_us(5 * S)
    house.remote.gates["slow"].set()
    over = await house.ended(started.execution.id)
    progress = (await house.runs.run(house.principal, over.id)).progress
    assert progress is not None
    visits = progress.runs
    slow = visits["slow"].finished_at_us
    assert slow is not None
    assert over.finished_at_us is not None
    assert over.finished_at_us >= slow
    if not failures:
        assert (visits["quick"].finished_at_us, visits["join"].finished_at_us) == (slow - 5 * S, slow)


async def test_an_answer_that_does_not_fit_the_form_is_refused_and_the_node_waits_on(house: House) -> None:
    form = {"type": "object", "required": ["sum"], "properties": {"sum": {"enum": [0, "{{input.most}}"]}}}
    definition = flow(node("ask", "human", title="How much?", form=form), links=("start>ask",))
    started = await house.start(definition, input={"most": 5})
    run_id = started.execution.id
    await house.until(run_id, Status.WAITING)
    secret = await house.runs.wait_secret(house.principal, run_id)
    with pytest.raises(InvalidInput, match="The answer to `ask` does not fit: 'sum' is a required property") as refused:
        await house.runs.resume(house.principal, run_id, "ask", {"total": 1})
    assert refused.value.field == "payload"
    with pytest.raises(InvalidInput, match="The answer to `ask` does not fit at `sum`: 6 is not one of") as refused:
        await house.runs.resume_by_secret(run_id, "ask", secret, {"sum": 6})
    assert refused.value.field == "sum"
    assert (await house.runs.run(house.principal, run_id)).waits == {"ask": "human"}
    assert await house.runs.resume_by_secret(run_id, "ask", secret, {"sum": 5})
    assert not await house.runs.resume(house.principal, run_id, "ask", {"total": 1})
    assert detail(await house.ended(run_id)).nodes[1].output == {"sum": 5}


async def test_what_comes_while_something_is_done_is_not_lost(house: House) -> None:
    house.remote.gates["a"] = asyncio.Event()
    definition = flow(
        node("wait", "wait_webhook"),
        node("a"),
        node("join", "merge"),
        links=("start>wait", "start>a", "wait:resumed>join", "a>join"),
    )
    started = await house.start(definition)
    await house.remote.began("a")
    await house.until(started.execution.id, Status.RUNNING)
    assert await house.runs.resume(house.principal, started.execution.id, "wait", "early")
    house.remote.gates["a"].set()
    over = await house.ended(started.execution.id)
    assert detail(over).response_payload["wait"] == "early"
    await house.check()


async def test_the_end_of_an_executor_wakes_who_waits_for_it(start: Start) -> None:
    house = await start()
    started = await house.start(flow(node("a"), links=("start>a",)))
    organization = house.principal.organization.id
    account = started.execution.account
    await house.ended(started.execution.id)
    row = NewExecution(
        id="E1",
        account=account,
        origin="executor",
        name="position_executor",
        status=Status.RUNNING,
        source=Source.API,
        created_at_us=house.clock.now_us(),
        detail=ExecutorDetail(executor_type="position_executor", close_type=None),
    )
    await house.ledger.append(organization, [row])
    house.remote.waits["w"] = Wait(kind=WaitKind.EXECUTOR, key="E1")
    waits = await house.start(flow(node("w"), links=("start>w",)))
    await house.until(waits.execution.id, Status.WAITING)
    ended = ExecutorDetail(executor_type="position_executor", close_type="TAKE_PROFIT")
    change = Transition(event=NewEvent(type="executor.terminated"), status=Status.SUCCEEDED, detail=ended)
    await house.ledger.transition(organization, "E1", change)
    over = await house.ended(waits.execution.id)
    assert detail(over).response_payload["close_type"] == "TAKE_PROFIT"
    # One that had ended before anybody waited for it.
    late = await house.start(flow(node("w"), links=("start>w",)))
    assert (await house.ended(late.execution.id)).status is Status.SUCCEEDED


async def test_the_whole_run_has_a_limit(house: House) -> None:
    started = await house.start(flow(node("wait", "wait_webhook"), links=("start>wait",), timeout_s=30.0))
    house.clock.advance_us(30 * S)
    over = await house.ended(started.execution.id)
    assert (over.status, detail(over).error) == (Status.TIMED_OUT, "The run took longer than 30 s.")


async def test_a_key_makes_one_run(house: House) -> None:
    definition = flow(node("a"), links=("start>a",))
    first = await house.start(definition, 1, key="k")
    again = await house.start(definition, 1, key="k")
    assert (again.execution.id, again.is_new, again.client_token) == (first.execution.id, False, first.client_token)
    with pytest.raises(Conflict, match="used for another"):
        await house.start(definition, 2, key="k")
    many = await asyncio.gather(*(house.start(definition, 5, key="many") for _ in range(8)))
    assert len({each.execution.id for each in many}) == 1


async def test_a_client_token_is_one_runs(house: House) -> None:
    definition = flow(node("a"), links=("start>a",))
    one, other = await house.start(definition), await house.start(definition)
    found = await house.runs.run_of_token(one.execution.id, one.client_token)
    assert found.id == one.execution.id
    with pytest.raises(Unauthenticated):
        await house.runs.run_of_token(one.execution.id, other.client_token)


async def test_a_caller_waits_for_the_end_or_the_answer(house: House) -> None:
    house.remote.gates["b"] = asyncio.Event()
    definition = flow(node("a"), node("say", "response", body="soon"), node("b"), links=("start>a", "a>say", "say>b"))
    started = await house.start(definition)
    answered = await house.runs.finished(house.principal, started.execution.id, timeout_s=10)
    assert answered is not None
    assert detail(answered).response_payload == {"status_code": 200, "body": "soon"}
    quiet = await house.start(flow(node("b"), links=("start>b",)))
    assert await house.runs.finished(house.principal, quiet.execution.id, timeout_s=0.05) is None
    house.remote.gates["b"].set()
    over = await house.runs.finished(house.principal, quiet.execution.id, timeout_s=10)
    assert over is not None
    assert over.status is Status.SUCCEEDED


async def test_batches_are_read_round_by_round(house: House) -> None:
    house.remote.failing["a"] = 1
    definition = flow(
        node("loop", "for_each", items="{{input}}", continue_on_error=True),
        node("a", scope="loop", url="{{item}}"),
        links=("start>loop",),
    )
    started = await house.start(definition, ["x", "y", "z"])
    over = await house.ended(started.execution.id)
    page = await house.runs.batches(house.principal, over.id, "loop", offset=0, limit=2)
    assert (page.total, [(number, run.status.value) for number, run in page.rounds]) == (
        3,
        [(0, "failed"), (1, "succeeded")],
    )
    failed = await house.runs.batches(house.principal, over.id, "loop", status="failed", offset=0, limit=10)
    assert failed.total == 1
    with pytest.raises(Conflict, match="no batches"):
        await house.runs.batches(house.principal, over.id, "start", offset=0, limit=10)


async def test_a_payload_that_the_schema_refuses_starts_nothing(house: House) -> None:
    schema = {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}}
    with pytest.raises(InvalidInput):
        await house.start(flow(node("a"), links=("start>a",), input_schema=schema), {"x": "no"})
    assert await house.ledger.head(house.principal.organization.id) == 0

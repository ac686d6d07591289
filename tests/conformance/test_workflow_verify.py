"""The recount of runs finds what does not agree; and a kill leaves nothing that does not."""

from __future__ import annotations

import asyncio

import pytest

from gesta.app.build import MIGRATIONS
from gesta.ledger.records import Status
from gesta.storage.migrate import migrate
from gesta.storage.program import Database, Fetch, Program, Statement
from gesta.testing.fakes import ManualClock
from gesta.testing.memory_engine import EngineDisk
from gesta.workflows.runs import journal
from gesta.workflows.runs.rows import Plans
from gesta.workflows.runs.verify import verify
from tests.conformance.run_house import House, Remote, detail, flow, node

BROKEN = {
    "UPDATE workflow_runs SET state = 'running'": "its row is running",
    "UPDATE workflow_runs SET state = 'over'": "its progress goes on",
    "UPDATE workflow_runs SET wake_at = 5": "it is woken at 5",
    "DELETE FROM workflow_waits": "it is found by the waits {}",
    "UPDATE workflow_waits SET kind = 'event'": "it is found by the waits",
    "INSERT INTO workflow_waits VALUES (1, 'gone', 'a', 'webhook', '', 1)": "run gone is not there",
    "INSERT INTO workflow_wakes SELECT organization, id, 1, progress FROM workflow_runs": "has what came for it",
    "UPDATE workflow_runs SET id = 'other'": "has no execution",
}


async def house_of(database: Database, disk: EngineDisk, remote: Remote, seed: int = 1) -> House:
    house = House(database, ManualClock(), disk, remote, seed)
    await house.open()
    return house


@pytest.mark.parametrize("broken", BROKEN)
async def test_what_does_not_agree_is_found(database: Database, broken: str) -> None:
    await migrate(database, MIGRATIONS)
    house = await house_of(database, EngineDisk(), Remote())
    started = await house.start(flow(node("a"), node("w", "wait_webhook"), links=("start>a", "a>w")))
    await house.until(started.execution.id, Status.WAITING)
    report = await verify(database)
    assert (report.runs, report.waits, report.faults) == (1, 1, [])
    await house.kill()

    def program() -> Program[None]:
        yield Fetch(Statement("test.broken", broken, broken))

    await database.write(program)
    faults = (await verify(database)).faults
    assert any(BROKEN[broken] in fault for fault in faults), faults


async def test_what_was_done_before_a_stop_and_a_kill_stays_done(database: Database) -> None:
    """And is told once."""
    await migrate(database, MIGRATIONS)
    disk, remote = EngineDisk(), Remote()
    remote.gates["b"] = asyncio.Event()
    first = await house_of(database, disk, remote)
    started = await first.start(flow(node("a"), node("b"), node("c"), links=("start>a", "a>b", "b>c")))
    run_id, organization = started.execution.id, first.principal.organization.id
    await remote.began("b")
    at_us = first.clock.now_us()
    await database.write(lambda: journal.asked_to_stop(organization, run_id, Plans(), at_us, {}), key=organization)
    await first.kill()

    second = await house_of(database, disk, remote, 2)
    over = await second.ended(run_id)
    assert over.status is Status.CANCELLED
    assert [each.status for each in detail(over).nodes] == ["succeeded", "succeeded", "cancelled", "cancelled"]
    assert remote.keys == {f"{run_id}/a": 1}
    told = [event.type for event in await second.events(run_id) if event.data.get("nodeId") == "a"]
    assert told.count("node.succeeded") == 1
    assert (await verify(database)).faults == []
    await second.check()
    await second.kill()


async def test_what_was_told_before_a_kill_is_not_told_again(database: Database) -> None:
    await migrate(database, MIGRATIONS)
    disk, remote = EngineDisk(), Remote()
    remote.gates["c"] = asyncio.Event()
    first = await house_of(database, disk, remote)
    started = await first.start(flow(node("a"), node("b"), node("c"), links=("start>a", "a>b", "b>c")))
    run_id = started.execution.id
    await remote.began("c")
    await first.until(run_id, Status.RUNNING)
    await first.kill()
    remote.gates["c"].set()

    second = await house_of(database, disk, remote, 2)
    assert (await second.ended(run_id)).status is Status.SUCCEEDED
    told = [(event.type, event.data["nodeId"]) for event in await second.events(run_id) if "nodeId" in event.data]
    assert len(told) == len(set(told))
    assert remote.keys == {f"{run_id}/a": 1, f"{run_id}/b": 1, f"{run_id}/c": 1}
    await second.kill()


async def test_what_came_for_a_run_that_was_stopped_before_it_began_is_gone(database: Database) -> None:
    await migrate(database, MIGRATIONS)
    disk, remote = EngineDisk(), Remote()
    house = await house_of(database, disk, remote)
    nodes = (node("w", "wait_webhook"), node("v", "wait_webhook"), node("a"))
    started = await house.start(flow(*nodes, links=("start>w", "start>v", "w>a")))
    run_id, organization = started.execution.id, house.principal.organization.id
    await house.kill()
    at_us = house.clock.now_us()
    for path in ("w", "v"):
        event = journal.Woken(path=path, payload=1, at_us=at_us)
        changed = await database.write(
            lambda event=event: journal.woken(organization, run_id, event, Plans(), at_us), key=organization
        )
        assert changed.is_done
    await database.write(lambda: journal.asked_to_stop(organization, run_id, Plans(), at_us, {}), key=organization)
    assert (await verify(database)).faults == []
    assert (await house.get(run_id)).status is Status.CANCELLED

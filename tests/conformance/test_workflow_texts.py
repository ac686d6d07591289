"""What an expression may come to, and a database cannot hold as text."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gesta.app.build import MIGRATIONS
from gesta.ledger.records import Status
from gesta.storage.migrate import migrate
from gesta.storage.program import Database
from gesta.testing.fakes import ManualClock
from gesta.testing.memory_engine import EngineDisk
from gesta.workflows.runs.rows import MIGRATIONS as WORKFLOWS
from tests.conformance.run_house import House, Remote, detail, flow, node

NUL = '$decodeUrlComponent("%00")'


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    await migrate(database, list(dict.fromkeys([*MIGRATIONS, WORKFLOWS])))
    house = House(database, ManualClock(), EngineDisk(), Remote(), 0)
    await house.open()
    yield house
    await house.kill()


async def test_a_null_character_in_a_log_line_keeps_no_run_from_ending(house: House) -> None:
    definition = flow(
        node("nul", "transform", jsonata=f'"a" & {NUL} & "b"'),
        node("say", "log", message="{{nul}}"),
        links=("start>nul", "nul>say"),
    )
    over = await house.ended((await house.start(definition)).execution.id)
    assert over.status is Status.SUCCEEDED
    lines = [event.message for event in await house.events(over.id) if event.type == "run.log"]
    assert len(lines) == 1
    assert "\0" not in lines[0]


async def test_a_null_character_in_an_error_keeps_no_run_from_failing(house: House) -> None:
    definition = flow(node("bad", "transform", jsonata=f'$error("boom" & {NUL})'), links=("start>bad",))
    over = await house.ended((await house.start(definition)).execution.id)
    assert over.status is Status.FAILED
    assert not any("\0" in event.message for event in await house.events(over.id))


async def test_no_event_is_waited_for_by_a_name_that_none_can_have(house: House) -> None:
    definition = flow(
        node("nul", "transform", jsonata=f'"a" & {NUL}'),
        node("wait", "wait_event", event="{{nul}}", timeout_s=60),
        links=("start>nul", "nul>wait"),
    )
    over = await house.ended((await house.start(definition)).execution.id)
    assert over.status is Status.FAILED
    assert "`event`" in (detail(over).error or "")

"""A server whose workflows run in a process that is going to be killed: it starts runs of several shapes, wakes what
waits, pays what costs something, stops some.

`python -m tests.acceptance.workflow_child DATABASE LIFE MODE RECEIVER KEYS`: one JSON line on standard output for each
thing that was acknowledged. MODE is `load`, `burst` (more runs at once first), `submit` (so, too, but it carries
nothing out itself; workers do) or `finish`: nothing new is started but what is said again, until nothing goes on. KEYS
is a file of keys that are asked for once more.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from gesta.access.model import Principal, Scope
from gesta.app.build import Server, build
from gesta.app.logs import configure
from gesta.app.settings import load_settings
from gesta.kernel.errors import Conflict, GestaError, Unavailable
from gesta.storage.program import Fetch, Program, Row, Statement
from gesta.workflows.face import Definitions, Draft, EventIn, ScheduleIn, StartRun
from gesta.workflows.forms.reading import read_definition

T = TypeVar("T")

ORGANIZATION = "Shop"
EVENT = "order.paid"
# Begun together when a life begins, and how many go on being started at once.
BURST = 60
STARTERS = 4
# Of each mode: how many are begun together, and how long a starter rests. One that nobody kills soon starts few.
LOADS = {"load": (16, 0.05), "burst": (BURST, 0.05), "submit": (BURST, 1.0)}
SHAPES = ("steps", "each", "flaky", "hook", "timer", "sub", "slow", "early", "paid", "event")

WAITS = Statement("test.waits", *["SELECT run, path FROM workflow_waits WHERE kind = 'webhook' ORDER BY run"] * 2)
OPEN = Statement("test.open", *["SELECT id FROM workflow_checkouts WHERE status = 'open' ORDER BY id"] * 2)
LEFT = Statement("test.left", *["SELECT count(*) FROM workflow_runs WHERE state <> 'over'"] * 2)


def http(url: str, id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "type": "http", "method": "POST", "url": f"{url}/{id}", **more}


def nodes_of(shape: str, url: str) -> list[dict[str, Any]]:
    """What a run of the shape does; every effect is at the receiver."""
    start: dict[str, Any] = {"id": "start", "type": "start"}
    a, z = http(url, "a"), http(url, "z")
    match shape:
        case "each":
            rounds = {
                "id": "each",
                "type": "for_each",
                "items": [1, 2, 3, 4],
                "at_once": 2,
                "body": [http(url, "item")],
            }
            return [start, rounds, z]
        case "flaky":
            return [start, a, http(url, "flaky", retry={"attempts": 4, "backoff_s": 0.2}), z]
        case "hook":
            return [start, a, {"id": "wait", "type": "wait_webhook"}, z]
        case "timer":
            # Parked, and waited for in memory.
            delays = [{"id": f"delay{place}", "type": "delay", "seconds": s} for place, s in enumerate((2.2, 0.1))]
            return [start, a, delays[0], http(url, "b"), delays[1], z]
        case "sub":
            return [start, a, {"id": "sub", "type": "sub_flow", "workflow": "inner"}, z]
        case "early":
            # What it waits for comes before it does.
            return [start, http(url, "slow"), {"id": "wait", "type": "wait_webhook"}, z]
        case "slow":
            return [start, http(url, "slow"), z]
        case _:
            return [start, a, http(url, "b"), http(url, "c"), z]


async def prepare(definitions: Definitions, principal: Principal, url: str) -> None:
    """The workflows that are published."""
    for alias, more in (("inner", {}), ("costly", {"price": "2.50 USD"}), ("told", {"trigger": {"event": EVENT}})):
        document = {"name": alias, "nodes": nodes_of("steps", url), **more}
        view = await definitions.create(principal, draft_of(document, alias))
        await definitions.publish(principal, view.id)


def draft_of(document: dict[str, Any], alias: str) -> Draft:
    return Draft(definition=read_definition(document), name=alias, alias=alias)


def principal_of(organization: Any) -> Principal:
    return Principal(
        organization=organization,
        identity_id=1,
        identity_name="builder",
        credential_id=1,
        scopes=frozenset({Scope.RUN}),
    )


def overrides(database: str) -> dict[str, Any]:
    return {
        "database.url": database,
        "trading.enabled": False,
        "log.level": "warning",
        "workflows.allow_networks": "127.0.0.0/8",
        "workflows.payments.test": True,
    }


def say(**line: object) -> None:
    """In the pipe when this returns: a kill does not take it back."""
    os.write(1, json.dumps(line).encode() + b"\n")


async def persist(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """A caller that asks again when the database was out of reach."""
    while True:
        try:
            return await call()
        except Unavailable:
            await asyncio.sleep(0.1)


class Child:
    def __init__(self, server: Server, principal: Principal, life: str, url: str) -> None:
        assert server.workflows is not None
        self.server = server
        self.workflows = server.workflows
        self.principal = principal
        self.life = life
        self.url = url
        self.chance = random.Random(life)
        self.numbers = itertools.count(1)
        self.made: list[str] = []

    async def read(self, statement: Statement) -> list[Row]:
        def program() -> Program[list[Row]]:
            return (yield Fetch(statement))

        return await self.server.core.database.read(program, snapshot=False)

    def key(self) -> str:
        number = next(self.numbers)
        return f"{SHAPES[number % len(SHAPES)]}-{self.life}-{number}"

    async def make(self, key: str) -> None:
        say(asked=key)
        shape, door = key.split("-", maxsplit=1)[0], self.workflows.door
        if shape == "event":
            event = EventIn(event=EVENT, payload={"key": key}, key=key)
            taken = await persist(lambda: door.triggers.event(self.principal, event))
            say(made=key, ids=[each.id for each in taken.started])
            return
        if shape == "paid":
            request = StartRun(workflow="costly", key=key)
        else:
            definition = read_definition({"name": shape, "nodes": nodes_of(shape, self.url)})
            request = StartRun(definition=definition, key=key)
        made = (await persist(lambda: door.runs.start(self.principal, request))).execution
        say(made=key, ids=[made.id])
        if shape == "early":
            resume = partial(self.workflows.door.runs.resume, self.principal, made.id, "wait", {"by": self.life})
            if await persist(resume):
                say(woken=made.id)
        if shape in ("slow", "hook"):
            self.made.append(made.id)

    async def make_many(self, pause_s: float) -> None:
        while True:
            await self.make(self.key())
            await asyncio.sleep(pause_s)

    async def wake(self) -> None:
        """What comes from outside: callers, payers. Told twice it counts once."""
        while True:
            await persist(self.wake_once)
            await asyncio.sleep(0.1)

    async def wake_once(self) -> None:
        for run_id, path in await self.read(WAITS):
            if await self.workflows.door.runs.resume(self.principal, run_id, path, {"by": self.life}):
                say(woken=run_id)
        for (checkout,) in await self.read(OPEN):
            page = await self.workflows.payments.page(checkout)
            if page.token:
                await self.workflows.payments.press(checkout, "pay", page.token)

    async def stop_some(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            if self.made:
                run_id = self.made.pop(self.chance.randrange(len(self.made)))
                say(stopping=run_id)
                try:
                    await persist(partial(self.workflows.door.runs.stop, self.principal, run_id))
                except Conflict:
                    continue  # it was over already
                say(stopped=run_id)

    async def load(self, burst: int, pause_s: float) -> None:
        keys = [self.key() for _ in range(burst)]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.wake())
            tasks.create_task(self.stop_some())
            for key in keys:
                tasks.create_task(self.make(key))
            for _ in range(STARTERS):
                tasks.create_task(self.make_many(pause_s))

    async def schedule(self) -> None:
        for name in ("every", "soon"):
            said = ScheduleIn(workflow="inner", every_s=1.0, name=name)
            await self.workflows.door.triggers.create_schedule(self.principal, said)

    async def finish(self) -> None:
        triggers = self.workflows.door.triggers
        for schedule in await triggers.schedules(self.principal):
            await triggers.delete_schedule(self.principal, schedule.id)
        waking = asyncio.create_task(self.wake())
        async with asyncio.timeout(90):
            while (await self.read(LEFT))[0][0]:  # noqa: ASYNC110 - workers may have it
                await asyncio.sleep(0.1)
        waking.cancel()
        await asyncio.gather(waking, return_exceptions=True)
        say(left=0)


async def main(place: str, life: str, mode: str, url: str, again: list[str]) -> None:
    settings = load_settings(None, {**overrides(place), "workflows.carries": mode != "submit"}, environ={})
    configure(settings.log)
    async with build(settings) as server:
        (organization,) = [each for each in await server.core.access.organizations() if each.name == ORGANIZATION]
        child = Child(server, principal_of(organization), life, url)
        say(ready=True)
        for key in again:
            await child.make(key)
        if life == "1":
            await child.schedule()
        try:
            await (child.finish() if mode == "finish" else child.load(*LOADS[mode]))
        except* GestaError as errors:
            say(failed=[str(each) for each in errors.exceptions])
            raise


if __name__ == "__main__":
    *given, keys = sys.argv[1:]
    place, life, mode, url = given
    asyncio.run(main(place, life, mode, url, json.loads(Path(keys).read_text())))

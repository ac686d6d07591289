"""Runs over a database that outlives the process: one house is one process's."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from gesta.access.model import Principal, Scope
from gesta.access.service import AccessService
from gesta.access.settings import AccessSettings
from gesta.desk.reading import Reading
from gesta.ledger.records import Event, Execution, RunDetail, Status
from gesta.ledger.store import StoredLedger
from gesta.ledger.verify import verify as recount
from gesta.storage.program import Database
from gesta.testing.fakes import ManualClock, SeededIds
from gesta.testing.memory_engine import EngineDisk, MemoryEngine
from gesta.workflows.face import Started, StartRun
from gesta.workflows.graph.definition import Definition, Edge, Node, NodeType, Retry
from gesta.workflows.nodes.face import NodeFailed, Performance, Performed
from gesta.workflows.runs.carrier import Carrier
from gesta.workflows.runs.desk import RunDesk
from gesta.workflows.runs.rows import Plans
from gesta.workflows.runs.service import RunService

OWNER = "house"


class Remote:
    """What HTTP nodes reach: it counts what was done, and can be held up or made to fail."""

    def __init__(self) -> None:
        self.keys: Counter[str] = Counter()
        self._began: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.gates: dict[str, asyncio.Event] = {}
        self.failing: dict[str, int] = {}
        self.waits: dict[str, Any] = {}

    async def began(self, node: str) -> None:
        async with asyncio.timeout(10):
            await self._began[node].wait()

    async def perform(self, performance: Performance) -> Performed:
        node = performance.node.id
        self._began[node].set()
        gate = self.gates.get(node)
        if gate is not None:
            await gate.wait()
        self.keys[performance.key] += 1
        if self.failing.get(node, 0) > 0:
            self.failing[node] -= 1
            raise NodeFailed(f"{node} does not work", is_final=performance.input.get("final", False))
        wait = self.waits.get(node)
        if wait is not None:
            return Performed(wait=wait)
        return Performed(output={"did": node, "input": performance.input})


class House:
    def __init__(
        self, database: Database, clock: ManualClock, disk: EngineDisk, remote: Remote, seed: int, is_alone: bool = True
    ) -> None:
        self.database, self.clock, self.remote = database, clock, remote
        ids = SeededIds(seed)
        self.ledger = StoredLedger(database, clock)
        self.access = AccessService(database, clock, ids, AccessSettings())
        plans = Plans()
        self.engine = MemoryEngine(disk, worker=OWNER, clock=clock)
        self.service = RunService(
            database=database, ledger=self.ledger, clock=clock, plans=plans, engine=self.engine, owner=OWNER
        )
        self.service.carrier = Carrier(
            database=database,
            clock=clock,
            ids=ids,
            plans=plans,
            performers=dict.fromkeys(NodeType, remote.perform),
            owner=OWNER,
            on_changed=self.service.changed,
        )
        # As servers are: a file is one process's, a PostgreSQL database many's.
        self.service.is_alone = database.dialect == "sqlite"
        self.reading = Reading(self.ledger)
        self.runs = RunDesk(
            database=database,
            reading=self.reading,
            access=self.access,
            clock=clock,
            ids=ids,
            plans=plans,
            service=self.service,
        )

    async def open(self) -> None:
        named = [each for each in await self.access.organizations() if each.name == "Shop"]
        organization = named[0] if named else await self.access.create_organization("Shop")
        self.principal = Principal(
            organization=organization,
            identity_id=1,
            identity_name="builder",
            credential_id=1,
            scopes=frozenset({Scope.RUN}),
        )
        await self.service.start()

    async def kill(self) -> None:
        await self.engine.kill()
        await self.service.stop()

    async def start(self, definition: Definition, input: Any = None, **asked: Any) -> Started:
        return await self.runs.start(self.principal, StartRun(definition=definition, input=input, **asked))

    async def get(self, run_id: str) -> Execution:
        found = await self.ledger.get(self.principal.organization.id, run_id)
        assert found is not None
        return found

    async def until(self, run_id: str, *statuses: Status) -> Execution:
        """The run in one of these statuses; the change feed says when to look."""
        organization = self.principal.organization.id
        async with asyncio.timeout(20):
            while True:
                head = await self.ledger.head(organization)
                found = await self.get(run_id)
                if found.status in statuses:
                    return found
                await self.ledger.wait(organization, after_seq=head, timeout_s=5)

    async def ended(self, run_id: str) -> Execution:
        return await self.until(run_id, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.TIMED_OUT)

    async def events(self, run_id: str) -> list[Event]:
        return list((await self.ledger.events(self.principal.organization.id, run_id)).events)

    async def check(self) -> None:
        assert (await recount(self.database)).faults == []


Start = Callable[[], Awaitable[House]]


def detail(execution: Execution) -> RunDetail:
    assert isinstance(execution.detail, RunDetail)
    return execution.detail


def node(
    id: str, type: str = "http", *, scope: str = "", attempts: int = 1, timeout_s: float | None = None, **config: Any
) -> Node:
    return Node(
        id=id,
        type=NodeType(type),
        config=config or ({"url": "http://x"} if type == "http" else {}),
        scope=scope,
        retry=Retry(attempts=attempts, backoff_s=5, jitter=0),
        timeout_s=timeout_s,
    )


def flow(*nodes: Node, links: tuple[str, ...] = (), **changes: Any) -> Definition:
    found = []
    for pair in links:
        source, target = pair.split(">")
        source, _, branch = source.partition(":")
        found.append(Edge(source=source, target=target, branch=branch))
    return Definition(nodes=(node("start", "start"), *nodes), edges=tuple(found), **changes)

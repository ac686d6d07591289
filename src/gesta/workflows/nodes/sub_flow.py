"""The node `sub_flow`."""

from __future__ import annotations

from typing import Protocol

from gesta.access.model import Principal, Scope
from gesta.desk.reading import Reading
from gesta.kernel.errors import NotFound
from gesta.ledger.lifecycle import TERMINAL
from gesta.ledger.records import Kind
from gesta.workflows.face import Started, StartRun
from gesta.workflows.graph.progress import Wait, WaitKind
from gesta.workflows.nodes.face import NodeFailed, Performance, Performed
from gesta.workflows.nodes.principals import Principals
from gesta.workflows.nodes.values import config_of, flag_of, integer_of, key_of, refused, text_of
from gesta.workflows.runs.endings import ending_of

MOST_DEPTH = 20
MAX_KEY = 256


class Starts(Protocol):
    """The front door of runs (`workflows.face.Runs`), as far as it is needed here."""

    async def start(self, principal: Principal, request: StartRun) -> Started: ...


class SubFlow:
    """Starts a run of another workflow in the account of this one. The visit is its key: it is one run."""

    def __init__(self, runs: Starts, reading: Reading, principals: Principals) -> None:
        self._runs = runs
        self._reading = reading
        self._principals = principals

    async def __call__(self, performance: Performance) -> Performed:
        config = config_of(performance)
        workflow = text_of(config, "workflow")
        waits = flag_of(config, "waits", default=True)
        version = integer_of(config, "version")
        principal = await self._principals.account(performance, Scope.RUN)
        await self._check_depth(principal, performance, workflow)
        request = StartRun(
            workflow=workflow,
            version=version,
            input=config.get("input"),
            environment=performance.environment,
            key=key_of(performance, MAX_KEY),
            parent=(performance.run_id, performance.path),
        )
        execution = (await self._runs.start(principal, request)).execution
        if not waits:
            return Performed(output={"run_id": execution.id})
        if execution.status not in TERMINAL:
            return Performed(wait=Wait(kind=WaitKind.RUN, key=execution.id))
        ending = ending_of(execution, performance.path, performance.at_us)
        if ending.error:
            raise NodeFailed(ending.error, is_final=True)
        return Performed(output=ending.payload)

    async def _check_depth(self, principal: Principal, performance: Performance, workflow: str) -> None:
        """Workflows that start each other would go on for ever."""
        run_id: str | None = performance.run_id
        for _ in range(MOST_DEPTH):
            try:
                run_id = (await self._reading.get(principal, run_id or "", kind=Kind.RUN)).parent_id
            except NotFound:
                return
            if run_id is None:
                return
        refused(
            f"{workflow[:128]} is not started: this run is {MOST_DEPTH} sub-flows deep already, which is the most. "
            "Do its workflows start each other?"
        )

"""The nodes `executor.start` and `executor.await`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Protocol

from gesta.access.model import Principal, Scope
from gesta.desk.reading import Reading
from gesta.executors.control import CreateExecutor, base58
from gesta.executors.vocabulary import DEFAULT_ACCOUNT
from gesta.kernel.errors import InvalidInput
from gesta.ledger.lifecycle import TERMINAL
from gesta.ledger.records import Execution, Kind
from gesta.workflows.graph.configs import seconds
from gesta.workflows.graph.progress import Wait, WaitKind
from gesta.workflows.nodes.face import Performance, Performed
from gesta.workflows.nodes.principals import Principals
from gesta.workflows.nodes.values import config_of, digest_of, object_of, refused, text_of
from gesta.workflows.runs.endings import outcome_of

_US = 1_000_000


class Creates(Protocol):
    """The front door of executors (`executors.control`), as far as it is needed here."""

    async def create(self, principal: Principal, request: CreateExecutor) -> Execution: ...


class StartExecutor:
    """The executor's id and key are the visit's: however often it is performed, it is one executor."""

    def __init__(self, executors: Creates, principals: Principals) -> None:
        self._executors = executors
        self._principals = principals

    async def __call__(self, performance: Performance) -> Performed:
        config = config_of(performance)
        wanted = object_of(config, "config")
        if not wanted:
            refused("`config` came to nothing; it is what the executor is to do, with its `type`.")
        digest = digest_of(performance)
        # The id of another executor would make two nodes one.
        given = {**wanted, "id": base58(bytes.fromhex(digest))}
        request = CreateExecutor(
            config=_texts(given),
            account_name=text_of(config, "account", DEFAULT_ACCOUNT),
            controller_id=text_of(config, "controller_id", "main"),
            key=f"workflow-{digest}",
        )
        made = await self._executors.create(await self._principals.organization(performance, Scope.TRADE), request)
        return Performed(output={"executor_id": made.id})


class AwaitExecutor:
    def __init__(self, reading: Reading, principals: Principals) -> None:
        self._reading = reading
        self._principals = principals

    async def __call__(self, performance: Performance) -> Performed:
        config = config_of(performance)
        executor_id = text_of(config, "executor_id")
        until_us = None
        if config.get("timeout_s") is not None:
            try:
                until_us = performance.at_us + int(seconds(config["timeout_s"], "timeout_s") * _US)
            except InvalidInput as error:
                refused(error.message)
        principal = await self._principals.organization(performance, Scope.READ)
        found = await self._reading.get(principal, executor_id, kind=Kind.EXECUTOR)
        if found.status in TERMINAL:
            return Performed(output=outcome_of(found))
        return Performed(wait=Wait(kind=WaitKind.EXECUTOR, key=found.id, until_us=until_us))


def _texts(value: Any) -> Any:
    """Numbers with a point as texts, which keep what was written also where it is stored."""
    if isinstance(value, float | Decimal):
        return str(value)
    if isinstance(value, dict):
        return {key: _texts(each) for key, each in value.items()}
    return [_texts(each) for each in value] if isinstance(value, list) else value

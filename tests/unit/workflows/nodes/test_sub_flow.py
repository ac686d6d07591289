"""The node `sub_flow`: one run per visit, in the account of the run that starts it, and not without end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gesta.access.model import Account, AccountType, Environment, Organization, Principal, Scope
from gesta.desk.reading import Reading
from gesta.kernel.errors import Forbidden
from gesta.ledger.records import Execution, RunDetail, Status
from gesta.testing.fake_access import FakeAccess
from gesta.testing.fakes import ManualClock
from gesta.testing.memory_ledger import MemoryLedger
from gesta.testing.rows import run as run_row
from gesta.workflows.face import Started, StartRun
from gesta.workflows.graph.definition import NodeType
from gesta.workflows.graph.progress import Wait, WaitKind
from gesta.workflows.nodes.face import NodeFailed, Performed
from gesta.workflows.nodes.principals import Principals
from gesta.workflows.nodes.sub_flow import MOST_DEPTH, SubFlow
from gesta.workflows.runs.endings import ending_of
from tests.unit.workflows.nodes.bench import AT_US, performance


class House(FakeAccess):
    async def organizations(self) -> list[Organization]:
        return [Organization(id=1, public_id="org_1", name="One")]


class FakeRuns:
    """Starts runs that end as `ends` says; the same key is the same run."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self.ledger = ledger
        self.asked: list[tuple[Principal, StartRun]] = []
        self.by_key: dict[str | None, str] = {}
        self.ends = Status.QUEUED
        self.detail = RunDetail()

    async def start(self, principal: Principal, request: StartRun) -> Started:
        principal.require(Scope.RUN)
        assert principal.account is not None
        if request.workflow == "private":
            raise Forbidden("It is private to another linked account.")
        self.asked.append((principal, request))
        run_id = self.by_key.setdefault(request.key, f"sub{len(self.by_key)}")
        assert request.parent is not None
        execution = await add(self.ledger, run_id, request.parent[0], self.ends, self.detail, principal.account.id)
        return Started(execution=execution, client_token="token")


async def add(
    ledger: MemoryLedger,
    run_id: str,
    parent: str | None,
    status: Status = Status.RUNNING,
    detail: RunDetail | None = None,
    account: int = 1,
) -> Execution:
    row = run_row(1, status, id=run_id, parent_id=parent, account=account, detail=detail or RunDetail())
    await ledger.append(1, [row])
    found = await ledger.get(1, run_id)
    assert found is not None
    return found


class Bench:
    def __init__(self, account: Account, access: House) -> None:
        self.account = account
        self.ledger = MemoryLedger(ManualClock())
        self.runs = FakeRuns(self.ledger)
        self.node = SubFlow(self.runs, Reading(self.ledger), Principals(access))

    async def perform(self, input: Any, **changes: Any) -> Performed:
        return await self.node(performance(NodeType.SUB_FLOW, input, **{"account": self.account.id, **changes}))


@pytest.fixture
async def bench() -> Bench:
    access = House()
    account = await access.ensure_account(1, "me@example.com", AccountType.LINKED, Environment.TEST)
    made = Bench(account, access)
    await add(made.ledger, "run1", None)
    return made


async def test_a_run_is_started_and_waited_for(bench: Bench) -> None:
    done = await bench.perform({"workflow": "pay", "input": {"a": 1}, "version": "3"}, environment="test")
    assert done == Performed(wait=Wait(kind=WaitKind.RUN, key="sub0"))
    ((principal, request),) = bench.runs.asked
    assert (request.workflow, request.version, request.input) == ("pay", 3, {"a": 1})
    assert (request.key, request.parent, request.environment) == ("run1/step", ("run1", "step"), "test")
    assert (principal.account, principal.environment) == (bench.account, Environment.TEST)
    assert principal.scopes == {Scope.RUN}


async def test_performed_twice_it_is_one_run(bench: Bench) -> None:
    first = await bench.perform({"workflow": "pay"})
    assert await bench.perform({"workflow": "pay"}, attempt=2) == first
    assert await bench.perform({"workflow": "pay"}, key="run1/loop[1]/step") != first


async def test_a_key_that_is_too_long_is_its_digest(bench: Bench) -> None:
    await bench.perform({"workflow": "pay"}, key="x" * 300)
    await bench.perform({"workflow": "pay"}, key="x" * 301)
    first, second = (request.key for _, request in bench.runs.asked)
    assert first != second
    assert first is not None
    assert len(first) == 32


async def test_without_waiting_its_id_is_the_output(bench: Bench) -> None:
    assert await bench.perform({"workflow": "pay", "waits": False}) == Performed(output={"run_id": "sub0"})


@pytest.mark.parametrize(
    ("response", "output"),
    [({"x": 1}, {"x": 1}), ({"status_code": 200, "body": [1]}, [1]), (None, None)],
)
async def test_one_that_is_over_already(bench: Bench, response: Any, output: Any) -> None:
    bench.runs.ends, bench.runs.detail = Status.SUCCEEDED, RunDetail(response_payload=response)
    assert await bench.perform({"workflow": "pay"}) == Performed(output=output)


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED, Status.TIMED_OUT])
async def test_one_that_failed_fails_the_node(bench: Bench, status: Status) -> None:
    bench.runs.ends, bench.runs.detail = status, RunDetail(error="no money")
    with pytest.raises(NodeFailed) as failure:
        await bench.perform({"workflow": "pay"})
    assert failure.value.is_final
    assert failure.value.message == f"Run sub0 ended as {status}: no money"
    ended = await bench.ledger.get(1, "sub0")
    assert ended is not None
    woken = ending_of(ended, "step", AT_US)
    assert (woken.error, woken.payload, woken.path) == (failure.value.message, None, "step")
    silent = ending_of(msgspec.structs.replace(ended, detail=RunDetail()), "step", AT_US)
    assert silent.error == f"Run sub0 ended as {status}"


async def test_another_accounts_workflow_is_refused(bench: Bench) -> None:
    with pytest.raises(Forbidden):
        await bench.perform({"workflow": "private"})
    with pytest.raises(NodeFailed, match="account of this run") as failure:
        await bench.perform({"workflow": "pay"}, account=99)
    assert failure.value.is_final


@pytest.mark.parametrize(
    ("input", "word"),
    [
        ({}, "workflow"),
        ({"workflow": ["a"]}, "workflow"),
        ({"workflow": "pay", "waits": "maybe"}, "waits"),
        ({"workflow": "pay", "version": "newest"}, "version"),
        ({"workflow": "pay", "version": "1.5"}, "version"),
    ],
)
async def test_what_cannot_be_started(bench: Bench, input: Any, word: str) -> None:
    with pytest.raises(NodeFailed, match=word) as failure:
        await bench.perform(input)
    assert failure.value.is_final
    assert bench.runs.asked == []


async def test_workflows_that_start_each_other_end(bench: Bench) -> None:
    for depth in range(1, MOST_DEPTH + 1):
        await add(bench.ledger, f"run{depth + 1}", f"run{depth}")
    await bench.perform({"workflow": "pay"}, run_id=f"run{MOST_DEPTH}", key="a")
    assert len(bench.runs.asked) == 1
    with pytest.raises(NodeFailed, match="20 sub-flows deep") as failure:
        await bench.perform({"workflow": "pay"}, run_id=f"run{MOST_DEPTH + 1}", key="b")
    assert failure.value.is_final
    assert len(bench.runs.asked) == 1


async def test_a_parent_that_is_gone_ends_the_count(bench: Bench) -> None:
    await add(bench.ledger, "orphan", "deleted")
    assert (await bench.perform({"workflow": "pay"}, run_id="orphan")).wait is not None

"""The nodes `executor.start` and `executor.await`, over the real trading stack."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gesta.kernel.errors import Conflict, InvalidInput, NotFound
from gesta.ledger.records import Execution, ExecutorDetail, Kind, Status
from gesta.workflows.graph.definition import NodeType
from gesta.workflows.graph.progress import Wait, WaitKind
from gesta.workflows.nodes.executors import AwaitExecutor, StartExecutor
from gesta.workflows.nodes.face import NodeFailed, Performance
from gesta.workflows.nodes.principals import Principals
from gesta.workflows.runs.endings import ending_of
from tests.integration.trading_house import House
from tests.unit.workflows.nodes.bench import AT_US, performance

PAIR = "BTC-USDT"
CONFIG = {
    "type": "position_executor",
    "connector_name": "binance",
    "trading_pair": PAIR,
    "side": "BUY",
    "amount": Decimal("0.10"),
    "triple_barrier_config": {"stop_loss": 0.02, "take_profit": Decimal("0.02"), "open_order_type": "MARKET"},
}


class Bench(House):
    async def price(self, price: str) -> None:
        bid = int(Decimal(price) / self.trading.market.resolve(PAIR).tick_size)
        self.quote(PAIR, bid, bid + 1, 10**9, 10**9)
        self.trading.runner.tick()
        await self.settle()

    def of_run(self, type_: NodeType, input: Any, **changes: Any) -> Performance:
        named = {"organization": self.principal.organization.id, "account": self.account.id}
        return performance(type_, input, **named, **changes)

    async def start(self, config: Any = CONFIG, **changes: Any) -> str:
        node = StartExecutor(self.trading.executors, Principals(self.core.access))
        input = {"config": config, **changes.pop("input", {})}
        done = await node(self.of_run(NodeType.EXECUTOR_START, input, **changes))
        assert done.wait is None
        assert isinstance(done.output["executor_id"], str)
        return str(done.output["executor_id"])

    async def wait(self, input: Any) -> Any:
        return await AwaitExecutor(self.core.reading, Principals(self.core.access))(
            self.of_run(NodeType.EXECUTOR_AWAIT, input)
        )

    async def executor(self, executor_id: str) -> Execution:
        await self.settle()
        return await self.core.reading.get(self.principal, executor_id, kind=Kind.EXECUTOR)

    async def executors(self) -> list[Execution]:
        query = self.core.reading.filter(self.principal, kinds=frozenset({Kind.EXECUTOR}))
        return list((await self.core.reading.page(self.principal, query, offset=0, limit=100)).rows)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(f"sqlite:///{tmp_path / 'gesta.sqlite3'}")
    await made.open()
    await made.price("60000")
    yield made
    await made.close()


async def test_performed_twice_it_is_one_executor(bench: Bench) -> None:
    first = await bench.start()
    assert await bench.start(attempt=2) == first
    assert [each.id for each in await bench.executors()] == [first]
    # Another visit of the node, and the same node of another run, are others.
    assert len({first, await bench.start(key="run1/loop[1]/step"), await bench.start(key="run2/step")}) == 3


async def test_after_a_kill_it_is_the_same_executor(bench: Bench) -> None:
    first = await bench.start()
    await bench.crash()
    await bench.open()
    await bench.price("60000")
    assert await bench.start() == first
    assert len(await bench.executors()) == 1


async def test_numbers_arrive_exactly(bench: Bench) -> None:
    detail = (await bench.executor(await bench.start({**CONFIG, "id": "a-templates-own"}))).detail
    assert isinstance(detail, ExecutorDetail)
    assert detail.config is not None
    assert detail.config["amount"] == "0.10"
    assert detail.config["triple_barrier_config"]["stop_loss"] == "0.02"
    assert detail.config["id"] != "a-templates-own"


async def test_a_config_may_be_a_text_of_one(bench: Bench) -> None:
    text = '{"type":"position_executor","connector_name":"binance","trading_pair":"BTC-USDT","side":"BUY","amount":0.1}'
    made = await bench.executor(await bench.start(text, input={"controller_id": "mine"}))
    assert made.correlation["controller_id"] == "mine"


@pytest.mark.parametrize("config", [None, "", "{", [], 7, {}])
async def test_no_config_is_refused(bench: Bench, config: Any) -> None:
    with pytest.raises(NodeFailed, match="config") as failure:
        await bench.start(config)
    assert failure.value.is_final


async def test_what_executors_refuse_is_refused(bench: Bench) -> None:
    with pytest.raises(InvalidInput, match="amount"):
        await bench.start({**CONFIG, "amount": "-1"})
    with pytest.raises(InvalidInput, match="Account nobody not found"):
        await bench.start(input={"account": "nobody"})
    await bench.start()
    with pytest.raises(Conflict, match="another executor"):
        await bench.start({**CONFIG, "amount": "0.2"})
    assert len(await bench.executors()) == 1


async def test_one_that_runs_is_waited_for(bench: Bench) -> None:
    executor_id = await bench.start()
    done = await bench.wait({"executor_id": executor_id})
    assert (done.output, done.wait) == (None, Wait(kind=WaitKind.EXECUTOR, key=executor_id))
    done = await bench.wait({"executor_id": executor_id, "timeout_s": "90"})
    assert done.wait.until_us == AT_US + 90_000_000


async def test_one_that_is_over_is_not_waited_for(bench: Bench) -> None:
    executor_id = await bench.start()
    await bench.price("61300")
    over = await bench.executor(executor_id)
    done = await bench.wait({"executor_id": executor_id})
    assert done.wait is None
    pnl = done.output.pop("net_pnl_quote")
    assert Decimal(pnl) > 100
    assert done.output["executor_id"] == executor_id
    assert done.output["close_type"] == "TAKE_PROFIT"
    assert (done.output["status"], done.output["failed"]) == ("succeeded", False)
    woken = ending_of(over, "step", AT_US)
    assert (woken.error, woken.payload) == ("", {**done.output, "net_pnl_quote": pnl})


async def test_one_that_failed_wakes_with_how_it_ended(bench: Bench) -> None:
    executor_id = await bench.start({**CONFIG, "amount": "1000000"})
    over = await bench.executor(executor_id)
    assert over.status is Status.FAILED
    woken = ending_of(over, "step", AT_US)
    assert woken.error == ""
    assert woken.payload["failed"] is True
    assert woken.payload["close_type"] == "INSUFFICIENT_BALANCE"
    assert (await bench.wait({"executor_id": executor_id})).output == woken.payload


@pytest.mark.parametrize(
    ("input", "word"),
    [
        ({}, "executor_id"),
        ({"executor_id": ["a"]}, "executor_id"),
        ({"executor_id": "a", "timeout_s": -1}, "timeout_s"),
    ],
)
async def test_waiting_for_nothing_is_refused(bench: Bench, input: Any, word: str) -> None:
    with pytest.raises(NodeFailed, match=word) as failure:
        await bench.wait(input)
    assert failure.value.is_final


async def test_other_organizations_executors_are_unknown(bench: Bench) -> None:
    executor_id = await bench.start()
    with pytest.raises(NotFound):
        await bench.wait({"executor_id": "nobody"})
    other = await bench.core.access.create_organization("Others")
    node = AwaitExecutor(bench.core.reading, Principals(bench.core.access))
    with pytest.raises(NotFound):
        await node(performance(NodeType.EXECUTOR_AWAIT, {"executor_id": executor_id}, organization=other.id))
    with pytest.raises(NodeFailed, match="organization"):
        await node(performance(NodeType.EXECUTOR_AWAIT, {"executor_id": executor_id}, organization=999))

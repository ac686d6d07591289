"""The node `order.submit`, over the real trading stack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gesta.desk.trading.views import OrderUpdate, Update
from gesta.kernel.errors import Conflict, GestaError
from gesta.trading.orders import OrderState
from gesta.workflows.graph.definition import NodeType
from gesta.workflows.nodes.face import NodeFailed, Performance
from gesta.workflows.nodes.orders import SubmitOrder
from gesta.workflows.nodes.principals import Principals
from tests.integration.trading_house import ACCOUNT, ES, House
from tests.unit.workflows.nodes.bench import performance

BUY = {"account": ACCOUNT, "instrument": ES, "side": "buy", "quantity": 2}


class Bench(House):
    def of_run(self, input: Any, **changes: Any) -> Performance:
        named = {"organization": self.principal.organization.id, "account": self.account.id}
        return performance(NodeType.ORDER_SUBMIT, input, **named, **changes)

    async def submit(self, input: Any, **changes: Any) -> Any:
        access = self.core.access
        # Nothing but what the desk tells wakes it.
        node = SubmitOrder(self.desk, access, Principals(access), look_s=3600)
        return (await node(self.of_run(input, **changes))).output

    async def begin(self, input: Any) -> tuple[asyncio.Task[Any], str]:
        """A node that waits for its order, which works at the venue."""
        works: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def hear(updates: Sequence[Update]) -> None:
            for each in updates:
                if isinstance(each, OrderUpdate) and each.order.order.state is OrderState.WORKING and not works.done():
                    works.set_result(each.order.order.id)

        end = self.desk.subscribe(self.principal.organization.id, hear)
        waiting = asyncio.create_task(self.submit(input))
        order_id = await asyncio.wait_for(works, 10)
        end()
        await self.settle()
        return waiting, order_id


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(f"sqlite:///{tmp_path / 'gesta.sqlite3'}")
    await made.open()
    made.quote(ES, 23_200, 23_201)
    await made.settle()
    yield made
    await made.close()


async def test_performed_twice_it_is_one_order(bench: Bench) -> None:
    limit = {**BUY, "order_type": "limit", "limit_price": "5790.25", "time_in_force": "gtc"}
    first = await bench.submit(limit)
    assert first["state"] in ("accepted", "working")
    assert (first["account"], first["instrument"], first["side"]) == (ACCOUNT, ES, "buy")
    assert (first["quantity"], first["limit_price"], first["stop_price"]) == (2, Decimal("5790.25"), None)
    assert (first["filled_quantity"], first["average_price"]) == (0, None)
    assert (await bench.submit(limit, attempt=2))["order_id"] == first["order_id"]
    assert (await bench.submit(limit, key="run1/other"))["order_id"] != first["order_id"]
    orders = await bench.orders()
    assert len(orders) == 2
    assert orders[0].order.parent_id == "run1"


async def test_after_a_kill_it_is_the_same_order(bench: Bench) -> None:
    limit = {**BUY, "order_type": "limit", "limit_price": 5790}
    first = await bench.submit(limit)
    await bench.crash()
    await bench.open()
    assert (await bench.submit(limit))["order_id"] == first["order_id"]
    assert len(await bench.orders()) == 1


async def test_it_waits_until_the_order_is_over(bench: Bench) -> None:
    limit = {**BUY, "order_type": "limit", "limit_price": Decimal("5790.25"), "waits_for": "filled"}
    waiting, _ = await bench.begin(limit)
    await bench.settle()
    assert not waiting.done()
    bench.quote(ES, 23_159, 23_160)
    await bench.settle()
    filled = await asyncio.wait_for(waiting, 10)
    assert (filled["state"], filled["filled_quantity"]) == ("filled", 2)
    assert filled["average_price"] <= Decimal("5790.25")
    # Told again after the end, it says the same.
    assert await bench.submit(limit, attempt=2) == filled


async def test_a_market_order_is_filled_at_once(bench: Bench) -> None:
    filled = await asyncio.wait_for(bench.submit({**BUY, "waits_for": "filled"}), 10)
    assert (filled["state"], filled["filled_quantity"]) == ("filled", 2)
    assert filled["average_price"] == Decimal("5800.25")


async def test_an_order_that_ends_otherwise_is_over_too(bench: Bench) -> None:
    limit = {**BUY, "order_type": "limit", "limit_price": "5790.25", "waits_for": "filled"}
    waiting, order_id = await bench.begin(limit)
    await bench.desk.cancel(bench.principal, bench.account, order_id)
    ended = await asyncio.wait_for(waiting, 10)
    assert (ended["state"], ended["filled_quantity"]) == ("cancelled", 0)


async def test_a_stopped_wait_leaves_no_listener(bench: Bench) -> None:
    limit = {**BUY, "order_type": "limit", "limit_price": "5790.25", "waits_for": "filled"}
    waiting, _ = await bench.begin(limit)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not bench.trading.engine._listeners.get(bench.principal.organization.id)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"side": "hold"}, "side"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": "-1"}, "quantity"),
        ({"quantity": "NaN"}, "quantity"),
        ({"quantity": None}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"order_type": "iceberg"}, "order_type"),
        ({"time_in_force": "soon"}, "time_in_force"),
        ({"limit_price": "Infinity"}, "limit_price"),
        ({"instrument": ""}, "instrument"),
        ({"instrument": {"a": 1}}, "instrument"),
        ({"account": "nobody"}, "nobody"),
        ({"account": "a\0b"}, "account"),
        ({"waits_for": "ever"}, "waits_for"),
    ],
)
async def test_terms_that_are_none(bench: Bench, changes: Any, word: str) -> None:
    with pytest.raises(NodeFailed, match=word) as failure:
        await bench.submit({**BUY, **changes})
    assert failure.value.is_final
    assert await bench.orders() == []


@pytest.mark.parametrize(
    "changes",
    [{"instrument": "NOTHING 12-26"}, {"quantity": "1.5"}, {"order_type": "limit"}, {"limit_price": "5800.25"}],
)
async def test_what_the_desk_refuses_is_the_callers_fault(bench: Bench, changes: Any) -> None:
    with pytest.raises(GestaError) as failure:
        await bench.submit({**BUY, **changes})
    assert 400 <= failure.value.status < 500
    assert await bench.orders() == []


async def test_other_terms_under_the_same_visit_are_a_conflict(bench: Bench) -> None:
    await bench.submit({**BUY, "order_type": "limit", "limit_price": "5790.25"})
    with pytest.raises(Conflict):
        await bench.submit({**BUY, "order_type": "limit", "limit_price": "5790.50"})


async def test_a_rejected_order_fails_the_node(bench: Bench) -> None:
    with pytest.raises(NodeFailed, match="The order was rejected: ") as failure:
        await asyncio.wait_for(bench.submit({**BUY, "quantity": 900_000, "waits_for": "filled"}), 10)
    assert failure.value.is_final
    assert failure.value.output["state"] == "rejected"
    assert failure.value.output["reason"] in failure.value.message

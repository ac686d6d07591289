"""A venue that refuses a cancel is asked again, on each kind of database and after a restart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gesta.executors.runner import order_id_of
from gesta.ledger.records import Event, Status
from gesta.trading.orders import OrderState
from gesta.trading.venue import Ack, CancelRefused
from tests.conformance.test_executors import Bench, bench, start

__all__ = ["bench", "start"]


class Refusing:
    """The venue's cancel, until it is told to obey."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bench, self.asked, self.obeys = bench, list[str](), False
        self._venue: Any = bench.engine._venue
        self._cancel = self._venue.cancel
        monkeypatch.setattr(self._venue, "cancel", self.cancel)

    async def cancel(self, order_id: str) -> Ack:
        self.asked.append(order_id)
        if self.obeys:
            return await self._cancel(order_id)  # type: ignore[no-any-return]
        now_us = self.bench.clock.now_us()
        self.bench.engine._on_events(
            [CancelRefused(order_id=order_id, at_us=now_us, venue_time_us=now_us, reason="A fill is on its way.")]
        )
        return Ack.REJECTED


async def after(bench: Bench, seconds: int) -> None:
    bench.clock.advance_us(seconds * 1_000_000)
    bench.runner.tick()
    await bench.engine.idle()


async def events(bench: Bench, executor_id: str) -> list[Event]:
    return (await bench.ledger.events(bench.principal.organization.id, executor_id, after_seq=0, limit=1000)).events


def resting(type: str) -> dict[str, Any]:
    """A config of each type whose orders rest below the market."""
    limit = {"stop_loss": "0.02", "open_order_type": "LIMIT"}
    return {
        "position_executor": {"entry_price": "50000", "triple_barrier_config": limit},
        "order_executor": {"execution_strategy": "LIMIT", "price": "50000"},
        "dca_executor": {"amounts_quote": ["50000"], "prices": ["50000"], "stop_loss": "0.02", "mode": "MAKER"},
        "grid_executor": {
            "start_price": "50000",
            "end_price": "61000",
            "limit_price": "40000",
            "total_amount_quote": "50000",
            "max_open_orders": 1,
            "triple_barrier_config": {"take_profit": "0.01", "open_order_type": "LIMIT"},
        },
    }[type]


@pytest.mark.parametrize("type", ["position_executor", "order_executor", "dca_executor", "grid_executor"])
async def test_a_refused_cancel_is_asked_again_later_each_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, type: str
) -> None:
    await bench.quote("60000")
    made = await bench.create(type=type, **resting(type))
    (order,) = bench.engine.state.orders.values()
    assert order.parent_id == made.id
    venue = Refusing(bench, monkeypatch)
    await bench.executors.stop(bench.principal, made.id)
    await bench.engine.idle()
    assert venue.asked == [order.id]
    assert bench.engine.state.orders[order.id].state is OrderState.WORKING
    for seconds in (1, 2, 4):
        asked = len(venue.asked)
        await after(bench, seconds)
        assert venue.asked[asked:] == [order.id]
    said = [event for event in await events(bench, made.id) if event.type == "executor.cancel_refused"]
    assert said
    assert len(said) == len(venue.asked)
    assert {event.level for event in said} == {"warning"}
    venue.obeys = True
    await after(bench, 60)
    over = await bench.get(made.id)
    assert over.status is Status.CANCELLED
    assert bench.runner.active(bench.principal.organization.id) == []
    await bench.check()


async def test_a_fill_ends_what_could_not_be_cancelled(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.quote("60000")
    made = await bench.create(**resting("position_executor"))
    venue = Refusing(bench, monkeypatch)
    await bench.executors.stop(bench.principal, made.id)
    await bench.quote("49000")
    over = await bench.get(made.id)
    assert over.status is Status.CANCELLED, "what was bought after all is sold again"
    assert len(await bench.fills()) == 2
    asked = len(venue.asked)
    await after(bench, 120)
    assert len(venue.asked) == asked
    await bench.check()


async def test_it_is_asked_again_after_a_restart(
    start: Callable[[], Awaitable[Bench]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await start()
    await first.quote("60000")
    made = await first.create(**resting("position_executor"))
    Refusing(first, monkeypatch)
    await first.executors.stop(first.principal, made.id)
    await first.engine.idle()
    again = await start()
    assert order_id_of(again.principal.organization.id, made.id, 1) in again.engine.state.orders
    await again.quote("60000")
    assert (await again.get(made.id)).status is Status.CANCELLED
    await again.check()

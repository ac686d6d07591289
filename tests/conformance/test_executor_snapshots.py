"""The recorded PnL of running executors follows the market, at a bounded rate, on each kind of database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from gesta.executors import snapshots
from gesta.executors.vocabulary import MARKED
from gesta.ledger.records import Event, Status
from tests.conformance.test_executors import Bench, bench, start

__all__ = ["bench", "start"]

INTERVAL_US = 31_000_000
WIDE = {"triple_barrier_config": {"stop_loss": "0.2", "take_profit": "0.2", "open_order_type": "MARKET"}}


async def events(bench: Bench, executor_id: str) -> list[Event]:
    await bench.engine.idle()
    return (await bench.ledger.events(bench.principal.organization.id, executor_id, after_seq=0, limit=1000)).events


async def marks(bench: Bench, executor_id: str) -> int:
    return sum(event.type == MARKED for event in await events(bench, executor_id))


async def test_the_row_of_a_position_follows_its_market(bench: Bench) -> None:
    await bench.quote("60000")
    made = await bench.create(**WIDE)
    assert round((await bench.detail(made.id)).net_pnl_quote, 20) == Decimal("-0.01")
    await bench.quote("60500")
    assert bench.runner.snapshots.take() == 0, "its interval is not over"
    bench.clock.advance_us(INTERVAL_US)
    head = await bench.ledger.head(bench.principal.organization.id)
    assert bench.runner.snapshots.take() == 1
    detail = await bench.detail(made.id)
    assert round(detail.net_pnl_quote, 20) == Decimal("499.99")
    assert round(detail.net_pnl_pct, 20) == round(Decimal("499.99") / Decimal("60000.01"), 20)
    assert (await bench.get(made.id)).status is Status.RUNNING
    (told,) = await bench.ledger.feed(bench.principal.organization.id, after_seq=head, limit=10)
    assert (told.event.type, told.event.level, told.execution.id) == (MARKED, "debug", made.id)
    assert told.execution.detail == detail
    assert bench.runner.snapshots.take() == 0
    await bench.check()


async def test_what_nobody_would_see_is_not_written(bench: Bench) -> None:
    await bench.quote("60000")
    made = await bench.create(**WIDE)
    for _ in range(3):
        bench.clock.advance_us(INTERVAL_US)
        assert bench.runner.snapshots.take() == 1
    assert await marks(bench, made.id) == 0
    assert bench.runner.snapshots.count == 1, "it has exposure, so it stays in turn"


async def test_without_exposure_nothing_is_looked_at(bench: Bench) -> None:
    await bench.quote("60000")
    made = await bench.create(entry_price="50000", triple_barrier_config={"stop_loss": "0.02"})
    assert bench.runner.snapshots.count == 0
    await bench.quote("60500")
    bench.clock.advance_us(INTERVAL_US)
    assert bench.runner.snapshots.take() == 0
    assert await marks(bench, made.id) == 0


async def test_what_is_over_is_left_as_it_ended(bench: Bench) -> None:
    await bench.quote("60000")
    made = await bench.create()
    await bench.quote("61300")
    over = await bench.get(made.id)
    assert over.status is Status.SUCCEEDED
    await bench.quote("50000")
    bench.clock.advance_us(INTERVAL_US)
    assert bench.runner.snapshots.take() == 0
    assert bench.runner.snapshots.count == 0
    assert await bench.get(made.id) == over


async def test_many_take_turns(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MOST_AT_ONCE", 2)
    await bench.quote("60000")
    made = [await bench.create(**WIDE) for _ in range(5)]
    await bench.quote("60500")
    bench.clock.advance_us(INTERVAL_US)
    assert [bench.runner.snapshots.take() for _ in range(4)] == [2, 2, 1, 0]
    assert [await marks(bench, each.id) for each in made] == [1] * 5
    await bench.check()


async def test_the_newest_detail_of_one_batch_wins(bench: Bench) -> None:
    await bench.quote("60000")
    made = await bench.create(**WIDE)
    bench.clock.advance_us(INTERVAL_US)
    live = bench.runner.find(bench.principal.organization.id, made.id)
    assert live is not None
    await bench.quote("60500")
    # A mark and the end of the executor, before either is on disk.
    assert bench.runner.snapshots.take() == 1
    await bench.executors.stop(bench.principal, made.id)
    over = await bench.get(made.id)
    assert over.status is not Status.RUNNING
    detail = await bench.detail(made.id)
    assert (detail.close_type, detail.is_trading) == ("EARLY_STOP", False)
    types = [event.type for event in await events(bench, made.id)]
    assert types.count(MARKED) == 1
    assert types.index(MARKED) < types.index("executor.terminated")
    await bench.check()


async def test_after_a_restart_they_are_marked_again(start: Callable[[], Awaitable[Bench]]) -> None:
    first = await start()
    await first.quote("60000")
    made = await first.create(**WIDE)
    again = await start()
    await again.quote("60500")
    again.clock.advance_us(INTERVAL_US)
    assert again.runner.snapshots.take() == 1
    assert round((await again.detail(made.id)).net_pnl_quote, 20) == Decimal("499.99")
    await again.check()


async def test_a_market_that_is_gone_marks_nothing(bench: Bench) -> None:
    await bench.quote("60000")
    made = await bench.create(**WIDE)
    await bench.quote("60500", size=0)
    bench.clock.advance_us(INTERVAL_US)
    assert bench.runner.snapshots.take() == 1
    assert await marks(bench, made.id) == 0
    await bench.quote("60500")
    bench.clock.advance_us(INTERVAL_US)
    assert bench.runner.snapshots.take() == 1
    assert await marks(bench, made.id) == 1


async def test_a_journal_out_of_reach_is_given_nothing_more(bench: Bench) -> None:
    await bench.quote("60000")
    made = await bench.create(**WIDE)
    await bench.quote("60500")
    bench.clock.advance_us(INTERVAL_US)
    bench.engine.pipeline.stalled = True
    assert bench.runner.snapshots.take() == 0
    bench.engine.pipeline.stalled = False
    assert bench.runner.snapshots.take() == 1
    assert await marks(bench, made.id) == 1

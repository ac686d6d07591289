"""Executor groups against the plain way, whatever happens and in whatever order."""

from __future__ import annotations

import asyncio
import tempfile
from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.kernel.errors import Conflict
from gesta.ledger.query import ExecutorFilter
from gesta.ledger.records import ExecutorDetail, NewEvent, Status, Transition
from gesta.ledger.store import MIGRATIONS, StoredLedger
from gesta.ledger.verify import verify
from gesta.storage.migrate import migrate
from gesta.storage.sqlite import SqliteDatabase
from gesta.testing.fakes import ManualClock
from gesta.testing.memory_ledger import MemoryLedger
from gesta.testing.rows import executor

amounts = st.decimals(min_value=-(10**30), max_value=10**30, places=20)
details = st.builds(
    ExecutorDetail,
    executor_type=st.sampled_from([None, "grid_executor", "dca_executor"]),
    connector=st.sampled_from([None, "binance"]),
    trading_pair=st.sampled_from(["BTC-USDT", "ETH-USDT"]),
    net_pnl_quote=amounts,
    net_pnl_pct=amounts,
    fees_quote=st.sampled_from([Decimal(0), Decimal("0.1")]),
    filled_quote=amounts,
    close_type=st.sampled_from([None, "STOP_LOSS", "POSITION_HOLD"]),
)
statuses = st.sampled_from([status for status in Status if status not in (Status.PAID, Status.AWAITING_PAYMENT)])
births = st.tuples(st.just("birth"), st.integers(0, 12), statuses, details, st.integers(0, 20))
changes = st.tuples(
    st.just("change"), st.integers(0, 12), st.one_of(st.none(), statuses), st.one_of(st.none(), details), st.just(0)
)
restarts = st.tuples(st.just("restart"), st.just(0), st.none(), st.none(), st.just(0))
words = st.builds(
    ExecutorFilter,
    organization=st.just(1),
    accounts=st.frozensets(st.sampled_from([1, 2]), max_size=1),
    statuses=st.frozensets(statuses, max_size=3),
    executor_types=st.frozensets(st.sampled_from(["grid_executor", "dca_executor"]), max_size=2),
    controllers=st.frozensets(st.sampled_from(["main", "x"]), max_size=1),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    steps=st.lists(st.one_of(births, births, changes, changes, restarts), max_size=40),
    queries=st.lists(words, max_size=4),
    limit=st.integers(1, 6),
)
def test_the_groups_equal_the_fold(
    steps: list[tuple[str, int, Status | None, ExecutorDetail | None, int]], queries: list[ExecutorFilter], limit: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_compare(Path(folder) / "ledger.sqlite3", steps, queries, limit))


async def _compare(
    path: Path,
    steps: list[tuple[str, int, Status | None, ExecutorDetail | None, int]],
    queries: list[ExecutorFilter],
    limit: int,
) -> None:
    clock = ManualClock()
    model = MemoryLedger(clock)
    database = SqliteDatabase(path)
    await database.start()
    try:
        await migrate(database, [MIGRATIONS])
        store = StoredLedger(database, clock)
        for what, number, status, detail, second in steps:
            if what == "restart":
                await database.stop()
                database = SqliteDatabase(path)
                await database.start()
                store = StoredLedger(database, clock)
            elif what == "birth":
                assert status is not None
                row = executor(
                    number,
                    status,
                    detail=detail,
                    account=1 + number % 2,
                    correlation={"controller_id": "main" if number % 3 else "x"},
                    created_at_us=1_700_000_000_000_000 + second,
                )
                made = await model.append(1, [row])
                assert [each.outcome for each in await store.append(1, [row])] == [each.outcome for each in made]
            elif await model.get(1, f"executor{number}") is not None:
                change = Transition(event=NewEvent(type="changed"), status=status, detail=detail)
                try:
                    await model.transition(1, f"executor{number}", change)
                except Conflict:
                    continue
                await store.transition(1, f"executor{number}", change)
        for query in (ExecutorFilter(organization=1), *queries):
            assert await store.executor_sums(query) == await model.executor_sums(query)
            page = await store.executors(query, after=None, limit=limit)
            assert page == await model.executors(query, after=None, limit=limit)
        assert (await verify(database)).faults == []
    finally:
        await database.stop()

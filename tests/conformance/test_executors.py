"""Executors on each kind of database: what they decide is on disk with its orders, and a restart goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from gesta.access.model import AccountType, Principal, Scope
from gesta.access.service import AccessService
from gesta.access.settings import AccessSettings
from gesta.app.build import MIGRATIONS
from gesta.desk.market.desk import MarketDesk
from gesta.desk.reading import Reading
from gesta.desk.trading.engine import Engine
from gesta.desk.trading.verify import verify
from gesta.executors.control import CreateExecutor, Executors
from gesta.executors.runner import Runner, order_id_of
from gesta.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from gesta.ledger.query import Filter
from gesta.ledger.records import Execution, ExecutorDetail, Kind, Status
from gesta.ledger.store import StoredLedger
from gesta.ledger.verify import verify as recount
from gesta.storage.migrate import migrate
from gesta.storage.program import Database
from gesta.testing.fakes import ManualClock, SeededIds
from gesta.trading.catalog import Catalog
from gesta.trading.fees import ZERO_FEES
from gesta.trading.market import Quote
from gesta.venues.paper.settings import PaperSettings
from gesta.venues.paper.venue import PaperVenue

PAIR = "BTC-USDT"


class Bench:
    """One process's executors, over a database that outlives it."""

    def __init__(self, database: Database, clock: ManualClock, seed: int) -> None:
        self.database, self.clock = database, clock
        ids = SeededIds(seed)
        self.ledger = StoredLedger(database, clock)
        self.access = AccessService(database, clock, ids, AccessSettings())
        self.market = MarketDesk(Catalog(), clock)
        venue = PaperVenue(
            instrument_of=self.market.instrument,
            settings=PaperSettings(),
            commission=lambda order, instrument, lots, ticks, is_maker: ZERO_FEES.commission(
                instrument, lots, ticks, is_maker
            ),
            session_end_us=lambda instrument, at_us: at_us + 10**15,
            now_us=clock.now_us,
        )
        self.engine = Engine(
            database=database,
            ledger=self.ledger,
            access=self.access,
            venue=venue,
            market=self.market,
            clock=clock,
            session=lambda: 1,
            starting_cash=Decimal(1_000_000),
        )
        reading = Reading(self.ledger)
        self.runner = Runner(engine=self.engine, market=self.market, database=database, access=self.access)
        self.executors = Executors(
            runner=self.runner,
            engine=self.engine,
            market=self.market,
            database=database,
            reading=reading,
            access=self.access,
            ids=ids,
        )

    async def open(self) -> None:
        named = [each for each in await self.access.organizations() if each.name == "Desk"]
        organization = named[0] if named else await self.access.create_organization("Desk")
        self.account = await self.access.ensure_account(organization.id, "master_account", AccountType.TRADING)
        self.principal = Principal(
            organization=organization,
            identity_id=1,
            identity_name="trader",
            credential_id=1,
            scopes=frozenset({Scope.TRADE}),
        )
        await self.engine.start()
        await self.runner.start()

    async def quote(self, price: str, size: int = 10**9, *, pair: str = PAIR) -> None:
        """The market is at a price, one tick wide, and everything that follows is on disk."""
        bid = int(Decimal(price) / self.market.resolve(pair).tick_size)
        self.clock.advance_us(1_000_000)
        now_us = self.clock.now_us()
        self.market.on_market(Quote(pair, bid, bid + 1, size, size, now_us, now_us))
        self.runner.tick()
        await self.engine.idle()

    async def create(self, key: str | None = None, **config: Any) -> Execution:
        asked = {
            "type": "position_executor",
            "connector_name": "binance",
            "trading_pair": PAIR,
            "side": "BUY",
            "amount": "1",
            "triple_barrier_config": {"stop_loss": "0.02", "take_profit": "0.02", "open_order_type": "MARKET"},
            **config,
        }
        made = await self.executors.create(self.principal, CreateExecutor(config=asked, key=key))
        await self.engine.idle()
        return made

    async def get(self, executor_id: str) -> Execution:
        await self.engine.idle()
        found = await self.ledger.get(self.principal.organization.id, executor_id)
        assert found is not None
        return found

    async def detail(self, executor_id: str) -> ExecutorDetail:
        detail = (await self.get(executor_id)).detail
        assert isinstance(detail, ExecutorDetail)
        return detail

    async def fills(self) -> list[Execution]:
        await self.engine.idle()
        query = Filter(organization=self.principal.organization.id, kinds=frozenset({Kind.FILL}))
        return (await self.ledger.page(query, offset=0, limit=1000, newest_first=False)).rows

    async def check(self) -> None:
        await self.engine.idle()
        assert (await verify(self.database, self.market.instrument)).faults == []
        assert (await recount(self.database)).faults == []


@pytest.fixture
async def start(database: Database) -> AsyncIterator[Callable[[], Awaitable[Bench]]]:
    """Start a process; the next start is the next process, the last one having been killed."""
    await migrate(database, MIGRATIONS)
    clock, opened = ManualClock(), list[Bench]()

    async def start() -> Bench:
        bench = Bench(database, clock, len(opened))
        opened.append(bench)
        await bench.open()
        return bench

    yield start
    for bench in opened:
        await bench.runner.stop()
        await bench.engine.stop()


@pytest.fixture
async def bench(start: Callable[[], Awaitable[Bench]]) -> Bench:
    return await start()


async def test_a_position_is_opened_watched_and_closed(bench: Bench) -> None:
    await bench.quote("60000")
    made = await bench.create()
    assert (made.status, made.kind) == (Status.RUNNING, Kind.EXECUTOR)
    (opened,) = await bench.fills()
    assert opened.parent_id == made.id
    assert (await bench.detail(made.id)).is_trading
    await bench.quote("60600")
    assert (await bench.get(made.id)).status is Status.RUNNING
    await bench.quote("61300")
    over, detail = await bench.get(made.id), await bench.detail(made.id)
    assert (over.status, detail.close_type) == (Status.SUCCEEDED, "TAKE_PROFIT")
    _, closed = await bench.fills()
    assert closed.detail.price == Decimal("61300")  # type: ignore[union-attr]
    assert detail.net_pnl_quote == Decimal("61300") - Decimal("60000.01")
    assert bench.runner.active(bench.principal.organization.id) == []
    assert bench.runner.count_of(bench.principal.organization.id) == 0
    await bench.check()


async def test_a_kill_between_does_not_lose_it(start: Callable[[], Awaitable[Bench]]) -> None:
    first = await start()
    await first.quote("60000")
    made = await first.create()
    second = await start()
    assert [live.stored.id for live in second.runner.active(second.principal.organization.id)] == [made.id]
    assert second.runner.count_of(second.principal.organization.id) == 1
    await second.quote("58700")
    detail = await second.detail(made.id)
    assert detail.close_type == "STOP_LOSS"
    assert len(await second.fills()) == 2
    await second.check()
    third = await start()
    assert third.runner.active(third.principal.organization.id) == []


async def test_a_limit_entry_that_filled_is_known_after_a_kill(start: Callable[[], Awaitable[Bench]]) -> None:
    first = await start()
    await first.quote("60000")
    made = await first.create(
        entry_price="59000", triple_barrier_config={"open_order_type": 2, "stop_loss": "0.02", "take_profit": "0.02"}
    )
    assert await first.fills() == []
    second = await start()
    await second.quote("58990")
    (fill,) = await second.fills()
    assert fill.correlation["order_id"] == order_id_of(made.organization, made.id, 1)
    await second.quote("60300")
    assert (await second.detail(made.id)).close_type == "TAKE_PROFIT"
    await second.check()


async def test_a_stop_closes_and_a_kept_position_stays(bench: Bench) -> None:
    await bench.quote("60000")
    closed, kept = await bench.create(), await bench.create()
    await bench.executors.stop(bench.principal, closed.id)
    await bench.executors.stop(bench.principal, kept.id, keep_position=True)
    assert (await bench.detail(closed.id)).close_type == "EARLY_STOP"
    assert (await bench.get(closed.id)).status is Status.CANCELLED
    assert (await bench.detail(kept.id)).close_type == "POSITION_HOLD"
    assert len(await bench.fills()) == 3
    with pytest.raises(Conflict, match="over already"):
        await bench.executors.stop(bench.principal, closed.id)
    with pytest.raises(NotFound):
        await bench.executors.stop(bench.principal, "nobody")
    await bench.check()


async def test_a_repeated_creation_opens_one_position(bench: Bench) -> None:
    await bench.quote("60000")
    first, second = await bench.create(key="once"), await bench.create(key="once")
    assert first.id == second.id
    assert len(await bench.fills()) == 1
    with pytest.raises(Conflict, match="another executor"):
        await bench.create(key="once", amount="2")
    mine = await bench.create(id="mine")
    assert mine.id == "mine"
    with pytest.raises(Conflict, match="exists"):
        await bench.create(id="mine")


async def test_creations_at_the_same_moment_with_one_key_or_one_id_make_one_executor(bench: Bench) -> None:
    await bench.quote("60000")
    made = await asyncio.gather(*(bench.create(key="once") for _ in range(5)))
    assert len({each.id for each in made}) == 1
    assert len(await bench.fills()) == 1
    # This one is over as soon as it begins, so that nothing active has the id any more.
    said = await asyncio.gather(*(bench.create(id="mine", amount="1000") for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(each, Conflict) for each in said) == 4
    assert sum(isinstance(each, Execution) for each in said) == 1
    await bench.check()


async def test_what_the_venue_rejects_fails_by_its_rule_and_harms_no_other(bench: Bench) -> None:
    await bench.quote("60000")
    poor = await bench.create(amount="1000")
    assert (await bench.detail(poor.id)).close_type == "INSUFFICIENT_BALANCE"
    short = await bench.create(side="SELL")
    assert (await bench.detail(short.id)).close_type == "INSUFFICIENT_BALANCE"
    # Too much comes later: what was affordable when it began is not when its entry is placed.
    late = await bench.create(amount="9", entry_price="58000", activation_bounds=["0.001"], triple_barrier_config={})
    rich = await bench.create(amount="9", triple_barrier_config={"open_order_type": "MARKET"})
    good = await bench.create(amount="0.1")
    for _ in range(40):
        await bench.quote("58000.5")
    detail = await bench.detail(late.id)
    assert detail.close_type == "FAILED"
    assert detail.error_count
    assert "margin" in (detail.last_error or "")
    assert (await bench.get(late.id)).status is Status.FAILED
    assert (await bench.get(rich.id)).status is Status.RUNNING
    assert (await bench.get(good.id)).status is Status.SUCCEEDED
    assert (await bench.detail(good.id)).close_type == "STOP_LOSS"
    await bench.check()


@pytest.mark.parametrize(
    "config",
    [
        {"type": None},
        {"type": "moon_executor"},
        {"type": "lp_executor"},
        {"amount": "NaN"},
        {"amount": "-1"},
        {"side": "UP"},
        {"trading_pair": "NOPE-USDT"},
        {"trading_pair": "BTCUSDT"},
        {"id": ""},
        {"id": "a/b"},
    ],
)
async def test_a_configuration_that_cannot_be_leaves_nothing(bench: Bench, config: dict[str, Any]) -> None:
    await bench.quote("60000")
    with pytest.raises(InvalidInput):
        await bench.create(**config)
    await bench.engine.idle()
    assert await bench.ledger.head(bench.principal.organization.id) == 0


@pytest.mark.parametrize("word", ["search", "summary", "performance", "types", "positions"])
async def test_an_executor_is_not_called_like_a_route(bench: Bench, word: str) -> None:
    await bench.quote("60000")
    with pytest.raises(InvalidInput, match="a word of the API's own"):
        await bench.create(id=word)
    assert bench.runner.count == 0


async def test_an_id_that_two_organizations_chose_is_two_executors(start: Callable[[], Awaitable[Bench]]) -> None:
    import msgspec

    bench = await start()
    await bench.quote("60000")
    other = await bench.access.create_organization("Other")
    await bench.access.ensure_account(other.id, "master_account", AccountType.TRADING)
    here, there = bench.principal, msgspec.structs.replace(bench.principal, organization=other)
    await bench.create(id="mine")
    bench.principal = there
    await bench.create(id="mine")
    assert len(await bench.fills()) == 1
    again = await start()
    await again.quote("58700")
    for principal in (here, there):
        again.principal = principal
        assert (await again.detail("mine")).close_type == "STOP_LOSS"
        assert len(await again.fills()) == 2
        assert again.runner.active(principal.organization.id) == []
    await again.check()


async def test_who_may_not_trade_does_not(bench: Bench) -> None:
    import msgspec

    reader = msgspec.structs.replace(bench.principal, scopes=frozenset({Scope.READ}))
    with pytest.raises(Forbidden):
        await bench.executors.create(reader, CreateExecutor(config={"type": "position_executor"}))


@pytest.mark.parametrize("turns", range(4))
async def test_a_stop_is_not_lost_to_a_wake_up_of_the_same_moment(bench: Bench, turns: int) -> None:
    ticker = bench.runner._ticker
    assert ticker is not None
    for _ in range(3):
        await asyncio.sleep(0)
    bench.runner._wake.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    ticker.cancel()
    done, _ = await asyncio.wait({ticker}, timeout=10)
    assert done == {ticker}


async def test_a_defect_of_one_machine_harms_no_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.quote("60000")
    bad, good = await bench.create(), await bench.create()
    live = bench.runner.find(bench.principal.organization.id, bad.id)
    assert live is not None

    class Broken:
        def __getattr__(self, name: str) -> Any:
            if name == "step":
                raise RuntimeError("a defect")
            return getattr(machine, name)

    machine, live.machine = live.machine, Broken()
    await bench.quote("61300")
    assert (await bench.detail(good.id)).close_type == "TAKE_PROFIT"
    detail = await bench.detail(bad.id)
    assert (detail.close_type, detail.error_count) == (None, 1)
    assert "internal error" in (detail.last_error or "")
    assert bench.market.failure is None
    await bench.check()

"""Trading, put together: the instruments, the market desk with its feeds, the paper venue, the engine, the desk."""

from __future__ import annotations

import os
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path

import msgspec

from gesta.access.face import Access
from gesta.app.market_feeds import FeedPlan, feeds_of
from gesta.app.settings import TradingSettings
from gesta.desk.market.desk import MarketDesk
from gesta.desk.reading import Reading
from gesta.desk.trading.desk import TradingDesk
from gesta.desk.trading.engine import Engine
from gesta.executors.control import Executors
from gesta.executors.runner import Runner
from gesta.kernel.clock import Clock
from gesta.kernel.errors import InvalidInput
from gesta.kernel.ids import IdSource
from gesta.ledger.store import StoredLedger
from gesta.storage.program import Database
from gesta.trading.catalog import Catalog, load_instruments
from gesta.trading.fees import DEFAULT_FEES, ZERO_FEES, FeeSchedule, fee_schedule_of_table
from gesta.trading.instruments import Instrument
from gesta.trading.orders import Order
from gesta.trading.sessions import session_date, session_end_us
from gesta.venues.market_data.replay import Progress, turn
from gesta.venues.paper.settings import PaperSettings
from gesta.venues.paper.venue import PaperVenue

# The trading day that money is counted by: the futures' day, also for what trades around the clock.
DAY_CALENDAR = "always"


class TradingStack(msgspec.Struct, frozen=True, kw_only=True):
    desk: TradingDesk
    market: MarketDesk
    engine: Engine
    executors: Executors
    runner: Runner


def catalog_of(settings: TradingSettings) -> Catalog:
    """The built-in instruments and the operator's own. Raises InvalidInput for a file that is unreadable or wrong."""
    if not settings.instruments:
        return Catalog()
    return Catalog(load_instruments(_text("instruments", settings.instruments)))


async def _fees(settings: TradingSettings, access: Access) -> FeeSchedule:
    named = {"default": DEFAULT_FEES, "zero": ZERO_FEES}.get(settings.fees)
    if named is not None:
        return named
    try:
        table = tomllib.loads(_text("fees", settings.fees))
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"The fees file {settings.fees} is not valid TOML: {error}", where="settings") from None
    accounts: dict[str, int] = {}
    for organization in await access.organizations():
        accounts |= {account.name: account.id for account in await access.accounts(organization.id)}
    return fee_schedule_of_table(table, accounts)


def _text(what: str, name: str) -> str:
    try:
        return Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The {what} file {name} cannot be read: {error}", where="settings") from None


@asynccontextmanager
async def open_trading(
    settings: TradingSettings,
    *,
    database: Database,
    ledger: StoredLedger,
    access: Access,
    reading: Reading,
    clock: Clock,
    ids: IdSource,
    on_failure: Callable[[BaseException], None],
    progress: Callable[[Progress], None] | None = None,
) -> AsyncIterator[TradingStack]:
    """Recover what was going on, then start the market; at the end stop the market first."""
    catalog = catalog_of(settings)

    async def pause() -> None:
        """Between two batches of market data: let others run, and let the journal keep up."""
        await turn()
        await engine.settle()

    market = MarketDesk(catalog, clock, pause=pause)
    fees = await _fees(settings, access)

    def commission(order: Order, instrument: Instrument, lots: int, ticks: int, is_maker: bool) -> int:
        return fees.commission(instrument, lots, ticks, is_maker, venue=order.venue, account=order.account)

    venue = PaperVenue(
        instrument_of=market.instrument,
        settings=PaperSettings(
            slip_ticks=settings.slip_ticks,
            latency_us=settings.latency_ms * 1000,
            queue_ahead=settings.queue_ahead,
        ),
        commission=commission,
        session_end_us=lambda instrument, at_us: session_end_us(instrument.calendar, at_us),
        now_us=clock.now_us,
    )
    engine = Engine(
        database=database,
        ledger=ledger,
        access=access,
        venue=venue,
        market=market,
        clock=clock,
        session=lambda: session_date(DAY_CALENDAR, market.now_us()).toordinal(),
        starting_cash=Decimal(settings.starting_cash),
        on_failure=on_failure,
    )
    desk = TradingDesk(engine, database=database, reading=reading, access=access, market=market, ids=ids)
    runner = Runner(engine=engine, market=market, database=database, access=access, snapshot_s=settings.snapshot_s)
    executors = Executors(
        runner=runner, engine=engine, market=market, database=database, reading=reading, access=access, ids=ids
    )
    plan = FeedPlan(
        market=settings.market,
        replay=tuple(part for part in settings.replay.split(os.pathsep) if part),
        speed=None if settings.speed == "max" else float(settings.speed),
        seed=settings.seed,
        quotes_per_s=settings.quotes_per_s,
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.stop)
        await engine.start()
        stack.push_async_callback(runner.stop)
        await runner.start()
        stack.push_async_callback(market.stop)
        for feed in feeds_of(plan, catalog, clock, pause=pause, progress=progress):
            await market.start_feed(feed)
        yield TradingStack(desk=desk, market=market, engine=engine, executors=executors, runner=runner)

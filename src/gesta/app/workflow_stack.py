"""Workflows, put together: definitions, runs and what carries them out, triggers, payments."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import structlog

from gesta.access.face import Access
from gesta.app.settings import Settings, WorkflowSettings
from gesta.app.trading_stack import TradingStack
from gesta.desk.reading import Reading
from gesta.kernel.clock import Clock
from gesta.kernel.errors import Unavailable
from gesta.kernel.ids import IdSource
from gesta.ledger.store import StoredLedger
from gesta.storage.program import Database
from gesta.workflows.bulk.desk import JobDesk
from gesta.workflows.definitions.desk import DefinitionDesk
from gesta.workflows.definitions.rows import any_published
from gesta.workflows.engine.leases import Leases
from gesta.workflows.engine.on_demand import OnDemand
from gesta.workflows.engine.settings import EMBEDDED, EngineSettings, beside, worker_name
from gesta.workflows.face import Workflows
from gesta.workflows.hooks.delivering import Deliverer
from gesta.workflows.hooks.desk import WebhookDesk
from gesta.workflows.nodes.addresses import networks_of
from gesta.workflows.nodes.network import GuardedTransport
from gesta.workflows.nodes.registry import NodeSettings, open_performers
from gesta.workflows.payments.desk import PaymentDesk
from gesta.workflows.payments.face import PayDoor
from gesta.workflows.payments.providers import providers_of
from gesta.workflows.runs.carrier import Carrier
from gesta.workflows.runs.desk import RunDesk
from gesta.workflows.runs.retention import Retention
from gesta.workflows.runs.rows import DESK, Plans
from gesta.workflows.runs.service import RunService
from gesta.workflows.runtime import Engine
from gesta.workflows.triggers.desk import TriggerDesk
from gesta.workflows.triggers.settings import TriggerSettings
from gesta.workflows.triggers.ticker import Ticker

ENGINE = "gesta.workflows.engine.dbos_engine"

log = structlog.get_logger("gesta.workflows")


class WorkflowStack(msgspec.Struct, frozen=True, kw_only=True):
    """`door` is what dialects are given, `payments` also what payers and providers reach. `engine` says whether
    anything is carried out here yet."""

    door: Workflows
    payments: PaymentDesk
    service: RunService
    engine: OnDemand
    retention: Retention
    webhooks: WebhookDesk
    deliverer: Deliverer
    leases: Sequence[Leases]

    async def check(self) -> None:
        """Raise what has ended this process's signs of life: others take its runs over, so it must stop."""
        for lease in self.leases:
            if lease.supervisor.failed.is_set():
                raise RuntimeError("the signs of life have ended") from lease.supervisor.failure

    @property
    def pay_door(self) -> PayDoor:
        return self.payments


def engine_settings(settings: Settings, *, is_worker: bool = False) -> EngineSettings:
    """Where the engine keeps what it needs, and as whom this process works. A worker has no trading desk."""
    own, database = settings.workflows, settings.database
    worker = worker_name(own.worker) if own.worker else EMBEDDED
    url = database.url if database.is_postgres else beside(database.sqlite_path)
    if database.is_postgres and not own.worker:
        worker = worker_name(f"server-{settings.server.port}")
    return EngineSettings(
        url=url,
        worker=worker,
        carries=own.carries or is_worker,
        has_desk=not is_worker,
        concurrency=own.concurrency,
        synchronous="FULL" if own.survives_power_loss else "NORMAL",
    )


class _Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What every part is made of."""

    database: Database
    access: Access
    reading: Reading
    clock: Clock
    ids: IdSource
    plans: Plans
    service: RunService


@asynccontextmanager
async def open_workflows(
    settings: Settings,
    *,
    database: Database,
    ledger: StoredLedger,
    access: Access,
    reading: Reading,
    clock: Clock,
    ids: IdSource,
    trading: TradingStack | None,
    is_worker: bool = False,
) -> AsyncIterator[WorkflowStack]:
    """Go on with what was under way; at the end what runs is left to the next start. A worker hands back what only the
    server can perform, and leaves schedules to it."""
    own, options, plans = settings.workflows, engine_settings(settings, is_worker=is_worker), Plans()
    leases: list[Leases] = []
    async with AsyncExitStack() as stack:
        engine = _engine(options, database, clock, leases)
        service = RunService(
            database=database, ledger=ledger, clock=clock, plans=plans, engine=engine, owner=options.worker
        )
        parts = _Parts(
            database=database, access=access, reading=reading, clock=clock, ids=ids, plans=plans, service=service
        )
        payments = await _payments(parts, settings, stack)
        runs = RunDesk(
            database=database,
            reading=reading,
            access=access,
            clock=clock,
            ids=ids,
            plans=plans,
            service=service,
            payments=payments,
        )
        performers = await stack.enter_async_context(
            open_performers(
                _node_settings(own),
                access=access,
                reading=reading,
                executors=None if trading is None else trading.executors,
                trading=None if trading is None else trading.desk,
                runs=runs,
            )
        )
        service.carrier = Carrier(
            database=database,
            clock=clock,
            ids=ids,
            plans=plans,
            performers=performers,
            owner=options.worker,
            on_changed=service.changed,
            elsewhere=DESK if is_worker else (),
        )
        service.may_take_over = not options.is_sqlite and options.takes_any
        service.is_alone = options.is_sqlite
        definitions, triggers, ticker = _triggers(parts, runs, own.triggers)
        nodes = _node_settings(own)
        deliverer = await _deliverer(nodes, database, clock, ids, stack)
        service.on_told = deliverer.kick
        stack.push_async_callback(_end, service, leases)
        await service.start()
        if is_worker or (own.worker and own.carries):
            await engine.begin()
        loading = asyncio.create_task(_load_engine(database), name="loading of the workflow engine")
        stack.push_async_callback(_cancel, loading)
        stack.push_async_callback(ticker.stop)
        if not is_worker:
            await ticker.start()
        jobs = JobDesk(database=database, access=access, clock=clock, ids=ids, runs=runs, owner=options.worker)
        stack.push_async_callback(jobs.stop)
        await jobs.start()
        yield WorkflowStack(
            door=Workflows(definitions=definitions, runs=runs, triggers=triggers, payments=payments, jobs=jobs),
            payments=payments,
            service=service,
            engine=engine,
            retention=Retention(database=database, clock=clock, engine=engine, keeps_s=own.keeps_days * 86_400),
            webhooks=WebhookDesk(
                database=database,
                clock=clock,
                ids=ids,
                allow_networks=nodes.allow_networks,
                on_due=deliverer.kick,
            ),
            deliverer=deliverer,
            leases=leases,
        )


async def _load_engine(database: Database) -> None:
    """A server that has something to start has its engine at hand: the first run does not wait a second for it."""
    try:
        if await database.read(any_published, snapshot=False):
            await asyncio.to_thread(importlib.import_module, ENGINE)
    except Unavailable as error:
        log.info("workflows.engine_not_loaded_early", error=error.message)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _engine(options: EngineSettings, database: Database, clock: Clock, leases: list[Leases]) -> OnDemand:
    """It begins with the first run; `leases` gets what says then that this process lives."""

    async def begun(engine: Engine) -> None:
        # One process keeps a SQLite file to itself: nobody could take over.
        if not options.is_sqlite and options.takes_any:
            lease = Leases(database, engine, clock, options.worker)
            leases.append(lease)
            await lease.start()

    async def make() -> Engine:
        # Loading it takes a second, which nobody else here has to wait for, and most servers never need it.
        module = await asyncio.to_thread(importlib.import_module, ENGINE)
        made: Engine = module.DbosEngine(options)
        return made

    return OnDemand(make, on_start=begun)


def _triggers(parts: _Parts, runs: RunDesk, options: TriggerSettings) -> tuple[DefinitionDesk, TriggerDesk, Ticker]:
    triggers = TriggerDesk(
        database=parts.database,
        access=parts.access,
        clock=parts.clock,
        ids=parts.ids,
        runs=runs,
        service=parts.service,
        settings=options,
        on_schedules=lambda: ticker.kick(),
    )
    ticker = Ticker(database=parts.database, clock=parts.clock, starter=triggers.starter)
    definitions = DefinitionDesk(
        database=parts.database,
        clock=parts.clock,
        ids=parts.ids,
        key=parts.access.derived_key,
        settings=options,
        on_schedules=ticker.kick,
    )
    return definitions, triggers, ticker


async def _payments(parts: _Parts, settings: Settings, stack: AsyncExitStack) -> PaymentDesk:
    own = settings.workflows.payments
    own_url = f"http://{settings.server.host}:{settings.server.port}"
    providers = providers_of(own, key=parts.access.derived_key, own_url=own_url)
    stack.push_async_callback(providers.close)
    return PaymentDesk(
        database=parts.database,
        reading=parts.reading,
        clock=parts.clock,
        ids=parts.ids,
        plans=parts.plans,
        service=parts.service,
        providers=providers.by_name,
        provider=providers.default,
        expires_s=own.expires_s,
    )


async def _end(service: RunService, leases: list[Leases]) -> None:
    # Its sign of life outlives the engine: nobody takes over what is still being ended.
    await service.stop()
    for lease in leases:
        await lease.stop()


def _node_settings(own: WorkflowSettings) -> NodeSettings:
    networks = tuple(part.strip() for part in own.allow_networks.split(",") if part.strip())
    return NodeSettings(allow_networks=networks, steps_module=own.steps_module)


async def _deliverer(
    nodes: NodeSettings, database: Database, clock: Clock, ids: IdSource, stack: AsyncExitStack
) -> Deliverer:
    """Sends from now on, and until everything that may tell something has ended."""
    # Connections of its own: a receiver that hangs takes none from the nodes.
    transport = await stack.enter_async_context(GuardedTransport(allowed=networks_of(nodes.allow_networks)))
    deliverer = Deliverer(database=database, clock=clock, ids=ids, transport=transport)
    stack.push_async_callback(deliverer.stop)
    await deliverer.start()
    return deliverer

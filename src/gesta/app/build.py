"""The composition root: the one place that knows which parts there are and how they stand on each other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import msgspec
from fastapi import FastAPI
from starlette.applications import Starlette

from gesta.access.service import AccessService
from gesta.access.settings import AccessSettings
from gesta.apis.b3os import codec as b3os_codec
from gesta.apis.b3os import routes as b3os
from gesta.apis.common.errors import renderer_of
from gesta.apis.common.front import Front
from gesta.apis.common.services import Limits, Services
from gesta.apis.crosstrade import codec as crosstrade_codec
from gesta.apis.crosstrade import routes as crosstrade
from gesta.apis.hummingbot import codec as hummingbot_codec
from gesta.apis.hummingbot import routes as hummingbot
from gesta.apis.native import routes as native
from gesta.apis.refold import codec as refold_codec
from gesta.apis.refold import routes as refold
from gesta.app.dispatch import Dispatcher, Mount
from gesta.app.logs import request_log
from gesta.app.metrics import HttpMetrics
from gesta.app.operations import Document, Operations
from gesta.app.settings import Settings
from gesta.app.trading_stack import TradingStack, open_trading
from gesta.app.workflow_stack import WorkflowStack, open_workflows
from gesta.desk.reading import Reading
from gesta.desk.recording import Recording
from gesta.kernel.clock import Clock, SystemClock
from gesta.kernel.errors import Unavailable
from gesta.kernel.ids import IdSource, SystemIds
from gesta.kernel.service import Supervisor
from gesta.ledger.store import StoredLedger
from gesta.storage.migrate import Applied, migrate
from gesta.storage.postgres import PostgresDatabase
from gesta.storage.program import Fetch, Program, Statement
from gesta.storage.sqlite import SqliteDatabase
from gesta.web.pay import PREFIX as PAY_PREFIX
from gesta.web.pay import build_pay
from gesta.web.pay import render as render_pay

# In this order: a component may refer to the tables of those before it.
MIGRATIONS = (
    ("access", "gesta.access.migrations"),
    ("ledger", "gesta.ledger.migrations"),
    ("trading", "gesta.desk.trading.migrations"),
    ("executors", "gesta.executors.migrations"),
    ("workflows", "gesta.workflows.migrations"),
)

# The paths that each dialect publishes. The longest matching prefix wins, at a segment boundary.
PREFIXES = {
    "crosstrade": ("/v1/api", "/ws/stream"),
    "hummingbot": ("/executors", "/ws/executors", "/accounts", "/connectors", "/market-data"),
    "b3os": (
        *("/v1/executions", "/v1/execution-webhooks", "/v1/public", "/v1/runs", "/v1/workflows", "/v1/webhooks"),
        # Asked for by clients of B3OS; what of them is not served is refused in its own shape.
        *("/v1/activity", "/v1/api-keys", "/v1/service-accounts"),
    ),
    "refold": ("/api/v2/public", "/api/v1"),
    "native": ("/ledger",),
}

# Ingest of any length: lines are bounded one by one, and by the pause between two of them.
STREAMED_TYPES = {"native": b"application/x-ndjson"}

LAST_USED_S = 15.0
# A listener of market data that raised stops the service: what it missed is not known to anybody else.
LISTENERS_S = 1.0
RETENTION_S = 3600.0
CHECKOUTS_S = 5.0

_PING = Statement("operations.ping", "SELECT 1", "SELECT 1")


class Core(msgspec.Struct, frozen=True, kw_only=True):
    """The open record and its doors, without a server: what commands work with."""

    settings: Settings
    database: SqliteDatabase | PostgresDatabase
    ledger: StoredLedger
    access: AccessService
    reading: Reading
    recording: Recording
    clock: Clock
    ids: IdSource
    migrated: Sequence[Applied]


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that serves. `app` is the ASGI application; `supervisor` says when a side task has died."""

    core: Core
    services: Services
    app: Dispatcher
    dialects: dict[str, FastAPI]
    supervisor: Supervisor
    trading: TradingStack | None = None
    workflows: WorkflowStack | None = None


def database_of(settings: Settings) -> SqliteDatabase | PostgresDatabase:
    """The database that the settings name, not yet started."""
    if settings.database.is_postgres:
        return PostgresDatabase(settings.database.url)
    return SqliteDatabase(settings.database.sqlite_path)


@asynccontextmanager
async def open_core(
    settings: Settings, *, clock: Clock | None = None, ids: IdSource | None = None
) -> AsyncIterator[Core]:
    """Open the database, bring its schema up to date, and build what stands on it; close it all at the end.

    Raises Unavailable when the database does not answer, ServerError when its schema is of a newer version.
    """
    clock, ids = clock or SystemClock(), ids or SystemIds()
    database = database_of(settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.stop)
        await database.start()
        migrated = await migrate(database, MIGRATIONS)
        ledger = StoredLedger(database, clock)
        access = AccessService(database, clock, ids, _access_settings(settings))
        yield Core(
            settings=settings,
            database=database,
            ledger=ledger,
            access=access,
            reading=Reading(ledger),
            recording=Recording(ledger),
            clock=clock,
            ids=ids,
            migrated=migrated,
        )


def _access_settings(settings: Settings) -> AccessSettings:
    return AccessSettings(
        session_ttl_s=settings.sessions.ttl_s,
        refresh_ttl_s=settings.sessions.refresh_ttl_s,
        sessions_per_account=settings.sessions.per_account,
        buckets=settings.rates.buckets(),
    )


def services_of(core: Core, trading: TradingStack | None = None, workflows: WorkflowStack | None = None) -> Services:
    """What the dialects are given."""
    limits = core.settings.limits
    return Services(
        reading=core.reading,
        recording=core.recording,
        access=core.access,
        clock=core.clock,
        ids=core.ids,
        limits=Limits(
            body_bytes=limits.body_bytes,
            body_timeout_s=limits.body_timeout_s,
            websocket_frame_bytes=limits.websocket_frame_bytes,
            stream_heartbeat_s=limits.stream_heartbeat_s,
            sync_wait_s=core.settings.workflows.sync_timeout_s,
        ),
        vendor_codecs={
            "crosstrade": crosstrade_codec.decode,
            "hummingbot": hummingbot_codec.decode,
            "b3os": b3os_codec.decode,
            "refold": refold_codec.decode,
        },
        trading=None if trading is None else trading.desk,
        market=None if trading is None else trading.market,
        executors=None if trading is None else trading.executors,
        workflows=None if workflows is None else workflows.door,
        webhooks=None if workflows is None else workflows.webhooks,
    )


def dialects_of(services: Services) -> dict[str, FastAPI]:
    """The sub-applications, by name."""
    return {
        "crosstrade": crosstrade.build(services),
        "hummingbot": hummingbot.build(services),
        "b3os": b3os.build(services),
        "refold": refold.build(services),
        "native": native.build(services),
    }


@asynccontextmanager
async def build(
    settings: Settings, *, clock: Clock | None = None, ids: IdSource | None = None
) -> AsyncIterator[Server]:
    """A whole server, started; at the end everything is stopped, the youngest part first."""
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(open_core(settings, clock=clock, ids=ids))
        supervisor = Supervisor()
        trading = None
        if settings.trading.enabled:
            trading = await stack.enter_async_context(_trading(core, supervisor))
            supervisor.every(LISTENERS_S, "look after the market's listeners", trading.market.check)
        workflows = None
        if settings.workflows.enabled:
            workflows = await stack.enter_async_context(_workflows(core, trading))
            supervisor.every(RETENTION_S, "forget what runs did long ago", workflows.retention.turn)
            supervisor.every(RETENTION_S, "forget what was sent long ago", workflows.deliverer.forget)
            supervisor.every(CHECKOUTS_S, "expire checkouts", workflows.payments.expire_due)
            supervisor.every(LISTENERS_S, "look after the signs of life", workflows.check)
        services = services_of(core, trading, workflows)
        dialects = dialects_of(services)
        app = compose(core, dialects, None if workflows is None else build_pay(workflows.pay_door))
        for dialect in dialects.values():
            await stack.enter_async_context(dialect.router.lifespan_context(dialect))
        _plan(supervisor, core)
        stack.push_async_callback(core.access.flush_last_used, force=True)
        await supervisor.start()
        stack.push_async_callback(supervisor.stop)
        yield Server(
            core=core,
            services=services,
            app=app,
            dialects=dialects,
            supervisor=supervisor,
            trading=trading,
            workflows=workflows,
        )


def _trading(core: Core, supervisor: Supervisor) -> AbstractAsyncContextManager[TradingStack]:
    return open_trading(
        core.settings.trading,
        database=core.database,
        ledger=core.ledger,
        access=core.access,
        reading=core.reading,
        clock=core.clock,
        ids=core.ids,
        on_failure=supervisor.fail,
    )


def _workflows(core: Core, trading: TradingStack | None) -> AbstractAsyncContextManager[WorkflowStack]:
    return open_workflows(
        core.settings,
        database=core.database,
        ledger=core.ledger,
        access=core.access,
        reading=core.reading,
        clock=core.clock,
        ids=core.ids,
        trading=trading,
    )


def compose(core: Core, dialects: dict[str, FastAPI], pay: Starlette | None = None) -> Dispatcher:
    """The dispatcher over the dialects, the payers' pages and the operations."""
    settings = core.settings
    metrics = HttpMetrics() if settings.metrics.enabled else None

    async def ready() -> None:
        if app.draining:
            raise Unavailable("The server is stopping.")
        await core.database.read(_ping)

    documents = [
        Document(name=name, title=dialect.title, prefixes=PREFIXES[name], openapi=dialect.openapi)
        for name, dialect in dialects.items()
    ]
    operations = Operations(documents, ready=ready, metrics=metrics)
    mounts = [
        Mount(
            name=name,
            prefixes=PREFIXES[name],
            app=Front(dialect),
            render=renderer_of(dialect),
            streamed_type=STREAMED_TYPES.get(name),
            close=getattr(dialect.state, "close", None),
        )
        for name, dialect in dialects.items()
    ]
    if pay is not None:
        mounts.append(Mount(name="pay", prefixes=(PAY_PREFIX,), app=pay, render=render_pay))
    app = Dispatcher(
        [*mounts, Mount(name="operations", prefixes=(), app=operations.app(), render=operations.render)],
        clock=core.clock,
        ids=core.ids,
        limits=settings.limits,
        query_bytes=settings.server.query_bytes,
        metrics=metrics,
        request_log=request_log(settings.log),
    )
    return app


def _plan(supervisor: Supervisor, core: Core) -> None:
    """The periodic work of a running server."""
    supervisor.every(LAST_USED_S, "flush last-used times", core.access.flush_last_used)


def _ping() -> Program[None]:
    yield Fetch(_PING)

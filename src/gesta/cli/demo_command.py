"""`gesta demo`: a server where things happen, its credentials, and calls for each dialect."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gesta.app import http_server
from gesta.app.build import Core, Server, build
from gesta.app.demo import customer
from gesta.app.demo.customer import Customer
from gesta.app.demo.handout import Runs, handout, page
from gesta.app.demo.keeper import INTERVAL_S as KEEP_S
from gesta.app.demo.keeper import Doors, Keeper
from gesta.app.demo.service import open_service
from gesta.app.demo.shop import EXPIRES_S
from gesta.app.demo.stage import Stage, set_stage, write_private
from gesta.app.demo.trader import INTERVAL_S as LOOK_S
from gesta.app.demo.trader import Trader
from gesta.app.settings import Settings
from gesta.cli.common import out, run, settings_of
from gesta.kernel.clock import SystemClock
from gesta.kernel.errors import ServerError
from gesta.kernel.json import encode_json
from gesta.kernel.service import Supervisor
from gesta.ledger.records import Kind, Status

DEFAULT_FOLDER = Path("gesta-demo-data")
DATABASE_FILE = "gesta.sqlite3"
SEED = 1
# The strategy and the executors pay commissions and spreads day and night; they must not run out of paper money.
STARTING_CASH = 100_000_000


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    port: Annotated[
        int | None,
        typer.Option(
            "--port", envvar="GESTA_SERVER__PORT", help="Port; 0 lets the system choose.", show_default="8080"
        ),
    ] = None,
    data: Annotated[
        Path, typer.Option("--data", envvar="GESTA_DEMO_DATA", help="Folder of the database and the credentials.")
    ] = DEFAULT_FOLDER,
    write_credentials: Annotated[
        Path | None,
        typer.Option(
            "--write-credentials",
            envvar="GESTA_DEMO_CREDENTIALS",
            help="Write base URL and credentials to this file, as JSON, once the server answers.",
            show_default="not written",
        ),
    ] = None,
) -> None:
    """Serve a ledger where trades, executors and workflow runs go on, and print how to call it in each dialect."""
    settings = settings_of(
        None,
        str(data / DATABASE_FILE),
        server__port=port,
        log__level="warning",
        trading__starting_cash=STARTING_CASH,
    )
    run(_demo(settings, data, write_credentials))


async def _demo(settings: Settings, folder: Path, write_credentials: Path | None) -> None:
    listener = http_server.listen(settings.server)
    try:
        settings = with_workflows(settings, listener)
        async with open_service(SEED, SystemClock(), folder) as service, build(settings) as server:
            core = server.core
            stage = await set_stage(core.access, folder)
            side = Supervisor()
            trader = await _trader(server, stage)
            if trader is not None:
                await trader.begin()
                side.every(LOOK_S, "demo strategy", trader.advance)
            keeper = await _keeper(server, stage)
            if keeper is not None:
                await keeper.begin()
                side.every(KEEP_S, "demo executors", keeper.advance)
            buyer, runs = await _customer(server, stage, http_server.address_of(listener), service), Runs()
            if buyer is not None:
                runs = await buyer.begin()
                side.every(customer.INTERVAL_S, "demo workflows", buyer.advance)
            executor_id = await _some_executor(core, stage)

            def on_ready(address: str) -> None:
                given = handout(address, stage.secrets, executor_id)
                if write_credentials is not None:
                    write_private(write_credentials, encode_json(given) + b"\n")
                out.print(page(given, runs, str(folder)), markup=False)

            await side.start()
            try:
                await http_server.run(
                    server.app, server.supervisor, settings, listener, on_ready=on_ready, stop=side.failed
                )
            finally:
                await side.stop()
            if side.failure is not None:
                raise ServerError("What the demo does died; the log says why.") from side.failure
    finally:
        listener.close()
    out.print("Stopped.")


def with_workflows(settings: Settings, listener: socket.socket) -> Settings:
    """Runs may call this machine, and are paid at the built-in provider: in the demo only."""
    own = settings.workflows
    payments = msgspec.structs.replace(
        own.payments,
        test=True,
        provider="test",
        public_url=own.payments.public_url or http_server.address_of(listener),
        expires_s=EXPIRES_S,
    )
    own = msgspec.structs.replace(own, allow_networks="127.0.0.0/8", payments=payments)
    return msgspec.structs.replace(settings, workflows=own)


async def _customer(server: Server, stage: Stage, address: str, service: str) -> Customer | None:
    """Who has workflows run, unless they are switched off."""
    core, services = server.core, server.services
    account = await core.access.account_by_id(stage.organization.id, stage.accounts.linked)
    if account is None or services.workflows is None:
        return None
    doors = customer.Doors(
        workflows=services.workflows, reading=services.reading, clock=services.clock, address=address, service=service
    )
    return Customer(SEED, account, stage.actor, doors, buys=services.executors is not None)


async def _trader(server: Server, stage: Stage) -> Trader | None:
    """Who trades on the paper venue, unless trading is switched off."""
    core, services = server.core, server.services
    account = await core.access.account_by_id(stage.organization.id, stage.accounts.trading)
    if account is None or services.trading is None or services.market is None:
        return None
    return Trader(SEED, account, stage.actor, services.trading, services.market, core.clock)


async def _keeper(server: Server, stage: Stage) -> Keeper | None:
    """Who keeps executors going, unless trading is switched off."""
    core, services = server.core, server.services
    account = await core.access.account_by_id(stage.organization.id, stage.accounts.executors)
    if account is None or services.trading is None or services.market is None or services.executors is None:
        return None
    doors = Doors(
        executors=services.executors,
        trading=services.trading,
        market=services.market,
        reading=services.reading,
        clock=services.clock,
    )
    return Keeper(SEED, account, stage.actor, doors)


async def _some_executor(core: Core, stage: Stage) -> str | None:
    """The newest executor, one that runs if there is one. None where there never was one: nothing trades."""
    kinds = frozenset({Kind.EXECUTOR})
    for statuses in (frozenset({Status.RUNNING}), frozenset[Status]()):
        query = core.reading.filter(stage.actor, kinds=kinds, statuses=statuses, account=stage.accounts.executors)
        found = await core.reading.page(stage.actor, query, offset=0, limit=1, total=False)
        if found.rows:
            return found.rows[0].id
    return None

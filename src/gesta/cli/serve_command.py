"""`gesta serve`: the server, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gesta.app import http_server
from gesta.app.build import Server, build
from gesta.app.settings import Settings
from gesta.cli.common import ConfigOption, DatabaseOption, err, out, run, settings_of
from gesta.cli.replay_command import progress_bar, speed_of
from gesta.kernel.times import format_us
from gesta.venues.market_data.replay import ReplayFeed
from gesta.workflows.payments import providers

WATCH_S = 0.25


def register(app: typer.Typer) -> None:
    app.command("serve")(serve)


def serve(
    config: ConfigOption = None,
    database: DatabaseOption = None,
    host: Annotated[
        str | None,
        typer.Option("--host", envvar="GESTA_SERVER__HOST", help="Address to listen on.", show_default="127.0.0.1"),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", envvar="GESTA_SERVER__PORT", help="Port; 0 lets the system choose.", show_default="8080"
        ),
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option(
            "--log-level",
            envvar="GESTA_LOG__LEVEL",
            help="debug, info, warning or error.",
            show_default="info",
        ),
    ] = None,
    write_address: Annotated[
        Path | None,
        typer.Option(
            "--write-address",
            envvar="GESTA_WRITE_ADDRESS",
            help="Write the base URL to this file once the server answers.",
            show_default="not written",
        ),
    ] = None,
    replay: Annotated[
        list[str] | None,
        typer.Option(
            "--replay",
            envvar="GESTA_SERVE_REPLAY",
            metavar="FILE",
            help="Recorded market data to trade against: a Binance capture or CSV, or INSTRUMENT=FILE; may be given "
            "several times.",
            show_default="the setting trading.market",
        ),
    ] = None,
    speed: Annotated[
        str | None,
        typer.Option(
            "--speed", envvar="GESTA_TRADING__SPEED", help="Of a replay: times real time, or `max`.", show_default="1"
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", envvar="GESTA_TRADING__SEED", help="Of the simulated market.", show_default="1"),
    ] = None,
) -> None:
    """Serve the ledger in all its dialects, and a paper venue. Starts empty; `gesta init` makes the first organization.

    Without --replay, the market is what the setting `trading.market` says: simulated, unless it is changed.
    """
    if speed is not None:
        speed_of(speed)
    settings = settings_of(
        config,
        database,
        server__host=host,
        server__port=port,
        log__level=log_level,
        trading__market="replay" if replay else None,
        trading__replay=":".join(replay) if replay else None,
        trading__speed=speed,
        trading__seed=seed,
    )
    run(_serve(settings, write_address))


async def _serve(settings: Settings, write_address: Path | None) -> None:
    listener = http_server.listen(settings.server)
    try:
        async with build(settings) as server:
            empty = not await server.core.access.organizations()
            providers.warn(settings.workflows.payments)

            def on_ready(address: str) -> None:
                if empty:
                    err.print("There is no organization yet: `gesta init` makes one and prints its credentials.")
                if write_address is not None:
                    write_whole(write_address, address + "\n")
                announce(server, address)

            async with replay_progress(server):
                await http_server.run(server.app, server.supervisor, settings, listener, on_ready=on_ready)
            going_on = server.trading.runner.count if server.trading is not None else 0
    finally:
        listener.close()
    out.print("Stopped." if not going_on else f"Stopped. {going_on} executors go on at the next start.")


@asynccontextmanager
async def replay_progress(server: Server) -> AsyncIterator[None]:
    """A bar on standard error for every replay that runs, where a person reads it; at the end, what came of it."""
    feeds = [] if server.trading is None else server.trading.market.feeds()
    replays = [feed for feed in feeds if isinstance(feed, ReplayFeed)]
    watchers = [asyncio.create_task(_watch(feed), name=f"progress of {feed.name}") for feed in replays]
    try:
        yield
    finally:
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)


async def _watch(feed: ReplayFeed) -> None:
    with progress_bar() as progress:
        bar = progress.add_task(feed.name, total=1, rows=0, times_real=0.0, at="")
        while True:
            said = feed.progress()
            progress.update(
                bar,
                total=said.size_bytes,
                completed=said.position,
                rows=said.taken,
                times_real=said.times_real,
                at=format_us(said.venue_time_us)[:19].replace("T", " "),
            )
            if said.is_over:
                break
            await asyncio.sleep(WATCH_S)
    ended = "has broken off" if feed.failed is not None else "is over: its data is stale from now on"
    err.print(
        Text(
            f"{feed.name} {ended}. {said.taken:,} quotes and trades, {said.rate_per_s:,.0f} a second, "
            f"{said.times_real:,.1f}× real time; {said.refused:,} lines refused."
        )
    )
    for problem in said.problems:
        err.print(Text(f"{problem.source}:{problem.line}: {problem.reason}"))


def announce(server: Server, address: str) -> None:
    """Say where the server answers, on standard output."""
    out.print(f"Gesta answers on {address} (database {server.core.settings.database.masked_url}; Ctrl-C stops it)")


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or nothing."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, "utf-8")
    os.replace(partial, path)

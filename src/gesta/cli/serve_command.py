"""`gesta serve`: the server, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gesta.app import http_server
from gesta.app.build import Server, build
from gesta.app.settings import Settings
from gesta.cli.common import ConfigOption, DatabaseOption, err, out, run, settings_of


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
) -> None:
    """Serve the ledger in all its dialects. Starts empty; `gesta init` makes the first organization."""
    settings = settings_of(config, database, server__host=host, server__port=port, log__level=log_level)
    run(_serve(settings, write_address))


async def _serve(settings: Settings, write_address: Path | None) -> None:
    listener = http_server.listen(settings.server)
    try:
        async with build(settings) as server:
            empty = not await server.core.access.organizations()

            def on_ready(address: str) -> None:
                if empty:
                    err.print("There is no organization yet: `gesta init` makes one and prints its credentials.")
                if write_address is not None:
                    write_whole(write_address, address + "\n")
                announce(server, address)

            await http_server.run(server.app, server.supervisor, settings, listener, on_ready=on_ready)
    finally:
        listener.close()
    out.print("Stopped.")


def announce(server: Server, address: str) -> None:
    """Say where the server answers, on standard output."""
    out.print(f"Gesta answers on {address} (database {server.core.settings.database.masked_url}; Ctrl-C stops it)")


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or nothing."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, "utf-8")
    os.replace(partial, path)

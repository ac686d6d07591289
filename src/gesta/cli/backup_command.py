"""`gesta backup`: a consistent copy of the database while it is in use."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit, urlunsplit

import typer
from rich.progress import Progress

from gesta.app.settings import Settings
from gesta.cli.common import ConfigOption, DatabaseOption, err, is_terminal, out, run, settings_of
from gesta.kernel.errors import InvalidInput, ServerError
from gesta.storage.sqlite import SqliteDatabase


def register(app: typer.Typer) -> None:
    app.command("backup")(backup)


def backup(
    destination: Annotated[Path, typer.Argument(help="File to write.", envvar="GESTA_BACKUP_DESTINATION")],
    config: ConfigOption = None,
    database: DatabaseOption = None,
    force: Annotated[
        bool, typer.Option("--force", envvar="GESTA_BACKUP_FORCE", help="Replace an existing file.")
    ] = False,
) -> None:
    """Copy the database as of one moment, while the server runs. The copy of a SQLite ledger is itself a ledger: serve
    it with --database. A PostgreSQL ledger is dumped with `pg_dump` and restored with `pg_restore`."""
    settings = settings_of(config, database)
    if destination.is_dir():
        raise InvalidInput(f"{destination} is a folder; name the file to write.", where="arguments")
    if destination.exists() and not force:
        raise InvalidInput(f"{destination} exists; --force replaces it.", where="arguments")
    if not destination.absolute().parent.is_dir():
        raise InvalidInput(f"The folder {destination.absolute().parent} does not exist.", where="arguments")
    if settings.database.is_postgres:
        run(_dump(settings, destination))
    else:
        source = settings.database.sqlite_path
        if not source.exists():
            raise InvalidInput(f"There is no database at {source}; give --database or --config.", where="arguments")
        if destination.exists() and destination.samefile(source):
            raise InvalidInput("The destination is the database itself.", where="arguments")
        run(_copy(source, destination))
    out.print(f"Wrote {destination} ({destination.stat().st_size:,} bytes).")


async def _copy(source: Path, destination: Path) -> None:
    with Progress(console=err, transient=True, disable=not is_terminal()) as progress:
        task = progress.add_task("Copying", total=None)
        await SqliteDatabase(source).backup(
            destination, lambda done, pages: progress.update(task, completed=done, total=pages)
        )


async def _dump(settings: Settings, destination: Path) -> None:
    """Run pg_dump, its password in the environment, where other users of the machine cannot read it."""
    parts = urlsplit(settings.database.url)
    host = parts.netloc.rpartition("@")[2]
    user = f"{parts.netloc.rpartition('@')[0].partition(':')[0]}@" if "@" in parts.netloc else ""
    url = urlunsplit(("postgresql", user + host, parts.path, parts.query, ""))
    command = ["pg_dump", "--format=custom", f"--file={destination}", f"--dbname={url}"]
    program = shutil.which("pg_dump")
    if program is None:
        raise ServerError(f"pg_dump is not installed here. Where it is, run: {shlex.join(command)}")
    environment = os.environ | ({"PGPASSWORD": unquote(parts.password)} if parts.password else {})
    process = await asyncio.create_subprocess_exec(program, *command[1:], env=environment)
    if await process.wait() != 0:
        raise ServerError(f"pg_dump failed with exit code {process.returncode}; its message is above.")

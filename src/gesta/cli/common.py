"""What the commands share: the options that every one has, and how a coroutine is run."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uvloop
from rich.console import Console
from typer.core import TyperGroup

from gesta.app import logs
from gesta.app.settings import Settings, load_settings

T = TypeVar("T")

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="GESTA_CONFIG",
        help="TOML file of settings.",
        show_default="./gesta.toml, if it exists",
        dir_okay=False,
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        envvar="GESTA_DATABASE__URL",
        help="sqlite:///path, a file path, or postgresql://user:password@host:port/name.",
        show_default="sqlite:///gesta-data/gesta.sqlite3",
    ),
]

# Results go to standard output, everything else to standard error.
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def settings_of(config: Path | None, database: str | None, **overrides: Any) -> Settings:
    """The settings of a command, logs set up. An override's name has `__` for the dot: `server__port=0`."""
    flags = {name.replace("__", "."): value for name, value in overrides.items()}
    settings = load_settings(config, {"database.url": database, **flags})
    logs.configure(settings.log)
    return settings


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def is_terminal() -> bool:
    """Whether a person reads standard error: then a progress bar helps."""
    return sys.stderr.isatty()


def run_listed(context: typer.Context) -> None:
    """Without a command a group lists, with what the environment says."""
    command = context.command
    if context.invoked_subcommand is None and isinstance(command, TyperGroup):
        listed = command.commands["list"]
        with listed.make_context("list", [], parent=context) as inner:
            listed.invoke(inner)

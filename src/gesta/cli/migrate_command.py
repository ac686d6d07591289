"""`gesta migrate`: bring the database's schema up to date."""

from __future__ import annotations

import typer

from gesta.app.build import open_core
from gesta.app.settings import Settings
from gesta.cli.common import ConfigOption, DatabaseOption, out, run, settings_of


def register(app: typer.Typer) -> None:
    app.command("migrate")(migrate)


def migrate(config: ConfigOption = None, database: DatabaseOption = None) -> None:
    """Bring the database's schema up to date, as `gesta serve` does when it starts. Doing it twice is harmless."""
    run(_migrate(settings_of(config, database)))


async def _migrate(settings: Settings) -> None:
    async with open_core(settings) as core:
        for applied in core.migrated:
            out.print(f"applied {applied.component} {applied.number:04d} {applied.name}")
        if not core.migrated:
            out.print(f"{settings.database.masked_url} is up to date.")

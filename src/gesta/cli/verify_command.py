"""`gesta verify`: recount everything and compare it with the totals, while the server runs."""

from __future__ import annotations

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from gesta.app.build import open_core
from gesta.app.settings import Settings
from gesta.cli.common import ConfigOption, DatabaseOption, err, is_terminal, out, run, settings_of
from gesta.kernel.errors import InvalidInput
from gesta.ledger.verify import Report
from gesta.ledger.verify import verify as recount

DIFFERS = 1


def register(app: typer.Typer) -> None:
    app.command("verify")(verify)


def verify(config: ConfigOption = None, database: DatabaseOption = None) -> None:
    """Recount every total, sum and feed position in one snapshot and compare them with what is stored. Harmless while
    the server runs. Exit code 1 when something differs."""
    settings = settings_of(config, database)
    if not settings.database.is_postgres and not settings.database.sqlite_path.exists():
        raise InvalidInput(
            f"There is no database at {settings.database.sqlite_path}; give --database or --config.", where="arguments"
        )
    report = run(_verify(settings))
    show(report)
    if report.faults:
        raise typer.Exit(DIFFERS)


async def _verify(settings: Settings) -> Report:
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} executions recounted"))
    async with open_core(settings) as core:
        with Progress(*columns, console=err, transient=True, disable=not is_terminal()) as progress:
            task = progress.add_task("Recounting", total=None)
            return await recount(core.database, lambda done: progress.update(task, completed=done))


def show(report: Report) -> None:
    """What was compared, then what differs."""
    table = Table("compared", "", box=None, show_header=False)
    table.columns[1].justify = "right"
    for name in ("organizations", "executions", "events", "counters", "days", "references"):
        table.add_row(name, f"{getattr(report, name):,}")
    out.print(table)
    for fault in report.faults:
        out.print(f"DIFFERS  {fault}", markup=False)
    if report.faults:
        out.print(f"{len(report.faults)} differences; the rows are right, what is kept beside them is not.")
    else:
        out.print("Everything agrees.")

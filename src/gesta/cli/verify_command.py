"""`gesta verify`: recount everything and compare it with the totals, while the server runs."""

from __future__ import annotations

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from gesta.app.build import open_core
from gesta.app.settings import Settings
from gesta.app.trading_stack import catalog_of
from gesta.cli.common import ConfigOption, DatabaseOption, err, is_terminal, out, run, settings_of
from gesta.desk.trading.verify import Report as TradingReport
from gesta.desk.trading.verify import verify as recount_trading
from gesta.kernel.errors import InvalidInput, NotFound
from gesta.ledger.verify import Report
from gesta.ledger.verify import verify as recount
from gesta.trading.instruments import Instrument
from gesta.workflows.runs.verify import Report as RunsReport
from gesta.workflows.runs.verify import verify as recount_runs

DIFFERS = 1


def register(app: typer.Typer) -> None:
    app.command("verify")(verify)


def verify(config: ConfigOption = None, database: DatabaseOption = None) -> None:
    """Recount every total, sum, feed position and trading position, compare them with what is stored, and workflow
    runs with their executions and waits. Harmless while the server runs. Exit code 1 when something differs."""
    settings = settings_of(config, database)
    if not settings.database.is_postgres and not settings.database.sqlite_path.exists():
        raise InvalidInput(
            f"There is no database at {settings.database.sqlite_path}; give --database or --config.", where="arguments"
        )
    report, trading, runs = run(_verify(settings))
    show(report, trading, runs)
    if report.faults or trading.faults or runs.faults:
        raise typer.Exit(DIFFERS)


async def _verify(settings: Settings) -> tuple[Report, TradingReport, RunsReport]:
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} executions recounted"))
    catalog = catalog_of(settings.trading)

    def instrument_of(name: str) -> Instrument:
        found = catalog.get(name)
        if found is None:
            raise NotFound(
                f"There are positions in {name}, which is no known instrument: name the file that describes it in "
                "`trading.instruments`.",
                what="instrument",
            )
        return found

    async with open_core(settings) as core:
        with Progress(*columns, console=err, transient=True, disable=not is_terminal()) as progress:
            task = progress.add_task("Recounting", total=None)
            ledger = await recount(core.database, lambda done: progress.update(task, completed=done))
        trading = await recount_trading(core.database, instrument_of)
        return ledger, trading, await recount_runs(core.database)


def show(report: Report, trading: TradingReport, runs: RunsReport) -> None:
    """What was compared, then what differs."""
    table = Table("compared", "", box=None, show_header=False)
    table.columns[1].justify = "right"
    for name in ("organizations", "executions", "events", "counters", "days", "references"):
        table.add_row(name, f"{getattr(report, name):,}")
    for name in ("positions", "funds"):
        table.add_row(name, f"{getattr(trading, name):,}")
    for name in ("runs", "waits"):
        table.add_row(name, f"{getattr(runs, name):,}")
    out.print(table)
    faults = [*report.faults, *trading.faults, *runs.faults]
    for fault in faults:
        out.print(f"DIFFERS  {fault}", markup=False)
    if faults:
        out.print(f"{len(faults)} differences; the rows are right, what is kept beside them is not.")
    else:
        out.print("Everything agrees.")

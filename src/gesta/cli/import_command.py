"""`gesta import nt8|bitmex|tradovate|ndjson FILE`: what happened elsewhere goes into a running server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from gesta.cli.common import err, is_terminal, out
from gesta.client import (
    ApiError,
    ClientError,
    Gesta,
    NotConfigured,
    RateLimited,
    RowResult,
    ServerFault,
    Unreachable,
)
from gesta.kernel.errors import InvalidInput
from gesta.sources import bitmex, ndjson, nt8_grid, tradovate
from gesta.sources.files import file_opener
from gesta.sources.nt8_grid import DateOrder, DecimalMark
from gesta.sources.row import Reading, Refused

SHOWN = 20
SOME_REFUSED, USAGE = 1, 2

FileArgument = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="File to read; gzip is known by its content.", envvar="GESTA_IMPORT_FILE"),
]
UrlOption = Annotated[
    str | None, typer.Option("--url", envvar="GESTA_URL", help="The server.", show_default="http://127.0.0.1:8080")
]
TokenOption = Annotated[
    str | None,
    typer.Option("--token", envvar="GESTA_TOKEN", help="A bearer token with the scope trade.", show_default="required"),
]
StrictOption = Annotated[
    bool,
    typer.Option("--strict", envvar="GESTA_IMPORT_STRICT", help="Send nothing if any line of the file cannot be read."),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", envvar="GESTA_IMPORT_DRY_RUN", help="Read the file and send nothing.")
]
AccountOption = Annotated[
    str | None,
    typer.Option(
        "--account", envvar="GESTA_IMPORT_ACCOUNT", help="Account of every row.", show_default="that of the row"
    ),
]
ZoneOption = Annotated[
    str,
    typer.Option(
        "--timezone",
        envvar="GESTA_IMPORT_TIMEZONE",
        help="Time zone in which the file tells its times, like America/Chicago. Accounts that the import creates "
        "get it, too.",
    ),
]
CurrencyOption = Annotated[
    str | None,
    typer.Option(
        "--currency", envvar="GESTA_IMPORT_CURRENCY", help="Currency of the amounts.", show_default="that of its sign"
    ),
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Record what happened elsewhere. Doing it twice adds nothing. Exit code 1: some rows were refused.",
        no_args_is_help=True,
    )
    group.command("nt8")(nt8)
    group.command("bitmex")(import_bitmex)
    group.command("tradovate")(import_tradovate)
    group.command("ndjson")(import_ndjson)
    app.add_typer(group, name="import")


def nt8(
    file: FileArgument,
    timezone: ZoneOption,
    account: AccountOption = None,
    date_order: Annotated[
        DateOrder | None,
        typer.Option(
            "--date-order",
            envvar="GESTA_IMPORT_DATE_ORDER",
            help="Order of day, month and year.",
            show_default="found out from the whole file",
        ),
    ] = None,
    decimal: Annotated[
        DecimalMark | None,
        typer.Option(
            "--decimal",
            envvar="GESTA_IMPORT_DECIMAL",
            help="Decimal mark of the numbers.",
            show_default="found out from the whole file",
        ),
    ] = None,
    currency: CurrencyOption = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            envvar="GESTA_IMPORT_COLUMN",
            help="What an unknown header means, like 'Preis je Kontrakt=price'; may be given several times.",
            show_default="none",
        ),
    ] = None,
    strict: StrictOption = False,
    dry_run: DryRunOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Fills of NinjaTrader 8's Executions grid, exported as CSV, in whatever culture Windows wrote it."""
    options = nt8_grid.Options(
        zone=_zone(timezone),
        account=account,
        date_order=date_order,
        decimal=decimal,
        currency=currency,
        columns=_columns(column or []),
    )
    _Import(url, token, strict, dry_run, time_zone=timezone).run(lambda: nt8_grid.read(file_opener(file), options))


def import_bitmex(
    file: FileArgument,
    account: Annotated[
        str, typer.Option("--account", envvar="GESTA_IMPORT_ACCOUNT", help="Account of every row.")
    ] = bitmex.DEFAULT_ACCOUNT,
    strict: StrictOption = False,
    dry_run: DryRunOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Fills of BitMEX, exported as CSV."""
    options = bitmex.Options(account=account)
    _Import(url, token, strict, dry_run).run(lambda: bitmex.read(file_opener(file), options))


def import_tradovate(
    file: FileArgument,
    timezone: ZoneOption,
    account: Annotated[
        str, typer.Option("--account", envvar="GESTA_IMPORT_ACCOUNT", help="Account of every row.")
    ] = tradovate.DEFAULT_ACCOUNT,
    currency: Annotated[
        str, typer.Option("--currency", envvar="GESTA_IMPORT_CURRENCY", help="Currency of the amounts.")
    ] = "USD",
    strict: StrictOption = False,
    dry_run: DryRunOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Fills out of Tradovate's Performance export, which pairs them."""
    options = tradovate.Options(zone=_zone(timezone), account=account, currency=currency)
    _Import(url, token, strict, dry_run, time_zone=timezone).run(lambda: tradovate.read(file_opener(file), options))


def import_ndjson(
    file: FileArgument,
    dialect: Annotated[
        str | None,
        typer.Option(
            "--dialect",
            envvar="GESTA_IMPORT_DIALECT",
            help="Lines are execution objects of crosstrade, hummingbot, b3os or refold.",
            show_default="Gesta's own rows",
        ),
    ] = None,
    account: AccountOption = None,
    strict: StrictOption = False,
    dry_run: DryRunOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Executions of any kind, one JSON object per line, as the export writes them."""
    options = ndjson.Options(dialect=dialect, account=account)
    _Import(url, token, strict, dry_run, dialect=dialect).run(lambda: ndjson.read(file_opener(file), options))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise InvalidInput(f"{name!r} is not a time zone like America/Chicago.", field="timezone") from None


def _columns(given: list[str]) -> dict[str, str]:
    columns = {}
    for text in given:
        header, found, column = text.rpartition("=")
        if not found or not header.strip():
            raise InvalidInput(f"--column {text!r} is not of the form 'Header=column'.", field="column")
        columns[header] = column.strip()
    return columns


class _Tally(msgspec.Struct, kw_only=True):
    """What became of the lines so far. Of problems and notes only the first are kept."""

    read: int = 0
    recorded: int = 0
    duplicates: int = 0
    conflicts: int = 0
    refused: int = 0
    noted: int = 0
    problems: list[tuple[int, str]] = []
    notes: list[tuple[int, str]] = []

    def refuse(self, line: int, reason: str) -> None:
        self.refused += 1
        self._problem(line, reason)

    def conflict(self, line: int, reason: str) -> None:
        self.conflicts += 1
        self._problem(line, f"conflict: {reason}")

    def _problem(self, line: int, reason: str) -> None:
        if len(self.problems) < SHOWN:
            self.problems.append((line, reason))

    def note(self, line: int, text: str) -> None:
        self.noted += 1
        if len(self.notes) < SHOWN:
            self.notes.append((line, text))


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f} rows/s")


class _Import:
    """One run of the command: the file is read and sent a thousand rows at a time, in bounded memory."""

    def __init__(
        self,
        url: str | None,
        token: str | None,
        strict: bool,
        dry_run: bool,
        *,
        time_zone: str | None = None,
        dialect: str | None = None,
    ) -> None:
        self._url = url
        self._token = token
        self._strict = strict
        self._dry_run = dry_run
        self._time_zone = time_zone
        self._dialect = dialect
        self._tally = _Tally(problems=[], notes=[])
        self._lines: dict[int, int] = {}

    def run(self, read: Callable[[], Reading]) -> None:
        """Import, report, and exit. Raises FileError for a file that cannot be read at all."""
        reading = read()
        for note in reading.notes:
            err.print(Text(note))
        if self._strict or self._dry_run:
            for _ in self._documents(reading, sending=False):
                pass
            if self._dry_run or self._tally.refused:
                _report(self._tally, "Nothing was sent." if self._dry_run else "Strict: nothing was sent.")
                raise typer.Exit(SOME_REFUSED if self._tally.refused else 0)
            self._tally = _Tally(problems=[], notes=[])
            reading = read()
        failure = self._send(reading)
        if failure is None or self._tally.read:
            _report(self._tally)
        if failure is not None:
            _explain(failure)
        raise typer.Exit(SOME_REFUSED if self._tally.refused or self._tally.conflicts else 0)

    def _send(self, reading: Reading) -> ClientError | None:
        try:
            with Gesta(self._url, self._token) as gesta, _progress() as progress:
                bar = progress.add_task("Importing", total=reading.expected or None)
                documents = self._documents(reading, sending=True)
                for result in gesta.executions.ingest_each(documents, dialect=self._dialect, time_zone=self._time_zone):
                    self._count(result)
                    progress.update(bar, advance=1)
                progress.update(bar, total=progress.tasks[0].completed)
        except ClientError as error:
            return error
        return None

    def _documents(self, reading: Reading, *, sending: bool) -> Iterator[dict[str, Any]]:
        """The rows to send; the line of each is then remembered until its result is there."""
        index = 0
        for item in reading.items:
            self._tally.read += 1
            if isinstance(item, Refused):
                self._tally.refuse(item.line, item.reason)
                continue
            for note in item.notes:
                self._tally.note(item.line, note)
            if sending:
                self._lines[index] = item.line
            index += 1
            yield item.document()

    def _count(self, result: RowResult) -> None:
        line = self._lines.pop(result.index)
        if result.outcome == "recorded":
            self._tally.recorded += 1
        elif result.outcome == "duplicate":
            self._tally.duplicates += 1
        elif result.outcome == "conflict":
            self._tally.conflict(line, result.reason)
        else:
            self._tally.refuse(line, result.reason)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        console=err,
        disable=not is_terminal(),
        transient=True,
    )


def _report(tally: _Tally, remark: str = "") -> None:
    """The summary on standard output, what was refused or noted on standard error."""
    for title, total, rows in (
        ("Not recorded", tally.refused + tally.conflicts, tally.problems),
        ("Noted", tally.noted, tally.notes),
    ):
        if rows:
            listing = Table("Line", title, box=SIMPLE_HEAD)
            for line, reason in rows:
                listing.add_row(str(line), Text(reason))
            err.print(listing)
            if total > len(rows):
                err.print(f"… and {total - len(rows)} more.")
    table = Table(box=SIMPLE_HEAD, show_header=False)
    for name, count in (
        ("rows read", tally.read),
        ("recorded", tally.recorded),
        ("already there", tally.duplicates),
        ("conflicts", tally.conflicts),
        ("refused", tally.refused),
    ):
        table.add_row(name, str(count))
    out.print(table)
    if remark:
        out.print(remark)


def _explain(error: ClientError) -> None:
    """Say what went wrong and what to do next, and exit."""
    lines = [f"gesta: {error.message}"]
    if isinstance(error, Unreachable):
        lines.append("Start the server with `gesta serve`, or say where it is with --url or GESTA_URL.")
    elif isinstance(error, ApiError) and error.status in (401, 403):
        lines.append("`gesta keys create --type bearer --scope trade` makes a token; give it with GESTA_TOKEN.")
    if not isinstance(error, NotConfigured):
        lines.append("The same command goes on where this one stopped: what is recorded is known again.")
    err.print(Text("\n".join(lines)))
    passing = isinstance(error, (Unreachable, RateLimited, ServerFault))
    raise typer.Exit(SOME_REFUSED if passing else USAGE)


__all__ = ["register"]

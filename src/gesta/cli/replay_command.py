"""`gesta replay FILE…`: recorded market data goes into a running server, at its own pace or any other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from gesta.cli.common import err, is_terminal, out
from gesta.cli.connection import TokenOption, UrlOption, raise_exit
from gesta.client import ClientError, Conflict, Gesta, PushReport, Retry
from gesta.kernel.clock import Clock, SystemClock
from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import format_us
from gesta.trading.catalog import Catalog
from gesta.trading.market import MarketData, Quote
from gesta.venues.market_data.replay import MAX_SPEED
from gesta.venues.market_data.tapes import Tapes

SOME_REFUSED = 1
SHOWN = 20
BATCH_ROWS = 1000
# Paced data is sent together when it falls due within this long.
GATHER_S = 0.1
LONGEST_SLEEP_S = 0.5
_SIDES = {1: "buy", -1: "sell", 0: None}

FilesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="Binance captures or CSV tapes, gzip or not. A CSV file names its instrument, like ESH4_quotes.csv.gz, or "
        "is given as INSTRUMENT=FILE.",
        envvar="GESTA_REPLAY_FILES",
    ),
]
SpeedOption = Annotated[
    str, typer.Option("--speed", envvar="GESTA_REPLAY_SPEED", help="Times real time, or `max`.", show_default="1")
]


def register(app: typer.Typer) -> None:
    app.command("replay")(replay)


def replay(
    files: FilesArgument,
    speed: SpeedOption = "1",
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Send recorded market data to a running server, which takes it as pushed: with the recording's own times, received
    now. Takes a token of scope admin. Exit code 1: some lines or rows were refused."""
    factor = speed_of(speed)
    catalog = Catalog()
    tapes = Tapes(files, catalog.resolve)
    try:
        with Gesta(url, token, retry=Retry(attempts=3)) as gesta:
            _Replay(gesta, tapes, catalog, factor, SystemClock(), time.sleep).run()
    except Conflict as error:
        err.print(Text(f"gesta: {error.message}"))
        err.print("Stop that feed, or serve with `trading.market = none` or `simulated`.")
        raise typer.Exit(2) from None
    except ClientError as error:
        raise_exit(error)
    finally:
        tapes.close()


def speed_of(text: str) -> float | None:
    """Times real time; None for `max`. Raises InvalidInput."""
    if text.strip().lower() == "max":
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor <= MAX_SPEED:
        raise InvalidInput(
            f"--speed is a number above 0, at most {MAX_SPEED:.0f}, or `max`, not {text[:32]!r}.", field="speed"
        )
    return factor


class Speedometer(ProgressColumn):
    """Rows in a second, and times real time, of a task whose fields say `rows` and `times_real`."""

    def render(self, task: Task) -> Text:
        elapsed_s = task.elapsed or 0.0
        rate = task.fields.get("rows", 0) / elapsed_s if elapsed_s else 0.0
        return Text(f"{rate:,.0f} rows/s  {task.fields.get('times_real', 0.0):,.1f}× real time")


def progress_bar() -> Progress:
    """On standard error, where a person reads it."""
    return Progress(
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        Speedometer(),
        TextColumn("{task.fields[at]}"),
        TimeElapsedColumn(),
        console=err,
        disable=not is_terminal(),
        transient=True,
    )


class _Replay:
    """One run of the command, in bounded memory."""

    def __init__(
        self,
        gesta: Gesta,
        tapes: Tapes,
        catalog: Catalog,
        speed: float | None,
        clock: Clock,
        sleep: Callable[[float], None],
    ) -> None:
        self._gesta = gesta
        self._tapes = tapes
        self._catalog = catalog
        self._speed = speed
        self._clock = clock
        self._sleep = sleep
        self._begins_at_us = self._at_us = tapes.begins_at_us
        self._started_s = clock.monotonic_s()
        self._seen: set[str] = set()
        self._taken = self._invalid = self._conflicts = 0
        self._problems: list[str] = []

    def run(self) -> None:
        """Send everything, report, and exit with 1 if anything was refused. Raises what the client raises."""
        try:
            with progress_bar() as progress:
                bar = progress.add_task(self._tapes.name, total=self._tapes.size_bytes, rows=0, times_real=0.0, at="")
                for batch in self._batches():
                    self._send(batch)
                    self._show(progress, bar)
        finally:
            if self._taken or self._problems:
                self._report()
        if self._invalid or self._conflicts or self._tapes.tally.refused:
            raise typer.Exit(SOME_REFUSED)

    def _batches(self) -> Iterator[list[MarketData]]:
        """At full speed a thousand rows at a time; else what has fallen due."""
        batch: list[MarketData] = []
        due_us = self._begins_at_us
        for data in self._tapes.read():
            if self._speed is not None and data.venue_time_us > due_us:
                if batch:
                    yield batch
                    batch = []
                due_us = self._wait(data.venue_time_us, self._speed)
            batch.append(data)
            if len(batch) >= BATCH_ROWS:
                yield batch
                batch = []
        if batch:
            yield batch

    def _wait(self, at_us: int, speed: float) -> int:
        """Until the moment has come; the venue time up to which data is due then."""
        while True:
            passed_s = self._clock.monotonic_s() - self._started_s
            wait_s = (at_us - self._begins_at_us) / 1e6 / speed - passed_s
            if wait_s <= 0:
                return self._begins_at_us + round((passed_s + GATHER_S) * speed * 1e6)
            self._sleep(min(wait_s, LONGEST_SLEEP_S))

    def _send(self, batch: list[MarketData]) -> None:
        self._at_us = max(self._at_us, batch[-1].venue_time_us)
        fresh = {data.instrument for data in batch} - self._seen
        # An instrument that is new here begins anew there. Rows of those that are not go first, so that they do not.
        if fresh and self._seen:
            known = [data for data in batch if data.instrument not in fresh]
            if known:
                self._count(self._gesta.market.push([self._row(data) for data in known]))
            batch = [data for data in batch if data.instrument in fresh]
        self._seen |= fresh
        self._count(self._gesta.market.push([self._row(data) for data in batch], restart=bool(fresh)))

    def _row(self, data: MarketData) -> dict[str, Any]:
        instrument = self._catalog.get(data.instrument)
        assert instrument is not None
        row: dict[str, Any] = {"instrument": data.instrument, "time": format_us(data.venue_time_us)}
        if type(data) is Quote:
            return row | {
                "bid": instrument.price(data.bid),
                "ask": instrument.price(data.ask),
                "bid_size": instrument.quantity(data.bid_size),
                "ask_size": instrument.quantity(data.ask_size),
            }
        assert not isinstance(data, Quote)
        return row | {
            "price": instrument.price(data.price),
            "size": instrument.quantity(data.size),
            "aggressor": _SIDES[data.aggressor],
        }

    def _count(self, report: PushReport) -> None:
        self._taken += report.taken
        self._invalid += report.invalid
        self._conflicts += report.conflicts
        for result in report.results:
            if len(self._problems) < SHOWN:
                self._problems.append(str(result.get("error", {}).get("detail", "refused")))

    def _times_real(self) -> float:
        elapsed_s = self._clock.monotonic_s() - self._started_s
        return (self._at_us - self._begins_at_us) / 1e6 / elapsed_s if elapsed_s > 0 else 0.0

    def _show(self, progress: Progress, bar: TaskID) -> None:
        progress.update(
            bar,
            completed=self._tapes.position,
            rows=self._taken,
            times_real=self._times_real(),
            at=format_us(self._at_us)[:19].replace("T", " "),
        )

    def _report(self) -> None:
        tally = self._tapes.tally
        elapsed_s = self._clock.monotonic_s() - self._started_s
        rate = self._taken / elapsed_s if elapsed_s > 0 else 0.0
        out.print(
            f"{self._taken:,} quotes and trades of {', '.join(sorted(self._seen))} in {elapsed_s:,.1f} s: "
            f"{rate:,.0f} a second, {self._times_real():,.1f}× real time."
        )
        for problem in tally.problems:
            err.print(Text(f"{problem.source}:{problem.line}: {problem.reason}"))
        for text in self._problems:
            err.print(Text(f"The server refused a row: {text}"))
        refused = tally.refused + self._invalid + self._conflicts
        if refused:
            err.print(f"{refused:,} lines or rows were refused.")

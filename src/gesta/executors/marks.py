"""The journal of best prices that trailing stops follow."""

from __future__ import annotations

from collections.abc import Iterable

from gesta.desk.trading.batch import Batch
from gesta.executors.journal import SQL
from gesta.executors.watching import BestPrice, Path, Watching
from gesta.storage.program import Fetch, Program, Row

__all__ = ["journal", "load", "stored"]


def stored() -> Program[list[Row]]:
    rows = yield Fetch(SQL["mark.all"])
    return list(rows)


def load(watching: Watching, rows: Iterable[Row]) -> None:
    for instrument, of, is_rising, until_us, best in rows:
        watching.load_mark(Path(instrument, of, bool(is_rising)), until_us, best)


def journal(batch: Batch, marks: Iterable[BestPrice]) -> None:
    """A mark that changes twice before the commit is written once. Marks are nobody's own: any batch may hold them."""
    for mark in marks:
        path = mark.path
        key = (path.instrument, path.of, int(path.is_rising), mark.until_us)
        row = (SQL["mark.clear"], key) if mark.best is None else (SQL["mark.put"], (*key, mark.best))
        batch.also["mark", *key] = row

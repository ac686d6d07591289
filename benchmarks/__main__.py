"""`python -m benchmarks [NAME…]`: run benchmarks, print their tables, keep the figures in benchmarks/results."""

from __future__ import annotations

import argparse
import importlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import console, run

NAMES = (
    "ingest",
    "lists",
    "run_lists",
    "http",
    "feed",
    "startup",
    "trading",
    "stream",
    "paper",
    "replay",
    "executors",
    "executor_reads",
    "executor_trails",
    "workflows",
    "workflow_workers",
    "workflow_kill",
    "workflow_prefect",
)


@dataclass(frozen=True)
class Options:
    """`quick` takes few laps: for trying the benchmarks themselves. `data` holds the data sets that are kept,
    `prefect` is a Python that has Prefect."""

    databases: tuple[str, ...]
    rows: tuple[int, ...]
    quick: bool
    data: Path
    prefect: Path | None


def options_of(arguments: list[str] | None = None) -> tuple[list[str], Options]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all without one")
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument(
        "--rows", default="10000,1000000", help="sizes for `lists` and `run_lists`, the smallest is the base"
    )
    parser.add_argument("--huge", action="store_true", help="`lists` also with 10,000,000 rows")
    parser.add_argument("--quick", action="store_true", help="few laps")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(tempfile.gettempdir()) / "gesta-benchmarks",
        help="folder where the large data sets are made once and kept (default: %(default)s)",
    )
    parser.add_argument(
        "--prefect",
        type=Path,
        metavar="PYTHON",
        help="for `workflow_prefect`: a Python that has Prefect, in place of one that is installed for the occasion",
    )
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name not in NAMES]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
    rows = {int(part) for part in given.rows.split(",")} | ({10_000_000} if given.huge else set())
    databases = ("sqlite", "postgres") if given.database == "both" else (given.database,)
    return given.names or list(NAMES), Options(databases, tuple(sorted(rows)), given.quick, given.data, given.prefect)


def main() -> None:
    names, options = options_of()
    for name in names:
        module = importlib.import_module(f"benchmarks.{name}")
        needs_database = getattr(module, "DATABASES", True)
        for database in options.databases if needs_database else options.databases[:1]:
            console.rule(f"{name} · {database}" if needs_database else name)
            run(module.measure(database, options))


main()

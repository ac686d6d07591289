"""Small integers for the words of the record. They are on disk: append to a list, never reorder it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import cache, lru_cache

from gesta.ledger.query import Filter
from gesta.ledger.records import CORRELATIONS, Kind, Mode, Severity, Source, Status

KINDS = (Kind.FILL, Kind.EXECUTOR, Kind.RUN)
STATUSES = (
    Status.AWAITING_PAYMENT,
    Status.PAID,
    Status.QUEUED,
    Status.RUNNING,
    Status.WAITING,
    Status.STOPPING,
    Status.SUCCEEDED,
    Status.FAILED,
    Status.CANCELLED,
    Status.TIMED_OUT,
)
SOURCES = (
    Source.API,
    Source.EVENT,
    Source.SCHEDULE,
    Source.MANUAL,
    Source.IMPORT,
    Source.VENUE,
    Source.SIMULATED,
)
MODES = (Mode.SYNC, Mode.ASYNC)
SEVERITIES = (Severity.DEBUG, Severity.INFO, Severity.WARNING, Severity.ERROR)
REFERENCES = (
    "parent_id",
    "order_id",
    "workflow_id",
    "controller_id",
    "external_ref",
    "event_id",
    "trading_pair",
    "instrument",
    "application",
)

KIND_CODE = {kind: code for code, kind in enumerate(KINDS)}
STATUS_CODE = {status: code for code, status in enumerate(STATUSES)}
SOURCE_CODE = {source: code for code, source in enumerate(SOURCES)}
MODE_CODE = {mode: code for code, mode in enumerate(MODES)}
SEVERITY_CODE = {severity: code for code, severity in enumerate(SEVERITIES)}
REFERENCE_CODE = {name: code for code, name in enumerate(REFERENCES)}

# What a node of the counter tree counts besides single cells: every row, those of one kind, those of one status.
EVERY = -1


def every_of_kind(kind_code: int) -> int:
    return -2 - kind_code


def every_of_status(status_code: int) -> int:
    return -100 - status_code


@cache
def pack(kind: Kind, status: Status, source: Source, mode: Mode) -> int:
    """The cell of a row: kind in bits 0-1, status in 2-5, source in 6-9, mode in bit 10."""
    return KIND_CODE[kind] | STATUS_CODE[status] << 2 | SOURCE_CODE[source] << 6 | MODE_CODE[mode] << 10


def with_status(cell: int, status: Status) -> int:
    return cell & ~(15 << 2) | STATUS_CODE[status] << 2


def kind_of(cell: int) -> Kind:
    return KINDS[cell & 3]


def status_of(cell: int) -> Status:
    return STATUSES[cell >> 2 & 15]


def source_of(cell: int) -> Source:
    return SOURCES[cell >> 6 & 15]


def mode_of(cell: int) -> Mode:
    return MODES[cell >> 10 & 1]


def counted_as(cell: int) -> tuple[int, int, int, int]:
    """The counters that a row of this cell adds to in every node."""
    return cell, EVERY, every_of_kind(cell & 3), every_of_status(cell >> 2 & 15)


def matches(query: Filter, cell: int) -> bool:
    return cell in _matching(query.kinds, query.statuses, query.sources, query.modes)


def filter_cells(query: Filter) -> frozenset[int]:
    """All cells that a row of the filter may have."""
    return _matching(query.kinds, query.statuses, query.sources, query.modes)


@lru_cache(maxsize=512)
def _matching(
    kinds: frozenset[Kind], statuses: frozenset[Status], sources: frozenset[Source], modes: frozenset[Mode]
) -> frozenset[int]:
    """The cells of a filter; the same few filters are asked again and again."""
    words = itertools.product(kinds or KINDS, statuses or STATUSES, sources or SOURCES, modes or MODES)
    return frozenset(pack(*word) for word in words)


def matching_cells(query: Filter, existing: Iterable[int]) -> list[int]:
    wanted = _matching(query.kinds, query.statuses, query.sources, query.modes)
    return [cell for cell in existing if cell in wanted]


def counters_for(chosen: list[int], existing: Iterable[int]) -> list[int]:
    """The fewest counters whose sum counts exactly the rows of the chosen cells, of those that exist in the scope."""
    cells = set(chosen)
    others = {cell for cell in existing if cell >= 0} - cells
    if not others:
        return [EVERY]
    kinds = {cell & 3 for cell in cells}
    if not any(cell & 3 in kinds for cell in others):
        return sorted(every_of_kind(kind) for kind in kinds)
    statuses = {cell >> 2 & 15 for cell in cells}
    if not any(cell >> 2 & 15 in statuses for cell in others):
        return sorted(every_of_status(status) for status in statuses)
    return sorted(chosen)


assert set(REFERENCES) == {"parent_id", *CORRELATIONS}

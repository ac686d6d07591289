"""Small integers for the words of the record. They are on disk: append to a list, never reorder it."""

from __future__ import annotations

from collections.abc import Iterable

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

# What a node of the counter tree counts besides single cells: every row, and every row of one kind.
EVERY = -1


def every_of_kind(kind_code: int) -> int:
    return -2 - kind_code


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


def counted_as(cell: int) -> tuple[int, int, int]:
    """The three counters that a row of this cell adds to in every node."""
    return cell, EVERY, every_of_kind(cell & 3)


def matches(query: Filter, cell: int) -> bool:
    return (
        (not query.kinds or kind_of(cell) in query.kinds)
        and (not query.statuses or status_of(cell) in query.statuses)
        and (not query.sources or source_of(cell) in query.sources)
        and (not query.modes or mode_of(cell) in query.modes)
    )


def counters_for(query: Filter, existing: Iterable[int]) -> list[int]:
    """The fewest counters whose sum is the number of rows that match, of those that exist in the scope."""
    if not (query.statuses or query.sources or query.modes):
        if not query.kinds:
            return [EVERY]
        return [every_of_kind(KIND_CODE[kind]) for kind in query.kinds]
    return [cell for cell in existing if cell >= 0 and matches(query, cell)]


assert set(REFERENCES) == {"parent_id", *CORRELATIONS}

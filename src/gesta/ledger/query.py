"""What a reader may ask: scope, filter, page, cursor, summary. Plain values."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gesta.ledger.records import Event, Execution, Kind, Mode, Source, Status


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Every condition must hold; an empty set means no condition. Ranges are on `created_at_us`: from ≤ t < to.

    `organization` is always the caller's. `account` narrows to one account (fast at any size); `accounts` to several.
    kinds, statuses, sources, modes, account and the time range have exact totals at constant cost. So have, of runs
    alone (`kinds` says so), the correlations `workflow_id` and `application`, `applications` (any of these) and
    `name_contains` (case-insensitive, in the run's and its workflow's name), as long as few hundred combinations of
    account, workflow and name match. Else these, `parent_id`, other correlations and `accounts` cost time in proportion
    to what they match, and `name_contains` alone in proportion to all rows.
    """

    organization: int
    account: int | None = None
    accounts: frozenset[int] = frozenset()
    kinds: frozenset[Kind] = frozenset()
    statuses: frozenset[Status] = frozenset()
    sources: frozenset[Source] = frozenset()
    modes: frozenset[Mode] = frozenset()
    created_from_us: int | None = None
    created_to_us: int | None = None
    parent_id: str | None = None
    correlation: dict[str, str] = {}
    applications: frozenset[str] = frozenset()
    name_contains: str | None = None


class ExecutorFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Executors by what they are told apart by. One of the values of each set; an empty set means no condition.

    What matches is found at a cost that depends on how many different combinations of these words there are, not on
    how many executors. `trading_pairs` are those of the detail, `controllers` the correlation id.
    """

    organization: int
    accounts: frozenset[int] = frozenset()
    statuses: frozenset[Status] = frozenset()
    executor_types: frozenset[str] = frozenset()
    connectors: frozenset[str] = frozenset()
    trading_pairs: frozenset[str] = frozenset()
    controllers: frozenset[str] = frozenset()


class ExecutorSums(msgspec.Struct, frozen=True, kw_only=True):
    """How many executors there are of one combination, and exact sums of those that have ended; of active ones the
    sums are 0 and the close type is None. `won` counts those with a net profit, `net_pnl_quote_squares` sums the
    squares of the net profits, `net_pnl_pct` the fractions."""

    account: int
    status: Status
    executor_type: str | None
    connector: str | None
    trading_pair: str | None
    controller_id: str | None
    close_type: str | None
    count: int
    won: int
    net_pnl_quote: Decimal
    net_pnl_quote_squares: Decimal
    net_pnl_pct: Decimal
    fees_quote: Decimal
    filled_quote: Decimal


class Cursor(msgspec.Struct, frozen=True):
    """A place between two rows in event-time order. Opaque text outside (`cursor.py`)."""

    created_at_us: int
    row: int


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """`total` is exact, or None where it was not asked for. `next` is where `seek` goes on, None at the end."""

    rows: list[Execution]
    total: int | None
    has_more: bool
    next: Cursor | None = None


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """Rows after a cursor. `next` is None at the end."""

    rows: list[Execution]
    next: Cursor | None


class EventSlice(msgspec.Struct, frozen=True, kw_only=True):
    events: list[Event]
    has_more: bool


class SummaryRow(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and exact sums of one (day, account, kind, status, currency). Sums are decimal text.

    fills: quantity, volume = Σ price·quantity·point value, fees, pnl = Σ realized;
    executors: volume = filled quote, fees, pnl = net. Runs have counts only.
    """

    day: str | None
    account: int | None
    kind: Kind | None
    status: Status | None
    currency: str
    count: int
    quantity: str
    volume: str
    fees: str
    pnl: str

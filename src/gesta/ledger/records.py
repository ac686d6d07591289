"""The envelope of every execution and its typed details. Frozen values; money and quantities are Decimal.

Times end in `_us` and are UTC microseconds. A detail never repeats what the envelope holds.
"""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Any

import msgspec


class _Word(enum.StrEnum):
    """Words are hashed as the strings that they are: an Enum's own hash is a Python function, and these are looked up
    several times for each row."""

    __hash__ = str.__hash__


class Kind(_Word):
    FILL = "fill"
    EXECUTOR = "executor"
    RUN = "run"


class Status(_Word):
    """The canonical life cycle; `lifecycle.py` has the transitions."""

    AWAITING_PAYMENT = "awaiting_payment"
    PAID = "paid"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


class Source(_Word):
    """What started the execution."""

    API = "api"
    EVENT = "event"
    SCHEDULE = "schedule"
    MANUAL = "manual"
    IMPORT = "import"
    VENUE = "venue"
    SIMULATED = "simulated"


class Mode(_Word):
    SYNC = "sync"
    ASYNC = "async"


class Severity(_Word):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Side(_Word):
    BUY = "buy"
    SELL = "sell"


class Wire(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a vendor's own object said that its canonical form does not say again.

    `overrides` maps a key to `[derived, posted]`: as long as the codec derives the same value as at ingest, the posted
    one is printed; once the record has moved on, the derived one is. A one-element list `[derived]` means that the
    posted object lacked the key. `extra` holds keys that the codec does not know.
    """

    dialect: str
    overrides: dict[str, list[Any]] = {}
    extra: dict[str, Any] = {}


class FillDetail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="fill"):
    """One trade fill. `commission` is for the whole fill, in `currency`; `position_after` is signed.
    `cumulative_quantity` is what its order had filled up to and with this fill, where the venue says so.

    Derivations of the NinjaTrader fields: protocols/crosstrade.md §5.
    """

    order_id: str
    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal = Decimal(0)
    currency: str = "USD"
    point_value: Decimal = Decimal(1)
    instrument_type: str = "Future"
    venue: str = ""
    exchange: str = "Default"
    server_name: str = ""
    position_after: Decimal = Decimal(0)
    position_strategy: int = 0
    rate: Decimal = Decimal(1)
    lot_size: Decimal = Decimal(1)
    slippage_ticks: Decimal = Decimal(0)
    is_entry: bool = False
    is_entry_strategy: bool = False
    is_exit: bool = False
    is_exit_strategy: bool = False
    is_initial_entry: bool = False
    is_last_exit: bool = False
    is_start_of_day: bool = False
    bars_in_progress: int = 0
    realized_pnl: Decimal | None = None
    cumulative_quantity: Decimal | None = None


class ExecutorDetail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="executor"):
    """One live executor in the Hummingbot vocabulary (protocols/hummingbot.md). Percentages are fractions."""

    executor_type: str | None = None
    connector: str | None = None
    trading_pair: str | None = None
    side: Side | None = None
    is_trading: bool = False
    net_pnl_quote: Decimal = Decimal(0)
    net_pnl_pct: Decimal = Decimal(0)
    fees_quote: Decimal = Decimal(0)
    filled_quote: Decimal = Decimal(0)
    close_type: str | None = None
    error_count: int = 0
    last_error: str | None = None
    config: dict[str, Any] | None = None
    custom_info: dict[str, Any] | None = None


class Named(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A reference to something with a name and an icon: a workflow, an application."""

    id: str = ""
    name: str = ""
    icon: str = ""


class RunNode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One node of a workflow run, as far as it has come."""

    id: str
    name: str = ""
    type: str = ""
    status: str = "ready"
    is_batch: bool = False
    attempts: int = 0
    max_attempts: int = 1
    started_at_us: int | None = None
    duration_ms: int = 0
    input: Any = None
    output: Any = None


class RunDetail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="run"):
    """One workflow run: what B3OS calls an execution with a payment, and Refold an execution of a linked account."""

    workflow: Named = Named()
    application: Named | None = None
    trigger_application: Named | None = None
    config_id: str | None = None
    event_id: str | None = None
    run_id: str | None = None
    status_reason: str | None = None
    payment_status: str | None = None
    order_id: str | None = None
    checkout_session_id: str | None = None
    idempotency_key: str | None = None
    external_ref: str | None = None
    source_system: str | None = None
    source_entity_type: str | None = None
    source_entity_id: str | None = None
    initiated_by_id: str | None = None
    initiated_by_type: str | None = None
    request_payload: Any = None
    response_payload: Any = None
    client_safe_metadata: Any = None
    error: str | None = None
    nodes: tuple[RunNode, ...] = ()
    # The version of the workflow that it keeps to, and the run that it is a run again of.
    workflow_version: int | None = None
    source_run_id: str | None = None


Detail = FillDetail | ExecutorDetail | RunDetail

KIND_OF_DETAIL: dict[type, Kind] = {FillDetail: Kind.FILL, ExecutorDetail: Kind.EXECUTOR, RunDetail: Kind.RUN}

# The correlation ids by which executions can be filtered; each is one entry in `correlation`.
CORRELATIONS = (
    "order_id",
    "workflow_id",
    "controller_id",
    "external_ref",
    "event_id",
    "trading_pair",
    "instrument",
    "application",
)


class NewExecution(msgspec.Struct, frozen=True, kw_only=True):
    """One row to append. `organization` comes from the caller's credential, never from the row.

    `id` is the id wanted: kept if it is free in the organization, else one is derived from (account, origin, id), so
    that the same vendor id in two accounts gives two rows. `origin` names the system whose ids these are
    (`ninjatrader`, `bitmex`, `refold` …): (organization, account, origin, id) is the idempotency key.

    `content`, when given, is what a repeated row is compared by, instead of the row's own fields: the posted bytes, for
    instance, when the row holds defaults that were taken from the clock.
    """

    id: str
    account: int
    origin: str
    name: str
    status: Status
    source: Source
    created_at_us: int
    detail: Detail
    mode: Mode = Mode.ASYNC
    parent_id: str | None = None
    correlation: dict[str, str] = {}
    started_at_us: int | None = None
    finished_at_us: int | None = None
    updated_at_us: int | None = None
    wire: Wire | None = None
    content: bytes | None = None

    @property
    def kind(self) -> Kind:
        return KIND_OF_DETAIL[type(self.detail)]


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the ledger as it stands. `seq` is the feed position of its newest event; `version` starts at 1."""

    id: str
    organization: int
    account: int
    kind: Kind
    name: str
    status: Status
    source: Source
    mode: Mode
    origin: str
    external_id: str
    parent_id: str | None
    correlation: dict[str, str]
    created_at_us: int
    started_at_us: int | None
    finished_at_us: int | None
    updated_at_us: int
    recorded_at_us: int
    version: int
    seq: int
    detail: Detail
    wire: Wire | None = None


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What an event says. `type` is a dotted word such as `execution.running` or `node.failed`."""

    type: str
    level: Severity = Severity.INFO
    title: str = ""
    message: str = ""
    at_us: int | None = None
    data: dict[str, Any] = {}


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """A change of one execution and the event that tells it. `status` None keeps the status (an amendment).

    `expected_version`, when given, makes a stale change a Conflict. `detail` replaces the whole detail.
    """

    event: NewEvent
    status: Status | None = None
    detail: Detail | None = None
    expected_version: int | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the timeline, the transition log and the change feed, which are one."""

    seq: int
    execution_id: str
    at_us: int
    recorded_at_us: int
    type: str
    level: Severity
    from_status: Status | None
    to_status: Status | None
    title: str
    message: str
    data: dict[str, Any]


class FeedItem(msgspec.Struct, frozen=True, kw_only=True):
    """An event and the execution as it stands when the feed is read."""

    event: Event
    execution: Execution


class Outcome(_Word):
    RECORDED = "recorded"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


class AppendResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one appended row. `id` is the row's id in the ledger; `seq` its birth in the feed."""

    outcome: Outcome
    id: str
    seq: int
    message: str = ""

"""The wire shapes of Gesta's own dialect: what is posted. What is printed is built by codec.py from the same fields.

Times are RFC 3339 text; money, prices and quantities are decimal text (a JSON number is read exactly, too). Unknown
fields are refused, so that a misspelt one is never silently dropped.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gesta.access.model import AccountType, Environment
from gesta.ledger.records import Kind, Mode, Severity, Side, Source, Status

MAX_SAFE = 2**63 - 1

Text = Annotated[str, Meta(max_length=4096)]
Message = Annotated[str, Meta(max_length=65_536)]
LongText = Annotated[str, Meta(max_length=262_144)]
ZERO, ONE = Decimal(0), Decimal(1)

Reference = Annotated[str, Meta(max_length=512)]
Token = Annotated[str, Meta(min_length=1, max_length=256)]
Small = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Millis = Annotated[int, Meta(ge=0, le=MAX_SAFE)]
Money = Annotated[
    Decimal, Meta(description="A decimal, as text (preferred) or as a number; at most 36 digits, below 10^30.")
]
Moment = Annotated[
    str,
    Meta(
        max_length=64,
        description="RFC 3339 with up to six fraction digits; without a zone it is UTC. 1970 to 9999.",
        examples=["2026-03-10T12:00:00.000000Z"],
    ),
]


class _In(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class FillModel(_In, frozen=True, kw_only=True, tag_field="kind", tag="fill"):
    """One trade fill. `commission` is for the whole fill, in `currency`; `position_after` is signed."""

    order_id: Text
    instrument: Token
    side: Side
    quantity: Money
    price: Money
    commission: Money = ZERO
    currency: Token = "USD"
    point_value: Money = ONE
    instrument_type: Text = "Future"
    venue: Text = ""
    exchange: Text = "Default"
    server_name: Text = ""
    position_after: Money = ZERO
    position_strategy: Small = 0
    rate: Money = ONE
    lot_size: Money = ONE
    slippage_ticks: Money = ZERO
    is_entry: bool = False
    is_entry_strategy: bool = False
    is_exit: bool = False
    is_exit_strategy: bool = False
    is_initial_entry: bool = False
    is_last_exit: bool = False
    is_start_of_day: bool = False
    bars_in_progress: Small = 0
    realized_pnl: Money | None = None
    cumulative_quantity: Money | None = None


class ExecutorModel(_In, frozen=True, kw_only=True, tag_field="kind", tag="executor"):
    """One live executor in the Hummingbot vocabulary. Percentages are fractions: 0.01 is one percent."""

    executor_type: Text | None = None
    connector: Text | None = None
    trading_pair: Reference | None = None
    side: Side | None = None
    is_trading: bool = False
    net_pnl_quote: Money = ZERO
    net_pnl_pct: Money = ZERO
    fees_quote: Money = ZERO
    filled_quote: Money = ZERO
    close_type: Text | None = None
    error_count: Count = 0
    last_error: LongText | None = None
    config: dict[str, Any] | None = None
    custom_info: dict[str, Any] | None = None


class NamedModel(_In, frozen=True, kw_only=True):
    """A reference to something with a name and an icon: a workflow, an application."""

    id: Reference = ""
    name: Text = ""
    icon: Text = ""


class NodeModel(_In, frozen=True, kw_only=True):
    """One node of a workflow run, as far as it has come."""

    id: Token
    name: Text = ""
    type: Text = ""
    status: Text = "ready"
    is_batch: bool = False
    attempts: Count = 0
    max_attempts: Count = 1
    started_at: Moment | None = None
    duration_ms: Millis = 0
    input: Any = None
    output: Any = None


class RunModel(_In, frozen=True, kw_only=True, tag_field="kind", tag="run"):
    """One workflow run."""

    workflow: NamedModel = NamedModel()
    application: NamedModel | None = None
    trigger_application: NamedModel | None = None
    config_id: Text | None = None
    event_id: Reference | None = None
    run_id: Text | None = None
    status_reason: LongText | None = None
    payment_status: Text | None = None
    order_id: Reference | None = None
    checkout_session_id: Text | None = None
    idempotency_key: Text | None = None
    external_ref: Reference | None = None
    source_system: Text | None = None
    source_entity_type: Text | None = None
    source_entity_id: Text | None = None
    initiated_by_id: Text | None = None
    initiated_by_type: Text | None = None
    request_payload: Any = None
    response_payload: Any = None
    client_safe_metadata: Any = None
    error: LongText | None = None
    nodes: Annotated[tuple[NodeModel, ...], Meta(max_length=1000)] = ()
    workflow_version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    source_run_id: Annotated[Token | None, Meta(description="The run that this one is again.")] = None


DetailModel = FillModel | ExecutorModel | RunModel


class WireModel(_In, frozen=True, kw_only=True):
    """What a vendor's own object said that the fields do not say again; kept so that an export is complete."""

    dialect: Token
    overrides: dict[str, Annotated[list[Any], Meta(min_length=1, max_length=2)]] = {}
    extra: dict[str, Any] = {}


class CorrelationModel(_In, frozen=True, kw_only=True, omit_defaults=True):
    """The ids by which executions are found. What the detail says is found without being said here again."""

    order_id: Reference | None = None
    workflow_id: Reference | None = None
    controller_id: Reference | None = None
    external_ref: Reference | None = None
    event_id: Reference | None = None
    trading_pair: Reference | None = None
    instrument: Reference | None = None
    application: Reference | None = None


class RowModel(_In, frozen=True, kw_only=True):
    """One execution to record.

    (organization, account, `origin`, `id`) is the idempotency key. `external_id`, `version`, `seq` and `recorded_at`
    are taken so that an exported row can be posted as it stands: `external_id` then is the id wanted, the others are
    ignored.
    """

    id: Annotated[str, Meta(min_length=1, max_length=200, description="Printable text, neither `.` nor `..`.")]
    account: Token
    created_at: Moment
    detail: DetailModel
    account_type: Annotated[
        AccountType | None, Meta(description="By default `trading` for fills and executors, `linked` for runs.")
    ] = None
    environment: Environment | None = None
    kind: Annotated[Kind | None, Meta(description="If given, it must be that of `detail`.")] = None
    origin: Annotated[
        str, Meta(min_length=1, max_length=64, description="The system whose ids these are: `bitmex`, `myapp` …")
    ] = "native"
    name: Annotated[str, Meta(max_length=1024)] = ""
    status: Annotated[Status | None, Meta(description="By default `succeeded` for a fill; required otherwise.")] = None
    source: Source = Source.API
    mode: Mode = Mode.ASYNC
    parent_id: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    correlation: CorrelationModel = CorrelationModel()
    started_at: Moment | None = None
    finished_at: Moment | None = None
    updated_at: Moment | None = None
    external_id: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    version: int | None = None
    seq: int | None = None
    recorded_at: Moment | None = None
    wire: WireModel | None = None


class EventModel(_In, frozen=True, kw_only=True):
    """What an event says. `type` is a dotted word such as `node.failed`; `at` defaults to now."""

    type: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.:\-]+$")]
    level: Severity = Severity.INFO
    title: Text = ""
    message: Message = ""
    at: Moment | None = None
    data: dict[str, Any] = {}


class TransitionEventModel(_In, frozen=True, kw_only=True):
    """As an event; without `type` it is `execution.` and the new status, or `execution.amended`."""

    type: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.:\-]+$")] | None = None
    level: Severity = Severity.INFO
    title: Text = ""
    message: Message = ""
    at: Moment | None = None
    data: dict[str, Any] = {}


class TransitionModel(_In, frozen=True, kw_only=True):
    """A change of one execution: a new `status`, a new `detail` (the whole of it), or both."""

    status: Status | None = None
    detail: DetailModel | None = None
    event: TransitionEventModel = TransitionEventModel()
    expected_version: Annotated[int, Meta(ge=1, le=MAX_SAFE)] | None = None


Reason = Annotated[str, Meta(min_length=1, max_length=1024, description="Why, in words; the timeline keeps it.")]


class BustModel(_In, frozen=True, kw_only=True):
    """The venue takes a fill back: it did not happen."""

    reason: Reason


class CorrectModel(_In, frozen=True, kw_only=True):
    """What was different about a fill. What is left out stays; `commission` is for the whole fill."""

    reason: Reason
    price: Money | None = None
    quantity: Money | None = None
    commission: Money | None = None


class FundsModel(_In, frozen=True, kw_only=True):
    """The paper money of an account, and the largest position that it may hold in any one instrument."""

    cash: Money | None = None
    max_position: Money | None = None


class NewExecutorModel(_In, frozen=True, kw_only=True):
    """An executor to start. Without `account` it trades for the credential's own, else for `master_account`, which is
    made if it does not exist."""

    config: Annotated[
        dict[str, Any], Meta(description="Its `type` and that type's fields, in the Hummingbot vocabulary.")
    ]
    account: Token | None = None
    controller_id: Reference = "main"


class StopExecutorModel(_In, frozen=True, kw_only=True):
    """`keep_position` leaves open what it holds, instead of closing it."""

    keep_position: bool = False


class MarketQuoteModel(_In, frozen=True, kw_only=True):
    """The best bid and ask. A size of 0 means that the side is empty: its price may then be null. `time` is the
    market's own, that of receipt where it is missing."""

    instrument: Token
    bid: Money | None = None
    ask: Money | None = None
    bid_size: Money
    ask_size: Money
    time: Moment | None = None


class MarketTradeModel(_In, frozen=True, kw_only=True):
    """One print. `aggressor` is null where it is not known."""

    instrument: Token
    price: Money
    size: Money
    aggressor: Literal["buy", "sell"] | None = None
    time: Moment | None = None

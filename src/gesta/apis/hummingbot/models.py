"""The wire shapes of hummingbot-api as msgspec types: the source of the OpenAPI schemas (seed 002).

The published schema requires the first twelve keys of an executor; the others may be absent or null.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


class ExecutorDetailResponse(msgspec.Struct, kw_only=True):
    """Detailed response for a single executor."""

    executor_id: Annotated[str, Meta(description="Unique executor identifier")]
    executor_type: Annotated[str | None, Meta(description="Type of executor")]
    account_name: Annotated[str | None, Meta(description="Account name")]
    connector_name: Annotated[str | None, Meta(description="Connector name")]
    trading_pair: Annotated[str | None, Meta(description="Trading pair")]
    status: Annotated[
        Literal["NOT_STARTED", "RUNNING", "SHUTTING_DOWN", "TERMINATED"],
        Meta(description="Current status (RUNNING, TERMINATED, etc.)"),
    ]
    is_active: Annotated[bool, Meta(description="Whether the executor is active")]
    is_trading: Annotated[bool, Meta(description="Whether the executor has open trades")]
    net_pnl_quote: Annotated[float, Meta(description="Net PnL in quote currency")]
    net_pnl_pct: Annotated[float, Meta(description="Net PnL percentage")]
    cum_fees_quote: Annotated[float, Meta(description="Cumulative fees in quote currency")]
    filled_amount_quote: Annotated[float, Meta(description="Total filled amount in quote currency")]
    side: Annotated[str | UnsetType | None, Meta(description="Trade side (BUY/SELL) if applicable")] = UNSET
    timestamp: Annotated[float | UnsetType | None, Meta(description="Creation timestamp (Unix)")] = UNSET
    created_at: Annotated[str | UnsetType | None, Meta(description="Creation timestamp (ISO format)")] = UNSET
    close_type: Annotated[str | UnsetType | None, Meta(description="How the executor was closed (if applicable)")] = (
        UNSET
    )
    close_timestamp: Annotated[float | UnsetType | None, Meta(description="Close timestamp (Unix)")] = UNSET
    controller_id: Annotated[
        str | UnsetType | None, Meta(description="ID of the controller that spawned this executor")
    ] = UNSET
    error_count: Annotated[int | None, Meta(description="Number of ERROR-level log entries captured")] = 0
    last_error: Annotated[str | UnsetType | None, Meta(description="Most recent error message, if any")] = UNSET
    config: Annotated[dict[str, Any] | UnsetType | None, Meta(description="Full executor configuration")] = UNSET
    custom_info: Annotated[
        dict[str, Any] | UnsetType | None, Meta(description="Executor-specific custom information")
    ] = UNSET


class ExecutorLogEntry(msgspec.Struct, kw_only=True):
    """A single log entry of an executor."""

    timestamp: Annotated[str, Meta(description="ISO-format timestamp")]
    level: Annotated[Level, Meta(description="Log level")]
    message: Annotated[str, Meta(description="Log message")]
    exc_info: Annotated[str | None, Meta(description="Exception traceback if present")] = None


class ExecutorLogsResponse(msgspec.Struct, kw_only=True):
    """The newest log entries of an executor, oldest first."""

    executor_id: Annotated[str, Meta(description="Executor identifier")]
    logs: Annotated[list[ExecutorLogEntry], Meta(description="Log entries")]
    total_count: Annotated[int, Meta(description="Total number of log entries (before limit)")]


class CreateExecutorResponse(msgspec.Struct, kw_only=True):
    """A created executor. For those of two markets, connector and pair are the buying market's."""

    executor_id: Annotated[str, Meta(description="Unique executor identifier")]
    executor_type: Annotated[str, Meta(description="Type of executor created")]
    connector_name: Annotated[str | None, Meta(description="Connector name")]
    trading_pair: Annotated[str | None, Meta(description="Trading pair")]
    controller_id: Annotated[str | None, Meta(description="Controller that owns this executor")]
    status: Annotated[str, Meta(description="Initial status; TERMINATED where it could not begin")]
    created_at: Annotated[str, Meta(description="Creation timestamp (ISO format)")]


class StopExecutorResponse(msgspec.Struct, kw_only=True):
    """The executor has been asked to stop."""

    executor_id: Annotated[str, Meta(description="Executor identifier")]
    status: Literal["stopping"]
    keep_position: Annotated[bool, Meta(description="Whether the position is kept open")]


class Pagination(msgspec.Struct, kw_only=True):
    limit: int
    has_more: bool
    next_cursor: Annotated[str | None, Meta(description="Give it as `cursor` for the next page; null at the end")]
    total_count: Annotated[
        int | None, Meta(description="All that fit, on every page. Null where too many rows had to be looked through")
    ]


class PaginatedResponse(msgspec.Struct, kw_only=True):
    """A page of executors, newest first."""

    data: list[ExecutorDetailResponse]
    pagination: Pagination


class ExecutorsSummaryResponse(msgspec.Struct, kw_only=True):
    """The active executors, at current prices."""

    total_active: Annotated[int, Meta(description="Number of active executors")]
    total_pnl_quote: Annotated[float, Meta(description="Total PnL across active executors")]
    total_volume_quote: Annotated[float, Meta(description="Total volume across active executors")]
    by_type: Annotated[dict[str, int], Meta(description="Executor count by type")]
    by_connector: Annotated[dict[str, int], Meta(description="Executor count by connector")]
    by_status: Annotated[dict[str, int], Meta(description="Executor count by status")]


class ExecutorTypeBreakdown(msgspec.Struct, kw_only=True):
    """PnL, volume and fees are of the completed ones."""

    executor_type: str
    total: int
    completed: int
    running: int
    pnl_quote: float
    volume_quote: float
    fees_quote: float


class PerformanceReportResponse(msgspec.Struct, kw_only=True):
    """Completed are the executors that have ended, except with POSITION_HOLD."""

    controller_id: Annotated[str | None, Meta(description="Controller ID filter (null = all)")]
    total_executors: int
    by_status: dict[str, int]
    pnl_total_quote: Annotated[float, Meta(description="Net PnL of the completed executors")]
    unrealized_pnl_quote: Annotated[
        float, Meta(description="Net PnL of active executors and held positions, at current prices")
    ]
    global_pnl_quote: Annotated[float, Meta(description="The sum of both")]
    pnl_pct_avg: Annotated[float, Meta(description="Average net PnL percentage of the completed executors")]
    fees_total_quote: float
    volume_total_quote: float
    win_rate: Annotated[float, Meta(description="Fraction of the completed executors with a profit")]
    sharpe_ratio: Annotated[
        float | None, Meta(description="Mean by sample deviation of the net PnL; null for fewer than two, or all equal")
    ]
    by_type: list[ExecutorTypeBreakdown]
    active_positions: Annotated[int, Meta(description="Number of held positions")]


class ExecutorType(msgspec.Struct, kw_only=True):
    type: str
    description: str
    use_case: str
    available: Annotated[bool, Meta(description="Whether it can be created on this server")]
    reason: Annotated[str | None, Meta(description="Why it cannot")]


class ExecutorTypesResponse(msgspec.Struct, kw_only=True):
    """Every executor type."""

    executor_types: list[ExecutorType]


class ConfigField(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    description: str
    type: Annotated[str, Meta(description="string, integer, number, boolean, enum, array, or a nested type's name")]
    required: bool
    default: Any = None
    enum_values: list[str] | UnsetType = UNSET


class NestedType(msgspec.Struct, kw_only=True):
    description: str
    fields: list[ConfigField]


class ExecutorConfigResponse(msgspec.Struct, kw_only=True):
    """The fields of a configuration."""

    executor_type: str
    config_class: str
    description: str
    fields: list[ConfigField]
    nested_types: dict[str, NestedType]


class ErrorResponse(msgspec.Struct, kw_only=True):
    """Every error but a validation error."""

    detail: Annotated[str, Meta(description="What went wrong, as a sentence")]


class ValidationError(msgspec.Struct, kw_only=True):
    """One defect of a request, as FastAPI words it."""

    loc: Annotated[list[str | int], Meta(description="Where: query, path or body, then the name")]
    msg: str
    type: str
    input: Any = None
    ctx: dict[str, Any] | UnsetType = UNSET


class HTTPValidationError(msgspec.Struct, kw_only=True):
    """A request that does not fit its parameters."""

    detail: list[ValidationError]


WIRE_TYPES = (
    ExecutorDetailResponse,
    ExecutorLogsResponse,
    CreateExecutorResponse,
    StopExecutorResponse,
    PaginatedResponse,
    ExecutorsSummaryResponse,
    PerformanceReportResponse,
    ExecutorTypesResponse,
    ExecutorConfigResponse,
    ErrorResponse,
    HTTPValidationError,
)


def schemas() -> dict[str, Any]:
    """`components.schemas` of the OpenAPI document."""
    _, components = msgspec.json.schema_components(WIRE_TYPES, ref_template="#/components/schemas/{name}")
    return components

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


WIRE_TYPES = (ExecutorDetailResponse, ExecutorLogsResponse, ErrorResponse, HTTPValidationError)


def schemas() -> dict[str, Any]:
    """`components.schemas` of the OpenAPI document."""
    _, components = msgspec.json.schema_components(WIRE_TYPES, ref_template="#/components/schemas/{name}")
    return components

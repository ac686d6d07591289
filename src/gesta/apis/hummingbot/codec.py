"""Executions ↔ hummingbot-api's executor object (seed 002, protocols/hummingbot.md §1 and §11). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from gesta.access.model import Account, AccountType, Environment
from gesta.apis.common.overrides import capture, restore
from gesta.apis.common.posted import MAX_NAME, PostedObject, as_recorded, plain_object
from gesta.apis.common.services import Decoded
from gesta.executors import vocabulary
from gesta.executors.vocabulary import DEFAULT_ACCOUNT
from gesta.kernel.errors import InvalidInput
from gesta.kernel.json import encode_json_sorted
from gesta.kernel.times import format_shortest, to_datetime
from gesta.ledger.lifecycle import TERMINAL
from gesta.ledger.records import Event, Execution, ExecutorDetail, NewExecution, Severity, Side, Source, Status

DIALECT = "hummingbot"

# RunnableStatus of each canonical status. An executor is never in the two payment states.
RUNNABLE_STATUS: dict[Status, str] = {
    Status.AWAITING_PAYMENT: "NOT_STARTED",
    Status.PAID: "NOT_STARTED",
    Status.QUEUED: "NOT_STARTED",
    Status.RUNNING: "RUNNING",
    Status.WAITING: "RUNNING",
    Status.STOPPING: "SHUTTING_DOWN",
    Status.SUCCEEDED: "TERMINATED",
    Status.FAILED: "TERMINATED",
    Status.CANCELLED: "TERMINATED",
    Status.TIMED_OUT: "TERMINATED",
}

# The canonical status of each RunnableStatus; TERMINATED is decided by the close type.
STATUS_OF_RUNNABLE: dict[str, Status] = {
    "NOT_STARTED": Status.QUEUED,
    "RUNNING": Status.RUNNING,
    "SHUTTING_DOWN": Status.STOPPING,
    "TERMINATED": Status.SUCCEEDED,
}

# How an executor ended; SYSTEM_CLEANUP is what hummingbot-api stamps on executors that it lost at a restart.
STATUS_OF_CLOSE_TYPE: dict[str, Status] = {
    **{close_type.value: status for close_type, status in vocabulary.STATUS_OF_CLOSE_TYPE.items()},
    "SYSTEM_CLEANUP": Status.FAILED,
}

# What is printed of an executor that ended without saying how.
CLOSE_TYPE_OF_STATUS: dict[Status, str] = {
    Status.SUCCEEDED: "COMPLETED",
    Status.FAILED: "FAILED",
    Status.CANCELLED: "EARLY_STOP",
    Status.TIMED_OUT: "EXPIRED",
}

# RANGE is the trade type of liquidity positions, which have no side.
SIDES: dict[str, Side | None] = {"BUY": Side.BUY, "SELL": Side.SELL, "RANGE": None}

# The executor types that are active until they have closed everything (protocols/hummingbot.md §1.3).
ACTIVE_WHILE_STOPPING = frozenset({"grid_executor"})

# The keys that the published schema requires: always printed, even where a posted object lacked them.
REQUIRED = (
    "executor_id",
    "executor_type",
    "account_name",
    "connector_name",
    "trading_pair",
    "status",
    "is_active",
    "is_trading",
    "net_pnl_quote",
    "net_pnl_pct",
    "cum_fees_quote",
    "filled_amount_quote",
)


def double(value: Decimal) -> float:
    """The nearest binary double; what is not finite is reported as 0 (protocols/hummingbot.md §1.3)."""
    number = float(value)
    return number if abs(number) <= 1.7976931348623157e308 else 0.0


def encode(execution: Execution, account: Account | None) -> dict[str, Any]:
    """The executor object of an execution whose detail is an ExecutorDetail. All 22 keys, unset ones null, except
    where the object was posted in this shape: then as it was posted, as long as the record still says the same."""
    detail = execution.detail
    assert isinstance(detail, ExecutorDetail)
    status, is_over = execution.status, execution.status in TERMINAL
    is_active = not is_over and (status is not Status.STOPPING or detail.executor_type in ACTIVE_WHILE_STOPPING)
    finished_at_us = execution.finished_at_us
    derived: dict[str, Any] = {
        "executor_id": execution.id,
        "executor_type": detail.executor_type,
        "account_name": None if account is None else account.name,
        "connector_name": detail.connector,
        "trading_pair": detail.trading_pair,
        "side": None if detail.side is None else detail.side.name,
        "status": RUNNABLE_STATUS[status],
        "is_active": is_active,
        "is_trading": detail.is_trading and not is_over,
        "timestamp": execution.created_at_us / 1_000_000,
        "created_at": format_shortest(execution.created_at_us),
        "close_type": detail.close_type or CLOSE_TYPE_OF_STATUS.get(status),
        "close_timestamp": None if finished_at_us is None else finished_at_us / 1_000_000,
        "controller_id": execution.correlation.get("controller_id"),
        "net_pnl_quote": double(detail.net_pnl_quote),
        "net_pnl_pct": double(detail.net_pnl_pct),
        "cum_fees_quote": double(detail.fees_quote),
        "filled_amount_quote": double(detail.filled_quote),
        "error_count": detail.error_count,
        "last_error": detail.last_error,
        "config": detail.config,
        "custom_info": detail.custom_info,
    }
    return restore(execution.wire, DIALECT, derived)


def decode(posted: Mapping[str, Any], *, now_us: int, organization: str) -> Decoded:
    """Read an executor object as `GET /executors/{executor_id}` of any hummingbot-api gives it.

    `executor_id` and `status` are needed, every other key may be missing. An executor without a creation time gets
    its close time, else `now_us`. Raises InvalidInput naming the field.
    """
    values = plain_object(posted)
    fields = PostedObject(values)
    executor_id = fields.id("executor_id")
    detail, status = _detail(fields), _status(fields)
    pair, controller_id = detail.trading_pair, fields.text("controller_id", max_length=MAX_NAME)
    account_name = fields.text("account_name", max_length=MAX_NAME) or DEFAULT_ACCOUNT
    given_at_us, timestamp_us = fields.time_us("created_at"), fields.unix_us("timestamp")
    closed_at_us = fields.unix_us("close_timestamp")
    times_us = [at_us for at_us in (given_at_us, timestamp_us, closed_at_us) if at_us is not None]
    created_at_us = times_us[0] if times_us else now_us
    correlation = {"trading_pair": pair, "controller_id": controller_id}
    fields.flag("is_active")  # derived from the status; here only its type counts

    def row(account: Account) -> NewExecution:
        new = NewExecution(
            id=executor_id,
            account=account.id,
            origin=DIALECT,
            name=" ".join(part for part in (detail.executor_type or "executor", pair) if part),
            status=status,
            source=Source.API,
            created_at_us=created_at_us,
            detail=detail,
            correlation={key: value for key, value in correlation.items() if value},
            started_at_us=None if status is Status.QUEUED else created_at_us,
            finished_at_us=closed_at_us if status in TERMINAL else None,
            updated_at_us=closed_at_us if closed_at_us is not None and status in TERMINAL else created_at_us,
            content=encode_json_sorted(values),
        )
        derived = encode(as_recorded(new), account)
        shown = values | {key: derived[key] for key in REQUIRED if key not in values}
        return msgspec.structs.replace(new, wire=capture(DIALECT, shown, derived))

    return Decoded(
        account_name=account_name, account_type=AccountType.TRADING, environment=Environment.PRODUCTION, row=row
    )


def _detail(fields: PostedObject) -> ExecutorDetail:
    zero = Decimal(0)
    return ExecutorDetail(
        executor_type=fields.text("executor_type", max_length=MAX_NAME),
        connector=fields.text("connector_name", max_length=MAX_NAME),
        trading_pair=fields.text("trading_pair", max_length=MAX_NAME),
        side=fields.word("side", SIDES),
        is_trading=fields.flag("is_trading") or False,
        net_pnl_quote=fields.decimal("net_pnl_quote") or zero,
        net_pnl_pct=fields.decimal("net_pnl_pct") or zero,
        fees_quote=fields.decimal("cum_fees_quote") or zero,
        filled_quote=fields.decimal("filled_amount_quote") or zero,
        close_type=_close_type(fields),
        error_count=fields.count("error_count") or 0,
        last_error=fields.text("last_error"),
        config=fields.document("config"),
        custom_info=fields.document("custom_info"),
    )


def _close_type(fields: PostedObject) -> str | None:
    return fields.word("close_type", {name: name for name in STATUS_OF_CLOSE_TYPE})


def _status(fields: PostedObject) -> Status:
    status = fields.word("status", STATUS_OF_RUNNABLE)
    if status is None:
        raise InvalidInput(f"`status` must be one of {', '.join(STATUS_OF_RUNNABLE)}.", field="status")
    if status in TERMINAL:
        return STATUS_OF_CLOSE_TYPE.get(_close_type(fields) or "COMPLETED", status)
    return status


def encode_log(event: Event) -> dict[str, Any]:
    """One event of an executor's timeline as a log entry (protocols/hummingbot.md §11): ISO time with an offset."""
    words = [text for text in (event.title, event.message) if text]
    if not words and event.to_status is not None and event.to_status is not event.from_status:
        words = [f"{event.type}: {RUNNABLE_STATUS[event.to_status]}"]
    entry = {
        "timestamp": to_datetime(event.at_us).isoformat(),
        "level": LEVEL_OF_SEVERITY[event.level],
        "message": ": ".join(words) or event.type,
        "exc_info": event.data.get("exc_info"),
    }
    if not isinstance(entry["exc_info"], str):
        entry["exc_info"] = None
    return entry


LEVEL_OF_SEVERITY: dict[Severity, str] = {
    Severity.DEBUG: "DEBUG",
    Severity.INFO: "INFO",
    Severity.WARNING: "WARNING",
    Severity.ERROR: "ERROR",
}
SEVERITY_OF_LEVEL: dict[str, Severity] = {level: severity for severity, level in LEVEL_OF_SEVERITY.items()}

"""An executor's report as its row in the ledger. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gesta.executors.journal import Stored
from gesta.executors.machines.face import Log, Report, RunnableStatus
from gesta.executors.vocabulary import STATUS_OF_CLOSE_TYPE
from gesta.ledger.records import ExecutorDetail, Side, Status


def status_of(state: Any, report: Report | None = None) -> Status:
    """The canonical status of a machine's state."""
    status = report.status if report is not None else state.status
    close_type = report.close_type if report is not None else state.close_type
    if status is RunnableStatus.TERMINATED:
        return STATUS_OF_CLOSE_TYPE.get(close_type, Status.SUCCEEDED) if close_type is not None else Status.SUCCEEDED
    return Status.STOPPING if status is RunnableStatus.SHUTTING_DOWN else Status.RUNNING


def detail_of(
    stored: Stored, report: Report, lines: Sequence[Log] = (), before: ExecutorDetail | None = None
) -> ExecutorDetail:
    """What the ledger shows. `lines` are the newest lines of its log."""
    config = stored.config
    market = config if "connector_name" in config else config.get("buying_market", {})
    side = str(config.get("side", "")).upper()
    errors = [line.message for line in lines if line.level == "ERROR"]
    return ExecutorDetail(
        executor_type=stored.type,
        connector=market.get("connector_name"),
        trading_pair=market.get("trading_pair"),
        side={"BUY": Side.BUY, "1": Side.BUY, "SELL": Side.SELL, "2": Side.SELL}.get(side),
        is_trading=report.is_trading,
        net_pnl_quote=report.net_pnl_quote,
        net_pnl_pct=report.net_pnl_pct,
        fees_quote=report.cum_fees_quote,
        filled_quote=report.filled_amount_quote,
        close_type=None if report.close_type is None else report.close_type.value,
        error_count=(before.error_count if before is not None else 0) + len(errors),
        last_error=errors[-1] if errors else (before.last_error if before is not None else None),
        config=config,
        custom_info=msgspec.to_builtins(report.custom_info),
    )

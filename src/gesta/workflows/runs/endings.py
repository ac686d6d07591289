"""What the end of an executor or of a run says to the node that waited for it. Pure."""

from __future__ import annotations

from typing import Any

from gesta.ledger.records import Execution, ExecutorDetail, RunDetail, Status
from gesta.workflows.graph.progress import Woken


def ending_of(execution: Execution, path: str, at_us: int) -> Woken:
    """An executor wakes its node with its outcome, whatever it is; a run that failed fails it."""
    detail = execution.detail
    if isinstance(detail, RunDetail):
        if execution.status is not Status.SUCCEEDED:
            why = f": {detail.error}" if detail.error else ""
            return Woken(path=path, error=f"Run {execution.id} ended as {execution.status}{why}", at_us=at_us)
        return Woken(path=path, payload=output_of(detail), at_us=at_us)
    return Woken(path=path, payload=outcome_of(execution), at_us=at_us)


def output_of(detail: RunDetail) -> Any:
    """What a run gave: the body of its answer, or its output."""
    response = detail.response_payload
    if isinstance(response, dict) and set(response) == {"status_code", "body"}:
        return response["body"]
    return response


def outcome_of(execution: Execution) -> dict[str, Any]:
    """How an executor ended; money as exact text."""
    detail = execution.detail
    assert isinstance(detail, ExecutorDetail)
    return {
        "executor_id": execution.id,
        "status": execution.status.value,
        "failed": execution.status is not Status.SUCCEEDED,
        "close_type": detail.close_type,
        "net_pnl_quote": str(detail.net_pnl_quote),
        "net_pnl_pct": str(detail.net_pnl_pct),
        "fees_quote": str(detail.fees_quote),
        "filled_amount_quote": str(detail.filled_quote),
        "last_error": detail.last_error,
    }

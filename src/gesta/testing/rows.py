"""Rows to fill a ledger with, from small numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from gesta.ledger.records import (
    Detail,
    ExecutorDetail,
    FillDetail,
    Kind,
    Mode,
    Named,
    NewExecution,
    RunDetail,
    Side,
    Source,
    Status,
)


def fill(number: int, **changes: Any) -> NewExecution:
    """A fill of order `number // 3`, one second after the one before."""
    detail = FillDetail(
        order_id=f"order{number // 3}",
        instrument="ES 12-26",
        side=Side.BUY if number % 2 else Side.SELL,
        quantity=Decimal(number % 5 + 1),
        price=Decimal("5800.25") + number % 40,
        commission=Decimal("1.24"),
        point_value=Decimal(50),
    )
    return _row(
        f"{number:032x}", Status.SUCCEEDED, Source.VENUE, detail, {"order_id": detail.order_id}, number, changes
    )


def executor(number: int, status: Status = Status.RUNNING, **changes: Any) -> NewExecution:
    detail = ExecutorDetail(
        executor_type="position_executor",
        connector="binance_perpetual",
        trading_pair="BTC-USDT",
        side=Side.BUY,
        net_pnl_quote=Decimal(number) / 4,
        filled_quote=Decimal(100 + number),
        fees_quote=Decimal("0.05"),
    )
    return _row(f"executor{number}", status, Source.API, detail, {"controller_id": "main"}, number, changes)


def run(number: int, status: Status = Status.QUEUED, **changes: Any) -> NewExecution:
    detail = RunDetail(workflow=Named(id=f"wf{number % 7}", name=f"Rebalance {number % 7}"))
    source = (Source.API, Source.EVENT, Source.SCHEDULE)[number % 3]
    return _row(f"{number:024x}", status, source, detail, {"workflow_id": f"wf{number % 7}"}, number, changes)


def _row(
    id_: str,
    status: Status,
    source: Source,
    detail: Detail,
    correlation: dict[str, str],
    number: int,
    changes: dict[str, Any],
) -> NewExecution:
    row = NewExecution(
        id=id_,
        account=1,
        origin="test",
        name=f"Execution {number}",
        status=status,
        source=source,
        mode=Mode.SYNC if number % 4 == 0 else Mode.ASYNC,
        created_at_us=1_700_000_000_000_000 + number * 1_000_000,
        correlation=correlation,
        detail=detail,
    )
    return msgspec.structs.replace(row, **changes)


MAKERS = {Kind.FILL: fill, Kind.EXECUTOR: executor, Kind.RUN: run}

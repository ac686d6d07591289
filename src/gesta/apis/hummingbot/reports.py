"""The summary of active executors and the performance report (protocols/hummingbot.md §11.3). Pure; money is exact
until it is printed."""

from __future__ import annotations

from collections import Counter
from decimal import Context, Decimal
from typing import Any

import msgspec

from gesta.apis.hummingbot.codec import RUNNABLE_STATUS, double
from gesta.ledger.lifecycle import TERMINAL
from gesta.ledger.query import ExecutorSums
from gesta.ledger.records import Execution, ExecutorDetail

HELD = "POSITION_HOLD"
ZERO = Decimal(0)
# More digits than the square of any sum of executors has.
EXACT = Context(prec=400)


class Summary:
    """Of the active executors."""

    def __init__(self) -> None:
        self._types: Counter[str] = Counter()
        self._connectors: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._pnl = self._volume = ZERO

    def add(self, execution: Execution, detail: ExecutorDetail) -> None:
        self._types[detail.executor_type or "unknown"] += 1
        self._connectors[detail.connector or "unknown"] += 1
        self._statuses[RUNNABLE_STATUS[execution.status]] += 1
        self._pnl += detail.net_pnl_quote
        self._volume += detail.filled_quote

    def printed(self) -> dict[str, Any]:
        return {
            "total_active": self._statuses.total(),
            "total_pnl_quote": double(self._pnl),
            "total_volume_quote": double(self._volume),
            "by_type": dict(self._types),
            "by_connector": dict(self._connectors),
            "by_status": dict(self._statuses),
        }


class _OfType(msgspec.Struct):
    total: int = 0
    completed: int = 0
    running: int = 0
    pnl: Decimal = ZERO
    volume: Decimal = ZERO
    fees: Decimal = ZERO


class Performance:
    """Completed are the executors that have ended, except those whose position is held: that is not over. One without
    a close type counts too; in hummingbot-api it is lost to a comparison with NULL."""

    def __init__(self, controller_id: str | None) -> None:
        self._controller_id = controller_id
        self._statuses: Counter[str] = Counter()
        self._types: dict[str, _OfType] = {}
        self._completed = self._won = 0
        self._pnl = self._squares = self._pct = self._fees = self._volume = self._open = ZERO

    def add(self, sums: ExecutorSums) -> None:
        """Executors that are told apart by nothing."""
        self._statuses[RUNNABLE_STATUS[sums.status]] += sums.count
        of_type = self._types.setdefault(sums.executor_type or "unknown", _OfType())
        of_type.total += sums.count
        if sums.status not in TERMINAL:
            of_type.running += sums.count
            return
        if sums.close_type == HELD:
            return
        self._completed += sums.count
        self._won += sums.won
        self._pnl = EXACT.add(self._pnl, sums.net_pnl_quote)
        self._squares = EXACT.add(self._squares, sums.net_pnl_quote_squares)
        self._pct = EXACT.add(self._pct, sums.net_pnl_pct)
        self._fees = EXACT.add(self._fees, sums.fees_quote)
        self._volume = EXACT.add(self._volume, sums.filled_quote)
        of_type.completed += sums.count
        of_type.pnl = EXACT.add(of_type.pnl, sums.net_pnl_quote)
        of_type.volume = EXACT.add(of_type.volume, sums.filled_quote)
        of_type.fees = EXACT.add(of_type.fees, sums.fees_quote)

    def add_open(self, detail: ExecutorDetail) -> None:
        """An active executor, as it stands now."""
        self._open += detail.net_pnl_quote

    def printed(self, *, held_pnl_quote: Decimal = ZERO, active_positions: int = 0) -> dict[str, Any]:
        """`held_pnl_quote`: what the held positions are worth now above what they cost, less their fees."""
        unrealized = self._open + held_pnl_quote
        count = self._completed
        return {
            "controller_id": self._controller_id,
            "total_executors": self._statuses.total(),
            "by_status": dict(self._statuses),
            "pnl_total_quote": double(self._pnl),
            "unrealized_pnl_quote": double(unrealized),
            "global_pnl_quote": double(self._pnl + unrealized),
            "pnl_pct_avg": double(self._pct / count) if count else 0.0,
            "fees_total_quote": double(self._fees),
            "volume_total_quote": double(self._volume),
            "win_rate": self._won / count if count else 0.0,
            "sharpe_ratio": self._sharpe(),
            "by_type": [
                {
                    "executor_type": name,
                    "total": each.total,
                    "completed": each.completed,
                    "running": each.running,
                    "pnl_quote": double(each.pnl),
                    "volume_quote": double(each.volume),
                    "fees_quote": double(each.fees),
                }
                for name, each in sorted(self._types.items())
            ],
            "active_positions": active_positions,
        }

    def _sharpe(self) -> float | None:
        """Mean over sample deviation, not annualised; None for fewer than two, or where all are equal."""
        count = self._completed
        if count < 2:
            return None
        # Times count · (count − 1): exactly 0 where all are equal.
        spread = EXACT.subtract(EXACT.multiply(self._squares, count), EXACT.multiply(self._pnl, self._pnl))
        if not spread:
            return None
        variance = spread / count / (count - 1)
        return round(double(self._pnl / count / variance.sqrt()), 4)

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


class _Ended(msgspec.Struct):
    """Sums of executors that are completed."""

    count: int = 0
    won: int = 0
    pnl: Decimal = ZERO
    squares: Decimal = ZERO
    pct: Decimal = ZERO
    fees: Decimal = ZERO
    volume: Decimal = ZERO

    def add(self, other: _Ended) -> None:
        self.count += other.count
        self.won += other.won
        self.pnl = EXACT.add(self.pnl, other.pnl)
        self.squares = EXACT.add(self.squares, other.squares)
        self.pct = EXACT.add(self.pct, other.pct)
        self.fees = EXACT.add(self.fees, other.fees)
        self.volume = EXACT.add(self.volume, other.volume)


class _OfType:
    def __init__(self) -> None:
        self.total = self.running = 0
        self.ended = _Ended()


class Performance:
    """Completed are the executors that have ended, except those whose position is held: that is not over. One without
    a close type counts too; in hummingbot-api it is lost to a comparison with NULL."""

    def __init__(self, controller_id: str | None) -> None:
        self._controller_id = controller_id
        self._statuses: Counter[str] = Counter()
        self._types: dict[str, _OfType] = {}
        self._open = ZERO

    def add(self, sums: ExecutorSums) -> None:
        """Executors that are told apart by nothing."""
        self._statuses[RUNNABLE_STATUS[sums.status]] += sums.count
        of_type = self._types.setdefault(sums.executor_type or "unknown", _OfType())
        of_type.total += sums.count
        if sums.status not in TERMINAL:
            of_type.running += sums.count
        elif sums.close_type != HELD:
            of_type.ended.add(
                _Ended(
                    count=sums.count,
                    won=sums.won,
                    pnl=sums.net_pnl_quote,
                    squares=sums.net_pnl_quote_squares,
                    pct=sums.net_pnl_pct,
                    fees=sums.fees_quote,
                    volume=sums.filled_quote,
                )
            )

    def add_open(self, detail: ExecutorDetail) -> None:
        """An active executor, as it stands now."""
        self._open += detail.net_pnl_quote

    def printed(self, *, held_pnl_quote: Decimal = ZERO, active_positions: int = 0) -> dict[str, Any]:
        """`held_pnl_quote`: what the held positions are worth now above what they cost, less their fees."""
        unrealized = self._open + held_pnl_quote
        all_ended = _Ended()
        for of_type in self._types.values():
            all_ended.add(of_type.ended)
        count = all_ended.count
        return {
            "controller_id": self._controller_id,
            "total_executors": self._statuses.total(),
            "by_status": dict(self._statuses),
            "pnl_total_quote": double(all_ended.pnl),
            "unrealized_pnl_quote": double(unrealized),
            "global_pnl_quote": double(all_ended.pnl + unrealized),
            "pnl_pct_avg": double(all_ended.pct / count) if count else 0.0,
            "fees_total_quote": double(all_ended.fees),
            "volume_total_quote": double(all_ended.volume),
            "win_rate": all_ended.won / count if count else 0.0,
            "sharpe_ratio": _sharpe(all_ended),
            "by_type": [
                {
                    "executor_type": name,
                    "total": each.total,
                    "completed": each.ended.count,
                    "running": each.running,
                    "pnl_quote": double(each.ended.pnl),
                    "volume_quote": double(each.ended.volume),
                    "fees_quote": double(each.ended.fees),
                }
                for name, each in sorted(self._types.items())
            ],
            "active_positions": active_positions,
        }


def _sharpe(ended: _Ended) -> float | None:
    """Mean over sample deviation, not annualised; None for fewer than two, or where all are equal."""
    if ended.count < 2:
        return None
    # Times count · (count − 1): exactly 0 where all are equal.
    spread = EXACT.subtract(EXACT.multiply(ended.squares, ended.count), EXACT.multiply(ended.pnl, ended.pnl))
    if not spread:
        return None
    variance = spread / ended.count / (ended.count - 1)
    return round(double(ended.pnl / ended.count / variance.sqrt()), 4)

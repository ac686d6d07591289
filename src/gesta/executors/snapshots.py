"""The recorded PnL of running executors follows the market: what has exposure is marked anew at a bounded rate.

Reads of a running executor are marked when they are read; this is for what reads the ledger itself: lists, exports, the
change feed. An executor is marked at most once in an interval, only if what people see of it has changed, and never
more than a few at a time, in turn. One without exposure is not looked at.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import structlog

from gesta.desk.trading.batch import Restated
from gesta.desk.trading.engine import Engine
from gesta.executors.detail import detail_of
from gesta.executors.machines.face import Price
from gesta.executors.vocabulary import MARKED
from gesta.ledger.records import ExecutorDetail, NewEvent, Severity, Transition

if TYPE_CHECKING:
    from gesta.executors.runner import Live

__all__ = ["INTERVAL_S", "MOST_AT_ONCE", "MOST_PER_S", "Snapshots", "is_shown_alike"]

INTERVAL_S: Final = 30.0
# How many are looked at in one go, and in a second: each may be one row and one event of the ledger.
MOST_AT_ONCE: Final = 25
MOST_PER_S: Final = 100
# What people see of a profit: hundredths of the quote coin, hundredths of a percent.
_QUOTE, _FRACTION = Decimal("0.01"), Decimal("0.0001")
_US: Final = 1_000_000

log = structlog.get_logger("gesta.executors")


class Snapshots:
    """`find` gives an active executor by its key, `prices` what its legs are traded at now."""

    def __init__(
        self,
        *,
        engine: Engine,
        find: Callable[[str], Live | None],
        prices: Callable[[Live], Mapping[int, Price]],
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._engine = engine
        self._find = find
        self._prices = prices
        self._interval_us = int(interval_s * _US)
        # Those with fills, by the moment at which their row was restated or looked at last: the next in turn is first.
        self._looked_at_us: OrderedDict[str, int] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    @property
    def count(self) -> int:
        """How many are looked at in turn."""
        return len(self._looked_at_us)

    def recorded(self, key: str, detail: ExecutorDetail, at_us: int) -> None:
        """The row of an executor has just been restated."""
        if not self._interval_us:
            return
        if not (detail.is_trading or detail.filled_quote):
            self._looked_at_us.pop(key, None)
            return
        self._looked_at_us[key] = at_us
        self._looked_at_us.move_to_end(key)
        self._wake.set()

    def start(self) -> None:
        if self._interval_us:
            self._task = asyncio.create_task(self._take_forever(), name="executors' snapshots")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def take(self) -> int:
        """Mark those whose interval is over, the one that waits longest first, as many as one go may. Returns how many
        were looked at. What it decides is in the open batches, behind what was decided before."""
        if not self._engine.pipeline.takes_market:
            return 0
        now_us, looked_at = self._engine.clock.now_us(), 0
        while looked_at < MOST_AT_ONCE and self._next_us(now_us) <= now_us:
            key, _ = self._looked_at_us.popitem(last=False)
            live = self._find(key)
            if live is None or live.is_broken:
                continue
            looked_at += 1
            if self._mark(live, now_us):
                self._looked_at_us[key] = now_us
        return looked_at

    def _next_us(self, now_us: int) -> int:
        """When the next one is due."""
        first = next(iter(self._looked_at_us.values()), None)
        return now_us + self._interval_us if first is None else first + self._interval_us

    async def _take_forever(self) -> None:
        while True:
            self._wake.clear()
            looked_at = self.take()
            if looked_at:
                await asyncio.sleep(looked_at / MOST_PER_S)
            elif not self._looked_at_us:
                await self._wake.wait()
            else:
                now_us = self._engine.clock.now_us()
                # A journal that is out of reach is asked for again in a second.
                await asyncio.sleep(max(1.0, (self._next_us(now_us) - now_us) / _US))

    def _mark(self, live: Live, now_us: int) -> bool:
        """Restate the row if it would be shown otherwise. Returns whether the executor is to be looked at again."""
        prices = self._prices(live)
        if len(prices) < len(live.instruments):
            return True  # a market that is gone for a moment marks nothing
        before = live.detail
        try:
            report = live.machine.report(live.stored.state, prices)
            detail = detail_of(live.stored, report, (), before)
            if before is not None and is_shown_alike(before, detail):
                far = {leg: Price(price.bid * 2, price.ask * 2) for leg, price in prices.items()}
                # Without exposure no price changes its worth; what it does next tells of it again.
                return live.machine.report(live.stored.state, far).net_pnl_quote != report.net_pnl_quote
        except Exception:  # logged, and not asked again before its next step
            log.exception("executors.mark_failed", executor=live.stored.id, type=live.stored.type)
            return False
        live.detail = detail
        event = NewEvent(type=MARKED, level=Severity.DEBUG, title="Marked", message="", at_us=now_us)
        batch = self._engine.open_batch(live.stored.organization)
        batch.restated.append(Restated(live.stored.id, live.stored.account, Transition(event=event, detail=detail)))
        return True


def is_shown_alike(before: ExecutorDetail, after: ExecutorDetail) -> bool:
    """Whether people would see the same of both."""
    return _shown(before) == _shown(after)


def _shown(detail: ExecutorDetail) -> tuple[object, ...]:
    worth = (_rounded(detail.net_pnl_quote, _QUOTE), _rounded(detail.net_pnl_pct, _FRACTION))
    sums = (_rounded(detail.filled_quote, _QUOTE), _rounded(detail.fees_quote, _QUOTE))
    return *worth, *sums, detail.is_trading, detail.close_type


def _rounded(value: Decimal | None, step: Decimal) -> int | None:
    """In whole steps: more digits than 28 are none that anybody sees."""
    return None if value is None else round(value / step)

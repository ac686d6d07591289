"""The simulated market: instruments and their prices at any moment. Pure."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import msgspec

from gesta.app.demo.noise import walk
from gesta.kernel.times import to_datetime
from gesta.sources.contracts import POINT_VALUES

SECOND_US = 1_000_000
# The walk is kept in thousandths of a tick.
_FRACTION = 1000


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """`walk_name` says whose prices it follows; `deviation` is in thousandths of a tick per √second."""

    symbol: str
    walk_name: str
    tick: Decimal
    base_ticks: int
    deviation: int
    commission: Decimal = Decimal(0)

    def price_at(self, seed: int, at_us: int) -> Decimal:
        moved = walk(seed, self.walk_name, at_us // SECOND_US, deviation=self.deviation) // _FRACTION
        return max(1, self.base_ticks + moved) * self.tick

    @property
    def point_value(self) -> Decimal:
        return POINT_VALUES[self.symbol]


_ES = Instrument(
    symbol="ES",
    walk_name="s&p",
    tick=Decimal("0.25"),
    base_ticks=27_600,
    deviation=1000,
    commission=Decimal("2.25"),
)

FUTURES = (
    _ES,
    msgspec.structs.replace(_ES, symbol="MES", commission=Decimal("0.62")),
    msgspec.structs.replace(_ES, symbol="NQ", walk_name="nasdaq", base_ticks=100_000, deviation=4500),
)

PAIRS = (
    Instrument(symbol="BTC-USDT", walk_name="btc", tick=Decimal("0.1"), base_ticks=950_000, deviation=80_000),
    Instrument(symbol="ETH-USDT", walk_name="eth", tick=Decimal("0.01"), base_ticks=350_000, deviation=38_000),
    Instrument(symbol="SOL-USDT", walk_name="sol", tick=Decimal("0.01"), base_ticks=18_000, deviation=2_400),
)


def contract(symbol: str, at_us: int) -> str:
    """The quarterly contract traded at that time, `ES 12-26`: rolled eight days before the third Friday."""
    today = to_datetime(at_us).date()
    year, month = today.year, -(-today.month // 3) * 3
    if today >= _third_friday(year, month) - timedelta(days=8):
        year, month = (year, month + 3) if month < 12 else (year + 1, 3)
    return f"{symbol} {month:02d}-{year % 100:02d}"


def _third_friday(year: int, month: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(4 - first.weekday()) % 7 + 14)

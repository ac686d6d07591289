"""The pairs that the simulated executors trade, and their prices at any moment. Pure."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gesta.venues.market_data.noise import walk

SECOND_US = 1_000_000
# The walk is kept in thousandths of a tick.
_FRACTION = 1000


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """`walk_name` says whose prices it follows; `deviation` is in thousandths of a tick per √second."""

    symbol: str
    walk_name: str
    tick: Decimal
    base_ticks: int
    deviation: int

    def price_at(self, seed: int, at_us: int) -> Decimal:
        moved = walk(seed, self.walk_name, at_us // SECOND_US, deviation=self.deviation) // _FRACTION
        return max(1, self.base_ticks + moved) * self.tick


PAIRS = (
    Pair(symbol="BTC-USDT", walk_name="btc", tick=Decimal("0.1"), base_ticks=950_000, deviation=80_000),
    Pair(symbol="ETH-USDT", walk_name="eth", tick=Decimal("0.01"), base_ticks=350_000, deviation=38_000),
    Pair(symbol="SOL-USDT", walk_name="sol", tick=Decimal("0.01"), base_ticks=18_000, deviation=2_400),
)

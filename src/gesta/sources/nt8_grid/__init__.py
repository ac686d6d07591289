"""NinjaTrader 8's Executions grid as CSV, in every culture Windows writes it in (protocols/crosstrade.md §5, §6)."""

from gesta.sources.nt8_grid.dates import DateOrder
from gesta.sources.nt8_grid.grid import Options, read
from gesta.sources.nt8_grid.numbers import DecimalMark

__all__ = ["DateOrder", "DecimalMark", "Options", "read"]

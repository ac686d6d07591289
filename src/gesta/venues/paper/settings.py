"""How the paper venue matches."""

from __future__ import annotations

import msgspec


class PaperSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`slip_ticks`: what a market order finds no displayed size for is filled so many ticks worse, at once; with 0 it
    waits for the next quote. `displayed_only`: never more than is displayed, whatever `slip_ticks` is.

    `latency_us`: an order meets the first data whose venue time is that much after the newest at its arrival.
    `queue_ahead`: a resting limit waits behind the size displayed at its price, which trades take away.
    `spot_short`: spot may be sold that is not held.

    Raises ValueError for a negative figure.
    """

    slip_ticks: int = 1
    latency_us: int = 0
    queue_ahead: bool = False
    displayed_only: bool = False
    spot_short: bool = False

    def __post_init__(self) -> None:
        for name in ("slip_ticks", "latency_us"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is negative")

    @property
    def slips(self) -> int:
        """Ticks that the rest of a market order slips; 0 where it waits."""
        return 0 if self.displayed_only else self.slip_ticks

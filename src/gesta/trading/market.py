"""What the market says: quotes and trades as frozen values, and the faces of what gives and takes them.

Prices in ticks, sizes in lots. `venue_time_us` is the market's own time, by which it is matched, expired and judged
open; `received_at_us` is Gesta's clock. On a replay the two are years apart.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Protocol

import msgspec


class Flag(enum.IntFlag):
    """What is wrong with, or to be known of, a piece of market data."""

    GAP = 1  # the first after a hole in the data: what happened before it is not known
    CROSSED = 2  # the bid is above the ask: shown, never matched against
    SIMULATED = 4
    STALE = 8  # older, by the venue's time, than what came before it: shown, never matched against


class Quote(msgspec.Struct, frozen=True, gc=False):
    """The best bid and ask. A size of 0 means that side is empty; its price then means nothing."""

    instrument: str
    bid: int
    ask: int
    bid_size: int
    ask_size: int
    venue_time_us: int
    received_at_us: int
    flags: int = 0


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One print. `aggressor` is 1 for a buyer, -1 for a seller, 0 if unknown."""

    instrument: str
    price: int
    size: int
    aggressor: int
    venue_time_us: int
    received_at_us: int
    flags: int = 0


MarketData = Quote | Trade
Listener = Callable[[MarketData], None]


class Feed(Protocol):
    """Something that gives market data: a recording, a simulation, an exchange.

    `start` begins to call `listener` on the event loop, in order, and returns at once; `stop` returns when no more
    calls come. `instruments` are the resolved names that it drives. `failed` carries what ended it, if not `stop`;
    `is_over` says that no more data comes: it was stopped, has failed, or its recording has ended.
    """

    name: str
    is_simulated: bool

    @property
    def is_over(self) -> bool: ...

    @property
    def failed(self) -> Exception | None: ...

    def instruments(self) -> tuple[str, ...]: ...

    async def start(self, listener: Listener) -> None: ...

    async def stop(self) -> None: ...

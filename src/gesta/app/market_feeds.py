"""Which feeds a server runs, by its settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from gesta.kernel.clock import Clock
from gesta.kernel.errors import InvalidInput
from gesta.trading.catalog import Catalog
from gesta.trading.market import Feed
from gesta.venues.market_data.replay import MAX_SPEED, Progress, ReplayFeed, turn
from gesta.venues.market_data.simulated import NAMES, QUOTES_PER_S, SimulatedFeed
from gesta.venues.market_data.tapes import Tapes


class FeedPlan(msgspec.Struct, frozen=True, kw_only=True):
    """`replay` are `FILE` or `INSTRUMENT=FILE`; a `speed` of None is as fast as it goes. With `none`, only what is
    pushed becomes market data."""

    market: Literal["simulated", "replay", "none"] = "simulated"
    replay: tuple[str, ...] = ()
    speed: float | None = 1.0
    seed: int = 1
    names: tuple[str, ...] = NAMES
    quotes_per_s: float = QUOTES_PER_S


def feeds_of(
    plan: FeedPlan,
    catalog: Catalog,
    clock: Clock,
    *,
    pause: Callable[[], Awaitable[None]] = turn,
    progress: Callable[[Progress], None] | None = None,
) -> list[Feed]:
    """The feeds, unstarted. `pause` is awaited between the batches of a replay.

    Raises InvalidInput for a file that cannot be read or is of no known kind, a name that means nothing, or a speed
    that is out of range.
    """
    if plan.market == "none":
        return []
    if plan.market == "simulated":
        return [SimulatedFeed(catalog, clock, seed=plan.seed, names=plan.names, quotes_per_s=plan.quotes_per_s)]
    if not plan.replay:
        raise InvalidInput(
            "There is nothing to replay: name files in `trading.replay`, or with --replay FILE.",
            field="trading.replay",
            where="settings",
        )
    if plan.speed is not None and not 0 < plan.speed <= MAX_SPEED:
        raise InvalidInput(
            f"The speed of a replay is above 0 and at most {MAX_SPEED:.0f}, or `max`.",
            field="trading.speed",
            where="settings",
        )
    tapes = Tapes(plan.replay, catalog.resolve)
    return [ReplayFeed(tapes, clock, speed=plan.speed, pause=pause, progress=progress)]

"""What became of the lines of a recording: nothing is dropped without being counted and explained."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gesta.trading.instruments import Instrument

SHOWN = 20
# Resolves a name at a moment of venue time; `trading.catalog.Catalog.resolve`.
Resolve = Callable[[str, int], Instrument]


class Problem(msgspec.Struct, frozen=True):
    source: str
    line: int
    reason: str


class Tally(msgspec.Struct, kw_only=True):
    """`read` lines, of which `taken` became market data, `ignored` say other things (depth, headers, blank lines), and
    `refused` are malformed, off tick or of an unknown instrument; `problems` has the first of these. `received_at_us`
    is given to data as it is decoded: whoever reads sets it."""

    read: int = 0
    taken: int = 0
    ignored: int = 0
    refused: int = 0
    problems: list[Problem] = msgspec.field(default_factory=list)
    received_at_us: int = 0

    def refuse(self, source: str, line: int, reason: str) -> None:
        self.refused += 1
        if len(self.problems) < SHOWN:
            self.problems.append(Problem(source, line, reason))

"""One-minute bars in bounded memory, and the larger ones made of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import takewhile

from gesta.desk.market.face import Bar
from gesta.kernel.errors import InvalidInput

BASE_S = 60
MAX_PERIOD_S = 7 * 86_400
_BASE_US = BASE_S * 1_000_000


class BarSeries:
    """The bars of one instrument. The newest one grows in plain attributes; `end_us` is where it ends.

    Made of trades; of middles as long as no trade was seen. The first trade replaces what middles made of its minute.
    """

    __slots__ = ("_close", "_high", "_kept", "_low", "_of_middles", "_open", "_start_us", "_volume", "end_us")

    def __init__(self, kept: int) -> None:
        self._kept: deque[Bar] = deque(maxlen=kept)
        self.end_us = 0
        self._start_us = -1
        self._of_middles = False
        self._open = self._high = self._low = self._close = self._volume = 0

    def add(self, price: int, size: int, at_us: int, *, is_middle: bool = False) -> None:
        """Count one price in. A time before the growing bar's counts into that bar: bars never reopen."""
        if at_us >= self.end_us:
            self._begin(price, at_us)
            self._of_middles = is_middle
        elif self._of_middles and not is_middle:
            self._begin(price, self._start_us)
            self._of_middles = False
        elif price > self._high:
            self._high = price
        elif price < self._low:
            self._low = price
        self._close = price
        self._volume += size

    def _begin(self, price: int, at_us: int) -> None:
        start_us = at_us - at_us % _BASE_US
        if self._start_us >= 0 and start_us != self._start_us:
            self._kept.append(self._growing())
        self._start_us, self.end_us = start_us, start_us + _BASE_US
        self._open = self._high = self._low = price
        self._volume = 0

    def _growing(self) -> Bar:
        return Bar(self._start_us, self._open, self._high, self._low, self._close, self._volume)

    def newest_first(self) -> Iterable[Bar]:
        if self._start_us >= 0:
            yield self._growing()
        yield from reversed(self._kept)

    def read(self, *, period_s: int, from_us: int | None, to_us: int | None, limit: int) -> list[Bar]:
        """The newest `limit` bars that begin in from ≤ t < to, oldest first. Periods begin at multiples of themselves,
        in UTC. Raises InvalidInput for a period that minutes cannot make."""
        if not 0 < period_s <= MAX_PERIOD_S or period_s % BASE_S:
            raise InvalidInput(
                f"`period_s` must be a multiple of {BASE_S} seconds, at most {MAX_PERIOD_S}.", field="period_s"
            )
        if limit < 1:
            raise InvalidInput("`limit` must be at least 1.", field="limit")
        period_us = period_s * 1_000_000
        first_us = None if from_us is None else -(-from_us // period_us) * period_us
        wanted: Iterable[Bar] = (
            bar for bar in self.newest_first() if to_us is None or bar.start_us - bar.start_us % period_us < to_us
        )
        if first_us is not None:
            wanted = takewhile(lambda bar: bar.start_us >= first_us, wanted)
        made: list[Bar] = []
        for bar in wanted:
            start_us = bar.start_us - bar.start_us % period_us
            if made and made[-1].start_us == start_us:
                made[-1] = _joined(start_us, bar, made[-1])
            elif len(made) == limit:
                break
            else:
                made.append(Bar(start_us, bar.open, bar.high, bar.low, bar.close, bar.volume))
        made.reverse()
        return made


def _joined(start_us: int, older: Bar, newer: Bar) -> Bar:
    return Bar(
        start_us,
        older.open,
        max(older.high, newer.high),
        min(older.low, newer.low),
        newer.close,
        older.volume + newer.volume,
    )

"""Cancels that the venue refused. What a machine wants cancelled, it wants cancelled still: the venue is asked again,
later each time. Pure."""

from __future__ import annotations

from gesta.trading.orders import OrderState

__all__ = ["FIRST_US", "LONGEST_US", "OPEN", "Cancels"]

FIRST_US = 1_000_000
LONGEST_US = 60_000_000
# An order whose cancel is asked for and which is in one of these was refused, or the request was never heard.
OPEN = frozenset({OrderState.ACCEPTED, OrderState.WORKING, OrderState.PART_FILLED})


class Cancels:
    """By order id. There are few: a refused cancel mostly means that a fill is on its way."""

    def __init__(self) -> None:
        # (how often refused, when to ask again; None while the venue has it)
        self._refused: dict[str, tuple[int, int | None]] = {}

    def is_waiting(self, order_id: str) -> bool:
        """Whether it is to be asked again at a moment that is known."""
        return self._refused.get(order_id, (0, None))[1] is not None

    def refused(self, order_id: str, now_us: int) -> int:
        """Returns the moment at which to ask again."""
        times = self._refused.get(order_id, (0, None))[0]
        at_us = now_us + min(FIRST_US << min(times, 16), LONGEST_US)
        self._refused[order_id] = (times + 1, at_us)
        return at_us

    def forget(self, order_id: str) -> None:
        self._refused.pop(order_id, None)

    def due(self, now_us: int) -> list[str]:
        """Those to be asked again now. Each is refused anew, or over."""
        if not self._refused:
            return []
        found = [id_ for id_, (_, at_us) in self._refused.items() if at_us is not None and at_us <= now_us]
        for order_id in found:
            self._refused[order_id] = (self._refused[order_id][0], None)
        return found

    def next_us(self) -> int | None:
        return min((at_us for _, at_us in self._refused.values() if at_us is not None), default=None)

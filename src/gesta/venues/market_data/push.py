"""The feed of what is pushed from outside: whoever pushes sets its pace."""

from __future__ import annotations

from gesta.trading.market import Listener, MarketData


class PushFeed:
    """Implements `trading.market.Feed`. Data is passed on within `push`."""

    name = "push"
    is_simulated = False

    def __init__(self) -> None:
        self.failed: Exception | None = None
        self.is_over = True
        self._listener: Listener | None = None
        self._names: dict[str, None] = {}

    def instruments(self) -> tuple[str, ...]:
        """What was pushed so far."""
        return tuple(self._names)

    def begin(self, listener: Listener) -> None:
        """As `start`, at once."""
        self._listener = listener
        self.is_over = False

    async def start(self, listener: Listener) -> None:
        self.begin(listener)

    async def stop(self) -> None:
        self._listener = None
        self.is_over = True

    def push(self, data: MarketData) -> None:
        """Pass data on. After `stop` it goes nowhere."""
        if self._listener is not None:
            self._names[data.instrument] = None
            self._listener(data)

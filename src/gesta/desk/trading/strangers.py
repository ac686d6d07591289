"""What the venue says of orders that are not at work here: late word of one that has ended, or word of one that nobody
here has placed. Looked up on disk before anything is believed."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable

import structlog

from gesta.desk.trading import journal
from gesta.desk.trading.state import State
from gesta.kernel.errors import Unavailable
from gesta.storage.program import Database
from gesta.trading.orders import Order, OrderState
from gesta.trading.venue import Ack, OrderAccepted, OrderFilled, VenueEvent

# Ids that are remembered; the log has all.
MOST_QUARANTINED = 1000
RETRY_S = 1.0

log = structlog.get_logger("gesta.trading")


class Strangers:
    """`know` is awaited before anything is booked on an order's account; `apply` books an event of an order that is in
    the state; `cancel` asks the venue."""

    def __init__(
        self,
        database: Database,
        state: State,
        *,
        know: Callable[[int, int], Awaitable[None]],
        apply: Callable[[VenueEvent], None],
        cancel: Callable[[str], Awaitable[Ack]],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._database = database
        self._state = state
        self._know = know
        self._apply = apply
        self._cancel = cancel
        self._on_failure = on_failure
        self._waiting: deque[VenueEvent] = deque()
        self._task: asyncio.Task[None] | None = None
        # Orders at the venue that are on no record here, with how often it spoke of each.
        self.quarantined: Counter[str] = Counter()

    def concerns(self, event: VenueEvent) -> bool:
        """Whether it is of no order at work: then `take` it."""
        order = self._state.orders.get(event.order_id)
        if order is None or order.state is OrderState.REJECTED:
            return True
        return any(waiting.order_id == event.order_id for waiting in self._waiting)

    def take(self, event: VenueEvent) -> None:
        self._waiting.append(event)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look_up_all(), name="orders that are not at work")
            self._task.add_done_callback(self._ended)

    async def idle(self) -> None:
        """Return when every event so far has been looked up."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("trading.ended", error=str(error), exc_info=error)
            self._on_failure(error)

    async def _look_up_all(self) -> None:
        while self._waiting:
            event = self._waiting[0]
            try:
                order = self._state.orders.get(event.order_id) or await self._on_disk(event.order_id)
            except Unavailable as error:
                log.error("trading.stalled", error=error.message, order_id=event.order_id)
                await asyncio.sleep(RETRY_S)
                continue
            if order is None:
                self._quarantine(event)
            else:
                await self._late(order, event)
            self._waiting.popleft()

    async def _on_disk(self, order_id: str) -> Order | None:
        return await self._database.read(lambda: journal.order_of_any(order_id), snapshot=False)

    def _quarantine(self, event: VenueEvent) -> None:
        """Nothing is booked: neither whose it would be nor what it is for is known."""
        if event.order_id in self.quarantined or len(self.quarantined) < MOST_QUARANTINED:
            self.quarantined[event.order_id] += 1
        log.error("trading.order_quarantined", order_id=event.order_id, event_type=type(event).__name__)

    async def _late(self, order: Order, event: VenueEvent) -> None:
        """A fill of an order that has ended happened, and counts. One that was given up as rejected and is at the venue
        after all is called back. Everything else is known."""
        log.warning("trading.late", order_id=order.id, state=order.state, event_type=type(event).__name__)
        if isinstance(event, OrderAccepted) and order.state is OrderState.REJECTED:
            await self._cancel(order.id)
        elif isinstance(event, OrderFilled):
            await self._know(order.organization, order.account)
            if order.id not in self._state.orders:
                self._state.put(order)
            self._apply(event)
            # It was told before: nothing is written, so nothing else lets go of it.
            if self._state.orders.get(order.id) is order:
                self._state.forget(order)

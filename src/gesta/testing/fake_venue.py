"""A venue and a market that do what a test tells them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal

from gesta.desk.market.face import Bar, Snapshot
from gesta.kernel.errors import InvalidInput, NotFound
from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.market import Feed, MarketData, Quote, Trade
from gesta.trading.orders import Change, Order, OrderState, OrderType, TimeInForce
from gesta.trading.venue import (
    AccountFunds,
    Ack,
    EventSink,
    OpenPosition,
    OrderAccepted,
    OrderCancelled,
    OrderChanged,
    OrderFilled,
    OrderReport,
    Resume,
    VenueCapabilities,
)

ES = Instrument(
    name="ES 12-25",
    root="ES",
    kind=InstrumentKind.FUTURE,
    tick_size=Decimal("0.25"),
    lot_size=Decimal(1),
    point_value=Decimal(50),
    exchange="Globex",
    expiry=date(2025, 12, 19),
    calendar="cme_equity",
)
NQ = Instrument(
    name="NQ 12-25",
    root="NQ",
    kind=InstrumentKind.FUTURE,
    tick_size=Decimal("0.25"),
    lot_size=Decimal(1),
    point_value=Decimal(20),
    exchange="Globex",
)


class ScriptedVenue:
    """Accepts, cancels and changes at once; fills when told. `acks` answers the next submits instead."""

    name = "paper"
    capabilities = VenueCapabilities(
        order_types=frozenset(OrderType), times_in_force=frozenset(TimeInForce), change=True
    )

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._on_events: EventSink = lambda _: None
        self.resume = Resume()
        self.orders: dict[str, Order] = {}
        self.submitted: list[str] = []
        self.cancelled: list[str] = []
        self.acks: list[Ack] = []
        self.knows: dict[str, OrderReport] = {}
        self.seen: list[MarketData] = []
        self.funds: dict[int, AccountFunds] = {}
        self.positions: dict[tuple[int, str], OpenPosition] = {}
        self.answers_cancel = True

    async def start(self, resume: Resume, on_events: EventSink) -> None:
        self.resume, self._on_events = resume, on_events
        self.orders = {order.id: order for order in resume.orders}
        self.funds.update(resume.funds)

    async def stop(self) -> None:
        self._on_events = lambda _: None

    def _times(self, order_id: str) -> dict[str, object]:
        return {"order_id": order_id, "at_us": self._now_us(), "venue_time_us": self._now_us()}

    async def submit(self, order: Order) -> Ack:
        self.submitted.append(order.id)
        ack = self.acks.pop(0) if self.acks else Ack.ACCEPTED
        if ack is Ack.ACCEPTED:
            self.orders[order.id] = order
            self._on_events([OrderAccepted(is_working=not order.type.has_stop, **self._times(order.id))])  # type: ignore[arg-type]
        return ack

    async def cancel(self, order_id: str) -> Ack:
        self.cancelled.append(order_id)
        if self.answers_cancel:
            self._on_events([OrderCancelled(**self._times(order_id))])  # type: ignore[arg-type]
        return Ack.ACCEPTED

    async def change(self, order_id: str, change: Change) -> Ack:
        order = self.orders[order_id]
        self._on_events(
            [
                OrderChanged(
                    quantity=change.quantity or order.quantity,
                    limit_ticks=change.limit_ticks if change.limit_ticks is not None else order.limit_ticks,
                    stop_ticks=change.stop_ticks if change.stop_ticks is not None else order.stop_ticks,
                    **self._times(order_id),  # type: ignore[arg-type]
                )
            ]
        )
        return Ack.ACCEPTED

    def on_market(self, data: MarketData) -> None:
        self.seen.append(data)

    async def query(self, order_id: str) -> OrderReport | None:
        return self.knows.get(order_id)

    def free(self, account: int) -> int | None:
        return None

    def set_funds(self, account: int, funds: AccountFunds) -> None:
        self.funds[account] = funds

    def set_position(self, account: int, instrument: str, position: OpenPosition) -> None:
        self.positions[account, instrument] = position

    def fill(self, order_id: str, number: int, lots: int, ticks: int, commission: int = 0, **more: object) -> None:
        """Tell of one fill. `number` counts the order's fills from 1."""
        self._on_events(
            [
                OrderFilled(
                    key=f"{order_id}:{number}",
                    lots=lots,
                    ticks=ticks,
                    commission=commission,
                    is_maker=False,
                    **self._times(order_id),  # type: ignore[arg-type]
                    **more,  # type: ignore[arg-type]
                )
            ]
        )

    def tell(self, *events: object) -> None:
        self._on_events(events)  # type: ignore[arg-type]


class HandMarket:
    """A market of ES and NQ whose prices a test sets."""

    def __init__(self, *instruments: Instrument) -> None:
        self._instruments = {each.name: each for each in instruments or (ES, NQ)}
        self._quotes: dict[str, Quote] = {}
        self._trades: dict[str, Trade] = {}
        self._listeners: list[Callable[[MarketData], None]] = []

    def resolve(self, name: str) -> Instrument:
        for each in self._instruments.values():
            if name.strip().upper() in (each.name, each.root):
                return each
        raise InvalidInput(f"There is no instrument {name!r}.", field="instrument")

    def instrument(self, name: str) -> Instrument:
        if name not in self._instruments:
            raise NotFound(f"There is no instrument {name!r}.", what="instrument")
        return self._instruments[name]

    def instruments(self) -> Sequence[Instrument]:
        return list(self._instruments.values())

    def snapshot(self, name: str) -> Snapshot:
        return Snapshot(
            instrument=self.instrument(name), quote=self._quotes.get(name), trade=self._trades.get(name), is_open=True
        )

    def is_open(self, instrument: Instrument) -> bool:
        return True

    def now_us(self, instrument: Instrument | None = None) -> int:
        return 0

    def bars(
        self, instrument: Instrument, *, period_s: int, from_us: int | None, to_us: int | None, limit: int
    ) -> list[Bar]:
        return []

    def on_market(self, data: MarketData) -> None:
        if isinstance(data, Quote):
            self._quotes[data.instrument] = data
        else:
            self._trades[data.instrument] = data
        for listener in list(self._listeners):
            listener(data)

    def listen(self, listener: Callable[[MarketData], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def start_feed(self, feed: Feed) -> None:
        await feed.start(self.on_market)


__all__ = ["ES", "NQ", "HandMarket", "OrderState", "ScriptedVenue"]

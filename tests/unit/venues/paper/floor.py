"""What the tests of the paper venue share: instruments, orders and a matcher that is fed as the venue feeds it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.market import MarketData, Quote, Trade
from gesta.trading.money import UNITS
from gesta.trading.orders import Change, Order, OrderType, Side, TimeInForce
from gesta.trading.venue import AccountFunds, Ack, Resume, VenueEvent
from gesta.venues.paper.matching import Matcher
from gesta.venues.paper.settings import PaperSettings

ES = Instrument(
    name="ES 12-26",
    root="ES",
    kind=InstrumentKind.FUTURE,
    tick_size=Decimal("0.25"),
    lot_size=Decimal(1),
    point_value=Decimal(50),
    initial_margin=Decimal(13_200),
    expiry=date(2026, 12, 18),
)
NQ = Instrument(
    name="NQ 12-26",
    root="NQ",
    kind=InstrumentKind.FUTURE,
    tick_size=Decimal("0.25"),
    lot_size=Decimal(1),
    point_value=Decimal(20),
    initial_margin=Decimal(20_000),
)
BTC = Instrument(
    name="BTC-USDT",
    root="BTC",
    kind=InstrumentKind.SPOT,
    tick_size=Decimal("0.5"),
    lot_size=Decimal("0.01"),
    currency="USDT",
    min_notional=Decimal("0.5"),
)
PERP = Instrument(
    name="BTC-USDT-PERP",
    root="BTC",
    kind=InstrumentKind.LINEAR_PERPETUAL,
    tick_size=Decimal("0.5"),
    lot_size=Decimal("0.01"),
    currency="USDT",
    margin_rate=Decimal("0.1"),
)
INVERSE = Instrument(
    name="BTC-USD-PERP",
    root="BTC",
    kind=InstrumentKind.INVERSE_PERPETUAL,
    tick_size=Decimal("0.5"),
    lot_size=Decimal(1),
    point_value=Decimal(100),
    currency="BTC",
    margin_rate=Decimal("0.1"),
)
INSTRUMENTS = {each.name: each for each in (ES, NQ, BTC, PERP, INVERSE)}

# Market time of the tests begins here, well before ES expires; sessions are an hour.
START_US = 1_790_000_000_000_000
HOUR_US = 3_600_000_000
# Gesta's clock, far from the market's.
NOW_US = 42


def session_end_us(instrument: Instrument, at_us: int) -> int:
    return (at_us // HOUR_US + 1) * HOUR_US


def commission(order: Order, instrument: Instrument, lots: int, ticks: int, is_maker: bool) -> int:
    return lots * (1 if is_maker else 2)


def order(id: str, side: str, type_: str, quantity: int = 1, **terms: Any) -> Order:
    """An order as the desk would submit it; the name of any field, and `limit`, `stop`, `tif` and `oco`, in `terms`."""
    short = {"limit": "limit_ticks", "stop": "stop_ticks", "tif": "time_in_force", "oco": "oco_id"}
    fields: dict[str, Any] = {
        "organization": 1,
        "account": 1,
        "instrument": ES.name,
        "created_at_us": NOW_US,
        "updated_at_us": NOW_US,
        "time_in_force": "gtc",
    }
    fields |= {short.get(name, name): value for name, value in terms.items()}
    fields["time_in_force"] = TimeInForce(fields["time_in_force"])
    return Order(id=id, side=Side(side), type=OrderType(type_), quantity=quantity, **fields)


class Floor:
    """A matcher with every event that it told, and the market's time, which moves on with each piece of data."""

    def __init__(self, resume: Resume | None = None, **settings: Any) -> None:
        self.matcher = Matcher(
            instrument_of=INSTRUMENTS.__getitem__,
            settings=PaperSettings(**settings),
            commission=commission,
            session_end_us=session_end_us,
        )
        self.at_us = START_US
        self.matcher.rebuild(resume or Resume(), NOW_US)

    def fund(self, dollars: int, *, account: int = 1, max_position: int | None = None) -> None:
        most = None if max_position is None else Decimal(max_position)
        self.matcher.accounts.set_funds(account, AccountFunds(cash=dollars * UNITS, max_position=most))

    def submit(self, order: Order) -> list[VenueEvent]:
        return self.matcher.submit(order, NOW_US)[1]

    def ack(self, order: Order) -> Ack:
        return self.matcher.submit(order, NOW_US)[0]

    def cancel(self, order_id: str) -> list[VenueEvent]:
        return self.matcher.cancel(order_id, NOW_US)[1]

    def change(self, order_id: str, **terms: int) -> list[VenueEvent]:
        return self.matcher.change(order_id, Change(**terms), NOW_US)[1]

    def feed(self, data: MarketData) -> list[VenueEvent]:
        return [] if self.matcher.passes(data) else self.matcher.match(data, NOW_US)

    def quote(
        self,
        bid: int,
        ask: int,
        bid_size: int = 5,
        ask_size: int = 5,
        *,
        flags: int = 0,
        after_us: int = 1,
        instrument: str = ES.name,
    ) -> list[VenueEvent]:
        self.at_us += after_us
        return self.feed(Quote(instrument, bid, ask, bid_size, ask_size, self.at_us, NOW_US, flags))

    def trade(
        self,
        price: int,
        size: int = 1,
        aggressor: int = 0,
        *,
        flags: int = 0,
        after_us: int = 1,
        instrument: str = ES.name,
    ) -> list[VenueEvent]:
        self.at_us += after_us
        return self.feed(Trade(instrument, price, size, aggressor, self.at_us, NOW_US, flags))


def told(events: list[VenueEvent]) -> list[str]:
    """Events in short: `accepted a`, `filled a 3@101 maker`, `cancelled b`."""
    return [_short(event) for event in events]


_WORDS: Mapping[str, str] = {
    "OrderTriggered": "triggered",
    "OrderCancelled": "cancelled",
    "OrderExpired": "expired",
    "OrderRejected": "rejected",
    "CancelRefused": "cancel refused",
    "ChangeRefused": "change refused",
}


def _short(event: VenueEvent) -> str:
    name = type(event).__name__
    fields = {field: getattr(event, field) for field in event.__struct_fields__}
    gap = " gap" if fields.get("gap") else ""
    if name == "OrderAccepted":
        return f"{'working' if fields['is_working'] else 'accepted'} {event.order_id}"
    if name == "OrderFilled":
        kind = " maker" if fields["is_maker"] else ""
        return f"filled {event.order_id} {fields['lots']}@{fields['ticks']}{kind}{gap}"
    if name == "OrderChanged":
        return f"changed {event.order_id} {fields['quantity']} {fields['limit_ticks']} {fields['stop_ticks']}"
    return f"{_WORDS[name]} {event.order_id}{gap}"

"""From a venue's fill to the ledger's row: each field of NinjaTrader's execution (protocols/crosstrade.md §5). Pure."""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b

import msgspec

from gesta.access.model import Account
from gesta.ledger.records import FillDetail, NewExecution, Side, Source, Status
from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.money import from_units
from gesta.trading.orders import Order
from gesta.trading.positions import FillEffect
from gesta.trading.venue import OrderFilled

ORIGIN = "paper"

_TYPE = {
    InstrumentKind.FUTURE: "Future",
    InstrumentKind.SPOT: "CryptoCurrency",
    InstrumentKind.LINEAR_PERPETUAL: "CryptoCurrency",
    InstrumentKind.INVERSE_PERPETUAL: "CryptoCurrency",
}


def fill_id(key: str) -> str:
    """32 hex digits, the same for the same fill of the same order whoever derives them, and whenever."""
    return blake2b(key.encode(), digest_size=16).hexdigest()


def instrument_type(instrument: Instrument) -> str:
    """NinjaTrader's word for the kind of instrument."""
    return _TYPE[instrument.kind]


def execution_of(
    order: Order, instrument: Instrument, account: Account, filled: OrderFilled, effect: FillEffect
) -> NewExecution:
    """`order` as it stands after the fill."""
    detail = FillDetail(
        order_id=order.id,
        instrument=instrument.name,
        side=Side(order.side.value),
        quantity=instrument.quantity(filled.lots),
        price=instrument.price(filled.ticks),
        commission=from_units(filled.commission),
        currency=instrument.currency,
        point_value=instrument.point_value,
        instrument_type=instrument_type(instrument),
        venue=order.venue,
        server_name=account.server_name,
        slippage_ticks=_slippage(order, filled),
        cumulative_quantity=instrument.quantity(order.filled),
    )
    return NewExecution(
        id=fill_id(filled.key),
        account=order.account,
        origin=ORIGIN,
        name=order.name or _name(effect),
        status=Status.SUCCEEDED,
        source=Source.SIMULATED,
        created_at_us=filled.at_us,
        started_at_us=filled.at_us,
        finished_at_us=filled.at_us,
        parent_id=order.parent_id,
        correlation={"order_id": order.id, "instrument": instrument.name},
        detail=derived(detail, instrument, effect),
    )


def derived(detail: FillDetail, instrument: Instrument, effect: FillEffect) -> FillDetail:
    """The detail with what follows from the position before and after it."""
    return msgspec.structs.replace(
        detail,
        position_after=instrument.quantity(effect.after),
        is_entry=effect.is_entry,
        is_entry_strategy=effect.is_entry,
        is_exit=effect.is_exit,
        is_exit_strategy=effect.is_exit,
        is_initial_entry=effect.is_initial_entry,
        is_last_exit=effect.is_last_exit,
        realized_pnl=None if effect.realized is None else from_units(effect.realized),
    )


def _slippage(order: Order, filled: OrderFilled) -> Decimal:
    """Ticks between the last trade before the fill and the fill, positive when it was to the trader's cost."""
    if filled.reference_ticks is None:
        return Decimal(0)
    return Decimal((filled.ticks - filled.reference_ticks) * order.side.sign)


def _name(effect: FillEffect) -> str:
    return "Entry" if effect.is_entry else "Exit"

"""Orders, positions and money as rows, and back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from gesta.desk.trading.batch import NoteRow
from gesta.desk.trading.state import Funds
from gesta.storage.program import Row
from gesta.trading.order_states import TERMINAL
from gesta.trading.orders import Order
from gesta.trading.positions import Position

_encoder = msgspec.json.Encoder(order="deterministic")
_order = msgspec.json.Decoder(Order)
_note = msgspec.json.Decoder(NoteRow)


def order_row(order: Order) -> tuple[Any, ...]:
    working = int(order.state not in TERMINAL)
    body = _encoder.encode(order)
    return (
        order.seq,
        order.organization,
        order.account,
        order.id,
        order.client_id,
        order.instrument,
        working,
        body,
    )


def order_of(body: bytes) -> Order:
    return _order.decode(body)


def note_row(note: NoteRow) -> tuple[Any, ...]:
    return note.number, note.note, _encoder.encode(note)


def note_of(body: bytes) -> NoteRow:
    return _note.decode(body)


def position_row(organization: int, account: int, instrument: str, held: Position) -> tuple[Any, ...]:
    return (
        account,
        instrument,
        organization,
        held.lots,
        str(held.cost),
        str(held.ticks_lots),
        str(held.realized),
        str(held.commission),
        held.fills,
        str(held.bought),
        str(held.sold),
    )


def position_of(row: Row) -> tuple[int, str, Position]:
    """From the columns of `position.all`."""
    account, instrument, lots, cost, ticks_lots, realized, commission, fills, bought, sold = row
    held = Position(
        lots=lots,
        cost=int(cost),
        ticks_lots=int(ticks_lots),
        realized=int(realized),
        commission=int(commission),
        fills=fills,
        bought=int(bought),
        sold=int(sold),
    )
    return account, instrument, held


def funds_row(funds: Funds) -> tuple[Any, ...]:
    return (
        funds.account,
        funds.currency,
        funds.organization,
        str(funds.starting),
        str(funds.cash),
        str(funds.realized),
        str(funds.commission),
        funds.session,
        str(funds.session_cash),
        str(funds.session_realized),
        str(funds.session_commission),
        None if funds.max_position is None else str(funds.max_position),
    )


def funds_of(row: Row) -> Funds:
    account, currency, organization, starting, cash, realized, commission, session, *rest = row
    session_cash, session_realized, session_commission, max_position = rest
    return Funds(
        account=account,
        currency=currency,
        organization=organization,
        starting=int(starting),
        cash=int(cash),
        realized=int(realized),
        commission=int(commission),
        session=session,
        session_cash=int(session_cash),
        session_realized=int(session_realized),
        session_commission=int(session_commission),
        max_position=None if max_position is None else Decimal(max_position),
    )

"""Simulated fills: episodes that start and end flat, so that positions fold. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from gesta.app.demo.market import FUTURES, SECOND_US, Instrument, contract
from gesta.app.demo.noise import below, choice, hex_token
from gesta.app.demo.story import ORIGIN, Accounts, Story
from gesta.ledger.records import FillDetail, NewExecution, Side, Source, Status
from gesta.sources.positions import flags_of

EPISODE_US = 240 * SECOND_US
SERVER_NAME = "GESTA-DEMO"

# Signed quantities of one episode, for a long one; a short one is mirrored. Each sums to zero, and each has at least
# three fills, so that the last 160 seconds are never without one.
_PLANS = ((1, 1, -1, -1), (2, -1, -1), (1, -2, 1), (3, -1, -1, -1), (1, 2, -2, -1))


def fill_episode(seed: int, accounts: Accounts, index: int) -> Iterator[Story]:
    """The fills of the episode that begins at `index` · EPISODE_US, oldest first."""
    instrument = choice(FUTURES, seed, "episode", index, "instrument")
    direction = choice((1, -1), seed, "episode", index, "direction")
    plan = choice(_PLANS, seed, "episode", index, "plan")
    slot_us = EPISODE_US // len(plan)
    open_lots: list[tuple[int, Decimal]] = []
    for number, planned in enumerate(plan):
        at_us = index * EPISODE_US + number * slot_us + below(slot_us, seed, "fill", index, number)
        price = instrument.price_at(seed, at_us)
        realized = _fold(open_lots, direction * planned, price)
        position = sum(lot for lot, _ in open_lots)
        order_id = hex_token(32, seed, "order", index, number)
        detail = _detail(instrument, at_us, direction * planned, price, position, realized, order_id)
        yield Story(
            birth=NewExecution(
                id=hex_token(32, seed, "fill", index, number),
                account=accounts.trading,
                origin=ORIGIN,
                name=_name(detail),
                status=Status.SUCCEEDED,
                source=Source.SIMULATED,
                created_at_us=at_us,
                started_at_us=at_us,
                finished_at_us=at_us,
                correlation={"order_id": order_id, "instrument": detail.instrument},
                detail=detail,
            )
        )


def _fold(open_lots: list[tuple[int, Decimal]], change: int, price: Decimal) -> Decimal | None:
    """Close lots first in, first out, then open the rest. Returns realized points · contracts, None if none closed."""
    realized: Decimal | None = None
    while change and open_lots and open_lots[0][0] * change < 0:
        lot, entry = open_lots.pop(0)
        closed = min(abs(lot), abs(change))
        sign = 1 if lot > 0 else -1
        realized = (realized or Decimal(0)) + sign * closed * (price - entry)
        change += sign * closed
        if abs(lot) > closed:
            open_lots.insert(0, (lot - sign * closed, entry))
    if change:
        open_lots.append((change, price))
    return realized


def _detail(
    instrument: Instrument,
    at_us: int,
    change: int,
    price: Decimal,
    position: int,
    realized: Decimal | None,
    order_id: str,
) -> FillDetail:
    side = Side.BUY if change > 0 else Side.SELL
    quantity = Decimal(abs(change))
    flags = flags_of(side, quantity, Decimal(position))
    return FillDetail(
        order_id=order_id,
        instrument=contract(instrument.symbol, at_us),
        side=side,
        quantity=quantity,
        price=price,
        commission=instrument.commission * quantity,
        point_value=instrument.point_value,
        venue="simulated",
        server_name=SERVER_NAME,
        position_after=Decimal(position),
        is_entry=flags.is_entry,
        is_entry_strategy=flags.is_entry,
        is_exit=flags.is_exit,
        is_exit_strategy=flags.is_exit,
        is_initial_entry=flags.is_initial_entry,
        is_last_exit=flags.is_last_exit,
        realized_pnl=None if realized is None else realized * instrument.point_value,
    )


def _name(detail: FillDetail) -> str:
    if detail.is_entry and detail.is_exit:
        return "Simulated reversal"
    if detail.is_entry:
        return "Simulated entry" if detail.is_initial_entry else "Simulated scale-in"
    if detail.is_last_exit:
        return "Simulated exit"
    return "Simulated profit target" if (detail.realized_pnl or 0) > 0 else "Simulated stop loss"

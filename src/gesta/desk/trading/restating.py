"""Bust and correct: what a venue takes back. The fills that stand are folded anew, and whatever follows from them —
position, profit, money, and what later fills say of the position — is what they give, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from gesta.access.model import Account, Principal, Scope
from gesta.desk.trading import journal
from gesta.desk.trading.batch import Filled, Restated
from gesta.desk.trading.fills import ORIGIN, derived
from gesta.kernel.errors import Conflict, InvalidInput, NotFound
from gesta.ledger.records import Execution, FillDetail, Kind, NewEvent, Severity, Side, Status, Transition
from gesta.storage.program import Database
from gesta.trading.instruments import Instrument
from gesta.trading.money import from_units, to_units
from gesta.trading.positions import FLAT, FillEffect, Position, apply_fill

if TYPE_CHECKING:
    from gesta.desk.trading.desk import TradingDesk

MAX_REASON = 500
ATTEMPTS = 20


class Bust(msgspec.Struct, frozen=True, kw_only=True):
    reason: str


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """None keeps what the fill says."""

    reason: str
    price: Decimal | None = None
    quantity: Decimal | None = None
    commission: Decimal | None = None


class Folded(msgspec.Struct, frozen=True):
    """One fill in the new fold. `effect` is None for a busted one."""

    execution: Execution
    detail: FillDetail
    effect: FillEffect | None


async def restate(
    desk: TradingDesk, database: Database, principal: Principal, execution_id: str, what: Bust | Correction
) -> Execution:
    """Raises NotFound, Conflict for a fill that is not this venue's or was busted, InvalidInput for wrong terms."""
    principal.require(Scope.TRADE)
    if not what.reason.strip() or len(what.reason) > MAX_REASON or "\0" in what.reason:
        raise InvalidInput(f"`reason` has 1 to {MAX_REASON} characters.", field="reason")
    engine = desk.engine
    for _ in range(ATTEMPTS):
        engine.check()
        found = await desk.fill(principal, execution_id)
        account = await desk.account_of(found)
        detail = _detail(found)
        instrument = desk.instrument(detail.instrument)
        wanted = _restated_detail(found, detail, instrument, what)
        await engine.committed(found.organization)
        held = engine.state.position(account.id, instrument.name)
        rows = await database.read(
            lambda: journal.fills(found.organization, account.id, instrument.name),  # noqa: B023 — run within the turn
            unbounded=True,
        )
        # A fill during the read would be missing from the rows: then they are read again.
        if engine.state.position(account.id, instrument.name) == held and _count(rows) == held.fills:
            _put(desk, account, instrument, rows, found, wanted, held, what, _signed(principal))
            await engine.committed(found.organization)
            return await desk.fill(principal, found.id)
    raise Conflict("The instrument is trading too fast to restate a fill; try again.")


def _count(rows: Sequence[Execution]) -> int:
    return sum(row.status is Status.SUCCEEDED for row in rows)


def fold(rows: Sequence[Execution], instrument: Instrument) -> tuple[Position, list[Folded]]:
    """The position that standing fills give, and what each of them did to it."""
    position = FLAT
    folded = []
    for row in rows:
        detail = _detail(row)
        terms = terms_of(row, instrument)
        if terms is None:
            folded.append(Folded(row, detail, None))
            continue
        position, effect = apply_fill(position, instrument, *terms)
        folded.append(Folded(row, detail, effect))
    return position, folded


def terms_of(row: Execution, instrument: Instrument) -> tuple[int, int, int] | None:
    """What `apply_fill` takes of a fill: signed lots, ticks, commission. None of a busted one."""
    detail = _detail(row)
    if row.status is not Status.SUCCEEDED:
        return None
    lots = instrument.lots(detail.quantity) * (1 if detail.side is Side.BUY else -1)
    return lots, instrument.ticks(detail.price), to_units(detail.commission)


def _put(
    desk: TradingDesk,
    account: Account,
    instrument: Instrument,
    rows: Sequence[Execution],
    found: Execution,
    wanted: FillDetail | None,
    held: Position,
    what: Bust | Correction,
    by: dict[str, object],
) -> None:
    """Decide everything and hand it to the journal; nothing waits in between."""
    engine = desk.engine
    batch = engine.open_batch(found.organization)
    restated = [_with(row, found.id, wanted) for row in rows]
    position, folded = fold(restated, instrument)
    for before, after in zip(rows, folded, strict=True):
        detail = after.detail if after.effect is None else derived(after.detail, instrument, after.effect)
        if before.id == found.id:
            event = _event(what, before, detail, by)
            status = Status.CANCELLED if wanted is None else None
            change = Transition(event=event, status=status, detail=detail, expected_version=before.version)
        elif detail != before.detail:
            event = NewEvent(
                type="fill.restated",
                title="Restated",
                message=f"What this fill did to the position follows from {found.id}, which was "
                + ("busted." if wanted is None else "corrected."),
                data={"because_of": found.id, **by},
            )
            change = Transition(event=event, detail=detail, expected_version=before.version)
        else:
            continue
        batch.restated.append(Restated(before.id, before.account, change))
        batch.tellings.append(Filled(before.id))
    engine.hold(account, instrument, position)
    realized, commission = position.realized - held.realized, position.commission - held.commission
    engine.books.book(account.organization, account.id, instrument, realized, commission)
    engine.tell_funds(account.id)


def _with(row: Execution, execution_id: str, wanted: FillDetail | None) -> Execution:
    if row.id != execution_id:
        return row
    if wanted is None:
        return msgspec.structs.replace(row, status=Status.CANCELLED)
    return msgspec.structs.replace(row, detail=wanted)


def _restated_detail(
    found: Execution, detail: FillDetail, instrument: Instrument, what: Bust | Correction
) -> FillDetail | None:
    """The corrected detail, None for a bust."""
    if found.kind is not Kind.FILL or found.origin != ORIGIN:
        raise Conflict("Only a fill that Gesta's paper venue made can be busted or corrected here.")
    if found.status is not Status.SUCCEEDED:
        raise Conflict(f"Fill {found.id} was busted before; it stays so.")
    if isinstance(what, Bust):
        return None
    if what.price is None and what.quantity is None and what.commission is None:
        raise InvalidInput("Nothing to correct: give a price, a quantity or a commission.", field="price")
    if what.price is not None:
        detail = msgspec.structs.replace(detail, price=instrument.price(instrument.ticks(what.price)))
    if what.quantity is not None:
        detail = msgspec.structs.replace(detail, quantity=instrument.quantity(instrument.lots(what.quantity)))
    if what.commission is not None:
        if not what.commission.is_finite() or abs(what.commission) > 10**9:
            raise InvalidInput("`commission` is out of range.", field="commission")
        if what.commission != what.commission.quantize(Decimal("1e-12")):
            raise InvalidInput("`commission` has at most twelve decimals.", field="commission")
        detail = msgspec.structs.replace(detail, commission=from_units(to_units(what.commission)))
    return detail


def _event(what: Bust | Correction, before: Execution, detail: FillDetail, by: dict[str, object]) -> NewEvent:
    if isinstance(what, Bust):
        return NewEvent(type="fill.busted", level=Severity.WARNING, title="Busted", message=what.reason, data=dict(by))
    old = _detail(before)
    changed = {
        name: [str(getattr(old, name)), str(getattr(detail, name))]
        for name in ("price", "quantity", "commission")
        if getattr(old, name) != getattr(detail, name)
    }
    return NewEvent(
        type="fill.corrected",
        level=Severity.WARNING,
        title="Corrected",
        message=what.reason,
        data={"changed": changed, **by},
    )


def _signed(principal: Principal) -> dict[str, object]:
    return {"by": {"identity": principal.identity_name, "credential": principal.credential_id}}


def _detail(row: Execution) -> FillDetail:
    if not isinstance(row.detail, FillDetail):
        raise NotFound(f"Execution {row.id} is not a fill.")
    return row.detail

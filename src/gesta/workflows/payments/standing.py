"""How a run stands with its money: `RunDetail.payment_status`, from what is on record. Pure.

unpaid        its checkout is open
processing    the payer is done, the money is on its way
paid          confirmed by a verified callback
failed        the payment failed, and with it the run
expired       nobody paid in time, or the run was stopped before
refundable    money is held for nothing: the run failed, or the payment came too late or was not the price
refunding     it is being given back
refunded      it was given back
"""

from __future__ import annotations

from collections.abc import Sequence

from gesta.ledger.records import RunDetail, Status
from gesta.workflows.payments.face import CheckoutStatus
from gesta.workflows.payments.rows import PaymentRow, Refund

LOST = frozenset({Status.FAILED, Status.CANCELLED, Status.TIMED_OUT})

_UNPAID = {
    CheckoutStatus.OPEN: "unpaid",
    CheckoutStatus.PROCESSING: "processing",
    CheckoutStatus.FAILED: "failed",
    CheckoutStatus.EXPIRED: "expired",
}


def payment_status(checkout: CheckoutStatus, payments: Sequence[PaymentRow], run: Status) -> str:
    """What the execution of a run says of its payment. `run` is the execution's status."""
    if any(each.refund is Refund.ASKED for each in payments):
        return "refunding"
    confirmed = next((each for each in payments if each.is_confirmed), None)
    if confirmed is not None:
        if confirmed.refund is Refund.DONE:
            return "refunded"
        return "refundable" if run in LOST else "paid"
    if checkout.is_open:
        return _UNPAID[checkout]
    if any(each.refund is not Refund.DONE for each in payments):
        return "refundable"
    return "refunded" if payments else _UNPAID.get(checkout, "refunded")


def at_end(said: str | None, run: Status) -> str | None:
    """The payment's word once the run is over with `run`."""
    if run not in LOST:
        return said
    return {"paid": "refundable", "unpaid": "expired", "processing": "expired"}.get(said or "", said)


def is_paid(detail: RunDetail) -> bool:
    """Whether the run may go on or be run again: it costs nothing, or its payment was confirmed (only then it has an
    order) and is still held."""
    said = detail.payment_status
    return said in (None, "paid") or (said == "refundable" and detail.order_id is not None)


def checkout_status(status: CheckoutStatus, payments: Sequence[PaymentRow]) -> CheckoutStatus:
    """The checkout's word after a refund: refunded once nothing is held any more."""
    if status.is_open or not payments or any(each.refund is not Refund.DONE for each in payments):
        return status
    return CheckoutStatus.REFUNDED


def to_refund(payments: Sequence[PaymentRow], said: str | None) -> list[PaymentRow]:
    """What one call gives back: what a call before began to; else, of a run that is paid and has not failed, first what
    was paid besides; else everything."""
    begun = [each for each in payments if each.refund is Refund.ASKED]
    if begun:
        return begun
    held = [each for each in payments if each.refund is Refund.NONE]
    besides = [each for each in held if not each.is_confirmed]
    return besides if said == "paid" and besides else held

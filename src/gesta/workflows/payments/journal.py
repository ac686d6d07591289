"""What changes a checkout, each as one transaction: its row, its payments, its run, and the run's execution with the
event that tells it.

A program may be run again from its start, and has no effect but its statements. Programs of one organization run one
after another: of two callbacks that come at once, the second finds what the first did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gesta.kernel.crash import reach
from gesta.kernel.errors import Conflict, NotFound
from gesta.ledger import changing
from gesta.ledger.records import Execution, NewEvent, RunDetail, Severity, Status, Transition
from gesta.ledger.rows import execution_of
from gesta.storage.program import Program
from gesta.workflows.payments import rows
from gesta.workflows.payments.face import CheckoutStatus, Session, Taken, Verdict, VerdictKind
from gesta.workflows.payments.rows import CheckoutRow, PaymentKind, PaymentRow, Refund
from gesta.workflows.payments.standing import checkout_status, payment_status, to_refund
from gesta.workflows.runs import journal as runs
from gesta.workflows.runs.journal import NOTHING, Changed
from gesta.workflows.runs.rows import Plans, RunState
from gesta.workflows.runs.rows import get as run_of

US = 1_000_000
# Money that is on its way by bank may take so long (docs.stripe.com, "Delayed notification payment methods").
PROCESSING_US = 14 * 86_400 * US
# A refund that nobody asks for again is tried again after this.
REFUND_AGAIN_US = 60 * US
CHECKOUT_EXPIRED = "checkout_expired"
PAYMENT_FAILED = "payment_failed"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a program made of a callback."""

    taken: Taken
    changed: Changed = NOTHING


class RefundAsked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be given back now."""

    checkout: CheckoutRow
    payments: Sequence[PaymentRow]
    changed: Changed = NOTHING


# -- at the provider


def opened(checkout_id: str, session: Session, now_us: int) -> Program[Changed]:
    """It is open at the provider. One that was over meanwhile is remembered too, so that it is ended there."""
    checkout = yield from rows.get(checkout_id)
    if checkout is None or checkout.provider_id:
        return NOTHING
    look_at_us = checkout.expires_at_us if checkout.status.is_open else now_us
    after = msgspec.structs.replace(
        checkout,
        provider_id=session.provider_id,
        url=session.url,
        look_at_us=None if checkout.status is CheckoutStatus.COMPLETE else look_at_us,
        updated_at_us=now_us,
    )
    yield rows.put(after)
    data = {"provider": checkout.provider, "checkoutSessionId": session.provider_id}
    return (yield from _tell(after, _event("payment.opened", "Checkout opened", now_us, data=data), now_us))


def look_later(
    checkout_id: str, seen_us: int | None, look_at_us: int | None, now_us: int, *, attempts: int = 0
) -> Program[None]:
    """When the sweeper looks again; `attempts` are added to those that did not open it. Nothing where another moment
    was set since it was seen."""
    checkout = yield from rows.get(checkout_id)
    if checkout is not None and checkout.look_at_us == seen_us:
        tried = checkout.attempts + attempts
        yield rows.put(msgspec.structs.replace(checkout, look_at_us=look_at_us, attempts=tried, updated_at_us=now_us))


def refused(checkout_id: str, message: str, now_us: int) -> Program[Changed]:
    """The provider does not open it: the run is over."""
    checkout = yield from rows.get(checkout_id)
    if checkout is None or not checkout.status.is_open or checkout.provider_id:
        return NOTHING
    event = _event("payment.refused", "Checkout refused", now_us, Severity.ERROR, message=message)
    return (yield from _over(checkout, CheckoutStatus.FAILED, Status.FAILED, PAYMENT_FAILED, event, now_us))


def expired(checkout_id: str, now_us: int) -> Program[Changed]:
    """Nobody paid in time: the run is cancelled. Nothing for a checkout that is over."""
    checkout = yield from rows.get(checkout_id)
    if checkout is None or not checkout.status.is_open:
        return NOTHING
    return (yield from _expire(checkout, now_us))


# -- callbacks


def taken(checkout_id: str, verdict: Verdict, plans: Plans, now_us: int) -> Program[Told]:
    """A verified callback."""
    checkout = yield from rows.get(checkout_id)
    if checkout is None:
        return Told(taken=Taken.IGNORED)
    match verdict.kind:
        case VerdictKind.PAID:
            return (yield from _paid(checkout, verdict, plans, now_us))
        case VerdictKind.REFUNDED:
            return (yield from _refunded(checkout, verdict, now_us))
        case VerdictKind.PROCESSING:
            return (yield from _processing(checkout, verdict, now_us))
    if not checkout.status.is_open:
        return Told(taken=Taken.REPEATED)
    if verdict.kind is VerdictKind.EXPIRED:
        return Told(taken=Taken.EXPIRED, changed=(yield from _expire(checkout, now_us)))
    event = _event("payment.failed", "Payment failed", now_us, Severity.ERROR, data=_said(verdict))
    changed = yield from _over(checkout, CheckoutStatus.FAILED, Status.FAILED, PAYMENT_FAILED, event, now_us)
    return Told(taken=Taken.FAILED, changed=changed)


def _paid(checkout: CheckoutRow, verdict: Verdict, plans: Plans, now_us: int) -> Program[Told]:
    payments = yield from rows.payments(checkout.id)
    fits = verdict.amount == checkout.amount and verdict.currency == checkout.currency
    known = next((each for each in payments if each.payment_id == verdict.payment_id), None)
    if known is not None and not (fits and known.kind is PaymentKind.MISMATCH and known.refund is Refund.NONE):
        return Told(taken=Taken.REPEATED)
    if not fits:
        event = _event("payment.mismatch", "Another amount than the price", now_us, Severity.ERROR, data=_said(verdict))
        event = msgspec.structs.replace(event, message=f"The price is {checkout.amount} {checkout.currency}.")
        yield rows.put_payment(_payment(checkout, verdict, PaymentKind.MISMATCH, now_us))
        return Told(taken=Taken.MISMATCH, changed=(yield from _tell(checkout, event, now_us)))
    run = yield from run_of(checkout.organization, checkout.run)
    is_open = checkout.status.is_open and run is not None and run.state == RunState.UNPAID
    if is_open and verdict.at_us < checkout.expires_at_us:
        yield rows.put_payment(_payment(checkout, verdict, PaymentKind.CONFIRMED, now_us))
        return Told(taken=Taken.CONFIRMED, changed=(yield from _confirm(checkout, verdict, plans, now_us)))
    # Paid after its time, and told before the sweeper came: both are on the timeline, in this order.
    changed = Changed()
    if is_open:
        changed = changed.with_((yield from _expire(checkout, now_us)))
    yield rows.put_payment(_payment(checkout, verdict, PaymentKind.LATE, now_us))
    event = _event("payment.late", "Paid too late", now_us, Severity.WARNING, data=_said(verdict))
    found = yield from rows.get(checkout.id)
    assert found is not None
    told = yield from _tell(found, event, now_us)
    return Told(taken=Taken.LATE, changed=changed.with_(told))


def _confirm(checkout: CheckoutRow, verdict: Verdict, plans: Plans, now_us: int) -> Program[Changed]:
    after = msgspec.structs.replace(
        checkout,
        status=CheckoutStatus.COMPLETE,
        provider_id=checkout.provider_id or verdict.provider_id,
        payment_id=verdict.payment_id,
        look_at_us=None,
        updated_at_us=now_us,
    )
    yield rows.put(after)
    reach("workflows.paid.checkout")
    detail = yield from _detail(after)
    event = _event("payment.confirmed", "Payment confirmed", now_us, data=_said(verdict))
    changed = yield from runs.paid(checkout.organization, checkout.run, plans, now_us, event, detail)
    reach("workflows.paid.run")
    return changed


def _processing(checkout: CheckoutRow, verdict: Verdict, now_us: int) -> Program[Told]:
    if checkout.status is not CheckoutStatus.OPEN or verdict.at_us >= checkout.expires_at_us:
        return Told(taken=Taken.REPEATED)
    until_us = max(checkout.expires_at_us, now_us + PROCESSING_US)
    after = msgspec.structs.replace(
        checkout,
        status=CheckoutStatus.PROCESSING,
        expires_at_us=until_us,
        look_at_us=until_us if checkout.provider_id else checkout.look_at_us,
        updated_at_us=now_us,
    )
    yield rows.put(after)
    event = _event("payment.processing", "Payment on its way", now_us, data=_said(verdict))
    return Told(taken=Taken.PROCESSING, changed=(yield from _tell(after, event, now_us)))


def _refunded(checkout: CheckoutRow, verdict: Verdict, now_us: int) -> Program[Told]:
    """Given back at the provider, by this server or by hand."""
    payments = yield from rows.payments(checkout.id)
    known = next((each for each in payments if each.payment_id == verdict.payment_id), None)
    if known is None:
        # Told of before the payment itself, which confirms nothing any more.
        given = _payment(checkout, verdict, PaymentKind.UNKNOWN, now_us)
        after = msgspec.structs.replace(given, refund=Refund.DONE, refunded=verdict.amount)
    elif verdict.amount <= known.refunded:
        return Told(taken=Taken.REPEATED)
    else:
        done = verdict.amount >= known.amount
        refund = Refund.DONE if done else known.refund
        after = msgspec.structs.replace(known, refund=refund, refunded=verdict.amount)
    changed = yield from _given_back(checkout, after, now_us, _said(verdict))
    return Told(taken=Taken.REFUNDED, changed=changed)


# -- refunds


def refund_asked(organization: int, run_id: str, reason: str, by: dict[str, Any], now_us: int) -> Program[RefundAsked]:
    """What is to be given back; on record before the provider is asked, so that a call that failed there goes on with
    the same. Raises NotFound, Conflict."""
    checkout = yield from rows.of_run(organization, run_id)
    if checkout is None:
        raise NotFound(f"Run {run_id[:128]} costs nothing.", what="checkout")
    payments = yield from rows.payments(checkout.id)
    execution = yield from _execution(checkout)
    assert isinstance(execution.detail, RunDetail)
    wanted = to_refund(payments, execution.detail.payment_status)
    if not wanted:
        said = "it was given back already" if payments else "it was not paid"
        raise Conflict(f"Nothing of run {run_id} can be refunded: {said}.", run_id=run_id, status=checkout.status.value)
    if wanted[0].refund is Refund.ASKED:
        return RefundAsked(checkout=checkout, payments=wanted)
    asked = [msgspec.structs.replace(each, refund=Refund.ASKED, reason=reason) for each in wanted]
    for each in asked:
        yield rows.put_payment(each)
    after = msgspec.structs.replace(checkout, look_at_us=now_us + REFUND_AGAIN_US, updated_at_us=now_us)
    yield rows.put(after)
    data = {**by, "reason": reason, "paymentIds": [each.payment_id for each in asked]}
    changed = yield from _tell(after, _event("payment.refund_asked", "Refund asked", now_us, data=data), now_us)
    return RefundAsked(checkout=after, payments=asked, changed=changed)


def refund_done(checkout_id: str, payment_id: str, now_us: int) -> Program[Changed]:
    """Given back. Nothing where a callback said so already."""
    found = yield from _of_payment(checkout_id, payment_id)
    if found is None or found[1].refund is Refund.DONE:
        return NOTHING
    checkout, payment = found
    done = msgspec.structs.replace(payment, refund=Refund.DONE, refunded=payment.amount)
    data = {"paymentId": payment_id, "amount": str(payment.amount), "currency": payment.currency}
    return (yield from _given_back(checkout, done, now_us, data))


def refund_refused(checkout_id: str, payment_id: str, message: str, now_us: int) -> Program[Changed]:
    """The provider says no: it may be asked again, by another request."""
    found = yield from _of_payment(checkout_id, payment_id)
    if found is None or found[1].refund is not Refund.ASKED:
        return NOTHING
    checkout, payment = found
    yield rows.put_payment(msgspec.structs.replace(payment, refund=Refund.NONE, attempt=payment.attempt + 1))
    data = {"paymentId": payment_id}
    event = _event("payment.refund_failed", "Refund refused", now_us, Severity.ERROR, message=message, data=data)
    return (yield from _tell(checkout, event, now_us))


def _given_back(checkout: CheckoutRow, payment: PaymentRow, now_us: int, data: dict[str, Any]) -> Program[Changed]:
    yield rows.put_payment(payment)
    payments = yield from rows.payments(checkout.id)
    after = msgspec.structs.replace(checkout, status=checkout_status(checkout.status, payments), updated_at_us=now_us)
    yield rows.put(after)
    word, title = "payment.refunded", "Refunded"
    if payment.refund is not Refund.DONE:
        word, title = "payment.partly_refunded", "Refunded in part"
    return (yield from _tell(after, _event(word, title, now_us, data=data), now_us))


# -- parts


def _expire(checkout: CheckoutRow, now_us: int) -> Program[Changed]:
    event = _event("payment.expired", "Not paid in time", now_us, Severity.WARNING)
    return (yield from _over(checkout, CheckoutStatus.EXPIRED, Status.CANCELLED, CHECKOUT_EXPIRED, event, now_us))


def _over(
    checkout: CheckoutRow, status: CheckoutStatus, run: Status, reason: str, event: NewEvent, now_us: int
) -> Program[Changed]:
    """The checkout came to nothing, and its run with it. The sweeper sees that nobody pays it any more."""
    after = msgspec.structs.replace(checkout, status=status, look_at_us=now_us, updated_at_us=now_us)
    yield rows.put(after)
    reach("workflows.unpaid.checkout")
    detail = yield from _detail(after, run)
    return (yield from runs.unpaid_over(checkout.organization, checkout.run, run, reason, now_us, event, detail))


def _tell(checkout: CheckoutRow, event: NewEvent, now_us: int) -> Program[Changed]:
    """An event on the run's timeline, with what the execution says of its payment."""
    detail = yield from _detail(checkout)
    change = Transition(event=event, detail=detail)
    execution = yield from changing.transition(checkout.organization, checkout.run, None, change, now_us)
    return Changed(seq=execution.seq)


def _detail(checkout: CheckoutRow, run: Status | None = None) -> Program[RunDetail]:
    """What the execution says; `run` is the status that it is about to get."""
    execution = yield from _execution(checkout)
    payments = yield from rows.payments(checkout.id)
    assert isinstance(execution.detail, RunDetail)
    return msgspec.structs.replace(
        execution.detail,
        payment_status=payment_status(checkout.status, payments, run or execution.status),
        order_id=checkout.payment_id or execution.detail.order_id,
        checkout_session_id=checkout.provider_id or execution.detail.checkout_session_id,
    )


def _execution(checkout: CheckoutRow) -> Program[Execution]:
    row = yield from changing.find(checkout.organization, checkout.run, None)
    assert row is not None, f"run {checkout.run} has no execution"
    return execution_of(row)


def _of_payment(checkout_id: str, payment_id: str) -> Program[tuple[CheckoutRow, PaymentRow] | None]:
    checkout = yield from rows.get(checkout_id)
    payments = yield from rows.payments(checkout_id)
    payment = next((each for each in payments if each.payment_id == payment_id), None)
    return None if checkout is None or payment is None else (checkout, payment)


def _payment(checkout: CheckoutRow, verdict: Verdict, kind: PaymentKind, now_us: int) -> PaymentRow:
    return PaymentRow(
        checkout=checkout.id,
        payment_id=verdict.payment_id,
        kind=kind,
        amount=verdict.amount,
        currency=verdict.currency,
        at_us=now_us,
    )


def _event(
    word: str,
    title: str,
    now_us: int,
    level: Severity = Severity.INFO,
    *,
    message: str = "",
    data: dict[str, Any] | None = None,
) -> NewEvent:
    return NewEvent(type=word, level=level, title=title, message=message, at_us=now_us, data=data or {})


def _said(verdict: Verdict) -> dict[str, Any]:
    said = {
        "eventId": verdict.event_id,
        "checkoutSessionId": verdict.provider_id,
        "paymentId": verdict.payment_id,
        "amount": str(verdict.amount) if verdict.amount else "",
        "currency": verdict.currency,
    }
    return {key: value for key, value in said.items() if value}

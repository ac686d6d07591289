"""The rows of checkouts and of the payments that were made on them."""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Any

import msgspec

from gesta.storage.program import Fetch, Op, Program, Row, Statement, load
from gesta.workflows.face import CheckoutView
from gesta.workflows.payments.face import CheckoutStatus, Order

SQL: dict[str, Statement] = load("gesta.workflows.sql", "payments.sql")


class CheckoutRow(msgspec.Struct, frozen=True, kw_only=True):
    """`provider_id` and `url` are empty until it is opened at the provider. `look_at_us`: when the sweeper looks at it
    again, to open, expire or refund it; None when there is nothing left to do."""

    id: str
    organization: int
    run: str
    provider: str
    provider_id: str
    amount: Decimal
    currency: str
    status: CheckoutStatus
    url: str
    payment_id: str
    title: str
    email: str
    success_url: str
    cancel_url: str
    expires_at_us: int
    look_at_us: int | None
    attempts: int
    created_at_us: int
    updated_at_us: int

    @property
    def order(self) -> Order:
        return Order(
            checkout=self.id,
            run_id=self.run,
            title=self.title,
            amount=self.amount,
            currency=self.currency,
            created_at_us=self.created_at_us,
            expires_at_us=self.expires_at_us,
            success_url=self.success_url,
            cancel_url=self.cancel_url,
            email=self.email,
            key=f"gesta-checkout-{self.id}",
        )

    @property
    def view(self) -> CheckoutView:
        return CheckoutView(
            id=self.id,
            run_id=self.run,
            provider=self.provider,
            provider_id=self.provider_id,
            amount=self.amount,
            currency=self.currency,
            status=self.status.value,
            url=self.url,
            expires_at_us=self.expires_at_us,
            created_at_us=self.created_at_us,
        )


class PaymentKind(enum.StrEnum):
    CONFIRMED = "confirmed"  # the one that the run goes on with
    LATE = "late"  # after the checkout was over, or besides the one that confirmed it
    MISMATCH = "mismatch"  # another amount or currency than the price
    UNKNOWN = "unknown"  # told of by its refund first


class Refund(enum.StrEnum):
    NONE = ""
    ASKED = "asked"
    DONE = "done"


class PaymentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One payment at the provider. `attempt` counts refunds that the provider refused: the next is another request."""

    checkout: str
    payment_id: str
    kind: PaymentKind
    amount: Decimal
    currency: str
    refund: Refund = Refund.NONE
    refunded: Decimal = Decimal(0)
    reason: str = ""
    attempt: int = 0
    at_us: int

    @property
    def is_confirmed(self) -> bool:
        return self.kind is PaymentKind.CONFIRMED

    @property
    def refund_key(self) -> str:
        return f"gesta-refund-{self.checkout}-{self.payment_id}-{self.attempt}"


def checkout_of(row: Row) -> CheckoutRow:
    return CheckoutRow(
        id=row[0],
        organization=row[1],
        run=row[2],
        provider=row[3],
        provider_id=row[4],
        amount=Decimal(row[5]),
        currency=row[6],
        status=CheckoutStatus(row[7]),
        url=row[8],
        payment_id=row[9],
        title=row[10],
        email=row[11],
        success_url=row[12],
        cancel_url=row[13],
        expires_at_us=row[14],
        look_at_us=row[15],
        attempts=row[16],
        created_at_us=row[17],
        updated_at_us=row[18],
    )


def add(checkout: CheckoutRow) -> Op:
    row = msgspec.structs.astuple(checkout)
    return Fetch(SQL["checkout.add"], tuple(_plain(value) for value in row))


def put(checkout: CheckoutRow) -> Op:
    changed = (
        checkout.id,
        checkout.provider_id,
        checkout.status.value,
        checkout.url,
        checkout.payment_id,
        checkout.expires_at_us,
        checkout.look_at_us,
        checkout.attempts,
        checkout.updated_at_us,
    )
    return Fetch(SQL["checkout.put"], changed)


def put_payment(payment: PaymentRow) -> Op:
    return Fetch(SQL["payment.put"], tuple(_plain(value) for value in msgspec.structs.astuple(payment)))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    return value.value if isinstance(value, enum.Enum) else value


def get(checkout_id: str) -> Program[CheckoutRow | None]:
    rows = yield Fetch(SQL["checkout.get"], (checkout_id,))
    return checkout_of(rows[0]) if rows else None


def of_run(organization: int, run_id: str) -> Program[CheckoutRow | None]:
    rows = yield Fetch(SQL["checkout.of_run"], (organization, run_id))
    return checkout_of(rows[0]) if rows else None


def of_provider(provider: str, provider_id: str) -> Program[CheckoutRow | None]:
    rows = yield Fetch(SQL["checkout.of_provider"], (provider, provider_id))
    return checkout_of(rows[0]) if rows else None


def of_payment(provider: str, payment_id: str) -> Program[CheckoutRow | None]:
    rows = yield Fetch(SQL["checkout.of_payment"], (provider, payment_id))
    return checkout_of(rows[0]) if rows else None


def due(now_us: int, most: int) -> Program[list[CheckoutRow]]:
    rows = yield Fetch(SQL["checkout.due"], (now_us, most))
    return [checkout_of(row) for row in rows]


def payments(checkout_id: str) -> Program[list[PaymentRow]]:
    rows = yield Fetch(SQL["payment.all"], (checkout_id,))
    return [
        PaymentRow(
            checkout=row[0],
            payment_id=row[1],
            kind=PaymentKind(row[2]),
            amount=Decimal(row[3]),
            currency=row[4],
            refund=Refund(row[5]),
            refunded=Decimal(row[6]),
            reason=row[7],
            attempt=row[8],
            at_us=row[9],
        )
        for row in rows
    ]

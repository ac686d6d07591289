"""What a payment provider is asked for, what it says, and what the pages of Gesta's own ask of payments."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from gesta.storage.program import Op
from gesta.workflows.face import StartRun
from gesta.workflows.graph.definition import Price
from gesta.workflows.runs.rows import RunRow


class CheckoutStatus(enum.StrEnum):
    """The words of a checkout (protocols/b3os.md §6)."""

    OPEN = "open"  # to be paid; or, without the provider's id, still to be opened there
    PROCESSING = "processing"  # the payer is done, the money is on its way
    COMPLETE = "complete"  # a verified callback said that it is paid
    EXPIRED = "expired"
    FAILED = "failed"
    REFUNDED = "refunded"

    @property
    def is_open(self) -> bool:
        return self in (CheckoutStatus.OPEN, CheckoutStatus.PROCESSING)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be paid. `checkout` is Gesta's id, which comes back with every callback; `key` makes a repetition the
    same session at the provider. `amount` in the currency's own unit."""

    checkout: str
    run_id: str
    title: str
    amount: Decimal
    currency: str
    created_at_us: int
    expires_at_us: int
    success_url: str
    cancel_url: str
    email: str
    key: str


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A checkout at the provider: its id there, and where the payer goes."""

    provider_id: str
    url: str


class VerdictKind(enum.StrEnum):
    PAID = "paid"
    PROCESSING = "processing"
    FAILED = "failed"
    EXPIRED = "expired"
    REFUNDED = "refunded"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a verified callback says. `checkout` is Gesta's id where the provider repeats it, `provider_id` the
    provider's session; at least one of them, or for a refund the payment's id, says which checkout it is about. For a
    refund, `amount` is all that was given back until then. `at_us`: when it happened, by the provider's clock."""

    kind: VerdictKind
    at_us: int
    event_id: str = ""
    checkout: str = ""
    provider_id: str = ""
    payment_id: str = ""
    amount: Decimal = Decimal(0)
    currency: str = ""


class Provider(Protocol):
    """Takes money. Its methods raise Unavailable when it does not answer, and then may be called again."""

    name: str

    def check(self, amount: Decimal, currency: str) -> None:
        """Raise InvalidInput for what cannot be charged exactly."""
        ...

    async def open(self, order: Order) -> Session:
        """A session, the same one for the same key. Raises InvalidInput for what the provider refuses."""
        ...

    async def verify(self, body: bytes, headers: Mapping[str, str], now_us: int) -> Verdict | None:
        """What the callback says; None for one that is genuine and of no concern. `headers` by lowercase name. Raises
        Unauthenticated for a wrong, missing or old signature, InvalidInput for what cannot be read."""
        ...

    async def expire(self, provider_id: str) -> bool:
        """See that nobody pays the session any more. False: it is paid already, and the callback is on its way."""
        ...

    async def refund(self, payment_id: str, *, key: str, reason: str) -> None:
        """Give a payment back whole; nothing for one that was given back. Raises InvalidInput where it is refused."""
        ...


class Taken(enum.StrEnum):
    """What became of a genuine callback."""

    CONFIRMED = "confirmed"
    PROCESSING = "processing"
    FAILED = "failed"
    EXPIRED = "expired"
    REFUNDED = "refunded"
    LATE = "late"
    MISMATCH = "mismatch"
    REPEATED = "repeated"  # known already, or it changes nothing
    IGNORED = "ignored"  # of no checkout of ours


class Till(Protocol):
    """What the start of a run asks of payments."""

    def opens(self, run: RunRow, title: str, price: Price, request: StartRun, now_us: int) -> Sequence[Op]:
        """What is written in the transaction of an unpaid run's birth. Raises InvalidInput for addresses or an amount
        that cannot be, Conflict where this server takes no payments."""
        ...

    async def opened(self, organization: int, run_id: str) -> str | None:
        """Where the run is paid, opened at the provider now if it is not yet; None if it is not to be paid any more.
        Raises Unavailable, which names the run, when the provider does not answer; it is tried again by the sweeper,
        and by the next call. Raises InvalidInput when the provider refuses; the run is over then."""
        ...


class CheckoutPage(msgspec.Struct, frozen=True, kw_only=True):
    """A checkout as its payer may see it: who knows its id may. `token` is what the buttons of the built-in test
    provider send along; empty where nothing can be pressed."""

    id: str
    title: str
    amount: Decimal
    currency: str
    status: CheckoutStatus
    expires_at_us: int
    success_url: str
    cancel_url: str
    token: str = ""


class PayDoor(Protocol):
    """What the pages under `/pay` ask."""

    async def page(self, checkout_id: str, *, of_test: bool = False) -> CheckoutPage:
        """Raises NotFound; with `of_test` also for a checkout that the test provider does not serve."""
        ...

    async def press(self, checkout_id: str, action: str, token: str) -> CheckoutPage:
        """A button (`pay`, `cancel`) of the test provider's page. Raises NotFound, InvalidInput for another action,
        Forbidden for a wrong token, Conflict when the checkout is over."""
        ...

    async def callback(self, provider: str, body: bytes, headers: Mapping[str, str]) -> Taken:
        """Raises NotFound for a provider that is not in use, Unauthenticated for a forged callback, InvalidInput for
        one that cannot be read."""
        ...

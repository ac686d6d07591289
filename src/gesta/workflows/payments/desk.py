"""The front door of payments: checkouts are opened, callbacks taken, what is not paid expires, what was paid is given
back. The provider is asked outside of transactions; what it said, or that it was asked, is in them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
import structlog

from gesta.access.model import Principal, Scope
from gesta.desk.reading import Reading
from gesta.kernel.clock import Clock
from gesta.kernel.errors import Conflict, Forbidden, GestaError, InvalidInput, NotFound, Unauthenticated, Unavailable
from gesta.kernel.ids import IdSource, hex_id
from gesta.ledger.records import Kind
from gesta.storage.program import Database, Op, Program
from gesta.workflows.face import CheckoutView, StartRun
from gesta.workflows.graph.definition import Price
from gesta.workflows.payments import journal, rows
from gesta.workflows.payments.face import CheckoutPage, CheckoutStatus, Provider, Taken, Verdict, VerdictKind
from gesta.workflows.payments.rows import CheckoutRow, PaymentRow
from gesta.workflows.payments.test_provider import NAME as TEST
from gesta.workflows.payments.test_provider import BuiltInProvider
from gesta.workflows.runs import ahead
from gesta.workflows.runs.journal import Changed
from gesta.workflows.runs.rows import Plans, RunRow
from gesta.workflows.runs.service import RunService

T = TypeVar("T")
US = 1_000_000
ID_DIGITS = 32
MAX_URL = 2048
MAX_EMAIL = 320
MAX_REASON = 400
# The sweeper looks at so many at a time.
AT_ONCE = 200
# How long after its time a checkout is kept that was paid in the last moment, or whose provider does not answer.
GRACE_US = 600 * US
AGAIN_US = 30 * US
# How soon a checkout is opened again that the provider did not open: doubled each time, up to the most.
OPEN_AGAIN_US = 2 * US
MOST_AGAIN_US = 120 * US

BUTTONS = {"pay": VerdictKind.PAID, "cancel": VerdictKind.EXPIRED}

log = structlog.get_logger("gesta.payments")


class PaymentDesk:
    """`face.Payments`, `payments.face.Till` and `payments.face.PayDoor`. `providers` are those in use, by name;
    `provider` is the one that new checkouts are opened with, "" for none. `expire_due` is to be called every few
    seconds (`EVERY_S`)."""

    EVERY_S = 2.0

    def __init__(
        self,
        *,
        database: Database,
        reading: Reading,
        clock: Clock,
        ids: IdSource,
        plans: Plans,
        service: RunService,
        providers: Mapping[str, Provider],
        provider: str = "",
        expires_s: int = 1800,
    ) -> None:
        if provider and provider not in providers:
            raise InvalidInput(f"The payment provider {provider} is not set up.", field="workflows.payments.provider")
        self._database = database
        self._reading = reading
        self._clock = clock
        self._ids = ids
        self._plans = plans
        self._service = service
        self._providers = dict(providers)
        self._provider = provider
        self._expires_us = expires_s * US

    # -- Payments

    async def checkout(self, principal: Principal, run_id: str) -> CheckoutView:
        execution = await self._reading.get(principal, run_id, kind=Kind.RUN)
        return (await self._of_run(execution.organization, execution.id)).view

    async def refund(self, principal: Principal, run_id: str, *, reason: str = "") -> CheckoutView:
        """Gives back whatever is held: of a run that goes on or has succeeded, first what was paid besides its price.
        May be called again after Unavailable; the same payment is given back once. Raises InvalidInput where the
        provider refuses; then the payment is refundable as before."""
        principal.require(Scope.RUN)
        execution = await self._reading.get(principal, run_id, kind=Kind.RUN)
        if len(reason) > MAX_REASON or "\0" in reason:
            raise InvalidInput(f"A reason has at most {MAX_REASON} characters.", field="reason")
        by = {"by": principal.identity_name, "credential": principal.credential_id}
        asked = await self._write(
            execution.organization,
            lambda: journal.refund_asked(execution.organization, execution.id, reason, by, self._now()),
        )
        await self._service.changed(execution.organization, asked.changed)
        await self._give_back(asked.checkout, asked.payments)
        return (await self._of_run(execution.organization, execution.id)).view

    async def _give_back(self, checkout: CheckoutRow, payments: Sequence[PaymentRow]) -> None:
        provider = self._in_use(checkout.provider)
        for payment in payments:
            try:
                await provider.refund(payment.payment_id, key=payment.refund_key, reason=payment.reason)
            except InvalidInput as error:
                refused = partial(journal.refund_refused, checkout.id, payment.payment_id, error.message, self._now())
                await self._change(checkout, refused)
                raise
            await self._change(checkout, partial(journal.refund_done, checkout.id, payment.payment_id, self._now()))

    # -- Till

    def opens(self, run: RunRow, title: str, price: Price, request: StartRun, now_us: int) -> Sequence[Op]:
        if not self._provider:
            raise Conflict(
                f"This costs {price.amount} {price.currency}, and this server has no payment provider: "
                "see `workflows.payments` in its settings."
            )
        self._providers[self._provider].check(price.amount, price.currency)
        checkout = CheckoutRow(
            id=hex_id(self._ids, ID_DIGITS),
            organization=run.organization,
            run=run.id,
            provider=self._provider,
            provider_id="",
            amount=price.amount,
            currency=price.currency,
            status=CheckoutStatus.OPEN,
            url="",
            payment_id="",
            title=title,
            email=_email(request.customer_email),
            success_url=_url(request.success_url, "successUrl"),
            cancel_url=_url(request.cancel_url, "cancelUrl"),
            expires_at_us=now_us + self._expires_us,
            # The call that made it opens it at once: the sweeper is for when that one did not come to it.
            look_at_us=now_us + AGAIN_US,
            attempts=0,
            created_at_us=now_us,
            updated_at_us=now_us,
        )
        return (rows.add(checkout),)

    async def opened(self, organization: int, run_id: str) -> str | None:
        checkout = await self._read(lambda: rows.of_run(organization, run_id))
        if checkout is None or not checkout.status.is_open:
            return None
        if checkout.provider_id:
            return checkout.url
        return await self._open(checkout)

    async def _open(self, checkout: CheckoutRow) -> str:
        try:
            session = await self._in_use(checkout.provider).open(checkout.order)
        except Unavailable as error:
            now_us = self._now()
            wait_us = min(MOST_AGAIN_US, OPEN_AGAIN_US << min(checkout.attempts, 10))
            look_at_us = min(now_us + wait_us, max(now_us, checkout.expires_at_us))
            await self._write(
                checkout.organization,
                lambda: journal.look_later(checkout.id, checkout.look_at_us, look_at_us, now_us, attempts=1),
            )
            raise Unavailable(
                f"Execution {checkout.run} awaits its payment, and the checkout is not open yet: {error.message} "
                "It is tried again; repeat the request with its idempotency key to be told where to pay.",
                retry_after_s=error.retry_after_s,
                run_id=checkout.run,
                execution_id=checkout.run,
            ) from error
        except InvalidInput as error:
            message = error.message
            await self._change(checkout, lambda: journal.refused(checkout.id, message, self._now()))
            raise
        await self._change(checkout, lambda: journal.opened(checkout.id, session, self._now()))
        return session.url

    # -- callbacks

    async def callback(self, provider: str, body: bytes, headers: Mapping[str, str]) -> Taken:
        used = self._providers.get(provider)
        if used is None:
            raise NotFound(f"No payment provider {provider[:64]} is in use.", what="provider")
        try:
            verdict = await used.verify(body, headers, self._now())
        except (Unauthenticated, InvalidInput) as error:
            log.warning("payments.callback_refused", provider=provider, why=error.message, bytes=len(body))
            raise
        checkout = None if verdict is None else await self._checkout_of(provider, verdict)
        if verdict is None or checkout is None:
            log.info("payments.callback_ignored", provider=provider)
            return Taken.IGNORED
        found, now_us = checkout.id, self._now()
        told = await self._write(checkout.organization, lambda: journal.taken(found, verdict, self._plans, now_us))
        await self._service.changed(checkout.organization, told.changed)
        log.info("payments.callback", provider=provider, run=checkout.run, said=verdict.kind.value, taken=told.taken)
        return told.taken

    async def _checkout_of(self, provider: str, verdict: Verdict) -> CheckoutRow | None:
        """By the provider's id, by ours (a callback may come before we have the provider's), or by the payment."""
        found: CheckoutRow | None = None
        if verdict.provider_id:
            found = await self._read(lambda: rows.of_provider(provider, verdict.provider_id))
        if found is None and verdict.checkout:
            found = await self._read(lambda: rows.get(verdict.checkout))
        if found is None and verdict.payment_id:
            found = await self._read(lambda: rows.of_payment(provider, verdict.payment_id))
        return found if found is not None and found.provider == provider else None

    # -- what is due

    async def expire_due(self, now_us: int | None = None) -> int:
        """Expire what was not paid in time, open what could not be opened, see to refunds that stopped half-way.
        Returns how many were looked at. One that does not work does not hold up the others."""
        now_us = self._now() if now_us is None else now_us
        due_us = now_us
        found = await self._read(lambda: rows.due(due_us, AT_ONCE))
        for checkout in found:
            try:
                await self._look(checkout, now_us)
            except GestaError as error:
                log.warning("payments.postponed", run=checkout.run, error=error.message)
        return len(found)

    async def _look(self, checkout: CheckoutRow, now_us: int) -> None:
        if not checkout.status.is_open:
            await self._look_at_over(checkout, now_us)
        elif now_us >= checkout.expires_at_us:
            if now_us < checkout.expires_at_us + GRACE_US and not await self._is_ended(checkout):
                await self._later(checkout, now_us + AGAIN_US)
            else:
                await self._change(checkout, lambda: journal.expired(checkout.id, now_us))
        elif checkout.provider_id:
            await self._later(checkout, checkout.expires_at_us)
        else:
            await self._open(checkout)

    async def _look_at_over(self, checkout: CheckoutRow, now_us: int) -> None:
        payments = await self._read(lambda: rows.payments(checkout.id))
        asked = [each for each in payments if each.refund is rows.Refund.ASKED]
        if asked:
            again_us = now_us + journal.REFUND_AGAIN_US
            await self._later(checkout, again_us)
            await self._give_back(checkout, asked)
            checkout = msgspec.structs.replace(checkout, look_at_us=again_us)
        # Nobody shall pay any more what is over.
        is_held = checkout.status is CheckoutStatus.COMPLETE or now_us >= checkout.expires_at_us + GRACE_US
        is_ended = is_held or await self._is_ended(checkout)
        await self._later(checkout, None if is_ended else now_us + AGAIN_US)

    async def _is_ended(self, checkout: CheckoutRow) -> bool:
        """Whether nobody can pay it at the provider any more. False where that is paid, or not known."""
        provider = self._providers.get(checkout.provider)
        if provider is None or not checkout.provider_id:
            return True
        try:
            return await provider.expire(checkout.provider_id)
        except GestaError as error:
            log.warning("payments.not_ended", run=checkout.run, error=error.message)
            return False

    async def _later(self, checkout: CheckoutRow, look_at_us: int | None) -> None:
        await self._write(
            checkout.organization, lambda: journal.look_later(checkout.id, checkout.look_at_us, look_at_us, self._now())
        )

    # -- PayDoor

    async def page(self, checkout_id: str, *, of_test: bool = False) -> CheckoutPage:
        checkout = await self._read(lambda: rows.get(checkout_id))
        test = self._providers.get(TEST)
        if checkout is None or (of_test and (checkout.provider != TEST or test is None)):
            raise NotFound("There is no such checkout.", what="checkout")
        is_over = self._now() >= checkout.expires_at_us
        status = CheckoutStatus.EXPIRED if checkout.status is CheckoutStatus.OPEN and is_over else checkout.status
        token = ""
        if status is CheckoutStatus.OPEN and checkout.provider == TEST and isinstance(test, BuiltInProvider):
            token = await test.token(checkout.id)
        return CheckoutPage(
            id=checkout.id,
            title=checkout.title,
            amount=checkout.amount,
            currency=checkout.currency,
            status=status,
            expires_at_us=checkout.expires_at_us,
            success_url=checkout.success_url,
            cancel_url=checkout.cancel_url,
            token=token,
        )

    async def press(self, checkout_id: str, action: str, token: str) -> CheckoutPage:
        page = await self.page(checkout_id, of_test=True)
        checkout = await self._read(lambda: rows.get(checkout_id))
        test = self._providers[TEST]
        assert checkout is not None
        assert isinstance(test, BuiltInProvider)
        if not await test.is_token(checkout_id, token):
            raise Forbidden("This form was not made by this page; open the page again.")
        kind = BUTTONS.get(action)
        if kind is None:
            raise InvalidInput("The buttons are pay and cancel.", field="action")
        if page.status is CheckoutStatus.COMPLETE and kind is VerdictKind.PAID:
            return page
        if page.status is not CheckoutStatus.OPEN:
            raise Conflict(f"This checkout is {page.status}.", status=page.status.value)
        now_us = self._now()
        body, headers = await test.signed(test.verdict(kind, checkout.order, now_us), now_us)
        await self.callback(TEST, body, headers)
        return await self.page(checkout_id, of_test=True)

    # -- parts

    def _now(self) -> int:
        return self._clock.now_us()

    def _in_use(self, name: str) -> Provider:
        provider = self._providers.get(name)
        if provider is None:
            raise Unavailable(f"The payment provider {name} is not set up on this server any more.", retry_after_s=60)
        return provider

    async def _of_run(self, organization: int, run_id: str) -> CheckoutRow:
        found = await self._read(lambda: rows.of_run(organization, run_id))
        if found is None:
            raise NotFound(f"Run {run_id[:128]} costs nothing.", what="checkout")
        return found

    async def _read(self, program: Callable[[], Program[T]]) -> T:
        return await self._database.read(program, snapshot=False)

    async def _write(self, organization: int, program: Callable[[], Program[T]]) -> T:
        return await ahead.write(self._database, self._plans, program, key=organization)

    async def _change(self, checkout: CheckoutRow, program: Callable[[], Program[Changed]]) -> None:
        changed = await self._write(checkout.organization, program)
        await self._service.changed(checkout.organization, changed)


def _url(given: str | None, field: str) -> str:
    """An address that a payer may be sent to. It also stands in a header of the page, so it is held to plain text."""
    if not given:
        return ""
    wrong = InvalidInput(f"{field} is an http or https address of at most {MAX_URL} characters.", field=field)
    if (
        len(given) > MAX_URL
        or not given.isascii()
        or not given.isprintable()
        or any(each in given for each in " \"'<>\\")
    ):
        raise wrong
    try:
        parts = urlsplit(given)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise wrong from error
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or ";" in parts.netloc:
        raise wrong
    return given


def _email(given: str | None) -> str:
    if not given:
        return ""
    name, _, host = given.rpartition("@")
    if not name or not host or len(given) > MAX_EMAIL or not given.isprintable() or " " in given:
        raise InvalidInput("customerEmail is an email address.", field="customerEmail")
    return given

"""Stripe's hosted checkout, through its own library. The one module that knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

import msgspec
import requests
import stripe
import structlog

from gesta.kernel.errors import InvalidInput, Unauthenticated, Unavailable
from gesta.workflows.payments.face import Order, Session, Verdict, VerdictKind
from gesta.workflows.payments.money import from_minor, to_minor

T = TypeVar("T")
US = 1_000_000
NAME = "stripe"
SIGNATURE = "stripe-signature"
# A session lives at least half an hour from the request on (docs.stripe.com/api/checkout/sessions/create,
# `expires_at`). With this much besides its own time, a request that is repeated until then is still allowed, and is
# the same request; Gesta ends the session itself in time.
SLACK_S = 31 * 60
CHECKOUT = "gesta_checkout"
MAX_TITLE = 250
THREADS = 4

log = structlog.get_logger("gesta.payments")

# Durations of requests would be told to Stripe with the next ones.
stripe.enable_telemetry = False


class _Object(msgspec.Struct):
    """What is read of a session or a charge."""

    id: str
    created: int = 0
    payment_status: str = ""
    payment_intent: str | dict[str, Any] | None = None
    amount_total: int | None = None
    amount_refunded: int | None = None
    currency: str | None = None
    metadata: dict[str, str] | None = None

    @property
    def checkout(self) -> str:
        return (self.metadata or {}).get(CHECKOUT, "")

    @property
    def payment_id(self) -> str:
        intent = self.payment_intent
        return str(intent.get("id", "")) if isinstance(intent, dict) else intent or ""


class _Data(msgspec.Struct):
    object: msgspec.Raw


class _Event(msgspec.Struct):
    id: str
    type: str
    created: int
    data: _Data


_event_decoder = msgspec.json.Decoder(_Event)
_object_decoder = msgspec.json.Decoder(_Object)

_SESSION_EVENTS = {
    "checkout.session.completed": VerdictKind.PAID,
    "checkout.session.async_payment_succeeded": VerdictKind.PAID,
    "checkout.session.async_payment_failed": VerdictKind.FAILED,
    "checkout.session.expired": VerdictKind.EXPIRED,
}


class StripeProvider:
    name = NAME

    def __init__(
        self,
        *,
        api_key: str,
        webhook_secret: str,
        return_url: str,
        api_base: str = "",
        tolerance_s: int = 300,
        timeout_s: float = 15.0,
    ) -> None:
        """`return_url`, with `{checkout}` in it, is where the payer goes who was not sent from anywhere. Raises
        InvalidInput without the keys."""
        if not api_key or not webhook_secret.strip():
            raise InvalidInput("Stripe needs its secret key and the signing secret of its webhook.", field="stripe")
        self._secret = webhook_secret
        self._return_url = return_url
        self._tolerance_s = tolerance_s
        self._timeout_s = timeout_s
        self._connections = requests.Session()
        # The library blocks: it has threads of its own, so that a silent Stripe holds up nothing else.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="stripe")
        # What did not go through is asked again by Gesta, with the same key: the library does not repeat it.
        self._client = stripe.StripeClient(
            api_key,
            base_addresses={"api": api_base.rstrip("/")} if api_base else {},
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=timeout_s, session=self._connections),
        )

    async def close(self) -> None:
        """Give up the connections; what is being asked gets no longer than its timeout."""
        await asyncio.to_thread(self._threads.shutdown)
        self._connections.close()

    def check(self, amount: Decimal, currency: str) -> None:
        to_minor(amount, currency)

    async def open(self, order: Order) -> Session:
        metadata = {CHECKOUT: order.checkout, "gesta_run": order.run_id}
        back = self._return_url.replace("{checkout}", order.checkout)
        params: dict[str, Any] = {
            "mode": "payment",
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": order.currency.lower(),
                        "unit_amount": to_minor(order.amount, order.currency),
                        "product_data": {"name": order.title[:MAX_TITLE]},
                    },
                }
            ],
            "client_reference_id": order.checkout,
            "metadata": metadata,
            "payment_intent_data": {"metadata": metadata},
            "adaptive_pricing": {"enabled": False},
            "success_url": order.success_url or back,
            "cancel_url": order.cancel_url or back,
            "expires_at": order.expires_at_us // US + SLACK_S,
        }
        if order.email:
            params["customer_email"] = order.email
        create: Callable[..., stripe.checkout.Session] = self._client.v1.checkout.sessions.create
        session = await self._ask(create, params, {"idempotency_key": order.key})
        if not session.url:
            raise Unavailable("Stripe opened a session without an address.")
        return Session(provider_id=session.id, url=session.url)

    async def verify(self, body: bytes, headers: Mapping[str, str], now_us: int) -> Verdict | None:
        """The scheme `v1` of docs.stripe.com/webhooks#verify-manually, its age by this server's clock."""
        header = headers.get(SIGNATURE, "")
        if not header:
            raise Unauthenticated("A callback of Stripe has the header Stripe-Signature.", reason="missing")
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput("The callback is not UTF-8.") from error
        try:
            if not header.isascii():
                raise ValueError("a signature is plain text")
            stripe.WebhookSignature.verify_header(text, header, self._secret)
        except (stripe.SignatureVerificationError, ValueError) as error:
            raise Unauthenticated("The signature is not that of this callback.", reason="invalid") from error
        stamp = next(int(part[2:]) for part in header.split(",") if part.startswith("t="))
        if abs(now_us // US - stamp) > self._tolerance_s:
            raise Unauthenticated(f"The callback was not signed within {self._tolerance_s} s.", reason="expired")
        try:
            event = _event_decoder.decode(body)
            if event.type not in _SESSION_EVENTS and event.type != "charge.refunded":
                return None
            told = _object_decoder.decode(event.data.object)
        except msgspec.MsgspecError as error:
            raise InvalidInput(f"The callback cannot be read: {error}") from error
        return _verdict(event, told)

    async def expire(self, provider_id: str) -> bool:
        sessions = self._client.v1.checkout.sessions
        try:
            await self._ask(sessions.expire, provider_id)
        except InvalidInput:
            # It is over already; which way, it says itself.
            session = await self._ask(sessions.retrieve, provider_id)
            return session.status != "complete"
        return True

    async def refund(self, payment_id: str, *, key: str, reason: str) -> None:
        params: dict[str, Any] = {"payment_intent": payment_id, "metadata": {"reason": reason[:400]}}
        create: Callable[..., stripe.Refund] = self._client.v1.refunds.create
        try:
            await self._ask(create, params, {"idempotency_key": key})
        except InvalidInput as error:
            if error.details.get("code") != "charge_already_refunded":
                raise

    async def _ask(self, call: Callable[..., T], *parameters: Any) -> T:
        """The library's errors as ours: what is not the request's fault may be asked again."""
        future = asyncio.get_running_loop().run_in_executor(self._threads, partial(call, *parameters))
        try:
            # The library's timeout is for each read; an answer that trickles is given up here.
            return await asyncio.wait_for(future, 2 * self._timeout_s)
        except (stripe.InvalidRequestError, stripe.CardError, stripe.IdempotencyError) as error:
            said = error.user_message or str(error)
            raise InvalidInput(f"Stripe refuses: {said}", code=error.code) from error
        except (stripe.AuthenticationError, stripe.PermissionError) as error:
            log.error("payments.stripe_key_refused", error=error.user_message)
            raise Unavailable("Stripe does not accept this server's key.", retry_after_s=60) from error
        except (stripe.StripeError, TimeoutError) as error:
            log.warning("payments.stripe_silent", error=str(error))
            raise Unavailable("Stripe does not answer.") from error


def _verdict(event: _Event, told: _Object) -> Verdict | None:
    currency = (told.currency or "").upper()
    kind = _SESSION_EVENTS.get(event.type, VerdictKind.REFUNDED)
    # Done, and not paid yet: the money comes by bank, and another event will tell.
    if event.type == "checkout.session.completed" and told.payment_status == "unpaid":
        kind = VerdictKind.PROCESSING
    minor = told.amount_refunded if kind is VerdictKind.REFUNDED else told.amount_total
    payment_id = told.payment_id
    if kind is VerdictKind.PAID:
        payment_id = payment_id or told.id
    if kind is VerdictKind.REFUNDED and not payment_id:
        return None
    return Verdict(
        kind=kind,
        at_us=event.created * US,
        event_id=event.id,
        checkout=told.checkout,
        provider_id="" if kind is VerdictKind.REFUNDED else told.id,
        payment_id=payment_id,
        amount=from_minor(minor or 0, currency),
        currency=currency,
    )


__all__ = ["NAME", "SIGNATURE", "StripeProvider"]

"""The built-in provider `test`: nobody pays anything. Gesta serves its page, and what a button does comes back as a
signed callback, which is verified as any other."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal

import msgspec

from gesta.kernel.errors import InvalidInput, Unauthenticated
from gesta.workflows.payments.face import Order, Session, Verdict, VerdictKind
from gesta.workflows.payments.money import to_minor

US = 1_000_000
NAME = "test"
SIGNATURE = "gesta-signature"
TOLERANCE_S = 300
MOST_OF_A_COIN = 1_000_000_000
FOR_CALLBACKS = "workflows.payments.test.callback"
FOR_BUTTONS = "workflows.payments.test.button"

Key = Callable[[str], Awaitable[bytes]]

_decoder = msgspec.json.Decoder(Verdict)


class BuiltInProvider:
    """`key` gives the installation's secret for a purpose (`Access.derived_key`)."""

    name = NAME

    def __init__(self, *, key: Key, public_url: str) -> None:
        self._key = key
        self._public_url = public_url.rstrip("/")

    def check(self, amount: Decimal, currency: str) -> None:
        """Also of coins such as USDC, which card networks do not know."""
        if len(currency) == 3:
            to_minor(amount, currency)
        elif not amount.is_finite() or not 0 < amount <= MOST_OF_A_COIN:
            raise InvalidInput(f"A price is more than 0 and at most {MOST_OF_A_COIN}.", field="amount")

    async def open(self, order: Order) -> Session:
        return Session(provider_id=f"test_{order.checkout}", url=f"{self._public_url}/pay/test/{order.checkout}")

    async def verify(self, body: bytes, headers: Mapping[str, str], now_us: int) -> Verdict | None:
        stamp, signature = _parts(headers.get(SIGNATURE, ""))
        expected = await self._signature(stamp, body)
        if not hmac.compare_digest(expected, signature):
            raise Unauthenticated("The signature is not that of this callback.", reason="invalid")
        if abs(now_us // US - int(stamp)) > TOLERANCE_S:
            raise Unauthenticated(f"The callback was not signed within {TOLERANCE_S} seconds.", reason="expired")
        try:
            return _decoder.decode(body)
        except msgspec.MsgspecError as error:
            raise InvalidInput(f"The callback cannot be read: {error}") from error

    async def expire(self, provider_id: str) -> bool:
        """Nobody pays what the page does not take any more."""
        return True

    async def refund(self, payment_id: str, *, key: str, reason: str) -> None:
        """There is nothing to give back."""

    # -- its page

    async def signed(self, verdict: Verdict, now_us: int) -> tuple[bytes, dict[str, str]]:
        """The body and headers of a callback."""
        body = msgspec.json.encode(verdict)
        stamp = str(now_us // US)
        return body, {SIGNATURE: f"t={stamp},v1={(await self._signature(stamp, body)).decode()}"}

    async def token(self, checkout_id: str) -> str:
        """What its buttons send along: only who was shown the page has it."""
        key = await self._key(FOR_BUTTONS)
        return hmac.new(key, checkout_id.encode(), "sha256").hexdigest()

    async def is_token(self, checkout_id: str, token: str) -> bool:
        expected = await self.token(checkout_id)
        return hmac.compare_digest(expected.encode(), token.encode("utf-8", "replace"))

    def verdict(self, kind: VerdictKind, order: Order, now_us: int) -> Verdict:
        """What a button means. One checkout is one payment, however often it is pressed."""
        return Verdict(
            kind=kind,
            at_us=now_us,
            event_id=f"evt_{order.checkout}_{kind.value}",
            checkout=order.checkout,
            provider_id=f"test_{order.checkout}",
            payment_id=f"pay_{order.checkout}" if kind is VerdictKind.PAID else "",
            amount=order.amount,
            currency=order.currency,
        )

    async def _signature(self, stamp: str, body: bytes) -> bytes:
        key = await self._key(FOR_CALLBACKS)
        return hmac.new(key, stamp.encode() + b"." + body, "sha256").hexdigest().encode()


def _parts(header: str) -> tuple[str, bytes]:
    """`t=<seconds>,v1=<hex>`."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    stamp, signature = parts.get("t", ""), parts.get("v1", "")
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 12 and signature):
        reason = "invalid" if header else "missing"
        raise Unauthenticated(f"A callback has the header {SIGNATURE}: t=seconds,v1=signature.", reason=reason)
    return stamp, signature.encode("utf-8", "replace")


__all__ = ["NAME", "SIGNATURE", "BuiltInProvider"]

"""Stripe, as its library speaks to it and as its callbacks are signed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import stripe

from gesta.kernel.errors import InvalidInput, Unauthenticated, Unavailable
from gesta.testing.stripe_double import KEY, SECRET, StripeDouble
from gesta.workflows.payments.face import Order, VerdictKind
from gesta.workflows.payments.money import from_minor, printed, to_minor
from gesta.workflows.payments.stripe_provider import StripeProvider

NOW_S = 1_760_000_000
US = 1_000_000
NOW_US = NOW_S * US


@pytest.fixture
async def double() -> AsyncIterator[StripeDouble]:
    double = StripeDouble(NOW_S)
    yield double
    double.close()


@pytest.fixture
async def provider(double: StripeDouble) -> AsyncIterator[StripeProvider]:
    provider = made(double)
    yield provider
    await provider.close()


def made(double: StripeDouble, **changes: Any) -> StripeProvider:
    given: dict[str, Any] = {
        "api_key": KEY,
        "webhook_secret": SECRET,
        "return_url": "http://pay.test/pay/checkouts/{checkout}",
        "api_base": double.url,
        "timeout_s": 5.0,
    }
    return StripeProvider(**{**given, **changes})


def order(amount: str = "4.50", currency: str = "USD", **changes: Any) -> Order:
    given: dict[str, Any] = {
        "checkout": "c" * 32,
        "run_id": "r" * 24,
        "title": "Report & chart",
        "amount": Decimal(amount),
        "currency": currency,
        "created_at_us": NOW_US,
        "expires_at_us": NOW_US + 1800 * US,
        "success_url": "https://shop.test/done?a=1",
        "cancel_url": "",
        "email": "a@b.test",
        "key": "gesta-checkout-c",
    }
    return Order(**{**given, **changes})


async def test_a_session_is_opened_once(double: StripeDouble, provider: StripeProvider) -> None:
    session = await provider.open(order())
    assert await provider.open(order()) == session
    # Minutes later too: the same request is still one that Stripe takes.
    double.now_s += 29 * 60
    assert await provider.open(order()) == session
    assert list(double.sessions) == [session.provider_id]
    path, sent, key = double.requests[0]
    assert (path, key) == ("/v1/checkout/sessions", "gesta-checkout-c")
    assert sent["mode"] == "payment"
    assert sent["line_items[0][price_data][unit_amount]"] == "450"
    assert sent["line_items[0][price_data][currency]"] == "usd"
    assert sent["line_items[0][price_data][product_data][name]"] == "Report & chart"
    assert sent["metadata[gesta_run]"] == sent["payment_intent_data[metadata][gesta_run]"] == "r" * 24
    assert sent["metadata[gesta_checkout]"] == sent["client_reference_id"] == "c" * 32
    assert sent["success_url"] == "https://shop.test/done?a=1"
    assert sent["cancel_url"] == f"http://pay.test/pay/checkouts/{'c' * 32}"
    assert sent["customer_email"] == "a@b.test"
    assert sent["adaptive_pricing[enabled]"].lower() == "false"
    assert int(sent["expires_at"]) == NOW_S + 1800 + 31 * 60


async def test_a_first_request_late_is_still_taken(double: StripeDouble, provider: StripeProvider) -> None:
    double.now_s += 1799
    assert (await provider.open(order())).url.startswith(double.url)


@pytest.mark.parametrize("failure", [0, 429, 500, 503, 409])
async def test_what_does_not_answer_is_unavailable(
    double: StripeDouble, provider: StripeProvider, failure: int
) -> None:
    double.fail = [failure]
    with pytest.raises(Unavailable):
        await provider.open(order())
    assert len(double.requests) == 1
    assert (await provider.open(order())).provider_id == "cs_test_0001"


async def test_a_key_that_stripe_does_not_know_is_not_the_callers_fault(double: StripeDouble) -> None:
    provider = made(double, api_key="sk_test_other")
    with pytest.raises(Unavailable):
        await provider.open(order())
    await provider.close()


async def test_nobody_listens(double: StripeDouble) -> None:
    provider = made(double, api_base="http://127.0.0.1:1")
    with pytest.raises(Unavailable):
        await provider.open(order())
    await provider.close()


async def test_what_stripe_refuses_is_told(provider: StripeProvider) -> None:
    with pytest.raises(InvalidInput, match=r"at least \$0\.50"):
        await provider.open(order("0.10"))
    await provider.open(order())
    with pytest.raises(InvalidInput, match="other parameters"):
        await provider.open(order("5.00"))


async def test_without_its_keys_it_does_not_begin(double: StripeDouble) -> None:
    for missing in ({"api_key": ""}, {"webhook_secret": " "}):
        with pytest.raises(InvalidInput):
            made(double, **missing)


async def test_sessions_end(double: StripeDouble, provider: StripeProvider) -> None:
    first = await provider.open(order())
    assert await provider.expire(first.provider_id)
    assert await provider.expire(first.provider_id)
    second = await provider.open(order(key="other"))
    double.pay(second.provider_id)
    assert not await provider.expire(second.provider_id)


async def test_a_payment_is_given_back_once(double: StripeDouble, provider: StripeProvider) -> None:
    session = await provider.open(order())
    double.pay(session.provider_id)
    for key in ("refund-1", "refund-1", "refund-2"):
        await provider.refund("pi_0001", key=key, reason="failed")
    assert list(double.refunds) == ["pi_0001"]
    with pytest.raises(InvalidInput):
        await provider.refund("pi_else", key="refund-3", reason="")


async def test_callbacks_become_verdicts(double: StripeDouble, provider: StripeProvider) -> None:
    session = await provider.open(order())
    id_ = session.provider_id

    async def verdict(body: bytes, headers: dict[str, str]) -> Any:
        return await provider.verify(body, headers, NOW_US)

    delayed = await verdict(*double.pay(id_, delayed=True))
    assert (delayed.kind, delayed.payment_id) == (VerdictKind.PROCESSING, "pi_0001")
    failed = await verdict(*double.settle(id_, succeeds=False))
    assert (failed.kind, failed.provider_id, failed.checkout) == (VerdictKind.FAILED, id_, "c" * 32)
    settled = await verdict(*double.settle(id_))
    assert settled.kind is VerdictKind.PAID
    paid = await verdict(*double.pay(id_))
    assert (paid.kind, paid.amount, paid.currency, paid.at_us) == (VerdictKind.PAID, Decimal("4.50"), "USD", NOW_US)
    assert (paid.provider_id, paid.payment_id) == (id_, "pi_0001")
    expired = await verdict(*double.event("checkout.session.expired", double.sessions[id_]))
    assert expired.kind is VerdictKind.EXPIRED
    refunded = await verdict(*double.event("charge.refunded", double.charge_of(id_, 120)))
    assert (refunded.kind, refunded.amount, refunded.payment_id) == (VerdictKind.REFUNDED, Decimal("1.20"), "pi_0001")
    assert (refunded.provider_id, refunded.checkout) == ("", "c" * 32)
    assert await verdict(*double.event("invoice.paid", {"id": "in_1"})) is None
    assert await verdict(*double.event("charge.refunded", {"id": "ch_1", "currency": "usd"})) is None


async def test_only_stripes_signature_is_believed(double: StripeDouble, provider: StripeProvider) -> None:
    session = await provider.open(order())
    body, headers = double.pay(session.provider_id)
    stamp = headers["stripe-signature"].partition(",")[0]
    own = stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET, NOW_S)
    assert (await provider.verify(body, {"stripe-signature": own}, NOW_US)) is not None
    wrong: list[tuple[bytes, dict[str, str], str]] = [
        (body, {}, "missing"),
        (body + b" ", headers, "invalid"),
        (body.replace(b"450", b"001"), headers, "invalid"),
        (body, double.signed(body, secret="whsec_other"), "invalid"),
        (body, {"stripe-signature": stamp}, "invalid"),
        (body, {"stripe-signature": f"{stamp},v0=00"}, "invalid"),
        (body, {"stripe-signature": "t=,v1="}, "invalid"),
        (body, {"stripe-signature": "v1"}, "invalid"),
        (body, {"stripe-signature": f"{stamp},v1=\u00e9"}, "invalid"),
        (body, double.signed(body, at_s=NOW_S - 301), "expired"),
        (body, double.signed(body, at_s=NOW_S + 301), "expired"),
    ]
    for sent, given, reason in wrong:
        with pytest.raises(Unauthenticated) as caught:
            await provider.verify(sent, given, NOW_US)
        assert caught.value.reason == reason
    assert await provider.verify(body, double.signed(body, at_s=NOW_S - 300), NOW_US) is not None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"id": 1}',
        json.dumps({"id": "e", "type": "checkout.session.completed", "created": 1, "data": {"object": []}}).encode(),
        json.dumps(
            {"id": "e", "type": "charge.refunded", "created": 1, "data": {"object": {"id": "c", "metadata": {"a": 1}}}}
        ).encode(),
        b"[" * 100_000,
    ],
)
async def test_what_is_signed_and_cannot_be_read(double: StripeDouble, provider: StripeProvider, body: bytes) -> None:
    with pytest.raises(InvalidInput):
        await provider.verify(body, double.signed(body), NOW_US)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("4.50", "USD", 450),
        ("500", "JPY", 500),
        ("5", "UGX", 500),
        ("5", "ISK", 500),
        ("5.120", "KWD", 5120),
        ("999999.99", "EUR", 99_999_999),
    ],
)
def test_minor_units(amount: str, currency: str, minor: int) -> None:
    assert to_minor(Decimal(amount), currency) == minor
    assert from_minor(minor, currency) == Decimal(amount)


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("0", "USD"),
        ("-1", "USD"),
        ("0.001", "USD"),
        ("NaN", "USD"),
        ("Infinity", "USD"),
        ("1e99", "USD"),
        ("1000000", "USD"),
        ("1.5", "JPY"),
        ("1.5", "ISK"),
        ("1.234", "KWD"),
        ("1", "usd"),
        ("1", "US"),
        ("1", "ÜSD"),
    ],
)
def test_amounts_that_cannot_be_charged_exactly(amount: str, currency: str) -> None:
    with pytest.raises(InvalidInput):
        to_minor(Decimal(amount), currency)


def test_amounts_as_people_read_them() -> None:
    assert printed(Decimal("1234.5"), "USD") == "1,234.50 USD"
    assert printed(Decimal("500"), "JPY") == "500 JPY"
    assert printed(Decimal("0.000125"), "USDC") == "0.000125 USDC"

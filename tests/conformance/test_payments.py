"""Payments on each kind of database: only a verified callback confirms, once, and what is held is given back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gesta.app.build import MIGRATIONS
from gesta.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated, Unavailable
from gesta.ledger.records import Status
from gesta.storage.migrate import migrate
from gesta.storage.program import Database
from gesta.testing.fakes import ManualClock
from gesta.testing.memory_engine import EngineDisk
from gesta.workflows.graph.definition import Price
from gesta.workflows.graph.steps import begin
from gesta.workflows.payments import journal
from gesta.workflows.payments.face import Taken, VerdictKind
from gesta.workflows.payments.test_provider import SIGNATURE
from gesta.workflows.runs.rows import MIGRATIONS as WORKFLOWS
from tests.conformance.pay_house import PUBLIC, US, PayHouse, costing
from tests.conformance.run_house import Remote, detail, flow, node

PAID, EXPIRED, FAILED = VerdictKind.PAID, VerdictKind.EXPIRED, VerdictKind.FAILED
REFUNDED, PROCESSING = VerdictKind.REFUNDED, VerdictKind.PROCESSING
HALF_HOUR_US = 1800 * US


@pytest.fixture
async def house(database: Database) -> AsyncIterator[PayHouse]:
    await migrate(database, list(dict.fromkeys([*MIGRATIONS, WORKFLOWS])))
    house = PayHouse(database, ManualClock(), EngineDisk(), Remote(), 0)
    await house.open()
    yield house
    await house.kill()


async def test_a_run_that_costs_something_awaits_its_payment_and_begins_with_it(house: PayHouse) -> None:
    started = await house.bought(success_url="https://shop.test/done", customer_email="a@b.test")
    run_id = started.execution.id
    view = await house.payments.checkout(house.principal, run_id)
    assert started.checkout_url == view.url == f"{PUBLIC}/pay/test/{view.id}"
    assert (view.amount, view.currency, view.status, view.provider) == (Decimal("4.50"), "USD", "open", "test")
    assert detail(started.execution).checkout_session_id == view.provider_id == f"test_{view.id}"
    assert await house.money(run_id) == ("awaiting_payment", "unpaid", None)
    assert house.remote.keys == {}

    assert await house.says(run_id, PAID) is Taken.CONFIRMED
    over = await house.ended(run_id)
    assert over.status is Status.SUCCEEDED
    assert (detail(over).payment_status, detail(over).order_id) == ("paid", f"pay_{view.id}")
    assert await house.checkout_status(run_id) == "complete"
    assert await house.words(run_id) == ["payment.opened", "payment.confirmed"]
    statuses = [event.to_status for event in await house.events(run_id) if event.to_status != event.from_status]
    assert statuses == [Status.AWAITING_PAYMENT, Status.PAID, Status.QUEUED, Status.RUNNING, Status.SUCCEEDED]
    await house.check()


async def test_what_a_paid_run_begins_with_is_worked_out_before_the_transaction(
    house: PayHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def watched(*given: Any, **named: Any) -> Any:
        threads.append(threading.current_thread().name)
        return begin(*given, **named)

    monkeypatch.setattr("gesta.workflows.runs.journal.begin", watched)
    twice = node("twice", "transform", jsonata="input.n * 2")
    price = Price(amount=Decimal("4.50"), currency="USD")
    started = await house.start(flow(twice, links=("start>twice",), price=price), {"n": 4})
    assert await house.says(started.execution.id, PAID) is Taken.CONFIRMED
    assert detail(await house.ended(started.execution.id)).response_payload == 8
    assert [name.startswith("asyncio_") for name in threads] == [True]


async def test_a_callback_twice_is_one(house: PayHouse) -> None:
    run_id = (await house.bought()).execution.id
    taken = await asyncio.gather(*(house.says(run_id, PAID) for _ in range(4)))
    assert sorted(taken) == sorted([Taken.CONFIRMED, *[Taken.REPEATED] * 3])
    await house.ended(run_id)
    assert await house.says(run_id, PAID) is Taken.REPEATED
    assert (await house.words(run_id)).count("payment.confirmed") == 1
    assert sum(house.remote.keys.values()) == 1


async def test_a_forged_callback_leaves_nothing(house: PayHouse) -> None:
    run_id = (await house.bought()).execution.id
    before = await house.events(run_id)
    now_us = house.clock.now_us()
    verdict = house.provider.verdict(PAID, await house.order(run_id), now_us)
    body, headers = await house.provider.signed(verdict, now_us)
    forged: list[tuple[bytes, dict[str, str], str]] = [
        (body, {}, "missing"),
        (body, {SIGNATURE: "t=1,v1=00"}, "invalid"),
        (body, {SIGNATURE: "nonsense"}, "invalid"),
        (body, {SIGNATURE: "t=\u0663,v1=\u00e9"}, "invalid"),
        (body.replace(b"4.50", b"0.01"), headers, "invalid"),
        (b"", headers, "invalid"),
    ]
    for sent, given_headers, reason in forged:
        with pytest.raises(Unauthenticated) as caught:
            await house.send(sent, given_headers)
        assert caught.value.reason == reason
    stamp = str(now_us // US)
    signature = (await house.provider._signature(stamp, b"{]")).decode()
    with pytest.raises(InvalidInput):
        await house.send(b"{]", {SIGNATURE: f"t={stamp},v1={signature}"})
    house.clock.advance_us(301 * US)
    with pytest.raises(Unauthenticated) as caught:
        await house.send(body, headers)
    assert caught.value.reason == "expired"
    with pytest.raises(NotFound):
        await house.payments.callback("stripe", body, headers)
    assert await house.events(run_id) == before
    assert await house.money(run_id) == ("awaiting_payment", "unpaid", None)


async def test_a_callback_of_no_checkout_is_ignored(house: PayHouse) -> None:
    run_id = (await house.bought()).execution.id
    assert await house.says(run_id, PAID, checkout="0" * 32, provider_id="test_else") is Taken.IGNORED
    assert await house.words(run_id) == ["payment.opened"]


@pytest.mark.parametrize("wrong", [{"amount": Decimal("0.01")}, {"amount": Decimal("45")}, {"currency": "EUR"}])
async def test_another_amount_or_currency_confirms_nothing(house: PayHouse, wrong: dict[str, Any]) -> None:
    run_id = (await house.bought()).execution.id
    for _ in range(2):
        await house.says(run_id, PAID, payment_id="pay_wrong", **wrong)
    assert await house.words(run_id) == ["payment.opened", "payment.mismatch"]
    assert (await house.money(run_id))[:2] == ("awaiting_payment", "unpaid")
    # It is still to be paid, and what was paid wrongly can be given back.
    assert await house.says(run_id, PAID) is Taken.CONFIRMED
    await house.ended(run_id)
    view = await house.payments.refund(house.principal, run_id, reason="wrong amount")
    assert view.status == "complete"
    assert list(house.provider.refunds) == [f"gesta-refund-{view.id}-pay_wrong-0"]
    assert (await house.money(run_id))[1] == "paid"


async def test_what_nobody_pays_expires_and_cancels(house: PayHouse) -> None:
    run_id = (await house.bought()).execution.id
    house.clock.advance_us(HALF_HOUR_US - US)
    await house.payments.expire_due()
    assert (await house.money(run_id))[0] == "awaiting_payment"
    house.clock.advance_us(US)
    await house.payments.expire_due()
    assert await house.money(run_id) == ("cancelled", "expired", "checkout_expired")
    assert await house.checkout_status(run_id) == "expired"
    assert house.provider.ended == [f"test_{(await house.order(run_id)).checkout}"]
    assert await house.words(run_id) == ["payment.opened", "payment.expired"]
    await house.payments.expire_due()
    assert await house.payments.expire_due() == 0
    with pytest.raises(Conflict):
        await house.runs.retry(house.principal, run_id)
    with pytest.raises(Conflict):
        await house.payments.refund(house.principal, run_id)
    await house.check()


async def test_what_was_paid_in_the_last_moment_is_waited_for(house: PayHouse) -> None:
    run_id = (await house.bought()).execution.id
    at_us = house.clock.now_us() + HALF_HOUR_US - 1
    house.clock.advance_us(HALF_HOUR_US + US)
    house.provider.is_paid_there = True
    await house.payments.expire_due()
    assert (await house.money(run_id))[0] == "awaiting_payment"
    assert await house.says(run_id, PAID, at_us=at_us) is Taken.CONFIRMED
    assert (await house.ended(run_id)).status is Status.SUCCEEDED


@pytest.mark.parametrize("how", ["down", "paid"])
async def test_a_provider_that_never_says_more_is_not_waited_for_for_ever(house: PayHouse, how: str) -> None:
    run_id = (await house.bought()).execution.id
    house.provider.is_down, house.provider.is_paid_there = how == "down", how == "paid"
    house.clock.advance_us(HALF_HOUR_US)
    await house.payments.expire_due()
    assert (await house.money(run_id))[0] == "awaiting_payment"
    house.clock.advance_us(600 * US)
    await house.payments.expire_due()
    assert await house.money(run_id) == ("cancelled", "expired", "checkout_expired")
    await house.payments.expire_due()
    assert await house.payments.expire_due() == 0


@pytest.mark.parametrize("how", ["expired", "swept", "unswept", "stopped", "failed"])
async def test_what_comes_too_late_is_refundable(house: PayHouse, how: str) -> None:
    run_id = (await house.bought()).execution.id
    match how:
        case "expired":
            await house.says(run_id, EXPIRED)
        case "failed":
            await house.says(run_id, FAILED)
        case "stopped":
            await house.runs.stop(house.principal, run_id)
            assert (await house.money(run_id))[:2] == ("cancelled", "expired")
        case _:
            house.clock.advance_us(HALF_HOUR_US)
            if how == "swept":
                await house.payments.expire_due()
    for _ in range(2):
        await house.says(run_id, PAID)
    status = "failed" if how == "failed" else "cancelled"
    assert (await house.money(run_id))[:2] == (status, "refundable")
    assert (await house.words(run_id))[-1] == "payment.late"
    assert (await house.words(run_id)).count("payment.late") == 1
    assert house.remote.keys == {}
    with pytest.raises(Conflict):
        await house.runs.retry(house.principal, run_id)
    with pytest.raises(Conflict):
        await house.runs.rerun(house.principal, run_id)
    view = await house.payments.refund(house.principal, run_id, reason="too late")
    assert view.status == "refunded"
    assert (await house.money(run_id))[:2] == (status, "refunded")
    assert (await house.words(run_id))[-2:] == ["payment.refund_asked", "payment.refunded"]
    with pytest.raises(Conflict):
        await house.payments.refund(house.principal, run_id)
    assert len(house.provider.refunds) == 1
    # What is over is ended at the provider too.
    house.clock.advance_us(61 * US)
    await house.payments.expire_due()
    assert house.provider.ended
    await house.check()


async def test_a_payment_that_fails_fails_the_run(house: PayHouse) -> None:
    run_id = (await house.bought()).execution.id
    assert await house.says(run_id, FAILED) is Taken.FAILED
    assert await house.says(run_id, FAILED) is Taken.REPEATED
    assert await house.money(run_id) == ("failed", "failed", "payment_failed")
    assert await house.checkout_status(run_id) == "failed"
    assert (await house.words(run_id)).count("payment.failed") == 1


async def test_money_on_its_way_is_waited_for(house: PayHouse) -> None:
    run_id = (await house.bought()).execution.id
    assert await house.says(run_id, PROCESSING) is Taken.PROCESSING
    assert await house.says(run_id, PROCESSING) is Taken.REPEATED
    assert (await house.money(run_id))[:2] == ("awaiting_payment", "processing")
    house.clock.advance_us(3 * 86_400 * US)
    await house.payments.expire_due()
    assert await house.checkout_status(run_id) == "processing"
    assert await house.says(run_id, PAID) is Taken.CONFIRMED
    assert (await house.ended(run_id)).status is Status.SUCCEEDED


async def test_a_run_that_fails_after_payment_is_refundable_and_refunded_once(house: PayHouse) -> None:
    house.remote.failing["a"] = 9
    run_id = (await house.bought()).execution.id
    await house.says(run_id, PAID)
    assert (await house.ended(run_id)).status is Status.FAILED
    assert (await house.money(run_id))[1] == "refundable"
    payment = f"pay_{(await house.order(run_id)).checkout}"
    # Nothing answers, then the provider says no, then it is done.
    house.provider.refund_fails[payment] = Unavailable("The provider does not answer.")
    with pytest.raises(Unavailable):
        await house.payments.refund(house.principal, run_id, reason="failed")
    assert (await house.money(run_id))[1] == "refunding"
    with pytest.raises(Conflict):
        await house.runs.retry(house.principal, run_id)
    house.provider.refund_fails[payment] = InvalidInput("The balance is too low.")
    with pytest.raises(InvalidInput):
        await house.payments.refund(house.principal, run_id)
    assert (await house.money(run_id))[1] == "refundable"
    view = await house.payments.refund(house.principal, run_id, reason="failed")
    assert (view.status, (await house.money(run_id))[1]) == ("refunded", "refunded")
    assert house.provider.refunds == {f"gesta-refund-{view.id}-{payment}-1": 1}
    # The provider's own word for it comes after, and changes nothing.
    assert await house.says(run_id, REFUNDED, payment_id=payment) is Taken.REPEATED
    assert (await house.words(run_id))[2:] == [
        "payment.refund_asked",
        "payment.refund_failed",
        "payment.refund_asked",
        "payment.refunded",
    ]
    with pytest.raises(Conflict):
        await house.runs.retry(house.principal, run_id)
    await house.check()


async def test_a_refund_that_stopped_half_way_is_gone_on_with(house: PayHouse) -> None:
    house.remote.failing["a"] = 9
    run_id = (await house.bought()).execution.id
    await house.says(run_id, PAID)
    await house.ended(run_id)
    payment = f"pay_{(await house.order(run_id)).checkout}"
    house.provider.refund_fails[payment] = Unavailable("The provider does not answer.")
    with pytest.raises(Unavailable):
        await house.payments.refund(house.principal, run_id)
    await house.payments.expire_due()
    assert (await house.money(run_id))[1] == "refunding"
    house.clock.advance_us(61 * US)
    await house.payments.expire_due()
    assert (await house.money(run_id))[1] == "refunded"
    assert await house.payments.expire_due() == 0


async def test_a_paid_run_that_failed_may_be_retried_and_is_paid_then(house: PayHouse) -> None:
    house.remote.failing["a"] = 1
    run_id = (await house.bought()).execution.id
    await house.says(run_id, PAID)
    assert (await house.ended(run_id)).status is Status.FAILED
    await house.runs.retry(house.principal, run_id)
    assert (await house.until(run_id, Status.SUCCEEDED)).status is Status.SUCCEEDED
    assert (await house.money(run_id))[1] == "paid"


async def test_a_refund_by_hand_at_the_provider_is_taken_over(house: PayHouse) -> None:
    run_id = (await house.bought()).execution.id
    await house.says(run_id, PAID)
    await house.ended(run_id)
    payment = f"pay_{(await house.order(run_id)).checkout}"
    for amount in ("1.00", "1.00", "4.50", "4.50"):
        await house.says(run_id, REFUNDED, payment_id=payment, amount=Decimal(amount))
    assert (await house.words(run_id))[2:] == ["payment.partly_refunded", "payment.refunded"]
    assert (await house.money(run_id))[:2] == ("succeeded", "refunded")
    assert await house.checkout_status(run_id) == "refunded"
    with pytest.raises(Conflict):
        await house.payments.refund(house.principal, run_id)


async def test_a_provider_that_does_not_answer_leaves_the_run_awaiting(house: PayHouse) -> None:
    house.provider.is_down = True
    with pytest.raises(Unavailable) as caught:
        await house.bought(key="order-7")
    run_id = caught.value.details["execution_id"]
    assert await house.money(run_id) == ("awaiting_payment", "unpaid", None)
    with pytest.raises(Unavailable) as again:
        await house.bought(key="order-7")
    assert again.value.details["execution_id"] == run_id
    house.provider.is_down = False
    known = await house.bought(key="order-7")
    assert (known.execution.id, known.is_new) == (run_id, False)
    assert known.checkout_url is not None
    assert await house.words(run_id) == ["payment.opened"]


async def test_the_sweeper_opens_what_could_not_be_opened(house: PayHouse) -> None:
    house.provider.is_down = True
    with pytest.raises(Unavailable) as caught:
        await house.bought()
    run_id = caught.value.details["execution_id"]
    house.clock.advance_us(60 * US)
    await house.payments.expire_due()
    assert await house.words(run_id) == []
    house.provider.is_down = False
    house.clock.advance_us(60 * US)
    await house.payments.expire_due()
    assert await house.words(run_id) == ["payment.opened"]
    assert set(house.provider.opened.values()) == {1}
    assert await house.says(run_id, PAID) is Taken.CONFIRMED


async def test_a_provider_that_refuses_ends_the_run(house: PayHouse) -> None:
    house.provider.refuses = "The amount is too small."
    with pytest.raises(InvalidInput):
        await house.bought(run_id="small")
    assert await house.money("small") == ("failed", "failed", "payment_failed")
    assert await house.words("small") == ["payment.refused"]


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"success_url": "javascript:alert(1)"}, InvalidInput),
        ({"success_url": "https://a.test/ x"}, InvalidInput),
        ({"success_url": "https://a;b.test/"}, InvalidInput),
        ({"success_url": "https://user@b.test/"}, InvalidInput),
        ({"cancel_url": "//a.test"}, InvalidInput),
        ({"cancel_url": "http://[a"}, InvalidInput),
        ({"cancel_url": "https://a.test/" + "x" * 2048}, InvalidInput),
        ({"customer_email": "nobody"}, InvalidInput),
        ({"price": "0"}, InvalidInput),
        ({"price": "-1"}, InvalidInput),
        ({"price": "0.001"}, InvalidInput),
        ({"price": "NaN"}, InvalidInput),
        ({"price": "1E+40"}, InvalidInput),
        ({"price": "1.5", "currency": "JPY"}, InvalidInput),
        ({"currency": "usd"}, InvalidInput),
        ({"price": "0", "currency": "USDC"}, InvalidInput),
        ({"price": "sNaN", "currency": "USDC"}, InvalidInput),
    ],
)
async def test_what_cannot_be_paid_is_not_begun(house: PayHouse, asked: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        await house.bought(run_id="never", **asked)
    assert await house.ledger.get(house.principal.organization.id, "never") is None


async def test_without_a_provider_nothing_that_costs_is_begun(house: PayHouse) -> None:
    house.payments._provider = ""
    with pytest.raises(Conflict):
        await house.bought(run_id="never")
    assert await house.ledger.get(house.principal.organization.id, "never") is None
    free = await house.start(msgspec.structs.replace(costing(), price=None), {})
    with pytest.raises(NotFound):
        await house.payments.checkout(house.principal, free.execution.id)
    with pytest.raises(NotFound):
        await house.payments.refund(house.principal, free.execution.id)


async def test_the_buttons(house: PayHouse) -> None:
    run_id = (await house.bought(success_url="https://shop.test/done")).execution.id
    id_ = (await house.order(run_id)).checkout
    page = await house.payments.page(id_, of_test=True)
    with pytest.raises(Forbidden):
        await house.payments.press(id_, "pay", "0" * 64)
    with pytest.raises(InvalidInput):
        await house.payments.press(id_, "steal", page.token)
    with pytest.raises(NotFound):
        await house.payments.press("f" * 32, "pay", page.token)
    assert (await house.payments.press(id_, "pay", page.token)).status == "complete"
    assert (await house.payments.press(id_, "pay", page.token)).status == "complete"
    with pytest.raises(Conflict):
        await house.payments.press(id_, "cancel", page.token)
    assert (await house.ended(run_id)).status is Status.SUCCEEDED

    late = (await house.bought()).execution.id
    id_ = (await house.order(late)).checkout
    page = await house.payments.page(id_, of_test=True)
    house.clock.advance_us(HALF_HOUR_US)
    assert (await house.payments.page(id_)).status == "expired"
    with pytest.raises(Conflict):
        await house.payments.press(id_, "pay", page.token)
    assert await house.words(late) == ["payment.opened"]

    given_up = (await house.bought()).execution.id
    id_ = (await house.order(given_up)).checkout
    page = await house.payments.page(id_, of_test=True)
    assert (await house.payments.press(id_, "cancel", page.token)).status == "expired"
    assert await house.money(given_up) == ("cancelled", "expired", "checkout_expired")


@pytest.mark.parametrize("point", ["workflows.paid.checkout", "workflows.paid.run"])
async def test_checkout_run_and_ledger_change_together(
    house: PayHouse, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    run_id = (await house.bought()).execution.id
    before = await house.events(run_id)

    def fails(reached: str) -> None:
        if reached == point:
            raise Unavailable("The database went away.")

    with monkeypatch.context() as patched:
        patched.setattr(journal, "reach", fails)
        with pytest.raises(Unavailable):
            await house.says(run_id, PAID)
    assert await house.events(run_id) == before
    assert await house.money(run_id) == ("awaiting_payment", "unpaid", None)
    assert await house.checkout_status(run_id) == "open"
    assert await house.says(run_id, PAID) is Taken.CONFIRMED
    assert (await house.ended(run_id)).status is Status.SUCCEEDED


async def test_a_callback_and_the_sweeper_at_once(house: PayHouse) -> None:
    run_ids = [(await house.bought()).execution.id for _ in range(8)]
    at_us = house.clock.now_us()
    house.clock.advance_us(HALF_HOUR_US)
    calls = [house.says(run_id, PAID, at_us=at_us) for run_id in run_ids]
    _, *taken = await asyncio.gather(house.payments.expire_due(), *calls)
    for run_id, what in zip(run_ids, taken, strict=True):
        status, said, _ = await house.money(run_id)
        if what is Taken.CONFIRMED:
            assert (await house.ended(run_id)).status is Status.SUCCEEDED
        else:
            assert (what, status, said) == (Taken.LATE, "cancelled", "refundable")


async def test_coins_are_paid_exactly(house: PayHouse) -> None:
    run_id = (await house.bought("0.000125", "USDC")).execution.id
    await house.says(run_id, PAID, amount=Decimal("0.00012"), payment_id="pay_short")
    assert await house.says(run_id, PAID) is Taken.CONFIRMED
    assert await house.words(run_id) == ["payment.opened", "payment.mismatch", "payment.confirmed"]


CALLS = st.lists(
    st.tuples(
        st.sampled_from([*VerdictKind, "forged", "stop", "sweep", "later", "refund", "mismatch"]),
        st.sampled_from(["pay_1", "pay_2"]),
    ),
    max_size=9,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS)
async def test_whatever_comes_money_confirms_at_most_once(house: PayHouse, calls: list[tuple[str, str]]) -> None:
    run_id = (await house.bought()).execution.id
    genuine = False
    for what, payment in calls:
        match what:
            case "forged":
                with pytest.raises(Unauthenticated):
                    await house.send(b"{}", {SIGNATURE: "t=1,v1=0"})
            case "stop":
                if (await house.get(run_id)).status is Status.AWAITING_PAYMENT:
                    await house.runs.stop(house.principal, run_id)
            case "sweep":
                await house.payments.expire_due()
            case "later":
                house.clock.advance_us(HALF_HOUR_US)
            case "refund":
                try:
                    await house.payments.refund(house.principal, run_id)
                except Conflict:
                    assert (await house.money(run_id))[1] in ("unpaid", "processing", "expired", "failed", "refunded")
            case "mismatch":
                await house.says(run_id, PAID, payment_id=payment, amount=Decimal("1.00"))
            case _:
                kind = VerdictKind(what)
                genuine = genuine or kind is PAID
                await house.says(run_id, kind, payment_id="" if kind in (EXPIRED, FAILED, PROCESSING) else payment)
        words = await house.words(run_id)
        assert words.count("payment.confirmed") <= int(genuine)
        status, said, _ = await house.money(run_id)
        confirmed = "payment.confirmed" in words
        assert (status in ("paid", "queued", "running", "succeeded")) == confirmed
        assert (said == "paid") <= confirmed
        assert await house.checkout_status(run_id) in (
            "open",
            "processing",
            "complete",
            "expired",
            "failed",
            "refunded",
        )
        if not confirmed:
            assert house.remote.keys[f"{run_id}/a"] == 0
    if "payment.confirmed" in await house.words(run_id):
        assert (await house.ended(run_id)).status is Status.SUCCEEDED
        assert house.remote.keys[f"{run_id}/a"] == 1
    assert max(house.provider.refunds.values(), default=1) == 1

"""The pages under `/pay`, as a browser without scripts sees them, and the door for callbacks."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from gesta.kernel.errors import Unavailable
from gesta.ledger.records import Status
from gesta.testing.fakes import SeededIds
from gesta.testing.stripe_double import KEY, SECRET, StripeDouble
from gesta.web.pay import build_pay
from gesta.workflows.payments.desk import PaymentDesk
from gesta.workflows.payments.face import VerdictKind
from gesta.workflows.payments.stripe_provider import StripeProvider
from gesta.workflows.runs.desk import RunDesk
from gesta.workflows.runs.rows import Plans
from tests.conformance.pay_house import PUBLIC, US, PayHouse
from tests.conformance.run_house import detail

NAME = 'Report <b>"A"</b> & chart'


class Seen(HTMLParser):
    """What a browser makes of a page: elements with their attributes, the fields of its form, its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.style = ""
        self._in_style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.style += data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def form(self, action: str) -> dict[str, str]:
        """What pressing a button sends."""
        fields = {str(each["name"]): str(each["value"]) for each in self.all("input")}
        (button,) = [each for each in self.all("button") if each["value"] == action]
        return {**fields, str(button["name"]): str(button["value"])}


async def bought(house: PayHouse, **asked: Any) -> tuple[str, str]:
    """The run, and the path of its page."""
    started = await house.bought(name=NAME, **asked)
    assert started.checkout_url is not None
    return started.execution.id, started.checkout_url.removeprefix(PUBLIC)


async def test_the_page(house: PayHouse, browser: httpx.AsyncClient) -> None:
    _, path = await bought(house, success_url="https://shop.test:8443/done?x=1;y", cancel_url="http://shop.test/back")
    answer = await browser.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    seen = Seen(answer.text)
    assert NAME in seen.text
    assert "4.50 USD" in seen.text
    assert "no money is charged" in seen.text
    assert [each["value"] for each in seen.all("button")] == ["pay", "cancel"]
    assert seen.all("form") == [{"method": "post", "action": path}]
    assert seen.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in seen.all("meta")
    # No script, nothing from elsewhere, nothing that the policy would block.
    assert {tag for tag, _ in seen.elements} == {
        *("html", "head", "meta", "title", "style", "body", "main", "span", "h1", "p", "form", "input", "button")
    }
    assert not any(
        name in ("src", "style", "href") or name.startswith("on") for _, each in seen.elements for name in each
    )
    assert "url(" not in seen.style
    assert "@import" not in seen.style
    digest = base64.b64encode(hashlib.sha256(seen.style.encode()).digest()).decode()
    assert answer.headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; "
        "form-action 'self' https://shop.test:8443 http://shop.test; base-uri 'none'; frame-ancestors 'none'"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers


async def test_pay_and_be_sent_on(house: PayHouse, browser: httpx.AsyncClient) -> None:
    run_id, path = await bought(house, success_url="https://shop.test/done?a=1")
    seen = Seen((await browser.get(path)).text)
    answer = await browser.post(path, data=seen.form("pay"))
    assert (answer.status_code, answer.headers["location"]) == (303, "https://shop.test/done?a=1")
    assert (await house.ended(run_id)).status is Status.SUCCEEDED
    # Back and again, as browsers do.
    again = await browser.post(path, data=seen.form("pay"))
    assert again.headers["location"] == "https://shop.test/done?a=1"
    assert (await house.words(run_id)).count("payment.confirmed") == 1
    after = Seen((await browser.get(path)).text)
    assert "The payment is confirmed" in after.text
    assert after.all("button") == []
    assert [each["href"] for each in after.all("a")] == ["https://shop.test/done?a=1"]


async def test_pay_without_anywhere_to_go_shows_how_it_stands(house: PayHouse, browser: httpx.AsyncClient) -> None:
    _, path = await bought(house)
    answer = await browser.post(path, data=Seen((await browser.get(path)).text).form("pay"), follow_redirects=True)
    assert answer.url.path == path
    assert "The payment is confirmed" in answer.text


async def test_cancel(house: PayHouse, browser: httpx.AsyncClient) -> None:
    run_id, path = await bought(house, cancel_url="http://shop.test/back")
    seen = Seen((await browser.get(path)).text)
    answer = await browser.post(path, data=seen.form("cancel"))
    assert (answer.status_code, answer.headers["location"]) == (303, "http://shop.test/back")
    assert await house.money(run_id) == ("cancelled", "expired", "checkout_expired")
    late = await browser.post(path, data=seen.form("pay"))
    assert late.status_code == 409
    assert "Too late" in late.text


async def test_refused_after_its_time(house: PayHouse, browser: httpx.AsyncClient) -> None:
    run_id, path = await bought(house)
    seen = Seen((await browser.get(path)).text)
    house.clock.advance_us(1800 * US)
    assert (await browser.post(path, data=seen.form("pay"))).status_code == 409
    page = Seen((await browser.get(path)).text)
    assert page.all("button") == []
    assert "not paid in time" in page.text
    assert "payment.confirmed" not in await house.words(run_id)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"action=pay", {}, 403),
        (b"action=pay&token=0000", {}, 403),
        (b"action=steal&token=TOKEN", {}, 400),
        (b"token=TOKEN", {}, 400),
        (b"action=pay&action=pay&token=TOKEN", {}, 400),
        (b"", {}, 403),
        (b"\xff\xfe", {}, 400),
        (b"a=1&" * 9 + b"b=1", {}, 400),
        (b"a=" + b"x" * 5000, {}, 413),
        (b"action=pay&token=TOKEN", {"sec-fetch-site": "cross-site"}, 403),
        (b"action=pay&token=TOKEN", {"sec-fetch-site": "same-site"}, 403),
    ],
)
async def test_forms_that_the_page_did_not_make(
    house: PayHouse, browser: httpx.AsyncClient, body: bytes, headers: dict[str, str], status: int
) -> None:
    run_id, path = await bought(house)
    token = Seen((await browser.get(path)).text).form("pay")["token"]
    answer = await browser.post(path, content=body.replace(b"TOKEN", token.encode()), headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert Seen(answer.text).all("h1") != []
    assert await house.words(run_id) == ["payment.opened"]


async def test_the_token_of_one_checkout_is_not_anothers(house: PayHouse, browser: httpx.AsyncClient) -> None:
    _, first = await bought(house)
    _, second = await bought(house)
    form = Seen((await browser.get(first)).text).form("pay")
    assert (await browser.post(second, data=form)).status_code == 403


@pytest.mark.parametrize("path", ["/pay/test/" + "0" * 32, "/pay/test/..%2f", "/pay/else", "/pay/test/a%00b", "/pay"])
async def test_pages_that_are_not(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.get(path)
    assert answer.status_code == 404
    assert "Not found" in answer.text


async def test_other_methods(browser: httpx.AsyncClient) -> None:
    answer = await browser.put("/pay/test/abc")
    assert answer.status_code == 405
    assert (await browser.get("/pay/callbacks/test")).status_code == 405


async def test_the_state_of_any_checkout(house: PayHouse, browser: httpx.AsyncClient) -> None:
    run_id, path = await bought(house)
    id_ = path.rpartition("/")[2]
    to_pay = await browser.get(f"/pay/checkouts/{id_}")
    assert (to_pay.status_code, to_pay.headers["location"]) == (303, path)
    await house.says(run_id, VerdictKind.PROCESSING)
    assert "on its way" in (await browser.get(f"/pay/checkouts/{id_}")).text


async def test_callbacks(house: PayHouse, browser: httpx.AsyncClient) -> None:
    run_id, _ = await bought(house)
    now_us = house.clock.now_us()
    verdict = house.provider.verdict(VerdictKind.PAID, await house.order(run_id), now_us)
    body, headers = await house.provider.signed(verdict, now_us)
    forged = await browser.post("/pay/callbacks/test", content=body, headers={"Gesta-Signature": "t=1,v1=0"})
    assert (forged.status_code, forged.json()["error"]["code"]) == (401, "unauthenticated")
    assert (await browser.post("/pay/callbacks/test", content=body)).status_code == 401
    assert (await browser.post("/pay/callbacks/else", content=body, headers=headers)).status_code == 404
    large = await browser.post("/pay/callbacks/test", content=b"x" * (256 * 1024 + 1), headers=headers)
    assert (large.status_code, large.json()["error"]["code"]) == (413, "too_large")
    assert await house.words(run_id) == ["payment.opened"]
    taken = [await browser.post("/pay/callbacks/test", content=body, headers=headers) for _ in range(2)]
    assert [(each.status_code, each.json()) for each in taken] == [
        (200, {"received": True, "taken": "confirmed"}),
        (200, {"received": True, "taken": "repeated"}),
    ]


async def test_a_database_out_of_reach_is_told_to_the_provider(house: PayHouse) -> None:
    class Down:
        async def callback(self, provider: str, body: bytes, headers: object) -> None:
            raise Unavailable("The database does not answer.")

    transport = httpx.ASGITransport(build_pay(Down()))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC) as client:
        answer = await client.post("/pay/callbacks/stripe", content=b"{}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


# -- Stripe, from the start of a run to its refund


@pytest.fixture
async def stripe(house: PayHouse) -> AsyncIterator[StripeDouble]:
    double = StripeDouble(house.clock.now_us() // US)
    provider = StripeProvider(
        api_key=KEY,
        webhook_secret=SECRET,
        return_url=f"{PUBLIC}/pay/checkouts/{{checkout}}",
        api_base=double.url,
    )
    given: dict[str, Any] = {
        "database": house.database,
        "reading": house.reading,
        "clock": house.clock,
        "ids": SeededIds(7),
        "plans": Plans(),
        "service": house.service,
    }
    house.payments = PaymentDesk(**given, providers={"stripe": provider}, provider="stripe")
    house.runs = RunDesk(**given, access=house.access, payments=house.payments)
    yield double
    await provider.close()
    double.close()


async def test_a_run_is_paid_at_stripe(house: PayHouse, stripe: StripeDouble) -> None:
    house.remote.failing["a"] = 1
    started = await house.bought("500", "JPY")
    run_id, session = started.execution.id, detail(started.execution).checkout_session_id
    assert session is not None
    assert started.checkout_url == f"{stripe.url}/pay/{session}"
    transport = httpx.ASGITransport(build_pay(house.payments))
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC) as client:

        async def told(event: tuple[bytes, dict[str, str]]) -> str:
            answer = await client.post("/pay/callbacks/stripe", content=event[0], headers=event[1])
            assert answer.status_code == 200, answer.text
            return str(answer.json()["taken"])

        assert await told(stripe.pay(session, amount_total=50000)) == "mismatch"
        assert await told(stripe.pay(session, currency="usd")) == "repeated"
        assert await told(stripe.pay(session)) == "confirmed"
        assert await told(stripe.pay(session)) == "repeated"
        assert (await house.ended(run_id)).status is Status.FAILED
        assert await house.money(run_id) == ("failed", "refundable", "node_failed: a")
        assert (await client.get(f"/pay/test/{(await house.order(run_id)).checkout}")).status_code == 404
        page = await client.get(f"/pay/checkouts/{(await house.order(run_id)).checkout}")
        assert "The payment is confirmed" in page.text
        stripe.fail = [503]
        with pytest.raises(Unavailable):
            await house.payments.refund(house.principal, run_id)
        assert (await house.payments.refund(house.principal, run_id)).status == "refunded"
        assert await told(stripe.event("charge.refunded", stripe.charge_of(session, 500))) == "repeated"
    assert list(stripe.refunds) == ["pi_0001"]
    assert (await house.words(run_id))[-1] == "payment.refunded"
    assert detail(await house.get(run_id)).order_id == "pi_0001"


async def test_stripe_out_of_reach_when_a_run_is_started(house: PayHouse, stripe: StripeDouble) -> None:
    stripe.fail = [0, 500]
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            await house.bought(key="k")
    run_id = caught.value.details["execution_id"]
    known = await house.bought(key="k")
    assert (known.execution.id, known.checkout_url) == (run_id, f"{stripe.url}/pay/cs_test_0001")
    assert len({key for _, _, key in stripe.requests}) == 1
    house.clock.advance_us(1800 * US)
    await house.payments.expire_due()
    assert stripe.sessions["cs_test_0001"]["status"] == "expired"
    assert await house.money(run_id) == ("cancelled", "expired", "checkout_expired")

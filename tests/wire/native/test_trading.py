"""Fills taken back and corrected, an account's money; and that a transition does not go behind the desk's back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest

from gesta.access.model import Account, AccountType, Environment, Principal, Scope
from gesta.apis.native.openapi import EXAMPLE_BUST, EXAMPLE_CORRECTION, EXAMPLE_FUNDS, document
from gesta.apis.native.routes import build
from gesta.desk.trading.views import AccountView, PositionView
from gesta.kernel.errors import InvalidInput
from gesta.ledger.records import Execution, NewEvent, Status, Transition
from gesta.testing import rows
from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.money import to_units
from gesta.trading.positions import PRECISION, Position
from tests.wire.native.house import READER, RIVAL, House
from tests.wire.native.test_openapi import fits, schema_of
from tests.wire.native.test_recording import problem

PATH = "/ledger/executions"
ES = Instrument(
    name="ES 12-26",
    root="ES",
    kind=InstrumentKind.FUTURE,
    tick_size=Decimal("0.25"),
    lot_size=Decimal(1),
    point_value=Decimal(50),
)


class FakeDesk:
    """Busts and corrections go straight to the ledger; money is what `configure` said."""

    def __init__(self, house: House) -> None:
        self._ledger = house.ledger
        self.cash, self.max_position = Decimal("50000"), None

    async def _change(self, principal: Principal, execution_id: str, **change: Any) -> Execution:
        event = NewEvent(type="execution.changed", message=change.pop("reason"))
        return await self._ledger.transition(principal.organization.id, execution_id, Transition(event=event, **change))

    async def bust(self, principal: Principal, execution_id: str, *, reason: str) -> Execution:
        return await self._change(principal, execution_id, reason=reason, status=Status.CANCELLED)

    async def correct(self, principal: Principal, execution_id: str, *, reason: str, **terms: Decimal) -> Execution:
        row = await self._ledger.get(principal.organization.id, execution_id)
        assert row is not None
        if terms.get("price", Decimal(1)) % ES.tick_size:
            raise InvalidInput("`price` is not a multiple of the tick size.", field="price")
        return await self._change(
            principal, execution_id, reason=reason, detail=msgspec.structs.replace(row.detail, **terms)
        )

    async def account(self, principal: Principal, account: Account) -> AccountView:
        position = Position(lots=-2, cost=0, ticks_lots=2 * 20493 * PRECISION, realized=to_units(Decimal("12.5")))
        zero = Decimal(0)
        return AccountView(
            account=account,
            venue="paper",
            cash=self.cash,
            starting_cash=self.cash,
            session_cash=self.cash,
            realized=Decimal("12.50"),
            session_realized=zero,
            commission=Decimal("4.18"),
            session_commission=zero,
            unrealized=Decimal("-25"),
            initial_margin=Decimal("1E+3"),
            max_position=self.max_position,
            positions=[
                PositionView(account=account, instrument=ES, position=position, market_price=None, unrealized=None)
            ],
        )

    async def configure(self, principal: Principal, account: Account, **terms: Any) -> AccountView:
        self.cash = terms.get("cash", self.cash)
        self.max_position = terms.get("max_position", self.max_position)
        return await self.account(principal, account)


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """A server that trades."""
    app = build(msgspec.structs.replace(house.services, trading=FakeDesk(house)))
    headers = {"Authorization": "Bearer gst_mine"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://gesta.test", headers=headers
    ) as made:
        yield made
    await app.state.close()


@pytest.fixture
async def made_here(house: House, client: httpx.AsyncClient, fill: dict[str, Any]) -> str:
    """The path of a fill of the engine."""
    await client.post(PATH, json=fill)
    posted = await house.ledger.get(1, fill["id"])
    assert posted is not None
    row = rows.fill(1, origin="paper", account=posted.account, detail=posted.detail, correlation=posted.correlation)
    (made,) = await house.ledger.append(1, [row])
    return f"{PATH}/{made.id}"


async def test_a_row_from_outside_cannot_be_a_fill_of_the_desk(client: httpx.AsyncClient, fill: dict[str, Any]) -> None:
    reply = (await client.post(PATH, json={**fill, "origin": "paper"})).json()
    assert (reply["recorded"], reply["invalid"]) == (0, 1)
    assert reply["results"][0]["error"]["field"] == "origin"
    assert "trading desk" in reply["results"][0]["error"]["detail"]


async def test_a_bust_cancels_the_fill(client: httpx.AsyncClient, made_here: str) -> None:
    reply = await client.post(f"{made_here}/bust", json=EXAMPLE_BUST)
    assert reply.status_code == 200, reply.text
    assert (reply.json()["status"], reply.json()["version"]) == ("cancelled", 2)
    fits(schema_of(f"{PATH}/{{id}}/bust", "post", 200), reply.json())
    timeline = (await client.get(f"{made_here}/events")).json()["items"]
    assert timeline[-1]["message"] == EXAMPLE_BUST["reason"]
    again = await client.post(f"{made_here}/bust", json=EXAMPLE_BUST)
    assert problem(again, 409, "conflict")["status"] == 409


async def test_a_correction_changes_what_it_names(client: httpx.AsyncClient, made_here: str) -> None:
    reply = await client.post(f"{made_here}/correct", json=EXAMPLE_CORRECTION)
    assert reply.status_code == 200, reply.text
    fits(schema_of(f"{PATH}/{{id}}/correct", "post", 200), reply.json())
    assert (reply.json()["status"], reply.json()["detail"]["price"]) == ("succeeded", "5123.5")
    assert (reply.json()["detail"]["quantity"], reply.json()["detail"]["commission"]) == ("2", "4.18")
    number = await client.post(f"{made_here}/correct", json={"quantity": 1, "reason": "half"})
    assert number.json()["detail"]["quantity"] == "1"


@pytest.mark.parametrize(
    ("part", "body", "field"),
    [
        ("bust", {}, "reason"),
        ("bust", {"reason": ""}, "reason"),
        ("bust", {"reason": "x", "price": "1"}, "price"),
        ("bust", {"reason": "a\x00b"}, None),
        ("bust", [], None),
        ("correct", {"reason": "x"}, "price"),
        ("correct", {"reason": "x", "price": "NaN"}, "price"),
        ("correct", {"reason": "x", "price": "1e40"}, "price"),
        ("correct", {"reason": "x", "quantity": True}, "quantity"),
        ("correct", {"reason": "x", "price": "5123.3"}, "price"),
        ("correct", {"price": "5123.5"}, "reason"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_changes(
    client: httpx.AsyncClient, made_here: str, part: str, body: Any, field: str | None
) -> None:
    said = problem(await client.post(f"{made_here}/{part}", json=body), 400, "invalid_input")
    assert field is None or field in (said.get("field") or said["detail"])
    assert (await client.get(made_here)).json()["version"] == 1


async def test_other_executions_are_not_the_desks(
    client: httpx.AsyncClient, fill: dict[str, Any], run: dict[str, Any]
) -> None:
    for row in (fill, run):
        await client.post(PATH, json=row)
        for part, body in (("bust", EXAMPLE_BUST), ("correct", EXAMPLE_CORRECTION)):
            said = problem(await client.post(f"{PATH}/{row['id']}/{part}", json=body), 409, "conflict")
            assert "/transitions" in said["detail"]


async def test_a_transition_of_the_desks_fill_is_refused(
    client: httpx.AsyncClient, made_here: str, fill: dict[str, Any]
) -> None:
    for change in ({"status": "cancelled"}, {"detail": {**fill["detail"], "price": "1"}}):
        said = problem(await client.post(f"{made_here}/transitions", json=change), 409, "conflict")
        assert "/bust" in said["detail"]
        assert "/correct" in said["detail"]
    assert (await client.get(made_here)).json()["version"] == 1
    # Fills from elsewhere go on as they did.
    await client.post(PATH, json={**fill, "id": "other"})
    assert (await client.post(f"{PATH}/other/transitions", json={"status": "cancelled"})).status_code == 200


async def test_who_may(client: httpx.AsyncClient, made_here: str) -> None:
    for part, body in (("bust", EXAMPLE_BUST), ("correct", EXAMPLE_CORRECTION)):
        stranger = {"Authorization": f"Bearer {RIVAL}"}
        reader = {"Authorization": f"Bearer {READER}"}
        problem(await client.post(f"{made_here}/{part}", json=body, headers=stranger), 404, "not_found")
        problem(await client.post(f"{made_here}/{part}", json=body, headers=reader), 403, "forbidden")
        media = {"Content-Type": "text/plain"}
        problem(await client.post(f"{made_here}/{part}", content=b"{}", headers=media), 415, "unsupported_media_type")


async def test_funds(client: httpx.AsyncClient, house: House) -> None:
    await house.access.ensure_account(1, "Sim101", AccountType.TRADING)
    reply = await client.get("/ledger/accounts/sim101/funds")
    assert reply.status_code == 200, reply.text
    fits(schema_of("/ledger/accounts/{name}/funds", "get", 200), reply.json())
    body = reply.json()
    assert (body["account"], body["cash"], body["max_position"], body["currency"]) == ("Sim101", "50000", None, "USD")
    assert (body["net_liquidation"], body["initial_margin"], body["buying_power"]) == ("49975", "1000", "48975")
    assert body["positions"] == [
        {
            "instrument": "ES 12-26",
            "market_position": "short",
            "quantity": "2",
            "average_price": "5123.25",
            "market_price": None,
            "unrealized": None,
            "realized": "12.5",
            "commission": "0",
        }
    ]
    changed = await client.patch("/ledger/accounts/Sim101/funds", json=EXAMPLE_FUNDS)
    assert changed.status_code == 200, changed.text
    fits(schema_of("/ledger/accounts/{name}/funds", "patch", 200), changed.json())
    assert (changed.json()["cash"], changed.json()["max_position"]) == ("100000", "10")


async def test_funds_refused(client: httpx.AsyncClient, house: House) -> None:
    await house.access.ensure_account(1, "Sim101", AccountType.TRADING)
    await house.access.ensure_account(1, "markwood@some_email.com", AccountType.LINKED)
    path = "/ledger/accounts/Sim101/funds"
    wrong: list[Any] = [{}, {"cash": "Infinity"}, {"cash": []}, {"cash": "1", "margin": "2"}, "x"]
    for body in wrong:
        problem(await client.patch(path, json=body), 400, "invalid_input")
    for name in ("Sim102", "markwood@some_email.com", "a%00b", "x" * 300):
        problem(await client.get(f"/ledger/accounts/{name}/funds"), 404, "not_found")
    stranger = {"Authorization": f"Bearer {RIVAL}"}
    problem(await client.get(path, headers=stranger), 404, "not_found")
    house.access.bearers["gst_trader"] = msgspec.structs.replace(
        house.access.bearers["gst_mine"], scopes=frozenset({Scope.TRADE})
    )
    trader = {"Authorization": "Bearer gst_trader"}
    assert (await client.get(path, headers=trader)).status_code == 200
    problem(await client.patch(path, json=EXAMPLE_FUNDS, headers=trader), 403, "forbidden")
    assert (await client.get(path)).json()["cash"] == "50000"


async def test_two_accounts_of_one_name(client: httpx.AsyncClient, house: House) -> None:
    await house.access.ensure_account(1, "Sim101", AccountType.TRADING)
    await house.access.ensure_account(1, "Sim101", AccountType.TRADING, Environment.TEST)
    path = "/ledger/accounts/Sim101/funds"
    said = problem(await client.get(path), 400, "invalid_input")
    assert said["field"] == "environment"
    assert (await client.get(f"{path}?environment=test")).json()["environment"] == "test"


async def test_a_server_that_does_not_trade_says_so(house: House) -> None:
    await house.access.ensure_account(1, "Sim101", AccountType.TRADING)
    headers = {"Authorization": "Bearer gst_mine"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(house.app), base_url="http://gesta.test", headers=headers
    ) as client:
        await house.ledger.append(1, [rows.fill(1, origin="paper")])
        path = f"{PATH}/{rows.fill(1).id}"
        said = problem(await client.post(f"{path}/bust", json=EXAMPLE_BUST), 503, "unavailable")
        assert "trading.enabled" in said["detail"]
        problem(await client.get("/ledger/accounts/Sim101/funds"), 503, "unavailable")


def test_the_document_has_them() -> None:
    paths = document([])["paths"]
    assert {f"{PATH}/{{id}}/bust", f"{PATH}/{{id}}/correct", "/ledger/accounts/{name}/funds"} <= set(paths)

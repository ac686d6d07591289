"""Executors over Gesta's own dialect: started, watched at the market's prices, stopped, and by whom not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest

from gesta.access.model import AccountType, Environment
from gesta.apis.native.openapi import EXAMPLE_FILL, EXAMPLE_NEW_EXECUTOR, EXAMPLE_STOP_EXECUTOR
from gesta.apis.native.routes import build
from tests.wire.native.house import READER, RIVAL, House
from tests.wire.native.test_openapi import fits, schema_of
from tests.wire.native.test_recording import problem

PATH = "/ledger/executors"


@pytest.fixture
async def made(client: httpx.AsyncClient) -> dict[str, Any]:
    reply = await client.post(PATH, json=EXAMPLE_NEW_EXECUTOR)
    assert reply.status_code == 201, reply.text
    fits(schema_of(PATH, "post", 201), reply.json())
    return dict(reply.json())


@pytest.fixture
async def keyed(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """The same server, called with a test key."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(house.app), base_url="http://gesta.test", headers={"x-api-key": "tk_test"}
    ) as made:
        yield made


async def test_it_starts_for_the_default_account(made: dict[str, Any]) -> None:
    assert (made["account"], made["status"], made["kind"]) == ("master_account", "running", "executor")
    assert made["correlation"] == {"controller_id": "main"}
    assert made["detail"]["config"] == EXAMPLE_NEW_EXECUTOR["config"]


async def test_it_is_worth_what_the_market_says(house: House, client: httpx.AsyncClient, made: dict[str, Any]) -> None:
    house.executors.worth = Decimal("12.50")
    reply = await client.get(f"{PATH}/{made['id']}")
    fits(schema_of(f"{PATH}/{{id}}", "get", 200), reply.json())
    assert Decimal(reply.json()["detail"]["net_pnl_quote"]) == Decimal("12.5")
    # The record is what was recorded.
    recorded = (await client.get(f"/ledger/executions/{made['id']}")).json()
    assert recorded["detail"]["net_pnl_quote"] == "0"


async def test_it_stops(house: House, client: httpx.AsyncClient, made: dict[str, Any]) -> None:
    house.executors.worth = Decimal(9)
    reply = await client.post(f"{PATH}/{made['id']}/stop", json=EXAMPLE_STOP_EXECUTOR)
    assert reply.status_code == 200, reply.text
    fits(schema_of(f"{PATH}/{{id}}/stop", "post", 200), reply.json())
    assert (reply.json()["status"], reply.json()["detail"]["net_pnl_quote"]) == ("cancelled", "0")
    timeline = (await client.get(f"/ledger/executions/{made['id']}/events")).json()["items"]
    assert timeline[-1]["data"]["keep_position"] is True
    again = await client.post(f"{PATH}/{made['id']}/stop", json={})
    assert "over already" in problem(again, 409, "conflict")["detail"]


async def test_a_key_makes_one(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = await client.post(PATH, json=EXAMPLE_NEW_EXECUTOR, headers=headers)
    again = await client.post(PATH, json=EXAMPLE_NEW_EXECUTOR, headers=headers)
    assert (first.status_code, again.status_code, again.json()["id"]) == (201, 201, first.json()["id"])
    other = await client.post(PATH, json={**EXAMPLE_NEW_EXECUTOR, "controller_id": "other"}, headers=headers)
    problem(other, 409, "conflict")
    twice = await client.post(PATH, json=EXAMPLE_NEW_EXECUTOR, headers=[("Idempotency-Key", "a")] * 2)
    assert problem(twice, 400, "invalid_input")["where"] == "header"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, None),
        ({"config": []}, "config"),
        ({"config": {}}, "type"),
        ({"config": {"type": 1}}, "type"),
        ({"config": {"type": "x"}, "acount": "x"}, None),
        ({"config": {"type": "x"}, "account": ""}, "account"),
        ({"config": {"type": "x", "note": "\x00"}}, "config.note"),
        ({"config": {"type": "x", "amount": 2**70}}, "config.amount"),
        ([], None),
    ],
)
async def test_what_cannot_be_is_refused(client: httpx.AsyncClient, body: Any, field: str | None) -> None:
    reply = problem(await client.post(PATH, json=body), 400, "invalid_input")
    assert reply.get("field") == field
    assert (await client.get("/ledger/executions")).json()["total"] == 0


async def test_only_json(client: httpx.AsyncClient, made: dict[str, Any]) -> None:
    for path in (PATH, f"{PATH}/{made['id']}/stop"):
        problem(await client.post(path, content=b"{}"), 415, "unsupported_media_type")
        problem(
            await client.post(path, content=b"[[", headers={"Content-Type": "application/json"}), 400, "invalid_input"
        )


async def test_by_whom_it_may_be_done(client: httpx.AsyncClient, made: dict[str, Any]) -> None:
    stop = f"{PATH}/{made['id']}/stop"
    reader = {"Authorization": f"Bearer {READER}"}
    problem(await client.post(PATH, json=EXAMPLE_NEW_EXECUTOR, headers=reader), 403, "forbidden")
    problem(await client.post(stop, json={}, headers=reader), 403, "forbidden")
    assert (await client.get(f"{PATH}/{made['id']}", headers=reader)).status_code == 200
    rival = {"Authorization": f"Bearer {RIVAL}"}
    problem(await client.post(stop, json={}, headers=rival), 404, "not_found")
    problem(await client.get(f"{PATH}/{made['id']}", headers=rival), 404, "not_found")


async def test_only_executors_are_found(client: httpx.AsyncClient) -> None:
    await client.post("/ledger/executions", json=EXAMPLE_FILL)
    problem(await client.get(f"{PATH}/{EXAMPLE_FILL['id']}"), 404, "not_found")
    problem(await client.post(f"{PATH}/{EXAMPLE_FILL['id']}/stop", json={}), 404, "not_found")


async def test_accounts(house: House, client: httpx.AsyncClient, keyed: httpx.AsyncClient) -> None:
    unknown = await client.post(PATH, json={**EXAMPLE_NEW_EXECUTOR, "account": "Sim9"})
    assert problem(unknown, 404, "not_found")["what"] == "account"
    await house.access.ensure_account(1, "paper", AccountType.TRADING, environment=Environment.TEST)
    # Executors trade in production accounts, which a test key does not reach.
    for named in ({"account": "paper"}, {"account": "master_account"}, {}):
        reply = await keyed.post(PATH, json={"config": {"type": "x"}, **named})
        assert problem(reply, 404, "not_found")["what"] == "account"


async def test_without_trading(house: House, client: httpx.AsyncClient, made: dict[str, Any]) -> None:
    app = build(msgspec.structs.replace(house.services, executors=None))
    headers = {"Authorization": "Bearer gst_mine"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gesta.test", headers=headers) as bare:
        problem(await bare.post(PATH, json=EXAMPLE_NEW_EXECUTOR), 503, "unavailable")
        problem(await bare.post(f"{PATH}/{made['id']}/stop", json={}), 503, "unavailable")
        assert (await bare.get(f"{PATH}/{made['id']}")).json()["detail"] == made["detail"]
    await app.state.close()

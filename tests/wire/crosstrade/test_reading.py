"""Listing and finding: windows, pages of the history, names, ids, busted fills, other people's accounts."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from gesta.access.model import Account, AccountType, Environment, Scope
from gesta.apis.crosstrade import reading

LIST = "/v1/api/accounts/Sim101/executions"


def ids(reply: httpx.Response) -> list[str]:
    assert reply.status_code == 200, reply.text
    assert reply.json()["success"] is True
    return [row["id"] for row in reply.json()["executions"]]


async def test_lookback_defaults_to_320_seconds_and_is_clamped_to_900(house: Any, client: httpx.AsyncClient) -> None:
    await house.post(*(house.fill(f"ago{ago}", ago_s=ago) for ago in (901, 900, 321, 320, 10, 0)))
    assert ids(await client.get(LIST)) == ["ago0", "ago10", "ago320"]
    assert ids(await client.get(LIST, params={"lookbackTime": 10})) == ["ago0", "ago10"]
    clamped = ["ago0", "ago10", "ago320", "ago321", "ago900"]
    for seconds in ("900", "901", "3600", "2147483647"):
        assert ids(await client.get(LIST, params={"lookbackTime": seconds})) == clamped
    house.clock.advance_us(1_000_000)
    assert "ago320" not in ids(await client.get(LIST))


async def test_without_paging_arguments_the_answer_is_the_published_one(house: Any, client: httpx.AsyncClient) -> None:
    await house.post(house.fill("a"))
    for params in ({}, {"lookbackTime": "60"}):
        assert set((await client.get(LIST, params=params)).json()) == {"executions", "success"}


async def test_cursor_walks_the_whole_history_once(house: Any, client: httpx.AsyncClient) -> None:
    day_s = 86_400
    posted = [house.fill(f"f{number:03d}", ago_s=number * day_s) for number in range(25)]
    await house.post(*posted)
    seen: list[str] = []
    params: dict[str, str] = {"limit": "10"}
    while True:
        reply = await client.get(LIST, params=params)
        seen += ids(reply)
        cursor = reply.json()["nextCursor"]
        if cursor is None:
            break
        params = {"limit": "10", "cursor": cursor}
    assert seen == [row["id"] for row in posted]


async def test_from_and_to_are_half_open_and_take_both_spellings(house: Any, client: httpx.AsyncClient) -> None:
    at_ms = 1_700_000_000_000  # 2023-11-14T22:13:20Z
    await house.post(*(house.fill(f"f{step}", epoch=at_ms + step) for step in (-1, 0, 1, 2)))
    for first, last in (
        (str(at_ms), str(at_ms + 2)),
        ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20.002Z"),
        ("2023-11-14T23:13:20+01:00", "2023-11-14T22:13:20.002"),
    ):
        assert ids(await client.get(LIST, params={"from": first, "to": last})) == ["f1", "f0"]
    assert ids(await client.get(LIST, params={"from": "2023-11-14", "to": "2023-11-15"})) == ["f2", "f1", "f0", "f-1"]


async def test_a_lookback_beside_from_and_to_narrows_them(house: Any, client: httpx.AsyncClient) -> None:
    await house.post(*(house.fill(f"ago{ago}", ago_s=ago) for ago in (100, 20, 5, 0)))
    now_ms = house.clock.now_us() // 1000
    span = {"from": str(now_ms - 50_000), "to": str(now_ms)}
    assert ids(await client.get(LIST, params={**span, "lookbackTime": "10"})) == ["ago5"]
    assert ids(await client.get(LIST, params={**span, "lookbackTime": "500"})) == ["ago5", "ago20"]


async def test_an_answer_above_the_cap_says_where_to_go_on(
    house: Any, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_REPLY_ROWS", 3)
    monkeypatch.setattr(reading, "MAX_PAGE", 2)
    posted = [house.fill(f"f{number}", ago_s=number) for number in range(5)]
    await house.post(*posted)
    first = await client.get(LIST)
    assert ids(first) == ["f0", "f1", "f2"]
    rest = await client.get(LIST, params={"lookbackTime": "320", "cursor": first.json()["nextCursor"]})
    assert ids(rest) == ["f3", "f4"]
    assert rest.json()["nextCursor"] is None


async def test_account_names_have_no_case_and_are_echoed_in_their_own(house: Any, client: httpx.AsyncClient) -> None:
    await house.post(house.fill("a", account="sIm101"))
    reply = await client.get("/v1/api/accounts/SIM101/executions")
    assert ids(reply) == ["a"]
    assert reply.json()["executions"][0]["account"] == "Sim101"


@pytest.mark.parametrize("execution_id", ["1096239|2907664565|2907664565", "303363433426_1", "ü %?#&+", "x" * 128])
async def test_ids_are_opaque_text(house: Any, client: httpx.AsyncClient, execution_id: str) -> None:
    await house.post(house.fill(execution_id))
    reply = await client.get(f"{LIST}/{quote(execution_id, safe='')}")
    assert reply.status_code == 200
    assert reply.json()["id"] == execution_id


async def test_the_same_id_in_two_accounts_is_two_executions(house: Any, client: httpx.AsyncClient) -> None:
    await house.post(house.fill("same"), house.fill("same", account="Apex-7", price=1.25))
    prices = {}
    for account in ("Sim101", "Apex-7"):
        listed = await client.get(f"/v1/api/accounts/{account}/executions")
        assert ids(listed) == ["same"]
        found = await client.get(f"/v1/api/accounts/{account}/executions/same")
        assert {**listed.json()["executions"][0], "success": True} == found.json()
        prices[account] = found.json()["price"]
    assert prices == {"Sim101": 5804.5, "Apex-7": 1.25}


async def test_an_execution_is_found_in_its_own_account_only(house: Any, client: httpx.AsyncClient) -> None:
    await house.post(house.fill("a"))
    reply = await client.get("/v1/api/accounts/Apex-7/executions/a")
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_execution")


async def test_a_busted_fill_is_neither_listed_nor_found(house: Any, client: httpx.AsyncClient) -> None:
    await house.post(house.fill("kept"), house.fill("busted"))
    await house.bust("busted")
    assert ids(await client.get(LIST)) == ["kept"]
    assert ids(await client.get(LIST, params={"limit": "10"})) == ["kept"]
    assert (await client.get(f"{LIST}/busted")).status_code == 400


async def test_executions_of_an_order(house: Any, client: httpx.AsyncClient) -> None:
    await house.post(*(house.fill(f"f{n}", ago_s=n * 5000, orderId="o|1" if n % 2 else "o2") for n in range(6)))
    path = "/v1/api/accounts/Sim101/orders/o%7C1/executions"
    reply = await client.get(path)
    assert ids(reply) == ["f1", "f3", "f5"]
    assert "nextCursor" not in reply.json()
    first = await client.get(path, params={"limit": "2"})
    assert ids(first) == ["f1", "f3"]
    assert ids(await client.get(path, params={"cursor": first.json()["nextCursor"]})) == ["f5"]
    assert ids(await client.get("/v1/api/accounts/Sim101/orders/none/executions")) == []


async def test_accounts_are_the_trading_accounts_within_reach(client: httpx.AsyncClient, bind: Any) -> None:
    reply = await client.get("/v1/api/accounts")
    assert reply.status_code == 200
    assert [(a["name"], a["denomination"]) for a in reply.json()["accounts"]] == [
        ("Sim101", "UsDollar"),
        ("Apex-7", "Euro"),
    ]
    bound = Account(id=2, organization=1, name="Apex-7", type=AccountType.TRADING, environment=Environment.PRODUCTION)
    bind(account=bound)
    assert [a["name"] for a in (await client.get("/v1/api/accounts")).json()["accounts"]] == ["Apex-7"]


async def test_a_bound_credential_reaches_its_account_only(house: Any, client: httpx.AsyncClient, bind: Any) -> None:
    await house.post(house.fill("mine", account="Apex-7"), house.fill("other"))
    bind(account=await house.access.account(1, "Apex-7", AccountType.TRADING))
    assert ids(await client.get("/v1/api/accounts/Apex-7/executions")) == ["mine"]
    for path in (LIST, f"{LIST}/other", f"{LIST}/mine", "/v1/api/accounts/Sim101/orders/x/executions"):
        assert (await client.get(path)).status_code == 400


async def test_another_organization_finds_nothing(house: Any, client: httpx.AsyncClient) -> None:
    await house.post(house.fill("a", orderId="o"))
    headers = {"Authorization": "Bearer gst_rival"}
    for path in (LIST, f"{LIST}/a", "/v1/api/accounts/Sim101/orders/o/executions"):
        reply = await client.get(path, headers=headers)
        assert (reply.status_code, reply.json()["error"]) == (400, "invalid_account")
    reply = await client.get("/v1/api/accounts/Rival1/executions/a", headers=headers)
    assert reply.status_code == 400


async def test_a_credential_without_the_read_scope_is_refused(client: httpx.AsyncClient, bind: Any) -> None:
    bind(scopes=frozenset())
    for path in ("/v1/api/accounts", LIST, f"{LIST}/a"):
        reply = await client.get(path)
        assert (reply.status_code, reply.json()["error"]) == (403, "forbidden")
    bind(scopes=frozenset({Scope.READ}))
    assert (await client.get(LIST)).status_code == 200


async def test_quantities_of_any_size_keep_their_digits(house: Any, client: httpx.AsyncClient) -> None:
    await house.post(house.fill("a", quantity=0.00012345, position=-0.5, price=63_250.125, commission="0.000617"))
    text = (await client.get(LIST)).text
    for part in ('"quantity":0.00012345,', '"position":-0.5,', '"price":63250.125,', '"commission":"0.000617"'):
        assert part in text

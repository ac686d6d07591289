"""Lists, one execution, timelines and sums: filters, pages, cursors, accounts, and what a caller cannot reach."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from gesta.access.model import AccountType, Environment
from gesta.testing import rows

PATH = "/ledger/executions"
RIVAL = {"Authorization": "Bearer gst_rival"}


@pytest.fixture
async def filled(house: Any) -> Any:
    """Thirty executions of each kind in three accounts, one second apart; one row of another organization."""
    trading = await house.access.ensure_account(1, "Sim101", AccountType.TRADING)
    linked = await house.access.ensure_account(1, "Someone", AccountType.LINKED)
    tested = await house.access.ensure_account(1, "Someone", AccountType.LINKED, Environment.TEST)
    other = await house.access.ensure_account(2, "Rival1", AccountType.TRADING)
    made = [rows.fill(n, account=trading.id) for n in range(30)]
    made += [rows.executor(n, account=trading.id) for n in range(30)]
    made += [rows.run(n, account=(linked, tested)[n % 2].id) for n in range(30)]
    await house.ledger.append(1, made)
    await house.ledger.append(2, [rows.fill(99, account=other.id)])
    return house


async def total(client: httpx.AsyncClient, **query: Any) -> int:
    reply = await client.get(PATH, params={"limit": 1, **query})
    assert reply.status_code == 200, reply.text
    count: int = reply.json()["total"]
    return count


async def test_filters(filled: Any, client: httpx.AsyncClient) -> None:
    assert await total(client) == 90
    assert await total(client, kind="fill") == 30
    assert await total(client, kind="fill,run") == 60
    assert await total(client, kind=["fill", "executor"]) == 60
    assert await total(client, status="queued") == 30
    assert await total(client, status="queued,succeeded", kind="run") == 30
    assert await total(client, source="schedule") == 10
    assert await total(client, account="sim101") == 60
    assert await total(client, account="Someone") == 30
    assert await total(client, account=["Someone", "Sim101"]) == 90
    assert await total(client, account="Someone", environment="test") == 15
    assert await total(client, environment="test") == 15
    assert await total(client, account_type="trading") == 60
    assert await total(client, account_type="trading", environment="test") == 0
    assert await total(client, order_id="order3") == 3
    assert await total(client, workflow_id="wf1") == 5
    assert await total(client, controller_id="main", kind="fill") == 0
    assert await total(client, mode="sync") + await total(client, mode="async") == 90
    assert await total(client, parent_id="nobody") == 0


async def test_ranges(filled: Any, client: httpx.AsyncClient) -> None:
    items = (await client.get(PATH, params={"kind": "fill", "order": "oldest"})).json()["items"]
    tenth = items[10]["created_at"]
    assert await total(client, kind="fill", created_from=tenth) == 20
    assert await total(client, kind="fill", created_to=tenth) == 10
    assert await total(client, created_from="2100-01-01") == 0


async def test_pages_by_cursor_and_by_offset_agree(filled: Any, client: httpx.AsyncClient) -> None:
    for order in ("newest", "oldest"):
        whole = (await client.get(PATH, params={"limit": 1000, "order": order})).json()
        assert (len(whole["items"]), whole["total"], whole["has_more"], whole["next_cursor"]) == (90, 90, False, None)
        ids = [item["id"] for item in whole["items"]]
        page = (await client.get(PATH, params={"limit": 7, "order": order})).json()
        seen = [item["id"] for item in page["items"]]
        assert page["total"] == 90
        while page["next_cursor"]:
            query = {"limit": 7, "order": order, "cursor": page["next_cursor"]}
            page = (await client.get(PATH, params=query)).json()
            assert page["total"] is None
            seen += [item["id"] for item in page["items"]]
        assert seen == ids
        deep = (await client.get(PATH, params={"limit": 7, "offset": 80, "order": order})).json()
        assert [item["id"] for item in deep["items"]] == ids[80:87]
        assert (deep["total"], deep["has_more"], deep["next_cursor"]) == (90, True, None)
    assert (await client.get(PATH, params={"offset": 10**12})).json()["items"] == []
    assert (await client.get(PATH, params={"total": "false"})).json()["total"] is None


@pytest.mark.parametrize(
    "query",
    [
        "limit=abc",
        "limit=-1",
        "limit=0",
        "limit=1001",
        "limit=",
        "limit=%D9%A3",
        "limit=1&limit=2",
        "offset=-1",
        f"offset={10**30}",
        "cursor=nonsense",
        "cursor=",
        "cursor=AAAA&offset=1",
        "kind=trade",
        "kind=",
        "status=done",
        "status=queued,",
        "created_from=2026-02-30",
        "created_from=yesterday",
        "created_to=0000-01-01T00:00:00Z",
        "order=up",
        "total=maybe",
        "environment=moon",
        "page=0",
        "name=%00",
        "name=%FF",
        "name=" + "x" * 257,
        "&".join(f"kind=fill&a{n}=1" for n in range(200)),
    ],
)
async def test_bad_parameters_are_400(filled: Any, client: httpx.AsyncClient, query: str) -> None:
    reply = await client.get(f"{PATH}?{query}")
    assert reply.status_code == 400
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["where"] == "query"


async def test_get_one_in_the_account_that_is_meant(house: Any, client: httpx.AsyncClient, fill: Any) -> None:
    twin = {**fill, "account": "Sim102"}
    first, second = (await client.post(PATH, json=[fill, twin])).json()["results"]
    assert first["id"] == fill["id"] != second["id"]
    path = f"{PATH}/{fill['id']}"
    assert (await client.get(path)).json()["account"] == "Sim101"
    assert (await client.get(path, params={"account": "sim102"})).json()["id"] == second["id"]
    assert (await client.get(path, params={"account": "Sim103"})).status_code == 404
    assert (await client.get(path, params={"account": "Sim102", "environment": "test"})).status_code == 404
    assert (await client.get(path, params={"account_type": "linked"})).status_code == 404
    assert (await client.get(path, params={"environment": "production"})).status_code == 200


@pytest.mark.parametrize("id_", ["a/b", "a%2Fb", "ü", "a%20b", "100%25", "a%3Fb"])
async def test_ids_of_any_text(client: httpx.AsyncClient, fill: Any, id_: str) -> None:
    fill["id"] = httpx.URL(f"http://x/{id_}").path[1:]
    assert (await client.post(PATH, json=fill)).status_code == 200
    assert (await client.get(f"{PATH}/{id_}")).json()["id"] == fill["id"]
    assert len((await client.get(f"{PATH}/{id_}/events")).json()["items"]) == 1


@pytest.mark.parametrize("id_", ["none", "a%00b", "x" * 5000, "%FF", "..%2F.."])
async def test_unknown_ids_are_404(client: httpx.AsyncClient, id_: str) -> None:
    for path in (f"{PATH}/{id_}", f"{PATH}/{id_}/events"):
        reply = await client.get(path)
        assert reply.status_code == 404
        assert reply.json()["type"] == "/problems/not_found"


async def test_summary(filled: Any, client: httpx.AsyncClient) -> None:
    reply = await client.get("/ledger/summary", params={"by": "kind,account"})
    assert reply.status_code == 200
    items = reply.json()["items"]
    assert sum(item["count"] for item in items) == 90
    fills = next(item for item in items if item["kind"] == "fill")
    assert (fills["account"], fills["account_type"], fills["currency"]) == ("Sim101", "trading", "USD")
    assert fills["quantity"] == "90"
    assert fills["fees"] == "37.2"
    whole = (await client.get("/ledger/summary", params={"kind": "fill"})).json()["items"]
    assert [(item["count"], item["day"], item["kind"]) for item in whole] == [(30, None, None)]
    by_day = (await client.get("/ledger/summary?by=day&by=status")).json()["items"]
    assert {item["status"] for item in by_day} == {"succeeded", "running", "queued"}
    assert (await client.get("/ledger/summary?environment=test&by=kind")).json()["items"][0]["count"] == 15
    for query in ("by=name", "by=", "created_from=2026-01-01T00:00:01Z", "name=x", "by=day&by=hour"):
        assert (await client.get(f"/ledger/summary?{query}")).status_code == 400


async def test_another_organization_sees_nothing(filled: Any, client: httpx.AsyncClient) -> None:
    id_ = (await client.get(PATH)).json()["items"][0]["id"]
    for path in (f"{PATH}/{id_}", f"{PATH}/{id_}/events"):
        assert (await client.get(path, headers=RIVAL)).status_code == 404
    for path in (f"{PATH}/{id_}/events", f"{PATH}/{id_}/transitions"):
        assert (await client.post(path, headers=RIVAL)).status_code == 404
        assert (await client.post(path, headers=RIVAL, json={"status": "failed"})).status_code == 404
    assert (await client.get(PATH, headers=RIVAL)).json()["total"] == 1
    for path in (PATH, "/ledger/summary", "/ledger/export"):
        assert (await client.get(path, params={"account": "Sim101"}, headers=RIVAL)).status_code == 404
    assert (await client.get("/ledger/export", headers=RIVAL)).text.count("\n") == 1


async def test_a_reader_may_not_write(filled: Any, client: httpx.AsyncClient, fill: Any) -> None:
    id_ = (await client.get(PATH)).json()["items"][0]["id"]
    client.headers["Authorization"] = "Bearer gst_reader"
    assert (await client.get(PATH)).status_code == 200
    assert (await client.post(PATH, json=[fill])).status_code == 403
    assert (await client.post(f"{PATH}/{id_}/transitions", json={"status": "failed"})).status_code == 403
    assert (await client.post(f"{PATH}/{id_}/events", json={"type": "x"})).status_code == 403


async def test_no_credential(house: Any, client: httpx.AsyncClient) -> None:
    del client.headers["Authorization"]
    for headers in (
        {},
        {"Authorization": "Bearer nobody"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer ü".encode()},
        {"x-api-key": "nobody"},
        {"x-api-key": ""},
    ):
        for path in (PATH, f"{PATH}/x", "/ledger/stream", "/ledger/summary", "/ledger/export"):
            reply = await client.get(path, headers=headers)
            assert reply.status_code == 401
            assert reply.headers["www-authenticate"].startswith('Bearer realm="gesta"')
            assert reply.json()["type"] == "/problems/unauthenticated"
        assert (await client.post(PATH, headers=headers)).status_code == 401
    twice = [("Authorization", "Bearer gst_mine"), ("Authorization", "Bearer gst_rival")]
    assert (await client.get(PATH, headers=twice)).status_code == 400


async def test_a_key_reaches_its_environment_only(filled: Any, client: httpx.AsyncClient, run: Any) -> None:
    del client.headers["Authorization"]
    key = {"x-api-key": "tk_test"}
    assert (await client.get(PATH, headers=key)).json()["total"] == 15
    assert (await client.get(PATH, headers={"x-api-key": "pk_live"})).json()["total"] == 75
    assert (await client.get(PATH, headers=key, params={"environment": "production"})).status_code == 403
    items = (await client.get(PATH, headers={"x-api-key": "pk_live"})).json()["items"]
    assert (await client.get(f"{PATH}/{items[0]['id']}", headers=key)).status_code == 404
    del run["environment"]
    assert (await client.post(PATH, json=run, headers=key)).json()["recorded"] == 1
    run |= {"environment": "production", "id": "other"}
    assert (await client.post(PATH, json=run, headers=key)).status_code == 403


async def test_a_bound_credential_reaches_its_account_only(
    filled: Any, client: httpx.AsyncClient, run: Any, fill: Any
) -> None:
    del client.headers["Authorization"]
    client.headers.update({"x-api-key": "tk_test", "linked_account_id": "someone"})
    assert (await client.get(PATH)).json()["total"] == 15
    assert (await client.get(PATH, params={"account": "Sim101"})).status_code == 404
    assert (await client.get("/ledger/summary")).json()["items"][0]["count"] == 15
    run |= {"account": "Someone", "environment": "test"}
    reply = await client.post(PATH, json=[run, {**run, "account": "Else", "id": "other"}, fill])
    assert [result["outcome"] for result in reply.json()["results"]] == ["recorded", "invalid", "invalid"]
    unknown = await client.get(PATH, headers={"linked_account_id": "nobody"})
    assert unknown.status_code == 400
    assert unknown.json()["field"] == "linked_account_id"


async def test_scopes_by_kind(house: Any, client: httpx.AsyncClient, fill: Any, run: Any) -> None:
    caller = house.access.bearers["gst_mine"]
    house.access.bearers["gst_mine"] = msgspec.structs.replace(caller, scopes=frozenset({"run"}))
    body = (await client.post(PATH, json=[fill, run])).json()
    assert [result["outcome"] for result in body["results"]] == ["invalid", "recorded"]
    assert body["results"][0]["error"]["code"] == "forbidden"
    assert (await client.post(PATH, json=[fill])).status_code == 403


async def test_rates_and_outages(house: Any, client: httpx.AsyncClient) -> None:
    house.access.refuse_after["native"] = 1
    assert (await client.get(PATH)).status_code == 200
    reply = await client.get(PATH)
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "1")
    assert reply.json()["retry_after_s"] == 0.4
    house.access.is_down = True
    reply = await client.get(PATH)
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "2")


async def test_other_methods_and_paths(client: httpx.AsyncClient) -> None:
    reply = await client.delete(PATH)
    assert reply.status_code == 405
    assert set(reply.headers["allow"].split(", ")) == {"GET", "POST"}
    assert reply.json()["type"] == "/problems/method_not_allowed"
    for path in ("/ledger", "/ledger/nothing", "/ledger/streams"):
        reply = await client.get(path)
        assert reply.status_code == 404
        assert reply.json()["what"] == "route"

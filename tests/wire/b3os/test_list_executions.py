"""`GET /v1/executions`: the published exchange, paging, filters and bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gesta.apis.b3os.models import ErrorEnvelope, ExecutionListEnvelope
from gesta.apis.hummingbot.codec import decode as decode_executor
from gesta.ledger.records import NewEvent, Status, Transition

ORGANIZATION = "org_00000000000000000001"


async def test_the_published_example_comes_out_equal(world: Any, client: httpx.AsyncClient, seed: Any) -> None:
    await world.post(seed)
    response = await client.get("/v1/executions")
    assert response.status_code == 200
    assert response.json() == {
        "code": 200,
        "data": {"hasMore": False, "items": [seed], "limit": 20, "offset": 0},
        "message": "success",
        "requestId": "request-1",
    }
    golden = json.loads(Path(__file__).with_name("seed_003_list.json").read_text())
    assert response.json().keys() == golden.keys()
    assert response.json()["data"].keys() == golden["data"].keys()
    msgspec.json.decode(response.content, type=ExecutionListEnvelope)


async def test_posting_the_example_twice_records_it_once(world: Any, seed: Any) -> None:
    assert (await world.post(seed)).outcome == "recorded"
    world.clock.advance_us(10**9)
    assert (await world.post(seed)).outcome == "duplicate"
    assert (await world.post(seed | {"status": "workflow_running"})).outcome == "conflict"


async def test_what_moves_on_is_printed_as_it_is(world: Any, client: httpx.AsyncClient, seed: Any) -> None:
    await world.post(seed)
    world.clock.advance_us(1_000_000)
    await world.ledger.transition(1, "<string>", Transition(event=NewEvent(type="paid"), status=Status.PAID))
    body = (await client.get("/v1/executions")).json()["data"]["items"][0]
    assert body == seed | {"status": "payment_confirmed", "updatedAt": "2025-10-09T08:53:21Z"}


async def test_unset_values_are_null_and_keys_that_a_posted_object_lacked_stay_absent(
    world: Any, client: httpx.AsyncClient, seed: Any
) -> None:
    full = dict.fromkeys(seed) | {"id": "full", "status": "workflow_queued", "organizationId": ORGANIZATION}
    await world.post(full)
    await world.post({"id": "bare", "status": "workflow_failed", "createdAt": "2026-03-10T12:00:00.25+01:00"})
    items = (await client.get("/v1/executions")).json()["data"]["items"]
    assert items == [
        {"id": "bare", "status": "workflow_failed", "createdAt": "2026-03-10T12:00:00.25+01:00"},
        full,
    ]


async def test_pages_newest_first(world: Any, client: httpx.AsyncClient) -> None:
    await world.post_many(25)
    first = (await client.get("/v1/executions")).json()["data"]
    assert [item["id"] for item in first["items"]] == [f"run-{number}" for number in range(24, 4, -1)]
    assert (first["limit"], first["offset"], first["hasMore"]) == (20, 0, True)
    second = (await client.get("/v1/executions?offset=20")).json()["data"]
    assert [item["id"] for item in second["items"]] == [f"run-{number}" for number in range(4, -1, -1)]
    assert (second["limit"], second["offset"], second["hasMore"]) == (20, 20, False)
    exact = (await client.get("/v1/executions?limit=5&offset=20")).json()["data"]
    assert (len(exact["items"]), exact["hasMore"]) == (5, False)


@pytest.mark.parametrize(
    ("asked", "limit"), [("1", 1), ("007", 7), ("100", 100), ("101", 100), ("300", 100), ("9" * 6000, 100)]
)
async def test_a_limit_above_100_is_clamped_and_echoed(
    world: Any, client: httpx.AsyncClient, asked: str, limit: int
) -> None:
    await world.post_many(3)
    data = (await client.get(f"/v1/executions?limit={asked}")).json()["data"]
    assert (data["limit"], len(data["items"])) == (limit, min(limit, 3))


@pytest.mark.parametrize("offset", [10**12, 2**53 - 1])
async def test_an_offset_past_the_end_is_an_empty_page(world: Any, client: httpx.AsyncClient, offset: int) -> None:
    await world.post_many(1)
    data = (await client.get(f"/v1/executions?offset={offset}")).json()["data"]
    assert data == {"items": [], "limit": 20, "offset": offset, "hasMore": False}


async def test_pages_by_cursor_neither_skip_nor_repeat_while_rows_arrive(world: Any, client: httpx.AsyncClient) -> None:
    await world.post_many(7)
    data = (await client.get("/v1/executions?limit=3&cursor=")).json()["data"]
    seen = [item["id"] for item in data["items"]]
    await world.post({"id": "late", "status": "workflow_running", "createdAt": "2026-03-10T13:00:00Z"})
    while data["hasMore"]:
        query = {"limit": 3, "cursor": data["nextCursor"]}
        data = (await client.get("/v1/executions", params=query)).json()["data"]
        seen += [item["id"] for item in data["items"]]
    assert data["nextCursor"] is None
    assert seen == [f"run-{number}" for number in range(6, -1, -1)]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("status=workflow_failed", ["timed", "failed"]),
        ("status=workflow_failed,workflow_queued", ["timed", "failed", "queued"]),
        ("workflowId=wf_a", ["failed", "queued"]),
        ("workflowId=wf_a&status=workflow_queued", ["queued"]),
        ("externalRef=ref%201", ["timed"]),
        ("orderId=order-1", ["queued"]),
        ("workflowId=wf_none", []),
        ("createdAfter=2026-03-10T12:00:01Z", ["timed"]),
        ("createdAfter=2026-03-10T12:00:00.999999Z", ["timed", "failed"]),
        ("createdBefore=2026-03-10T12:00:01Z", ["queued"]),
        ("createdBefore=2026-03-10T12:00:01.000001Z", ["failed", "queued"]),
        ("createdAfter=2026-03-10&createdBefore=2026-03-11", ["timed", "failed", "queued"]),
        ("createdAfter=2026-03-11", []),
        ("color=blue&color=red", ["timed", "failed", "queued"]),
    ],
)
async def test_filters(world: Any, client: httpx.AsyncClient, query: str, wanted: list[str]) -> None:
    at = "2026-03-10T12:00:0"
    await world.post(
        {
            "id": "queued",
            "status": "workflow_queued",
            "workflowId": "wf_a",
            "orderId": "order-1",
            "createdAt": at + "0Z",
        }
    )
    await world.post({"id": "failed", "status": "workflow_failed", "workflowId": "wf_a", "createdAt": at + "1Z"})
    timed = {"id": "timed", "status": "workflow_failed", "statusReason": "timed_out", "externalRef": "ref 1"}
    await world.post(timed | {"createdAt": at + "2Z"})
    for paging in ("", "&cursor="):
        data = (await client.get(f"/v1/executions?{query}{paging}")).json()["data"]
        assert [item["id"] for item in data["items"]] == wanted


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=abc", 400001),
        ("limit=", 400001),
        ("limit=-1", 400001),
        ("limit=0", 400001),
        ("limit=1.5", 400001),
        ("limit=+5", 400001),
        ("limit=%D9%A3", 400001),
        ("limit=%00", 400001),
        ("limit=%FF", 400001),
        ("offset=abc", 400002),
        ("offset=-1", 400002),
        ("offset=9007199254740992", 400002),
        ("offset=" + "9" * 6000, 400002),
        ("limit=1&limit=1", 400003),
        ("offset=0&offset=0", 400003),
        ("cursor=&cursor=", 400003),
        ("status=paid&status=paid", 400003),
        ("createdAfter=a&createdAfter=b", 400003),
        ("status=paid", 400004),
        ("status=", 400004),
        ("status=workflow_failed,", 400004),
        ("createdAfter=yesterday", 400005),
        ("createdBefore=2026-02-30", 400005),
        ("createdBefore=2026-02-30T00:00:00Z", 400005),
        ("createdBefore=", 400005),
        ("cursor=abc", 400006),
        ("cursor=%00%FF", 400006),
        ("cursor=&offset=0", 400006),
        ("workflowId=", 400007),
        ("workflowId=%00", 400007),
        ("externalRef=" + "x" * 257, 400007),
    ],
)
async def test_a_parameter_that_does_not_fit(client: httpx.AsyncClient, query: str, code: int) -> None:
    response = await client.get(f"/v1/executions?{query}")
    assert response.status_code == 400
    body = msgspec.json.decode(response.content, type=ErrorEnvelope)
    assert (body.code, body.data, body.request_id) == (code, None, "request-1")
    assert body.message


async def test_only_runs_of_the_own_organization_are_listed(world: Any, client: httpx.AsyncClient, seed: Any) -> None:
    await world.post(seed)
    await world.post({"id": "theirs", "status": "workflow_running"}, organization=2)
    executor = decode_executor({"executor_id": "e", "status": "RUNNING"}, now_us=0, organization="org_x")
    account = await world.access.ensure_account(1, "desk", executor.account_type)
    await world.ledger.append(1, [executor.row(account)])
    for token, wanted in (("b3sk_mine", ["<string>"]), ("b3sk_reader", ["<string>"]), ("b3sk_other", ["theirs"])):
        response = await client.get("/v1/executions", headers={"Authorization": f"Bearer {token}"})
        assert [item["id"] for item in response.json()["data"]["items"]] == wanted

"""The golden exchange over the real stores."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gesta.ledger.records import NewEvent, Status, Transition


async def test_the_published_example_comes_out_equal(
    stored_world: Any, stored_client: httpx.AsyncClient, seed: Any
) -> None:
    assert [(await stored_world.post(seed)).outcome for _ in range(2)] == ["recorded", "duplicate"]
    data = (await stored_client.get("/v1/executions")).json()["data"]
    assert data == {"items": [seed], "limit": 20, "offset": 0, "hasMore": False}
    await stored_world.ledger.transition(1, "<string>", Transition(event=NewEvent(type="paid"), status=Status.PAID))
    data = (await stored_client.get("/v1/executions/%3Cstring%3E")).json()["data"]
    assert data["execution"]["status"] == "payment_confirmed"
    assert data["execution"]["workflowId"] == "<string>"
    assert [event["eventType"] for event in data["events"]] == ["execution.recorded", "paid"]


@pytest.mark.parametrize("query", ["status=workflow_running", "workflowId=wf_b", "createdAfter=2026-03-10T12:00:19Z"])
async def test_pages_and_filters(stored_world: Any, stored_client: httpx.AsyncClient, query: str) -> None:
    await stored_world.post_many(20, status="workflow_queued", workflowId="wf_a")
    for number in range(20, 45):
        at = f"2026-03-10T12:00:{number}Z"
        row = {"id": f"run-{number}", "status": "workflow_running", "workflowId": "wf_b", "createdAt": at}
        await stored_world.post(row)
    wanted = [f"run-{number}" for number in range(44, 19, -1)]
    first = (await stored_client.get(f"/v1/executions?limit=10&offset=10&{query}")).json()["data"]
    assert ([item["id"] for item in first["items"]], first["hasMore"]) == (wanted[10:20], True)
    last = (await stored_client.get(f"/v1/executions?limit=10&offset=15&{query}")).json()["data"]
    assert ([item["id"] for item in last["items"]], last["hasMore"]) == (wanted[15:], False)
    far = (await stored_client.get(f"/v1/executions?offset=1000000000000&{query}")).json()["data"]
    assert (far["items"], far["hasMore"]) == ([], False)
    deepest = (await stored_client.get(f"/v1/executions?offset=9007199254740991&{query}")).json()["data"]
    assert deepest["items"] == []
    data = (await stored_client.get(f"/v1/executions?cursor=&limit=10&{query}")).json()["data"]
    seen = [item["id"] for item in data["items"]]
    while data["hasMore"]:
        data = (await stored_client.get(f"/v1/executions?cursor={data['nextCursor']}&limit=10&{query}")).json()["data"]
        seen += [item["id"] for item in data["items"]]
    assert seen == wanted


@pytest.mark.parametrize("year", ["0001-01-01", "9999-12-31"])
async def test_the_ends_of_the_calendar(stored_world: Any, stored_client: httpx.AsyncClient, year: str) -> None:
    posted = {"id": "edge", "status": "workflow_running", "createdAt": f"{year}T23:59:59.999999Z"}
    await stored_world.post(posted)
    for query in ("", f"?createdAfter={year}", f"?createdBefore={year}", f"?createdAfter={year}T23:59:59.999999Z"):
        response = await stored_client.get("/v1/executions" + query)
        assert response.status_code == 200
    assert (await stored_client.get("/v1/executions")).json()["data"]["items"] == [posted]
    assert (await stored_client.get("/v1/executions/edge")).json()["data"]["execution"] == posted


async def test_ids_that_no_record_has(stored_client: httpx.AsyncClient) -> None:
    for id in ("%FF", "x" * 128, "%F0%9F%98%80"):
        assert (await stored_client.get(f"/v1/executions/{id}")).status_code == 404

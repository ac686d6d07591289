"""Workflows: saved, published, paused, versioned, listed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire.b3os.workflow_house import CALLING, LOGGING, WAITING, House


@pytest.fixture
def house() -> House:
    return House()


async def test_a_workflow_from_draft_to_archive(house: House) -> None:
    async with house.client() as client:
        body = {"name": "Orders", "description": "Takes orders", "definition": CALLING, "alias": "orders"}
        made = (await client.post("/v1/workflows", json=body)).json()["data"]
        assert made["id"].startswith("wf_")
        assert len(made["id"]) == 27
        assert (made["status"], made["version"], made["hasDraft"]) == ("draft", 1, True)
        assert (made["name"], made["description"], made["definition"]) == ("Orders", "Takes orders", CALLING)
        one = f"/v1/workflows/{made['id']}"
        changed = (await client.put(one, json={"definition": LOGGING, "expectedCurrentVersion": 1})).json()["data"]
        assert (changed["version"], changed["definition"], changed["name"]) == (2, LOGGING, "Orders")
        stale = await client.put(one, json={"definition": CALLING, "expectedCurrentVersion": 1})
        assert (stale.status_code, stale.json()["code"]) == (409, 409001)
        renamed = (await client.put(one, json={"name": "Bestellungen"})).json()["data"]
        assert (renamed["name"], renamed["definition"]) == ("Bestellungen", LOGGING)
        wrong = await client.post(f"{one}/publish", json={"expectedVersion": 2})
        assert (wrong.status_code, wrong.json()["code"]) == (409, 409001)
        live = (await client.post(f"{one}/publish")).json()["data"]
        assert (live["status"], live["publishedVersion"], live["hasLiveVersion"]) == ("active", 3, True)
        assert (await client.post(f"{one}/pause")).json()["data"]["status"] == "paused"
        assert (await client.post(f"{one}/resume")).json()["data"]["status"] == "active"
        assert (await client.get("/v1/workflows/orders")).json()["data"]["id"] == made["id"]
        assert (await client.get(one)).json()["data"]["lastTriggeredAt"] is None
        await client.post(f"{one}/run")
        assert (await client.get(one)).json()["data"]["lastTriggeredAt"] is not None
        assert (await client.delete(one)).json()["data"] == {"id": made["id"], "status": "archived"}
        assert (await client.get(one)).json()["data"]["status"] == "archived"


async def test_versions_and_the_way_back(house: House) -> None:
    workflow = await house.workflow(CALLING)
    async with house.client() as client:
        one = f"/v1/workflows/{workflow}"
        await client.put(one, json={"definition": LOGGING})
        page = (await client.get(f"{one}/versions", params={"limit": 1})).json()["data"]
        assert (page["hasMore"], [each["versionNumber"] for each in page["items"]]) == (True, [2])
        both = (await client.get(f"{one}/versions")).json()["data"]["items"]
        assert [each["status"] for each in both] == ["draft", "published"]
        first = (await client.get(f"{one}/versions/1")).json()["data"]
        assert (first["definition"], first["workflowId"]) == (CALLING, workflow)
        back = (await client.post(f"{one}/rollback", json={"versionNumber": 1})).json()["data"]
        assert (back["version"], back["definition"]) == (3, CALLING)
        for path, code in ((f"{one}/versions/9", 404007), (f"{one}/versions/x", 400013)):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (code // 1000, code)
        unknown = await client.post(f"{one}/rollback", json={"versionNumber": 9})
        assert (unknown.status_code, unknown.json()["code"]) == (404, 404007)
        schedule = (await client.get(f"{one}/schedule")).json()["data"]
        assert schedule == {"workflowId": workflow, "lastRunAt": None, "nextRunAt": None, "schedules": []}


async def test_the_list_with_the_fields_that_were_asked_for(house: House) -> None:
    first, second = await house.workflow(CALLING), await house.workflow(WAITING, published=False)
    async with house.client() as client:
        page = (await client.get("/v1/workflows")).json()["data"]
        assert [each["id"] for each in page["items"]] == [second, first]
        assert "definition" not in page["items"][0]
        wanted = {"_fields_filter": "id,name,status,description,lastTriggeredAt,createdAt", "limit": "20"}
        few = (await client.get("/v1/workflows", params=wanted)).json()["data"]["items"]
        assert all(set(each) == set(wanted["_fields_filter"].split(",")) for each in few)
        full = (await client.get("/v1/workflows?_fields_filter=id,definition")).json()["data"]["items"]
        assert full[1] == {"id": first, "definition": CALLING}
        active = (await client.get("/v1/workflows?status=active&limit=1")).json()["data"]
        assert ([each["id"] for each in active["items"]], active["hasMore"]) == ([first], False)
        found = (await client.get("/v1/workflows?search=nothing")).json()["data"]["items"]
        assert found == []
        for query in ("status=live", "limit=0", "offset=x", "search=%00", "_fields_filter=" + "a," * 101 + "b"):
            answer = await client.get(f"/v1/workflows?{query}")
            expected = 200 if query.startswith("_fields") else 400
            assert answer.status_code == expected, query


async def test_a_definition_is_judged_without_being_saved(house: House) -> None:
    async with house.client() as client:
        good = (await client.post("/v1/workflows/validate", json={"name": "x", "definition": LOGGING})).json()["data"]
        assert (good["valid"], good["errors"]) == (True, [])
        bad = {"nodes": {"root": {"type": "manual", "children": ["a", "b"]}, "a": {"type": "no-such"}}}
        judged = (await client.post("/v1/workflows/validate", json={"definition": bad})).json()["data"]
        assert judged["valid"] is False
        assert {each["nodeId"] for each in judged["errors"]} >= {"a"}
        assert (await client.post("/v1/workflows/validate", json={})).json()["data"]["valid"] is False
        assert (await client.get("/v1/workflows")).json()["data"]["items"] == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"definition": CALLING}, 400011),
        ({"name": "x"}, 400228),
        ({"name": "x" * 300, "definition": CALLING}, 400011),
        ({"name": "x", "definition": CALLING, "visibility": "all"}, 400011),
        ({"name": "x", "definition": CALLING, "alias": "a/b"}, 400011),
        ({"name": "x", "definition": {"nodes": {"root": {"type": "if"}}}}, 400228),
        ({"name": 5, "definition": CALLING}, 400011),
    ],
)
async def test_what_is_not_saved(house: House, body: dict[str, Any], code: int) -> None:
    async with house.client() as client:
        answer = await client.post("/v1/workflows", json=body)
        assert (answer.status_code, answer.json()["code"]) == (code // 1000, code), answer.text
        assert (await client.get("/v1/workflows")).json()["data"]["items"] == []


SECRETIVE = {
    "nodes": {
        "root": {"type": "manual", "payload": {}, "children": ["call"]},
        "call": {
            "type": "send-webhook",
            "payload": {"url": "http://service.test/secret-path", "headers": {"X-Key": "secret-key"}},
            "children": [],
        },
    },
    "inputSchema": [{"key": "amount", "type": "number", "required": True, "description": "How much."}],
    "price": {"amount": "4.50", "currency": "USD"},
}


@pytest.mark.parametrize("visibility", ["public_view", "public_execute"])
async def test_everybody_sees_what_a_public_workflow_is_and_no_more(house: House, visibility: str) -> None:
    id = await house.workflow(SECRETIVE, visibility=visibility, description="Makes a report.")
    async with house.client() as client:
        await client.put(f"/v1/workflows/{id}", json={"definition": LOGGING})
    async with house.client(None) as stranger:
        answer = await stranger.get(f"/v1/public/workflows/{id}")
        shown = answer.json()["data"]
        assert (shown["id"], shown["name"], shown["description"]) == (id, "Orders", "Makes a report.")
        assert (shown["visibility"], shown["status"], shown["version"]) == (visibility, "active", 1)
        assert [each["key"] for each in shown["inputSchema"]] == ["amount"]
        assert shown["price"] == {"amount": "4.50", "currency": "USD"}
        assert len(shown) == 10
        assert "secret" not in answer.text
        assert "org" not in answer.text


@pytest.mark.parametrize("hidden", ["private", "org", "draft", "archived", "unknown", "alias"])
async def test_a_workflow_that_is_not_public_is_not_there(house: House, hidden: str) -> None:
    visibility = hidden if hidden in ("private", "org") else "public_execute"
    id = await house.workflow(published=hidden != "draft", visibility=visibility, alias="by-name")
    async with house.client() as client:
        if hidden == "archived":
            await client.delete(f"/v1/workflows/{id}")
    word = {"unknown": "wf_" + "0" * 24, "alias": "by-name"}.get(hidden, id)
    async with house.client(None) as stranger:
        answer = await stranger.get(f"/v1/public/workflows/{word}")
        assert (answer.status_code, answer.json()["code"]) == (404, 404004)


async def test_workflows_of_others_and_for_readers(house: House) -> None:
    workflow = await house.workflow(CALLING)
    one = f"/v1/workflows/{workflow}"
    writes = [
        ("PUT", one, {"name": "Mine now"}),
        ("DELETE", one, None),
        *(("POST", f"{one}/{word}", None) for word in ("publish", "pause", "resume", "webhook-secret", "run")),
        ("POST", f"{one}/rollback", {"versionNumber": 1}),
    ]
    reads = [("GET", f"{one}{path}", None) for path in ("", "/versions", "/versions/1", "/schedule", "/runs")]
    for token, calls, code in (
        ("b3sk_other", writes + reads, 404004),
        ("b3sk_reader", writes, 403001),
        (None, writes + reads, 401001),
    ):
        async with house.client(token) as client:
            for method, path, body in calls:
                answer = await client.request(method, path, json=body)
                assert (answer.status_code, answer.json()["code"]) == (code // 1000, code), (method, path)
    async with house.client() as client:
        kept = (await client.get(one)).json()["data"]
        assert (kept["name"], kept["status"], kept["version"]) == ("Orders", "active", 1)

"""Linked accounts, as an organization's key manages them (protocols/refold.md §1)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gesta.access.model import Scope
from gesta.desk.reading import Reading
from gesta.ledger.records import Kind, Status
from gesta.workflows.face import WorkflowStatus

PATH = "/api/v2/public/linked-account"
KEY = {"x-api-key": "tk_1"}


async def test_an_account_is_created_once(client: httpx.AsyncClient) -> None:
    first = await client.post(PATH, headers=KEY, json={"account_id": "user_12345", "name": "Acme Inc."})
    assert first.status_code == 200
    assert first.json()["new_account"] is True
    assert (first.json()["account_id"], first.json()["environment"], first.json()["integrations"]) == (
        "user_12345",
        "test",
        None,
    )
    assert (first.json()["name"], first.json()["udf"]) == ("Acme Inc.", [])
    again = await client.put(PATH, headers=KEY, json={"linked_account_id": "USER_12345", "payload": {"name": "x"}})
    assert again.json()["name"] == "x"
    assert (again.json()["_id"], again.json()["new_account"]) == (first.json()["_id"], False)
    page = (await client.get(PATH, headers=KEY)).json()
    assert [each["account_id"] for each in page["docs"]] == ["user_12345"]
    assert (page["totalDocs"], page["page"], page["limit"]) == (1, 1, 10)
    assert (await client.get(f"{PATH}/user_12345", headers=KEY)).json()["account_id"] == "user_12345"
    tokens = await client.post("/api/v2/public/session-token", headers=KEY, json={"linked_account_id": "user_12345"})
    assert tokens.status_code == 200


async def test_each_environment_has_its_own(client: httpx.AsyncClient) -> None:
    await client.post(PATH, headers=KEY, json={"account_id": "a"})
    for other in ("pk_1", "tk_2"):
        headers = {"x-api-key": other}
        assert (await client.get(PATH, headers=headers)).json()["totalDocs"] == 0
        assert (await client.get(f"{PATH}/a", headers=headers)).status_code == 404


async def test_a_session_is_of_one_account(client: httpx.AsyncClient) -> None:
    await client.post(PATH, headers=KEY, json={"account_id": "a"})
    token = (await client.post("/api/v2/public/session-token", headers=KEY, json={"linked_account_id": "a"})).json()
    bearer = {"authorization": f"Bearer {token['token']}"}
    own = await client.put(PATH, headers=bearer, json={"name": "Mine"})
    assert (own.status_code, own.json()["account_id"], own.json()["name"]) == (200, "a", "Mine")
    active = (await client.get("/api/v2/public/session/active-linked-account", headers=bearer)).json()
    assert active == {key: value for key, value in own.json().items() if key != "new_account"}
    assert (await client.put(PATH, headers=bearer, json={"account_id": "b"})).status_code == 400
    assert (await client.get(PATH, headers=bearer)).status_code == 403
    assert (await client.post(PATH, headers=bearer, json={"account_id": "b"})).status_code == 403
    assert (await client.post(PATH, headers={"authorization": "Bearer x"}, json={})).status_code == 401


async def test_what_is_said_of_an_account_is_kept(client: httpx.AsyncClient) -> None:
    said = {"account_id": "a", "name": "Acme", "udf": {"plan": "pro", "seats": 2.5}}
    made = (await client.post(PATH, headers=KEY, json=said)).json()
    udf = [{"key_name": "plan", "key_value": "pro"}, {"key_name": "seats", "key_value": 2.5}]
    assert (made["name"], made["udf"]) == ("Acme", udf)
    renamed = (await client.put(PATH, headers=KEY, json={"account_id": "a", "name": "Acme Inc."})).json()
    assert (renamed["name"], renamed["udf"], renamed["new_account"]) == ("Acme Inc.", udf, False)
    assert renamed["createdAt"] == made["createdAt"]
    wrapped = {"account_id": "a", "udf": {"plan": "no"}, "payload": {"udf": {"plan": "free"}}}
    assert (await client.put(PATH, headers=KEY, json=wrapped)).json()["udf"] == [
        {"key_name": "plan", "key_value": "free"}
    ]
    got = (await client.get(f"{PATH}/a", headers=KEY)).json()
    assert (got["name"], got["associated_org"]) == ("Acme Inc.", "org_00000000000000000001")
    assert (await client.get(PATH, headers=KEY)).json()["docs"] == [got]


async def test_an_account_is_deleted_with_what_it_has(world: Any, client: httpx.AsyncClient) -> None:
    await client.post(PATH, headers=KEY, json={"account_id": "a", "name": "Acme"})
    own = KEY | {"linked_account_id": "a"}
    waiting = {
        "nodes": [{"id": "1", "type": "start"}, {"id": "hook", "type": "wait-for-webhook", "data": {"timeout": 60}}],
        "edges": [{"source": "1", "target": "hook"}],
    }
    made = await client.post("/api/v2/public/workflow", headers=own, json={"name": "W", **waiting})
    path = f"/api/v2/public/workflow/{made.json()['workflow']['_id']}"
    workflow = (await client.put(f"{path}/publish", headers=own, json={"published": True})).json()["_id"]
    schedule = {"trigger_type": "cron", "regex": "0 9 * * 1"}
    registered = await client.post(
        "/api/v1/workflow/public/scheduled", headers=own | {"workflow_id_alias": workflow}, json=schedule
    )
    assert registered.status_code == 200
    run_id = (await client.post(f"{path}/execute", headers=own)).json()["execution_id"]
    token = (await client.post("/api/v2/public/session-token", headers=own)).json()["token"]
    for stranger in ("pk_1", "tk_2"):
        assert (await client.delete(f"{PATH}/a", headers={"x-api-key": stranger})).status_code == 404
    bearer = {"authorization": f"Bearer {token}"}
    assert (await client.delete(f"{PATH}/a", headers=bearer)).status_code == 403
    deleted = await client.delete(f"{PATH}/A", headers=KEY)
    assert (deleted.status_code, deleted.json()) == (200, {"message": "User deleted successfully"})
    gone = await client.delete(f"{PATH}/a", headers=KEY)
    assert (gone.status_code, gone.json()["error_code"]) == (404, "RESOURCE_NOT_FOUND")
    said = "Linked Account with account id a for org org_00000000000000000001 in environment test not found"
    assert gone.json()["message"] == said
    assert (await client.get(PATH, headers=KEY)).json()["totalDocs"] == 0
    assert (await client.get("/api/v2/public/execution", headers=own)).status_code == 400
    assert (await client.get("/api/v2/public/execution", headers=bearer)).status_code == 401
    caller = world.access.keys["tk_1"]
    kept = await Reading(world.ledger).get(caller, run_id, kind=Kind.RUN)
    assert kept.status is Status.CANCELLED
    assert list(await world.workflows.face.triggers.schedules(caller)) == []
    assert (await world.workflows.face.definitions.get(caller, workflow)).status is WorkflowStatus.ARCHIVED
    again = (await client.post(PATH, headers=KEY, json={"account_id": "a"})).json()
    assert (again["new_account"], again["name"], again["udf"]) == (True, "a", [])
    assert (await client.get("/api/v2/public/execution", headers=own)).json()["totalDocs"] == 0


WRONG: list[Any] = [
    {},
    [],
    {"account_id": ""},
    {"account_id": 5},
    {"account_id": "a", "udf": []},
    {"account_id": "a", "payload": {"udf": "x"}},
    {"account_id": "a", "your_app": {}},
    {"account_id": "a", "name": "x" * 257},
    {"account_id": "a", "name": "a\x1fb"},
    {"account_id": "a", "udf": {str(number): 1 for number in range(101)}},
    {"account_id": "a", "udf": {"": 1}},
    {"account_id": "a", "udf": {"x": "a\0b"}},
]


@pytest.mark.parametrize("posted", WRONG)
async def test_an_account_needs_an_id(client: httpx.AsyncClient, posted: Any) -> None:
    answer = await client.post(PATH, headers=KEY, json=posted)
    assert answer.status_code == 400
    if posted == {}:
        assert answer.json()["error_code"] == "INVALID_LINKED_ACCOUNT_ID"
        assert answer.json()["message"] == "linked_account_id required"
    assert (await client.get(PATH, headers=KEY)).json()["totalDocs"] == 0


async def test_a_reader_creates_none(world: Any, client: httpx.AsyncClient) -> None:
    world.access.add_key("tk_9", 1, Scope.READ)
    headers = {"x-api-key": "tk_9"}
    assert (await client.post(PATH, headers=headers, json={"account_id": "a"})).status_code == 403
    assert (await client.get(PATH, headers=headers)).json()["totalDocs"] == 0

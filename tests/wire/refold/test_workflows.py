"""Workflows are created, listed, published and deleted as the SDKs do it (protocols/refold.md §6, §7)."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from gesta.access.model import AccountType, Environment
from gesta.apis.refold.calls import draft_id_of
from gesta.apis.refold.workflow_codec import read_draft

WORKFLOW = "/api/v2/public/workflow"
EXECUTION = "/api/v2/public/execution"
KEY = {"x-api-key": "pk_1", "linked_account_id": "mark"}
UNKNOWN = "0" * 24


@pytest.fixture
async def sdk(world: Any, client: httpx.AsyncClient) -> dict[str, str]:
    """The browser SDK's headers, with a session of its own."""
    await world.access.ensure_account(1, "mark", AccountType.LINKED)
    token = (await client.post("/api/v2/public/session-token", headers=KEY)).json()["token"]
    return {"authorization": f"Bearer {token}", "content-type": "application/json"}


async def create(client: httpx.AsyncClient, headers: dict[str, str], **posted: Any) -> dict[str, Any]:
    answer = await client.post(WORKFLOW, headers=headers, json={"name": "Lead Sync"} | posted)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["workflow"])


async def publish(client: httpx.AsyncClient, headers: dict[str, str], id: str, **posted: Any) -> httpx.Response:
    return await client.put(f"{WORKFLOW}/{id}/publish", headers=headers, json={"published": True} | posted)


def test_each_id_follows_from_the_other() -> None:
    id = "6a31545ed0aeb8165beb9a43"
    draft = draft_id_of(id)
    assert draft != id
    assert len(draft) == 24
    assert draft_id_of(draft) == id


async def test_the_life_of_a_workflow(client: httpx.AsyncClient, sdk: dict[str, str]) -> None:
    made = await create(client, sdk, description="Every day", slug="hubspot")
    assert made["published"] is False
    assert [(node["id"], node["type"]) for node in made["nodes"]] == [("1", "start")]
    draft = made["_id"]
    listed = (await client.get(WORKFLOW, headers=sdk, params={"page": "1", "limit": "100"})).json()
    assert [each["_id"] for each in listed["docs"]] == [draft]
    assert (listed["totalDocs"], listed["limit"], listed["schema"]) == (1, 100, None)
    published = (await publish(client, sdk, draft)).json()
    assert published["published"] is True
    assert published["_id"] != draft
    again = (await client.get(WORKFLOW, headers=sdk)).json()["docs"]
    assert [(each["_id"], each["slug"], each["published"]) for each in again] == [(published["_id"], "hubspot", True)]
    edit = (await client.get(f"{WORKFLOW}/{published['_id']}/edit", headers=sdk)).json()
    assert (edit["_id"], edit["associated_workflow"]) == (draft, published["_id"])
    refused = await publish(client, sdk, draft, published=False)
    assert refused.status_code == 400
    assert refused.json()["error_code"] == "INVALID_WORKFLOW_ID"
    assert refused.json()["message"] == "Only public and published workflows can be unpublished"
    refused = await client.delete(f"{WORKFLOW}/{draft}", headers=sdk)
    assert (refused.status_code, refused.json()["message"]) == (400, "Workflow is a version workflow.")
    unpublished = await publish(client, sdk, published["_id"], published=False)
    assert unpublished.json()["published"] is False
    deleted = await client.delete(f"{WORKFLOW}/{published['_id']}", headers=sdk)
    assert deleted.json() == {"success": True, "triggers_deregistered": True}
    for id in (draft, published["_id"]):
        assert (await client.get(f"{WORKFLOW}/{id}", headers=sdk)).status_code == 404
    assert (await client.get(WORKFLOW, headers=sdk)).json()["totalDocs"] == 0


async def test_a_draft_is_saved_while_the_published_one_stays(client: httpx.AsyncClient, sdk: dict[str, str]) -> None:
    draft = (await create(client, sdk))["_id"]
    published = (await publish(client, sdk, draft)).json()["_id"]
    graph = {
        "nodes": [{"id": "1", "type": "start"}, {"id": "2", "type": "log", "data": {"message": "hello"}}],
        "edges": [{"source": "1", "target": "2"}],
    }
    saved = await client.put(f"{WORKFLOW}/{draft}", headers=sdk, json=graph)
    assert saved.status_code == 200, saved.text
    assert saved.json()["workflow"]["version"] == 2
    assert saved.json()["workflow"]["name"] == "Lead Sync"
    assert len((await client.get(f"{WORKFLOW}/{published}", headers=sdk)).json()["nodes"]) == 1
    assert len((await client.get(f"{WORKFLOW}/{draft}", headers=sdk)).json()["nodes"]) == 2
    renamed = await client.put(f"{WORKFLOW}/{draft}", headers=sdk, json={"name": "Renamed"})
    assert len(renamed.json()["workflow"]["nodes"]) == 2
    assert (await publish(client, sdk, draft)).json()["version"] == 3
    versions = (await client.get(f"{WORKFLOW}/versions/{published}", headers=sdk)).json()
    assert [each["version"] for each in versions["docs"]] == [3, 1]
    assert (await publish(client, sdk, draft, version=1)).json()["version"] == 1
    assert (await publish(client, sdk, draft, version=9)).status_code == 404


async def test_what_an_execution_expects(client: httpx.AsyncClient, sdk: dict[str, str]) -> None:
    plain = await create(client, sdk)
    structure = f"{WORKFLOW}/request-structure"
    nothing = {"payload": None, "schema": None, "schema_interpreted": None}
    assert (await client.get(f"{structure}/{plain['_id']}", headers=sdk)).json() == nothing
    schema = {
        "type": "object",
        "required": ["email"],
        "properties": {"email": {"type": "string"}, "age": {"type": ["integer", "null"]}},
    }
    sample = {"email": "jane@example.com"}
    made = await create(client, sdk, json_schema=schema, manual_execution_payload=sample)
    assert (await client.get(f"{structure}/{made['_id']}", headers=sdk)).json() == {
        "payload": sample,
        "schema": schema,
        "schema_interpreted": {"email": "string (required)", "age": "integer | null"},
    }
    assert (await client.get(f"{structure}/{UNKNOWN}", headers=sdk)).status_code == 404


async def test_filters(client: httpx.AsyncClient, sdk: dict[str, str]) -> None:
    await create(client, sdk, name="Alpha", slug="google-sheets")
    beta = await create(client, sdk, name="Beta", associated_application={"_id": "app1", "name": "Slack"})
    await publish(client, sdk, beta["_id"])

    async def names(**params: Any) -> list[str]:
        answer = await client.get(WORKFLOW, headers=sdk, params=params)
        assert answer.status_code == 200, answer.text
        return [each["name"] for each in answer.json()["docs"]]

    assert await names() == ["Beta", "Alpha"]
    assert await names(name="alp") == ["Alpha"]
    assert await names(slug="Google Sheets") == ["Alpha"]
    assert await names(application_id="app1") == ["Beta"]
    assert await names(published="true") == ["Beta"]
    assert await names(published="false") == ["Alpha"]
    assert await names(scope="private") == ["Beta", "Alpha"]
    assert await names(scope="public") == []
    assert await names(start_date="2100-01-01") == []
    assert await names(end_date="2100-01-01", page=2, limit=1, anything="else") == ["Alpha"]
    for wrong in ({"scope": "mine"}, {"published": "maybe"}, {"start_date": "2026-02-30"}):
        assert (await client.get(WORKFLOW, headers=sdk, params=wrong)).status_code == 400


GRAPHS = [
    ({"nodes": []}, "nodes"),
    ({"nodes": "no"}, "nodes"),
    ({"nodes": [{"id": "1", "type": "start"}, {"id": "2", "type": "teleport"}]}, "2"),
    (
        {
            "nodes": [{"id": "1", "type": "start"}, {"id": "2", "type": "log", "data": {"message": "x"}}],
            "edges": [{"source": "1", "target": "3"}],
        },
        "3",
    ),
    ({"name": ""}, "name"),
    ({"name": 5}, "name"),
    ({"slug": ["a"]}, "slug"),
    ({"json_schema": "no"}, "json_schema"),
]


@pytest.mark.parametrize(("posted", "named"), GRAPHS)
async def test_a_graph_that_cannot_be(
    client: httpx.AsyncClient, sdk: dict[str, str], posted: dict[str, Any], named: str
) -> None:
    answer = await client.post(WORKFLOW, headers=sdk, json={"name": "x"} | posted)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error_code"] == "VALIDATION_ERROR"
    assert named in answer.json()["message"]
    assert (await client.get(WORKFLOW, headers=sdk)).json()["totalDocs"] == 0


async def test_an_alias_is_one_workflows(client: httpx.AsyncClient, sdk: dict[str, str]) -> None:
    await create(client, sdk, workflow_alias="leads")
    taken = await client.post(WORKFLOW, headers=sdk, json={"name": "x", "workflow_alias": "leads"})
    assert taken.status_code == 409
    assert "leads" in taken.json()["message"]


@pytest.mark.parametrize("posted", [{}, {"published": "yes"}, {"published": True, "version": 0}, [True]])
async def test_publish_needs_to_be_told_what(client: httpx.AsyncClient, sdk: dict[str, str], posted: Any) -> None:
    draft = (await create(client, sdk))["_id"]
    answer = await client.put(f"{WORKFLOW}/{draft}/publish", headers=sdk, json=posted)
    assert answer.status_code == 400
    assert (await client.get(f"{WORKFLOW}/{draft}", headers=sdk)).json()["published"] is False


async def test_a_workflow_of_another_account(world: Any, client: httpx.AsyncClient, sdk: dict[str, str]) -> None:
    draft = (await create(client, sdk))["_id"]
    published = (await publish(client, sdk, draft)).json()["_id"]
    await world.access.ensure_account(1, "other", AccountType.LINKED)
    other = {"x-api-key": "pk_1", "linked_account_id": "other"}
    assert (await client.get(WORKFLOW, headers=other)).json()["totalDocs"] == 0
    for id in (draft, published):
        assert (await client.get(f"{WORKFLOW}/{id}", headers=other)).status_code == 404
        assert (await client.delete(f"{WORKFLOW}/{id}", headers=other)).status_code == 404
        assert (await publish(client, other, id)).status_code == 404
        assert (await client.put(f"{WORKFLOW}/{id}", headers=other, json={"name": "mine"})).status_code == 404


async def test_what_is_the_organizations_is_run_and_not_changed(
    world: Any, client: httpx.AsyncClient, sdk: dict[str, str]
) -> None:
    """By no key of one environment and no session of one account: it would be changed for all of them."""
    caller = world.access.keys["pk_1"]
    definitions = world.workflows.face.definitions
    draft = msgspec.structs.replace(read_draft({"name": "Shared"}), is_private=False)
    made = await definitions.create(caller, draft)
    await definitions.publish(caller, made.id)
    await world.access.ensure_account(1, "tester", AccountType.LINKED, Environment.TEST)
    tester = {"x-api-key": "tk_1", "linked_account_id": "tester"}
    token = (await client.post("/api/v2/public/session-token", headers=tester)).json()["token"]
    for headers in (sdk, tester, {"authorization": f"Bearer {token}"}):
        one = f"{WORKFLOW}/{made.id}"
        assert (await client.get(one, headers=headers)).json()["name"] == "Shared"
        refusals = [
            await client.delete(one, headers=headers),
            await client.put(one, headers=headers, json={"name": "Mine"}),
            await client.put(f"{one}/publish", headers=headers, json={"published": False}),
            await client.post(f"{one}/webhook", headers=headers),
        ]
        for refused in refusals:
            assert (refused.status_code, refused.json()["http_error_type"]) == (403, "FORBIDDEN")
            assert "organization" in refused.json()["message"]
        started = await client.post(f"{one}/execute", headers=headers)
        run = (await client.get(f"{EXECUTION}/{started.json()['execution_id']}", headers=headers)).json()
        assert run["environment"] == ("production" if headers is sdk else "test")
    assert (await client.get(f"{WORKFLOW}/{made.id}", headers=sdk)).json()["published"] is True


@pytest.mark.parametrize(
    ("posted", "said"),
    [
        ({"settings": {"timeout": -5}}, "`settings.timeout`"),
        ({"json_schema": {"type": "florb"}}, "`json_schema`"),
        ({"workflow_alias": "a/b"}, "`workflow_alias`"),
        ({"description": "a\0b"}, "`description` contains a NUL"),
        ({"nodes": [{"id": "1", "type": "start", "data": {"x": "a\0b"}}]}, "`nodes` contains a NUL"),
    ],
)
async def test_mistakes_are_told_in_refolds_words(
    client: httpx.AsyncClient, sdk: dict[str, str], posted: dict[str, Any], said: str
) -> None:
    answer = await client.post(WORKFLOW, headers=sdk, json={"name": "W", **posted})
    assert answer.status_code == 400
    assert said in answer.json()["message"]
    assert (await client.get(WORKFLOW, headers=sdk)).json()["totalDocs"] == 0

"""Workflows are executed, waited for, stopped, run again (protocols/refold.md §2, §5), call by call as the SDKs do."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gesta.access.model import AccountType, Scope

WORKFLOW = "/api/v2/public/workflow"
EXECUTION = "/api/v2/public/execution"
MARK = "markwood@some_email.com"
KEY = {"x-api-key": "pk_1", "linked_account_id": MARK}
START = {"id": "1", "type": "start"}
SYNC = {"sync_execution": "true"}


def answering(**config: Any) -> dict[str, Any]:
    """Start, then a Response node."""
    return {
        "nodes": [START, {"id": "answer", "type": "response", "data": config}],
        "edges": [{"source": "1", "target": "answer"}],
    }


CALLING: dict[str, Any] = {
    "nodes": [
        START,
        {"id": "call", "type": "http", "name": "Call", "data": {"method": "GET", "url": "http://service.test/"}},
    ],
    "edges": [{"source": "1", "target": "call"}],
}
GROUP: dict[str, Any] = {
    "nodes": [
        START,
        {"id": "each", "type": "group", "data": {"items": "{{start.body.items}}"}},
        {"id": "log", "type": "log", "data": {"message": "one"}, "parentId": "each"},
    ],
    "edges": [{"source": "1", "target": "each"}],
}


@pytest.fixture
async def mark(world: Any) -> dict[str, str]:
    await world.access.ensure_account(1, MARK, AccountType.LINKED)
    return KEY


async def publish(
    client: httpx.AsyncClient, headers: dict[str, str], graph: dict[str, Any] | None = None, **words: Any
) -> tuple[str, str]:
    """A published workflow: the published id and the draft's."""
    made = await client.post(WORKFLOW, headers=headers, json={"name": "Sync", **words, **(graph or {})})
    assert made.status_code == 200, made.text
    draft = made.json()["workflow"]["_id"]
    published = await client.put(f"{WORKFLOW}/{draft}/publish", headers=headers, json={"published": True})
    assert published.status_code == 200, published.text
    return published.json()["_id"], draft


async def test_the_browser_sdk_starts_with_an_empty_body(client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    """`executeWorkflow({worklfow})` without a payload: a JSON type and nothing in it, an empty slug."""
    workflow, _ = await publish(client, mark)
    token = (await client.post("/api/v2/public/session-token", headers=mark)).json()["token"]
    answer = await client.post(
        f"{WORKFLOW}/{workflow}/execute",
        headers={
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            "slug": "",
            "sync_execution": "false",
            "origin": "https://app.example",
        },
        content=b"",
    )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json().keys() == {"message", "execution_id"}
    assert answer.json()["message"] == "Workflow execution started"
    listed = (await client.get(EXECUTION, headers=mark)).json()["docs"]
    assert [(each["_id"], each["status"], each["config_id"]) for each in listed] == [
        (answer.json()["execution_id"], "COMPLETED", MARK)
    ]
    assert listed[0]["associated_workflow"]["_id"] == workflow
    assert listed[0]["name"] == f"Execution for workflow {workflow}"


async def test_the_node_sdk_starts_on_the_first_path_by_alias(client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    await publish(client, mark, answering(body="{{start.body.email}}", status_code=201), workflow_alias="leads")
    answer = await client.post(
        "/api/v1/workflow/leads/execute",
        params={"linked_account_id": MARK},
        headers={"x-api-key": "pk_1", "slug": "hubspot", "sync_execution": "true", "content-type": "application/json"},
        content=b'{"email":"jane@example.com"}',
    )
    assert answer.status_code == 201
    body = answer.json()
    run_id = body.pop("execution_id")
    assert body == {
        "return_value": "jane@example.com",
        "errored": False,
        "status_code": 201,
        "executed_by_thanos": False,
        "execution_error": None,
    }
    response = await client.get(f"/api/v1/execution/{run_id}/response", headers=mark)
    assert response.json() == {"response": "jane@example.com", "status": "COMPLETED"}
    assert (await client.get(EXECUTION, headers=mark, params={"slug": "HubSpot"})).json()["totalDocs"] == 1
    assert (await client.get(EXECUTION, headers=mark, params={"execution_type": "SYNC"})).json()["totalDocs"] == 1


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b"", {}),
        (b"null", {}),
        (b"{}", {}),
        (b'{"payload":{"a":1}}', {"a": 1}),
        (b'{"payload":null}', {}),
        (b'{"payload":{"a":1},"b":2}', {"payload": {"a": 1}, "b": 2}),
        (b'[1,"x"]', [1, "x"]),
        (b'"text"', "text"),
    ],
)
async def test_the_payload_is_the_body_bare_or_wrapped(
    client: httpx.AsyncClient, mark: dict[str, str], sent: bytes, received: Any
) -> None:
    workflow, _ = await publish(client, mark, answering(body="{{start.body}}"))
    answer = await client.post(
        f"{WORKFLOW}/{workflow}/execute", headers=mark | {"sync_execution": "true"}, content=sent
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["return_value"] == received


@pytest.mark.parametrize("content", [b"{", b"\xff", b'{"a":"\\u0000"}', b"[" * 100 + b"]" * 100, b"NaN"])
async def test_a_broken_payload_starts_nothing(client: httpx.AsyncClient, mark: dict[str, str], content: bytes) -> None:
    workflow, _ = await publish(client, mark)
    answer = await client.post(f"{WORKFLOW}/{workflow}/execute", headers=mark, content=content)
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "VALIDATION_ERROR"
    assert (await client.get(EXECUTION, headers=mark)).json()["totalDocs"] == 0


async def test_a_payload_that_the_schema_refuses(client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    schema = {"type": "object", "required": ["email"], "properties": {"email": {"type": "string"}}}
    workflow, _ = await publish(client, mark, json_schema=schema)
    answer = await client.post(f"{WORKFLOW}/{workflow}/execute", headers=mark, json={"email": 5})
    assert answer.status_code == 400
    assert "email" in answer.json()["message"]
    assert (await client.get(EXECUTION, headers=mark)).json()["totalDocs"] == 0


async def test_a_synchronous_call_is_not_kept_waiting(
    world: Any, client: httpx.AsyncClient, mark: dict[str, str]
) -> None:
    workflow, _ = await publish(client, mark, CALLING)
    headers = mark | {"sync_execution": "true"}
    late = await client.post(f"{WORKFLOW}/{workflow}/execute", headers=headers)
    assert late.status_code == 202
    run_id = late.json()["execution_id"]
    assert late.json() == {"message": "Workflow execution started", "execution_id": run_id, "status": "RUNNING"}
    response = f"/api/v1/execution/{run_id}/response"
    assert (await client.get(response, headers=mark)).json() == {"response": None, "status": "RUNNING"}
    await world.workflows.runs.perform(run_id, "call", {"status": 200})
    assert (await client.get(response, headers=mark)).json()["status"] == "COMPLETED"


async def test_a_failed_run_says_so(client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    end = {"id": "end", "type": "terminate", "data": {"status": "failed", "message": "The service is gone."}}
    graph = {"nodes": [START, end], "edges": [{"source": "1", "target": "end"}]}
    workflow, _ = await publish(client, mark, graph)
    answer = await client.post(f"{WORKFLOW}/{workflow}/execute", headers=mark, params={"sync_execution": "true"})
    assert answer.status_code == 200
    assert answer.json()["errored"] is True
    assert "The service is gone." in answer.json()["execution_error"]["message"]
    detail = (await client.get(f"{EXECUTION}/{answer.json()['execution_id']}", headers=mark)).json()
    assert detail["status"] == "ERRORED"
    assert [node["node_id"] for node in detail["nodes"]] == ["1", "end"]


@pytest.mark.parametrize(("code", "status"), [(400, 400), (503, 503), (204, 200), (304, 200), (299, 299)])
async def test_the_response_node_decides_the_status(
    client: httpx.AsyncClient, mark: dict[str, str], code: int, status: int
) -> None:
    workflow, _ = await publish(client, mark, answering(body={"error": "no"}, status_code=code))
    answer = await client.post(f"{WORKFLOW}/{workflow}/execute", headers=mark | {"sync_execution": "true"})
    assert answer.status_code == status
    assert answer.json()["status_code"] == code
    assert answer.json()["return_value"] == {"error": "no"}


async def test_a_group_forbids_a_synchronous_call(client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    workflow, _ = await publish(client, mark, GROUP)
    path = f"{WORKFLOW}/{workflow}/execute"
    refused = await client.post(path, headers=mark | {"sync_execution": "true"}, json={"items": [1]})
    assert refused.status_code == 400
    assert "`each`" in refused.json()["message"]
    assert (await client.get(EXECUTION, headers=mark)).json()["totalDocs"] == 0
    started = await client.post(path, headers=mark, json={"items": ["a", "b", "c"]})
    run_id = started.json()["execution_id"]
    batches = f"{EXECUTION}/{run_id}/nodes/each/batches"
    page = (await client.get(batches, headers=mark, params={"limit": 2})).json()
    assert [(each["batch_index"], each["status"]) for each in page["docs"]] == [(0, "Success"), (1, "Success")]
    assert (page["totalDocs"], page["limit"], page["hasNextPage"]) == (3, 2, True)
    assert (await client.get(batches, headers=mark, params={"status": "Errored"})).json()["totalDocs"] == 0
    assert (await client.get(batches, headers=mark, params={"status": "ready"})).json()["totalDocs"] == 0
    assert (await client.get(batches, headers=mark, params={"status": "Odd"})).status_code == 400
    none = await client.get(f"{EXECUTION}/{run_id}/nodes/1/batches", headers=mark)
    assert none.status_code == 501
    assert none.json()["http_error_type"] == "NOT_IMPLEMENTED"
    assert none.json()["message"] == "Batch details are not yet available for this execution type"
    assert (await client.get(f"{EXECUTION}/{run_id}/nodes/nobody/batches", headers=mark)).status_code == 404


async def test_stop_is_asked_once_and_then_says_that_it_is_over(
    client: httpx.AsyncClient, mark: dict[str, str]
) -> None:
    workflow, _ = await publish(client, mark, CALLING)
    run_id = (await client.post(f"{WORKFLOW}/{workflow}/execute", headers=mark)).json()["execution_id"]
    stopped = await client.post(f"{EXECUTION}/{run_id}/stop", headers=mark)
    assert (stopped.status_code, stopped.json()) == (200, {"message": "Stopping instance"})
    again = await client.post(f"{EXECUTION}/{run_id}/stop", headers=mark)
    assert again.status_code == 200
    assert again.json()["status"] == "STOPPED"
    assert "nothing to stop" in again.json()["message"]
    assert (await client.post(f"{EXECUTION}/{'0' * 24}/stop", headers=mark)).status_code == 404


async def test_a_rerun_is_a_new_execution(world: Any, client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    workflow, _ = await publish(client, mark, CALLING)
    run_id = (await client.post(f"{WORKFLOW}/{workflow}/execute", headers=mark, json={"a": 1})).json()["execution_id"]
    await world.workflows.runs.fail(run_id, "call")
    answer = await client.post(f"{EXECUTION}/{run_id}/rerun", headers=mark)
    body = answer.json()
    assert answer.status_code == 200
    assert body == {"status": "success", "id": body["id"], "message": "Execution queued", "instanceId": body["id"]}
    assert body["id"] != run_id
    from_call = await client.post(f"{EXECUTION}/{run_id}/rerun", headers=mark, json={"from_node": "call"})
    assert from_call.status_code == 200
    nowhere = await client.post(f"{EXECUTION}/{run_id}/rerun", headers=mark, json={"from_node": "nobody"})
    assert nowhere.status_code in (400, 404)
    assert "nobody" in nowhere.json()["message"]
    assert (await client.get(f"{EXECUTION}/{run_id}", headers=mark)).json()["status"] == "ERRORED"


async def test_both_ids_execute_what_is_published(client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    workflow, draft = await publish(client, mark)
    assert workflow != draft
    for word in (workflow, draft, workflow.upper()):
        assert (await client.post(f"{WORKFLOW}/{word}/execute", headers=mark)).status_code == 200
    unpublished = await client.post(WORKFLOW, headers=mark, json={"name": "Draft"})
    draft = unpublished.json()["workflow"]["_id"]
    refused = await client.post(f"{WORKFLOW}/{draft}/execute", headers=mark)
    assert refused.status_code == 400
    assert refused.json()["error_code"] == "INVALID_WORKFLOW_ID"


@pytest.mark.parametrize("word", ["0" * 24, "nobody", "z" * 5000, "a%00b", "%20", "%2E%2E"])
@pytest.mark.parametrize("prefix", ["/api/v1", "/api/v2/public"])
async def test_an_unknown_workflow_is_404_at_once(
    client: httpx.AsyncClient, mark: dict[str, str], prefix: str, word: str
) -> None:
    answer = await client.post(f"{prefix}/workflow/{word}/execute", headers=mark)
    assert answer.status_code == 404
    assert answer.json()["error_code"] == "RESOURCE_NOT_FOUND"


async def test_headers_that_are_wrong(client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    workflow, _ = await publish(client, mark, slug="hubspot")
    path = f"{WORKFLOW}/{workflow}/execute"
    assert (await client.post(path, headers=mark | {"sync_execution": "yes"})).status_code == 400
    other = await client.post(path, headers=mark | {"slug": "slack"})
    assert other.status_code == 400
    assert "hubspot" in other.json()["message"]
    shown = await client.post(path, headers=mark | {"include-headers": "true", "x-mine": "1", "slug": "HubSpot"})
    assert shown.json()["headers"]["x-mine"] == "1"
    assert "x-api-key" not in shown.json()["headers"]


async def test_other_accounts_and_environments(world: Any, client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    workflow, _ = await publish(client, mark, CALLING)
    run_id = (await client.post(f"{WORKFLOW}/{workflow}/execute", headers=mark)).json()["execution_id"]
    await world.access.ensure_account(1, "other", AccountType.LINKED)
    for key in ("pk_2", "tk_1"):
        organization = int(key[-1])
        environment = world.access.keys[key].environment
        await world.access.ensure_account(organization, MARK, AccountType.LINKED, environment)
    strangers = [
        {"x-api-key": "pk_1", "linked_account_id": "other"},
        {"x-api-key": "pk_2", "linked_account_id": MARK},
        {"x-api-key": "tk_1", "linked_account_id": MARK},
    ]
    for stranger in strangers:
        refused = await client.post(f"{WORKFLOW}/{workflow}/execute", headers=stranger)
        # The organization's other account of this environment is told whose it is; nobody else that it is there.
        assert refused.status_code == (403 if stranger == strangers[0] else 404)
        for verb in ("stop", "rerun"):
            assert (await client.post(f"{EXECUTION}/{run_id}/{verb}", headers=stranger)).status_code == 404
        for path in (f"{EXECUTION}/{run_id}/nodes/1/batches", f"/api/v1/execution/{run_id}/response"):
            assert (await client.get(path, headers=stranger)).status_code == 404
    assert (await client.get(f"{EXECUTION}/{run_id}", headers=mark)).json()["status"] == "RUNNING"


async def test_a_private_workflow_is_told_of_by_its_id_only(
    world: Any, client: httpx.AsyncClient, mark: dict[str, str]
) -> None:
    published, draft = await publish(client, mark, workflow_alias="greet")
    await world.access.ensure_account(1, "other", AccountType.LINKED)
    other = {"x-api-key": "pk_1", "linked_account_id": "other"}
    for id in (published, draft, published.upper()):
        refused = await client.post(f"{WORKFLOW}/{id}/execute", headers=other)
        assert (refused.status_code, refused.json()["message"]) == (
            403,
            "Workflow is private to another linked account",
        )
    assert (await client.post(f"{WORKFLOW}/greet/execute", headers=other)).status_code == 404
    assert (await client.get(EXECUTION, headers=other)).json()["totalDocs"] == 0
    await client.delete(f"{WORKFLOW}/{published}", headers=mark)
    for headers in (mark, other):
        assert (await client.post(f"{WORKFLOW}/{published}/execute", headers=headers)).status_code == 404


async def test_numbers_stay_numbers(client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    halves = {
        "nodes": [
            START,
            {"id": "half", "type": "transform", "data": {"expression": '{"half": 1/2, "given": $.start.body.n}'}},
            {"id": "answer", "type": "response", "data": {"body": "{{half}}"}},
        ],
        "edges": [{"source": "1", "target": "half"}, {"source": "half", "target": "answer"}],
    }
    workflow, _ = await publish(client, mark, halves, manual_execution_payload={"n": 1.25})
    answer = (await client.post(f"{WORKFLOW}/{workflow}/execute", headers=mark | SYNC, json={"n": 0.1})).json()
    assert answer["return_value"]["half"] == 0.5
    response = await client.get(f"/api/v1/execution/{answer['execution_id']}/response", headers=mark)
    assert response.json()["response"]["half"] == 0.5
    structure = await client.get(f"{WORKFLOW}/request-structure/{workflow}", headers=mark)
    assert structure.json()["payload"] == {"n": 1.25}


async def test_rounds_say_each_for_itself_how_they_stand(client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    """The error of a round is not the others', and a round that never began has an end too."""
    inverses = {
        "nodes": [
            START,
            {"id": "each", "type": "group", "name": "Each", "data": {"items": "{{start.body.items}}"}},
            {"id": "inverse", "type": "transform", "data": {"expression": "1/item"}, "parentId": "each"},
        ],
        "edges": [{"source": "1", "target": "each"}],
    }
    workflow, _ = await publish(client, mark, inverses)
    started = await client.post(f"{WORKFLOW}/{workflow}/execute", headers=mark, json={"items": [4, 0, 1]})
    one = f"{EXECUTION}/{started.json()['execution_id']}"
    rounds = (await client.get(f"{one}/nodes/each/batches", headers=mark)).json()
    assert [(each["batch_index"], each["status"], "error" in each) for each in rounds["docs"]] == [
        (0, "Success", False),
        (1, "Errored", True),
        (2, "Stopped", False),
    ]
    assert (rounds["docs"][0]["output"], rounds["totalDocs"]) == (0.25, 3)
    nodes = (await client.get(one, headers=mark)).json()["nodes"]
    assert [(node["node_id"], node["node_type"], node["node_status"], node["is_batch"]) for node in nodes] == [
        ("1", "start", "Success", False),
        ("each", "group", "Errored", True),
        ("inverse", "transform", "Errored", False),
    ]
    assert "division by zero" in nodes[2]["latest_output"]["error"]


async def test_a_reader_starts_and_stops_nothing(world: Any, client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    workflow, _ = await publish(client, mark, CALLING)
    run_id = (await client.post(f"{WORKFLOW}/{workflow}/execute", headers=mark)).json()["execution_id"]
    world.access.add_key("pk_9", 1, Scope.READ)
    reader = mark | {"x-api-key": "pk_9"}
    paths = (f"{WORKFLOW}/{workflow}/execute", f"{EXECUTION}/{run_id}/stop", f"{EXECUTION}/{run_id}/rerun", WORKFLOW)
    for path in paths:
        refused = await client.post(path, headers=reader)
        assert refused.status_code == 403, path
    assert (await client.get(EXECUTION, headers=mark)).json()["totalDocs"] == 1


async def test_an_execution_that_is_paid_for(client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    workflow, _ = await publish(client, mark, price={"amount": "4.50", "currency": "USD"})
    started = await client.post(f"{WORKFLOW}/{workflow}/execute", headers=mark | {"sync_execution": "true"})
    assert started.status_code == 202
    assert started.json()["checkout_url"].startswith("http")


async def test_what_was_recorded_from_elsewhere_is_read_and_not_acted_on(
    world: Any, client: httpx.AsyncClient, as_default: dict[str, str]
) -> None:
    posted = {"_id": "f" * 24, "createdAt": "2026-03-01T00:00:00Z", "status": "RUNNING"}
    await world.post(posted)
    one = f"{EXECUTION}/{'f' * 24}"
    assert (await client.post(f"{one}/stop", headers=as_default)).status_code == 409
    assert (await client.post(f"{one}/rerun", headers=as_default)).status_code == 409
    assert (await client.get(f"{one}/nodes/1/batches", headers=as_default)).status_code == 501
    response = await client.get(f"/api/v1/execution/{'f' * 24}/response", headers=as_default)
    assert response.json() == {"response": None, "status": "RUNNING"}

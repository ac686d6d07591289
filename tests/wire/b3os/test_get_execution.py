"""`GET /v1/executions/{id}` and `/events`, and the errors that every route shares."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest
import structlog

from gesta.apis.b3os.models import ErrorEnvelope, EventsEnvelope, ExecutionEnvelope
from gesta.kernel.errors import StorageFull, Unauthenticated, Unavailable
from gesta.ledger.records import NewEvent, Severity, Status, Transition

ORGANIZATION = "org_00000000000000000001"
PATHS = ("/v1/executions", "/v1/executions/r1", "/v1/executions/r1/events")


@pytest.fixture
async def run(world: Any) -> Any:
    """A run with four events."""
    await world.post({"id": "r1", "status": "workflow_queued", "workflowId": "wf_a", "runId": "run_1"})
    await world.ledger.transition(1, "r1", Transition(event=NewEvent(type="execution.running"), status=Status.RUNNING))
    node = {"node_id": "n1", "request_id": "req-9", "attempt": 1, "by": {"identity": "owner", "credential": 1}}
    event = NewEvent(type="node.failed", level=Severity.ERROR, title="Node n1", message="boom", at_us=5, data=node)
    await world.ledger.note(1, "r1", [event])
    failed = await world.ledger.get(1, "r1")
    detail = msgspec.structs.replace(failed.detail, status_reason="node n1 failed")
    world.clock.advance_us(1_500_000)
    change = Transition(event=NewEvent(type="execution.failed"), status=Status.FAILED, detail=detail)
    await world.ledger.transition(1, "r1", change)
    return world


async def test_an_execution_with_its_events(run: Any, client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/executions/r1")
    envelope = msgspec.json.decode(response.content, type=ExecutionEnvelope)
    body = response.json()
    assert (body["code"], body["message"], body["requestId"]) == (200, "success", "request-1")
    assert set(body["data"]) == {"execution", "events", "message"}
    assert envelope.data.message == "The workflow failed. Reason: node n1 failed"
    execution = body["data"]["execution"]
    assert (execution["status"], execution["statusReason"]) == ("workflow_failed", "node n1 failed")
    assert execution["finishedAt"] == execution["updatedAt"] == "2025-10-09T08:53:21.5Z"
    assert [event["eventType"] for event in body["data"]["events"]] == [
        "execution.recorded",
        "execution.running",
        "node.failed",
        "execution.failed",
    ]


async def test_the_events_are_a_bare_array_oldest_first(run: Any, client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/executions/r1/events")
    msgspec.json.decode(response.content, type=EventsEnvelope)
    events = response.json()["data"]
    assert [event["id"] for event in events] == ["evt_1", "evt_2", "evt_3", "evt_4"]
    assert events[1]["title"] == "workflow_running"
    assert events[2] == {
        "id": "evt_3",
        "executionId": "r1",
        "runId": "run_1",
        "workflowId": "wf_a",
        "organizationId": ORGANIZATION,
        "nodeId": "n1",
        "eventType": "node.failed",
        "level": "error",
        "title": "Node n1",
        "message": "boom",
        "data": {"attempt": 1},
        "requestId": "req-9",
        "createdAt": "1970-01-01T00:00:00.000005Z",
    }
    assert (await client.get("/v1/executions/r1")).json()["data"]["events"] == events


async def test_events_in_portions(run: Any, client: httpx.AsyncClient) -> None:
    await run.ledger.note(1, "r1", [NewEvent(type="n") for _ in range(2500)])
    whole = (await client.get("/v1/executions/r1/events")).json()["data"]
    assert len(whole) == 2504
    portion = (await client.get("/v1/executions/r1/events?limit=1200")).json()["data"]
    after = portion[-1]["id"]
    portion += (await client.get(f"/v1/executions/r1/events?limit=99999&after={after}")).json()["data"]
    assert portion == whole


async def test_the_published_example_can_be_fetched(world: Any, client: httpx.AsyncClient, seed: Any) -> None:
    await world.post(seed)
    body = (await client.get("/v1/executions/%3Cstring%3E")).json()["data"]
    assert body["execution"] == seed
    assert body["message"] == "Waiting for payment."


@pytest.mark.parametrize("id", ["nope", "%FF", "r1%20"])
async def test_an_unknown_execution(client: httpx.AsyncClient, id: str) -> None:
    for path in (f"/v1/executions/{id}", f"/v1/executions/{id}/events"):
        response = await client.get(path)
        assert response.status_code == 404
        assert msgspec.json.decode(response.content, type=ErrorEnvelope).code == 404001


async def test_another_organizations_execution_is_not_found(run: Any, client: httpx.AsyncClient) -> None:
    for path in PATHS[1:]:
        response = await client.get(path, headers={"Authorization": "Bearer b3sk_other"})
        assert (response.status_code, response.json()["code"]) == (404, 404001)


@pytest.mark.parametrize("id", ["%00", "a%0Ab", "x" * 129])
async def test_a_malformed_id(client: httpx.AsyncClient, id: str) -> None:
    for path in (f"/v1/executions/{id}", f"/v1/executions/{id}/events"):
        response = await client.get(path)
        assert (response.status_code, response.json()["code"]) == (400, 400008)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("after=5", 400009),
        ("after=evt_x", 400009),
        ("after=", 400009),
        ("after=evt_9999999999999999999", 400009),
        ("after=evt_1&after=evt_1", 400003),
        ("limit=0", 400001),
        ("limit=x", 400001),
    ],
)
async def test_an_events_parameter_that_does_not_fit(client: httpx.AsyncClient, query: str, code: int) -> None:
    response = await client.get(f"/v1/executions/r1/events?{query}")
    assert (response.status_code, response.json()["code"]) == (400, code)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, 401001),
        ("", 401001),
        ("Basic YTpi", 401001),
        ("Bearer", 401001),
        ("Bearer ", 401001),
        ("Bearer nope", 401002),
        ("b3sk_mine", 401001),
    ],
)
async def test_no_usable_token(client: httpx.AsyncClient, path: str, header: str | None, code: int) -> None:
    client.headers.pop("Authorization")
    headers = {} if header is None else {"Authorization": header}
    response = await client.get(path + "?limit=abc", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert msgspec.json.decode(response.content, type=ErrorEnvelope).code == code


@pytest.mark.parametrize(("reason", "code"), [("expired", 401003), ("revoked", 401004), ("invalid", 401002)])
async def test_a_token_that_was_good_once(
    world: Any, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, reason: str, code: int
) -> None:
    async def refuse(secret: str) -> Any:
        raise Unauthenticated("No longer.", reason=reason)

    monkeypatch.setattr(world.access, "bearer", refuse)
    assert (await client.get("/v1/executions")).json()["code"] == code


@pytest.mark.parametrize("path", PATHS)
async def test_the_organization_header(run: Any, client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path, headers={"X-Org-ID": ORGANIZATION})).status_code == 200
    for wrong in ("org_00000000000000000002", ""):
        response = await client.get(path, headers={"X-Org-ID": wrong})
        assert (response.status_code, response.json()["code"]) == (403, 403002)


@pytest.mark.parametrize("path", PATHS)
async def test_a_token_without_scope(run: Any, client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path, headers={"Authorization": "Bearer b3sk_none"})
    assert (response.status_code, response.json()["code"]) == (403, 403001)


async def test_paths_and_methods_that_do_not_exist(client: httpx.AsyncClient) -> None:
    for path in ("/v1/executions/", "/v1/executions/a/b", "/v1/executions/a/events/"):
        response = await client.get(path)
        assert (response.status_code, response.json()["code"]) == (404, 404002)
    response = await client.put("/v1/executions/a", json={})
    assert (response.status_code, response.json()["code"], response.headers["Allow"]) == (405, 405001, "GET")


async def test_the_rate_limit(world: Any, client: httpx.AsyncClient) -> None:
    world.access.refuse_after = {"b3os": 1}
    assert (await client.get("/v1/executions")).status_code == 200
    response = await client.get("/v1/executions")
    assert (response.status_code, response.json()["code"], response.headers["Retry-After"]) == (429, 429001, "1")


@pytest.mark.parametrize(("error", "code"), [(Unavailable, 503001), (StorageFull, 503002)])
async def test_the_database_is_down(
    world: Any, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, error: Any, code: int
) -> None:
    async def down(*arguments: Any, **options: Any) -> Any:
        raise error("connection refused by 10.0.0.5", retry_after_s=2)

    monkeypatch.setattr(world.ledger, "page", down)
    response = await client.get("/v1/executions")
    assert (response.status_code, response.json()["code"], response.headers["Retry-After"]) == (503, code, "2")
    assert "10.0.0.5" not in response.text


async def test_a_defect_tells_nothing_about_itself(
    world: Any, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*arguments: Any, **options: Any) -> Any:
        raise ZeroDivisionError("secret internals")

    monkeypatch.setattr(world.ledger, "page", broken)
    with structlog.testing.capture_logs() as logs:
        response = await client.get("/v1/executions")
    assert (response.status_code, response.json()["code"]) == (500, 500001)
    assert "secret" not in response.text
    assert [entry["request_id"] for entry in logs] == [response.json()["requestId"]]

"""Executions are created, once for each idempotency key, and by the public where the workflow allows it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire.b3os.conftest import client_of
from tests.wire.b3os.workflow_house import CREATION, WAITING, House

HIDDEN = (
    "requestPayload", "responsePayload", "statusReason", "externalRef", "sourceSystem", "sourceEntityType",
    "sourceEntityId", "initiatedById", "initiatedByType",
)  # fmt: skip
PRICED = WAITING | {"price": {"amount": "4.50", "currency": "USD"}}


@pytest.fixture
def house() -> House:
    return House()


async def test_an_execution_is_created_and_read(house: House) -> None:
    workflow = await house.workflow()
    data = await house.create(workflow, idempotencyKey="key-1")
    execution = data["execution"]
    assert len(execution) == 23
    assert execution["workflowId"] == workflow
    assert execution["runId"] == f"run_{execution['id']}"
    assert execution["status"] == "workflow_waiting"
    assert execution["requestPayload"] == CREATION["requestPayload"]
    assert execution["clientSafeMetadata"] == {"shown": True}
    assert (execution["sourceSystem"], execution["externalRef"]) == ("shop", "ref-4711")
    assert (execution["idempotencyKey"], data["clientToken"] != "") == ("key-1", True)
    async with house.client() as client:
        read = (await client.get(f"/v1/executions/{execution['id']}")).json()["data"]
        assert read["execution"] == execution
        assert [each["nodeId"] for each in read["events"] if each["nodeId"]] == ["root", "approval"]
        listed = (await client.get("/v1/executions", params={"workflowId": workflow})).json()["data"]["items"]
        assert [each["id"] for each in listed] == [execution["id"]]


async def test_a_repetition_is_the_same_execution(house: House) -> None:
    workflow = await house.workflow()
    first = await house.create(workflow, idempotencyKey="key-1")
    again = await house.create(workflow, idempotencyKey="key-1")
    assert again["execution"]["id"] == first["execution"]["id"]
    assert again["clientToken"] == first["clientToken"]
    async with house.client() as client:
        body = CREATION | {"workflowId": workflow, "idempotencyKey": "key-1", "requestPayload": {"x": 2}}
        other = await client.post("/v1/executions", json=body)
        assert (other.status_code, other.json()["code"]) == (409, 409002)
        assert len((await client.get("/v1/executions")).json()["data"]["items"]) == 1


async def test_a_paid_one_waits_for_its_payment(house: House) -> None:
    workflow = await house.workflow(PRICED)
    data = await house.create(workflow)
    assert data["checkoutUrl"].startswith("http")
    assert (data["execution"]["status"], data["execution"]["runId"]) == ("awaiting_payment", None)
    id = data["execution"]["id"]
    await house.workflows.runs.pay(id)
    async with house.client() as client:
        paid = (await client.get(f"/v1/executions/{id}")).json()["data"]["execution"]
        assert (paid["status"], paid["runId"]) == ("workflow_waiting", f"run_{id}")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"sourceSystem": None}, 400011),
        ({"sourceEntityType": " "}, 400011),
        ({"workflowId": 5}, 400011),
        ({"requestPayload": [1]}, 400011),
        ({"clientSafeMetadata": "x"}, 400011),
        ({"idempotencyKey": ""}, 400011),
        ({"idempotencyKey": "x" * 257}, 400011),
        ({"externalRef": "nul\0"}, 400011),
        ({"successUrl": "javascript:alert(1)"}, 400011),
        ({"requestPayload": {"n": 2**70}}, 400011),
        ({"workflowId": "wf_" + "0" * 24}, 404004),
        ({"workflowId": "../etc"}, 404004),
    ],
)
async def test_bad_bodies_start_nothing(house: House, fields: dict[str, Any], code: int) -> None:
    workflow = await house.workflow()
    async with house.client() as client:
        answer = await client.post("/v1/executions", json=CREATION | {"workflowId": workflow} | fields)
        assert (answer.status_code, answer.json()["code"]) == (code // 1000, code), answer.text
        assert answer.json()["data"] is None
        assert (await client.get("/v1/executions")).json()["data"]["items"] == []


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"a":NaN}', b'"x"', b"\xff\xfe", b"[" * 100_000])
async def test_bodies_that_are_no_objects(house: House, raw: bytes) -> None:
    async with house.client() as client:
        answer = await client.post("/v1/executions", content=raw, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (400, 400010)
        typed = await client.post("/v1/executions", content=b"{}", headers={"Content-Type": "text/plain"})
        assert (typed.status_code, typed.json()["code"]) == (400, 400010)


async def test_a_body_that_is_too_large(house: House) -> None:
    async with house.client() as client:
        huge = b'{"x":"' + b"a" * (10 * 1024 * 1024) + b'"}'
        answer = await client.post("/v1/executions", content=huge, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (413, 413001)


async def test_others_and_readers_create_nothing(house: House) -> None:
    workflow = await house.workflow()
    body = CREATION | {"workflowId": workflow}
    for token, code in (("b3sk_other", 404004), ("b3sk_reader", 403001), (None, 401001), ("b3sk_wrong", 401002)):
        async with house.client(token) as client:
            answer = await client.post("/v1/executions", json=body)
            assert (answer.status_code, answer.json()["code"]) == (code // 1000, code)


async def test_an_unpublished_workflow_conflicts(house: House) -> None:
    workflow = await house.workflow(published=False)
    async with house.client() as client:
        answer = await client.post("/v1/executions", json=CREATION | {"workflowId": workflow})
        assert (answer.status_code, answer.json()["code"]) == (409, 409001)


async def test_without_workflows_the_answer_says_so(house: House) -> None:
    async with client_of(house.world) as client:
        answer = await client.post("/v1/executions", json=CREATION | {"workflowId": "wf_1"})
        assert (answer.status_code, answer.json()["code"]) == (503, 503003)
        assert answer.headers["Retry-After"] == "2"


# -- the public


async def test_the_public_creates_where_it_may(house: House) -> None:
    workflow = await house.workflow(visibility="public_execute")
    async with house.client(None) as client:
        answer = await client.post(f"/v1/public/workflows/{workflow}/executions", json=CREATION)
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        assert len(data["execution"]) == 23
        assert all(data["execution"][name] is None for name in (*HIDDEN, "organizationId", "idempotencyKey"))
        assert data["execution"]["workflowId"] == workflow
        url = f"/v1/public/executions/{data['execution']['id']}"
        shown = (await client.get(url, params={"token": data["clientToken"]})).json()["data"]
        assert set(shown) == {
            "id", "workflowId", "runId", "orderId", "checkoutSessionId", "paymentStatus", "status", "message",
            "clientSafeMetadata", "createdAt", "startedAt", "finishedAt", "events",
        }  # fmt: skip
        assert {name for event in shown["events"] for name in event} == {
            "id", "runId", "nodeId", "eventType", "level", "title", "message", "createdAt",
        }  # fmt: skip
        assert (shown["status"], shown["message"]) == ("workflow_waiting", "The workflow is waiting.")


@pytest.mark.parametrize(
    ("visibility", "code"), [("private", 404004), ("org", 404004), ("public_view", 403003), ("none", 404004)]
)
async def test_the_public_creates_nothing_else(house: House, visibility: str, code: int) -> None:
    workflow = "wf_" + "0" * 24 if visibility == "none" else await house.workflow(visibility=visibility)
    async with house.client(None) as client:
        answer = await client.post(f"/v1/public/workflows/{workflow}/executions", json=CREATION)
        assert (answer.status_code, answer.json()["code"]) == (code // 1000, code)


async def test_the_public_has_a_rate_of_its_own(house: House) -> None:
    workflow = await house.workflow(visibility="public_execute")
    house.world.access.refuse_after = {"b3os_public": 1}
    async with house.client(None) as client:
        url = f"/v1/public/workflows/{workflow}/executions"
        assert (await client.post(url, json=CREATION)).status_code == 200
        assert (await client.post(url, json=CREATION)).status_code == 429


async def test_a_client_token_opens_one_execution_and_hides_its_failure(house: House) -> None:
    workflow = await house.workflow()
    mine, other = await house.create(workflow), await house.create(workflow)
    id = mine["execution"]["id"]
    async with house.client() as client:
        url = f"/v1/runs/run_{id}/nodes/approval/resume"
        assert (await client.post(url, json={"data": {"ok": True}})).json()["action"] == "resumed"
    await house.workflows.runs.fail(id, "call", "secret-error of http://10.0.0.5/")
    async with house.client(None) as client:
        for token in (other["clientToken"], "x", "ü" * 3):
            answer = await client.get(f"/v1/public/executions/{id}", params={"token": token})
            assert (answer.status_code, answer.json()["code"]) == (401, 401005)
        unknown = await client.get("/v1/public/executions/unknown", params={"token": mine["clientToken"]})
        assert (unknown.status_code, unknown.json()["code"]) == (401, 401005)
        for query in ("", "?token=", "?token=" + "a" * 600):
            missing = await client.get(f"/v1/public/executions/{id}{query}")
            assert (missing.status_code, missing.json()["code"]) == (400, 400014)
        shown = await client.get(f"/v1/public/executions/{id}", params={"token": mine["clientToken"]})
        assert shown.json()["data"]["status"] == "workflow_failed"
        for text in ("secret-error", "10.0.0.5", "payload-of-the-owner", "ref-4711", "shop", "node_failed"):
            assert text not in shown.text

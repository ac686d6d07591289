"""What strangers and careless callers try, and what must not come of it."""

from __future__ import annotations

from typing import Any

import pytest

from gesta.workflows.face import Visibility
from tests.wire.b3os.test_runs import start
from tests.wire.b3os.workflow_house import CALLING, CREATION, LOGGING, WAITING, House

PUBLIC = {"sourceSystem": "page", "sourceEntityType": "button"}
LOOPING: dict[str, Any] = {
    "nodes": {
        "root": {"type": "manual", "payload": {}, "children": ["each"]},
        "each": {"type": "for-each", "payload": {"items": [1]}, "loopBody": ["approval"], "children": []},
        "approval": {"type": "wait", "payload": {}, "children": []},
    }
}


@pytest.fixture
def house() -> House:
    return House()


# -- idempotency keys of the public


async def test_a_stranger_takes_no_key_away_and_is_given_nobodys_execution(house: House) -> None:
    workflow = await house.workflow(visibility=Visibility.PUBLIC_EXECUTE.value)
    mine = await house.create(workflow, idempotencyKey="order-1")
    same = CREATION | {"idempotencyKey": "order-1"}
    async with house.client(None) as stranger:
        url = f"/v1/public/workflows/{workflow}/executions"
        theirs = await stranger.post(url, json=same)
        assert theirs.status_code == 200
        assert theirs.json()["data"]["execution"]["id"] != mine["execution"]["id"]
        again = await stranger.post(url, json=same)
        assert again.json()["data"]["clientToken"] == theirs.json()["data"]["clientToken"]
        other = await stranger.post(url, json=same | {"requestPayload": {}})
        assert (other.status_code, other.json()["code"]) == (409, 409002)
        longest = await stranger.post(url, json=PUBLIC | {"idempotencyKey": "k" * 256})
        assert longest.status_code == 200
        await stranger.post(url, json=PUBLIC | {"idempotencyKey": "order-2"})
    later = await house.create(workflow, idempotencyKey="order-2")
    async with house.client() as client:
        items = (await client.get("/v1/executions")).json()["data"]["items"]
    assert [each["idempotencyKey"] for each in items] == ["order-2", "order-2", "k" * 256, "order-1", "order-1"]
    assert items[0]["id"] == later["execution"]["id"]


async def test_a_parameter_that_is_no_path_is_named(house: House) -> None:
    async with house.client() as client:
        answer = await client.get("/v1/execution-webhooks/deliveries?endpointId=")
        assert (answer.status_code, answer.json()["code"]) == (400, 400016)
        assert "endpointId" in answer.json()["message"]


async def test_messages_name_things_as_their_caller_does(house: House) -> None:
    draft = await house.workflow(published=False)
    run_id = await start(house, await house.workflow(LOGGING))
    async with house.client() as client:
        body = PUBLIC | {"workflowId": draft}
        for answer, word in (
            (await client.post("/v1/executions", json=body), draft),
            (await client.post(f"/v1/workflows/{draft}/run", json={"version": 9}), draft),
            (await client.get("/v1/workflows/wf_" + "0" * 24), "wf_" + "0" * 24),
            (await client.post(f"/v1/runs/{run_id}/cancel"), run_id),
            (await client.post(f"/v1/runs/{run_id}/nodes/other/resume"), run_id),
        ):
            assert answer.status_code in (404, 409)
            assert word in answer.json()["message"]


# -- what a client token shows in every list


@pytest.mark.parametrize("path", ["/v1/executions", "/v1/public/workflows/{id}/executions"])
async def test_metadata_for_clients_is_bounded(house: House, path: str) -> None:
    workflow = await house.workflow(visibility=Visibility.PUBLIC_EXECUTE.value)
    async with house.client() as client:
        for size, status in ((65_000, 200), (65_537, 400)):
            body = PUBLIC | {"workflowId": workflow, "clientSafeMetadata": {"note": "x" * size}}
            answer = await client.post(path.format(id=workflow), json=body)
            assert answer.status_code == status, answer.text[:200]
        assert (answer.json()["code"], "clientSafeMetadata" in answer.json()["message"]) == (400011, True)
        assert len((await client.get("/v1/executions")).json()["data"]["items"]) == 1


# -- resuming what does not wait


@pytest.mark.parametrize("node", ["note", "root", "approval/x", "approval%2F", "other"])
async def test_a_node_that_never_waits_is_not_resumed(house: House, node: str) -> None:
    definition = {"nodes": {**WAITING["nodes"], "call": {"type": "log", "payload": {"message": "x"}, "children": []}}}
    run_id = await start(house, await house.workflow(definition))
    async with house.client() as client:
        answer = await client.post(f"/v1/runs/{run_id}/nodes/{node.replace('note', 'call')}/resume", json={})
        assert (answer.status_code, answer.json()["code"] in (404002, 404006)) == (404, True), answer.text
        assert (await client.get(f"/v1/runs/{run_id}")).json()["data"]["status"] == "waiting"


@pytest.mark.parametrize(
    ("stack", "status"),
    [
        ([], 404),
        ([{"parentNodeId": "other", "index": 0}], 404),
        ([{"parentNodeId": "each", "index": 0}, {"parentNodeId": "each", "index": 0}], 404),
        ([{"parentNodeId": "each", "index": 7}], 200),
        ([{"parentNodeId": "each", "index": 0}], 200),
    ],
)
async def test_a_place_that_the_run_cannot_come_to_is_not_resumed(house: House, stack: Any, status: int) -> None:
    run_id = await start(house, await house.workflow(LOOPING))
    async with house.client() as client:
        answer = await client.post(
            f"/v1/runs/{run_id}/nodes/approval/resume", json={"forEachContext": {"stack": stack}}
        )
        assert answer.status_code == status, answer.text
        if status == 200:
            assert answer.json()["action"] == ("resumed" if stack[0]["index"] == 0 else "skipped")
        else:
            assert answer.json()["code"] == 404006


# -- what is said of runs


async def test_lists_tell_the_version_and_the_run_before(house: House) -> None:
    workflow = await house.workflow(LOGGING)
    async with house.client() as client:
        await client.put(f"/v1/workflows/{workflow}", json={"definition": CALLING})
        first = await start(house, workflow, version=1)
        again = await house.workflows.runs.rerun(house.world.access.bearers["b3sk_mine"], first.removeprefix("run_"))
        newest = await start(house, workflow, version=2)
        inline = (await client.post("/v1/runs", json={"definition": LOGGING})).json()["data"]["runId"]
        items = (await client.get("/v1/runs")).json()["data"]["items"]
        told = {each["id"]: (each["workflowVersion"], each["sourceRunId"]) for each in items}
        assert told == {
            first: (1, None),
            f"run_{again.execution.id}": (1, first),
            newest: (2, None),
            inline: (None, None),
        }
        for id, (version, source) in told.items():
            run = (await client.get(f"/v1/runs/{id}", params={"summary": "True"})).json()["data"]
            assert (run["workflowVersion"], run["sourceRunId"]) == (version, source)
            assert "executionState" not in run


async def test_a_run_that_waits_at_once_has_started(house: House) -> None:
    data = await house.create(await house.workflow())
    execution = data["execution"]
    assert (execution["status"], execution["startedAt"]) == ("workflow_waiting", execution["createdAt"])


async def test_an_execution_that_was_never_paid_has_no_run(house: House) -> None:
    priced = WAITING | {"price": {"amount": "4.50", "currency": "USD"}}
    data = await house.create(await house.workflow(priced))
    id = data["execution"]["id"]
    async with house.client() as client:
        assert (await client.post(f"/v1/runs/run_{id}/cancel")).status_code == 200
        execution = (await client.get(f"/v1/executions/{id}")).json()["data"]["execution"]
        assert (execution["status"], execution["runId"], execution["startedAt"]) == ("workflow_cancelled", None, None)
        shown = await client.get(f"/v1/public/executions/{id}", params={"token": data["clientToken"]})
        assert shown.json()["data"]["runId"] is None

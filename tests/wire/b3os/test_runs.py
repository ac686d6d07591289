"""Runs: started, listed, read, cancelled, retried, resumed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gesta.workflows.hooks.signing import gesta_signature
from tests.wire.b3os.workflow_house import CALLING, LOGGING, WAITING, House


@pytest.fixture
def house() -> House:
    return House()


async def start(house: House, workflow: str, **body: Any) -> str:
    async with house.client() as client:
        answer = await client.post(f"/v1/workflows/{workflow}/run", json=body)
        assert answer.status_code == 200, answer.text
        run_id: str = answer.json()["data"]["runId"]
        return run_id


async def test_an_empty_body_with_a_json_type_starts_a_run(house: House) -> None:
    workflow = await house.workflow(CALLING, published=False)
    async with house.client() as client:
        answer = await client.post(f"/v1/workflows/{workflow}/run", headers={"Content-Type": "application/json"})
        run_id = answer.json()["data"]["runId"]
        run = (await client.get(f"/v1/runs/{run_id}")).json()["data"]
        assert (run["id"], run["workflowId"], run["workflowVersion"]) == (run_id, workflow, 1)
        assert (run["status"], run["triggerSource"], run["triggerNodeId"]) == ("running", "api", "root")
        assert run["workflowDefinition"] == CALLING
        assert {id: (node["type"], node["status"]) for id, node in run["executionState"].items()} == {
            "root": ("manual", "success"),
            "call": ("send-webhook", "running"),
        }
        summary = (await client.get(f"/v1/runs/{run_id}", params={"summary": "true"})).json()["data"]
        assert set(run) - set(summary) == {"executionState", "workflowDefinition"}
        one = (await client.get(f"/v1/runs/{run_id}", params={"nodeIds": "call,other"})).json()["data"]
        assert set(one["executionState"]) == {"call"}


async def test_a_run_takes_its_payload_its_version_and_its_id(house: House) -> None:
    workflow = await house.workflow(LOGGING)
    async with house.client() as client:
        await client.put(f"/v1/workflows/{workflow}", json={"definition": CALLING})
        run_id = await start(house, workflow, payload={"x": 7}, version=1, runId="run_mine_1")
        assert run_id == "run_mine_1"
        run = (await client.get("/v1/runs/run_mine_1")).json()["data"]
        assert (run["status"], run["workflowVersion"]) == ("success", 1)
        assert run["executionState"]["root"]["result"] == {"x": 7}
        execution = (await client.get(f"/v1/executions/{run['executionId']}")).json()["data"]
        assert execution["execution"]["runId"] == "run_mine_1"
        assert any(event["message"] == "noted 7" for event in execution["events"])
        again = await client.post(f"/v1/workflows/{workflow}/run", json={"runId": "run_mine_1"})
        assert (again.status_code, again.json()["code"]) == (400, 400079)
        newest = await client.get(f"/v1/runs/{await start(house, workflow, version=2)}")
        assert newest.json()["data"]["workflowVersion"] == 2


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"runId": "mine"}, 400078),
        ({"runId": "run_with-hyphen"}, 400078),
        ({"runId": 5}, 400078),
        ({"runId": "run_" + "x" * 101}, 400078),
        ({"payload": [1]}, 400011),
        ({"version": 0}, 400011),
        ({"version": True}, 400011),
        ({"version": 99}, 404007),
        ({"simulate": True}, 400011),
        ({"dustTest": "yes"}, 400011),
    ],
)
async def test_what_a_run_refuses(house: House, body: dict[str, Any], code: int) -> None:
    workflow = await house.workflow(CALLING)
    async with house.client() as client:
        answer = await client.post(f"/v1/workflows/{workflow}/run", json=body)
        assert (answer.status_code, answer.json()["code"]) == (code // 1000, code), answer.text
        assert (await client.get("/v1/runs")).json()["data"]["items"] == []


async def test_an_archived_workflow_is_a_malformed_request(house: House) -> None:
    workflow = await house.workflow(CALLING)
    async with house.client() as client:
        assert (await client.delete(f"/v1/workflows/{workflow}")).status_code == 200
        answer = await client.post(f"/v1/workflows/{workflow}/run")
        assert (answer.status_code, answer.json()["code"]) == (400, 400012)


# -- inline definitions


async def test_an_inline_definition_runs(house: House) -> None:
    async with house.client() as client:
        body = {"definition": CALLING, "payload": {"a": 1}, "propValues": {"p": 2}, "runId": "run_inline"}
        answer = await client.post("/v1/runs", json=body)
        assert answer.json()["data"]["runId"] == "run_inline"
        run = (await client.get("/v1/runs/run_inline")).json()["data"]
        assert (run["workflowId"], run["workflowVersion"], run["propValues"]) == ("", None, {"p": 2})
        assert run["executionState"]["root"]["result"]["a"] == 1
        assert run["executionState"]["root"]["result"]["triggeredAt"].endswith("Z")


async def test_a_synchronous_run_answers_when_it_is_over(house: House) -> None:
    async with house.client() as client:
        answer = await client.post("/v1/runs/sync", json={"definition": LOGGING, "payload": {"x": 1}})
        body = answer.json()
        assert body["data"]["status"] == "success"
        assert set(body["data"]["executionState"]) == {"root", "note"}
        assert body["data"]["durationMs"] >= 0
        assert {key: body[key] for key in body["data"]} == body["data"]

        asked = client.post("/v1/runs/sync", json={"definition": CALLING, "runId": "run_s"})
        waiting = asyncio.create_task(asked)
        await _has_begun(house)
        await house.workflows.runs.perform("s", "call", {"status": 200})
        assert (await waiting).json()["data"]["executionState"]["call"]["result"] == {"status": 200}


async def _has_begun(house: House) -> None:
    ledger, seq, told = house.world.ledger, await house.world.ledger.head(1), ""
    while told != "execution.changed":
        assert await ledger.wait(1, after_seq=seq, timeout_s=10)
        for item in await ledger.feed(1, after_seq=seq, limit=100):
            seq, told = item.event.seq, item.event.type


def many(count: int) -> dict[str, Any]:
    nodes: dict[str, Any] = {"root": {"type": "manual", "payload": {}, "children": ["n0"]}}
    for number in range(count):
        children = [f"n{number + 1}"] if number + 1 < count else []
        nodes[f"n{number}"] = {"type": "log", "payload": {"message": "x"}, "children": children}
    return {"nodes": nodes}


CRON = {"nodes": {"root": {"type": "cronjob", "payload": {"cron": "0 9 * * *"}, "children": []}}}
CYCLE = {
    "nodes": {
        "root": {"type": "manual", "payload": {}, "children": ["a"]},
        "a": {"type": "log", "payload": {"message": "x"}, "children": ["b"]},
        "b": {"type": "log", "payload": {"message": "x"}, "children": ["a"]},
    }
}


@pytest.mark.parametrize(
    ("path", "definition", "code"),
    [
        ("/v1/runs/sync", many(20), 400015),
        ("/v1/runs/sync", WAITING, 400015),
        ("/v1/runs/sync", LOGGING | {"price": {"amount": "1", "currency": "USD"}}, 400015),
        *((path, CRON, 400229) for path in ("/v1/runs", "/v1/runs/sync")),
        *((path, CYCLE, 400228) for path in ("/v1/runs", "/v1/runs/sync")),
        ("/v1/runs", {"nodes": {}}, 400228),
        ("/v1/runs", {"nodes": []}, 400228),
        ("/v1/runs", {"nodes": {"root": {"type": "no-such-thing"}}}, 400228),
        ("/v1/runs", {}, 400228),
        ("/v1/runs", "text", 400228),
        ("/v1/runs", None, 400228),
    ],
)
async def test_definitions_that_do_not_run(house: House, path: str, definition: Any, code: int) -> None:
    async with house.client() as client:
        answer = await client.post(path, json={"definition": definition})
        assert (answer.status_code, answer.json()["code"]) == (code // 1000, code), answer.text
        assert (await client.get("/v1/runs")).json()["data"]["items"] == []


# -- lists


async def test_lists_of_runs(house: House) -> None:
    calling, waiting = await house.workflow(CALLING), await house.workflow(WAITING)
    for workflow in (calling, waiting, waiting):
        house.world.clock.advance_us(1_000_000)
        await start(house, workflow)
    async with house.client() as client:
        page = (await client.get("/v1/runs", params={"limit": 300})).json()["data"]
        assert (page["limit"], page["hasMore"], len(page["items"])) == (100, False, 3)
        assert [each["workflowId"] for each in page["items"]] == [waiting, waiting, calling]
        assert {each["status"] for each in page["items"]} == {"running", "waiting"}
        found = (await client.get("/v1/runs", params={"status": "waiting", "limit": 1})).json()["data"]
        assert (found["hasMore"], found["items"][0]["id"]) == (True, page["items"][0]["id"])
        of = (await client.get(f"/v1/workflows/{calling}/runs", params={"status": "running,waiting"})).json()["data"]
        assert [each["workflowId"] for each in of["items"]] == [calling]
        mine = (await client.get("/v1/runs", params={"workflowId": calling})).json()["data"]
        assert mine["items"] == of["items"]
        for query in ("status=workflow_running", "limit=x", "limit=0", "offset=-1", "status=a&status=b"):
            assert (await client.get(f"/v1/runs?{query}")).status_code == 400, query
    async with house.client("b3sk_other") as client:
        assert (await client.get("/v1/runs")).json()["data"]["items"] == []
        answer = await client.get(f"/v1/workflows/{calling}/runs")
        assert (answer.status_code, answer.json()["code"]) == (404, 404004)


# -- acting on


async def test_a_run_is_cancelled_once(house: House) -> None:
    run_id = await start(house, await house.workflow(WAITING))
    async with house.client() as client:
        cancelled = await client.post(f"/v1/runs/{run_id}/cancel", headers={"Content-Type": "application/json"})
        assert (cancelled.json()["data"]["id"], cancelled.json()["data"]["status"]) == (run_id, "cancelled")
        again = await client.post(f"/v1/runs/{run_id}/cancel")
        assert (again.status_code, again.json()["code"]) == (409, 409001)


async def test_a_run_goes_on_from_where_it_failed(house: House) -> None:
    run_id = await start(house, await house.workflow(CALLING))
    async with house.client() as client:
        early = await client.post(f"/v1/runs/{run_id}/retry")
        assert (early.status_code, early.json()["code"]) == (409, 409001)
        await house.workflows.runs.fail(run_id.removeprefix("run_"), "call", "It broke.")
        failed = (await client.get(f"/v1/runs/{run_id}")).json()["data"]
        assert (failed["status"], failed["error"]) == ("failure", "It broke.")
        assert failed["executionState"]["call"]["result"] == {"error": "It broke."}
        retried = (await client.post(f"/v1/runs/{run_id}/retry")).json()["data"]
        assert (retried["runId"], retried["id"], retried["status"]) == (run_id, run_id, "running")
        await house.workflows.runs.perform(run_id.removeprefix("run_"), "call", {"status": 200})
        assert (await client.get(f"/v1/runs/{run_id}")).json()["data"]["status"] == "success"


@pytest.mark.parametrize("body", [{"data": {"ok": True}}, {"payload": {"ok": True}}])
@pytest.mark.parametrize("by", ["bearer", "secret"])
async def test_a_waiting_node_is_resumed(house: House, body: dict[str, Any], by: str) -> None:
    run_id = await start(house, await house.workflow(WAITING))
    async with house.client() as client:
        secret = (await client.get(f"/v1/runs/{run_id}")).json()["data"]["resumeSecret"]
    async with house.client("b3sk_mine" if by == "bearer" else None) as client:
        url = f"/v1/runs/{run_id}/nodes/approval/resume" + ("" if by == "bearer" else f"?secret={secret}")
        first = (await client.post(url, json=body)).json()
        assert (first["action"], first["data"]["action"], first["reason"]) == ("resumed", "resumed", "")
        assert (await client.post(url, json=body)).json()["action"] == "skipped"
    async with house.client() as client:
        run = (await client.get(f"/v1/runs/{run_id}")).json()["data"]
        assert run["executionState"]["approval"]["result"] == {"ok": True}
        assert "resumeSecret" not in run


async def test_who_may_not_resume(house: House) -> None:
    run_id = await start(house, await house.workflow(WAITING))
    url = f"/v1/runs/{run_id}/nodes/approval/resume"
    for token, query, code in (
        (None, "", 401001),
        (None, "?secret=wrong", 401005),
        (None, "?secret=", 400014),
        (None, "?secret=a&secret=b", 400003),
        ("b3sk_reader", "", 403001),
        ("b3sk_other", "", 404005),
    ):
        async with house.client(token) as client:
            answer = await client.post(url + query, json={"data": 1})
            assert (answer.status_code, answer.json()["code"]) == (code // 1000, code)
    async with house.client() as client:
        node = await client.post(url.replace("approval", "nothing"), json={})
        assert (node.status_code, node.json()["code"]) == (404, 404006)
        bad = await client.post(url, json={"forEachContext": {"stack": [{"parentNodeId": "loop"}]}})
        assert (bad.status_code, bad.json()["code"]) == (400, 400011)
        reader = (await client.get(f"/v1/runs/{run_id}")).json()["data"]
    async with house.client("b3sk_reader") as client:
        assert "resumeSecret" in reader
        assert "resumeSecret" not in (await client.get(f"/v1/runs/{run_id}")).json()["data"]


async def test_nodes_within_a_loop_are_resumed_by_their_place(house: House) -> None:
    definition = {
        "nodes": {
            "root": {"type": "manual", "payload": {}, "children": ["loop"]},
            "loop": {
                "type": "for-each",
                "payload": {"items": "{{root.result.body.list}}"},
                "loopBody": ["hold"],
                "children": [],
            },
            "hold": {"type": "wait", "payload": {"timeoutMs": 60_000}, "children": []},
        }
    }
    run_id = await start(house, await house.workflow(definition), payload={"list": [1, 2]})
    async with house.client() as client:
        state = (await client.get(f"/v1/runs/{run_id}")).json()["data"]["executionState"]
        place = next(path for path, node in state.items() if node["status"] == "waiting" and "/" in path)
        index = int(place.split("[")[1].split("]")[0])
        stack = [{"parentNodeId": "loop", "index": index, "total": 2}]
        body = {"data": {"n": 1}, "forEachContext": {"stack": stack}}
        answer = await client.post(f"/v1/runs/{run_id}/nodes/hold/resume", json=body)
        assert answer.json()["action"] == "resumed"


@pytest.mark.parametrize("token", ["b3sk_other", "b3sk_none", None])
async def test_runs_of_others(house: House, token: str | None) -> None:
    run_id = await start(house, await house.workflow(WAITING))
    code = {"b3sk_other": 404005, "b3sk_none": 403001, None: 401001}[token]
    async with house.client(token) as client:
        for method, path in (("GET", ""), ("GET", "/stream"), ("POST", "/cancel"), ("POST", "/retry")):
            answer = await client.request(method, f"/v1/runs/{run_id}{path}")
            assert (answer.status_code, answer.json()["code"]) == (code // 1000, code)


async def test_runs_that_were_recorded_from_elsewhere(house: House) -> None:
    await house.world.post({"id": "exec_1", "status": "workflow_failed", "runId": "run_1", "statusReason": "gone"})
    async with house.client() as client:
        run = (await client.get("/v1/runs/run_exec_1")).json()["data"]
        assert (run["status"], run["executionState"], run["workflowDefinition"]) == ("failure", {}, None)
        retried = await client.post("/v1/runs/exec_1/retry")
        assert (retried.status_code, retried.json()["code"]) == (409, 409001)


# -- webhooks


async def test_a_webhook_starts_a_run_once(house: House) -> None:
    workflow = await house.workflow(LOGGING)
    async with house.client() as client:
        made = (await client.post(f"/v1/workflows/{workflow}/webhook-secret")).json()["data"]
        assert made["path"] == f"/v1/webhooks/{made['secret']}"
    async with house.client(None) as client:
        headers = {"Idempotency-Key": "delivery-1"}
        taken = await client.post(made["path"], json={"x": 3}, headers=headers)
        assert taken.json()["data"]["action"] == "triggered"
        again = await client.post(made["path"], json={"x": 3}, headers=headers)
        assert (again.status_code, again.json()["code"]) == (409, 409001)
        text = await client.post(made["path"], content=b"plain text", headers={"Content-Type": "text/plain"})
        assert text.status_code == 200
        for path in (made["path"][:-1], "/v1/webhooks/nothing", "/v1/webhooks/a.b", f"/v1/webhooks/{workflow}."):
            wrong = await client.post(path, json={})
            assert (wrong.status_code, wrong.json()["code"]) == (404, 404004)
        bad = await client.post(made["path"], content=b"{", headers={"Content-Type": "application/json"})
        assert (bad.status_code, bad.json()["code"]) == (400, 400010)
    async with house.client() as client:
        run = (await client.get(f"/v1/runs/{taken.json()['data']['runId']}")).json()["data"]
        assert run["executionState"]["root"]["result"] == {"x": 3}
        assert len((await client.get("/v1/runs")).json()["data"]["items"]) == 2


async def test_a_signed_webhook(house: House) -> None:
    """With the secret in the address or without; refusals are in the dialect's envelope (protocols/b3os.md §3)."""
    signing = {"nodes": {"root": {"type": "webhook", "payload": {"signature": "required"}, "children": []}}}
    workflow = await house.workflow(signing)
    async with house.client() as client:
        secret = (await client.post(f"/v1/workflows/{workflow}/webhook-secret")).json()["data"]["secret"]
    alone, (id, _, word) = f"/v1/webhooks/{workflow}", secret.partition(".")
    assert id == workflow
    now_s, body = house.world.clock.now_us() // 1_000_000, b'{"x": 3}'

    def signed(key: str = word, *, at_s: int = now_s) -> dict[str, str]:
        return {"Gesta-Signature": gesta_signature(key, body, at_s)}

    async with house.client(None) as client:
        for path, headers, told in (
            (f"/v1/webhooks/{secret}", {}, "requires a signature"),
            (f"/v1/webhooks/{secret}", signed("wrong"), "not this webhook's"),
            (alone, signed("wrong"), "not this webhook's"),
            (f"/v1/webhooks/wf_{'0' * 24}", signed(), "not this webhook's"),
            (alone, signed(at_s=now_s - 301), "301 seconds before"),
            (alone, {"Gesta-Signature": "t=now"}, "must be `t="),
        ):
            refused = await client.post(path, content=body, headers=headers)
            assert (refused.status_code, refused.json()["code"], refused.json()["data"]) == (401, 401006, None)
            assert told in refused.json()["message"]
        for path in (alone, f"{alone}."):
            unknown = await client.post(path, content=body, headers=signed() if path != alone else {})
            assert (unknown.status_code, unknown.json()["code"]) == (404, 404004)
        tampered = await client.post(alone, content=b'{"x": 4}', headers=signed())
        assert tampered.json()["code"] == 401006
        taken = await client.post(alone, content=body, headers=signed())
        assert taken.status_code == 200, taken.text
        again = await client.post(f"/v1/webhooks/{secret}", content=body, headers=signed())
        assert (again.status_code, again.json()["code"]) == (409, 409001)
    async with house.client() as client:
        (run,) = (await client.get("/v1/runs")).json()["data"]["items"]
        assert run["id"] == taken.json()["data"]["runId"]

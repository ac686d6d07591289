"""Executions over the B3OS dialect on a whole server: created once, streamed to the public, run, stopped, retried."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gesta.app.settings import load_settings
from tests.integration.test_server import QUICK, Running, running
from tests.wire.pay.test_pages import Seen

WAITS = {
    "nodes": {
        "root": {"type": "manual", "payload": {}, "children": ["approval"]},
        "approval": {"type": "wait", "payload": {"timeoutMs": 3_600_000}, "children": ["note"]},
        "note": {"type": "log", "payload": {"message": "approved {{approval.result.by}}"}, "children": []},
    }
}
LOGS = {
    "nodes": {
        "root": {"type": "manual", "payload": {}, "children": ["note"]},
        "note": {"type": "log", "payload": {"message": "got {{root.result.body.x}}"}, "children": []},
    }
}
CREATION = {"sourceSystem": "shop", "sourceEntityType": "order", "requestPayload": {"secret": "of the owner"}}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Running]:
    overrides = {**QUICK, "database.url": str(tmp_path / "ledger.sqlite3"), "trading.enabled": False}
    async with running(load_settings(overrides=overrides, environ={})) as found:
        yield found


@pytest.fixture
async def http(house: Running) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {house.made.b3os.secret}"}
    async with httpx.AsyncClient(base_url=house.url, timeout=20, headers=headers) as client:
        yield client


async def publish(http: httpx.AsyncClient, definition: dict[str, Any], **fields: Any) -> str:
    made = await http.post("/v1/workflows", json={"name": "Orders", "definition": definition, **fields})
    assert made.status_code == 200, made.text
    id: str = made.json()["data"]["id"]
    published = await http.post(f"/v1/workflows/{id}/publish", headers={"Content-Type": "application/json"})
    assert published.json()["data"]["status"] == "active", published.text
    return id


async def until(http: httpx.AsyncClient, run_id: str, *statuses: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            run: dict[str, Any] = (await http.get(f"/v1/runs/{run_id}")).json()["data"]
            if run["status"] in statuses:
                return run
            await asyncio.sleep(0.05)


async def read(lines: AsyncIterator[str]) -> dict[str, str]:
    """One frame of a stream."""
    frame: dict[str, str] = {}
    async for line in lines:
        if not line and "data" in frame:
            return frame
        name, _, value = line.partition(": ")
        if name:
            frame[name] = value
    return {}


async def test_created_once_and_streamed_to_the_public(house: Running, http: httpx.AsyncClient) -> None:
    workflow = await publish(http, WAITS, visibility="public_execute")
    body = CREATION | {"workflowId": workflow, "idempotencyKey": "order-1"}
    answers = await asyncio.gather(*(http.post("/v1/executions", json=body) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    made = [answer.json()["data"] for answer in answers]
    assert len({each["execution"]["id"] for each in made}) == 1
    assert len({each["clientToken"] for each in made}) == 1
    id, token = made[0]["execution"]["id"], made[0]["clientToken"]
    other = await http.post("/v1/executions", json=body | {"requestPayload": {}})
    assert (other.status_code, other.json()["code"]) == (409, 409002)
    await until(http, f"run_{id}", "waiting")

    async with (
        httpx.AsyncClient(base_url=house.url, timeout=20) as public,
        public.stream("GET", f"/v1/public/executions/{id}/stream", params={"token": token}) as stream,
    ):
        assert stream.status_code == 200
        lines = stream.aiter_lines()
        first = json.loads((await read(lines))["data"])
        assert (first["type"], first["status"]) == ("snapshot", "workflow_waiting")
        resumed = await http.post(f"/v1/runs/run_{id}/nodes/approval/resume", json={"data": {"by": "Ada"}})
        assert resumed.json()["action"] == "resumed"
        told, last = [], {}
        while frame := await read(lines):
            told.append(json.loads(frame["data"]))
            last = frame
        assert (told[-1]["type"], told[-1]["status"]) == ("change", "workflow_succeeded")
        assert any(event["message"] == "approved Ada" for each in told for event in each["events"])
        assert "of the owner" not in json.dumps([first, told])
        headers = {"Last-Event-ID": last["id"]}
        seen = await public.get(f"/v1/public/executions/{id}/stream", params={"token": token}, headers=headers)
        assert seen.status_code == 204
        made_publicly = await public.post(f"/v1/public/workflows/{workflow}/executions", json=CREATION)
        assert made_publicly.json()["data"]["execution"]["requestPayload"] is None
        wrong = await public.get(f"/v1/public/executions/{id}", params={"token": made_publicly.json()["requestId"]})
        assert (wrong.status_code, wrong.json()["code"]) == (401, 401005)
    execution = (await http.get(f"/v1/executions/{id}")).json()["data"]
    assert (execution["execution"]["status"], execution["execution"]["runId"]) == ("workflow_succeeded", f"run_{id}")


async def test_runs_are_started_stopped_and_go_on(http: httpx.AsyncClient) -> None:
    workflow = await publish(http, WAITS)
    started = await http.post(f"/v1/workflows/{workflow}/run", headers={"Content-Type": "application/json"})
    run_id = started.json()["data"]["runId"]
    assert (await until(http, run_id, "waiting"))["workflowVersion"] == 1
    assert (await http.post(f"/v1/runs/{run_id}/retry")).status_code == 409
    assert (await http.post(f"/v1/runs/{run_id}/cancel")).status_code == 200
    await until(http, run_id, "cancelled")
    again = await http.post(f"/v1/runs/{run_id}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, 409001)
    retried = (await http.post(f"/v1/runs/{run_id}/retry")).json()["data"]
    assert retried["runId"] == run_id
    secret = (await until(http, run_id, "waiting"))["resumeSecret"]
    by_secret = await http.post(
        f"/v1/runs/{run_id}/nodes/approval/resume",
        params={"secret": secret},
        headers={"Authorization": ""},
        json={"payload": {"by": "Grace"}},
    )
    assert by_secret.json()["action"] == "resumed", by_secret.text
    run = await until(http, run_id, "success")
    assert run["executionState"]["approval"]["result"] == {"by": "Grace"}
    listed = (await http.get("/v1/runs", params={"workflowId": workflow, "status": "success"})).json()["data"]
    assert [each["id"] for each in listed["items"]] == [run_id]


async def test_an_inline_definition_is_waited_for(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/runs/sync", json={"definition": LOGS, "payload": {"x": 4}, "runId": "run_inline_1"})
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert (data["runId"], data["status"]) == ("run_inline_1", "success")
    assert data["executionState"]["root"]["result"]["x"] == 4
    taken = await http.post("/v1/runs", json={"definition": LOGS, "runId": "run_inline_1"})
    assert (taken.status_code, taken.json()["code"]) == (400, 400079)
    refused = await http.post("/v1/runs/sync", json={"definition": WAITS})
    assert (refused.status_code, refused.json()["code"]) == (400, 400015)


async def test_a_webhook_starts_a_run(house: Running, http: httpx.AsyncClient) -> None:
    workflow = await publish(http, LOGS)
    made = (await http.post(f"/v1/workflows/{workflow}/webhook-secret")).json()["data"]
    async with httpx.AsyncClient(base_url=house.url, timeout=20) as public:
        taken = await public.post(made["path"], json={"x": 9})
        assert taken.status_code == 200, taken.text
        wrong = await public.post(made["path"] + "0", json={"x": 9})
        assert (wrong.status_code, wrong.json()["code"]) == (404, 404004)
    await until(http, taken.json()["data"]["runId"], "success")
    paused = await http.post(f"/v1/workflows/{workflow}/pause")
    assert paused.json()["data"]["status"] == "paused"


async def test_a_paid_execution_is_paid_in_the_browser_and_streamed(tmp_path: Path) -> None:
    overrides = {
        **QUICK,
        "database.url": str(tmp_path / "ledger.sqlite3"),
        "trading.enabled": False,
        "workflows.payments.test": True,
    }
    async with running(load_settings(overrides=overrides, environ={})) as house:
        headers = {"Authorization": f"Bearer {house.made.b3os.secret}"}
        async with httpx.AsyncClient(base_url=house.url, timeout=20, headers=headers) as http:
            priced = LOGS | {"price": {"amount": "4.50", "currency": "USD"}}
            workflow = await publish(http, priced, visibility="public_execute")
        async with httpx.AsyncClient(base_url=house.url, timeout=20) as browser:
            body = CREATION | {"requestPayload": {"x": 1}}
            made = await browser.post(f"/v1/public/workflows/{workflow}/executions", json=body)
            data = made.json()["data"]
            id, token = data["execution"]["id"], data["clientToken"]
            assert (data["execution"]["status"], data["execution"]["runId"]) == ("awaiting_payment", None)
            async with browser.stream("GET", f"/v1/public/executions/{id}/stream?token={token}") as stream:
                lines = stream.aiter_lines()
                assert json.loads((await read(lines))["data"])["status"] == "awaiting_payment"
                path = httpx.URL(data["checkoutUrl"]).raw_path.decode()
                seen = Seen((await browser.get(path)).text)
                assert (await browser.post(path, data=seen.form("pay"))).status_code in (200, 303)
                last: dict[str, Any] = {}
                while frame := await read(lines):
                    last = json.loads(frame["data"])
            assert (last["status"], last["paymentStatus"], last["runId"]) == ("workflow_succeeded", "paid", f"run_{id}")

"""Workflows over the Refold dialect on a whole server: what the SDKs send, byte for byte (protocols/refold.md [W])."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gesta.access.model import AccountType, Environment
from gesta.app.settings import load_settings
from tests.integration.test_server import QUICK, Running, running

WORKFLOW = "/api/v2/public/workflow"
EXECUTION = "/api/v2/public/execution"
SCHEDULED = "/api/v1/workflow/public/scheduled"
MARK = "markwood@some_email.com"
START = {"id": "1", "type": "start"}
ANSWERS = {
    "nodes": [
        START,
        {"id": "hello", "type": "response", "data": {"status_code": 201, "body": "Hello {{start.body.name}}"}},
    ],
    "edges": [{"source": "1", "target": "hello"}],
}
WAITS = {
    "nodes": [START, {"id": "hook", "type": "wait-for-webhook", "data": {"timeout": 3600}}],
    "edges": [{"source": "1", "target": "hook"}],
}
GROUP = {
    "nodes": [
        START,
        {"id": "each", "type": "group", "data": {"items": "{{start.body.items}}"}},
        {"id": "log", "type": "log", "data": {"message": "one"}, "parentId": "each"},
    ],
    "edges": [{"source": "1", "target": "each"}],
}
CREATED = {"nodes": [{"id": "1", "type": "start", "data": {"event": "candidate_created"}}], "edges": []}


class BrowserSdk:
    """What `@cobaltio/cobalt-js` 9.2.0 and `@refoldai/refold-js` send."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self._http = http
        self._auth = {"authorization": f"Bearer {token}"}

    async def call(self, method: str, path: str, posted: Any = None, **headers: str) -> httpx.Response:
        more = headers | ({} if posted is None else {"content-type": "application/json"})
        return await self._http.request(method, path, headers=self._auth | more, json=posted)

    async def execute(
        self, workflow: str, payload: Any = None, *, sync: bool = False, slug: str = ""
    ) -> httpx.Response:
        headers = self._auth | {
            "content-type": "application/json",
            "slug": slug,
            "sync_execution": "true" if sync else "false",
        }
        path = f"{WORKFLOW}/{workflow}/execute"
        if payload is None:
            return await self._http.post(path, headers=headers, content=b"")
        return await self._http.post(path, headers=headers, json=payload)

    async def publish(self, graph: dict[str, Any], **words: Any) -> str:
        made = await self.call("POST", WORKFLOW, {"name": "Sync", **words, **graph})
        assert made.status_code == 200, made.text
        draft = made.json()["workflow"]["_id"]
        published = await self.call("PUT", f"{WORKFLOW}/{draft}/publish", {"published": True})
        assert published.status_code == 200, published.text
        return str(published.json()["_id"])

    async def until(self, run_id: str, *statuses: str) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while True:
                detail = (await self.call("GET", f"{EXECUTION}/{run_id}")).json()
                if detail["status"] in statuses:
                    return dict(detail)
                await asyncio.sleep(0.05)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Running]:
    overrides = {
        **QUICK,
        "database.url": str(tmp_path / "ledger.sqlite3"),
        "trading.enabled": False,
        "workflows.sync_timeout_s": 1.0,
    }
    async with running(load_settings(overrides=overrides, environ={})) as found:
        yield found


@pytest.fixture
async def http(house: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as client:
        yield client


@pytest.fixture
async def sdk(house: Running, http: httpx.AsyncClient) -> BrowserSdk:
    key = {"x-api-key": house.made.production_key.secret}
    made = await http.post("/api/v2/public/linked-account", headers=key, json={"account_id": MARK})
    assert made.status_code == 200, made.text
    token = await http.post("/api/v2/public/session-token", headers=key, json={"linked_account_id": MARK})
    return BrowserSdk(http, token.json()["token"])


async def test_listed_and_answered(sdk: BrowserSdk, house: Running, http: httpx.AsyncClient) -> None:
    workflow = await sdk.publish(ANSWERS, slug="hubspot", workflow_alias="hello")
    started = await sdk.execute(workflow, {"name": "Ada"})
    assert started.status_code == 200
    run_id = started.json()["execution_id"]
    assert started.json() == {"message": "Workflow execution started", "execution_id": run_id}
    detail = await sdk.until(run_id, "COMPLETED")
    assert [node["node_id"] for node in detail["nodes"]] == ["1", "hello"]
    assert {node["node_status"] for node in detail["nodes"]} == {"Success"}
    response = await sdk.call("GET", f"/api/v1/execution/{run_id}/response")
    assert response.json() == {"response": "Hello Ada", "status": "COMPLETED"}
    waited = await sdk.execute("hello", {"payload": {"name": "Grace"}}, sync=True, slug="hubspot")
    assert (waited.status_code, waited.json()["return_value"]) == (201, "Hello Grace")
    node = await http.post(
        f"/api/v1/workflow/{workflow}/execute",
        params={"linked_account_id": MARK},
        headers={"x-api-key": house.made.production_key.secret, "slug": "hubspot", "sync_execution": "true"},
        json={"name": "Bob"},
    )
    assert (node.status_code, node.json()["return_value"]) == (201, "Hello Bob")
    empty = await sdk.execute(workflow)
    await sdk.until(empty.json()["execution_id"], "COMPLETED", "ERRORED")
    page = (await sdk.call("GET", f"{EXECUTION}?page=1&limit=10&workflow_id={workflow}&slug=hubspot")).json()
    assert page["totalDocs"] == 4
    assert {each["associated_workflow"]["_id"] for each in page["docs"]} == {workflow}
    synchronous = (await sdk.call("GET", f"{EXECUTION}?execution_type=SYNC&execution_source=API+Call")).json()
    assert synchronous["totalDocs"] == 2


async def test_a_long_one_is_answered_202_and_stopped(sdk: BrowserSdk) -> None:
    workflow = await sdk.publish(WAITS)
    late = await sdk.execute(workflow, sync=True)
    assert late.status_code == 202
    run_id = late.json()["execution_id"]
    assert late.json()["status"] == "RUNNING"
    detail = await sdk.until(run_id, "RUNNING")
    assert detail["nodes"][-1]["node_status"] == "Waiting"
    stopped = await sdk.call("POST", f"{EXECUTION}/{run_id}/stop")
    assert (stopped.status_code, stopped.json()) == (200, {"message": "Stopping instance"})
    await sdk.until(run_id, "STOPPED")
    again = await sdk.call("POST", f"{EXECUTION}/{run_id}/stop")
    assert (again.status_code, again.json()["status"]) == (200, "STOPPED")
    rerun = await sdk.call("POST", f"{EXECUTION}/{run_id}/rerun")
    assert rerun.status_code == 200
    new = rerun.json()["instanceId"]
    assert new != run_id
    detail = await sdk.until(new, "RUNNING")
    assert detail["name"] == f"Retry for workflow {workflow}"
    assert (await sdk.call("POST", f"{EXECUTION}/{new}/stop")).status_code == 200
    await sdk.until(new, "STOPPED")


async def test_rounds_of_a_group(sdk: BrowserSdk) -> None:
    workflow = await sdk.publish(GROUP)
    assert (await sdk.execute(workflow, {"items": [1]}, sync=True)).status_code == 400
    run_id = (await sdk.execute(workflow, {"items": ["a", "b", "c"]})).json()["execution_id"]
    await sdk.until(run_id, "COMPLETED")
    page = (await sdk.call("GET", f"{EXECUTION}/{run_id}/nodes/each/batches?limit=2")).json()
    assert [(each["batch_index"], each["status"]) for each in page["docs"]] == [(0, "Success"), (1, "Success")]
    assert page["totalDocs"] == 3
    assert (await sdk.call("GET", f"{EXECUTION}/{run_id}/nodes/1/batches")).status_code == 501


async def test_events_and_webhooks(sdk: BrowserSdk, http: httpx.AsyncClient) -> None:
    workflows = {await sdk.publish(CREATED) for _ in range(2)}
    fired = await sdk.call(
        "POST", "/api/v2/public/event/trigger", {"event": "candidate_created", "payload": {"jobid": "123"}}
    )
    assert fired.status_code == 200, fired.text
    assert fired.json()["message"] == "Webhook Fired Success"
    started = fired.json()["execution_ids"]
    assert len(started) == 2
    details = [await sdk.until(run_id, "COMPLETED") for run_id in started]
    assert {each["associated_workflow"]["_id"] for each in details} == workflows
    assert {each["trigger_application_event"] for each in details} == {"Event"}
    unknown = await sdk.call("POST", "/api/v2/public/event/trigger", {"event": "nobody"})
    assert (unknown.status_code, unknown.json()["error_code"]) == (404, "INVALID_EVENT")
    workflow = await sdk.publish(
        {"nodes": [{"id": "1", "type": "start", "data": {"trigger_type": "webhook"}}], "edges": []}
    )
    address = (await sdk.call("POST", f"{WORKFLOW}/{workflow}/webhook")).json()
    once = {"idempotency-key": "delivery-1"}
    hook = await http.post(address["path"], json={"a": 1}, headers=once)
    assert hook.status_code == 200, hook.text
    await sdk.until(hook.json()["execution_id"], "COMPLETED")
    assert (await http.post(address["path"], json={"a": 1}, headers=once)).status_code == 409
    assert (await http.post(address["path"] + "0", json={})).status_code == 401


async def test_schedules(sdk: BrowserSdk) -> None:
    workflow = await sdk.publish(ANSWERS)
    posted = {"trigger_type": "cron", "regex": "0 9 * * 1", "tz": "Europe/Berlin", "payload": {"name": "x"}}
    made = await sdk.call("POST", SCHEDULED, posted, workflow_id_alias=workflow, slug="hubspot", config_id=MARK)
    assert made.status_code == 200, made.text
    schedule = made.json()
    assert (schedule["cron_patten"], schedule["status"], schedule["payload"]) == ("0 9 * * 1", "running", {"name": "x"})
    assert schedule["next_run_at"] is not None
    listed = (await sdk.call("GET", SCHEDULED)).json()
    assert [each["_id"] for each in listed["docs"]] == [schedule["_id"]]
    one = f"{SCHEDULED}/{schedule['_id']}"
    assert (await sdk.call("PUT", f"{one}/pause")).json()["status"] == "paused"
    assert (await sdk.call("PUT", f"{one}/resume")).json()["status"] == "running"
    assert (await sdk.call("PUT", one, {"regex": "0 10 * * 1"})).json()["cron_patten"] == "0 10 * * 1"
    assert (await sdk.call("DELETE", one)).status_code == 200
    assert (await sdk.call("GET", one)).status_code == 404


async def test_the_life_of_a_workflow(sdk: BrowserSdk, house: Running, http: httpx.AsyncClient) -> None:
    made = await sdk.call("POST", WORKFLOW, {"name": "Lead Sync", "slug": "hubspot"})
    draft = made.json()["workflow"]["_id"]
    assert (await sdk.execute(draft)).status_code == 400
    published = (await sdk.call("PUT", f"{WORKFLOW}/{draft}/publish", {"published": True})).json()["_id"]
    assert published != draft
    page = (await sdk.call("GET", f"{WORKFLOW}?page=1&limit=100")).json()
    assert [(each["_id"], each["published"]) for each in page["docs"]] == [(published, True)]
    structure = await sdk.call("GET", f"{WORKFLOW}/request-structure/{published}")
    assert structure.json() == {"payload": None, "schema": None, "schema_interpreted": None}
    await house.server.core.access.ensure_account(
        house.made.organization.id, "other", AccountType.LINKED, Environment.PRODUCTION
    )
    for secret, account in ((house.made.production_key.secret, "other"),):
        stranger = {"x-api-key": secret, "linked_account_id": account}
        assert (await http.get(WORKFLOW, headers=stranger)).json()["totalDocs"] == 0
        refused = await http.post(f"{WORKFLOW}/{published}/execute", headers=stranger)
        assert refused.status_code in (403, 404)
        assert (await http.delete(f"{WORKFLOW}/{published}", headers=stranger)).status_code in (403, 404)
    unpublished = await sdk.call("PUT", f"{WORKFLOW}/{published}/publish", {"published": False})
    assert unpublished.json()["published"] is False
    deleted = await sdk.call("DELETE", f"{WORKFLOW}/{published}")
    assert deleted.json() == {"success": True, "triggers_deregistered": True}
    assert (await sdk.call("GET", f"{WORKFLOW}/{published}")).status_code == 404
    assert (await sdk.call("GET", WORKFLOW)).json()["totalDocs"] == 0

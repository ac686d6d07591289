"""Outgoing webhooks on a whole server: made in one dialect, told of a run that another started, sent by the server's
own task, on record in all."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gesta.app.settings import load_settings
from tests.conformance.hook_house import Receiver, is_signed, plain_signature
from tests.integration.test_server import QUICK, Running, running

DEFINITION = {
    "name": "Answer",
    "nodes": [{"id": "start", "type": "start"}, {"id": "say", "type": "response", "body": {"said": "hello"}}],
}
NATIVE, B3OS, REFOLD = "/ledger/webhooks", "/v1/execution-webhooks", "/api/v2/public/webhook"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Running]:
    overrides = {
        **QUICK,
        "database.url": str(tmp_path / "ledger.sqlite3"),
        "trading.enabled": False,
        "workflows.allow_networks": "127.0.0.0/8",
    }
    async with running(load_settings(overrides=overrides, environ={})) as found:
        yield found


@pytest.fixture
async def http(house: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as client:
        client.headers.update(house.bearer)
        yield client


async def ran(http: httpx.AsyncClient) -> str:
    started = await http.post("/ledger/runs", json={"definition": DEFINITION, "wait_s": 10})
    assert started.status_code in (200, 201), started.text
    return str(started.json()["run"]["id"])


async def logged(http: httpx.AsyncClient, path: str, status: str) -> dict[str, Any]:
    """The newest delivery of an endpoint once it has a status: the receiver has it before the server has written so."""
    deadline = time.monotonic() + 20
    while True:
        answer = await http.get(path)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        newest: dict[str, Any] = body.get("data", body)["items"][0]
        if newest["status"] == status:
            return newest
        assert time.monotonic() < deadline, newest


async def test_native(http: httpx.AsyncClient, receiver: Receiver) -> None:
    posted = {"url": receiver.url, "events": ["run.succeeded"], "headers": {"X-Team": "a"}, "max_retries": 0}
    made = await http.post(NATIVE, json=posted)
    assert made.status_code == 201, made.text
    endpoint, secret = made.json(), made.json()["secret"]
    one = f"{NATIVE}/{endpoint['id']}"
    assert (endpoint["header_names"], endpoint["enabled"], endpoint["max_retries"]) == (["X-Team"], True, 0)
    run_id = await ran(http)
    await receiver.came(1)
    (received,) = receiver.received
    assert is_signed(received, secret, int(time.time()))
    assert received.json["execution"]["id"] == run_id
    sent = await logged(http, f"{one}/deliveries", "delivered")
    assert (sent["response_status"], sent["response_body"], sent["request_headers"]["X-Team"]) == (200, "hello", "…")
    assert (await http.get(f"{one}/deliveries/{sent['id']}")).json() == sent
    replayed = await http.post(f"{one}/deliveries/{sent['id']}/replay")
    assert (replayed.status_code, replayed.json()["replay_of"]) == (201, sent["id"])
    await receiver.came(2)
    assert (await http.post(f"{one}/deliveries/{sent['id']}/retry")).status_code == 409
    changed = await http.patch(one, json={"events": ["run.failed"], "name": "failures"})
    assert (changed.json()["events"], changed.json()["name"]) == (["run.failed"], "failures")
    assert changed.json()["header_names"] == ["X-Team"]
    assert "secret" not in changed.json()
    renewed = (await http.post(f"{one}/secret")).json()
    assert renewed["secret"] != secret
    assert (await http.post(f"{one}/disable")).json()["enabled"] is False
    assert (await http.post(f"{one}/enable")).json()["enabled"] is True
    page = (await http.get(NATIVE, params={"limit": 1})).json()
    assert (page["total"], page["has_more"], page["items"][0]["id"]) == (1, False, endpoint["id"])
    assert (await http.delete(one)).status_code == 204
    assert (await http.get(one)).status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "ftp://a.example"}, "url"),
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"events": ["run.exploded"]}, "events[0]"),
        ({"events": []}, "events"),
        ({"headers": {"Host": "x"}}, "headers"),
        ({"max_retries": 99}, "max_retries"),
        ({"format": "custom", "body": "{{nothing_there}}"}, "body"),
        ({"name": "a\0b"}, "name"),
        ({"unknown": 1}, None),
    ],
)
async def test_what_is_wrong_is_named(http: httpx.AsyncClient, change: dict[str, Any], field: str | None) -> None:
    posted = {"url": "https://hooks.example.com/x", "events": ["*"], **change}
    refused = await http.post(NATIVE, json=posted)
    assert refused.status_code == 400, refused.text
    assert refused.json().get("field") == field
    assert (await http.get(NATIVE)).json()["total"] == 0


async def test_b3os(http: httpx.AsyncClient, receiver: Receiver) -> None:
    posted = {"name": "ends", "url": receiver.url, "subscribedEventTypes": ["run.completed"], "maxRetries": 1}
    made = (await http.post(B3OS, json=posted)).json()["data"]
    run_id = await ran(http)
    await receiver.came(1)
    (received,) = receiver.received
    assert received.headers["x-b3os-signature"] == plain_signature(made["secret"], received.body)
    assert (received.json["eventType"], received.json["runId"]) == ("run.completed", f"run_{run_id}")
    path = f"{B3OS}/deliveries?endpointId={made['id']}"
    sent = await logged(http, path, "success")
    assert (sent["executionId"], sent["retryCount"], sent["maxRetries"]) == (run_id, 0, 1)
    assert sent["requestBody"] == received.json
    assert (await http.get(f"{B3OS}/deliveries")).json()["data"]["items"][0] == sent
    assert (await http.post(f"{B3OS}/deliveries/{sent['id']}/retry")).json()["code"] == 409001
    replayed = (await http.post(f"{B3OS}/deliveries/{sent['id']}/replay")).json()["data"]
    assert replayed["replayOf"] == sent["id"]
    await receiver.came(2)
    one = f"{B3OS}/{made['id']}"
    assert (await http.post(f"{one}/disable")).json()["data"]["enabled"] is False
    assert (await http.post(f"{one}/enable")).json()["data"]["enabled"] is True
    assert (await http.post(f"{one}/regenerate-secret")).json()["data"]["secret"] != made["secret"]
    changed = (await http.put(one, json={"name": "new", "events": ["*"]})).json()["data"]
    assert (changed["name"], changed["subscribedEventTypes"], changed["url"]) == ("new", ["*"], receiver.url)
    # What this dialect has no words for is shown as it is.
    assert (await http.get(f"{NATIVE}/{made['id']}")).json()["format"] == "b3os"
    assert (await http.delete(one)).json()["data"] == {"id": made["id"], "deleted": True}
    assert (await http.get(one)).json()["code"] == 404008
    assert (await http.post(f"{B3OS}/deliveries/x/retry")).json()["code"] == 404009
    for wrong in ({"url": ""}, {"subscribedEventTypes": ["x"]}, {"subscribedEventTypes": []}, {"maxRetries": 11}):
        assert (await http.post(B3OS, json={**posted, **wrong})).json()["code"] == 400011


async def test_refold(house: Running, http: httpx.AsyncClient, receiver: Receiver) -> None:
    key = {"x-api-key": house.made.production_key.secret}
    async with house.client() as client:
        posted = {"webhook_url": receiver.url, "webhook_events": ["Workflow Completed"]}
        made = await client.post(REFOLD, headers=key, json=posted)
        assert made.status_code == 200, made.text
        run_id = await ran(http)
        await receiver.came(1)
        (received,) = receiver.received
        assert received.headers["x-cobalt-signature"] == plain_signature(made.json()["secret"], received.body)
        assert set(received.json) == {
            *("linked_account_id", "instance_id", "workflow_id", "config_id", "event", "workflow_name", "status")
        }
        assert (received.json["instance_id"], received.json["event"]) == (run_id, "Workflow Completed")
        # An endpoint of another dialect, with events that this one has no words for.
        other = await http.post(NATIVE, json={"url": receiver.url, "events": ["*", "run.started"], "format": "b3os"})
        assert other.status_code == 201
        listed = await client.get(REFOLD, headers=key)
        assert listed.status_code == 200, listed.text
        sent = (await client.get(f"{REFOLD}/{made.json()['_id']}/deliveries", headers=key)).json()
        assert sent["docs"][0]["event"] == "Workflow Completed"

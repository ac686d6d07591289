"""Workflows, runs, jobs, schedules and events over Gesta's own dialect: what is answered, to whom, and what is not."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from gesta.access.model import AccountType
from gesta.apis.native.openapi_workflows import (
    EXAMPLE_BULK,
    EXAMPLE_DEFINITION,
    EXAMPLE_EVENT,
    EXAMPLE_INLINE,
    EXAMPLE_RERUN,
    EXAMPLE_SCHEDULE,
    EXAMPLE_START,
    EXAMPLE_WORKFLOW,
)
from gesta.apis.native.routes import build
from tests.wire.native.house import MINE, READER, RIVAL, House
from tests.wire.native.test_openapi import fits, schema_of
from tests.wire.native.test_recording import problem

ROOT, RUNS, SCHEDULES = "/ledger/workflows", "/ledger/runs", "/ledger/schedules"
LOOP: dict[str, Any] = {
    "name": "Loop",
    "nodes": [
        {"id": "start", "type": "start"},
        {
            "id": "each",
            "type": "for_each",
            "items": "{{input}}",
            "body": [{"id": "call", "type": "http", "url": "https://example.com/{{item}}"}],
        },
        {"id": "ask", "type": "human", "title": "Go on?"},
    ],
}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
async def made(client: httpx.AsyncClient) -> dict[str, Any]:
    reply = await client.post(ROOT, json=EXAMPLE_WORKFLOW)
    assert reply.status_code == 201, reply.text
    fits(schema_of(ROOT, "post", 201), reply.json())
    return dict(reply.json())


@pytest.fixture
async def rival(house: House) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(house.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gesta.test", headers=bearer(RIVAL)) as other:
        yield other


@pytest.fixture
async def loop(house: House, client: httpx.AsyncClient) -> str:
    """A run with two rounds, one of which failed with the run."""
    reply = await client.post(RUNS, json={"definition": LOOP, "input": ["a", "b"]})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["run"]["id"])


async def test_a_workflow_is_saved_published_and_found(client: httpx.AsyncClient, made: dict[str, Any]) -> None:
    assert (made["name"], made["alias"], made["status"], made["published_version"]) == ("Greet", "greet", "active", 1)
    for word in (made["id"], "greet"):
        one = await client.get(f"{ROOT}/{word}")
        assert one.json() == made
        fits(schema_of(f"{ROOT}/{{id}}", "get", 200), one.json())
    page = await client.get(f"{ROOT}?limit=1")
    fits(schema_of(ROOT, "get", 200), page.json())
    assert page.json() == {"items": [made], "total": 1, "has_more": False}

    changed = copy.deepcopy(EXAMPLE_DEFINITION)
    changed["nodes"][1]["value"]["greeting"] = "Hi {{input.name}}"
    saved = await client.put(f"{ROOT}/greet", json={"definition": changed, "expected_version": 1})
    assert (saved.json()["newest_version"], saved.json()["published_version"]) == (2, 1)
    stale = await client.put(f"{ROOT}/greet", json={"definition": changed, "expected_version": 1})
    problem(stale, 409, "conflict")
    differs = await client.get(f"{ROOT}/greet/diff")
    fits(schema_of(f"{ROOT}/{{id}}/diff", "get", 200), differs.json())
    assert (differs.json()["from"], differs.json()["to"]) == (1, 2)
    assert [each["id"] for each in differs.json()["nodes_changed"]] == ["made"]
    versions = (await client.get(f"{ROOT}/greet/versions")).json()
    fits(schema_of(f"{ROOT}/{{id}}/versions", "get", 200), versions)
    assert sorted(each["version"] for each in versions["items"]) == [1, 2]
    for word, number in (("newest", 2), ("published", 1), ("2", 2)):
        version = await client.get(f"{ROOT}/greet/versions/{word}?form=b3os")
        fits(schema_of(f"{ROOT}/{{id}}/versions/{{version}}", "get", 200), version.json())
        assert version.json()["version"] == number
        assert version.json()["definition"]["nodes"]["say"]["type"] == "response"
    for word in ("9", "x", "-1", "1" * 30):
        problem(await client.get(f"{ROOT}/greet/versions/{word}"), 404, "not_found")
    published = await client.post(f"{ROOT}/greet/publish", json={})
    assert published.json()["published_version"] == 2
    paused = await client.post(f"{ROOT}/greet/status", json={"status": "paused"})
    assert paused.json()["status"] == "paused"
    assert (await client.post(f"{ROOT}/greet/unpublish")).json()["published_version"] is None
    secret = (await client.post(f"{ROOT}/greet/hook-secret")).json()
    assert secret["secret"].startswith(secret["hint"])
    assert (await client.delete(f"{ROOT}/greet")).status_code == 204
    problem(await client.get(f"{ROOT}/greet"), 404, "not_found")


async def test_all_that_is_wrong_is_told(client: httpx.AsyncClient) -> None:
    wrong = {"nodes": [{"id": "a", "type": "transfrom"}, {"id": "b", "type": "htp"}]}
    refused = problem(await client.post(ROOT, json={"definition": wrong}), 400, "invalid_input")
    assert {each["node"] for each in refused["problems"]} >= {"a", "b"}
    assert refused["field"].startswith("definition.")
    checked = await client.post(f"{ROOT}/validate", json={"definition": wrong})
    fits(schema_of(f"{ROOT}/validate", "post", 200), checked.json())
    assert checked.json()["is_valid"] is False
    assert checked.json()["problems"] == refused["problems"]
    text = "name: Small\nnodes:\n  - {id: start, type: start}\n"
    right = (await client.post(f"{ROOT}/validate", json={"definition": text})).json()
    assert (right["is_valid"], right["form"], right["name"], right["nodes"]) == (True, "gesta", "Small", 1)
    for body in ({"definition": 1}, {}, {"definition": "[["}, {"definition": wrong, "form": "x"}, {"definition": "\0"}):
        assert (await client.post(ROOT, json=body)).status_code == 400, body
    assert (await client.get(ROOT)).json()["total"] == 0


async def test_a_run_of_what_is_not_stored_is_called_as_that(client: httpx.AsyncClient) -> None:
    written = {"name": "By hand", "nodes": [{"id": "start", "type": "start"}]}
    for body, name in (({}, "By hand"), ({"name": "Mine"}, "Mine")):
        reply = await client.post(RUNS, json={"definition": written, "wait_s": 5, **body})
        assert (reply.status_code, reply.json()["run"]["name"]) == (200, name)
    text = "name: By hand\nnodes: [{id: start, type: start}]"
    assert (await client.post(RUNS, json={"definition": text})).json()["run"]["name"] == "By hand"
    for odd in ("a\u200b", "", 5):
        reply = await client.post(RUNS, json={"definition": {**written, "name": odd}})
        assert reply.status_code == 400 or reply.json()["run"]["name"].startswith("Execution for workflow ")


async def test_what_a_run_is_started_with_is_told_by_this_dialects_words(
    client: httpx.AsyncClient, made: dict[str, Any]
) -> None:
    told = problem(await client.post(RUNS, json={"workflow": made["id"], "id": "a/b"}), 400, "invalid_input")
    assert told["field"] == "id"
    large = {"workflow": made["id"], "input": {"name": "x" * (8 * 1024 * 1024)}}
    told = problem(await client.post(RUNS, json=large), 400, "invalid_input")
    assert told["field"] == "input"


async def test_a_run_waits_for_its_answer(client: httpx.AsyncClient, made: dict[str, Any]) -> None:
    reply = await client.post(RUNS, json=EXAMPLE_START)
    assert reply.status_code == 200, reply.text
    fits(schema_of(RUNS, "post", 200), reply.json())
    assert reply.json()["answer"] == {"status_code": 200, "body": "Hello Ada"}
    run = reply.json()["run"]
    assert (run["status"], run["mode"], run["detail"]["workflow"]["id"]) == ("succeeded", "sync", made["id"])
    tree = await client.get(f"{RUNS}/{run['id']}")
    fits(schema_of(f"{RUNS}/{{id}}", "get", 200), tree.json())
    assert [(each["path"], each["status"]) for each in tree.json()["nodes"]] == [
        ("start", "succeeded"),
        ("made", "succeeded"),
        ("say", "succeeded"),
    ]
    edited = await client.post(f"{RUNS}/{run['id']}/rerun", json={**EXAMPLE_RERUN, "wait_s": 5})
    assert edited.json()["answer"]["body"] == "Hello Grace"
    assert edited.json()["run"]["id"] != run["id"]
    problem(await client.post(f"{RUNS}/{run['id']}/stop"), 409, "conflict")
    problem(await client.post(f"{RUNS}/{run['id']}/retry"), 409, "conflict")


async def test_the_same_key_is_the_same_run(client: httpx.AsyncClient, made: dict[str, Any]) -> None:
    body = {"workflow": "greet", "input": {"name": "Ada"}}
    first = await client.post(RUNS, json=body, headers={"Idempotency-Key": "k"})
    again = await client.post(RUNS, json=body, headers={"Idempotency-Key": "k"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["run"]["id"] == again.json()["run"]["id"]
    other = await client.post(RUNS, json={**body, "input": 1}, headers={"Idempotency-Key": "k"})
    problem(other, 409, "conflict")


async def test_a_run_as_a_tree(house: House, client: httpx.AsyncClient, loop: str) -> None:
    await house.workflows.runs.perform(loop, "each[0]/call", {"ok": 1.5})
    shown = (await client.get(f"{RUNS}/{loop}")).json()
    fits(schema_of(f"{RUNS}/{{id}}", "get", 200), shown)
    rounds = shown["nodes"][1]["rounds"]
    assert (rounds["total"], rounds["begun"]) == (2, 2)
    assert rounds["items"][0]["nodes"][0]["output"] == {"ok": 1.5}
    assert rounds["items"][0]["nodes"][0]["path"] == "each[0]/call"
    assert (await client.get(f"{RUNS}/{loop}?rounds=1")).json()["nodes"][1]["rounds"]["items"] == rounds["items"][:1]
    bare = (await client.get(f"{RUNS}/{loop}?payloads=false")).json()
    assert bare["nodes"][1]["rounds"]["items"][0]["nodes"][0]["output"] is None
    batches = await client.get(f"{RUNS}/{loop}/batches?node=each&limit=1")
    fits(schema_of(f"{RUNS}/{{id}}/batches", "get", 200), batches.json())
    assert (batches.json()["total"], batches.json()["has_more"]) == (2, True)
    problem(await client.get(f"{RUNS}/{loop}/batches"), 400, "invalid_input")
    problem(await client.get(f"{RUNS}/{loop}/batches?node=none"), 404, "not_found")
    problem(await client.get(f"{RUNS}/{loop}/batches?node=ask"), 409, "conflict")

    await house.workflows.runs.fail(loop, "each[1]/call")
    assert (await client.get(f"{RUNS}/{loop}")).json()["run"]["status"] == "failed"
    again = await client.post(f"{RUNS}/{loop}/retry")
    fits(schema_of(f"{RUNS}/{{id}}/retry", "post", 200), again.json())
    await house.workflows.runs.perform(loop, "each[1]/call", {})
    waits = (await client.get(f"{RUNS}/{loop}")).json()["waits"]
    assert [(each["path"], each["kind"]) for each in waits] == [("ask", "human")]
    resumed = await client.post(f"{RUNS}/{loop}/resume", json={"node": "ask", "payload": {"yes": True}})
    assert resumed.json() == {"resumed": True}
    late = await client.post(f"{RUNS}/{loop}/resume", json={"node": "ask"})
    assert late.json() == {"resumed": False}
    problem(await client.post(f"{RUNS}/{loop}/resume", json={"node": "nobody"}), 404, "not_found")
    assert (await client.get(f"{RUNS}/{loop}")).json()["run"]["status"] == "succeeded"


async def test_a_recorded_run_is_shown_as_it_was_recorded(client: httpx.AsyncClient, run: dict[str, Any]) -> None:
    await client.post("/ledger/executions", json=run)
    shown = await client.get(f"{RUNS}/{run['id']}")
    fits(schema_of(f"{RUNS}/{{id}}", "get", 200), shown.json())
    assert (shown.json()["is_resident"], shown.json()["version"], shown.json()["waits"]) == (False, None, [])
    assert [each["id"] for each in shown.json()["nodes"]] == ["start"]
    problem(await client.post(f"{RUNS}/{run['id']}/retry"), 409, "conflict")


async def test_many_runs_at_once(client: httpx.AsyncClient, house: House, made: dict[str, Any]) -> None:
    ids = [(await client.post(RUNS, json={"definition": LOOP, "input": ["a"]})).json()["run"]["id"] for _ in range(3)]
    job = await client.post(f"{RUNS}/bulk", json={"action": "stop", "filter": {"created_from": "1970-01-01"}})
    assert job.status_code == 202, job.text
    fits(schema_of(f"{RUNS}/bulk", "post", 202), job.json())
    assert (job.json()["total"], job.json()["done"], job.json()["status"]) == (3, 3, "finished")
    again = await client.post(f"{RUNS}/bulk", json={"action": "stop", "filter": {"ids": ids}})
    assert (again.json()["failed"], again.json()["errors"][0]["code"]) == (3, "conflict")
    seen = await client.get(f"/ledger/jobs/{again.json()['id']}")
    assert seen.json() == again.json()
    listed = (await client.get("/ledger/jobs")).json()
    fits(schema_of("/ledger/jobs", "get", 200), listed)
    assert [each["id"] for each in listed["items"]] == [again.json()["id"], job.json()["id"]]
    house.jobs.is_held = True
    held = (await client.post(f"{RUNS}/bulk", json={"action": "rerun", "filter": {"ids": ids}, "input": []})).json()
    stopped = await client.post(f"/ledger/jobs/{held['id']}/cancel")
    assert stopped.json()["status"] == "cancelled"
    problem(await client.post(f"/ledger/jobs/{held['id']}/cancel"), 409, "conflict")

    for wanted in (
        {},
        {"ids": ids, "name": "x"},
        {"created_from": "2026-02-30"},
        {"status": ["exploded"]},
        {"ids": []},
    ):
        refused = await client.post(f"{RUNS}/bulk", json={"action": "stop", "filter": wanted})
        problem(refused, 400, "invalid_input")
    problem(await client.post(f"{RUNS}/bulk", json={"action": "stop", "filter": {"ids": ["none"]}}), 404, "not_found")
    problem(await client.post(f"{RUNS}/bulk", json={"action": "stop", "filter": {"account": "?"}}), 404, "not_found")
    assert (await client.post(f"{RUNS}/bulk", json=EXAMPLE_BULK)).json()["total"] == 0


async def test_schedules(client: httpx.AsyncClient, made: dict[str, Any]) -> None:
    reply = await client.post(SCHEDULES, json=EXAMPLE_SCHEDULE)
    assert reply.status_code == 201, reply.text
    fits(schema_of(SCHEDULES, "post", 201), reply.json())
    path = f"{SCHEDULES}/{reply.json()['id']}"
    assert (await client.get(path)).json() == reply.json()
    assert (await client.get(f"{SCHEDULES}?workflow=greet")).json() == {"items": [reply.json()]}
    assert (await client.post(f"{path}/pause")).json()["is_paused"] is True
    assert (await client.post(f"{path}/resume")).json()["is_paused"] is False
    problem(await client.put(path, json={"at": "2026-02-30T00:00:00Z"}), 400, "invalid_input")
    dates = ["2030-01-02T00:00:00Z", "2030-02-03T00:00:00Z"]
    window = {"starts_at": "2030-01-01T00:00:00Z", "ends_at": "2030-12-31T00:00:00Z"}
    changed = await client.put(path, json={"dates": dates, **window})
    assert changed.status_code == 200, changed.text
    said = changed.json()
    assert (said["every_s"], said["cron"], said["at"]) == (None, "", None)
    assert [each[:10] for each in (*said["dates"], said["starts_at"], said["ends_at"], said["next_at"])] == [
        "2030-01-02", "2030-02-03", "2030-01-01", "2030-12-31", "2030-01-02",
    ]  # fmt: skip
    assert problem(await client.put(path, json={"dates": ["1 May"]}), 400, "invalid_input")["field"] == "dates[0]"
    swapped = {"dates": dates, "starts_at": window["ends_at"], "ends_at": window["starts_at"]}
    assert problem(await client.put(path, json=swapped), 400, "invalid_input")["field"] == "ends_at"
    problem(await client.post(SCHEDULES, json={"workflow": "none", "every_s": 60}), 404, "not_found")
    assert (await client.delete(path)).status_code == 204
    problem(await client.get(path), 404, "not_found")


async def test_events(client: httpx.AsyncClient) -> None:
    definition = {**EXAMPLE_DEFINITION, "trigger": {"event": "order.paid", "application": "shop"}}
    await client.post(ROOT, json={"definition": definition, "publish": True})
    taken = await client.post("/ledger/events", json=EXAMPLE_EVENT)
    assert taken.status_code == 200, taken.text
    fits(schema_of("/ledger/events", "post", 200), taken.json())
    assert [each["source"] for each in taken.json()["started"]] == ["event"]


async def test_payment(house: House, client: httpx.AsyncClient) -> None:
    definition = {**EXAMPLE_DEFINITION, "price": "4.50 USD"}
    reply = await client.post(RUNS, json={"definition": definition, "wait_s": 5})
    assert reply.status_code == 202
    run_id = reply.json()["run"]["id"]
    assert reply.json()["run"]["status"] == "awaiting_payment"
    checkout = await client.get(f"{RUNS}/{run_id}/checkout")
    fits(schema_of(f"{RUNS}/{{id}}/checkout", "get", 200), checkout.json())
    assert (checkout.json()["amount"], checkout.json()["currency"]) == ("4.50", "USD")
    problem(await client.post(f"{RUNS}/{run_id}/refund", json={}), 409, "conflict")
    await house.workflows.runs.pay(run_id)
    free = (await client.post(RUNS, json=EXAMPLE_INLINE)).json()["run"]["id"]
    problem(await client.get(f"{RUNS}/{free}/checkout"), 404, "not_found")


async def test_a_stranger_finds_nothing(
    client: httpx.AsyncClient, rival: httpx.AsyncClient, made: dict[str, Any], loop: str
) -> None:
    schedule = (await client.post(SCHEDULES, json={"workflow": "greet", "every_s": 3600})).json()["id"]
    job = (await client.post(f"{RUNS}/bulk", json={"action": "retry", "filter": {"name": "x"}})).json()["id"]
    for method, path, body in (
        ("GET", f"{ROOT}/{made['id']}", None),
        ("PUT", f"{ROOT}/{made['id']}", EXAMPLE_WORKFLOW),
        ("DELETE", f"{ROOT}/greet", None),
        ("GET", f"{ROOT}/greet/versions/1", None),
        ("POST", f"{ROOT}/greet/publish", {}),
        ("POST", RUNS, EXAMPLE_START),
        ("GET", f"{RUNS}/{loop}", None),
        ("POST", f"{RUNS}/{loop}/stop", None),
        ("POST", f"{RUNS}/{loop}/rerun", {}),
        ("POST", f"{RUNS}/{loop}/resume", {"node": "ask"}),
        ("POST", f"{RUNS}/bulk", {"action": "stop", "filter": {"ids": [loop]}}),
        ("GET", f"/ledger/jobs/{job}", None),
        ("POST", f"/ledger/jobs/{job}/cancel", None),
        ("GET", f"{SCHEDULES}/{schedule}", None),
        ("DELETE", f"{SCHEDULES}/{schedule}", None),
        ("POST", f"{SCHEDULES}/{schedule}/pause", None),
        ("POST", SCHEDULES, EXAMPLE_SCHEDULE),
    ):
        problem(await rival.request(method, path, json=body), 404, "not_found")
    for path in (ROOT, SCHEDULES, "/ledger/jobs"):
        assert (await rival.get(path)).json()["items"] == []
    assert (await client.get(f"{ROOT}/greet")).json() == made


async def test_who_may_only_read_changes_nothing(client: httpx.AsyncClient, made: dict[str, Any], loop: str) -> None:
    for method, path, body in (
        ("POST", ROOT, EXAMPLE_WORKFLOW),
        ("PUT", f"{ROOT}/greet", EXAMPLE_WORKFLOW),
        ("DELETE", f"{ROOT}/greet", None),
        ("POST", f"{ROOT}/greet/hook-secret", None),
        ("POST", RUNS, EXAMPLE_START),
        ("POST", f"{RUNS}/{loop}/stop", None),
        ("POST", f"{RUNS}/{loop}/rerun", {}),
        ("POST", f"{RUNS}/bulk", {"action": "stop", "filter": {"ids": [loop]}}),
        ("POST", SCHEDULES, EXAMPLE_SCHEDULE),
        ("POST", "/ledger/events", EXAMPLE_EVENT),
    ):
        reply = await client.request(method, path, json=body, headers=bearer(READER))
        problem(reply, 403, "forbidden")
    assert (await client.get(f"{RUNS}/{loop}", headers=bearer(READER))).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"workflow": "greet", "definition": EXAMPLE_DEFINITION},
        {"workflow": "greet", "wait_s": 1e9},
        {"workflow": "greet", "wait_s": -1},
        {"workflow": "greet", "success_url": "javascript:alert(1)"},
        {"workflow": "greet", "input": "a\0b"},
        {"workflow": "greet", "version": 0},
        {"workflow": "greet", "nonsense": 1},
    ],
)
async def test_what_cannot_be_started(client: httpx.AsyncClient, made: dict[str, Any], body: dict[str, Any]) -> None:
    problem(await client.post(RUNS, json=body), 400, "invalid_input")
    assert (await client.get("/ledger/executions?kind=run")).json()["total"] == 0


async def test_a_run_for_a_linked_account(house: House, client: httpx.AsyncClient, made: dict[str, Any]) -> None:
    await house.access.ensure_account(1, "ada@example.com", AccountType.LINKED)
    reply = await client.post(RUNS, json={**EXAMPLE_START, "account": "ada@example.com"})
    assert reply.json()["run"]["account"] == "ada@example.com", reply.text
    problem(await client.post(RUNS, json={**EXAMPLE_START, "account": "nobody"}), 404, "not_found")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(house.app), base_url="http://gesta.test") as other:
        refused = await other.post(
            RUNS, json={**EXAMPLE_START, "environment": "production"}, headers={"x-api-key": "tk_test"}
        )
        problem(refused, 403, "forbidden")
        run_id = reply.json()["run"]["id"]
        # A test key does not reach a run of production.
        for part in ("", "/checkout"):
            hidden = await other.get(f"{RUNS}/{run_id}{part}", headers={"x-api-key": "tk_test"})
            problem(hidden, 404, "not_found")


async def test_without_workflows(house: House) -> None:
    services = msgspec.structs.replace(house.services, workflows=None)
    transport = httpx.ASGITransport(build(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://gesta.test", headers=bearer(MINE)) as client:
        for path in (ROOT, SCHEDULES, "/ledger/jobs"):
            assert "workflows.enabled" in problem(await client.get(path), 503, "unavailable")["detail"]

"""Events, inbound webhooks and schedules (protocols/refold.md §5)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gesta.access.model import AccountType

PUBLIC = "/api/v2/public"
WORKFLOW = f"{PUBLIC}/workflow"
SCHEDULED = "/api/v1/workflow/public/scheduled"
EXECUTION = f"{PUBLIC}/execution"


@pytest.fixture
async def mark(world: Any) -> dict[str, str]:
    await world.access.ensure_account(1, "mark", AccountType.LINKED)
    return {"x-api-key": "pk_1", "linked_account_id": "mark"}


async def published(client: httpx.AsyncClient, headers: dict[str, str], data: Any = None, **words: Any) -> str:
    nodes = [{"id": "1", "type": "start", "data": data}]
    made = await client.post(WORKFLOW, headers=headers, json={"name": "W", "nodes": nodes, "edges": []} | words)
    assert made.status_code == 200, made.text
    draft = made.json()["workflow"]["_id"]
    answer = await client.put(f"{WORKFLOW}/{draft}/publish", headers=headers, json={"published": True})
    return str(answer.json()["_id"])


# -- events


@pytest.mark.parametrize("path", ["event/trigger", "event/hubspot"])
@pytest.mark.parametrize("word", ["event", "trigger"])
async def test_one_event_starts_several(client: httpx.AsyncClient, mark: dict[str, str], path: str, word: str) -> None:
    for _ in range(2):
        await published(client, mark, {"event": "candidate_created"})
    await published(client, mark, {"event": "another"})
    answer = await client.post(
        f"{PUBLIC}/{path}", headers=mark, json={word: "candidate_created", "payload": {"jobid": "123"}}
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["message"] == "Webhook Fired Success"
    assert len(body["execution_ids"]) == 2
    listed = (await client.get(EXECUTION, headers=mark, params={"execution_source": "Event"})).json()
    # A trigger's runs are of the account that the double picks; the count is over all of them.
    assert listed["totalDocs"] in (0, 2)


async def test_a_form_fires_too(client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    await published(client, mark, {"event": "candidate_created"})
    form = {"event": (None, "candidate_created"), "payload": (None, '{"jobid":"123"}')}
    answer = await client.post(f"{PUBLIC}/event/hubspot", headers=mark, files=form)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["execution_ids"]) == 1
    file = await client.post(f"{PUBLIC}/event/hubspot", headers=mark, files={"event": ("a.csv", b"1")})
    assert file.status_code == 400
    broken = mark | {"content-type": "multipart/form-data; boundary=x"}
    assert (await client.post(f"{PUBLIC}/event/hubspot", headers=broken, content=b"nothing")).status_code == 400


async def test_an_event_is_taken_once(client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    workflow = await published(client, mark, {"event": "e"})
    once = {"event": "e", "dedup_key": "k1"}
    assert len((await client.post(f"{PUBLIC}/event/trigger", headers=mark, json=once)).json()["execution_ids"]) == 1
    again = (await client.post(f"{PUBLIC}/event/trigger", headers=mark, json=once)).json()
    assert (again["execution_ids"], again["duplicates"]) == ([], [workflow])


async def test_an_event_that_nobody_has(client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    answer = await client.post(f"{PUBLIC}/event/trigger", headers=mark, json={"event": "nobody"})
    assert answer.status_code == 404
    assert answer.json()["error_code"] == "INVALID_EVENT"
    assert answer.json()["message"] == "Trigger not found"
    missing = await client.post(f"{PUBLIC}/event/trigger", headers=mark, json={"payload": {}})
    assert (missing.status_code, missing.json()["error_code"]) == (400, "MISSING_REQUIRED_FIELD")
    wrong: list[Any] = [[], {"event": 5}, {"event": "x" * 5000}]
    for posted in wrong:
        assert (await client.post(f"{PUBLIC}/event/trigger", headers=mark, json=posted)).status_code == 400


# -- the webhook of a workflow


async def test_the_webhook_of_a_workflow(client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    workflow = await published(client, mark, {"trigger_type": "webhook"})
    made = (await client.post(f"{WORKFLOW}/{workflow}/webhook", headers=mark)).json()
    assert made["webhook_url"] == f"http://gesta{made['path']}"
    path = made["path"]
    fired = await client.post(path, json={"a": 1}, headers={"idempotency-key": "d1"})
    assert fired.status_code == 200, fired.text
    assert fired.json()["message"] == "Webhook Fired Success"
    assert len(fired.json()["execution_id"]) == 24
    assert (await client.post(path, json={"a": 1}, headers={"idempotency-key": "d1"})).status_code == 409
    by_header = path.rpartition("/")[0]
    assert (await client.post(by_header, json={}, headers={"x-webhook-secret": made["secret"]})).status_code == 200
    assert (await client.get(path)).status_code == 405
    assert (await client.post(path, content=b"<a/>", headers={"content-type": "text/xml"})).status_code == 415
    assert (await client.post(path, json={"a": "x" * 1024 * 1024})).status_code == 413
    broken = await client.post(path, content=b"{", headers={"content-type": "application/json"})
    assert broken.status_code == 400
    for wrong in (path + "0", by_header, f"{PUBLIC}/hook/{'0' * 24}/{made['secret']}", f"{PUBLIC}/hook/x/y"):
        refused = await client.post(wrong, json={})
        assert refused.status_code == 401, wrong
        assert refused.json()["message"] == "Invalid webhook address or secret"
    await client.post(f"{WORKFLOW}/{workflow}/webhook", headers=mark)
    assert (await client.post(path, json={})).status_code == 401


async def test_a_webhook_above_the_rate(world: Any, client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    workflow = await published(client, mark, {"trigger_type": "webhook"})
    made = (await client.post(f"{WORKFLOW}/{workflow}/webhook", headers=mark)).json()
    world.access.admits = 0
    refused = await client.post(made["path"], json={})
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"


# -- schedules


async def register(client: httpx.AsyncClient, headers: dict[str, str], workflow: str, **posted: Any) -> httpx.Response:
    more = {"workflow_id_alias": workflow, "slug": "hubspot", "config_id": "mark"}
    body = {"trigger_type": "cron", "regex": "0 9 * * 1", "tz": "UTC", "payload": {"sync_type": "full"}} | posted
    return await client.post(SCHEDULED, headers=headers | more, json=body)


async def test_the_life_of_a_schedule(client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    workflow = await published(client, mark, workflow_alias="daily")
    made = (await register(client, mark, "daily")).json()
    assert made["workflow"] == workflow
    assert made["cron_patten"] == "0 9 * * 1"
    assert (made["trigger_type"], made["trigger_interval"], made["status"], made["inactive"]) == (
        "cron",
        [],
        "running",
        False,
    )
    assert made["payload"] == {"sync_type": "full"}
    one = f"{SCHEDULED}/{made['_id']}"
    page = (await client.get(SCHEDULED, headers=mark)).json()
    assert page["totalDocs"] == 1
    assert page["docs"][0]["workflow"] == {"_id": workflow, "name": "W", "associated_application": None}
    paused = (await client.put(f"{one}/pause", headers=mark)).json()
    assert (paused["status"], paused["inactive"]) == ("paused", True)
    resumed = (await client.put(f"{one}/resume", headers=mark)).json()
    assert (resumed["status"], resumed["inactive"]) == ("running", False)
    changed = (await client.put(one, headers=mark, json={"regex": "0 10 * * 1", "tz": "Europe/Berlin"})).json()
    assert (changed["cron_patten"], changed["options"]["tz"], changed["payload"]) == (
        "0 10 * * 1",
        "Europe/Berlin",
        {"sync_type": "full"},
    )
    assert (await client.get(one, headers=mark)).json()["cron_patten"] == "0 10 * * 1"
    deleted = await client.delete(one, headers=mark)
    assert deleted.json() == {"message": "Scheduled Job Deleted Successfully"}
    for method in ("GET", "DELETE", "PUT"):
        gone = await client.request(method, one, headers=mark)
        assert (gone.status_code, gone.json()["message"]) == (404, "Scheduled Job Not Found")


async def test_a_date_on_the_clocks_of_a_zone(client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    workflow = await published(client, mark)
    date = {"day": 1, "month": 7, "year": 2099, "hour": 9, "minute": 0}
    made = await register(client, mark, workflow, trigger_type="interval", interval_dates=[date], tz="America/New_York")
    assert made.status_code == 200, made.text
    assert made.json()["trigger_interval"] == [date]
    assert made.json()["next_run_at"] == "2099-07-01T13:00:00.000Z"


async def test_several_dates_are_one_schedule(client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    workflow = await published(client, mark)
    later = DATE | {"month": 10}
    made = await register(client, mark, workflow, trigger_type="interval", interval_dates=[later, DATE, DATE], tz="UTC")
    assert made.status_code == 200, made.text
    assert made.json()["trigger_interval"] == [DATE, later]
    assert made.json()["next_run_at"] == "2099-09-01T09:00:00.000Z"
    one = f"{SCHEDULED}/{made.json()['_id']}"
    kept = (await client.put(one, headers=mark, json={"payload": {"a": 0.5}})).json()
    assert (kept["trigger_interval"], kept["payload"]) == ([DATE, later], {"a": 0.5})
    told = await client.put(one, headers=mark, json={"trigger_type": "cron", "regex": "0 9 * * 1"})
    assert (told.json()["trigger_interval"], told.json()["cron_patten"]) == ([], "0 9 * * 1")
    asked = await client.put(one, headers=mark, json={"trigger_type": "interval"})
    assert (asked.status_code, asked.json()["message"]) == (400, "interval_dates is required")


async def test_a_window_of_days_is_kept_on_the_clocks_of_the_zone(
    client: httpx.AsyncClient, mark: dict[str, str]
) -> None:
    workflow = await published(client, mark)
    window = {"startDate": "2099-07-01", "endDate": "2099-07-31"}
    made = await register(client, mark, workflow, **window, tz="America/New_York")
    assert made.status_code == 200, made.text
    assert made.json()["options"] == window | {"tz": "America/New_York", "trigger_type": "cron"}
    one = f"{SCHEDULED}/{made.json()['_id']}"
    moved = (await client.put(one, headers=mark, json={"tz": "Asia/Tokyo", "endDate": "2099-08-31"})).json()
    assert moved["options"] == {
        "startDate": "2099-07-01",
        "endDate": "2099-08-31",
        "tz": "Asia/Tokyo",
        "trigger_type": "cron",
    }
    opened = (await client.put(one, headers=mark, json={"startDate": None, "endDate": ""})).json()
    assert opened["options"] == {"tz": "Asia/Tokyo", "trigger_type": "cron"}


DATE = {"day": 1, "month": 9, "year": 2099, "hour": 9, "minute": 0}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"trigger_type": None}, "trigger_type is required"),
    ({"trigger_type": "often"}, "trigger_type"),
    ({"regex": None}, "regex"),
    ({"regex": "nonsense"}, "regex"),
    ({"regex": "*/4 * * * *"}, "5 minutes"),
    ({"regex": "*/7 * * * *"}, "5 minutes"),
    ({"regex": "* * * * * */10"}, "5 minutes"),
    ({"tz": "Mars/Olympus"}, "tz"),
    ({"startDate": "2026-02-30"}, "possible date"),
    ({"startDate": "tomorrow"}, "startDate"),
    ({"startDate": "9999-12-31"}, "startDate"),
    ({"startDate": 5}, "startDate"),
    ({"endDate": "2001-01-01"}, "`endDate` is in the past"),
    ({"startDate": "2099-01-02", "endDate": "2099-01-01"}, "`endDate` (2099-01-01) is before `startDate`"),
    ({"startDate": "2099-07-07", "endDate": "2099-07-08", "regex": "0 9 1 1 *"}, "no moment from `startDate`"),
    ({"trigger_type": "interval"}, "interval_dates"),
    ({"trigger_type": "interval", "interval_dates": [{"day": 31, "month": 2, "year": 2099}]}, "possible date"),
    ({"trigger_type": "interval", "interval_dates": [{"day": 1, "month": 2, "year": 2001}]}, "past"),
    ({"trigger_type": "interval", "interval_dates": [{"day": "1", "month": 2, "year": 2099}]}, "whole numbers"),
    ({"trigger_type": "interval", "interval_dates": [{}, {}]}, "interval_dates[0]"),
    ({"trigger_type": "interval", "interval_dates": [DATE, DATE | {"day": 31}]}, "interval_dates[1]"),
    ({"trigger_type": "interval", "interval_dates": [DATE, DATE | {"minute": 4}]}, "5 minutes"),
    ({"trigger_type": "interval", "interval_dates": [DATE] * 101}, "1 to 100"),
    ({"trigger_type": "interval", "interval_dates": [DATE], "endDate": "2098-01-01"}, "no moment"),
]


@pytest.mark.parametrize(("posted", "said"), WRONG)
async def test_a_schedule_that_cannot_be(
    client: httpx.AsyncClient, mark: dict[str, str], posted: dict[str, Any], said: str
) -> None:
    workflow = await published(client, mark)
    answer = await register(client, mark, workflow, **posted)
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["message"]
    assert (await client.get(SCHEDULED, headers=mark)).json()["totalDocs"] == 0


async def test_a_schedule_needs_a_workflow(client: httpx.AsyncClient, mark: dict[str, str]) -> None:
    assert (await register(client, mark, "")).json()["message"] == "workflow_id_alias is required"
    assert (await register(client, mark, "nobody")).status_code == 404

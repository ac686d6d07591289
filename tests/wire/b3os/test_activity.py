"""What is watched before it is there, and what happens to every run."""

from __future__ import annotations

import asyncio

import pytest

from gesta.apis.b3os import stream as streams
from tests.wire.b3os.test_streams import opened, resume, waiting
from tests.wire.b3os.workflow_house import LOGGING, House

MINE = "Bearer b3sk_mine"


@pytest.fixture
def house() -> House:
    return House()


# -- a run that its caller has yet to start (protocols/b3os.md §7)


async def test_a_run_is_watched_before_it_is_started(house: House) -> None:
    workflow = await house.workflow()
    async with opened(house, "/v1/runs/run_c9q3mt7bq5u2s1v0k4hg/stream", authorization=MINE) as stream:
        await stream.until(lambda: ": heartbeat" in stream.text)
        assert (stream.status, stream.frames) == (200, [])
        async with house.client() as client:
            body = {"runId": "run_c9q3mt7bq5u2s1v0k4hg"}
            assert (await client.post(f"/v1/workflows/{workflow}/run", json=body)).status_code == 200
        (first,) = await stream.at_least(1)
        assert (first["data"]["type"], first["data"]["run"]["status"]) == ("snapshot", "waiting")
        await resume(house, "c9q3mt7bq5u2s1v0k4hg")
        await house.workflows.runs.perform("c9q3mt7bq5u2s1v0k4hg", "call", {"status": 200})
        assert (await stream.end())[-1]["data"]["run"]["status"] == "success"
    assert house.app.state.watching.count == 0


@pytest.mark.parametrize("id", ["run_" + "0f" * 12, "run_with-hyphen", "nope", "run_"])
async def test_an_id_that_no_caller_makes_is_not_waited_for(house: House, id: str) -> None:
    async with opened(house, f"/v1/runs/{id}/stream", authorization=MINE) as stream:
        assert (stream.status, "404005" in stream.text) == (404, True)
    assert house.app.state.watching.count == 0


async def test_a_run_that_does_not_come_is_not_waited_for_without_end(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PATIENCE_S", 0.4)
    async with opened(house, "/v1/runs/run_never/stream", authorization=MINE) as stream:
        assert await stream.end() == []
    async with opened(house, "/v1/runs/run_never/stream") as stream:
        assert stream.status == 401


async def test_what_others_start_is_not_what_is_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PATIENCE_S", 0.4)
    workflow = await house.workflow()
    async with house.client() as client:
        assert (await client.post(f"/v1/workflows/{workflow}/run", json={"runId": "run_theirs"})).status_code == 200
    async with opened(house, "/v1/runs/run_theirs/stream", authorization="Bearer b3sk_other") as stream:
        assert await stream.end() == []


# -- every run of the organization


async def test_the_activity_tells_what_happens_to_runs(house: House) -> None:
    id, _ = await waiting(house)
    async with opened(house, "/v1/activity/stream", authorization=MINE) as stream:
        await stream.until(lambda: ": heartbeat" in stream.text)
        assert stream.frames == []
        await resume(house, id)
        frames = await stream.at_least(2)
        assert all(frame["event"] == "activity" and frame["data"]["type"] == "event" for frame in frames)
        assert frames[0]["data"]["event"]["executionId"] == id
        assert frames[0]["data"]["run"]["id"] == f"run_{id}"
        assert frames[0]["id"] == frames[0]["data"]["event"]["id"]
        last = frames[-1]["id"]
    await house.workflows.runs.perform(id, "call", {"status": 200})
    async with opened(house, "/v1/activity/stream", authorization=MINE, last_event_id=last) as stream:
        missed = await stream.at_least(1)
        assert int(missed[0]["id"][4:]) == int(last[4:]) + 1
        await stream.until(lambda: stream.frames[-1]["data"]["run"]["status"] == "success")
    assert house.app.state.watching.count == 0


async def test_the_activity_of_others_is_not_told(house: House) -> None:
    id, _ = await waiting(house)
    async with opened(house, "/v1/activity/stream", authorization="Bearer b3sk_other", last_event_id="evt_0") as stream:
        await resume(house, id)
        await stream.until(lambda: stream.text.count(": heartbeat") >= 2)
        assert stream.frames == []


async def test_an_id_of_the_future_is_told_what_is_next(house: House) -> None:
    workflow = await house.workflow(LOGGING)
    headers = {"authorization": MINE, "last_event_id": "evt_99999999"}
    async with opened(house, "/v1/activity/stream", **headers) as stream:
        made = await house.create(workflow)
        frames = await stream.at_least(1)
        assert frames[0]["data"]["event"]["executionId"] == made["execution"]["id"]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "401001"),
        ({"authorization": "Bearer b3sk_none"}, "403001"),
        ({"authorization": MINE, "last_event_id": "x"}, "400009"),
    ],
)
async def test_activity_that_does_not_open(house: House, headers: dict[str, str], code: str) -> None:
    async with opened(house, "/v1/activity/stream", **headers) as stream:
        assert stream.status == int(code[:3])
        assert code in stream.text
    assert house.app.state.watching.count == 0


async def test_a_revoked_key_ends_its_activity(house: House) -> None:
    async with opened(house, "/v1/activity/stream", authorization="Bearer b3sk_reader") as stream:
        del house.world.access.bearers["b3sk_reader"]
        async with asyncio.timeout(10):
            assert await stream.end() == []

"""Streams: everything first, then each change once, resumed exactly, and ended with the execution."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gesta.apis.b3os import watching
from gesta.kernel.errors import Unavailable
from tests.wire.b3os.workflow_house import House

HIDDEN = ("payload-of-the-owner", "ref-4711", "shop", "secret-error", "organizationId")


class Stream:
    """One open response: its status, and its frames as they come."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.text = ""
        self.ended = False
        self.left = asyncio.Event()
        self._grown = asyncio.Condition()

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.text += message.get("body", b"").decode()
            self.ended = not message.get("more_body", False)
        async with self._grown:
            self._grown.notify_all()

    @property
    def frames(self) -> list[dict[str, Any]]:
        """Whole frames that have data: their fields, `data` read."""
        made = []
        for block in self.text.split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
            if "data" in fields:
                made.append(fields | {"data": json.loads(fields["data"])})
        return made

    async def until(self, holds: Any) -> None:
        async with asyncio.timeout(10), self._grown:
            await self._grown.wait_for(holds)

    async def at_least(self, count: int) -> list[dict[str, Any]]:
        await self.until(lambda: len(self.frames) >= count)
        return self.frames

    async def end(self) -> list[dict[str, Any]]:
        await self.until(lambda: self.ended)
        return self.frames


@asynccontextmanager
async def opened(house: House, target: str, **headers: str) -> AsyncIterator[Stream]:
    path, _, query = target.partition("?")
    stream = Stream()
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await stream.left.wait()
        return {"type": "http.disconnect"}

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1), "server": ("gesta.test", 80), "gesta.request_id": "request-1",
    }  # fmt: skip
    task = asyncio.create_task(house.app(scope, receive, stream.send))  # type: ignore[arg-type]
    try:
        await stream.until(lambda: stream.status)
        yield stream
    finally:
        stream.left.set()
        async with asyncio.timeout(10):
            await task


@pytest.fixture
def house() -> House:
    return House()


async def waiting(house: House) -> tuple[str, str]:
    """The id and the client token of an execution that waits."""
    data = await house.create(await house.workflow())
    return data["execution"]["id"], data["clientToken"]


async def resume(house: House, id: str) -> None:
    async with house.client() as client:
        answer = await client.post(f"/v1/runs/run_{id}/nodes/approval/resume", json={"data": {"ok": 1}})
        assert answer.json()["action"] == "resumed"


async def test_a_snapshot_then_each_change_until_the_end(house: House) -> None:
    id, token = await waiting(house)
    async with opened(house, f"/v1/public/executions/{id}/stream?token={token}") as stream:
        assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert stream.headers["cache-control"] == "no-store"
        (first,) = await stream.at_least(1)
        assert (first["event"], first["data"]["type"], first["data"]["status"]) == (
            "execution", "snapshot", "workflow_waiting",
        )  # fmt: skip
        assert first["data"]["events"][-1]["id"] == first["id"]
        await resume(house, id)
        await house.workflows.runs.fail(id, "call", "secret-error")
        frames = await stream.end()
    changes = frames[1:]
    assert all(frame["data"]["type"] == "change" for frame in changes)
    assert all([event["id"] for event in frame["data"]["events"]] == [frame["id"]] for frame in changes)
    ids = [int(frame["id"].removeprefix("evt_")) for frame in frames]
    assert ids == sorted(set(ids))
    assert (frames[-1]["data"]["status"], frames[-1]["data"]["events"][0]["eventType"]) == (
        "workflow_failed", "execution.failed",
    )  # fmt: skip
    async with house.client() as client:
        told = (await client.get(f"/v1/executions/{id}/events")).json()["data"]
    shown = [event["id"] for frame in frames for event in frame["data"]["events"]]
    assert shown == [event["id"] for event in told]
    assert not [text for text in HIDDEN if text in stream.text]
    assert house.app.state.watching.count == 0


async def test_a_reader_goes_on_where_it_was(house: House) -> None:
    id, token = await waiting(house)
    target = f"/v1/public/executions/{id}/stream?token={token}"
    async with opened(house, target) as stream:
        last = (await stream.at_least(1))[0]["id"]
    await resume(house, id)
    async with opened(house, target, last_event_id=last) as stream:
        missed = await stream.at_least(2)
        assert missed[0]["data"]["type"] == "change"
        assert int(missed[0]["id"][4:]) == int(last[4:]) + 1
        await house.workflows.runs.perform(id, "call", {"status": 200})
        frames = await stream.end()
    async with opened(house, target, last_event_id=frames[-1]["id"]) as stream:
        assert stream.status == 204
    async with opened(house, target) as stream:
        (whole,) = await stream.end()
        assert (whole["data"]["type"], whole["data"]["status"]) == ("snapshot", "workflow_succeeded")


@pytest.mark.parametrize("is_over", [False, True])
async def test_an_id_that_its_timeline_does_not_have_begins_anew(house: House, is_over: bool) -> None:
    """Of the future, or of before a backup was restored: whoever has it has seen nothing, and must not miss the end."""
    id, token = await waiting(house)
    if is_over:
        await resume(house, id)
        await house.workflows.runs.perform(id, "call", {"status": 200})
    target = f"/v1/public/executions/{id}/stream?token={token}"
    async with opened(house, target, last_event_id="evt_999999999") as stream:
        (first,) = await stream.at_least(1)
        assert (first["data"]["type"], len(first["data"]["events"]) > 2) == ("snapshot", True)
        if not is_over:
            await resume(house, id)
            await house.workflows.runs.perform(id, "call", {"status": 200})
        assert (await stream.end())[-1]["data"]["status"] == "workflow_succeeded"


async def test_heartbeats_come_while_nothing_happens(house: House) -> None:
    id, token = await waiting(house)
    async with opened(house, f"/v1/public/executions/{id}/stream?token={token}") as stream:
        await stream.until(lambda: stream.text.count(": heartbeat\n\n") >= 2)
        assert len(stream.frames) == 1


async def test_an_outage_loses_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    id, token = await waiting(house)
    async with opened(house, f"/v1/public/executions/{id}/stream?token={token}") as stream:
        await stream.at_least(1)
        get, failures = house.world.ledger.get, 2

        async def failing(*arguments: Any, **options: Any) -> Any:
            nonlocal failures
            if failures and asyncio.current_task() is not own:
                failures -= 1
                raise Unavailable("The database does not answer.")
            return await get(*arguments, **options)

        own = asyncio.current_task()
        monkeypatch.setattr(house.world.ledger, "get", failing)
        await house.workflows.runs.now(id)
        await house.workflows.runs.stop(house.world.access.bearers["b3sk_mine"], id)
        frames = await stream.end()
        assert failures == 0
        assert frames[-1]["data"]["status"] == "workflow_cancelled"


@pytest.mark.parametrize(
    ("query", "headers", "code"),
    [
        ("", {}, 400014),
        ("?token=wrong", {}, 401005),
        ("?token={token}", {"last_event_id": "42"}, 400009),
        ("?token={token}", {"last_event_id": "evt_" + "9" * 19}, 400009),
    ],
)
async def test_streams_that_do_not_open(house: House, query: str, headers: dict[str, str], code: int) -> None:
    id, token = await waiting(house)
    async with opened(house, f"/v1/public/executions/{id}/stream{query.format(token=token)}", **headers) as stream:
        assert (stream.status, json.loads(stream.text)["code"]) == (code // 1000, code)
    assert house.app.state.watching.count == 0


async def test_there_are_not_more_streams_than_the_bound(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MAX_STREAMS_OF_EXECUTION", 1)
    id, token = await waiting(house)
    target = f"/v1/public/executions/{id}/stream?token={token}"
    async with opened(house, target) as stream:
        await stream.at_least(1)
        async with opened(house, target) as other:
            assert (other.status, json.loads(other.text)["code"]) == (429, 429003)
            assert other.headers["retry-after"] == "5"
    async with opened(house, target) as stream:
        assert stream.status == 200


async def test_one_reader_of_the_feed_for_many_streams(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many streams there are, the feed is waited for once per organization, and nobody asks by the clock."""
    id, token = await waiting(house)
    waits = 0
    wait = house.world.ledger.wait

    async def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal waits
        waits += 1
        return await wait(*arguments, **options)

    monkeypatch.setattr(house.world.ledger, "wait", counted)
    target = f"/v1/public/executions/{id}/stream?token={token}"
    async with opened(house, target) as one, opened(house, target) as two, opened(house, target) as three:
        for stream in (one, two, three):
            await stream.until(lambda stream=stream: stream.text.count(": heartbeat") >= 2)
        assert waits == 1
        await resume(house, id)
        await house.workflows.runs.perform(id, "call")
        ends = [(await stream.end())[-1]["id"] for stream in (one, two, three)]
        assert len(set(ends)) == 1


async def test_a_run_as_a_stream(house: House) -> None:
    id, _ = await waiting(house)
    async with opened(house, f"/v1/runs/run_{id}/stream", authorization="Bearer b3sk_mine") as stream:
        (first,) = await stream.at_least(1)
        assert (first["event"], first["data"]["type"]) == ("run", "snapshot")
        assert first["data"]["run"]["executionState"]["approval"]["status"] == "waiting"
        await resume(house, id)
        await house.workflows.runs.perform(id, "call", {"status": 200})
        frames = await stream.end()
    assert frames[-1]["data"]["run"]["status"] == "success"
    assert "executionState" not in frames[-1]["data"]["run"]
    assert "approval" in [frame["data"]["event"]["nodeId"] for frame in frames[1:]]


async def test_a_revoked_key_ends_its_stream(house: House) -> None:
    id, _ = await waiting(house)
    async with opened(house, f"/v1/runs/run_{id}/stream", authorization="Bearer b3sk_reader") as stream:
        await stream.at_least(1)
        del house.world.access.bearers["b3sk_reader"]
        assert len(await stream.end()) == 1

"""The change feed: exact resumption at every cut, filters, slow readers, heartbeats, outages, and the end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from gesta.access.model import AccountType, Environment
from gesta.apis.common.services import Limits
from gesta.apis.native import hub
from gesta.kernel.errors import Unavailable
from gesta.ledger.records import NewEvent, Status, Transition
from gesta.testing import rows
from tests.wire.native.house import House

MINE = {"Authorization": "Bearer gst_mine"}


async def account_of(house: Any, name: str = "Sim101") -> int:
    account = await house.access.ensure_account(1, name, AccountType.TRADING)
    number: int = account.id
    return number


async def append(house: Any, *numbers: int, account: str = "Sim101") -> None:
    account_id = await account_of(house, account)
    await house.ledger.append(1, [rows.fill(number, account=account_id) for number in numbers])


async def test_golden_stream(house: Any, fill: dict[str, Any]) -> None:
    async with house.stream() as stream:
        assert await stream.block() == {
            "retry": "2000",
            "id": "0",
            "event": "ready",
            "data": '{"head":0,"after":0}',
        }
        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        transport = httpx.ASGITransport(house.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gesta.test", headers=MINE) as client:
            await client.post("/ledger/executions", json=fill)
            block = await stream.block()
            assert (block["id"], block["event"]) == ("1", "execution.recorded")
            data = json.loads(block["data"])
            assert data["seq"] == 1
            assert data["event"]["to_status"] == "succeeded"
            assert data["execution"] == (await client.get(f"/ledger/executions/{fill['id']}")).json()


async def test_it_starts_now_or_where_it_is_told(house: Any) -> None:
    await append(house, *range(5))
    async with house.stream() as now, house.stream(after=0) as all_, house.stream(after=3) as later:
        assert json.loads((await now.block())["data"]) == {"head": 5, "after": 5}
        assert [(await all_.event())[0] for _ in range(5)] == [1, 2, 3, 4, 5]
        assert (await later.event())[0] == 4
        await append(house, 7)
        assert (await now.event())[0] == 6
        assert (await all_.event())[0] == 6
    async with house.stream(after=0, headers={"Last-Event-ID": "4"}) as resumed:
        assert (await resumed.event())[0] == 5
    assert house.app.state.hub.subscriber_count == 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(0, 6), min_size=1, max_size=12),
    bursts=st.lists(st.integers(0, 6), min_size=1, max_size=12),
    ring=st.integers(1, 8),
)
async def test_cut_anywhere_and_resumed_the_stream_is_the_feed(
    limits: Limits, monkeypatch: pytest.MonkeyPatch, cuts: list[int], bursts: list[int], ring: int
) -> None:
    """Small rings make every reader fall behind; each connection takes some items and goes away."""
    monkeypatch.setattr(hub, "RING_ITEMS", ring)
    monkeypatch.setattr(hub, "CATCH_UP_ITEMS", 2)
    house = House(limits)
    seen: list[int] = []
    recorded = 0
    for place in range(max(len(cuts), len(bursts))):
        burst = bursts[place % len(bursts)]
        last = seen[-1] if seen else 0
        async with house.stream(after=0, headers={"Last-Event-ID": str(last)} if seen else {}) as stream:
            await append(house, *range(recorded, recorded + burst))
            recorded += burst
            for _ in range(min(cuts[place % len(cuts)], recorded - len(seen))):
                seen.append((await stream.event())[0])
    async with house.stream(after=seen[-1] if seen else 0) as stream:
        while len(seen) < recorded:
            seen.append((await stream.event())[0])
    assert seen == [item.event.seq for item in await house.ledger.feed(1, after_seq=0, limit=10_000)]


async def test_a_slow_reader_holds_nobody_up_and_loses_nothing(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "RING_ITEMS", 4)
    async with house.stream(after=0) as slow, house.stream(after=0) as quick:
        await slow.block()
        slow.reading.clear()
        for number in range(50):
            await append(house, number)
            assert (await quick.event())[0] == number + 1
        slow.reading.set()
        assert [(await slow.event())[0] for _ in range(50)] == list(range(1, 51))


async def test_filters(house: Any) -> None:
    sim, other = await account_of(house), await account_of(house, "Other")
    tested = (await house.access.ensure_account(1, "Run", AccountType.LINKED, Environment.TEST)).id
    queries: dict[str, dict[str, Any]] = {
        "kind": {"kind": "executor"},
        "status": {"status": "stopping,failed"},
        "account": {"account": "sim101"},
        "environment": {"environment": "test"},
        "type": {"account_type": "trading", "kind": "executor,run"},
        "source": {"source": "venue"},
    }
    streams = {name: house.stream(after=0, **query) for name, query in queries.items()}
    for stream in streams.values():
        await stream.__aenter__()
    await house.ledger.append(1, [rows.fill(0, account=sim), rows.executor(1, account=other)])
    await house.ledger.append(1, [rows.run(2, account=tested)])
    await house.ledger.transition(
        1, "executor1", Transition(status=Status.STOPPING, event=NewEvent(type="execution.stopping"))
    )
    await house.ledger.note(1, "executor1", [NewEvent(type="note")])
    expected = {
        "kind": [2, 4, 5],
        "status": [4],
        "account": [1],
        "environment": [3],
        "type": [2, 4, 5],
        "source": [1],
    }
    for name, seqs in expected.items():
        assert [(await streams[name].event())[0] for _ in seqs] == seqs, name
    for stream in streams.values():
        await stream.__aexit__()


async def test_a_key_hears_its_environment_and_its_account_only(house: Any) -> None:
    for name in ("One", "Two"):
        for environment in Environment:
            account = await house.access.ensure_account(1, name, AccountType.LINKED, environment)
            await house.ledger.append(1, [rows.run(account.id, account=account.id)])
    for headers, expected in (
        ({"x-api-key": "tk_test"}, [2, 4]),
        ({"x-api-key": "tk_test", "linked_account_id": "two"}, [4]),
        ({"x-api-key": "pk_live", "linked_account_id": "one"}, [1]),
    ):
        stream = house.stream(after=0, headers=headers, anonymous=True)
        async with stream:
            assert [(await stream.event())[0] for _ in expected] == expected


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ({"after": "x"}, {}),
        ({"after": -1}, {}),
        ({"after": 1}, {}),
        ({"after": 10**30}, {}),
        ({"status": "gone"}, {}),
        ({"since": 1}, {}),
        ({}, {"Last-Event-ID": "abc"}),
        ({}, {"Last-Event-ID": "-1"}),
        ({}, {"Last-Event-ID": "7"}),
        ({}, {"Last-Event-ID": "9" * 40}),
    ],
)
async def test_bad_positions_are_400(house: Any, query: dict[str, Any], headers: dict[str, str]) -> None:
    async with house.stream(**query, headers=headers) as stream:
        await stream.finished()
        assert stream.status == 400
        assert stream.headers["content-type"] == "application/problem+json"


async def test_an_event_type_cannot_forge_a_frame(house: Any) -> None:
    await append(house, 1)
    await house.ledger.note(1, rows.fill(1).id, [NewEvent(type="a\ndata: b\r\nid: 9")])
    async with house.stream(after=1) as stream:
        assert (await stream.event())[0] == 2


class TestHeartbeat:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(stream_heartbeat_s=0.02)

    async def test_comments(self, house: Any) -> None:
        async with house.stream() as stream:
            await stream.block()
            assert await stream.block() == {"": "heartbeat"}
            assert await stream.block() == {"": "heartbeat"}

    async def test_a_revoked_credential_ends_its_stream(self, house: Any) -> None:
        async with house.stream() as stream:
            await stream.block()
            del house.access.bearers["gst_mine"]
            while (block := await stream.block()).get("") == "heartbeat":
                pass
            assert block["event"] == "problem"
            assert json.loads(block["data"])["status"] == 401
            assert await stream.block() == {}

    async def test_an_outage_is_waited_out(self, house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hub, "RETRY_S", 0.01)
        failing = asyncio.Event()
        feed = house.services.reading.feed

        async def broken(*arguments: Any, **named: Any) -> Any:
            failing.set()
            raise Unavailable("gone")

        async with house.stream(after=0) as stream:
            await stream.block()
            monkeypatch.setattr(house.services.reading, "feed", broken)
            await append(house, 1, 2, 3)
            await failing.wait()
            house.access.is_down = True
            monkeypatch.setattr(house.services.reading, "feed", feed)
            house.access.is_down = False
            assert [(await stream.event())[0] for _ in range(3)] == [1, 2, 3]

    async def test_a_websocket_hears_heartbeats_and_the_end_of_its_credential(self, house: Any) -> None:
        with TestClient(house.app) as client, client.websocket_connect("/ledger/stream", headers=MINE) as socket:
            assert socket.receive_json() == {"type": "ready", "head": 0, "after": 0}
            assert socket.receive_json() == {"type": "heartbeat", "seq": 0}
            del house.access.bearers["gst_mine"]
            while (message := socket.receive())["type"] == "websocket.send":
                assert "heartbeat" in message["text"]
            assert message["code"] == 1008


async def test_closing_ends_every_stream(house: Any) -> None:
    async with house.stream(after=0) as first, house.stream() as second:
        await append(house, 1)
        assert (await first.event())[0] == 1
        await house.app.state.close()
        assert await second.block()
        while await second.block():
            pass
        assert first.ended
        assert second.ended
    async with house.stream(after=0) as late:
        await late.finished()
        assert late.status == 503
    await house.app.state.close()


async def test_a_thousand_subscribers_each_get_everything(house: Any) -> None:
    streams = [house.stream(after=0) for _ in range(1000)]
    for stream in streams:
        await stream.__aenter__()
    for stream in streams:
        await stream.block()
    await append(house, *range(20))
    for stream in streams:
        assert [(await stream.event())[0] for _ in range(20)] == list(range(1, 21))
    for stream in streams:
        await stream.__aexit__()
    assert house.app.state.hub.subscriber_count == 0


async def test_websocket(house: Any) -> None:
    await append(house, 1, 2)
    with TestClient(house.app) as client:
        with client.websocket_connect("/ledger/stream?after=0&kind=fill", headers=MINE) as socket:
            assert socket.receive_json() == {"type": "ready", "head": 2, "after": 0}
            first, second = socket.receive_json(), socket.receive_json()
            assert (first["seq"], second["seq"]) == (1, 2)
            assert set(first) == {"seq", "event", "execution"}
            socket.send_json({"type": "ping"})
            assert socket.receive_json() == {"type": "pong"}
            for text in ("ping", "", "{", "[]", "\0", '"ping"', "[" * 5000):
                socket.send_text(text)
                assert socket.receive_json()["type"] in ("error", "pong")
            socket.send_bytes(b"\xff")
            assert socket.receive_json()["type"] == "error"
        with client.websocket_connect("/ledger/stream", headers={**MINE, "Last-Event-ID": "1"}) as socket:
            socket.receive_json()
            assert socket.receive_json()["seq"] == 2


async def test_websocket_refusals(house: Any) -> None:
    cases = [("", {}, 401), ("", {"Authorization": "Bearer x"}, 401), ("?after=9", MINE, 400), ("?a=1", MINE, 400)]
    with TestClient(house.app) as client:
        for query, headers, status in cases:
            with (
                pytest.raises(WebSocketDenialResponse) as refused,
                client.websocket_connect(f"/ledger/stream{query}", headers=headers),
            ):
                pass
            assert refused.value.status_code == status
            assert refused.value.json()["status"] == status


class TestLargeMessage:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(websocket_frame_bytes=100)

    async def test_it_closes_the_socket(self, house: Any) -> None:
        with TestClient(house.app) as client, client.websocket_connect("/ledger/stream", headers=MINE) as socket:
            socket.receive_json()
            socket.send_text("x" * 101)
            with pytest.raises(WebSocketDisconnect) as ended:
                socket.receive_json()
            assert ended.value.code == 1009

"""The WebSocket: RPC, ping, mistakes, limits, and one connection per credential."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from gesta.apis.common.services import Limits

STREAM = "/ws/stream"
MINE = {"Authorization": "Bearer gst_mine"}
LIST_CALL = {"action": "rpc", "id": 1, "api": "ListExecutions", "args": {"account": "Sim101"}}
EMPTY = {"id": 1, "data": {"executions": [], "success": True}}


@pytest.fixture
def limits() -> Limits:
    return Limits(websocket_frame_bytes=20_000)


@contextmanager
def connected(house: Any) -> Iterator[WebSocketTestSession]:
    with TestClient(house.app) as client, client.websocket_connect(STREAM, headers=MINE) as socket:
        yield socket


def call(api: str, **args: Any) -> dict[str, Any]:
    return {"action": "rpc", "id": "r", "api": api, "args": args}


async def test_every_command_answers_what_rest_answers(house: Any, client: Any) -> None:
    await house.post(house.fill("a|1", orderId="o/1"), house.fill("b", ago_s=5000))
    base = "/v1/api/accounts"
    pairs = [
        (call("ListAccounts"), base),
        (call("ListExecutions", account="sim101"), f"{base}/sim101/executions"),
        (call("ListExecutions", account="Sim101", lookbackTime=60), f"{base}/Sim101/executions?lookbackTime=60"),
        (call("ListExecutions", account="Sim101", lookbackTime="60"), f"{base}/Sim101/executions?lookbackTime=60"),
        (call("ListExecutions", account="Sim101", limit=1), f"{base}/Sim101/executions?limit=1"),
        (call("ListExecutions", account="Sim101", **{"from": 0}), f"{base}/Sim101/executions?from=0"),
        (call("GetExecution", account="Sim101", executionId="a|1"), f"{base}/Sim101/executions/a%7C1"),
        (call("GetExecution", account="Sim101", executionId=7), f"{base}/Sim101/executions/7"),
        (call("GetExecutionsByOrderId", account="Sim101", orderId="o/1"), f"{base}/Sim101/orders/o%2F1/executions"),
        (call("ListExecutions", account="Rival1"), f"{base}/Rival1/executions"),
        (call("ListExecutions", account="Sim101", limit=0), f"{base}/Sim101/executions?limit=0"),
    ]
    with connected(house) as socket:
        for frame, path in pairs:
            socket.send_json(frame)
            reply = socket.receive_json()
            body = (await client.get(path)).json()
            assert reply["id"] == "r"
            assert reply["data"] == body, path
            assert reply.get("error") == body.get("error")


async def test_ping(house: Any) -> None:
    with connected(house) as socket:
        socket.send_json({"action": "ping"})
        assert socket.receive_json() == {"type": "pong"}


@pytest.mark.parametrize("frame_id", ["req-1", 1, 1.5, None, "", True, "ü" * 1000])
async def test_the_id_is_echoed(house: Any, frame_id: Any) -> None:
    with connected(house) as socket:
        socket.send_json({**LIST_CALL, "id": frame_id})
        assert socket.receive_json() == {**EMPTY, "id": frame_id}
        socket.send_json({"action": "rpc", "id": frame_id, "api": "Nothing"})
        assert socket.receive_json()["id"] == frame_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "nonsense",
        "null",
        "1",
        '"rpc"',
        "[]",
        '[{"action": "ping"}]',
        "{}",
        '{"action": null}',
        '{"action": 1}',
        '{"action": {"a": 1}}',
        '{"action": "rpc"}',
        '{"action": "rpc", "api": 5}',
        '{"action": "rpc", "api": "ListExecutions"}',
        '{"action": "rpc", "api": "ListExecutions", "args": []}',
        '{"action": "rpc", "api": "ListExecutions", "args": "Sim101"}',
        '{"action": "rpc", "api": "ListExecutions", "args": {"account": ""}}',
        '{"action": "rpc", "api": "ListExecutions", "args": {"account": ["Sim101"]}}',
        '{"action": "rpc", "api": "ListExecutions", "args": {"account": true}}',
        '{"action": "rpc", "api": "ListExecutions", "args": {"account": "Sim101", "lookbackTime": 0}}',
        '{"action": "rpc", "api": "ListExecutions", "args": {"account": "Sim101", "lookbackTime": -1}}',
        '{"action": "rpc", "api": "ListExecutions", "args": {"account": "Sim101", "lookbackTime": 1.5}}',
        '{"action": "rpc", "api": "ListExecutions", "args": {"account": "Sim101", "lookbackTime": true}}',
        '{"action": "rpc", "api": "ListExecutions", "args": {"account": "Sim101", "lookbackTime": {}}}',
        '{"action": "rpc", "api": "ListExecutions", "args": {"account": "Sim101", "lookbackTime": 1e99}}',
        '{"action": "rpc", "api": "ListExecutions", "args": {"account": "Sim101", "cursor": 5}}',
        '{"action": "rpc", "api": "ListExecutions", "args": {"account": "Sim101", "from": [1]}}',
        '{"action": "rpc", "api": "ListExecutions", "args": {"account": "Sim101", "to": 1e300}}',
        '{"action": "rpc", "api": "GetExecution", "args": {"account": "Sim101"}}',
        '{"action": "rpc", "api": "GetExecution", "args": {"account": "Sim101", "executionId": null}}',
        '{"action": "rpc", "api": "GetExecution", "args": {"account": "Sim101", "executionId": 1.5}}',
        '{"action": "ping", "id": {"deep": 1}}',
        '{"action": "ping", "x": "\\ud800"}',
        '{"action": "ping", "x": NaN}',
        '{"action": "ping", "x": Infinity}',
        "[" * 10_000,
        '{"action": "ping", "x": ' + "[" * 9000 + "]" * 9000 + "}",
    ],
)
async def test_a_bad_frame_gets_an_error_and_the_connection_lives(house: Any, text: str) -> None:
    with connected(house) as socket:
        socket.send_text(text)
        reply = socket.receive_json()
        assert reply["id"] is None
        assert reply["error"] == "Invalid request"
        assert (reply["data"]["success"], reply["data"]["error"]) == (False, "Invalid request")
        assert reply["data"]["detail"]
        socket.send_json(LIST_CALL)
        assert socket.receive_json() == EMPTY


@pytest.mark.parametrize(
    ("frame", "error", "meant"),
    [
        ({"action": "prc"}, "unknown_action", "rpc"),
        ({"action": "Ping"}, "unknown_action", "ping"),
        ({"action": "x" * 10_000}, "unknown_action", None),
        ({"action": "rpc", "api": "ListExecution"}, "unknown_api", "ListExecutions"),
        ({"action": "rpc", "api": "listexecutions"}, "unknown_api", "ListExecutions"),
        ({"action": "rpc", "api": "GetFill"}, "unknown_api", None),
        ({"action": "rpc", "api": ""}, "unknown_api", None),
    ],
)
async def test_an_unknown_name_is_told_the_closest(house: Any, frame: Any, error: str, meant: str | None) -> None:
    with connected(house) as socket:
        socket.send_json(frame)
        reply = socket.receive_json()
        assert reply["error"] == error
        assert reply["did_you_mean"] == reply["data"]["did_you_mean"]
        assert meant in (None, reply["did_you_mean"])


async def test_a_binary_frame_gets_an_error(house: Any) -> None:
    with connected(house) as socket:
        socket.send_bytes(b'{"action": "ping"}')
        assert socket.receive_json()["error"] == "Invalid request"


@pytest.mark.parametrize("text", ["x" * 20_001, "ü" * 10_001])
async def test_a_frame_above_the_bound_closes_the_connection(house: Any, text: str) -> None:
    with connected(house) as socket:
        socket.send_text(text)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == 1009


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}])
async def test_the_upgrade_is_refused_without_a_token(house: Any, headers: dict[str, str]) -> None:
    with (
        TestClient(house.app) as client,
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect(STREAM, headers=headers),
    ):
        raise AssertionError("the upgrade must not succeed")
    assert refused.value.status_code == 401
    assert refused.value.json()["error"] == "unauthorized"
    assert refused.value.headers["www-authenticate"] == "Bearer"


async def test_the_upgrade_is_refused_while_the_database_is_away(house: Any) -> None:
    house.access.is_down = True
    with (
        TestClient(house.app) as client,
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect(STREAM, headers=MINE),
    ):
        raise AssertionError("the upgrade must not succeed")
    assert refused.value.status_code == 503


async def test_rest_and_rpc_share_one_bucket(house: Any, client: Any) -> None:
    house.access.refuse_after["crosstrade"] = 2
    assert (await client.get("/v1/api/accounts")).status_code == 200
    with connected(house) as socket:
        socket.send_json(LIST_CALL)
        assert socket.receive_json() == EMPTY
        socket.send_json(LIST_CALL)
        reply = socket.receive_json()
        assert (reply["id"], reply["error"]) == (1, "Rate limit exceeded")
        assert reply["data"]["retryAfter"] == 1
        socket.send_json({"action": "ping"})
        assert socket.receive_json() == {"type": "pong"}


async def test_ten_violations_in_a_row_close_the_connection(house: Any) -> None:
    with connected(house) as socket:
        house.access.refuse_after["crosstrade"] = 0
        for _ in range(9):
            socket.send_json(LIST_CALL)
            assert socket.receive_json()["error"] == "Rate limit exceeded"
        house.access.refuse_after["crosstrade"] = 1
        socket.send_json(LIST_CALL)
        assert socket.receive_json() == EMPTY
        for _ in range(10):
            socket.send_json(LIST_CALL)
            assert socket.receive_json()["error"] == "Rate limit exceeded"
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == 1008


async def test_a_revoked_token_stops_working_on_an_open_connection(house: Any) -> None:
    with connected(house) as socket:
        house.access.bearers.clear()
        socket.send_json(LIST_CALL)
        assert socket.receive_json()["error"] == "unauthorized"
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == 1008


async def test_a_newer_connection_of_the_credential_closes_the_older(house: Any) -> None:
    with TestClient(house.app) as client, client.websocket_connect(STREAM, headers=MINE) as older:
        older.send_json({"action": "ping"})
        assert older.receive_json() == {"type": "pong"}
        rival = {"Authorization": "Bearer gst_rival"}
        with client.websocket_connect(STREAM, headers=rival), client.websocket_connect(STREAM, headers=MINE) as newer:
            with pytest.raises(WebSocketDisconnect) as closed:
                older.receive_json()
            assert (closed.value.code, closed.value.reason) == (1008, "Session active elsewhere")
            newer.send_json(LIST_CALL)
            assert newer.receive_json() == EMPTY


async def test_what_nobody_foresaw_is_an_error_frame(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret internals")

    monkeypatch.setattr(house.ledger, "seek", broken)
    with connected(house) as socket:
        socket.send_json(LIST_CALL)
        reply = socket.receive_json()
        assert (reply["id"], reply["error"]) == (1, "internal_error")
        assert "secret" not in str(reply)
        socket.send_json({"action": "ping"})
        assert socket.receive_json() == {"type": "pong"}

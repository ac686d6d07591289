"""The WebSocket on a real socket, under uvicorn as it is deployed: refusals, replacement, broken peers."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.frames import Frame, Opcode

MINE = {"Authorization": "Bearer gst_mine"}
PING = json.dumps({"action": "ping"})
LIST_CALL = json.dumps({"action": "rpc", "id": 1, "api": "ListExecutions", "args": {"account": "Sim101"}})


@pytest.fixture
async def url(house: Any) -> AsyncIterator[str]:
    # Listening from here on: a connection waits in the backlog until the server takes it.
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(house.app, ws="websockets-sansio", lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    yield f"ws://127.0.0.1:{listening.getsockname()[1]}/ws/stream"
    server.should_exit = True
    await serving


async def closing(peer: ClientConnection) -> tuple[int, str]:
    with pytest.raises(ConnectionClosedError):
        await peer.recv()
    assert peer.close_code is not None
    return peer.close_code, peer.close_reason or ""


async def test_no_token_is_a_401_before_the_upgrade(url: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, additional_headers=headers)
        response = refused.value.response
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert json.loads(response.body or b"")["error"] == "unauthorized"


async def test_rpc_and_ping(house: Any, url: str) -> None:
    await house.post(house.fill("a"))
    async with connect(url, additional_headers=MINE) as peer:
        await peer.send(PING)
        assert json.loads(await peer.recv()) == {"type": "pong"}
        await peer.send(LIST_CALL)
        assert json.loads(await peer.recv())["data"]["executions"][0]["id"] == "a"


async def test_the_newer_connection_stays(url: str) -> None:
    async with connect(url, additional_headers=MINE) as older, connect(url, additional_headers=MINE) as newer:
        assert await closing(older) == (1008, "Session active elsewhere")
        await newer.send(PING)
        assert json.loads(await newer.recv()) == {"type": "pong"}


async def test_a_frame_above_the_bound(house: Any, url: str) -> None:
    async with connect(url, additional_headers=MINE) as peer:
        await peer.send("x" * (house.services.limits.websocket_frame_bytes + 1))
        assert (await closing(peer))[0] == 1009


async def test_text_that_is_not_utf8(url: str) -> None:
    async with connect(url, additional_headers=MINE) as peer:
        peer.transport.write(Frame(Opcode.TEXT, b"\xff\xfe").serialize(mask=True))
        assert (await closing(peer))[0] == 1007


async def test_half_a_frame_and_gone(url: str) -> None:
    async with connect(url, additional_headers=MINE) as peer:
        peer.transport.write(Frame(Opcode.TEXT, LIST_CALL.encode()).serialize(mask=True)[:10])
        peer.transport.abort()
    async with connect(url, additional_headers=MINE) as peer:
        await peer.send(PING)
        assert json.loads(await peer.recv()) == {"type": "pong"}


async def test_gone_while_being_answered(house: Any, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, gone = asyncio.Event(), asyncio.Event()
    seek = house.ledger.seek

    async def slow(*args: Any, **named: Any) -> Any:
        asked.set()
        await gone.wait()
        return await seek(*args, **named)

    monkeypatch.setattr(house.ledger, "seek", slow)
    peer = await connect(url, additional_headers=MINE)
    await peer.send(LIST_CALL)
    await asked.wait()
    peer.transport.abort()
    await peer.wait_closed()
    gone.set()
    async with connect(url, additional_headers=MINE) as again:
        await again.send(LIST_CALL)
        assert json.loads(await again.recv())["id"] == 1


async def test_replaced_while_being_answered(house: Any, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, replaced = asyncio.Event(), asyncio.Event()
    seek = house.ledger.seek

    async def slow(*args: Any, **named: Any) -> Any:
        asked.set()
        await replaced.wait()
        return await seek(*args, **named)

    monkeypatch.setattr(house.ledger, "seek", slow)
    async with connect(url, additional_headers=MINE) as older:
        await older.send(LIST_CALL)
        await asked.wait()
        async with connect(url, additional_headers=MINE) as newer:
            assert (await closing(older))[0] == 1008
            replaced.set()
            await newer.send(LIST_CALL)
            assert json.loads(await newer.recv())["id"] == 1

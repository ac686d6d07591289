"""From an order over REST to what the WebSocket pushes: the whole server, its paper venue, embedded SQLite."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from gesta.access.model import AccountType
from gesta.app.settings import load_settings
from tests.integration.test_server import QUICK, Running, running

PATIENCE_S = 20
QUOTE = {"instrument": "BTC-USDT", "bid": "60000", "ask": "60001", "bid_size": "5", "ask_size": "5"}


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Running]:
    overrides = {
        **QUICK,
        "database.url": str(tmp_path / "ledger.sqlite3"),
        "trading.market": "none",
        "trading.fees": "zero",
    }
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(running(load_settings(overrides=overrides, environ={})))
        await made.server.core.access.ensure_account(made.made.organization.id, "Sim101", AccountType.TRADING)
        yield made


async def hear(peer: websockets.ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        said: dict[str, Any] = json.loads(await peer.recv())
        return said


async def ask(peer: websockets.ClientConnection, **frame: Any) -> dict[str, Any]:
    await peer.send(json.dumps(frame))
    return await hear(peer)


async def push(client: httpx.AsyncClient, live: Running, **fields: Any) -> None:
    answer = await client.post("/ledger/market/data", json=[QUOTE | fields], headers=live.bearer)
    assert answer.status_code == 200, answer.text


async def test_an_order_its_fill_and_its_position_reach_the_subscriber(live: Running) -> None:
    url = f"ws://127.0.0.1:{live.port}/ws/stream"
    async with live.client() as client, websockets.connect(url, additional_headers=live.bearer, proxy=None) as peer:
        await push(client, live)
        ack = await ask(peer, action="subscribe", events=["orders", "executions", "positions"])
        assert ack["status"] == "subscribed"
        assert await hear(peer) == {"type": "status", "state": "ready", "seq": 1}
        body = {"instrument": "BTC-USDT", "action": "BUY", "quantity": 1, "orderType": "MARKET", "timeInForce": "DAY"}
        placed = await client.post("/v1/api/accounts/Sim101/orders/place", json=body, headers=live.bearer)
        assert placed.status_code == 200, placed.text
        order_id = placed.json()["orderId"]
        frames: list[dict[str, Any]] = []
        while not frames or frames[-1]["type"] != "positionUpdate":
            frames.append(await hear(peer))
        assert [frame["seq"] for frame in frames] == list(range(2, len(frames) + 2))
        kinds = [frame["type"] for frame in frames]
        assert kinds.index("executionUpdate") < kinds.index("positionUpdate")
        execution = frames[kinds.index("executionUpdate")]["execution"]
        assert (execution["orderId"], execution["position"], execution["isInitialEntry"]) == (order_id, 1, True)
        orders = [frame["order"] for frame in frames if frame["type"] == "orderUpdate"]
        assert (orders[-1]["orderId"], orders[-1]["orderState"]) == (order_id, "Filled")
        position = frames[-1]["position"]
        assert (position["marketPosition"], position["quantity"]) == ("Long", 1)
        # What was pushed is what REST reads.
        path = f"/v1/api/accounts/Sim101/executions/{execution['id']}"
        assert (await client.get(path, headers=live.bearer)).json() == {**execution, "success": True}
        assert (
            await ask(
                peer, action="rpc", id=1, api="GetExecution", args={"account": "Sim101", "executionId": execution["id"]}
            )
        )["data"]["id"] == execution["id"]


async def test_market_data_and_pnl_of_the_real_desks(live: Running) -> None:
    url = f"ws://127.0.0.1:{live.port}/ws/stream"
    async with live.client() as client, websockets.connect(url, additional_headers=live.bearer, proxy=None) as peer:
        assert (await ask(peer, action="subscribe", instruments=["btc-usdt", "ES"], interval=100))[
            "status"
        ] == "subscribed"
        await push(client, live)
        frame = await hear(peer)
        (row,) = frame["quotes"]
        assert (frame["seq"], row["instrument"], row["bid"], row["ask"]) == (1, "BTC-USDT", 60000.0, 60001.0)
        await push(client, live, bid="60010", ask="60011")
        frame = await hear(peer)
        assert (frame["seq"], frame["quotes"][0]["bid"]) == (2, 60010.0)
        reply = await ask(peer, action="subscribe", instruments=["BTC-USTD"])
        assert reply["error"] == "invalid_instrument"
        assert reply["did_you_mean"]
        assert (await ask(peer, action="streamPnl", interval=1000))["status"] == "subscribed"
        frame = await hear(peer)
        assert (frame["type"], frame["seq"]) == ("pnlUpdate", 3)
        assert [(row["account"], row["netLiquidation"]) for row in frame["accounts"]] == [("Sim101", 100000.0)]

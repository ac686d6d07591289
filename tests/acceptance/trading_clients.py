"""Those who use the server that is killed: a market that is pushed to it, traders, and who watches."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from decimal import Decimal
from typing import Any

import httpx
import websockets

from tests.acceptance.trading_witness import FINAL, Object, TradingWitness

ACCOUNT = "/v1/api/accounts/Sim101"
# Open at any time, and of no expiry. The first is traded; the others have what a restart is asked about.
LOAD, GAP, REST = "BTC-USDT-PERP", "ETH-USDT-PERP", "SOL-USDT-PERP"
TICK = Decimal("0.1")
PATIENCE_S = 20
PAGE = 500


class Client:
    """One server over HTTP, with every answer told to the witness."""

    def __init__(self, http: httpx.AsyncClient, witness: TradingWitness) -> None:
        self.http = http
        self.witness = witness

    async def ask(self, method: str, path: str, **given: Any) -> Any:
        answer = await self.http.request(method, path, **given)
        assert answer.status_code == 200, f"{method} {path} {given}: {answer.status_code} {answer.text}"
        return json.loads(answer.content, parse_float=Decimal)

    async def quote(self, instrument: str, bid: str, ask: str, size: str = "50") -> None:
        row = {"instrument": instrument, "bid": bid, "ask": ask, "bid_size": size, "ask_size": size}
        said = await self.ask("POST", "/ledger/market/data", json=[row])
        assert said["taken"] == 1

    async def place(self, client_id: str, body: Object | None = None) -> str:
        """Without a body, the same again."""
        body = self.witness.bodies[client_id] if body is None else body
        if client_id not in self.witness.acknowledged:
            self.witness.tries(client_id, body)
        said = await self.ask("POST", f"{ACCOUNT}/orders/place", json={**body, "orderId": client_id})
        order_id: str = said["orderId"]
        self.witness.placed(client_id, order_id)
        return order_id

    async def cancel(self, order_id: str) -> None:
        answer = await self.http.post(f"{ACCOUNT}/orders/{order_id}/cancel")
        if answer.status_code == 200:
            self.witness.cancelled.add(order_id)
        else:
            assert "already terminal" in answer.text, answer.text

    async def change(self, order_id: str, **terms: Any) -> None:
        """It may have been filled meanwhile."""
        answer = await self.http.request("PUT", f"{ACCOUNT}/orders/{order_id}/change", json=terms)
        assert answer.status_code < 500, answer.text

    async def order(self, order_id: str) -> Object:
        found: Object = await self.ask("GET", f"{ACCOUNT}/orders/{order_id}")
        return found

    async def final(self, order_id: str) -> Object:
        ends_s = time.monotonic() + PATIENCE_S
        while (order := await self.order(order_id))["orderState"] not in FINAL:
            assert time.monotonic() < ends_s, order
            await asyncio.sleep(0.01)
        return order

    async def listed(self, what: str) -> list[Object]:
        """`orders` or `executions`: all of them."""
        rows: list[Object] = []
        asked: dict[str, Any] = {"limit": PAGE}
        while True:
            said = await self.ask("GET", f"{ACCOUNT}/{what}", params=asked)
            rows += said[what]
            if said["nextCursor"] is None:
                return rows
            asked["cursor"] = said["nextCursor"]

    async def positions(self) -> list[Object]:
        found: list[Object] = (await self.ask("GET", f"{ACCOUNT}/positions"))["positions"]
        return found


# -- the load


async def drive_market(client: Client, moments: random.Random) -> None:
    """A walk, with so little size on each side that orders are filled in parts."""
    middle = 600_000
    while True:
        rows = []
        for _ in range(3):
            middle += moments.randint(-12, 12)
            size = str(Decimal(moments.randint(1, 4)) / 1000)
            bid, ask = str(middle * TICK), str((middle + 1) * TICK)
            rows.append({"instrument": LOAD, "bid": bid, "ask": ask, "bid_size": size, "ask_size": size})
        said = await client.ask("POST", "/ledger/market/data", json=rows)
        assert said["taken"] == len(rows)
        await asyncio.sleep(0.004)


async def trade(client: Client, name: str, moments: random.Random, spoke: asyncio.Event) -> None:
    """One trader, who places, changes and cancels until the server is gone."""
    for number in itertools.count():
        body = order_body(number, moments)
        order_id = await client.place(f"{name}-{number}", body)
        spoke.set()
        if number % 7 == 5:
            await client.cancel(order_id)
        elif number % 7 == 6:
            await client.change(order_id, limitPrice=str(Decimal(body["limitPrice"]) + moments.randint(1, 9)))


def order_body(number: int, moments: random.Random) -> Object:
    """Around 60,000, within what the walk reaches."""
    side = moments.choice(["BUY", "SELL"])
    near = (600_000 + moments.randint(-60, 60)) * TICK
    body = {
        "instrument": LOAD,
        "action": side,
        "quantity": str(Decimal(moments.randint(2, 6)) / 1000),
        "timeInForce": "GTC",
    }
    bracket = {"stopLossTicks": moments.randint(20, 80), "takeProfitTicks": moments.randint(20, 80)}
    match number % 7:
        case 0:
            return {**body, "orderType": "MARKET", **bracket}
        case 1:
            return {**body, "orderType": "LIMIT", "limitPrice": str(near), **bracket}
        case 2:
            return {**body, "orderType": "STOPMARKET", "stopPrice": str(near)}
        case 3:
            return {**body, "orderType": "MARKET"}
        case 4:
            return {**body, "orderType": "STOPMARKET", "stopPrice": str(near), **bracket}
        case _:
            return {**body, "action": "BUY", "orderType": "LIMIT", "limitPrice": str(near - 50)}


async def watch(client: Client) -> None:
    """Asks for the newest all the time."""
    while True:
        said = await client.ask("GET", f"{ACCOUNT}/executions", params={"limit": 50})
        for fill in said["executions"]:
            client.witness.saw_fill(fill)
        said = await client.ask("GET", f"{ACCOUNT}/orders", params={"limit": 50})
        for order in said["orders"]:
            client.witness.saw_order(order)
        await asyncio.sleep(0.02)


async def listen(client: Client, token: str, heard: asyncio.Event) -> None:
    """Is told over the WebSocket."""
    url = str(client.http.base_url).replace("http", "ws", 1).rstrip("/") + "/ws/stream"
    headers = {"Authorization": f"Bearer {token}"}
    async with websockets.connect(url, additional_headers=headers, proxy=None) as peer:
        await peer.send(json.dumps({"action": "subscribe", "events": ["orders", "executions"]}))
        async for message in peer:
            frame = json.loads(message, parse_float=Decimal)
            heard.set()
            if frame.get("type") == "executionUpdate":
                client.witness.saw_fill(frame["execution"])
            elif frame.get("type") == "orderUpdate":
                client.witness.saw_order(frame["order"])

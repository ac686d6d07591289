"""Clients of a trading server that is going to be killed, and what they were told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from typing import Any

import httpx
import websockets

# Prices that move by ticks around these: (instrument, price, tick, quantity of one).
MARKETS = (("ES 12-26", 6900.0, 0.25, 1.0), ("BTC-USDT-PERP", 95_000.0, 0.1, 0.01))
SUBSCRIBED = {"action": "subscribe", "events": ["orders", "executions", "positions"]}
# The server is gone, in the middle of whatever it was.
GONE = (httpx.TransportError, websockets.ConnectionClosed, OSError)


class Told:
    """What the server acknowledged and pushed, over all its lives."""

    def __init__(self) -> None:
        self.orders: dict[str, str] = {}  # client id → order id
        self.unanswered: dict[str, dict[str, Any]] = {}  # client id → the placement under way
        self.cancelled: set[str] = set()
        self.busted: set[str] = set()
        self.busting: set[str] = set()
        self.fills: dict[str, dict[str, Any]] = {}  # execution id → as it was pushed


class Clients:
    """One life's load: the market, traders, a listener. `told` outlives it."""

    def __init__(self, client: httpx.AsyncClient, told: Told, life: int) -> None:
        self.client = client
        self.told = told
        self.life = life
        self.chance = random.Random(life)
        self.prices = {name: price for name, price, _, _ in MARKETS}
        self.pushed = asyncio.Event()

    async def run(self) -> None:
        """Until the server is gone."""
        await self.move()
        async with asyncio.TaskGroup() as tasks:
            listening = asyncio.Event()
            tasks.create_task(self._until_gone(self.listen(listening)))
            await listening.wait()
            tasks.create_task(self._until_gone(self.market()))
            for number in range(3):
                tasks.create_task(self._until_gone(self.trade(number)))

    @staticmethod
    async def _until_gone(work: Any) -> None:
        with contextlib.suppress(*GONE):
            await work

    async def market(self) -> None:
        while True:
            await self.move()

    async def move(self) -> None:
        rows = []
        for _ in range(3):
            for name, _, tick, size in MARKETS:
                self.prices[name] = round(self.prices[name] + self.chance.randint(-3, 3) * tick, 2)
                bid = self.prices[name]
                rows.append(
                    {
                        "instrument": name,
                        "bid": str(bid),
                        "ask": str(round(bid + tick, 2)),
                        "bid_size": str(size * self.chance.randint(1, 4)),
                        "ask_size": str(size * self.chance.randint(1, 4)),
                    }
                )
        answer = await self.client.post("/ledger/market/data", json=rows)
        assert answer.status_code == 200, answer.text

    async def listen(self, listening: asyncio.Event) -> None:
        url = str(self.client.base_url).replace("http:", "ws:") + "/ws/stream"
        headers = {"Authorization": self.client.headers["Authorization"]}
        seq = 0
        try:
            async with websockets.connect(url, additional_headers=headers, proxy=None, max_queue=None) as peer:
                await peer.send(json.dumps(SUBSCRIBED))
                assert json.loads(await peer.recv())["status"] == "subscribed"
                listening.set()
                async for message in peer:
                    frame = json.loads(message)
                    assert frame["seq"] == seq + 1
                    seq = frame["seq"]
                    if frame["type"] == "executionUpdate":
                        self.heard(frame["execution"])
        finally:
            listening.set()

    def heard(self, execution: dict[str, Any]) -> None:
        id_ = execution["id"]
        known = self.told.fills.get(id_)
        if known is None:
            self.pushed.set()
        else:
            # Told once more only when something was taken back.
            assert self.told.busted | self.told.busting
        self.told.fills[id_] = execution

    async def trade(self, number: int) -> None:
        count = 0
        chance = random.Random(self.life * 10 + number)
        while True:
            count += 1
            client_id = f"{self.life}-{number}-{count}"
            terms = self.terms(chance) | {"orderId": client_id}
            self.told.unanswered[client_id] = terms
            self.acknowledged(client_id, await self.client.post("/v1/api/accounts/Sim101/orders/place", json=terms))
            if chance.random() < 0.25:
                await self.cancel(chance.choice(list(self.told.orders.values())[-20:]))
            if chance.random() < 0.04 and self.told.fills:
                await self.bust(chance.choice(list(self.told.fills)[-10:]))

    def acknowledged(self, client_id: str, answer: httpx.Response) -> None:
        assert answer.status_code == 200, answer.text
        order_id = answer.json()["orderId"]
        assert self.told.orders.setdefault(client_id, order_id) == order_id
        self.told.unanswered.pop(client_id, None)

    def terms(self, chance: random.Random) -> dict[str, Any]:
        name, _, tick, size = chance.choice(MARKETS)
        side = chance.choice(["BUY", "SELL"])
        sign = 1 if side == "BUY" else -1
        terms: dict[str, Any] = {
            "instrument": name,
            "action": side,
            "quantity": round(size * chance.randint(1, 3), 2),
            "orderType": chance.choice(["MARKET", "MARKET", "LIMIT", "LIMIT", "STOPMARKET"]),
            "timeInForce": "GTC",
        }
        price = self.prices[name]
        if terms["orderType"] == "LIMIT":
            terms["limitPrice"] = round(price - sign * tick * chance.randint(-1, 6), 2)
        if terms["orderType"] == "STOPMARKET":
            terms["stopPrice"] = round(price + sign * tick * chance.randint(2, 10), 2)
        if chance.random() < 0.4:
            terms["bracket"] = {"stopLossTicks": chance.randint(2, 9), "takeProfitTicks": chance.randint(2, 9)}
        return terms

    async def cancel(self, order_id: str) -> None:
        answer = await self.client.post(f"/v1/api/accounts/Sim101/orders/{order_id}/cancel")
        assert answer.status_code == 200 or "already terminal" in answer.text, answer.text
        self.told.cancelled.add(order_id)

    async def bust(self, execution_id: str) -> None:
        self.told.busting.add(execution_id)
        answer = await self.client.post(f"/ledger/executions/{execution_id}/bust", json={"reason": "A test."})
        assert answer.status_code in (200, 409), answer.text
        if answer.status_code == 200:
            self.told.busted.add(execution_id)
            self.told.busting.discard(execution_id)

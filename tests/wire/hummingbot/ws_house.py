"""A client of `/ws/executors` that waits for what it is told, and the sub-app on a real socket."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

PATIENCE_S = 20.0
Frame = dict[str, Any]


def token_of(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


class Peer:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def hear(self) -> Frame:
        async with asyncio.timeout(PATIENCE_S):
            said: Frame = json.loads(await self.socket.recv())
        return said

    async def until(self, fits: Callable[[Frame], Any]) -> Frame:
        """The first frame that fits; those before it are passed over."""
        while True:
            frame = await self.hear()
            if fits(frame):
                return frame

    async def ask(self, **message: Any) -> Frame:
        """The answer, which is told from the data frames by not being one."""
        await self.say(**message)
        return await self.until(lambda frame: frame["type"] in ("subscribed", "unsubscribed", "pong", "error"))

    async def subscribe(self, topic: str, **more: Any) -> str:
        reply = await self.ask(action="subscribe", type=topic, **{"update_interval": 0.01, **more})
        assert reply["type"] == "subscribed", reply
        assert reply["subscription_type"] == topic
        subscription_id: str = reply["subscription_id"]
        return subscription_id

    async def data(self, topic: str, fits: Callable[[Any], Any] = lambda data: True) -> Any:
        frame = await self.until(lambda frame: frame["type"] == topic and fits(frame["data"]))
        return frame["data"]

    async def quiet(self) -> list[Frame]:
        """What is told until a ping is answered twice: whatever was due has had its turn by then."""
        told: list[Frame] = []
        for _ in range(2):
            await self.say(action="ping")
            while (frame := await self.hear())["type"] != "pong":
                told.append(frame)
        return told

    async def closed(self) -> tuple[int, list[Frame]]:
        """How it was closed, and what was said before."""
        told: list[Frame] = []
        try:
            while True:
                told.append(await self.hear())
        except ConnectionClosed:
            assert self.socket.close_code is not None
            return self.socket.close_code, told


@asynccontextmanager
async def opened(address: str, user: tuple[str, str]) -> AsyncIterator[Peer]:
    async with connect(f"ws://{address}/ws/executors?token={token_of(*user)}", proxy=None) as socket:
        peer = Peer(socket)
        greeting = await peer.hear()
        assert greeting["type"] == "connected", greeting
        yield peer


@pytest.fixture
def swift(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals as short as a test asks for."""
    monkeypatch.setattr("gesta.apis.hummingbot.ws_frames.MIN_INTERVAL_S", 0.001)


__all__ = ["PATIENCE_S", "Frame", "Peer", "opened", "swift", "token_of"]

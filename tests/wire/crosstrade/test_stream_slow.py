"""Readers that do not read: told what they missed, never in anybody's way, and closed in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from gesta.access.model import Scope
from gesta.apis.crosstrade import stream, stream_session
from gesta.testing.fake_access import principal
from tests.wire.crosstrade.stream_house import StreamHouse, ask, hear, order_update, say, until

EVENTS = ["orders"]
LONG = "x" * 2000


@pytest.fixture
async def open_house(house: Any) -> AsyncIterator[StreamHouse]:
    made = StreamHouse(house)
    made.access.bearers["quick"] = principal(1, Scope.READ, credential_id=77)
    async with made.serving(send_buffer=4096):
        yield made
    assert made.without_listeners()


async def flood(open_house: StreamHouse, quick: ClientConnection, first: int, count: int) -> None:
    """Publish orders of 2 kB; the quick reader takes each before the next."""
    account = await open_house.account()
    for number in range(first, first + count):
        open_house.trading.publish(1, order_update(account, number, LONG))
        assert (await hear(quick))["order"]["orderId"] == f"{number:032x}"


async def test_a_slow_reader_is_told_what_it_missed_and_stalls_nobody(open_house: StreamHouse) -> None:
    async with open_house.connect("quick") as quick, open_house.connect_slowly() as slow:
        for peer in (quick, slow):
            await ask(peer, action="subscribe", events=EVENTS)
            await hear(peer)
        await flood(open_house, quick, 1, 1500)
        frames = [await hear(slow)]
        while frames[-1]["type"] != "resync":
            frames.append(await hear(slow))
        await flood(open_house, quick, 1501, 1)
        last = await hear(slow)
    assert [frame["seq"] for frame in frames] == list(range(2, len(frames) + 2))
    told = [int(frame["order"]["orderId"], 16) for frame in frames[:-1]]
    assert told == list(range(1, len(told) + 1))
    assert len(told) + frames[-1]["dropped"] == 1500
    assert (last["seq"], int(last["order"]["orderId"], 16)) == (len(frames) + 2, 1501)


async def test_replies_are_never_lost(open_house: StreamHouse) -> None:
    account = await open_house.account()
    async with open_house.connect_slowly() as slow:
        await ask(slow, action="subscribe", events=EVENTS)
        await hear(slow)

        async def talk() -> None:
            for number in range(200):
                await say(slow, action="rpc", id=f"{number}:{LONG}", api="Nothing")

        talking = asyncio.create_task(talk())
        for number in range(1500):
            open_house.trading.publish(1, order_update(account, number, LONG))
            if number % 100 == 0:
                await asyncio.sleep(0)
        replies: list[int] = []
        seqs = [1]
        while len(replies) < 200:
            frame = await hear(slow)
            if "seq" in frame:
                seqs.append(frame["seq"])
            else:
                replies.append(int(frame["id"].partition(":")[0]))
        await talking
    assert replies == list(range(200))
    assert seqs == list(range(1, len(seqs) + 1))


async def test_market_data_does_not_pile_up(open_house: StreamHouse) -> None:
    async with open_house.connect("quick") as quick, open_house.connect_slowly() as slow:
        for peer in (quick, slow):
            await ask(peer, action="subscribe", events=EVENTS)
            await hear(peer)
        open_house.market.tick("ES 12-26", 1)
        await ask(slow, action="subscribe", instruments=["ES"], interval=100)
        assert (await hear(slow))["quotes"][0]["bid"] == 0.25
        await flood(open_house, quick, 1, 300)
        for bid in range(2, 12):
            open_house.market.tick("ES 12-26", bid)
            await asyncio.sleep(0.02)
        quotes, orders = [], 0
        while orders < 300:
            frame = await hear(slow)
            orders += frame["type"] == "orderUpdate"
            quotes += frame.get("quotes", [])
        while not quotes:
            quotes += (await hear(slow)).get("quotes", [])
        assert [row["bid"] for row in quotes] == [11 / 4]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CHECK_S", 0.02)
    monkeypatch.setattr(stream, "STALLED_S", 0.1)
    monkeypatch.setattr(stream_session, "CLOSE_S", 0.1)


@pytest.mark.usefixtures("impatient")
async def test_who_takes_nothing_at_all_is_closed(open_house: StreamHouse) -> None:
    account = await open_house.account()
    async with open_house.connect_slowly() as slow:
        await ask(slow, action="subscribe", events=EVENTS)
        for number in range(300):
            open_house.trading.publish(1, order_update(account, number, LONG))
            await asyncio.sleep(0)
        await until(open_house.without_listeners)
        await until(lambda: not open_house.app.state.stream._sessions)


@pytest.mark.usefixtures("impatient")
async def test_a_newer_connection_does_not_wait_for_a_stalled_one(open_house: StreamHouse) -> None:
    account = await open_house.account()
    async with open_house.connect_slowly() as slow:
        await ask(slow, action="subscribe", events=EVENTS)
        for number in range(300):
            open_house.trading.publish(1, order_update(account, number, LONG))
            await asyncio.sleep(0)
        async with open_house.connect() as newer:
            assert await ask(newer, action="ping") == {"type": "pong"}

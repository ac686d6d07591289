"""`/ws/executors` over executors that trade: what is pushed, and when (protocols/hummingbot.md §11.4)."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gesta.apis.hummingbot.ws_frames import MAX_INTERVAL_S
from tests.wire.crosstrade.trading_house import served
from tests.wire.hummingbot.executor_house import POSITION, ExecutorHouse, executor_house
from tests.wire.hummingbot.ws_house import Peer, opened
from tests.wire.hummingbot.ws_house import swift as swift

pytestmark = pytest.mark.usefixtures("swift")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[ExecutorHouse]:
    async with executor_house(tmp_path) as house:
        yield house


@pytest.fixture
async def client(house: ExecutorHouse) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as client:
        yield client


@pytest.fixture
async def address(house: ExecutorHouse) -> AsyncIterator[str]:
    async with served(house.app) as address:
        yield address
    assert len(house.app.state.stream.changes) == 0


@pytest.fixture
async def peer(house: ExecutorHouse, address: str) -> AsyncIterator[Peer]:
    async with opened(address, house.users["trader"]) as peer:
        yield peer


async def test_an_executor_from_birth_to_its_end(house: ExecutorHouse, client: httpx.AsyncClient, peer: Peer) -> None:
    assert await peer.subscribe("executor_detail", executor_id="mine-1") == "executor_detail_mine-1"
    assert await peer.data("executor_detail") is None
    await house.create(client, id="mine-1")
    born = await peer.data("executor_detail")
    assert (born["executor_id"], born["status"], born["close_type"]) == ("mine-1", "RUNNING", None)
    await house.quote("50100")
    await peer.data("executor_detail", lambda data: data["is_trading"] and data["net_pnl_quote"] > 0)
    await house.quote("51500")
    over = await peer.data("executor_detail", lambda data: data["status"] == "TERMINATED")
    assert over == (await client.get("/executors/mine-1")).json()
    assert over["close_type"] == "TAKE_PROFIT"
    # What is over is not changed by prices: nothing waits for one.
    await house.quote("51600")
    assert await peer.quiet() == []


async def test_the_list_of_those_that_fit(house: ExecutorHouse, client: httpx.AsyncClient, peer: Peer) -> None:
    filters = {"status": "RUNNING", "controller_id": "mm"}
    digest = hashlib.md5(b'{"controller_id": "mm", "status": "RUNNING"}', usedforsecurity=False).hexdigest()[:8]
    assert await peer.subscribe("executors", filters=filters) == f"executors_{digest}"
    first = await peer.until(lambda frame: frame["type"] == "executors")
    assert (first["data"], first["total_count"]) == ([], 0)
    await house.create(client, controller_id="other")
    mine = await house.create(client, controller_id="mm")
    frame = await peer.until(lambda frame: frame["type"] == "executors" and frame["data"])
    assert ([row["executor_id"] for row in frame["data"]], frame["total_count"]) == ([mine], 1)
    await house.quote("50100")
    rows = await peer.data("executors", lambda data: data and data[0]["net_pnl_quote"] > 0)
    searched = await client.post("/executors/search", json={"controller_ids": ["mm"], "status": "RUNNING"})
    assert rows == searched.json()["data"]
    await house.quote("51500")
    await peer.data("executors", lambda data: not data)


@pytest.mark.parametrize(
    ("topic", "path", "settled"),
    [
        ("executor_summary", "/executors/summary", lambda data: data["total_active"] == 1),
        ("performance", "/executors/performance", lambda data: data["total_executors"] == 1),
    ],
)
async def test_reports(
    house: ExecutorHouse, client: httpx.AsyncClient, peer: Peer, topic: str, path: str, settled: Any
) -> None:
    await peer.subscribe(topic)
    empty = await peer.data(topic)
    assert empty == (await client.get(path)).json()
    await house.create(client)
    await house.quote("50100")
    await peer.data(topic, settled)
    # A price alone: the row in the ledger has not changed.
    for price in ("50150", "50050"):
        await house.quote(price)
        now = (await client.get(path)).json()
        assert await peer.data(topic, now.__eq__) == now
    await house.quote("51500")
    over = (await client.get(path)).json()
    assert await peer.data(topic, lambda data: data == over) == over


async def test_a_report_of_one_controller(house: ExecutorHouse, client: httpx.AsyncClient, peer: Peer) -> None:
    assert await peer.subscribe("performance", controller_id="mm") == "performance_mm"
    assert await peer.subscribe("performance") == "performance_all"
    await house.create(client, controller_id="other")
    frame = await peer.until(lambda frame: frame["data"]["total_executors"] == 1)
    assert frame["subscription_id"] == "performance_all"
    await house.create(client, controller_id="mm")
    frame = await peer.until(lambda frame: frame["subscription_id"] == "performance_mm")
    frame = (
        frame
        if frame["data"]["total_executors"]
        else await peer.until(
            lambda frame: frame["subscription_id"] == "performance_mm" and frame["data"]["total_executors"]
        )
    )
    assert (frame["data"]["controller_id"], frame["data"]["total_executors"]) == ("mm", 1)


async def test_positions_until_they_are_cleared(house: ExecutorHouse, client: httpx.AsyncClient, peer: Peer) -> None:
    assert await peer.subscribe("positions") == "positions_all"
    assert (await peer.data("positions"))["total_positions"] == 0
    executor_id = await house.create(client)
    await house.quote("50010")
    await client.post(f"/executors/{executor_id}/stop", json={"keep_position": True})
    await house.quote("50020")
    held = await peer.data("positions", lambda data: data["total_positions"] == 1)
    assert held["positions"][0]["executor_ids"] == [executor_id]
    await house.quote("50100")
    now = (await client.get("/executors/positions/summary")).json()
    assert now["total_unrealized_pnl"] > 0
    assert await peer.data("positions", lambda data: data == now) == now
    assert (await client.delete("/executors/positions/binance/BTC-USDT")).status_code == 200
    await peer.data("positions", lambda data: data["total_positions"] == 0)


async def test_a_frame_is_sent_only_when_its_data_changed(
    house: ExecutorHouse, client: httpx.AsyncClient, peer: Peer
) -> None:
    executor_id = await house.create(client)
    await house.quote("50100")
    await peer.subscribe("executor_detail", executor_id=executor_id)
    await peer.data("executor_detail")
    looked = house.app.state.stream.changes
    for _ in range(3):
        await house.quote("50100")
        assert await peer.quiet() == []
    assert len(looked) == 1


async def test_one_reading_for_all_who_look_at_the_same(
    house: ExecutorHouse, client: httpx.AsyncClient, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = house.app.state.stream.changes
    views = changes._views
    seen: list[str] = []
    see = views.see

    async def counted(principal: Any, what: Any) -> Any:
        seen.append(what.topic)
        return await see(principal, what)

    monkeypatch.setattr(views, "see", counted)
    async with opened(address, house.users["trader"]) as one, opened(address, house.users["reader"]) as two:
        for peer in (one, two):
            await peer.subscribe("executor_summary", update_interval=MAX_INTERVAL_S)
            assert (await peer.data("executor_summary"))["total_active"] == 0
        assert len(changes) == 1
        # The second came when the feed's head may have been read: at most once more for that.
        assert len(seen) <= 2
        await house.create(client)
        # The interval bounds it: nobody's turn comes again for a minute.
        assert await one.quiet() == await two.quiet() == []
        assert len(seen) <= 2


async def test_the_organization_of_another(house: ExecutorHouse, client: httpx.AsyncClient, address: str) -> None:
    await house.create(client, id="mine-1", controller_id="mm")
    async with opened(address, house.users["rival"]) as rival:
        await rival.subscribe("executor_detail", executor_id="mine-1")
        assert await rival.data("executor_detail") is None
        await rival.subscribe("executors", filters={"account_name": "master_account"})
        assert await rival.data("executors") == []
        await rival.subscribe("executor_logs", executor_id="mine-1")
        assert await rival.data("executor_logs") == []
        await rival.subscribe("performance", controller_id="mm")
        assert (await rival.data("performance"))["total_executors"] == 0
        await rival.subscribe("executor_summary")
        assert (await rival.data("executor_summary"))["total_active"] == 0
        await rival.subscribe("positions")
        assert (await rival.data("positions"))["positions"] == []
        await house.quote("51500")
        assert await rival.quiet() == []


async def test_unsubscribing_and_subscribing_anew(house: ExecutorHouse, client: httpx.AsyncClient, peer: Peer) -> None:
    subscription_id = await peer.subscribe("executor_summary")
    await peer.data("executor_summary")
    # The same one again takes its place, and begins with what there is.
    assert await peer.subscribe("executor_summary") == subscription_id
    await peer.data("executor_summary")
    reply = await peer.ask(action="unsubscribe", subscription_id=subscription_id)
    assert reply == {"type": "unsubscribed", "subscription_id": subscription_id}
    await house.create(client)
    assert await peer.quiet() == []
    assert len(house.app.state.stream.changes) == 0
    again = await peer.ask(action="unsubscribe", subscription_id=subscription_id)
    assert (again["type"], again["message"]) == ("error", f"No subscription found: {subscription_id}")


async def test_created_and_stopped_by_one_who_listens(
    house: ExecutorHouse, client: httpx.AsyncClient, peer: Peer
) -> None:
    response = await client.post("/executors/", json={"executor_config": POSITION})
    executor_id = response.json()["executor_id"]
    await peer.subscribe("executor_detail", executor_id=executor_id)
    await house.quote("50010")
    await peer.data("executor_detail", lambda data: data["is_trading"])
    await client.post(f"/executors/{executor_id}/stop", json={"keep_position": False})
    await house.quote("50010")
    over = await peer.data("executor_detail", lambda data: data["status"] == "TERMINATED")
    assert over["close_type"] == "EARLY_STOP"

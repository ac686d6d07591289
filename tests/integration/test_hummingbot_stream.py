"""The WebSocket helper of the published client, `hummingbot-api-client`, unmodified, against a whole server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hummingbot_api_client import ExecutorsWebSocket, HummingbotAPIClient

from gesta.access.model import CredentialType, Scope
from gesta.app.build import build
from gesta.app.settings import load_settings
from tests.integration.test_hummingbot_client import CONFIGS, Desk
from tests.wire.crosstrade.trading_house import served

pytestmark = [
    pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning"),
]
PATIENCE_S = 30
POSITION = {
    "type": "position_executor",
    **CONFIGS["position_executor"],
    "triple_barrier_config": {"stop_loss": "0.02", "take_profit": "0.02", "open_order_type": "MARKET"},
}


class Listening(Desk):
    client: HummingbotAPIClient


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listening]:
    monkeypatch.setattr("gesta.apis.hummingbot.ws_frames.MIN_INTERVAL_S", 0.01)
    settings = load_settings(
        overrides={"database.url": f"sqlite:///{tmp_path}/gesta.db", "trading.market": "none", "log.requests": False},
        environ={},
    )
    async with build(settings) as server:
        organization = await server.core.access.create_organization("Desk")
        made = await server.core.access.create_credential(
            organization.id, type=CredentialType.BASIC, scopes=frozenset({Scope.TRADE}), username="admin"
        )
        async with served(server.app) as address:  # type: ignore[arg-type]
            client = HummingbotAPIClient(f"http://{address}", "admin", made.secret)
            await client.init()
            desk = Listening(server, client)
            desk.client = client
            await desk.quote("50000")
            try:
                yield desk
            finally:
                await client.close()


async def until(ws: ExecutorsWebSocket, subscription_id: str, fits: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        async for frame in ws:
            assert frame["type"] != "error", frame
            if frame.get("subscription_id") == subscription_id and fits(frame):
                return dict(frame)
    raise AssertionError("the connection was closed")


async def test_an_executor_is_watched_to_its_end(desk: Listening) -> None:
    # A connection each: the helper takes whatever comes next for the answer to what it asked.
    async with desk.client.ws.executors() as ws, desk.client.ws.executors() as reports:
        assert len(ws.connection_id) == 12
        assert await ws.ping() | {"timestamp": 0} == {"type": "pong", "timestamp": 0}
        listed = await ws.subscribe_executors(0.01, filters={"status": "RUNNING", "connector_name": "binance"})
        assert (await until(ws, listed, lambda frame: True))["total_count"] == 0
        summed = await reports.subscribe_executor_summary(0.01)
        assert (await until(reports, summed, lambda frame: True))["data"]["total_active"] == 0
        executor_id = (await desk.executors.create_executor(POSITION))["executor_id"]
        rows = (await until(ws, listed, lambda frame: frame["total_count"] == 1))["data"]
        assert [row["executor_id"] for row in rows] == [executor_id]
        await until(reports, summed, lambda frame: frame["data"]["total_active"] == 1)
        await desk.quote("50100")
        await until(ws, listed, lambda frame: frame["data"] and frame["data"][0]["net_pnl_quote"] > 0)
        await until(reports, summed, lambda frame: frame["data"]["total_pnl_quote"] > 0)
        await desk.quote("51500")
        await until(ws, listed, lambda frame: frame["total_count"] == 0)
        await until(reports, summed, lambda frame: frame["data"]["total_active"] == 0)


async def test_every_subscription_of_the_helper(desk: Listening) -> None:
    executor_id = (await desk.executors.create_executor(POSITION, controller_id="mm"))["executor_id"]
    await desk.quote("50010")
    await desk.executors.stop_executor(executor_id, keep_position=True)
    over = await desk.until(executor_id, "TERMINATED")
    asked: list[tuple[Callable[[ExecutorsWebSocket], Any], str, Callable[[dict[str, Any]], Any]]] = [
        (
            lambda ws: ws.subscribe_executor_detail(executor_id, 0.5),
            f"executor_detail_{executor_id}",
            lambda frame: frame["data"] == over,
        ),
        (
            lambda ws: ws.subscribe_performance(0.5, controller_id="mm"),
            "performance_mm",
            lambda frame: frame["data"]["active_positions"] == 1,
        ),
        (
            lambda ws: ws.subscribe_positions(0.5, controller_id="mm"),
            "positions_mm",
            lambda frame: frame["data"]["total_positions"] == 1,
        ),
        (
            lambda ws: ws.subscribe_executor_logs(executor_id, 0.5, level="INFO", limit=5),
            f"executor_logs_{executor_id}",
            lambda frame: 2 <= len(frame["data"]) <= 5,
        ),
    ]
    for subscribe, subscription_id, fits in asked:
        async with desk.client.ws.executors() as ws:
            assert await subscribe(ws) == subscription_id
            await until(ws, subscription_id, fits)
            await ws.unsubscribe(subscription_id)


async def test_what_the_helper_is_refused(desk: Listening) -> None:
    async with desk.client.ws.executors() as ws:
        with pytest.raises(RuntimeError, match="no bots"):
            await ws.subscribe_all_bots_status()
        with pytest.raises(RuntimeError, match=r"filters\.status"):
            await ws.subscribe_executors(filters={"status": "ACTIVE"})
        assert (await ws.ping())["type"] == "pong"
    stranger = HummingbotAPIClient(desk.client.base_url, "admin", "wrong")
    await stranger.init()
    try:
        with pytest.raises(RuntimeError, match="WebSocket auth failed: Authentication failed"):
            await stranger.ws.executors().__aenter__()
    finally:
        await stranger.close()

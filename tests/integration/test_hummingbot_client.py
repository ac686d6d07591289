"""The published client, `hummingbot-api-client`, unmodified, against a whole server: it creates, watches, searches and
stops executors that trade."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hummingbot_api_client import HummingbotAPIClient

from gesta.access.model import CredentialType, Scope
from gesta.app.build import Server, build
from gesta.app.settings import load_settings
from gesta.executors.registry import MODULES
from gesta.trading.market import Quote
from tests.wire.crosstrade.trading_house import served

pytestmark = [
    pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning"),
]

SPOT = {"connector_name": "binance", "trading_pair": "BTC-USDT"}
PERPETUAL = {"connector_name": "binance_perpetual", "trading_pair": "BTC-USDT"}
# One of each type, far from anything that would end it, except for what ends by itself.
CONFIGS: dict[str, dict[str, Any]] = {
    "position_executor": {
        **SPOT,
        "side": "BUY",
        "amount": "0.1",
        "triple_barrier_config": {"stop_loss": "0.5", "take_profit": "0.5", "open_order_type": "MARKET"},
    },
    "grid_executor": {
        **PERPETUAL,
        "side": "BUY",
        "start_price": 48000,
        "end_price": 52000,
        "limit_price": 30000,
        "total_amount_quote": 1000,
        "triple_barrier_config": {"take_profit": 0.001},
    },
    "dca_executor": {**SPOT, "side": 1, "amounts_quote": [100, 200], "prices": [40000, 39000], "stop_loss": 0.5},
    "arbitrage_executor": {
        "buying_market": SPOT,
        "selling_market": PERPETUAL,
        "order_amount": "0.1",
        "min_profitability": "0.5",
    },
    "twap_executor": {
        **SPOT,
        "side": "BUY",
        "total_amount_quote": 1000,
        "total_duration": 3600,
        "order_interval": 600,
    },
    "xemm_executor": {
        "buying_market": SPOT,
        "selling_market": PERPETUAL,
        "maker_side": "BUY",
        "order_amount": "0.1",
        "min_profitability": "0.05",
        "target_profitability": "0.1",
        "max_profitability": "0.2",
    },
    "order_executor": {**SPOT, "side": "BUY", "amount": "0.1", "execution_strategy": "LIMIT", "price": 40000},
}


class Desk:
    def __init__(self, server: Server, client: HummingbotAPIClient) -> None:
        self.server = server
        self.executors = client.executors

    async def quote(self, price: str) -> None:
        """Both markets are at a price, one tick wide, and everything that follows is on disk."""
        assert self.server.trading is not None
        market, now_us = self.server.trading.market, self.server.core.clock.now_us()
        for name in ("BTC-USDT", "BTC-USDT-PERP"):
            found = market.resolve(name)
            bid, lots = found.ticks(Decimal(price)), found.lots(Decimal(1000))
            market.on_market(Quote(found.name, bid, bid + 1, lots, lots, now_us, now_us))
        self.server.trading.runner.tick()
        await self.server.trading.engine.idle()

    async def until(self, executor_id: str, status: str) -> dict[str, Any]:
        """The executor once it is there. The market moves on meanwhile: orders are filled by quotes."""
        async with asyncio.timeout(30):
            while True:
                found: dict[str, Any] = await self.executors.get_executor(executor_id)
                if found["status"] == status:
                    return found
                await self.quote("50000")
                await asyncio.sleep(0.02)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
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
            desk = Desk(server, client)
            await desk.quote("50000")
            try:
                yield desk
            finally:
                await client.close()


async def test_executors_of_every_type(desk: Desk) -> None:
    """Created, watched, found and stopped."""
    assert set(CONFIGS) == set(MODULES)
    made = {}
    for type_, config in CONFIGS.items():
        created = await desk.executors.create_executor({"type": type_, **config}, controller_id=f"of {type_}")
        assert (created["executor_type"], created["status"]) == (type_, "RUNNING"), created
        made[type_] = created["executor_id"]
    await desk.quote("50010")
    summary = await desk.executors.get_summary()
    assert (summary["total_active"], summary["by_type"]) == (len(made), dict.fromkeys(summary["by_type"], 1))
    for type_, executor_id in made.items():
        found = await desk.executors.search_executors(executor_types=[type_], status="RUNNING")
        assert [each["executor_id"] for each in found["data"]] == [executor_id]
        found = await desk.executors.search_executors(controller_ids=[f"of {type_}"], account_names=["master_account"])
        assert found["pagination"]["total_count"] == 1
        detail = await desk.executors.get_executor(executor_id)
        assert (detail["status"], detail["is_active"], detail["config"]["type"]) == ("RUNNING", True, type_)
        stopped = await desk.executors.stop_executor(executor_id, keep_position=False)
        assert stopped == {"executor_id": executor_id, "status": "stopping", "keep_position": False}
        over = await desk.until(executor_id, "TERMINATED")
        assert over["close_type"] is not None
        assert over["close_timestamp"] >= over["timestamp"]
        logs = await desk.executors.get_executor_logs(executor_id)
        assert logs["total_count"] >= 2
    assert (await desk.executors.get_summary())["total_active"] == 0
    report = await desk.executors.get_performance_report()
    assert report["by_status"] == {"TERMINATED": len(made)}
    assert [each["executor_type"] for each in report["by_type"]] == sorted(made)


async def test_paging_through_all(desk: Desk) -> None:
    config = {"type": "order_executor", **CONFIGS["order_executor"]}
    made = [(await desk.executors.create_executor(config))["executor_id"] for _ in range(7)]
    for names in (["binance"], ["kucoin", "binance"], None):
        seen: list[str] = []
        cursor = None
        while True:
            page = await desk.executors.search_executors(connector_names=names, cursor=cursor, limit=3)
            seen += [each["executor_id"] for each in page["data"]]
            cursor = page["pagination"]["next_cursor"]
            if not page["pagination"]["has_more"]:
                break
        assert seen == made[::-1]


async def test_a_position_that_is_kept(desk: Desk) -> None:
    created = await desk.executors.create_executor({"type": "position_executor", **CONFIGS["position_executor"]})
    await desk.quote("50010")
    await desk.executors.stop_executor(created["executor_id"], keep_position=True)
    over = await desk.until(created["executor_id"], "TERMINATED")
    assert over["close_type"] == "POSITION_HOLD"
    assert (await desk.executors.get_performance_report())["active_positions"] == 1


async def test_types_and_their_configurations(desk: Desk) -> None:
    types = (await desk.executors.get_available_executor_types())["executor_types"]
    assert {each["type"] for each in types} == {*MODULES, "lp_executor"}
    for type_ in MODULES:
        schema = await desk.executors.get_executor_config_schema(type_)
        assert {field["name"] for field in schema["fields"] if field["required"]} <= {"type", *CONFIGS[type_]}


async def test_what_is_refused(desk: Desk) -> None:
    calls = (
        (400, desk.executors.create_executor({"type": "position_executor", **SPOT, "side": "BUY"})),
        (400, desk.executors.create_executor({"type": "lp_executor"})),
        (404, desk.executors.create_executor({"type": "order_executor", **CONFIGS["order_executor"]}, "nobody")),
        (404, desk.executors.stop_executor("nope")),
        (404, desk.executors.get_executor_config_schema("dca")),
        (422, desk.executors.search_executors(status="ACTIVE")),
    )
    for status, call in calls:
        with pytest.raises(aiohttp.ClientResponseError) as refused:
            await call
        assert refused.value.status == status

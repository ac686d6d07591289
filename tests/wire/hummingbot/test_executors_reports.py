"""Summary, performance (§11.3), types and their configurations."""

from __future__ import annotations

import statistics
from typing import Any

import httpx
import msgspec
import pytest

from gesta.apis.hummingbot.models import (
    ExecutorConfigResponse,
    ExecutorsSummaryResponse,
    ExecutorTypesResponse,
    PerformanceReportResponse,
)
from gesta.executors.machines.face import Trade
from gesta.executors.registry import MODULES, machine_of
from gesta.kernel.errors import InvalidInput

# (close type, net PnL, PnL %, fees, volume, type, controller)
ENDED = [
    ("TAKE_PROFIT", 12.5, 0.02, 0.1, 100, "position_executor", "a"),
    ("STOP_LOSS", -7.25, -0.01, 0.2, 200, "position_executor", "a"),
    ("INSUFFICIENT_BALANCE", 0, 0, 0, 0, "grid_executor", "b"),
    (None, 3, 0.005, 0.3, 50, "grid_executor", "a"),
    ("POSITION_HOLD", -0.5, 0, 0.5, 80, "position_executor", "a"),
]
RUNNING = [("RUNNING", 5, "a"), ("RUNNING", -1.5, "b"), ("SHUTTING_DOWN", 0.25, "a")]


@pytest.fixture
async def traded(world: Any) -> None:
    for at, (close_type, pnl, pct, fees, volume, type_, controller) in enumerate(ENDED):
        await world.post(
            {
                "executor_id": f"over{at}",
                "status": "TERMINATED",
                "close_type": close_type,
                "executor_type": type_,
                "connector_name": "binance",
                "net_pnl_quote": pnl,
                "net_pnl_pct": pct,
                "cum_fees_quote": fees,
                "filled_amount_quote": volume,
                "controller_id": controller,
                "timestamp": 1_705_315_800 + at,
            }
        )
    for at, (status, pnl, controller) in enumerate(RUNNING):
        await world.post(
            {
                "executor_id": f"live{at}",
                "status": status,
                "executor_type": "grid_executor",
                "connector_name": "binance_perpetual" if at else "binance",
                "net_pnl_quote": pnl,
                "filled_amount_quote": 10,
                "controller_id": controller,
                "timestamp": 1_705_315_900 + at,
            }
        )


async def test_the_summary(traded: None, client: httpx.AsyncClient) -> None:
    response = await client.get("/executors/summary")
    msgspec.json.decode(response.content, type=ExecutorsSummaryResponse)
    assert response.json() == {
        "total_active": 3,
        "total_pnl_quote": 3.75,
        "total_volume_quote": 30,
        "by_type": {"grid_executor": 3},
        "by_connector": {"binance_perpetual": 2, "binance": 1},
        "by_status": {"SHUTTING_DOWN": 1, "RUNNING": 2},
    }


@pytest.mark.parametrize("controller", [None, "a", "b", "nobody"])
async def test_the_performance(traded: None, client: httpx.AsyncClient, controller: str | None) -> None:
    params = {} if controller is None else {"controller_id": controller}
    response = await client.get("/executors/performance", params=params)
    msgspec.json.decode(response.content, type=PerformanceReportResponse)
    report = response.json()
    ended = [each for each in ENDED if controller in (None, each[6])]
    # The one without a close type counts, the held one does not.
    done = [each for each in ended if each[0] != "POSITION_HOLD"]
    live = [pnl for _, pnl, owner in RUNNING if controller in (None, owner)]
    profits = [each[1] for each in done]
    assert report["controller_id"] == controller
    assert report["total_executors"] == len(ended) + len(live) == sum(report["by_status"].values())
    assert report["pnl_total_quote"] == pytest.approx(sum(profits))
    assert report["unrealized_pnl_quote"] == pytest.approx(sum(live))
    assert report["global_pnl_quote"] == pytest.approx(sum(profits) + sum(live))
    assert report["fees_total_quote"] == pytest.approx(sum(each[3] for each in done))
    assert report["volume_total_quote"] == pytest.approx(sum(each[4] for each in done))
    if not done:
        assert (report["pnl_pct_avg"], report["win_rate"], report["sharpe_ratio"], report["by_type"]) == (
            0,
            0,
            None,
            [],
        )
        return
    assert report["pnl_pct_avg"] == pytest.approx(sum(each[2] for each in done) / len(done))
    assert report["win_rate"] == pytest.approx(sum(profit > 0 for profit in profits) / len(profits))
    if len(done) < 2:
        assert report["sharpe_ratio"] is None
    else:
        assert report["sharpe_ratio"] == round(statistics.mean(profits) / statistics.stdev(profits), 4)
    by_type = {each["executor_type"]: each for each in report["by_type"]}
    assert sum(each["completed"] for each in by_type.values()) == len(done)
    assert by_type["grid_executor"]["running"] == len(live)


async def test_equal_profits_have_no_sharpe_ratio(world: Any, client: httpx.AsyncClient) -> None:
    for at in range(3):
        await world.post({"executor_id": f"e{at}", "status": "TERMINATED", "net_pnl_quote": 0.1, "timestamp": 1 + at})
    report = (await client.get("/executors/performance")).json()
    assert (report["sharpe_ratio"], report["win_rate"], report["pnl_total_quote"]) == (None, 1, 0.3)


async def test_reports_of_others(traded: None, client: httpx.AsyncClient) -> None:
    assert (await client.get("/executors/summary", auth=("other", "secret"))).json()["total_active"] == 0
    assert (await client.get("/executors/performance", auth=("other", "secret"))).json()["total_executors"] == 0
    for query in ("controller_id=a&controller_id=b", "controller_id=" + "x" * 300, "controller_id=%00"):
        response = await client.get(f"/executors/performance?{query}")
        assert (response.status_code, response.json()["detail"][0]["loc"]) == (422, ["query", "controller_id"])


async def test_the_types(client: httpx.AsyncClient) -> None:
    response = await client.get("/executors/types/available")
    types = msgspec.json.decode(response.content, type=ExecutorTypesResponse).executor_types
    assert {each.type for each in types if each.available} == set(MODULES)
    assert [(each.type, each.reason is None) for each in types if not each.available] == [("lp_executor", False)]
    assert all(each.description and each.use_case for each in types)


@pytest.mark.parametrize("type_", MODULES)
async def test_the_configuration_of_a_type(client: httpx.AsyncClient, type_: str) -> None:
    """What it says is needed is enough for the machine, and each of it is needed."""
    response = await client.get(f"/executors/types/{type_}/config")
    said = msgspec.json.decode(response.content, type=ExecutorConfigResponse)
    assert said.executor_type == type_
    names = [field.name for field in said.fields]
    assert len(names) == len(set(names))
    for field in said.fields:
        plain = {"string", "integer", "number", "boolean", "enum", "array"}
        assert field.type in plain | set(said.nested_types), field
    config = {field.name: SAMPLES[field.name] for field in said.fields if field.required} | {"type": type_}
    machine_of(type_).parse(config)
    for field in said.fields:
        if field.required and field.name != "type":
            without = {name: value for name, value in config.items() if name != field.name}
            with pytest.raises(ValueError, match=field.name):
                _parse(type_, without)


SAMPLES: dict[str, Any] = {
    "type": "",
    "connector_name": "binance",
    "trading_pair": "BTC-USDT",
    "side": Trade.BUY.value,
    "amount": 1,
    "start_price": 10,
    "end_price": 20,
    "limit_price": 5,
    "total_amount_quote": 1000,
    "triple_barrier_config": {"take_profit": 0.01},
    "amounts_quote": [1, 2],
    "prices": [1, 2],
    "total_duration": 60,
    "order_interval": 10,
    "execution_strategy": "MARKET",
    "buying_market": {"connector_name": "binance", "trading_pair": "BTC-USDT"},
    "selling_market": {"connector_name": "kucoin", "trading_pair": "BTC-USDT"},
    "maker_side": "BUY",
    "order_amount": 1,
    "min_profitability": 0.001,
    "target_profitability": 0.002,
    "max_profitability": 0.003,
}


def _parse(type_: str, config: dict[str, Any]) -> None:
    try:
        machine_of(type_).parse(config)
    except InvalidInput as error:
        raise ValueError(error.field) from None


@pytest.mark.parametrize("type_", ["lp_executor", "nobody", "%00", "a" * 500])
async def test_the_configuration_of_no_type(client: httpx.AsyncClient, type_: str) -> None:
    response = await client.get(f"/executors/types/{type_}/config")
    assert response.status_code == 404
    assert len(response.json()["detail"]) < 400

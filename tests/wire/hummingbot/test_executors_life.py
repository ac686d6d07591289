"""Creating, watching and stopping executors that trade (protocols/hummingbot.md §11)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gesta.apis.hummingbot.models import CreateExecutorResponse, ExecutorDetailResponse, StopExecutorResponse
from tests.wire.hummingbot.executor_house import PAIR, POSITION, ExecutorHouse, executor_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[ExecutorHouse]:
    async with executor_house(tmp_path) as house:
        yield house


@pytest.fixture
async def client(house: ExecutorHouse) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as client:
        yield client


async def test_a_position_from_birth_to_its_take_profit(house: ExecutorHouse, client: httpx.AsyncClient) -> None:
    response = await client.post("/executors/", json={"executor_config": POSITION, "controller_id": "mm"})
    made = response.json()
    assert response.status_code == 201
    msgspec.json.decode(response.content, type=CreateExecutorResponse)
    assert made == made | {
        "executor_type": "position_executor",
        "connector_name": "binance",
        "trading_pair": PAIR,
        "controller_id": "mm",
        "status": "RUNNING",
    }
    await house.quote("50100")
    path = f"/executors/{made['executor_id']}"
    running = (await client.get(path)).json()
    assert (running["status"], running["is_trading"], running["close_type"]) == ("RUNNING", True, None)
    assert (running["side"], running["account_name"], running["controller_id"]) == ("BUY", "master_account", "mm")
    assert running["net_pnl_quote"] > 0
    await house.quote("51500")
    response = await client.get(path)
    msgspec.json.decode(response.content, type=ExecutorDetailResponse)
    over = response.json()
    assert (over["status"], over["close_type"], over["is_active"]) == ("TERMINATED", "TAKE_PROFIT", False)
    assert over["net_pnl_quote"] == pytest.approx(150, abs=1)
    # The shape stays what it was, other than what has happened.
    assert set(over) == set(running)
    assert (over["config"], over["timestamp"], over["side"]) == (running["config"], running["timestamp"], "BUY")
    logs = (await client.get(f"{path}/logs")).json()
    assert logs["total_count"] >= 3


async def test_profit_is_of_the_price_now(house: ExecutorHouse, client: httpx.AsyncClient) -> None:
    """Its row has not changed between the two reads: what was printed before must not be printed again."""
    executor_id = await house.create(client)
    seen = []
    for price in ("50100", "50200", "50100"):
        await house.quote(price)
        detail = (await client.get(f"/executors/{executor_id}")).json()
        listed = (await client.post("/executors/search", json={})).json()["data"]
        assert [each["net_pnl_quote"] for each in listed] == [detail["net_pnl_quote"]]
        seen.append(detail["net_pnl_quote"])
    assert seen[1] == pytest.approx(seen[0] + 10, abs=0.01)
    assert seen[2] == seen[0]


async def test_stopping(house: ExecutorHouse, client: httpx.AsyncClient) -> None:
    executor_id = await house.create(client)
    await house.quote("50010")
    response = await client.post(f"/executors/{executor_id}/stop", json={"keep_position": False})
    assert response.status_code == 200
    msgspec.json.decode(response.content, type=StopExecutorResponse)
    assert response.json() == {"executor_id": executor_id, "status": "stopping", "keep_position": False}
    await house.quote("50010")
    over = (await client.get(f"/executors/{executor_id}")).json()
    assert (over["status"], over["close_type"]) == ("TERMINATED", "EARLY_STOP")
    response = await client.post(f"/executors/{executor_id}/stop", json={})
    assert (response.status_code, response.json()) == (400, {"detail": f"Executor {executor_id} is already closed."})


async def test_stopping_and_keeping(house: ExecutorHouse, client: httpx.AsyncClient) -> None:
    executor_id = await house.create(client)
    await house.quote("50010")
    response = await client.post(f"/executors/{executor_id}/stop", json={"keep_position": True})
    assert response.json()["keep_position"] is True
    await house.quote("50020")
    over = (await client.get(f"/executors/{executor_id}")).json()
    assert (over["status"], over["close_type"]) == ("TERMINATED", "POSITION_HOLD")
    report = (await client.get("/executors/performance")).json()
    assert report["active_positions"] == 1
    assert report["by_type"][0]["completed"] == 0


async def test_stopping_what_is_not_there(house: ExecutorHouse, client: httpx.AsyncClient) -> None:
    executor_id = await house.create(client)
    missing = await client.post("/executors/nope/stop", json={"keep_position": False})
    assert (missing.status_code, missing.json()) == (404, {"detail": "Executor nope not found"})
    async with house.client("rival") as rival:
        response = await rival.post(f"/executors/{executor_id}/stop", json={"keep_position": False})
        assert (response.status_code, response.json()) == (404, {"detail": f"Executor {executor_id} not found"})
    async with house.client("reader") as reader:
        assert (await reader.post(f"/executors/{executor_id}/stop", json={})).status_code == 403
        assert (await reader.post("/executors/", json={"executor_config": POSITION})).status_code == 403
    assert (await client.get(f"/executors/{executor_id}")).json()["status"] == "RUNNING"


async def test_the_same_request_again(house: ExecutorHouse, client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "once"}
    body = {"executor_config": POSITION}
    first = await client.post("/executors/", json=body, headers=headers)
    again = await client.post("/executors/", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["executor_id"] == first.json()["executor_id"]
    other = await client.post("/executors/", json={"executor_config": POSITION | {"amount": "0.2"}}, headers=headers)
    assert other.status_code == 409
    assert isinstance(other.json()["detail"], str)
    twice = await client.post("/executors/", json=body, headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")])
    assert (twice.status_code, twice.json()["detail"][0]["loc"]) == (422, ["header", "Idempotency-Key"])
    assert (await client.post("/executors/search", json={})).json()["pagination"]["total_count"] == 1


async def test_an_id_of_ones_own(house: ExecutorHouse, client: httpx.AsyncClient) -> None:
    assert await house.create(client, id="mine-1") == "mine-1"
    response = await client.post("/executors/", json={"executor_config": POSITION | {"id": "mine-1"}})
    assert (response.status_code, response.json()) == (409, {"detail": "Executor mine-1 exists."})
    raced = await asyncio.gather(
        *(client.post("/executors/", json={"executor_config": POSITION | {"id": "race"}}) for _ in range(5))
    )
    assert sorted(each.status_code for each in raced) == [201, 409, 409, 409, 409]


async def test_the_controller_of_the_configuration(house: ExecutorHouse, client: httpx.AsyncClient) -> None:
    executor_id = await house.create(client, controller_id="of-config")
    assert (await client.get(f"/executors/{executor_id}")).json()["controller_id"] == "of-config"
    body = {"executor_config": POSITION | {"controller_id": "of-config"}, "controller_id": "of-request"}
    assert (await client.post("/executors/", json=body)).json()["controller_id"] == "of-request"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "`type` names"),
        ({"type": "grid"}, "grid_executor"),
        ({"type": "lp_executor"}, "on-chain gateway"),
        (POSITION | {"amount": "-1"}, "amount (-1) must be a number greater than 0"),
        (POSITION | {"amount": "NaN"}, "amount (NaN)"),
        (POSITION | {"side": "UP"}, "side (UP) must be BUY (1) or SELL (2)"),
        (POSITION | {"trading_pair": "BTCUSDT"}, "BASE-QUOTE"),
        (POSITION | {"stop_loss": 1, "levrage": 2}, "levrage (2) must be spelled leverage"),
        (POSITION | {"id": "a/b"}, "`id`"),
    ],
)
async def test_a_configuration_that_cannot_be(client: httpx.AsyncClient, config: Any, said: str) -> None:
    response = await client.post("/executors/", json={"executor_config": config})
    assert response.status_code == 400
    assert response.json()["detail"].startswith("Invalid executor config: ")
    assert said in response.json()["detail"]
    assert (await client.post("/executors/search", json={})).json()["data"] == []


async def test_an_account_that_is_not_there(client: httpx.AsyncClient) -> None:
    response = await client.post("/executors/", json={"executor_config": POSITION, "account_name": "Rival1"})
    assert (response.status_code, response.json()) == (404, {"detail": "Account Rival1 not found."})


@pytest.mark.parametrize("path", ["/executors/", "/executors/search", "/executors/x/stop"])
@pytest.mark.parametrize(
    ("body", "kind", "loc"),
    [
        (b"", "missing", ["body"]),
        (b"{", "json_invalid", ["body", 0]),
        (b"[]", "model_attributes_type", ["body"]),
        (b'"\\ud800"', None, None),
    ],
)
async def test_a_body_that_is_none(client: httpx.AsyncClient, path: str, body: bytes, kind: Any, loc: Any) -> None:
    response = await client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    (defect,) = response.json()["detail"]
    assert kind is None or (defect["type"], defect["loc"]) == (kind, loc)


async def test_a_body_that_says_to_be_something_else(client: httpx.AsyncClient) -> None:
    response = await client.post("/executors/search", content=b"{}", headers={"Content-Type": "text/plain"})
    assert response.status_code == 422


@pytest.mark.parametrize(
    ("body", "locs"),
    [
        ({}, [["body", "executor_config"]]),
        (
            {"executor_config": [], "account_name": 1, "controller_id": {}},
            [["body", "executor_config"], ["body", "account_name"], ["body", "controller_id"]],
        ),
    ],
)
async def test_a_malformed_request_to_create(client: httpx.AsyncClient, body: Any, locs: Any) -> None:
    response = await client.post("/executors/", json=body)
    assert response.status_code == 422
    assert [defect["loc"] for defect in response.json()["detail"]] == locs
    assert all({"type", "msg", "input"} <= set(defect) for defect in response.json()["detail"])


async def test_a_large_and_a_deep_body(client: httpx.AsyncClient) -> None:
    response = await client.post("/executors/", json={"executor_config": {"note": "x" * 300_000}})
    assert response.status_code == 413
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    response = await client.post("/executors/", json={"executor_config": POSITION | {"note": deep}})
    assert response.status_code == 422


async def test_401_comes_first(client: httpx.AsyncClient) -> None:
    for path in ("/executors/", "/executors/search", "/executors/x/stop"):
        assert (await client.post(path, content=b"{", auth=("trader", "wrong"))).status_code == 401
    for path in ("/executors/summary", "/executors/performance", "/executors/types/available"):
        assert (await client.get(path, auth=("trader", "wrong"))).status_code == 401

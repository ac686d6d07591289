"""The exchanges of seeds 000 and 001: what is posted as it stands comes out equal, over REST and over the WebSocket."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from gesta.apis.crosstrade.models import EXAMPLE_EXECUTION, Execution
from gesta.ledger.records import Outcome

LIST = "/v1/api/accounts/Sim101/executions"
EXAMPLE_ID = EXAMPLE_EXECUTION["id"]
# The epoch of the example, plus a minute.
SOON_AFTER_US = (EXAMPLE_EXECUTION["epoch"] + 60_000) * 1000
SEEDS = Path(__file__).resolve().parents[4] / "shared" / "seeds"


def seed_examples(name: str) -> list[dict[str, Any]]:
    if not SEEDS.is_dir():
        pytest.skip("the vendor's pages are not beside the repository")
    text = next(SEEDS.glob(f"{name}_*.txt")).read_text("utf-8")
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.S)]


def test_the_examples_in_the_code_are_the_pages_own() -> None:
    listed, refused, list_frame = seed_examples("000")
    got, _, get_frame = seed_examples("001")
    assert listed == {"executions": [EXAMPLE_EXECUTION], "success": True}
    assert got == {**EXAMPLE_EXECUTION, "success": True}
    assert refused == {"error": "Invalid request"}
    assert (list_frame["api"], get_frame["api"]) == ("ListExecutions", "GetExecution")
    assert list(EXAMPLE_EXECUTION) == list(Execution.__struct_encode_fields__)


async def test_list_of_seed_000(house: Any, client: httpx.AsyncClient, example: dict[str, Any]) -> None:
    await house.post(example)
    house.clock.advance_us(SOON_AFTER_US - house.clock.now_us())
    reply = await client.get(LIST)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.json() == {"executions": [example], "success": True}
    assert list(reply.json()["executions"][0]) == list(example)
    # Doubles and whole numbers in their own spelling, as the page prints them.
    for text in ('"price":5804.5,', '"quantity":1,', '"rate":1.0,', '"slippage":0.0,', '"lotSize":1.0,'):
        assert text in reply.text


async def test_get_of_seed_001(house: Any, client: httpx.AsyncClient, example: dict[str, Any]) -> None:
    await house.post({**example, "success": True})
    reply = await client.get(f"{LIST}/{EXAMPLE_ID}")
    assert reply.status_code == 200
    assert reply.json() == {**example, "success": True}


async def test_the_two_pages_objects_are_one_execution(house: Any, example: dict[str, Any]) -> None:
    first = await house.post(example)
    second = await house.post({**example, "success": True})
    assert [first[0].outcome, second[0].outcome] == [Outcome.RECORDED, Outcome.DUPLICATE]


async def test_rpc_of_both_pages(house: Any, example: dict[str, Any]) -> None:
    await house.post(example)
    house.clock.advance_us(SOON_AFTER_US - house.clock.now_us())
    with (
        TestClient(house.app) as client,
        client.websocket_connect("/ws/stream", headers={"Authorization": "Bearer gst_mine"}) as socket,
    ):
        # The page's own frame asks for 3600 seconds, four times its documented maximum.
        args: dict[str, Any] = {"account": "Sim101", "lookbackTime": 3600}
        socket.send_json({"action": "rpc", "id": "my-request-id", "api": "ListExecutions", "args": args})
        assert socket.receive_json() == {
            "id": "my-request-id",
            "data": {"executions": [example], "success": True},
        }
        args = {"account": "Sim101", "executionId": EXAMPLE_ID}
        socket.send_json({"action": "rpc", "id": "my-request-id", "api": "GetExecution", "args": args})
        assert socket.receive_json() == {"id": "my-request-id", "data": {**example, "success": True}}


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/v1/api/accounts/Sim101/executions?lookbackTime=abc", "Invalid request"),
        ("/v1/api/accounts/Nobody/executions", "invalid_account"),
        ("/v1/api/accounts/Sim101/executions/exec_a1b2c3", "invalid_execution"),
    ],
)
async def test_a_refusal_is_both_contracts_in_one(client: httpx.AsyncClient, path: str, error: str) -> None:
    reply = await client.get(path)
    assert reply.status_code == 400
    assert set(reply.json()) == {"success", "error", "detail"}
    assert (reply.json()["success"], reply.json()["error"]) == (False, error)

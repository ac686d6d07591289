"""REST and the WebSocket are two spellings: the same call is answered by the same body, by every name it has."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from gesta.apis.crosstrade.commands import BY_API, COMMANDS
from gesta.kernel.json import decode_json, encode_json
from tests.wire.crosstrade.trading_house import TradingHouse, order, placed, served

ARGUMENTS: dict[str, dict[str, Any]] = {
    "PlaceOrder": order(),
    "FlatPlace": order(),
    "CancelReplace": order(orderType="LIMIT", limitPrice=5700),
    "Change": {"quantity": 2},
    "CancelAndBracket": {"instrument": "ES", "action": "Buy", "stopLoss": 5700, "takeProfit": 5900},
    "ReversePosition": order(action="SELL"),
    "CancelOrders": {"instrument": "ES"},
    "CancelAllOrders": {"account": "Sim101"},
    "ClosePosition": {"instrument": "ES", "percent": 0.5},
    "Flatten": {"instrument": "ES"},
    "FlattenEverything": {"account": "sim101"},
    "Reverse": {"instrument": "ES"},
    "GetPosition": {"instrument": "ES"},
    "ListExecutions": {"limit": 1},
    "GetQuote": {"instrument": "ES,NQ"},
    "GetAccountQuote": {"instrument": "ES"},
    "GetMarketInfo": {"instrument": "NQ"},
    "GetBars": {"instrument": "ES", "periodType": "minute", "limit": 2},
    "ListOrders": {"activeOnly": "true", "limit": 10},
    "ListPositions": {"includeFlat": "true"},
    "GetOrderLifecycle": {"includeRaw": "true"},
}
# Where the ids that Gesta makes stand; they differ from call to call.
MADE = {"id", "orderId", "orderIds", "ocoId", "stopLossOrderId", "takeProfitOrderId"}


async def prepared(desk: TradingHouse, client: httpx.AsyncClient) -> str:
    """From the same start each time: long two ES, one order that rests. Gives its id."""
    await client.post("/v1/api/positions/flatten")
    await desk.settle()
    await client.post("/v1/api/accounts/Sim101/orders/place", json=order(quantity=2))
    resting = await client.post(
        "/v1/api/accounts/Sim101/orders/place", json=order(orderType="LIMIT", limitPrice=5750, name="rest")
    )
    await desk.settle()
    return placed(resting)


def comparable(body: Any) -> Any:
    """Without ids, times and money, which go on from call to call."""
    if isinstance(body, list):
        return [comparable(each) for each in body]
    if not isinstance(body, dict):
        return body
    own = {key: len(value) if isinstance(value, list) else bool(value) for key, value in body.items() if key in MADE}
    left = {key: value for key, value in body.items() if key not in (*MADE, "item", "raw", "nextCursor", "executionId")}
    return {**own, **{key: comparable(value) for key, value in left.items()}}


# The id of an execution is made; test_stream compares GetExecution.
@pytest.mark.parametrize(
    "command", [each for each in COMMANDS if each.api != "GetExecution"], ids=lambda each: each.operation_id
)
async def test_every_command(desk: TradingHouse, trader: httpx.AsyncClient, command: Any) -> None:
    said = ARGUMENTS.get(command.operation_id, ARGUMENTS.get(command.api, {}))
    headers = {"Authorization": f"Bearer {desk.tokens['mine']}"}
    async with served(desk.app) as address, connect(f"ws://{address}/ws/stream", additional_headers=headers) as peer:
        order_id = await prepared(desk, trader)
        path = command.path.replace("{account}", "Sim101").replace("{orderId}", order_id)
        sent: dict[str, Any] = {"params": said} if command.method == "GET" else {"json": said}
        rest = await trader.request(command.method, path, **sent)
        await desk.settle()
        assert rest.status_code == 200, rest.text
        for api in (command.api, *command.aliases):
            order_id = await prepared(desk, trader)
            in_path = {"account": "Sim101"} if "{account}" in command.path else {}
            in_path |= {"orderId": order_id} if "{orderId}" in command.path else {}
            args = {**said, **in_path}
            await peer.send(encode_json({"action": "rpc", "id": 1, "api": api, "args": args}).decode())
            reply = decode_json(await peer.recv())
            await desk.settle()
            assert "error" not in reply, reply
            assert comparable(reply["data"]) == comparable(rest.json())


async def test_what_only_the_websocket_can_say(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    await prepared(desk, trader)
    other = placed(
        await trader.post("/v1/api/accounts/Apex-7/orders/place", json=order(orderType="LIMIT", limitPrice=5700))
    )
    headers = {"Authorization": f"Bearer {desk.tokens['mine']}"}
    async with served(desk.app) as address, connect(f"ws://{address}/ws/stream", additional_headers=headers) as peer:

        async def ask(api: str, **args: Any) -> Any:
            await peer.send(encode_json({"action": "rpc", "id": 1, "api": api, "args": args}).decode())
            return decode_json(await peer.recv())["data"]

        every = (await ask("GetAllOrders", activeOnly=True))["orders"]
        assert {row["account"] for row in every} == {"Sim101", "Apex-7"}
        assert other in {row["orderId"] for row in every}
        refused = await ask("Flatten")
        assert (refused["success"], "FlattenEverything" in refused["detail"]) == (False, True)
        assert (await ask("Flatten", instrument="NQ"))["closedPositions"] == []
        typo = await ask("FlattenEverything", acount="Apex-7")
        assert typo["success"] is False
        flat = await ask("Flatten", marketPosition="Long")
        assert [row["account"] for row in flat["closedPositions"]] == ["Sim101"]


def test_every_name_is_a_commands() -> None:
    assert {"Cancel", "CancelOrder", "ListOrders", "GetAllOrders", "Flatten", "FlattenEverything"} <= set(BY_API)
    assert len({command.operation_id for command in COMMANDS}) == len(COMMANDS)
    assert len({(command.method, command.path) for command in COMMANDS}) == len(COMMANDS)

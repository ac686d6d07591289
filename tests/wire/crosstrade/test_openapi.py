"""The document describes what is served, and holds nothing that is not."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from gesta.apis.crosstrade.commands import BY_API, COMMANDS, ENDPOINTS_PATH, OPENAPI_PATH, Command
from tests.wire.crosstrade.trading_house import TradingHouse
from tests.wire.crosstrade.trading_house import order as terms

LIST = "/v1/api/accounts/Sim101/executions"


@pytest.fixture
def document(house: Any) -> dict[str, Any]:
    made: dict[str, Any] = house.app.openapi()
    return made


async def test_it_is_valid_and_served_without_a_token(house: Any, document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"].startswith("3.1")
    transport = httpx.ASGITransport(house.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gesta.test") as anonymous:
        assert (await anonymous.get(OPENAPI_PATH)).json() == document


def test_every_command_is_documented_with_its_errors(document: dict[str, Any]) -> None:
    assert set(document["paths"]) == {command.path for command in COMMANDS} | {ENDPOINTS_PATH}
    for command in COMMANDS:
        operation = document["paths"][command.path][command.method.lower()]
        assert operation["operationId"] == command.operation_id
        assert operation["security"] == [{"bearer": []}]
        in_body = {argument.name for argument in command.body_arguments}
        assert {(p["name"], p["in"]) for p in operation["parameters"]} == {
            (argument.name, argument.where) for argument in command.arguments if argument.name not in in_body
        }
        too_large = {"413"} if command.method != "GET" else set()
        assert set(operation["responses"]) == {"200", "400", "401", "403", "404", "429", "503"} | too_large
        for response in operation["responses"].values():
            content = response["content"]["application/json"]
            checker(document, content["schema"]).validate(content["example"])
        assert ("requestBody" in operation) is (command.method != "GET")
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]["application/json"]
            assert set(content["schema"]["properties"]) == in_body
            checker(document, content["schema"]).validate(content["example"])


def checker(document: dict[str, Any], schema: dict[str, Any]) -> OAS31Validator:
    return OAS31Validator({**schema, "components": document["components"]})


def fits(document: dict[str, Any], reply: httpx.Response, command: Command) -> None:
    response = document["paths"][command.path][command.method.lower()]["responses"][str(reply.status_code)]
    checker(document, response["content"]["application/json"]["schema"]).validate(reply.json())
    assert set(response.get("headers", {})) <= {name.title() for name in reply.headers} | {"WWW-Authenticate"}


async def test_real_answers_fit_their_schemas(
    house: Any, client: httpx.AsyncClient, document: dict[str, Any], example: dict[str, Any]
) -> None:
    await house.post(example, house.fill("now", quantity=0.5, position=-1.25))
    order = f"/v1/api/accounts/Sim101/orders/{example['orderId']}/executions"
    cases = [
        ("/v1/api/accounts", "ListAccounts"),
        (LIST, "ListExecutions"),
        (f"{LIST}?limit=1", "ListExecutions"),
        (f"{LIST}?limit=1000", "ListExecutions"),
        (f"{LIST}?limit=x", "ListExecutions"),
        (f"{LIST}/{example['id']}", "GetExecution"),
        (f"{LIST}/none", "GetExecution"),
        (f"{LIST}/", "GetExecution"),
        ("/v1/api/accounts/None/executions", "ListExecutions"),
        (order, "GetExecutionsByOrderId"),
    ]
    house.access.refuse_after["crosstrade"] = len(cases)
    cases.append((LIST, "ListExecutions"))
    statuses = []
    for path, api in cases:
        reply = await client.get(path)
        statuses.append(reply.status_code)
        fits(document, reply, BY_API[api])
    assert sorted(set(statuses)) == [200, 400, 404, 429]


async def test_what_trading_answers_fits_too(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    """Each command with the arguments of its own example, on an account that holds and rests something; then again,
    when that is done."""
    document = desk.app.openapi()
    orders = "/v1/api/accounts/Sim101/orders"
    answered: dict[str, set[int]] = {}
    for command in COMMANDS:
        await trader.post("/v1/api/positions/flatten")
        await trader.post(f"{orders}/place", json=terms(stopLossTicks=8))
        placed = await trader.post(f"{orders}/place", json=terms(orderType="LIMIT", limitPrice=5700))
        path = command.path.replace("{account}", "Sim101").replace("{orderId}", placed.json()["orderId"])
        content = document["paths"][command.path][command.method.lower()].get("requestBody", {}).get("content", {})
        body = content.get("application/json", {}).get("example")
        params = {each.name: each.example for each in command.arguments if each.where == "query" and each.example}
        for _ in range(2):
            await desk.settle()
            reply = await trader.request(
                command.method, path.replace("{executionId}", "none"), params=params, json=body
            )
            fits(document, reply, command)
            answered.setdefault(command.operation_id, set()).add(reply.status_code)
    assert {status for statuses in answered.values() for status in statuses} == {200, 400}
    assert [name for name, statuses in answered.items() if 200 not in statuses] == ["GetExecution"]


async def test_the_command_table_is_served(client: httpx.AsyncClient) -> None:
    body = (await client.get(ENDPOINTS_PATH)).json()
    spelled = {(row["method"], row["path"], row["api"], *row["aliases"]) for row in body["endpoints"]}
    assert spelled == {(command.method, command.path, command.api, *command.aliases) for command in COMMANDS}
    assert body["success"] is True

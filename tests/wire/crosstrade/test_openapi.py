"""The document describes what is served, and holds nothing that is not."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from gesta.apis.crosstrade.commands import COMMANDS, ENDPOINTS_PATH, OPENAPI_PATH

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
        operation = document["paths"][command.path]["get"]
        assert operation["operationId"] == command.api
        assert operation["security"] == [{"bearer": []}]
        assert {(p["name"], p["in"]) for p in operation["parameters"]} == {
            (argument.name, argument.where) for argument in command.arguments
        }
        assert set(operation["responses"]) == {"200", "400", "401", "403", "404", "429", "503"}
        for response in operation["responses"].values():
            content = response["content"]["application/json"]
            checker(document, content["schema"]).validate(content["example"])


def checker(document: dict[str, Any], schema: dict[str, Any]) -> OAS31Validator:
    return OAS31Validator({**schema, "components": document["components"]})


async def test_real_answers_fit_their_schemas(
    house: Any, client: httpx.AsyncClient, document: dict[str, Any], example: dict[str, Any]
) -> None:
    await house.post(example, house.fill("now", quantity=0.5, position=-1.25))
    order = f"/v1/api/accounts/Sim101/orders/{example['orderId']}/executions"
    cases = [
        ("/v1/api/accounts", "/v1/api/accounts"),
        (LIST, COMMANDS[1].path),
        (f"{LIST}?limit=1", COMMANDS[1].path),
        (f"{LIST}?limit=1000", COMMANDS[1].path),
        (f"{LIST}?limit=x", COMMANDS[1].path),
        (f"{LIST}/{example['id']}", COMMANDS[2].path),
        (f"{LIST}/none", COMMANDS[2].path),
        ("/v1/api/accounts/None/executions", COMMANDS[1].path),
        (order, COMMANDS[3].path),
        (ENDPOINTS_PATH, ENDPOINTS_PATH),
    ]
    house.access.refuse_after["crosstrade"] = len(cases) - 1
    cases.append((LIST, COMMANDS[1].path))
    statuses = []
    for path, template in cases:
        reply = await client.get(path)
        statuses.append(reply.status_code)
        response = document["paths"][template]["get"]["responses"][str(reply.status_code)]
        checker(document, response["content"]["application/json"]["schema"]).validate(reply.json())
        assert set(response.get("headers", {})) <= {name.title() for name in reply.headers} | {"WWW-Authenticate"}
    assert sorted(set(statuses)) == [200, 400, 404, 429]


async def test_the_command_table_is_served(client: httpx.AsyncClient) -> None:
    body = (await client.get(ENDPOINTS_PATH)).json()
    spelled = {(row["method"], row["path"], row["api"]) for row in body["endpoints"]}
    assert spelled == {(command.method, command.path, command.api) for command in COMMANDS}
    assert body["success"] is True

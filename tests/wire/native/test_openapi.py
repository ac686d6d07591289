"""The document is valid, lists what is served and nothing else, and real answers fit it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from gesta.apis.common.services import Limits
from gesta.apis.native import params
from gesta.apis.native.openapi import (
    EXAMPLE_EXECUTOR,
    EXAMPLE_FILL,
    EXAMPLE_NOTE,
    EXAMPLE_RUN,
    EXAMPLE_TRANSITION,
    document,
)
from tests.wire.native.house import House

PATH = "/ledger/executions"
DOCUMENT = document(["toy"])


def fits(schema: dict[str, Any], value: Any) -> None:
    OAS31Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def schema_of(path: str, method: str, status: int) -> dict[str, Any]:
    content = DOCUMENT["paths"][path][method]["responses"][str(status)]["content"]
    described = content.get("application/json") or content["application/problem+json"]
    found: dict[str, Any] = described["schema"]
    return found


def test_it_is_valid() -> None:
    validate(DOCUMENT)
    assert DOCUMENT["openapi"] == "3.1.0"


async def test_it_lists_every_route_and_no_other(house: Any) -> None:
    assert house.app.openapi() == DOCUMENT
    served = {
        (route.path.replace(":path", ""), method.lower())
        for route in house.app.routes
        for method in getattr(route, "methods", None) or ()
    }
    assert served == {(path, method) for path, item in DOCUMENT["paths"].items() for method in item}


def test_every_operation_has_the_answers_of_every_operation() -> None:
    for item in DOCUMENT["paths"].values():
        for operation in item.values():
            assert {"400", "401", "403", "429", "500", "503"} <= set(operation["responses"])
    listed = {parameter["name"] for parameter in DOCUMENT["paths"][PATH]["get"]["parameters"]}
    assert listed == set(params.LIST)


async def test_the_examples_work_and_the_answers_fit(client: httpx.AsyncClient) -> None:
    for row in (EXAMPLE_FILL, EXAMPLE_EXECUTOR, EXAMPLE_RUN):
        fits(DOCUMENT["components"]["schemas"]["RowModel"], row)
        reply = await client.post(PATH, json=[row, {}])
        fits(schema_of(PATH, "post", 200), reply.json())
        assert reply.json()["recorded"] == 1
        one = await client.get(f"{PATH}/{row['id']}")
        fits(schema_of(f"{PATH}/{{id}}", "get", 200), one.json())
    fits(schema_of(PATH, "post", 422), (await client.post(PATH, json=[{}])).json())
    fits(schema_of(PATH, "get", 200), (await client.get(PATH)).json())
    path = f"{PATH}/{EXAMPLE_RUN['id']}"
    moved = await client.post(f"{path}/transitions", json=EXAMPLE_TRANSITION)
    assert moved.status_code == 200
    fits(schema_of(f"{PATH}/{{id}}/transitions", "post", 200), moved.json())
    again = await client.post(f"{path}/transitions", json={"status": "paid"})
    assert again.status_code == 409
    fits(schema_of(f"{PATH}/{{id}}/transitions", "post", 409), again.json())
    noted = await client.post(f"{path}/events", json=EXAMPLE_NOTE)
    fits(schema_of(f"{PATH}/{{id}}/events", "post", 201), noted.json())
    fits(schema_of(f"{PATH}/{{id}}/events", "get", 200), (await client.get(f"{path}/events")).json())
    fits(schema_of("/ledger/summary", "get", 200), (await client.get("/ledger/summary?by=day,account,kind")).json())
    for bad, status in ((f"{PATH}?limit=x", 400), (f"{PATH}?account=x", 404)):
        fits(schema_of(PATH, "get", status), (await client.get(bad)).json())


@schemathesis.serializer("application/x-ndjson")
def as_lines(context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


# One house for all generated calls: rows, transitions and notes pile up, as they would.
HOUSE = House(Limits(stream_heartbeat_s=0.02))
schema = schemathesis.openapi.from_dict(DOCUMENT)
schema.app = HOUSE.app


@pytest.fixture(scope="module", autouse=True)
def populated() -> None:
    import asyncio

    async def post() -> None:
        transport = httpx.ASGITransport(HOUSE.app)
        headers = {"Authorization": "Bearer gst_mine"}
        async with httpx.AsyncClient(transport=transport, base_url="http://gesta.test", headers=headers) as client:
            await client.post(PATH, json=[EXAMPLE_FILL, EXAMPLE_EXECUTOR, EXAMPLE_RUN])

    asyncio.run(post())


@schema.parametrize()
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_sent_the_answer_is_a_documented_one(case: schemathesis.Case) -> None:
    if "id" in case.path_parameters:
        case.path_parameters["id"] = case.path_parameters["id"] or EXAMPLE_RUN["id"]
    case.call_and_validate(
        headers={"Authorization": "Bearer gst_mine"},
        # A stream never ends by itself; the largest bodies that the document allows take longer than that.
        timeout=0.1 if case.path == "/ledger/stream" else 10,
        checks=(
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_headers_conformance,
            response_schema_conformance,
            unsupported_method,
            ignored_auth,
        ),
    )

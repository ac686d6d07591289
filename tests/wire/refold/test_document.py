"""The OpenAPI document is valid, tells the truth about errors, and holds against generated requests."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

from gesta.apis.common.hot import HotRoute

LIST = "/api/v2/public/execution"
TOKENS = "/api/v2/public/session-token"
PUBLIC, SCHEDULED = "/api/v2/public", "/api/v1/workflow/public/scheduled"
READING = [
    (LIST, "GET"),
    (f"{LIST}/{{execution_id}}", "GET"),
    (f"{LIST}s", "GET"),
    (f"{LIST}s/{{execution_id}}", "GET"),
    (TOKENS, "POST"),
    (f"{TOKENS}/revoke", "POST"),
    ("/api/v2/public/session/active-linked-account", "GET"),
]
WRITING = [
    (f"{PUBLIC}/workflow/{{workflow_id}}/execute", "POST"),
    ("/api/v1/workflow/{workflow_id}/execute", "POST"),
    (f"{LIST}/{{execution_id}}/stop", "POST"),
    (f"{LIST}/{{execution_id}}/rerun", "POST"),
    (f"{LIST}/{{execution_id}}/nodes/{{node_id}}/batches", "GET"),
    ("/api/v1/execution/{execution_id}/response", "GET"),
    (f"{PUBLIC}/event/trigger", "POST"),
    (f"{PUBLIC}/event/{{slug}}", "POST"),
    (f"{PUBLIC}/hook/{{workflow_id}}/{{secret}}", "POST"),
    (f"{PUBLIC}/hook/{{workflow_id}}", "POST"),
    *((f"{PUBLIC}/workflow", method) for method in ("GET", "POST")),
    (f"{PUBLIC}/workflow/request-structure/{{workflow_id}}", "GET"),
    (f"{PUBLIC}/workflow/versions/{{workflow_id}}", "GET"),
    *((f"{PUBLIC}/workflow/{{workflow_id}}", method) for method in ("GET", "PUT", "DELETE")),
    (f"{PUBLIC}/workflow/{{workflow_id}}/edit", "GET"),
    (f"{PUBLIC}/workflow/{{workflow_id}}/publish", "PUT"),
    (f"{PUBLIC}/workflow/{{workflow_id}}/webhook", "POST"),
    *((SCHEDULED, method) for method in ("GET", "POST")),
    *((f"{SCHEDULED}/{{schedule_id}}", method) for method in ("GET", "PUT", "DELETE")),
    *((f"{SCHEDULED}/{{schedule_id}}/{verb}", "PUT") for verb in ("pause", "resume")),
    *((f"{PUBLIC}/linked-account", method) for method in ("GET", "POST", "PUT")),
    *((f"{PUBLIC}/linked-account/{{linked_account_id}}", method) for method in ("GET", "DELETE")),
]
OPERATIONS = [*READING, *WRITING]
EITHER: list[dict[str, list[str]]] = [{"sessionToken": []}, {"apiKey": [], "linkedAccount": []}]


def test_the_document_is_valid_and_names_every_route(world: Any) -> None:
    document = world.app.openapi()
    validate(document)
    assert document["openapi"].startswith("3.1")
    listed = {(path, method.upper()) for path, item in document["paths"].items() for method in item}
    assert listed == set(OPERATIONS)
    assert world.app.openapi() is document


def test_every_route_skips_the_slow_machinery(world: Any) -> None:
    served = {route.path for route in world.app.routes if isinstance(route, HotRoute)}
    assert served == {path for path, _ in OPERATIONS}


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_operation_documents_its_security_and_its_errors(world: Any, path: str, method: str) -> None:
    operation = world.app.openapi()["paths"][path][method.lower()]
    if path == TOKENS or ("linked-account" in path and method != "PUT" and "session" not in path):
        assert operation["security"] == [{"apiKey": []}]
    elif path.endswith("revoke"):
        assert operation["security"] == [{"sessionToken": []}]
    elif path.endswith("linked-account") and method == "PUT":
        assert operation["security"] == [{"sessionToken": []}, {"apiKey": []}]
    elif "/hook/" in path:
        # The secret is the credential, in the address or beside it.
        assert operation["security"] == [{"webhookSecret": []}]
    else:
        assert operation["security"] == EITHER
    responses = operation["responses"]
    assert {"200", "400", "401", "403", "429", "500", "503"} <= set(responses)
    if (path, method) in READING:
        assert ("404" in responses) is ("{execution_id}" in path)
    assert "422" not in responses
    for status, response in responses.items():
        schema = response["content"]["application/json"]["schema"]
        is_answer = status in ("200", "202", "default")
        assert (schema == {"$ref": "#/components/schemas/ErrorBody"}) is not is_answer


async def test_what_is_printed_fits_the_schemas(world: Any, client: httpx.AsyncClient, golden: Any) -> None:
    document = world.app.openapi()

    def check(name: str, body: Any) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.validate(body, schema)

    check("ExecutionPage", golden["list"])
    await world.post(golden["list"]["docs"][0])
    await world.post(
        {
            "_id": "f" * 24,
            "createdAt": "2026-03-01T00:00:00Z",
            "status": "RUNNING",
            "environment": "test",
            "associated_application": "hubspot",
            "associated_workflow": None,
            "nodes": [{"node_id": "1", "execution_time": 1.5, "node_status": None}],
            "extra": {"kept": True},
        }
    )
    headers = {"x-api-key": "tk_1", "linked_account_id": "default"}
    body = (await client.get(LIST, headers=headers)).json()
    assert body["totalDocs"] == 2
    check("ExecutionPage", body)
    for item in body["docs"]:
        check("ExecutionDetail", (await client.get(f"{LIST}/{item['_id']}", headers=headers)).json())
    with pytest.raises(jsonschema.ValidationError):
        check("ExecutionPage", body | {"totalDocs": "2"})


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("has_credential", [True, False])
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_generated_requests_are_answered_as_documented(
    world: Any, golden: Any, path: str, method: str, has_credential: bool, mode: Any
) -> None:
    asyncio.run(world.post(golden["list"]["docs"][0]))
    schema = schemathesis.openapi.from_dict(world.app.openapi())
    schema.app = world.app
    key = {"x-api-key": "tk_1"} | ({} if path == TOKENS else {"linked_account_id": "default"})

    # A parameter that nobody knows is ignored and pages are clamped; a good key is good beside a foreign
    # `Authorization`; and an account that nobody has cannot have a session.
    # What may be written is narrower than a schema says: cron expressions, graphs, events that somebody waits for.
    is_narrow = path == TOKENS or (path, method) in WRITING
    excluded = [negative_data_rejection, ignored_auth] + [positive_data_acceptance] * is_narrow

    many = 10 if (path, method) in WRITING else 25

    @settings(
        max_examples=many if has_credential else 5,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def generated(case: Any) -> None:
        case.call_and_validate(headers=key if has_credential else {}, excluded_checks=excluded)

    generated()

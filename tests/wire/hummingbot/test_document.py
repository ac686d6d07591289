"""The OpenAPI document is valid, tells the truth about errors, and holds against generated requests."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection

from gesta.apis.hummingbot import codec, errors
from gesta.apis.hummingbot.catalog import TYPES
from gesta.apis.hummingbot.openapi import EXAMPLE
from gesta.ledger.records import Status


def test_the_document_is_valid(world: Any) -> None:
    document = world.app.openapi()
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) >= {
        "/executors/{executor_id}",
        "/executors/{executor_id}/logs",
        "/executors/positions/summary",
        "/executors/positions/{connector_name}/{trading_pair}",
    }


def test_the_operations_of_executors(world: Any) -> None:
    operations = {
        (method.upper(), path, operation["operationId"])
        for path, methods in world.app.openapi()["paths"].items()
        for method, operation in methods.items()
    }
    assert operations >= {
        ("POST", "/executors/", "create_executor"),
        ("POST", "/executors/search", "list_executors"),
        ("GET", "/executors/summary", "get_executors_summary"),
        ("GET", "/executors/performance", "get_performance_report"),
        ("GET", "/executors/types/available", "get_available_executor_types"),
        ("GET", "/executors/types/{executor_type}/config", "get_executor_config_schema"),
        ("GET", "/executors/{executor_id}", "get_executor"),
        ("GET", "/executors/{executor_id}/logs", "get_executor_logs"),
        ("POST", "/executors/{executor_id}/stop", "stop_executor"),
    }


def test_every_error_that_a_read_can_meet_is_documented(world: Any) -> None:
    paths = world.app.openapi()["paths"]
    answered = {str(status) for _, status, _ in errors.TABLE} - {"400", "405", "408", "409", "413", "422"}
    for path, operations in paths.items():
        for operation in operations.values():
            needed = answered if "{" in path and "{connector_name}/trading-rules" not in path else answered - {"404"}
            assert set(operation["responses"]) >= needed
            assert set(operation["responses"]) & {"200", "201"}
            assert operation["security"] == [{"HTTPBasic": []}]
    assert "422" in paths["/executors/{executor_id}/logs"]["get"]["responses"]


def test_the_published_example_fits_the_schema_and_is_the_golden_one(world: Any, seed: Any) -> None:
    assert seed == EXAMPLE
    components = world.app.openapi()["components"]
    schema = {"$ref": "#/components/schemas/ExecutorDetailResponse", "components": components}
    jsonschema.validate(EXAMPLE, schema)


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("path", ["/executors/{executor_id}", "/executors/{executor_id}/logs"])
def test_generated_requests_are_answered_as_documented(world: Any, seed: Any, path: str, mode: Any) -> None:
    asyncio.run(world.post(seed | {"executor_id": "0"}))
    # Words of the source are among the generated ids: `summary` is another route, with another answer.
    words = {other.removeprefix("/executors/") for other in world.app.openapi()["paths"]}
    schema = schemathesis.openapi.from_dict(world.app.openapi())
    schema.app = world.app

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=schema[path]["GET"].as_strategy(generation_mode=mode))
    def generated(case: Any) -> None:
        assume(case.path_parameters.get("executor_id") not in words)
        # A parameter that nobody knows is ignored, as hummingbot-api does; that check would want it refused.
        case.call_and_validate(
            headers={"Authorization": "Basic YWRtaW46YWRtaW4="}, excluded_checks=[negative_data_rejection]
        )

    generated()


def test_the_page_of_the_dialect_has_every_status_and_close_type(world: Any) -> None:
    page = (Path(__file__).parents[3] / "docs" / "dialects" / "hummingbot.md").read_text()
    for status, name in codec.RUNNABLE_STATUS.items():
        if status not in (Status.AWAITING_PAYMENT, Status.PAID):
            assert re.search(rf"^\|[^|]*`{status}`[^|]*\| `{name}` \|", page, re.MULTILINE)
    for close_type, status in codec.STATUS_OF_CLOSE_TYPE.items():
        assert re.search(rf"^\|[^|]*`{close_type}`[^|]*\| `{status}` \|", page, re.MULTILINE)
    for path, operations in world.app.openapi()["paths"].items():
        for method in operations:
            assert f"`{method.upper()} {path}" in page
    for type_ in TYPES:
        assert re.search(rf"^\| `{type_}` \|", page, re.MULTILINE)

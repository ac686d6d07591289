"""The OpenAPI document is valid, tells the truth about errors, and holds against generated requests."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from gesta.apis.b3os.codec import STATUS_NAMES
from gesta.apis.b3os.errors import CODE_OF_PARAMETER, CODES, PUBLISHED_CODES
from gesta.apis.b3os.openapi import EXAMPLE_LIST

PATHS = ("/v1/executions", "/v1/executions/{id}", "/v1/executions/{id}/events")  # those of the reads


def test_the_document_is_valid(world: Any) -> None:
    document = world.app.openapi()
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert tuple(document["paths"])[: len(PATHS)] == PATHS


def test_every_error_that_a_read_can_meet_is_documented(world: Any) -> None:
    paths = world.app.openapi()["paths"]
    for path in PATHS:
        item = paths[path]
        wanted = {"200", "400", "401", "403", "429", "500", "503"} | ({"404"} if "{id}" in path else set())
        assert set(item["get"]["responses"]) == wanted
        assert item["get"]["security"] == [{"BearerAuth": []}]


def test_the_published_example_fits_the_schema_and_is_the_golden_one(world: Any) -> None:
    golden = json.loads(Path(__file__).with_name("seed_003_list.json").read_text())
    assert EXAMPLE_LIST["data"]["items"] == golden["data"]["items"]
    components = world.app.openapi()["components"]
    schema = {"$ref": "#/components/schemas/ExecutionListEnvelope", "components": components}
    jsonschema.validate(EXAMPLE_LIST, schema)


def test_the_codes_are_statuses_with_a_sequence_and_keep_clear_of_the_published_ones() -> None:
    assert set(CODES) >= PUBLISHED_CODES
    assert not PUBLISHED_CODES & set(CODE_OF_PARAMETER.values())
    assert {code // 1000 for code in CODES} == {400, 401, 403, 404, 405, 408, 409, 413, 429, 500, 503}


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("path", PATHS)
def test_generated_requests_are_answered_as_documented(world: Any, seed: Any, path: str, mode: Any) -> None:
    asyncio.run(world.post(seed | {"id": "0"}))
    schema = schemathesis.openapi.from_dict(world.app.openapi())
    schema.app = world.app

    # A parameter that nobody knows is ignored, as B3OS does; that check would want it refused. And no schema says which
    # texts are cursors, nor that `cursor` excludes `offset`.
    excluded = [negative_data_rejection] + ([positive_data_acceptance] if path == "/v1/executions" else [])

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=schema[path]["GET"].as_strategy(generation_mode=mode))
    def generated(case: Any) -> None:
        case.call_and_validate(headers={"Authorization": "Bearer b3sk_mine"}, excluded_checks=excluded)

    generated()


def test_the_page_of_the_dialect_has_every_status_code_and_parameter(world: Any) -> None:
    page = (Path(__file__).parents[3] / "docs" / "dialects" / "b3os.md").read_text()
    listed = set(re.findall(r"^\| (\d{6}) \| (.+) \|$", page, re.MULTILINE))
    assert listed == {(str(code), meaning) for code, meaning in CODES.items()}
    for status, name in STATUS_NAMES.items():
        assert re.search(rf"^\|[^|]*`{status}`[^|]*\| `{name}` \|", page, re.MULTILINE)
    for path, item in world.app.openapi()["paths"].items():
        for method, operation in item.items():
            assert f"`{method.upper()} {path}`" in page
            for parameter in operation["parameters"]:
                assert parameter["in"] == "path" or f"`{parameter['name']}`" in page

"""The five OpenAPI documents as the server gives them: valid, and true of what it answers to generated requests."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.errors import Unsatisfiable
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gesta.kernel.json import encode_json
from tests.integration.hardening.house import House, Live
from tests.integration.hardening.test_bad_requests import DIALECTS
from tests.integration.hardening.test_bad_rows import examples

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Fixed, and no more than a test run can spare: together the dialects get some thousands of requests.
SEED = 20261121
EXAMPLES = {"POSITIVE": 8, "NEGATIVE": 8}
CREDENTIALS = {
    "crosstrade": ["bearer", "b3os_read"],
    "hummingbot": ["basic", "basic_read"],
    "b3os": ["b3os", "bearer_read"],
    "refold": ["pk_bound", "session_tk"],
    "native": ["bearer", "pk_bound"],
}
# An endless answer has no end to be checked at; its own tests read it.
ENDLESS = {("native", "/ledger/stream"), ("b3os", "/v1/activity/stream")}


def document_of(live: Live, dialect: str) -> dict[str, Any]:
    with live.client() as client:
        answer = client("GET", f"/openapi/{dialect}.json")
    assert answer.status == 200
    document: dict[str, Any] = answer.json
    return document


@pytest.mark.parametrize("dialect", DIALECTS)
def test_valid(live: Live, dialect: str) -> None:
    document = document_of(live, dialect)
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path in ("/v1/api/_endpoints",):
                continue
            # Its real errors are documented, and what a caller needs to get in.
            assert {"401"} <= set(operation["responses"]), (method, path)
            assert operation.get("security") or document.get("security"), (method, path)


@pytest.fixture(scope="session")
def furnished(live: Live, gamma: House) -> House:
    """The organization that holds what the documents' examples name."""
    with live.client() as client:
        for dialect, rows in examples().items():
            target = "/ledger/executions" + (f"?dialect={dialect}" if dialect else "")
            answer = client("POST", target, gamma.credentials["bearer"].headers, encode_json(rows))
            assert answer.status == 200, answer
    return gamma


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("mode", schemathesis.GenerationMode)
@pytest.mark.parametrize("which", [0, 1, None], ids=["owner", "other credential", "nobody"])
def test_generated_requests(live: Live, furnished: House, dialect: str, mode: Any, which: int | None) -> None:
    if which == 1 and live.settings.database.is_postgres:
        pytest.skip("what another credential is told does not depend on the database")
    schema = schemathesis.openapi.from_dict(document_of(live, dialect))
    schema.config.update(base_url=live.base_url)
    headers = {} if which is None else furnished.credentials[CREDENTIALS[dialect][which]].headers
    examples = 3 if which is None else EXAMPLES[mode.name]
    for result in schema.get_all_operations():
        operation = result.ok()
        if (dialect, operation.path) in ENDLESS and which is not None:
            continue
        _generate(operation, mode, headers, examples)


def _generate(operation: Any, mode: Any, headers: dict[str, str], examples: int) -> None:
    @seeded(SEED)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=False,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS, timeout=20)

    try:
        run()
    except Unsatisfiable:
        # Nothing of an operation without parameters and body can be wrong.
        assert mode is schemathesis.GenerationMode.NEGATIVE
        assert not operation.definition.raw.get("parameters")
        assert "requestBody" not in operation.definition.raw


def test_the_ledger_is_whole(live: Live) -> None:
    assert live.verify().faults == []

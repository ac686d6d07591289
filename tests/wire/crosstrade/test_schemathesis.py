"""Generated requests against the document: no server error, and every answer as documented."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gesta.apis.crosstrade.commands import COMMANDS

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture
async def furnished(house: Any, example: dict[str, Any]) -> Any:
    """The app over a ledger that holds the rows which the document's examples name, on a server that does not trade."""
    await house.post(example, house.fill("now"), house.fill("part", quantity=0.25))
    return house


def generate(app: Any, command: Any, mode: Any, token: str, examples: int) -> None:
    schema = schemathesis.openapi.from_asgi("/v1/api/openapi.json", app)
    operation = schema[command.path][command.method]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=CHECKS)

    try:
        run()
    except Unsatisfiable:
        # Nothing of an operation without parameters and body can be wrong.
        assert mode is schemathesis.GenerationMode.NEGATIVE
        assert not command.arguments


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.operation_id)
@pytest.mark.parametrize("mode", [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE])
@pytest.mark.parametrize("token", ["gst_mine", "nobody"])
def test_generated_requests(furnished: Any, command: Any, mode: Any, token: str) -> None:
    generate(furnished.app, command, mode, token, 30 if token == "gst_mine" and command.tag == "executions" else 5)

"""Generated requests against the document: no server error, and every answer as documented."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
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
from tests.wire.crosstrade.trading_house import served, trading_house

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture
async def furnished(house: Any, example: dict[str, Any]) -> Any:
    """The app over a ledger that holds the rows which the document's examples name."""
    await house.post(example, house.fill("now"), house.fill("part", quantity=0.25))
    return house


class LiveDesk:
    """A house that trades, served by a thread with its own loop: the generated requests come from another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> LiveDesk:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(30)
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        async with trading_house(self._folder) as house:
            await house.quote("5804.25", "5804.50", size=1000)
            self.token = house.tokens["mine"]
            async with served(house.app) as address:
                self.url = f"http://{address}"
                self._ready.set()
                await self._done.wait()


@pytest.fixture(scope="module")
def live_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveDesk]:
    with LiveDesk(tmp_path_factory.mktemp("desk")) as made:
        yield made


def generate(schema: Any, command: Any, mode: Any, token: str, examples: int) -> None:
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


OF_EXECUTIONS = [command for command in COMMANDS if command.tag == "executions"]
MODES = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]


@pytest.mark.parametrize("command", OF_EXECUTIONS, ids=lambda each: each.operation_id)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("token", ["gst_mine", "nobody"])
def test_generated_requests(furnished: Any, command: Any, mode: Any, token: str) -> None:
    schema = schemathesis.openapi.from_asgi("/v1/api/openapi.json", furnished.app)
    generate(schema, command, mode, token, 30 if token == "gst_mine" else 5)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.operation_id)
@pytest.mark.parametrize("mode", MODES)
def test_generated_requests_of_a_trader(live_desk: LiveDesk, command: Any, mode: Any) -> None:
    schema = schemathesis.openapi.from_url(f"{live_desk.url}/v1/api/openapi.json")
    generate(schema, command, mode, live_desk.token, 12)

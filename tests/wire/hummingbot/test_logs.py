"""`GET /executors/{executor_id}/logs` (protocols/hummingbot.md §11)."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from gesta.apis.hummingbot.models import ExecutorLogsResponse, HTTPValidationError
from gesta.ledger.records import NewEvent, Severity, Status, Transition


@pytest.fixture
async def logged(world: Any, seed: Any) -> Any:
    """The example with 2 error entries, 3 others and its birth."""
    await world.post(seed)
    await world.ledger.note(
        1,
        "abc123...",
        [
            NewEvent(type="order.placed", message="bought 1", at_us=1_705_315_800_250_000),
            NewEvent(type="order.failed", title="Order", message="rejected", level=Severity.ERROR),
            NewEvent(type="order.failed", level=Severity.ERROR, data={"exc_info": "Traceback"}),
            NewEvent(type="tick", level=Severity.DEBUG, message="tick", data={"exc_info": 5}),
        ],
    )
    change = Transition(event=NewEvent(type="execution.stopping"), status=Status.STOPPING)
    await world.ledger.transition(1, "abc123...", change)
    return world


async def test_all_entries_in_order(logged: Any, client: httpx.AsyncClient) -> None:
    response = await client.get("/executors/abc123.../logs")
    body = response.json()
    msgspec.json.decode(response.content, type=ExecutorLogsResponse)
    assert (response.status_code, body["executor_id"], body["total_count"]) == (200, "abc123...", 6)
    assert [(entry["level"], entry["message"], entry["exc_info"]) for entry in body["logs"]] == [
        ("INFO", "execution.recorded: RUNNING", None),
        ("INFO", "bought 1", None),
        ("ERROR", "Order: rejected", None),
        ("ERROR", "order.failed", "Traceback"),
        ("DEBUG", "tick", None),
        ("INFO", "execution.stopping: SHUTTING_DOWN", None),
    ]
    assert body["logs"][1]["timestamp"] == "2024-01-15T10:50:00.250000+00:00"


async def test_the_newest_of_a_level(logged: Any, client: httpx.AsyncClient) -> None:
    body = (await client.get("/executors/abc123.../logs?level=error&limit=1")).json()
    assert body["total_count"] == 2
    assert [entry["exc_info"] for entry in body["logs"]] == ["Traceback"]


async def test_a_timeline_longer_than_one_read(logged: Any, client: httpx.AsyncClient) -> None:
    await logged.ledger.note(1, "abc123...", [NewEvent(type="n", message=str(number)) for number in range(2500)])
    body = (await client.get("/executors/abc123.../logs?limit=1000")).json()
    assert body["total_count"] == 2506
    assert [entry["message"] for entry in body["logs"]] == [str(number) for number in range(1500, 2500)]


async def test_an_unknown_executor(client: httpx.AsyncClient) -> None:
    response = await client.get("/executors/nope/logs")
    assert (response.status_code, response.json()) == (404, {"detail": "Executor nope not found"})


@pytest.mark.parametrize(
    ("query", "kind", "message", "given", "context"),
    [
        (
            "limit=abc",
            "int_parsing",
            "Input should be a valid integer, unable to parse string as an integer",
            "abc",
            None,
        ),
        ("limit=", "int_parsing", "Input should be a valid integer, unable to parse string as an integer", "", None),
        ("limit=1.5", "int_parsing", "Input should be a valid integer, unable to parse string as an integer", "1.5", 0),
        ("limit=-1", "greater_than_equal", "Input should be greater than or equal to 1", "-1", {"ge": 1}),
        ("limit=0", "greater_than_equal", "Input should be greater than or equal to 1", "0", {"ge": 1}),
        (
            "limit=1000000000000",
            "less_than_equal",
            "Input should be less than or equal to 1000",
            "1000000000000",
            {"le": 1000},
        ),
        (
            "level=LOUD",
            "literal_error",
            "Input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'",
            "LOUD",
            {"expected": "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"},
        ),
    ],
)
async def test_a_parameter_that_does_not_fit(
    client: httpx.AsyncClient, query: str, kind: str, message: str, given: str, context: Any
) -> None:
    response = await client.get(f"/executors/x/logs?{query}")
    name = query.partition("=")[0]
    defect = {"type": kind, "loc": ["query", name], "msg": message, "input": given}
    assert response.status_code == 422
    assert response.json() == {"detail": [defect | ({"ctx": context} if context else {})]}


async def test_every_defect_is_listed(client: httpx.AsyncClient) -> None:
    response = await client.get("/executors/x/logs?limit=1&limit=2&level=%00%FF")
    assert response.status_code == 422
    found = msgspec.json.decode(response.content, type=HTTPValidationError).detail
    assert [(defect.type, defect.loc[-1]) for defect in found] == [
        ("too_many_values", "limit"),
        ("literal_error", "level"),
    ]
    huge = await client.get("/executors/x/logs?limit=" + "9" * 6000)
    assert huge.status_code == 422

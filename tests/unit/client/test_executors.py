"""The executors section: what it asks, what it reads, and that the sync and the async one do the same."""

from __future__ import annotations

import inspect
import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from gesta.client import AsyncExecutors, Executors, NotFound
from tests.unit.client.doubles import Scripted, problem

RUNNING = {"id": "e/1", "status": "running"}
OVER = {"id": "e/1", "status": "succeeded"}


def ok(body: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json=body)


def page(*items: dict[str, Any]) -> httpx.Response:
    return ok({"items": list(items), "next_cursor": None, "next_after_seq": None})


def asked(request: httpx.Request) -> tuple[str, str, Any]:
    return request.method, request.url.raw_path.decode(), json.loads(request.content or b"null")


def test_starting_is_the_same_executor_when_repeated() -> None:
    server = Scripted([httpx.ConnectError("cut"), httpx.Response(201, json=RUNNING), ok(RUNNING)])
    with server.client() as gesta:
        assert gesta.executors.create({"type": "twap_executor", "amount": Decimal("0.10")}, account="Sim101") == RUNNING
        gesta.executors.create({"type": "x"}, controller_id="c", key="mine")
    first, again, other = server.requests
    assert asked(first) == asked(again)
    assert asked(first) == (
        "POST",
        "/ledger/executors",
        {"config": {"type": "twap_executor", "amount": "0.10"}, "account": "Sim101", "controller_id": "main"},
    )
    keys = [request.headers["Idempotency-Key"] for request in server.requests]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 32
    assert (keys[2], asked(other)[2]) == ("mine", {"config": {"type": "x"}, "controller_id": "c"})


def test_the_rest_of_the_questions() -> None:
    server = Scripted([ok(RUNNING), page(RUNNING), page(OVER), page({"seq": 1}), ok(RUNNING)])
    with server.client() as gesta:
        section = gesta.executors
        assert section.get("e/1", account="Sim101") == RUNNING
        assert list(section.list(limit=5, status="running")) == [RUNNING]
        assert list(section.fills("e/1")) == [OVER]
        assert list(section.events("e/1", after=7)) == [{"seq": 1}]
        assert section.stop("e/1", keep_position=True) == RUNNING
        with pytest.raises(ValueError, match="empty"):
            section.get("")
    assert [asked(request)[:2] for request in server.requests] == [
        ("GET", "/ledger/executors/e%2F1?account=Sim101"),
        ("GET", "/ledger/executions?kind=executor&status=running&limit=5&total=false"),
        ("GET", "/ledger/executions?kind=fill&parent_id=e%2F1&limit=500&total=false"),
        ("GET", "/ledger/executions/e%2F1/events?after_seq=7&limit=500"),
        ("POST", "/ledger/executors/e%2F1/stop"),
    ]
    assert asked(server.requests[-1])[2] == {"keep_position": True}


def test_waiting_is_for_the_end() -> None:
    server = Scripted([ok(RUNNING), ok(RUNNING), ok(OVER), ok(RUNNING), ok(RUNNING)])
    with server.client() as gesta:
        assert gesta.executors.wait("e/1") == OVER
        assert server.slept == [0.05, 0.1]
        assert gesta.executors.wait("e/1", timeout_s=0.05) == RUNNING


def test_what_is_not_there_is_told() -> None:
    server = Scripted([problem(404, "not_found")])
    with server.client() as gesta, pytest.raises(NotFound):
        gesta.executors.get("e")


async def test_the_async_section_does_the_same() -> None:
    server = Scripted(
        [httpx.Response(201, json=RUNNING), ok(RUNNING), ok(OVER), page(OVER), page({"seq": 1}), ok(OVER)]
    )
    async with server.async_client() as gesta:
        made = await gesta.executors.create({"type": "x"})
        assert await gesta.executors.wait(made["id"]) == OVER
        assert [row async for row in gesta.executors.list()] == [OVER]
        assert [event async for event in gesta.executors.events("e")] == [{"seq": 1}]
        assert await gesta.executors.stop("e") == OVER
    assert server.slept == [0.05]


def test_both_sections_have_the_same_methods() -> None:
    def shape(section: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in vars(section).items()
            if inspect.isfunction(method) and name != "__init__"
        }

    assert shape(Executors) == shape(AsyncExecutors)

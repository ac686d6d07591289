"""The sections for workflows, runs and schedules: what they ask, and that the sync and the async ones do the same."""

from __future__ import annotations

import inspect
import json
from typing import Any

import httpx
import pytest

from gesta.client import (
    AsyncRuns,
    AsyncSchedules,
    AsyncWorkflows,
    Conflict,
    Runs,
    Schedules,
    Unreachable,
    Workflows,
)
from tests.unit.client.doubles import Scripted, problem

ROW = {"id": "w/1", "status": "running"}
OVER = {"id": "w/1", "status": "succeeded"}


def ok(body: dict[str, Any], status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=body)


def asked(request: httpx.Request) -> tuple[str, str, Any]:
    return request.method, request.url.raw_path.decode(), json.loads(request.content or b"null")


def test_a_start_that_is_repeated_is_one_run() -> None:
    server = Scripted([httpx.ConnectError("cut"), ok({"run": ROW}, 201), ok({"run": ROW})])
    with server.client() as gesta:
        assert gesta.runs.start("greet", None, wait_s=5, external_ref="o", version=None) == {"run": ROW}
        gesta.runs.start(definition={"nodes": []}, key="mine")
    first, again, other = server.requests
    assert asked(first) == asked(again)
    body = {"workflow": "greet", "external_ref": "o", "input": None, "wait_s": 5}
    assert asked(first) == ("POST", "/ledger/runs", body)
    keys = [request.headers["Idempotency-Key"] for request in server.requests]
    assert keys[0] == keys[1]
    assert (len(keys[0]), keys[2]) == (32, "mine")
    assert asked(other)[2] == {"definition": {"nodes": []}, "input": None, "wait_s": 0}


@pytest.mark.parametrize("act", ["rerun", "retry"])
def test_what_would_be_done_twice_is_not_repeated(act: str) -> None:
    server = Scripted([httpx.ConnectError("cut")])
    with server.client() as gesta, pytest.raises(Unreachable):
        getattr(gesta.runs, act)("w/1")
    assert len(server.requests) == 1


def test_null_is_said_and_nothing_is_not() -> None:
    server = Scripted([ok({"run": ROW}, 201), ok({"run": ROW}, 201), ok({"id": "j"}, 202)])
    with server.client() as gesta:
        gesta.runs.rerun("w/1", input=None, from_node="a")
        gesta.runs.rerun("w/1")
        gesta.runs.bulk("stop", workflow_id="w", name=None)
    assert [asked(request) for request in server.requests] == [
        ("POST", "/ledger/runs/w%2F1/rerun", {"from_node": "a", "input": None}),
        ("POST", "/ledger/runs/w%2F1/rerun", {}),
        ("POST", "/ledger/runs/bulk", {"action": "stop", "filter": {"workflow_id": "w"}}),
    ]


def test_pages_of_workflows_follow_one_another() -> None:
    pages = [{"items": [ROW, ROW], "has_more": True}, {"items": [OVER], "has_more": False}]
    server = Scripted([ok(page) for page in pages])
    with server.client() as gesta:
        assert list(gesta.workflows.list(search="x")) == [ROW, ROW, OVER]
    assert [asked(request)[1] for request in server.requests] == [
        "/ledger/workflows?offset=0&limit=200&search=x",
        "/ledger/workflows?offset=2&limit=200&search=x",
    ]


def test_the_rest_of_the_questions() -> None:
    items = ok({"items": [ROW]})
    server = Scripted([ok(ROW), ok(ROW), items, httpx.Response(204), ok({"resumed": True}), ok({"secret": "s"}), items])
    with server.client() as gesta:
        gesta.workflows.save("greet", "nodes: []", publish=True, expected_version=2)
        gesta.workflows.version("greet", 3, form="b3os")
        assert gesta.schedules.list(workflow="greet") == [ROW]
        gesta.schedules.delete("s1")
        assert gesta.runs.resume("r", "loop[1]/ask", {"yes": 1}) is True
        assert gesta.workflows.new_hook_secret("greet") == "s"
        assert gesta.workflows.versions("greet") == [ROW]
        with pytest.raises(ValueError, match="empty"):
            gesta.workflows.get("")
    saved = {"definition": "nodes: []", "form": "auto", "publish": True, "expected_version": 2}
    assert [asked(request) for request in server.requests] == [
        ("PUT", "/ledger/workflows/greet", saved),
        ("GET", "/ledger/workflows/greet/versions/3?form=b3os", None),
        ("GET", "/ledger/schedules?workflow=greet", None),
        ("DELETE", "/ledger/schedules/s1", None),
        ("POST", "/ledger/runs/r/resume", {"node": "loop[1]/ask", "payload": {"yes": 1}}),
        ("POST", "/ledger/workflows/greet/hook-secret", None),
        ("GET", "/ledger/workflows/greet/versions", None),
    ]


def test_waiting_is_for_the_end_and_a_refusal_is_told() -> None:
    server = Scripted([ok(ROW), ok(ROW), ok(OVER), problem(409, "conflict")])
    with server.client() as gesta:
        assert gesta.runs.wait("w/1") == OVER
        assert server.slept == [0.05, 0.1]
        with pytest.raises(Conflict):
            gesta.runs.stop("w/1")


@pytest.mark.parametrize(
    ("one", "other"), [(Workflows, AsyncWorkflows), (Runs, AsyncRuns), (Schedules, AsyncSchedules)]
)
def test_sync_and_async_are_the_same(one: type, other: type) -> None:
    def public(section: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in vars(section).items()
            if not name.startswith("_")
        }

    assert public(one) == public(other)

"""What each type of node may be configured with, and how durations and moments are read."""

from __future__ import annotations

from typing import Any

import pytest

from gesta.kernel.errors import InvalidInput
from gesta.workflows.graph.configs import SPECS, check_config, moment_us, normal, seconds
from gesta.workflows.graph.definition import Node, NodeType

COMPLETE: dict[str, dict[str, Any]] = {
    "start": {},
    "http": {
        "method": "post",
        "url": "https://example.com/{{input.path}}",
        "headers": {"X-Kind": "{{input.kind}}", "X-Number": 5},
        "query": {"page": [1, 2]},
        "body": {"any": ["thing", None]},
        "timeout_s": 2.5,
        "follow_redirects": True,
        "accepts_status": ["2xx", 404, "409"],
    },
    "transform": {"value": None},
    "if": {"condition": {"$and": [{"{{input.n}}": {"$gt": 1}}]}},
    "switch": {"cases": [{"branch": "big", "condition": "{{input.big}}"}, {"branch": "small", "condition": True}]},
    "for_each": {"items": "{{input.list}}", "at_once": 4, "continue_on_error": True},
    "merge": {},
    "delay": {"seconds": "90"},
    "wait_webhook": {"timeout_s": 60},
    "wait_event": {"event": "paid", "application": "shop", "timeout_s": "{{input.limit}}"},
    "human": {"title": "Approve?", "description": "…", "assignee": "ops", "form": {"type": "object"}, "timeout_s": 1},
    "sub_flow": {"workflow": "other", "version": 2, "input": {"a": 1}, "waits": False},
    "response": {"status_code": 201, "body": "{{a}}"},
    "terminate": {"outcome": "failed", "message": "{{a}}"},
    "try": {},
    "log": {"level": "warning", "message": {"a": 1}},
    "executor.start": {"config": {"type": "position_executor"}, "account": "master_account", "controller_id": "main"},
    "executor.await": {"executor_id": "{{begin.executor_id}}", "timeout_s": 3600},
    "order.submit": {
        "account": "main",
        "instrument": "ES 12-26",
        "side": "buy",
        "quantity": "2",
        "order_type": "stop_limit",
        "limit_price": 5000.25,
        "stop_price": "5000.00",
        "time_in_force": "gtc",
        "waits_for": "filled",
    },
    "python": {"function": "score", "arguments": {"x": 1}},
}


def told(type: str, config: dict[str, Any]) -> dict[str, str]:
    return {
        problem.field: problem.message for problem in check_config(Node(id="n", type=NodeType(type), config=config))
    }


def test_the_table_has_every_type() -> None:
    assert set(SPECS) == set(NodeType)
    assert set(COMPLETE) == {type.value for type in NodeType}


@pytest.mark.parametrize("type", sorted(COMPLETE))
def test_a_complete_configuration_is_right(type: str) -> None:
    assert told(type, COMPLETE[type]) == {}


@pytest.mark.parametrize("type", sorted(COMPLETE))
def test_an_unknown_field_is_named(type: str) -> None:
    problems = told(type, COMPLETE[type] | {"no_such": 1})
    assert list(problems) == ["config.no_such"]
    assert "has no field 'no_such'" in problems["config.no_such"]


def test_the_nearest_field_is_offered() -> None:
    assert "Did you mean `timeout_s`?" in told("http", {"url": "http://a", "timout_s": 1})["config.timout_s"]


@pytest.mark.parametrize(
    ("type", "config", "field", "right"),
    [
        ("http", {}, "url", "needs `url`"),
        ("http", {"url": "ftp://a"}, "url", "http:// or https://"),
        ("http", {"url": "http://a", "method": "FETCH"}, "method", "`GET`"),
        ("http", {"url": "http://a", "headers": {"a": "b\r\nc"}}, "headers", "one line"),
        ("http", {"url": "http://a", "headers": {"a b": "c"}}, "headers", "a header's name"),
        ("http", {"url": "http://a", "headers": "x"}, "headers", "an object"),
        ("http", {"url": "http://a", "timeout_s": 0}, "timeout_s", "from 0.001 to 3600"),
        ("http", {"url": "http://a", "timeout_s": float("nan")}, "timeout_s", "a number of seconds"),
        ("http", {"url": "http://a", "follow_redirects": "yes"}, "follow_redirects", "true or false"),
        ("http", {"url": "http://a", "accepts_status": [99]}, "accepts_status", "`2xx`"),
        ("http", {"url": "http://a", "accepts_status": []}, "accepts_status", "must have a status"),
        ("transform", {}, "value", "exactly one of `value` and `jsonata`"),
        ("transform", {"value": 1, "jsonata": "a"}, "value", "exactly one of"),
        ("transform", {"jsonata": " "}, "jsonata", "JSONata expression"),
        ("if", {}, "condition", "exactly one of"),
        ("if", {"condition": 5}, "condition", "true or false"),
        ("if", {"jsonata": "a"}, "jsonata", "condition: {jsonata: …}"),
        ("switch", {"cases": []}, "cases", "1 to 100 cases"),
        ("switch", {"cases": [{"branch": "a"}]}, "cases", "a `branch` and a `condition`"),
        ("switch", {"cases": [{"branch": "default", "condition": True}]}, "cases", "`default` needs no case"),
        ("switch", {"cases": [{"branch": "a", "condition": True}] * 2}, "cases", "there already"),
        ("for_each", {"items": 5}, "items", "a list"),
        ("for_each", {"items": [], "at_once": "{{a}}"}, "at_once", "cannot be a template"),
        ("for_each", {"items": [], "at_once": 0}, "at_once", "an integer from 1 to 1000"),
        ("delay", {}, "seconds", "exactly one of"),
        ("delay", {"seconds": 1, "until": 1}, "seconds", "exactly one of"),
        ("delay", {"seconds": 367 * 86400}, "seconds", "366 days"),
        ("delay", {"until": "2026-02-30T00:00:00Z"}, "until", "not a possible date"),
        ("wait_event", {"event": " "}, "event", "must not be empty"),
        ("human", {}, "title", "needs `title`"),
        ("sub_flow", {"workflow": "a", "version": 0}, "version", "from 1"),
        ("response", {"status_code": 99}, "status_code", "from 200 to 599"),
        ("terminate", {"outcome": "{{a}}"}, "outcome", "cannot be a template"),
        ("terminate", {"outcome": "fine"}, "outcome", "`succeeded` or `failed`"),
        ("log", {"message": "a", "level": "loud"}, "level", "`info`"),
        ("executor.start", {}, "config", "needs `config`"),
        ("order.submit", COMPLETE["order.submit"] | {"quantity": 0}, "quantity", "above zero"),
        ("order.submit", COMPLETE["order.submit"] | {"quantity": "NaN"}, "quantity", "above zero"),
        ("order.submit", COMPLETE["order.submit"] | {"side": "long"}, "side", "`buy` or `sell`"),
        ("python", {"function": "{{a}}"}, "function", "cannot be a template"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_right(type: str, config: dict[str, Any], field: str, right: str) -> None:
    problems = told(type, config)
    assert list(problems) == [f"config.{field}"]
    assert right in problems[f"config.{field}"]


def test_templates_stand_wherever_a_value_does() -> None:
    config = {"url": "{{a}}", "timeout_s": "{{b}}", "follow_redirects": "{{c}}", "method": "{{d}}", "headers": "{{e}}"}
    assert told("http", config) == {}


def test_null_means_nothing_but_where_any_json_is_a_value() -> None:
    assert normal(NodeType.FOR_EACH, {"items": [], "at_once": None}) == {"items": []}
    assert normal(NodeType.TRANSFORM, {"value": None}) == {"value": None}
    assert normal(NodeType.LOG, {"no_such": None}) == {"no_such": None}


def test_the_short_form_of_if_is_written_out() -> None:
    assert normal(NodeType.IF, {"jsonata": "a > 1"}) == {"condition": {"jsonata": "a > 1"}}
    assert normal(NodeType.TRANSFORM, {"jsonata": "a"}) == {"jsonata": "a"}


@pytest.mark.parametrize(
    ("value", "meant"), [(0, 0), (1.5, 1.5), ("90", 90), (" 1.25 ", 1.25), (31_622_400, 366 * 86_400)]
)
def test_seconds(value: Any, meant: float) -> None:
    assert seconds(value, "timeout_s") == meant


@pytest.mark.parametrize(
    "value",
    [-1, -0.1, 31_622_401, True, None, "", "-1", "1e3", "1s", [], {}, float("nan"), float("inf"), 10**400, "9" * 99],
)
def test_what_is_no_duration(value: Any) -> None:
    with pytest.raises(InvalidInput, match="from 0 to 31622400") as error:
        seconds(value, "timeout_s")
    assert error.value.field == "timeout_s"


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-01T00:00:00Z",
        "2026-01-01T01:00+01:00",
        "2025-12-31 19:00:00.000-0500",
        1_767_225_600,
        1_767_225_600_000,
        "1767225600",
        "1767225600000.0",
        1_767_225_600.0,
    ],
)
def test_moments(value: Any) -> None:
    assert moment_us(value, "until") == 1_767_225_600_000_000


@pytest.mark.parametrize(
    "value",
    [
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-01T25:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01",
        "soon",
        -1,
        True,
        None,
        float("nan"),
        float("inf"),
        10**400,
        -(10**400),
        "9" * 99,
        [],
        {},
    ],
)
def test_what_is_no_moment(value: Any) -> None:
    with pytest.raises(InvalidInput) as error:
        moment_us(value, "until")
    assert error.value.field == "until"

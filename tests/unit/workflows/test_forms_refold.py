"""Refold's form (protocols/refold.md §6, "Workflow model"): nodes with their data, edges with handles, and back."""

from __future__ import annotations

from typing import Any

import pytest

from gesta.kernel.errors import InvalidInput
from gesta.ledger.records import Named
from gesta.workflows.forms.reading import form_of, header_of, parse_definition, read_definition, write_definition
from gesta.workflows.graph.checking import check
from gesta.workflows.graph.definition import NodeType, Trigger, TriggerKind
from gesta.workflows.graph.diff import diff


def approve() -> dict[str, Any]:
    return {
        "_id": "65f0c0ffee00000000000001",
        "name": "Approve orders",
        "workflow_alias": "approve",
        "slug": "shop",
        "associated_application": {"_id": "65f0", "name": "Shop", "icon": "https://example.com/i.png"},
        "nodes": [
            {
                "id": "1",
                "type": "start",
                "name": "Start",
                "data": {"trigger_type": "App Event", "event": "order.created"},
                "position": {"x": 0, "y": 0},
                "outgoing_nodes": ["2"],
            },
            {
                "id": "2",
                "node_type": "http",
                "type": "custom",
                "name": "Fetch",
                "data": {
                    "url": "https://example.com/{{start.body.id}}",
                    "headers": [{"key": "X-Kind", "value": "a"}],
                    "query_params": {"a": "1"},
                    "timeout": 30,
                },
                "maximum_attempts": 4,
                "skip_on_error": True,
            },
            {
                "id": "3",
                "type": "rule",
                "data": {
                    "conditions": [{"lhs": "{{2.body.total}}", "operator": "Greater Than", "rhs": "100"}],
                    "logic": "and",
                },
            },
            {"id": "4", "type": "Human Task", "data": {"title": "Approve?", "timeout": 3600}},
            {"id": "5", "type": "group", "data": {"array": "{{2.body.lines}}", "concurrency": 5}},
            {"id": "6", "type": "transform", "parentId": "5", "data": {"expression": "item.price * 2"}},
            {"id": "7", "type": "response", "data": {"statusCode": 201, "body": "{{5}}"}},
            {"id": "8", "type": "terminate", "data": {"status": "Errored", "message": "late"}},
        ],
        "edges": [
            {"id": "e1", "source": "1", "target": "2", "sourceHandle": "out"},
            {"id": "e2", "source": "2", "target": "3"},
            {"id": "e3", "source": "3", "target": "4", "sourceHandle": "true"},
            {"id": "e4", "source": "3", "target": "5", "sourceHandle": "False"},
            {"id": "e5", "source": "4", "target": "5", "sourceHandle": "resumed"},
            {"id": "e6", "source": "4", "target": "8", "sourceHandle": "timeout"},
            {"id": "e7", "source": "5", "target": "7"},
        ],
        "json_schema": {"type": "object"},
        "settings": {"timeout": 900, "dedup_key": "{{start.body.id}}", "caching": False},
        "manual_execution_payload": {},
    }


def problems_of(document: Any) -> list[dict[str, str]]:
    with pytest.raises(InvalidInput) as error:
        parse_definition(document, "refold")
    problems: list[dict[str, str]] = error.value.details["problems"]
    return problems


def node(type: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    document = {"nodes": [{"id": "1", "type": "start"}, {"id": "2", "type": type, "data": data}], "edges": []}
    read = parse_definition(document, "refold").nodes[1]
    return read.type.value, read.config


def test_a_definition_is_read() -> None:
    document = approve()
    definition = read_definition(document)
    nodes = {node.id: node for node in definition.nodes}
    assert (definition.source, definition.written) == ("refold", document)
    assert nodes["2"].type is NodeType.HTTP
    assert nodes["2"].config == {
        "url": "https://example.com/{{start.body.id}}",
        "headers": {"X-Kind": "a"},
        "query": {"a": "1"},
        "timeout_s": 30,
    }
    assert nodes["2"].retry.attempts == 4
    assert nodes["2"].skips_errors
    assert nodes["3"].config == {"condition": document["nodes"][2]["data"]}
    assert nodes["4"].config == {"title": "Approve?", "timeout_s": 3600}
    assert nodes["5"].config == {"items": "{{2.body.lines}}", "at_once": 5}
    assert (nodes["6"].scope, nodes["6"].config) == ("5", {"jsonata": "item.price * 2"})
    assert nodes["7"].config == {"status_code": 201, "body": "{{5}}"}
    assert nodes["8"].config == {"outcome": "failed", "message": "late"}
    assert {(edge.source, edge.target): edge.branch for edge in definition.edges} == {
        ("1", "2"): "",
        ("2", "3"): "",
        ("3", "4"): "then",
        ("3", "5"): "else",
        ("4", "5"): "resumed",
        ("4", "8"): "timed_out",
        ("5", "7"): "",
    }
    assert definition.timeout_s == 900
    assert definition.input_schema == {"type": "object"}
    assert definition.trigger == Trigger(
        kind=TriggerKind.EVENT,
        event="order.created",
        application=Named(id="65f0", name="Shop"),
        dedup_key="{{start.body.id}}",
    )


def test_it_is_shown_as_it_was_written() -> None:
    assert write_definition(read_definition(approve()), "refold") == approve()


def test_its_looks_give_the_form_away() -> None:
    assert form_of(approve()) == "refold"
    assert header_of(approve()).alias == "approve"
    assert form_of({"nodes": [{"id": "1", "type": "start", "data": {}}], "edges": []}) == "refold"


def test_it_is_shown_in_the_other_forms() -> None:
    definition = read_definition(approve())
    for form in ("gesta", "b3os"):
        assert diff(definition, read_definition(write_definition(definition, form), form)).is_empty


def test_a_group_with_a_response_is_warned_about() -> None:
    """Refold forbids it in a synchronous execution (protocols/refold.md §5)."""
    warnings = check(parse_definition(approve()))
    assert [(warning.node, warning.field) for warning in warnings] == [("5", "type")]
    assert "synchronously" in warnings[0].message


def test_a_group_may_hold_its_nodes() -> None:
    inner = {"nodes": [{"id": "a", "type": "log", "data": {"message": "x"}}, {"id": "b", "type": "merge"}]}
    document = {
        "nodes": [
            {"id": "1", "type": "start"},
            {"id": "2", "type": "try-catch", "data": inner | {"edges": [{"source": "a", "target": "b"}]}},
            {"id": "3", "type": "merge"},
        ],
        "edges": [{"source": "1", "target": "2"}, {"source": "2", "target": "3", "sourceHandle": "error"}],
    }
    definition = read_definition(document, "refold")
    assert {node.id: node.scope for node in definition.nodes} == {"1": "", "2": "", "a": "2", "b": "2", "3": ""}
    assert [edge.branch for edge in definition.edges] == ["", "", "catch"]


@pytest.mark.parametrize(
    ("type", "data", "meant", "config"),
    [
        ("delay", {"delay": 5, "unit": "minutes"}, "delay", {"seconds": 300}),
        ("delay", {"delay": "5"}, "delay", {"seconds": 5}),
        ("delay", {"delay": "{{1.n}}", "unit": "seconds"}, "delay", {"seconds": "{{1.n}}"}),
        ("delay", {"until": "{{1.at}}"}, "delay", {"until": "{{1.at}}"}),
        ("sub-flow", {"workflow_id": "w", "payload": {"a": 1}}, "sub_flow", {"workflow": "w", "input": {"a": 1}}),
        ("wait_for_webhook", {"timeout": 60}, "wait_webhook", {"timeout_s": 60}),
        ("Try Catch", {}, "try", {}),
        ("terminate", {"status": "success"}, "terminate", {"outcome": "succeeded"}),
        ("loop", {"items": [1]}, "for_each", {"items": [1]}),
        ("rule", {"condition": True}, "if", {"condition": True}),
        ("switch", {"value": "{{1.kind}}", "cases": [{"label": "a", "value": "A"}]}, "switch",
         {"cases": [{"branch": "a", "condition": {"left": "{{1.kind}}", "op": "eq", "right": "A"}}]}),
        ("log", {"text": "hi"}, "log", {"message": "hi"}),
        ("order.submit", {"side": "buy"}, "order.submit", {"side": "buy"}),
    ],
)  # fmt: skip
def test_a_node(type: str, data: dict[str, Any], meant: str, config: dict[str, Any]) -> None:
    assert node(type, data) == (meant, config)


@pytest.mark.parametrize(
    ("document", "node", "field"),
    [
        ({"nodes": [{"id": "1", "type": "csv"}]}, "1", "type"),
        ({"nodes": [{"id": "1"}]}, "1", "type"),
        ({"nodes": [{"type": "start"}]}, "", "nodes[0].id"),
        ({"nodes": [5]}, "", "nodes[0]"),
        ({"nodes": {}}, "", "nodes"),
        ({"nodes": [{"id": "1", "type": "start", "data": []}]}, "1", "data"),
        ({"nodes": [], "edges": {}}, "", "edges"),
        ({"nodes": [], "edges": [{"source": "1"}]}, "", "edges[0]"),
        ({"nodes": [{"id": "1", "type": "delay", "data": {"delay": 1, "unit": "moons"}}]}, "1", "data.unit"),
        ({"nodes": [], "settings": {"timeout": "long"}}, "", "settings.timeout"),
        ({"nodes": [], "json_schema": "x"}, "", "json_schema"),
    ],
)
def test_what_cannot_be_is_told(document: dict[str, Any], node: str, field: str) -> None:
    assert [(each["node"], each["field"]) for each in problems_of(document)] == [(node, field)]

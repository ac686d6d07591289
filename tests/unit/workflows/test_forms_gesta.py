"""Gesta's own form: JSON and YAML, lists and objects, branches, bodies; and texts that are none of it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gesta.kernel.errors import InvalidInput, TooLarge
from gesta.ledger.records import Named
from gesta.workflows.forms.documents import MOST_YAML_BYTES, load
from gesta.workflows.forms.reading import (
    Header,
    form_of,
    header_of,
    parse_definition,
    read_definition,
    write_definition,
)
from gesta.workflows.graph.definition import Definition, Price, Retry, Trigger, TriggerKind
from gesta.workflows.graph.diff import diff

SETTLE = """
name: Settle an order
description: Pays every line of an order.
trigger: {event: order.paid, application: shop}
price: 4.50 USD
timeout_s: 600
properties: {currency: USD}
input_schema: {type: object, required: [order]}
nodes:
  - {id: start, type: start}
  - id: fetch
    type: http
    url: "https://example.com/{{input.order}}"
    timeout_s: 5
    retry: 3
  - id: size
    type: switch
    cases:
      - {branch: big, condition: {$and: [{"{{fetch.body.total}}": {$gt: 100}}]}, next: ask}
      - {branch: none, condition: {jsonata: "fetch.body.total = 0"}, next: give_up}
    default: guarded
  - {id: ask, type: human, title: "Approve?", timeout_s: 86400, resumed: guarded, timed_out: [give_up]}
  - id: guarded
    type: try
    body:
      - id: each
        type: for_each
        items: "{{fetch.body.lines}}"
        at_once: 4
        body:
          - {id: pay, type: http, method: POST, url: "https://example.com/pay", body: {line: "{{item}}"}}
          - {id: note, type: log, message: "paid {{pay.status_code}}"}
      - {id: total, type: transform, jsonata: $count(each)}
    done: answer
    catch: give_up
  - {id: answer, type: response, body: "{{guarded}}"}
  - {id: give_up, type: terminate, outcome: failed, message: nobody answered}
"""


def edges(definition: Definition) -> set[tuple[str, str, str]]:
    return {(edge.source, edge.target, edge.branch) for edge in definition.edges}


def problems_of(document: Any, form: str = "auto") -> list[dict[str, str]]:
    with pytest.raises(InvalidInput) as error:
        read_definition(document, form)
    problems: list[dict[str, str]] = error.value.details["problems"]
    return problems


def test_a_workflow_written_by_hand() -> None:
    definition = read_definition(SETTLE)
    nodes = {node.id: node for node in definition.nodes}
    assert nodes["fetch"].retry == Retry(attempts=3)
    assert nodes["fetch"].config == {"url": "https://example.com/{{input.order}}", "timeout_s": 5}
    assert {id: node.scope for id, node in nodes.items() if node.scope} == {
        "each": "guarded",
        "total": "guarded",
        "pay": "each",
        "note": "each",
    }
    assert edges(definition) == {
        ("start", "fetch", ""),
        ("fetch", "size", ""),
        ("size", "ask", "big"),
        ("size", "give_up", "none"),
        ("size", "guarded", "default"),
        ("ask", "guarded", "resumed"),
        ("ask", "give_up", "timed_out"),
        ("each", "total", ""),
        ("pay", "note", ""),
        ("guarded", "answer", "done"),
        ("guarded", "give_up", "catch"),
    }
    assert definition.trigger == Trigger(
        kind=TriggerKind.EVENT, event="order.paid", application=Named(id="shop", name="shop")
    )
    assert definition.price == Price(amount=Decimal("4.50"), currency="USD")
    assert definition.timeout_s == 600
    assert definition.source == "gesta"
    assert definition.written is None


def test_what_is_written_back_is_the_same_workflow() -> None:
    definition = read_definition(SETTLE)
    written = write_definition(definition, "gesta", name="Settle an order")
    again = read_definition(json.dumps(written))
    assert diff(definition, again).is_empty
    assert again.nodes == definition.nodes
    assert written["nodes"]["guarded"]["body"]["each"]["body"]["pay"]["next"] == "note"


def test_the_examples_of_the_guide_can_be_run() -> None:
    page = Path(__file__).parents[3] / "docs" / "how-to" / "workflows.md"
    examples = [block.partition("```")[0] for block in page.read_text("utf-8").split("```yaml\n")[1:]]
    assert [header_of(example).name for example in examples] == ["Settle an order", "Open a position"]
    for example in examples:
        assert read_definition(example).source == "gesta"


def test_the_words_about_a_workflow() -> None:
    assert header_of(SETTLE) == Header(name="Settle an order", description="Pays every line of an order.")
    assert form_of(SETTLE) == "gesta"


def test_an_object_of_nodes_chains_nothing_by_itself() -> None:
    document = {"nodes": {"start": {"next": "a"}, "a": {"type": "log", "message": "x"}, "b": {"type": "merge"}}}
    (problem,) = problems_of(document)
    assert (problem["node"], problem["field"]) == ("b", "edges")
    assert "cannot be reached" in problem["message"]


def test_a_list_does_not_chain_after_a_node_that_says_who_follows() -> None:
    document = {
        "nodes": [
            {"id": "start", "type": "start"},
            {"id": "ok", "type": "if", "condition": True, "then": "yes"},
            {"id": "lost", "type": "merge"},
            {"id": "yes", "type": "merge"},
        ]
    }
    assert [problem["node"] for problem in problems_of(document)] == ["lost"]


def test_edges_may_be_listed() -> None:
    document = {
        "nodes": [
            {"id": "start", "type": "start"},
            {"id": "a", "type": "if", "condition": True},
            {"id": "b", "type": "merge"},
        ],
        "edges": [{"source": "start", "target": "a"}, {"from": "a", "to": "b", "branch": "then"}],
    }
    assert edges(read_definition(document)) == {("start", "a", ""), ("a", "b", "then")}


def test_the_time_limit_of_a_node_and_that_of_its_configuration() -> None:
    nested = {"type": "http", "config": {"url": "http://a", "timeout_s": 5}, "timeout_s": 9}
    flat = {"type": "executor.start", "config": {"type": "order_executor"}, "timeout_s": 9}
    definition = read_definition({"nodes": {"start": {"next": ["a", "b"]}, "a": nested, "b": flat}})
    _, a, b = definition.nodes
    assert (a.config["timeout_s"], a.timeout_s) == (5, 9)
    assert (b.config, b.timeout_s) == ({"config": {"type": "order_executor"}}, 9)
    assert read_definition(write_definition(definition, "gesta")).nodes == definition.nodes


def test_jsonata_of_an_if_is_its_condition() -> None:
    document = {"nodes": {"start": {"next": "a"}, "a": {"type": "if", "jsonata": "input.n > 1"}}}
    assert read_definition(document).nodes[1].config == {"condition": {"jsonata": "input.n > 1"}}


@pytest.mark.parametrize(
    ("trigger", "kind"),
    [
        ({"webhook": True}, TriggerKind.WEBHOOK),
        ({"cron": "0 9 * * 1-5", "timezone": "Europe/Berlin"}, TriggerKind.SCHEDULE),
        ({"at": "2026-03-10T12:00:00Z"}, TriggerKind.SCHEDULE),
        ({"kind": "event", "event": "a"}, TriggerKind.EVENT),
        ({}, TriggerKind.MANUAL),
    ],
)
def test_the_kind_of_a_trigger_follows_from_what_it_says(trigger: dict[str, Any], kind: TriggerKind) -> None:
    definition = read_definition({"nodes": {"start": {}}, "trigger": trigger})
    assert definition.trigger.kind is kind
    assert read_definition(write_definition(definition, "gesta")).trigger == definition.trigger


@pytest.mark.parametrize(
    ("document", "node", "field"),
    [
        ({"nodes": {"start": {}, "a": {"type": "htp"}}}, "a", "type"),
        ({"nodes": {"start": {}, "a": {}}}, "a", "type"),
        ({"nodes": {"start": {"next": 5.5, "skips_errors": "yes"}}}, "start", "skips_errors"),
        ({"nodes": {"start": {"retry": {"atempts": 2}}}}, "start", "retry.atempts"),
        ({"nodes": {"start": {"retry": {"attempts": "many"}}}}, "start", "retry"),
        ({"nodes": {"start": {"id": "begin"}}}, "start", "id"),
        ({"nodes": {"start": {"timeout_s": "5"}}}, "start", "timeout_s"),
        ({"nodes": {"a": {"type": "http", "config": {}, "url": "http://a"}}}, "a", "url"),
        ({"nodes": [{"type": "start"}]}, "", "nodes[0].id"),
        ({"nodes": ["start"]}, "", "nodes[0]"),
        ({"nodes": {"start": {}}, "trigger": {"crn": "* * * * *"}}, "", "trigger.crn"),
        ({"nodes": {"start": {}}, "trigger": {"kind": "sometimes"}}, "", "trigger"),
        ({"nodes": {"start": {}}, "price": "cheap"}, "", "price.amount"),
        ({"nodes": {"start": {}}, "price": {"amount": 1, "for": "you"}}, "", "price"),
        ({"nodes": {"start": {}}, "timeout_s": 0}, "", "timeout_s"),
        ({"nodes": {"start": {}}, "input_schema": 5}, "", "input_schema"),
        ({"nodes": {"start": {}}, "edges": {}}, "", "edges"),
        ({"nodes": {"start": {}}, "edges": [{"source": "start"}]}, "", "edges[0]"),
        ({"nodes": {"start": {}}, "node": {}}, "", "node"),
    ],
)
def test_a_slip_is_named(document: dict[str, Any], node: str, field: str) -> None:
    assert (node, field) in [(problem["node"], problem["field"]) for problem in problems_of(document, "gesta")]


def test_all_slips_are_told_at_once() -> None:
    with pytest.raises(InvalidInput, match=r"\(2 more problems\.\)$") as error:
        read_definition({"nodes": {"a": {"type": "x"}, "b": {"type": "y"}}, "c": 1}, "gesta")
    assert [problem["field"] for problem in error.value.details["problems"]] == ["c", "type", "type"]
    assert error.value.field == "c"


# -- texts


def test_yaml_has_the_types_of_json() -> None:
    text = "{a: no, b: 2026-03-10, c: 12:30, d: 007, e: 1.50, f: true, g: ~, h: 0x10, i: 1e3, j: 99999999999999999999}"
    assert load("x: " + text)["x"] == {
        "a": "no",
        "b": "2026-03-10",
        "c": "12:30",
        "d": "007",
        "e": 1.5,
        "f": True,
        "g": None,
        "h": "0x10",
        "i": 1000.0,
        "j": "99999999999999999999",
    }


def test_a_key_that_is_there_twice_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'a' is there twice in line 3"):
        load("nodes:\n  a: 1\n  a: 2\n")


def test_an_anchor_counts_each_time() -> None:
    assert load("a: &x [1]\nb: *x\n") == {"a": [1], "b": [1]}
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12))
    with pytest.raises(InvalidInput, match="100000 values"):
        load(f"l0: &l0 [1]\n{levels}\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nodes",
        "[1, 2]",
        "a: [",
        "\t- a",
        "{",
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": 123456789012345678901234567890}',
        '{"a": "\\u0000"}',
        "a: .inf\n? [b]\n: c",
        "a: &a [*a]",
        "a: !!python/object/apply:os.system [ls]",
        "a: !!binary aGVsbG8=",
        "? {a: 1}\n: 2",
        "true: 1",
        "[" * 5000,
        "a: " + "[" * 5000,
        '{"a": ' + "[" * 60 + "]" * 60 + "}",
        b"\xff\xfe",
        "a: \x07",
        "%YAML 9.9\n---\na: 1",
        "a: 1\n---\nb: 2",
    ],
)
def test_what_is_no_document(text: str | bytes) -> None:
    with pytest.raises(InvalidInput):
        load(text)


def test_a_document_has_a_most() -> None:
    with pytest.raises(TooLarge):
        load("a: " + "x" * MOST_YAML_BYTES)
    with pytest.raises(TooLarge):
        load(b'{"a": "' + b"x" * 1024 * 1024 + b'"}')


def test_a_form_that_there_is_not() -> None:
    with pytest.raises(InvalidInput, match="b3os, gesta, refold"):
        parse_definition({"nodes": {}}, "n8n")
    with pytest.raises(InvalidInput, match="needs its `nodes`"):
        parse_definition({"name": "x"})
    with pytest.raises(InvalidInput, match="b3os, gesta, refold"):
        write_definition(Definition(nodes=()), "n8n")

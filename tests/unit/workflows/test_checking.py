"""What is refused before there is a run, with the node, the field and what would be right."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gesta.kernel.errors import InvalidInput
from gesta.workflows.graph.checking import check
from gesta.workflows.graph.definition import (
    MOST_DEPTH,
    MOST_NODES,
    Definition,
    Edge,
    Node,
    NodeType,
    Price,
    Retry,
    Trigger,
    TriggerKind,
)

START = Node(id="start", type=NodeType.START)


def log(id: str, message: Any = "x", **more: Any) -> Node:
    return Node(id=id, type=NodeType.LOG, config={"message": message}, **more)


def graph(*nodes: Node, edges: str = "", **more: Any) -> Definition:
    """`edges` as `a>b a>c:then`."""
    made = []
    for word in edges.split():
        source, _, rest = word.partition(">")
        target, _, branch = rest.partition(":")
        made.append(Edge(source=source, target=target, branch=branch))
    return Definition(nodes=(START, *nodes), edges=tuple(made), **more)


def problems_of(definition: Definition) -> list[tuple[str, str, str]]:
    with pytest.raises(InvalidInput) as error:
        check(definition)
    return [(each["node"], each["field"], each["message"]) for each in error.value.details["problems"]]


def test_a_workflow_that_can_be_run_has_no_warnings() -> None:
    assert check(graph(log("a", "{{input.n}}"), log("b", "{{a}}"), edges="start>a a>b")) == ()
    assert check(graph()) == ()


def test_all_problems_are_told_at_once() -> None:
    definition = graph(
        Node(id="call", type=NodeType.HTTP, config={"url": "ftp://x", "methd": "GET"}, retry=Retry(attempts=0)),
        log("b", "{{nobody.x}}"),
        edges="start>call call>b b>gone",
        timeout_s=0,
        price=Price(amount=Decimal("-1")),
    )
    with pytest.raises(InvalidInput, match=r"`timeout_s` must be above 0.*\(5 more problems\.\)") as error:
        check(definition)
    found = [(each["node"], each["field"]) for each in error.value.details["problems"]]
    assert found == [
        ("", "timeout_s"),
        ("", "price.amount"),
        ("b", "edges"),
        ("call", "config.methd"),
        ("call", "config.url"),
        ("call", "retry.attempts"),
    ]


@pytest.mark.parametrize("id", ["", "a/b", "a[0]", "a b", "é", "x" * 101, "a\n"])
def test_ids(id: str) -> None:
    ((node, field, message),) = problems_of(graph(log(id)))
    assert (node, field) == (id[:100], "id")
    assert "letters, digits" in message


def test_an_id_is_there_once() -> None:
    assert problems_of(graph(log("a"), log("a"), edges="start>a")) == [
        ("a", "id", "The id `a` is there 2 times; ids are unique.")
    ]


def test_one_start() -> None:
    assert [each[:2] for each in problems_of(Definition(nodes=(log("a"),)))] == [("", "nodes.start")]
    second = Node(id="begin", type=NodeType.START)
    assert ("begin", "type", "A workflow has one `start`, and `start` is one already.") in problems_of(graph(second))
    assert problems_of(graph(log("a"), edges="start>a a>start"))[0][:2] == ("start", "edges")


def test_no_nodes_and_too_many() -> None:
    assert problems_of(Definition(nodes=()))[0][:2] == ("", "nodes")
    many = graph(*(log(f"n{number}") for number in range(MOST_NODES)))
    assert problems_of(many) == [("", "nodes", f"A workflow has 1 to 500 nodes, and this has {MOST_NODES + 1}.")]


@pytest.mark.parametrize(
    ("edges", "node", "field", "right"),
    [
        ("start>a a>gone", "a", "edges", "there is no node 'gone'"),
        ("start>a aa>b start>b", "", "edges", "Did you mean `a`?"),
        ("start>a start>b a>b:then", "a", "branch", "`log` has no branch 'then'; it has no branches"),
        ("start>a start>b start>b", "start", "edges", "is there twice"),
        ("start>a", "b", "edges", "cannot be reached"),
        ("start>a a>b b>a", "", "edges", "`a`, `b`"),
        ("start>a a>a start>b", "", "edges", "in a circle"),
        ("start>a start>b a>inner", "a", "edges", "crosses the border of a body"),
    ],
)
def test_edges(edges: str, node: str, field: str, right: str) -> None:
    definition = graph(
        log("a"), log("b"), Node(id="loop", type=NodeType.TRY), log("inner", scope="loop"), edges=f"{edges} start>loop"
    )
    found = [each for each in problems_of(definition) if each[:2] == (node, field)]
    assert any(right in each[2] for each in found), found


def test_branches() -> None:
    switch = Node(id="kind", type=NodeType.SWITCH, config={"cases": [{"branch": "big", "condition": "{{input.big}}"}]})
    check(graph(switch, log("a"), log("b"), edges="start>kind kind>a:big kind>b:default"))
    ((node, field, message),) = problems_of(graph(switch, log("a"), edges="start>kind kind>a:bigg"))
    assert (node, field) == ("kind", "branch")
    assert message == "`switch` has no branch 'bigg'; it has `big`, `default`. Did you mean `big`?"


def test_a_container_needs_a_body() -> None:
    empty = Node(id="loop", type=NodeType.FOR_EACH, config={"items": []})
    assert [each[:2] for each in problems_of(graph(empty, edges="start>loop"))] == [("loop", "body")]
    assert problems_of(graph(log("a"), log("b", scope="a"), edges="start>a"))[0][:2] == ("b", "scope")
    assert problems_of(graph(log("a", scope="gone")))[0][:2] == ("a", "scope")


def test_bodies_have_a_depth() -> None:
    def nested(depth: int) -> Definition:
        tries = [Node(id=f"t{n}", type=NodeType.TRY, scope=f"t{n - 1}" if n else "") for n in range(depth)]
        return graph(*tries, log("in", scope=f"t{depth - 1}"), edges="start>t0")

    check(nested(MOST_DEPTH))
    assert ("in", "scope") in [each[:2] for each in problems_of(nested(MOST_DEPTH + 1))]
    ring = graph(Node(id="a", type=NodeType.TRY, scope="b"), Node(id="b", type=NodeType.TRY, scope="a"))
    assert {each[:2] for each in problems_of(ring)} == {("a", "scope"), ("b", "scope")}


@pytest.mark.parametrize(
    ("template", "right"),
    [
        ("{{gone.x}}", "there is no such node"),
        ("{{frist.x}}", "Did you mean `first`?"),
        ("{{later}}", "does not come before it"),
        ("{{beside}}", "does not come before it"),
        ("{{here}}", "names the node itself"),
        ("{{inner.x}}", "name `loop`"),
        ("{{first.x", "is not a template"),
    ],
)
def test_templates(template: str, right: str) -> None:
    definition = graph(
        log("first"),
        Node(id="loop", type=NodeType.FOR_EACH, config={"items": "{{first.list}}"}),
        log("inner", "{{first}} {{item}} {{start.body.x}}", scope="loop"),
        log("beside"),
        log("here", {"deep": [template]}),
        log("later", "{{loop}} {{here}} {{input.a || 0}}"),
        edges="start>first first>loop loop>here here>later start>beside",
    )
    found = problems_of(definition)
    assert {each[0] for each in found} == {"here"}
    assert right in found[0][2]


def test_a_template_is_told_with_its_field_and_jsonata_is_none() -> None:
    call = Node(id="call", type=NodeType.HTTP, config={"url": "http://a/{{first}}", "body": {"x": ["{{later.y}}"]}})
    query = Node(id="query", type=NodeType.TRANSFORM, config={"jsonata": '"{{later.y}}"'})
    edges = "start>first first>call call>query query>later"
    told = problems_of(graph(log("first"), call, query, log("later"), edges=edges))
    assert [each[:2] for each in told] == [("call", "config.body")]


def test_what_is_asked_is_read() -> None:
    broken = Node(id="a", type=NodeType.TRANSFORM, config={"jsonata": "(1 + "})
    assert [each[:2] for each in problems_of(graph(broken, edges="start>a"))] == [("a", "config.jsonata")]
    unsure = Node(id="a", type=NodeType.IF, config={"condition": {"$and": [{"{{input.a}}": {"$near": 1}}]}})
    assert ("a", "config.condition") in [each[:2] for each in problems_of(graph(unsure, edges="start>a"))]
    form = Node(id="a", type=NodeType.HUMAN, config={"title": "x", "form": {"type": "nothing"}})
    assert [each[:2] for each in problems_of(graph(form, edges="start>a"))] == [("a", "config.form")]


@pytest.mark.parametrize(
    "retry",
    [
        Retry(attempts=51),
        Retry(backoff_s=-1),
        Retry(backoff_s=float("nan")),
        Retry(factor=0.5),
        Retry(most_s=float("inf")),
        Retry(jitter=1.5),
    ],
)
def test_retries(retry: Retry) -> None:
    node = Node(id="a", type=NodeType.HTTP, config={"url": "http://a"}, retry=retry)
    assert [each[1].partition(".")[0] for each in problems_of(graph(node, edges="start>a"))] == ["retry"]


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan"), float("inf"), 1e9])
def test_time_limits(timeout_s: float) -> None:
    assert problems_of(graph(timeout_s=timeout_s))[0][:2] == ("", "timeout_s")
    assert problems_of(graph(log("a", timeout_s=timeout_s), edges="start>a"))[0][:2] == ("a", "timeout_s")


@pytest.mark.parametrize(
    ("amount", "currency", "field"),
    [
        ("0", "USD", "amount"),
        ("-4.50", "USD", "amount"),
        ("4.505", "USD", "amount"),
        ("1.5", "JPY", "amount"),
        ("1000000.01", "USD", "amount"),
        ("NaN", "USD", "amount"),
        ("Infinity", "USD", "amount"),
        ("1E+50", "USD", "amount"),
        ("0.0000001", "USDC", "amount"),
        ("1", "usd", "currency"),
        ("1", "US$", "currency"),
    ],
)
def test_what_is_no_price(amount: str, currency: str, field: str) -> None:
    definition = graph(price=Price(amount=Decimal(amount), currency=currency))
    assert [each[1] for each in problems_of(definition)] == [f"price.{field}"]


@pytest.mark.parametrize(
    ("amount", "currency"), [("4.50", "USD"), ("4.500", "EUR"), ("500", "JPY"), ("1.125", "KWD"), ("0.000001", "USDC")]
)
def test_a_price(amount: str, currency: str) -> None:
    assert check(graph(price=Price(amount=Decimal(amount), currency=currency))) == ()


@pytest.mark.parametrize(
    ("trigger", "field"),
    [
        (Trigger(kind=TriggerKind.EVENT), "event"),
        (Trigger(event="a"), "event"),
        (Trigger(kind=TriggerKind.EVENT, event="x" * 201), "event"),
        (Trigger(kind=TriggerKind.SCHEDULE), "cron"),
        (Trigger(kind=TriggerKind.SCHEDULE, cron="* * * * *", at="2026-03-10T12:00:00Z"), "cron"),
        (Trigger(cron="* * * * *"), "cron"),
        (Trigger(kind=TriggerKind.SCHEDULE, cron="61 * * * *"), "cron"),
        (Trigger(kind=TriggerKind.SCHEDULE, cron="0 0 30 2 *"), "cron"),
        (Trigger(kind=TriggerKind.SCHEDULE, cron="* * * *"), "cron"),
        (Trigger(kind=TriggerKind.SCHEDULE, cron="R R * * *"), "cron"),
        (Trigger(kind=TriggerKind.SCHEDULE, cron="@daily"), "cron"),
        (Trigger(kind=TriggerKind.SCHEDULE, at="2026-02-29T12:00:00Z"), "at"),
        (Trigger(timezone="Mars/Base"), "timezone"),
        (Trigger(timezone="../../etc/passwd"), "timezone"),
        (Trigger(timezone="Europe"), "timezone"),
        (Trigger(timezone=""), "timezone"),
        (Trigger(dedup_window_s=0), "dedup_window_s"),
        (Trigger(dedup_window_s=float("nan")), "dedup_window_s"),
        (Trigger(dedup_key="{{pay.id}}"), "dedup_key"),
        (Trigger(dedup_key="{{"), "dedup_key"),
    ],
)
def test_what_cannot_start_a_workflow(trigger: Trigger, field: str) -> None:
    assert [each[1] for each in problems_of(graph(trigger=trigger))] == [f"trigger.{field}"]


@pytest.mark.parametrize("cron", ["* * * * *", "*/5 9-17 * * MON-FRI", "0 0 29 2 *", "0 0 L * *", "30 0 9 * * *"])
def test_schedules(cron: str) -> None:
    trigger = Trigger(kind=TriggerKind.SCHEDULE, cron=cron, timezone="Europe/Berlin")
    assert check(graph(trigger=trigger)) == ()


def test_a_schema_is_a_schema() -> None:
    assert problems_of(graph(input_schema={"type": "nothing"}))[0][:2] == ("", "input_schema")
    check(graph(input_schema={"type": "object", "required": ["a"]}))


def test_an_id_that_is_a_word_of_templates_is_warned_about() -> None:
    (warning,) = check(graph(log("item"), edges="start>item"))
    assert (warning.node, warning.field) == ("item", "id")
    assert "`{{nodes.item}}`" in warning.message


def test_warnings() -> None:
    definition = graph(
        Node(id="loop", type=NodeType.FOR_EACH, config={"items": [1]}),
        log("in", scope="loop", retry=Retry(attempts=2)),
        Node(id="ok", type=NodeType.IF, config={"condition": True}),
        Node(id="call", type=NodeType.HTTP, config={"url": "{{input.url}}"}),
        Node(id="answer", type=NodeType.RESPONSE),
        edges="start>loop loop>ok ok>call call>answer",
    )
    assert [(each.node, each.field) for each in check(definition)] == [
        ("loop", "type"),
        ("in", "retry"),
        ("ok", "edges"),
        ("call", "config.url"),
    ]


def test_a_date_that_never_comes_is_told_as_that() -> None:
    never = Trigger(kind=TriggerKind.SCHEDULE, cron="0 9 31 2 *")
    assert problems_of(graph(trigger=never)) == [
        ("", "trigger.cron", "`cron` must name a date that there is, and '0 9 31 2 *' never comes.")
    ]

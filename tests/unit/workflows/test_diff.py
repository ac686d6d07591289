"""What is different between two versions."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gesta.workflows.graph.definition import Definition, Edge, Node, NodeType, Price, Retry
from gesta.workflows.graph.diff import Change, diff

START = Node(id="start", type=NodeType.START)
CALL = Node(id="call", type=NodeType.HTTP, config={"url": "http://a", "timeout_s": 1})
OLD = Definition(nodes=(START, CALL), edges=(Edge(source="start", target="call"),))


def test_the_same_is_empty() -> None:
    moved = msgspec.structs.replace(CALL, position={"x": 1})
    same = Definition(nodes=(moved, START), edges=OLD.edges, source="b3os", written={"nodes": {}})
    assert diff(OLD, same).is_empty
    assert list(diff(OLD, same).lines()) == []


def test_everything_that_differs_is_told() -> None:
    changed = msgspec.structs.replace(
        CALL, config={"url": "http://b", "timeout_s": 1.0, "method": "POST"}, retry=Retry(attempts=3), name="Call"
    )
    note = Node(id="note", type=NodeType.LOG, config={"message": "x"})
    new = Definition(
        nodes=(START, changed, note),
        edges=(Edge(source="start", target="note"), Edge(source="note", target="call")),
        price=Price(amount=Decimal("4.50")),
        timeout_s=60,
    )
    found = diff(OLD, new)
    assert found.added == (note,)
    assert found.removed == ()
    assert found.fields == (
        Change(field="timeout_s", before=7200.0, after=60),
        Change(field="price", before=None, after={"amount": "4.50"}),
    )
    assert found.changed == {
        "call": (
            Change(field="name", before="", after="Call"),
            Change(field="retry", before={}, after={"attempts": 3}),
            Change(field="config.url", before="http://a", after="http://b"),
            Change(field="config.timeout_s", before=1, after=1.0),
            Change(field="config.method", before=None, after="POST"),
        )
    }
    assert list(found.lines()) == [
        "~ timeout_s: 7200.0 → 60",
        '~ price: nothing → {"amount":"4.50"}',
        "+ node note (log)",
        '~ node call: name: "" → "Call"',
        '~ node call: retry: {} → {"attempts":3}',
        '~ node call: config.url: "http://a" → "http://b"',
        "~ node call: config.timeout_s: 1 → 1.0",
        '~ node call: config.method: nothing → "POST"',
        "- edge start → call",
        "+ edge start → note",
        "+ edge note → call",
    ]


def test_there_and_back_again() -> None:
    new = Definition(nodes=(START,), edges=())
    assert [node.id for node in diff(OLD, new).removed] == ["call"]
    assert [node.id for node in diff(new, OLD).added] == ["call"]
    assert diff(OLD, new).edges_removed == diff(new, OLD).edges_added == OLD.edges


def test_a_long_value_is_cut() -> None:
    long = msgspec.structs.replace(CALL, config=CALL.config | {"url": "x" * 500})
    (line,) = diff(OLD, Definition(nodes=(START, long), edges=OLD.edges)).lines()
    assert len(line) < 180
    assert line.endswith("…")

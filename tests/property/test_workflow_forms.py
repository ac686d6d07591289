"""Gesta's own form says every workflow that can be run; whatever else is posted is refused in words."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.kernel.errors import CallerError, InvalidInput
from gesta.workflows.forms.reading import FORMS, read_definition, write_definition
from gesta.workflows.graph.definition import Definition, Edge, Node, NodeType, Retry, Trigger, TriggerKind
from gesta.workflows.graph.diff import diff

IDS = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0{"), max_size=12)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
CONFIGS: dict[NodeType, st.SearchStrategy[dict[str, Any]]] = {
    NodeType.HTTP: st.fixed_dictionaries(
        {"url": st.just("https://example.com/")},
        optional={"body": VALUES, "timeout_s": st.integers(1, 60), "method": st.sampled_from(["GET", "post"])},
    ),
    NodeType.TRANSFORM: st.fixed_dictionaries({"value": VALUES}),
    NodeType.IF: st.fixed_dictionaries({"condition": st.booleans()}),
    NodeType.SWITCH: st.just({"cases": [{"branch": "one", "condition": True}, {"branch": "two", "condition": False}]}),
    NodeType.FOR_EACH: st.fixed_dictionaries({"items": st.lists(VALUES, max_size=2)}),
    NodeType.TRY: st.just({}),
    NodeType.MERGE: st.just({}),
    NodeType.WAIT_WEBHOOK: st.fixed_dictionaries({}, optional={"timeout_s": st.integers(1, 60)}),
    NodeType.EXECUTOR_START: st.fixed_dictionaries({"config": st.dictionaries(TEXTS, VALUES, max_size=2)}),
    NodeType.LOG: st.fixed_dictionaries({"message": TEXTS}),
}
BRANCHES = {
    NodeType.IF: ["", "then", "else"],
    NodeType.SWITCH: ["", "one", "two", "default"],
    NodeType.WAIT_WEBHOOK: ["", "resumed", "timed_out"],
    NodeType.TRY: ["", "done", "catch"],
}


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    """A tree of nodes in each body, with more edges forward."""
    nodes = [Node(id="start", type=NodeType.START)]
    edges: set[Edge] = set()
    ids = draw(st.lists(IDS.filter(lambda id: id != "start"), unique=True, max_size=8))
    for id in ids:
        containers = [node for node in nodes if node.type in (NodeType.FOR_EACH, NodeType.TRY) and not node.scope]
        scope = draw(st.sampled_from(["", *(node.id for node in containers)]))
        type = draw(st.sampled_from(sorted(CONFIGS)))
        if scope and type in (NodeType.FOR_EACH, NodeType.TRY):
            type = NodeType.MERGE
        before = [node for node in nodes if node.scope == scope]
        sources = draw(st.lists(st.sampled_from(before), min_size=0 if scope else 1, max_size=3)) if before else []
        edges |= {
            Edge(source=node.id, target=id, branch=draw(st.sampled_from(BRANCHES.get(node.type, [""]))))
            for node in sources
        }
        nodes.append(
            Node(
                id=id,
                type=type,
                name=draw(TEXTS),
                config=draw(CONFIGS[type]),
                scope=scope,
                retry=draw(st.sampled_from([Retry(), Retry(attempts=3, jitter=0.5)])),
                timeout_s=draw(st.none() | st.integers(1, 100).map(float)),
                skips_errors=draw(st.booleans()),
                position=draw(st.none() | st.just({"x": 1, "y": 2.5})),
            )
        )
    bodies = {node.scope for node in nodes}
    for node in list(nodes):
        if node.type in (NodeType.FOR_EACH, NodeType.TRY) and node.id not in bodies:
            nodes.append(Node(id=f"{node.id}.only", type=NodeType.MERGE, scope=node.id))
    trigger = draw(
        st.sampled_from(
            [
                Trigger(),
                Trigger(kind=TriggerKind.EVENT, event="paid"),
                Trigger(kind=TriggerKind.WEBHOOK, dedup_key="{{input}}"),
            ]
        )
    )
    return Definition(nodes=tuple(nodes), edges=tuple(sorted(edges, key=str)), trigger=trigger)


@given(definition=definitions())
@settings(max_examples=60, deadline=None)
def test_own_form_there_and_back(definition: Definition) -> None:
    written = write_definition(definition, "gesta")
    again = read_definition(json.dumps(written))
    assert diff(definition, again).is_empty
    assert sorted(again.nodes, key=lambda node: node.id) == sorted(definition.nodes, key=lambda node: node.id)
    assert write_definition(again, "gesta") == written


@given(definition=definitions())
@settings(max_examples=40, deadline=None)
def test_every_workflow_can_be_shown_in_every_form(definition: Definition) -> None:
    for form in FORMS:
        shown = write_definition(definition, form)
        msgspec.json.encode(shown)
        several = {(edge.source, edge.target) for edge in definition.edges}
        # B3OS has one branch for each pair.
        if form != "b3os" or len(several) == len(definition.edges):
            found = diff(definition, read_definition(shown, form))
            assert [*found.added, *found.removed, *found.edges_added, *found.edges_removed] == []


WORDS = st.sampled_from(
    [
        "nodes",
        "edges",
        "id",
        "type",
        "config",
        "payload",
        "children",
        "branch",
        "loopBody",
        "connector",
        "data",
        "source",
        "target",
        "sourceHandle",
        "next",
        "then",
        "else",
        "cases",
        "default",
        "body",
        "catch",
        "trigger",
        "price",
        "retry",
        "timeout_s",
        "properties",
        "input_schema",
        "inputSchema",
        "triggerNodeIds",
        "settings",
        "json_schema",
        "root",
        "start",
        "form",
        "kind",
        "cron",
        "rrule",
        "amount",
        "currency",
        "condition",
        "jsonata",
        "items",
        "url",
        "triggerConfig",
        "timeout",
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | WORDS
    | st.sampled_from([type.value for type in NodeType])
    | st.sampled_from(
        ["for-each", "filter", "pluck", "regex", "wait", "rule", "group", "manual", "cronjob", "{{", "{{a.b}}"]
    )
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=5),
    max_leaves=25,
)
LIKELY = st.fixed_dictionaries(
    {
        "nodes": st.dictionaries(
            st.sampled_from(["root", "start", "a", "b"]), st.dictionaries(WORDS, ANYTHING, max_size=5), max_size=4
        )
        | st.lists(st.dictionaries(WORDS, ANYTHING, max_size=5), max_size=4)
    },
    optional={"edges": ANYTHING, "trigger": ANYTHING, "price": ANYTHING, "settings": ANYTHING, "inputSchema": ANYTHING},
)


@given(document=ANYTHING | LIKELY, form=st.sampled_from(["auto", *FORMS]))
@settings(max_examples=300, deadline=None)
def test_whatever_is_posted_is_read_or_refused(document: Any, form: str) -> None:
    problems = refusal_of(document, form)
    assert problems is None or all(set(problem) == {"node", "field", "message"} for problem in problems)


def refusal_of(document: Any, form: str) -> list[dict[str, str]] | None:
    """The problems told, None for what can be run. Nothing but InvalidInput may come of a document."""
    try:
        read_definition(document, form)
    except InvalidInput as refusal:
        return refusal.details.get("problems", [])
    return None


@given(text=st.text(max_size=60) | st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_whatever_is_written_is_read_or_refused(text: str | bytes) -> None:
    with contextlib.suppress(CallerError):
        assert read_definition(text).nodes

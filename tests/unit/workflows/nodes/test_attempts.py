"""What a performer says of an attempt, as the interpreter takes it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from gesta.kernel.json import decode_json
from gesta.storage.program import Database
from gesta.testing.fakes import ManualClock, SeededIds
from gesta.workflows.graph.definition import Definition, Edge, Node, NodeType, Retry
from gesta.workflows.graph.plan import Plan
from gesta.workflows.graph.progress import Failed, NodeStatus, Performed
from gesta.workflows.graph.steps import begin, step
from gesta.workflows.nodes.face import NodeFailed, Performance
from gesta.workflows.nodes.face import Performed as Performed_
from gesta.workflows.runs.carrier import Carrier
from gesta.workflows.runs.journal import Changed, Claimed
from gesta.workflows.runs.rows import Plans
from tests.unit.workflows.nodes.bench import AT_US

S = 1_000_000


def flow(node: Node, *edges: Edge, more: tuple[Node, ...] = ()) -> Plan:
    start = Node(id="start", type=NodeType.START)
    return Plan(Definition(nodes=(start, node, *more), edges=(Edge(source="start", target=node.id), *edges)))


@pytest.mark.parametrize(
    ("retry_after_s", "wait_s"),
    [(0.0, 2.0), (1.0, 2.0), (7.5, 7.5), (30.0, 30.0), (31.0, 30.0), (1e9, 30.0)],
)
def test_who_was_asked_may_put_off_the_next_attempt_within_the_nodes_bound(retry_after_s: float, wait_s: float) -> None:
    node = Node(
        id="ask",
        type=NodeType.HTTP,
        config={"url": "http://example.com"},
        retry=Retry(attempts=2, backoff_s=2.0, most_s=30.0, jitter=0.0),
    )
    plan = flow(node)
    progress = begin(plan, input=None, meta={}, at_us=AT_US)
    progress = step(plan, progress, Failed(path="ask", error="busy", retry_after_s=retry_after_s, at_us=AT_US))
    run = progress.runs["ask"]
    assert (run.status, run.due_at_us) == (NodeStatus.RETRYING, AT_US + int(wait_s * S))


@pytest.mark.parametrize("type_", [NodeType.EXECUTOR_AWAIT, NodeType.HTTP])
def test_what_was_over_when_it_was_asked_goes_on_as_what_was_waited_for(type_: NodeType) -> None:
    node = Node(id="ask", type=type_, config={"executor_id": "x", "url": "http://example.com"})
    more = (Node(id="then", type=NodeType.PYTHON), Node(id="late", type=NodeType.PYTHON))
    edges = (
        Edge(source="ask", target="then", branch="resumed"),
        Edge(source="ask", target="late", branch="timed_out"),
    )
    plan = flow(node, *edges, more=more)
    progress = begin(plan, input=None, meta={}, at_us=AT_US)
    progress = step(plan, progress, Performed(path="ask", output={"a": 1}, at_us=AT_US))
    taken = type_ is NodeType.EXECUTOR_AWAIT
    assert progress.runs["ask"].branch == ("resumed" if taken else "")
    assert progress.runs["then"].status is (NodeStatus.READY if taken else NodeStatus.SKIPPED)
    assert progress.runs["late"].status is NodeStatus.SKIPPED


async def test_a_performers_word_reaches_the_record() -> None:
    """What is kept of an attempt, so that a replay after a kill waits as long."""

    async def busy(asked: Performance) -> Performed_:
        assert asked.key == "run1/ask"
        raise NodeFailed("busy", output={"status_code": 503}, retry_after_s=7.5)

    async def nothing(_: Changed) -> None:
        raise AssertionError("nothing is written")

    plan = flow(Node(id="ask", type=NodeType.HTTP, config={"url": "http://example.com"}))
    progress = begin(plan, input=None, meta={}, at_us=AT_US)
    run = SimpleNamespace(id="run1", organization=1, account=1)
    carrier = Carrier(
        database=cast(Database, None),
        clock=ManualClock(AT_US),
        ids=SeededIds(),
        plans=Plans(),
        performers={NodeType.HTTP: busy},
        owner="here",
        on_changed=nothing,
    )
    text = await carrier.give(cast(Claimed, SimpleNamespace(run=run, plan=plan)), "ask", progress, asyncio.Event())
    given = decode_json(text)
    assert (given["outcome"], given["error"], given["output"]) == ("failed", "busy", {"status_code": 503})
    assert given["retry_after_s"] == 7.5
    assert not given.get("is_final", False)

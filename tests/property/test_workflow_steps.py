"""Any graph, whatever happens to it in whatever order: a run comes to one end, nothing is done twice, nothing before
what leads to it, and a run that is interrupted and told everything again stands the same."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gesta.workflows.graph.definition import Definition, Edge, Node, NodeType, Retry
from gesta.workflows.graph.plan import Plan
from gesta.workflows.graph.progress import (
    Event,
    Failed,
    NodeStatus,
    Passed,
    Performed,
    Progress,
    StopAsked,
    Wait,
    WaitKind,
    Woken,
)
from gesta.workflows.graph.steps import begin, step, todo
from gesta.workflows.runs.again import from_failure
from gesta.workflows.runs.rows import encoder

START_US = 1_800_000_000_000_000
S = 1_000_000
LEAVES = ("http", "transform", "if", "delay", "wait_webhook", "executor.await", "merge")


@st.composite
def scopes(draw: st.DrawFn, scope: str, depth: int, prefix: str) -> tuple[list[Node], list[Edge]]:
    """A body: nodes in some order, edges only forward."""
    count = draw(st.integers(1, 4))
    ids = [f"{prefix}{number}" for number in range(count)]
    nodes: list[Node] = []
    edges: list[Edge] = []
    for place, id in enumerate(ids):
        kinds = LEAVES if depth >= 2 else (*LEAVES, "for_each", "try")
        type_ = draw(st.sampled_from(kinds))
        config: dict[str, Any] = {}
        if type_ == "if":
            config = {"condition": {"left": draw(st.integers(0, 1)), "op": "eq", "right": 1}}
        elif type_ == "delay":
            config = {"seconds": draw(st.integers(0, 20))}
        elif type_ == "wait_webhook" and draw(st.booleans()):
            config = {"timeout_s": draw(st.integers(1, 20))}
        elif type_ == "transform":
            config = {"value": {"of": id}}
        elif type_ == "for_each":
            config = {"items": list(range(draw(st.integers(0, 3)))), "at_once": draw(st.integers(1, 3))}
            config["continue_on_error"] = draw(st.booleans())
        nodes.append(
            Node(
                id=id,
                type=NodeType(type_),
                config=config,
                scope=scope,
                retry=Retry(attempts=draw(st.integers(1, 3)), backoff_s=1, jitter=0),
                skips_errors=draw(st.booleans()) and draw(st.booleans()),
            )
        )
        if type_ in ("for_each", "try"):
            inner, links = draw(scopes(id, depth + 1, f"{id}_"))
            nodes += inner
            edges += links
        for source, earlier in enumerate(ids[:place]):
            if draw(st.integers(0, 2)) == 0:
                kind = next(node.type for node in nodes if node.id == earlier)
                choices = {"if": ["", "then", "else"], "try": ["", "catch", "done"]}.get(kind.value, [""])
                edges.append(Edge(source=ids[source], target=id, branch=draw(st.sampled_from(choices))))
    return nodes, edges


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    nodes, edges = draw(scopes("", 0, "n"))
    start = Node(id="start", type=NodeType.START)
    fed = {edge.target for edge in edges}
    first = [Edge(source="start", target=node.id) for node in nodes if not node.scope and node.id not in fed]
    return Plan(Definition(nodes=(start, *nodes), edges=(*first, *edges), timeout_s=10_000.0))


def check(plan: Plan, progress: Progress) -> None:
    needs = todo(progress)
    if progress.is_over:
        assert not needs.performs
        assert all(run.status.is_over for run in progress.runs.values())
        return
    # Something can always happen: a run that nothing moves would wait for ever.
    assert needs.performs or needs.waits or needs.next_us is not None
    for path, run in progress.runs.items():
        prefix, _, id = path.rpartition("/")
        within = f"{prefix}/" if prefix else ""
        if run.status is NodeStatus.SKIPPED:
            continue
        edges = plan.incoming[id]
        decided = [progress.runs.get(within + edge.source) for edge in edges]
        assert all(source is not None and source.status.is_over for source in decided), path
    # What is on disk is what is in memory.
    again = msgspec.json.decode(encoder.encode(progress), type=Progress)
    assert todo(again) == needs


def happen(draw: st.DataObject, progress: Progress, at_us: int) -> Event:
    """One of the things that can happen now."""
    needs = todo(progress)
    choices: list[Event] = []
    for path in needs.performs:
        wait = Wait(kind=WaitKind.EXECUTOR, key=path) if draw.draw(st.integers(0, 5)) == 0 else None
        choices += [Performed(path=path, output={"at": path}, wait=wait, at_us=at_us)] * 3
        choices.append(Failed(path=path, error="no", is_final=draw.draw(st.booleans()), at_us=at_us))
    choices += [Woken(path=path, payload=path, at_us=at_us) for path in needs.waits]
    if needs.next_us is not None:
        choices.append(Passed(at_us=max(at_us, needs.next_us)))
    if draw.draw(st.integers(0, 30)) == 0:
        choices.append(StopAsked(at_us=at_us))
    return draw.draw(st.sampled_from(choices))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(plans(), st.data())
def test_every_run_comes_to_one_end(plan: Plan, data: st.DataObject) -> None:
    at_us = START_US
    progress = begin(plan, input=1, meta={}, at_us=at_us)
    events: list[Event] = []
    done: set[str] = set()
    for _ in range(300):
        check(plan, progress)
        if progress.is_over:
            break
        event = happen(data, progress, at_us)
        at_us = max(at_us, event.at_us)
        events.append(event)
        before, progress = progress, step(plan, progress, event)
        if isinstance(event, Performed):
            assert event.path not in done
            done.add(event.path)
        # Told again, it changes nothing more.
        if not isinstance(event, Passed):
            repeated = step(plan, progress, event)
            assert {path: run.status for path, run in repeated.runs.items()} == {
                path: run.status for path, run in progress.runs.items()
            }
        for path, run in before.runs.items():
            assert not run.status.is_over or progress.runs[path].status is run.status
    else:
        raise AssertionError("the run came to no end")
    replayed = begin(plan, input=1, meta={}, at_us=START_US)
    for event in events:
        replayed = step(plan, replayed, event)
    assert replayed == progress
    if progress.outcome is not None and progress.outcome.value != "succeeded":
        opened = from_failure(plan, progress, at_us)
        check(plan, opened)
        kept = {path for path, run in progress.runs.items() if run.status is NodeStatus.SUCCEEDED}
        assert not kept & set(todo(opened).performs)

"""Whether a definition can be run: everything that can be known before there is a run."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from gesta.kernel.errors import InvalidInput
from gesta.workflows.graph.configs import check_config
from gesta.workflows.graph.definition import (
    BRANCHES,
    CONTAINERS,
    DEFAULT_CASE,
    MOST_DEPTH,
    MOST_NODES,
    PURE,
    WAITS,
    Definition,
    Edge,
    Node,
    NodeType,
)
from gesta.workflows.graph.kinds import MOST_SECONDS, is_template
from gesta.workflows.graph.plan import Plan
from gesta.workflows.graph.problems import Problem, nearest, refuse, shown
from gesta.workflows.graph.rendering import check as check_templates
from gesta.workflows.graph.rendering import check_condition, check_query, references
from gesta.workflows.graph.schemas import check_schema
from gesta.workflows.graph.template_values import WORDS
from gesta.workflows.graph.triggers import price_problems, trigger_problems

__all__ = ["MOST_EDGES", "check"]

MOST_EDGES: Final = 5_000
_ID = re.compile(r"[A-Za-z0-9_.$-]{1,100}", re.ASCII)
_RETRY_BOUNDS: Final = (
    ("attempts", 1, 50),
    ("backoff_s", 0, 86_400),
    ("factor", 1, 10),
    ("most_s", 0, 86_400),
    ("jitter", 0, 1),
)


def check(definition: Definition) -> tuple[Problem, ...]:
    """Warnings about a definition that can be run. Raises InvalidInput for one that cannot: `details["problems"]` has
    every problem as `{node, field, message}`."""
    problems = [*_of_fields(definition), *_of_ids(definition)]
    # Without sound ids, nothing more can be told for certain.
    if not any(problem.field in ("nodes", "id", "scope") for problem in problems):
        problems += _of_edges(definition)
        problems += _of_structure(definition)
        problems += [problem for node in definition.nodes for problem in _of_node(node)]
        if not any(problem.field in ("edges", "scope") for problem in problems):
            problems += _of_plan(definition)
    refuse(problems)
    return tuple(_warnings(definition))


# -- the definition's own fields


def _of_fields(definition: Definition) -> Iterator[Problem]:
    if not _is_between(definition.timeout_s, 0.001, MOST_SECONDS):
        message = f"`timeout_s` must be above 0 and at most {MOST_SECONDS} (366 days), and is {definition.timeout_s}."
        yield Problem(node="", field="timeout_s", message=message)
    if definition.price is not None:
        yield from price_problems(definition.price)
    yield from trigger_problems(definition.trigger)
    if definition.input_schema is not None:
        yield from _refusals("", "input_schema", lambda: check_schema(definition.input_schema))


def _refusals(node: str, field: str, ask: Callable[[], Any]) -> Iterator[Problem]:
    try:
        ask()
    except InvalidInput as error:
        yield Problem(node=node, field=field, message=error.message)


def _is_between(number: float, low: float, high: float) -> bool:
    return math.isfinite(number) and low <= number <= high


# -- ids and bodies


def _of_ids(definition: Definition) -> Iterator[Problem]:
    nodes = definition.nodes
    if not 1 <= len(nodes) <= MOST_NODES:
        message = f"A workflow has 1 to {MOST_NODES} nodes, and this has {len(nodes)}."
        yield Problem(node="", field="nodes", message=message)
    if len(definition.edges) > MOST_EDGES:
        message = f"A workflow has at most {MOST_EDGES} edges, and this has {len(definition.edges)}."
        yield Problem(node="", field="nodes", message=message)
    for id, count in Counter(node.id for node in nodes).items():
        if not _ID.fullmatch(id):
            message = f"An id has 1 to 100 letters, digits, `_`, `.`, `$` and `-`, and {shown(id)} is another."
            yield Problem(node=id[:100], field="id", message=message)
        elif count > 1:
            yield Problem(node=id, field="id", message=f"The id `{id}` is there {count} times; ids are unique.")
    by_id = {node.id: node for node in nodes}
    for node in nodes:
        if node.scope and (node.scope not in by_id or by_id[node.scope].type not in CONTAINERS):
            message = f"It is in the body of {shown(node.scope)}, which is no `for_each` and no `try` of this workflow."
            yield Problem(node=node.id, field="scope", message=message)
        elif (depth := _depth(node, by_id)) > MOST_DEPTH:
            message = f"It is {depth} containers deep; {MOST_DEPTH} is the most. A `sub_flow` goes on from there."
            yield Problem(node=node.id, field="scope", message=message)


def _depth(node: Node, by_id: dict[str, Node]) -> int:
    depth = 0
    while node.scope and node.scope in by_id and depth <= MOST_DEPTH:
        depth, node = depth + 1, by_id[node.scope]
    return depth


# -- edges


def _of_edges(definition: Definition) -> Iterator[Problem]:
    by_id = {node.id: node for node in definition.nodes}
    seen: set[Edge] = set()
    for edge in definition.edges:
        for end in (edge.source, edge.target):
            if end not in by_id:
                there = edge.source if edge.source in by_id else ""
                message = f"The edge {_named(edge)} leads nowhere: there is no node {shown(end)}.{nearest(end, by_id)}"
                yield Problem(node=there, field="edges", message=message)
        source, target = by_id.get(edge.source), by_id.get(edge.target)
        if source is None or target is None:
            continue
        if edge in seen:
            yield Problem(node=source.id, field="edges", message=f"The edge {_named(edge)} is there twice.")
        seen.add(edge)
        if source.scope != target.scope:
            message = (
                f"The edge {_named(edge)} crosses the border of a body: `{target.id}` is {_place(target)}, "
                f"`{source.id}` {_place(source)}. Lead to the container instead."
            )
            yield Problem(node=source.id, field="edges", message=message)
        if edge.branch and edge.branch not in (known := branches(source)):
            words = ", ".join(f"`{each}`" for each in sorted(known)) or "no branches"
            message = f"`{source.type}` has no branch {shown(edge.branch)}; it has {words}."
            yield Problem(node=source.id, field="branch", message=message + nearest(edge.branch, known))


def branches(node: Node) -> frozenset[str]:
    """The branches that a node may decide for."""
    if node.type is NodeType.SWITCH:
        cases = node.config.get("cases")
        named = (case.get("branch") for case in cases if isinstance(case, dict)) if isinstance(cases, list) else ()
        return frozenset({DEFAULT_CASE, *(name for name in named if isinstance(name, str))})
    return BRANCHES.get(node.type, frozenset())


def _named(edge: Edge) -> str:
    return f"`{edge.source[:100]}` → `{edge.target[:100]}`" + (f" ({edge.branch[:60]})" if edge.branch else "")


def _place(node: Node) -> str:
    return f"in the body of `{node.scope}`" if node.scope else "in none"


# -- what has to be there


def _of_structure(definition: Definition) -> Iterator[Problem]:
    starts = [node for node in definition.nodes if node.type is NodeType.START]
    if not starts:
        message = "A workflow begins with one node of the type `start`, and there is none."
        yield Problem(node="", field="nodes.start", message=message)
    for node in starts[1:]:
        message = f"A workflow has one `start`, and `{starts[0].id}` is one already."
        yield Problem(node=node.id, field="type", message=message)
    targets = {edge.target for edge in definition.edges}
    for node in starts:
        if node.scope:
            message = f"`start` is {_place(node)}; a body begins with the nodes that no edge leads to."
            yield Problem(node=node.id, field="type", message=message)
        if node.id in targets:
            yield Problem(
                node=node.id, field="edges", message="Nothing can lead to `start`: it is where the run begins."
            )
    with_body = {node.scope for node in definition.nodes}
    for node in definition.nodes:
        if node.type in CONTAINERS and node.id not in with_body:
            yield Problem(node=node.id, field="body", message=f"`{node.type}` needs a body with at least one node.")


def _of_plan(definition: Definition) -> Iterator[Problem]:
    try:
        plan = Plan(definition)
    except InvalidInput as error:
        yield Problem(node="", field="edges", message=error.message)
        return
    reached = {node.id for node in definition.nodes if node.type is NodeType.START}
    for node in plan.body(""):
        if any(edge.source in reached for edge in plan.incoming[node.id]):
            reached.add(node.id)
        elif node.id not in reached and reached:
            message = "It cannot be reached: no edge leads to it from the start. Name it as the `next` of a node."
            yield Problem(node=node.id, field="edges", message=message)
    for node in definition.nodes:
        yield from _of_references(plan, node)


def _of_references(plan: Plan, node: Node) -> Iterator[Problem]:
    try:
        named = [(field, name) for field, value in node.config.items() for name in sorted(references({field: value}))]
    except InvalidInput:
        return  # told by the check of the node itself
    before = plan.ancestors(node.id)
    for field, name in named:
        if name in before:
            continue
        other = plan.nodes.get(name)
        if other is None:
            message = f"A template names `{name[:100]}`, and there is no such node.{nearest(name, plan.nodes)}"
        elif other.id == node.id:
            message = "A template names the node itself, which has no output yet."
        elif other.scope and other.scope not in _around(plan, node):
            message = f"A template names `{name}`, which is {_place(other)} and unknown outside; name `{other.scope}`."
        else:
            message = f"A template names `{name}`, which does not come before it: no path leads from there to here."
        yield Problem(node=node.id, field=f"config.{field}", message=message)


def _around(plan: Plan, node: Node) -> Iterator[str]:
    scope = node.scope
    while scope:
        yield scope
        scope = plan.nodes[scope].scope


# -- one node


def _of_node(node: Node) -> Iterator[Problem]:
    yield from check_config(node)
    yield from _refusals(node.id, "config", lambda: check_templates(node.config))
    for field, condition in _conditions(node):
        yield from _refusals(node.id, field, lambda condition=condition: check_condition(condition))  # type: ignore[misc]
    expression = node.config.get("jsonata")
    if node.type is NodeType.TRANSFORM and isinstance(expression, str) and expression.strip():
        yield from _refusals(node.id, "config.jsonata", lambda: check_query(expression))
    form = node.config.get("form")
    if node.type is NodeType.HUMAN and isinstance(form, dict):
        yield from _refusals(node.id, "config.form", lambda: check_schema(form, "form"))
    for name, low, high in _RETRY_BOUNDS:
        number = getattr(node.retry, name)
        if not _is_between(number, low, high):
            message = f"`retry.{name}` must be from {low} to {high}, and is {shown(number)}."
            yield Problem(node=node.id, field=f"retry.{name}", message=message)
    if node.timeout_s is not None and not _is_between(node.timeout_s, 0.001, MOST_SECONDS):
        message = f"`timeout_s` must be above 0 and at most {MOST_SECONDS} (366 days), and is {node.timeout_s}."
        yield Problem(node=node.id, field="timeout_s", message=message)


def _conditions(node: Node) -> Iterable[tuple[str, Any]]:
    config = node.config
    if node.type is NodeType.IF and config.get("condition") not in (None, "", {}, []):
        yield "config.condition", config["condition"]
    if node.type is NodeType.SWITCH and isinstance(config.get("cases"), list):
        for place, case in enumerate(config["cases"]):
            if isinstance(case, dict) and case.get("condition") not in (None, "", {}, []):
                yield f"config.cases[{place}].condition", case["condition"]


# -- what can be run, and may not be meant


def _warnings(definition: Definition) -> Iterator[Problem]:
    types = {node.type for node in definition.nodes}
    for node in definition.nodes:
        if node.id in WORDS:
            message = f"`{{{{{node.id}}}}}` means something else; write `{{{{nodes.{node.id}}}}}` for this node."
            yield Problem(node=node.id, field="id", message=message)
        if node.type is NodeType.FOR_EACH and NodeType.RESPONSE in types:
            message = "Refold does not run a workflow with a group and a response synchronously; Gesta does."
            yield Problem(node=node.id, field="type", message=message)
        if node.retry.attempts > 1 and (node.type in PURE or node.type in WAITS or node.type in CONTAINERS):
            message = f"`{node.type}` is never performed twice; its `retry` does nothing."
            yield Problem(node=node.id, field="retry", message=message)
        decided = branches(node)
        taken = {edge.branch for edge in definition.edges if edge.source == node.id}
        if node.type in (NodeType.IF, NodeType.SWITCH) and not taken & decided:
            message = "None of its branches leads anywhere: nothing is decided by it."
            yield Problem(node=node.id, field="edges", message=message)
        if node.type is NodeType.HTTP and is_template(node.config.get("url")) and node.config["url"].startswith("{{"):
            message = "Its whole address comes from a template: whoever says the value says where it goes."
            yield Problem(node=node.id, field="config.url", message=message)

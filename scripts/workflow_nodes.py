"""The reference page of a workflow's nodes, made from the table that checks them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gesta.workflows.graph.configs import SPECS, Spec
from gesta.workflows.graph.definition import BRANCHES, CONTAINERS, DEFAULT_CASE, PURE, WAITS, NodeType
from gesta.workflows.graph.kinds import Field, in_words

_HEAD = """\
# Nodes of a workflow

<!-- Made from src/gesta/workflows/graph/configs.py by `make docs`. -->

What each type of node does, what its configuration may hold, and along which branches it goes on. A value may be a
[template](expressions.md) unless the table says `fixed`; what a template comes to is checked when the node is reached,
everything else when the workflow is saved. A field that a type does not have is refused, with the nearest one that it
has. How a workflow is written around its nodes: [Workflows](../how-to/workflows.md).

Every node may also have `name`, `retry`, `timeout_s` (of one attempt), `skips_errors` (what has failed after its last
attempt counts as done, without an output) and `position` (an editor's).
"""


def nodes_markdown() -> str:
    """A section for each type."""
    return _HEAD + "".join("".join(_section(type, spec)) for type, spec in SPECS.items())


def _section(type: NodeType, spec: Spec) -> Iterator[str]:
    yield f"\n## `{type}`\n\n{spec.meaning}\n"
    if spec.fields:
        yield "\n| field | what | default | |\n|---|---|---|---|\n"
        yield from (_row(field) for field in spec.fields)
    if spec.one_of:
        yield f"\nExactly one of {' and '.join(f'`{name}`' for name in spec.one_of)}.\n"
    if branches := _branches(type):
        yield f"\nBranches: {branches}.\n"
    yield f"\n{_performed(type)}\n"


def _row(field: Field) -> str:
    default = "required" if field.required else f"`{field.default}`" if field.default else ""
    what = f"{in_words(field)}, fixed" if field.is_fixed else in_words(field)
    return f"| `{field.name}` | {what} | {default} | {field.meaning} |\n"


def _branches(type: NodeType) -> str:
    if type is NodeType.SWITCH:
        return f"those that its cases name, and `{DEFAULT_CASE}`"
    return ", ".join(f"`{branch}`" for branch in sorted(BRANCHES.get(type, ())))


def _performed(type: NodeType) -> str:
    if type in PURE:
        return "Decided at once within the run; `retry` does nothing."
    if type in WAITS:
        return "The run may be parked meanwhile; `retry` does nothing."
    if type in CONTAINERS:
        return "Has a `body`; `retry` is for the nodes in it."
    return "Performed as one durable step, tried again as `retry` says."


PAGES: dict[str, Callable[[], str]] = {"reference/workflow-nodes.md": nodes_markdown}

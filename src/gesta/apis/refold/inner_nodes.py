"""The nodes that stand in a group, as an execution's detail lists them beside the others. Pure.

Refold lists the nodes of a workflow flat, those of a group among them (protocols/refold.md §6), and of each what it
gave latest (§4). So a node that was visited in several rounds is one entry: how its rounds stand together, and what its
decisive visit was given and gave. The rounds one by one are the group's batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gesta.apis.refold.vocabulary import BATCH_STATUS_OUT, NODE_TYPE_OUT
from gesta.workflows.face import RunView
from gesta.workflows.graph.definition import CONTAINERS, Node
from gesta.workflows.graph.progress import NodeRun, NodeStatus, Progress
from gesta.workflows.graph.rounds import decisive, inner_paths

Entry = tuple[int | None, dict[str, Any]]


def encode_inner(view: RunView) -> list[Entry]:
    """When each was entered first (None: never) and how it is printed, in the definition's order."""
    progress = view.progress
    inner = [node for node in view.definition.nodes if node.scope]
    return [] if progress is None else [_entry(node, progress) for node in inner]


def _entry(node: Node, progress: Progress) -> Entry:
    visits = [progress.runs[path] for path in inner_paths(progress, node.id)]
    found = decisive(visits) or (visits[-1] if visits else None)
    starts = [visit.started_at_us for visit in visits if visit.started_at_us is not None]
    status = (NodeStatus.STOPPED if progress.is_over else NodeStatus.READY) if found is None else found.status
    output = None if found is None else found.output
    if found is not None and found.error:
        output = {"error": found.error, "output": found.output}
    printed = {
        "node_id": node.id,
        "node_name": node.name,
        "node_type": NODE_TYPE_OUT.get(node.type.value, node.type.value),
        "node_status": BATCH_STATUS_OUT[status],
        "is_batch": node.type in CONTAINERS,
        "attempts_made": max((visit.attempts for visit in visits), default=0),
        "maximum_attempts": node.retry.attempts,
        "execution_time": _spent_ms(visits),
        "input_data": None if found is None else found.input,
        "latest_output": output,
    }
    return min(starts, default=None), printed


def _spent_ms(visits: Sequence[NodeRun]) -> int:
    """All its rounds together."""
    spent_us = 0
    for visit in visits:
        if visit.started_at_us is not None and visit.finished_at_us is not None:
            spent_us += visit.finished_at_us - visit.started_at_us
    return spent_us // 1000

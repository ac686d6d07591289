"""A run once more: what of its progress still counts. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from gesta.kernel.errors import InvalidInput, NotFound
from gesta.workflows.graph.plan import Plan
from gesta.workflows.graph.progress import NodeRun, NodeStatus, Progress
from gesta.workflows.graph.steps import resume

US = 1_000_000


def from_failure(plan: Plan, progress: Progress, at_us: int) -> Progress:
    """The run before what failed or was stopped: what succeeded is not done again. A container goes on with the rounds
    that are not done."""
    kept = {path: run for path, run in progress.runs.items() if _still_counts(run)}
    for path, run in progress.runs.items():
        if run.items is not None and run.status is not NodeStatus.SUCCEEDED and path not in kept:
            redone = [number for number in range(run.begun) if not _is_round_done(progress, f"{path}[{number}]/")]
            kept[path] = msgspec.structs.replace(
                run,
                status=NodeStatus.RUNNING,
                active=tuple(redone),
                error="",
                finished_at_us=None,
                output=run.output if isinstance(run.output, list) else [None] * len(run.items),
            )
    # In the order in which they were reached.
    runs = {path: kept[path] for path in progress.runs if path in kept and _is_within(path, kept)}
    return _reopened(plan, progress, runs, at_us)


def from_node(plan: Plan, progress: Progress, node: str, *, input: Any, meta: dict[str, str], at_us: int) -> Progress:
    """A new run that has done what came before a node, and does the node and what follows. Raises NotFound for a node
    that is not there, InvalidInput for one within a container, or one that the run never came to."""
    if node not in plan.nodes:
        raise NotFound(f"The workflow has no node {node[:128]}.", what="node")
    if plan.nodes[node].scope:
        raise InvalidInput(f"Node {node} is in the body of `{plan.nodes[node].scope}`; name that one.", field="node")
    before = plan.ancestors(node)
    over = {path for path, run in progress.runs.items() if _still_counts(run)}
    missing = sorted(id for id in before if id not in over)
    if missing or node not in progress.runs:
        names = ", ".join(f"`{id}`" for id in missing) or f"`{node}`"
        raise InvalidInput(f"The run did not come past {names}; it cannot be run from `{node}`.", field="node")
    runs = {path: run for path, run in progress.runs.items() if path.split("[", 1)[0].split("/", 1)[0] in before}
    fresh = Progress(input=input, meta=meta, begun_at_us=at_us)
    return _reopened(plan, fresh, runs, at_us)


def _still_counts(run: NodeRun) -> bool:
    return run.status in (NodeStatus.SUCCEEDED, NodeStatus.FAILED_SKIPPED, NodeStatus.SKIPPED)


def _is_round_done(progress: Progress, prefix: str) -> bool:
    visits = [run for path, run in progress.runs.items() if path.startswith(prefix)]
    return bool(visits) and all(_still_counts(run) for run in visits)


def _is_within(path: str, kept: Iterable[str]) -> bool:
    """Whether every container around it is still there."""
    parts = path.split("/")[:-1]
    around = ("/".join(parts[: depth + 1]).rsplit("[", 1)[0] for depth in range(len(parts)))
    return all(container in kept for container in around)


def _reopened(plan: Plan, progress: Progress, runs: dict[str, NodeRun], at_us: int) -> Progress:
    opened = Progress(
        input=progress.input,
        meta=progress.meta,
        begun_at_us=at_us,
        deadline_us=at_us + int(plan.definition.timeout_s * US),
        runs=runs,
    )
    return resume(plan, opened, at_us)

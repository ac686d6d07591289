"""The rounds of a container, as they stand. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gesta.workflows.graph.progress import NodeRun, NodeStatus, Progress

_FAILURES: Final = frozenset({NodeStatus.FAILED, NodeStatus.TIMED_OUT})


def rounds_of(progress: Progress, path: str) -> list[tuple[int, NodeRun]]:
    """For each entry of what the container at `path` goes through: its number, how its round stands, what it gave and
    why it failed. A round that has not begun is ready while the container goes on, and stopped once it does not."""
    visit = progress.runs.get(path)
    if visit is None:
        return []
    results: Sequence[Any] = visit.output if isinstance(visit.output, list) else []
    visits = _visits_of(progress, path)
    never = NodeStatus.STOPPED if visit.status.is_over else NodeStatus.READY
    found = []
    for number in range(max(visit.begun, len(visit.items or ()))):
        found_in = decisive(visits.get(number, ())) if number < visit.begun else None
        status = never if number >= visit.begun else NodeStatus.SUCCEEDED if found_in is None else found_in.status
        output = results[number] if number < len(results) else None
        error = found_in.error if found_in is not None and found_in.status in _FAILURES else ""
        found.append(
            (number, msgspec.structs.replace(visit, status=status, output=output, error=error, items=None, input=None))
        )
    return found


def _visits_of(progress: Progress, path: str) -> dict[int, list[NodeRun]]:
    """Of each round, the visits of its own nodes: a deeper container says itself how it stands."""
    prefix, found = f"{path}[", dict[int, list[NodeRun]]()
    for key, run in progress.runs.items():
        if key.startswith(prefix):
            number, _, inner = key[len(prefix) :].partition("]/")
            if inner and "/" not in inner and number.isdecimal():
                found.setdefault(int(number), []).append(run)
    return found


def decisive(visits: Sequence[NodeRun]) -> NodeRun | None:
    """What a round's standing follows from: what failed, else what goes on, else what was stopped."""
    failed = next((run for run in visits if run.status in _FAILURES), None)
    open_ = next((run for run in visits if not run.status.is_over), None)
    stopped = next((run for run in visits if run.status is NodeStatus.STOPPED), None)
    return failed or open_ or stopped


def inner_paths(progress: Progress, node: str) -> list[str]:
    """The visits of a node that stands in a container, in the order in which they were entered."""
    return [path for path in progress.runs if path.endswith(f"]/{node}")]

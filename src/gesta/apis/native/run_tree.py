"""A run as a tree: its nodes, the rounds of containers, and the nodes of each round. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from gesta.kernel.times import format_us
from gesta.ledger.records import RunDetail, RunNode
from gesta.workflows.face import BatchPage, RunView
from gesta.workflows.graph.definition import CONTAINERS, Node
from gesta.workflows.graph.plan import Plan
from gesta.workflows.graph.progress import NodeRun, NodeStatus, Progress, Wait
from gesta.workflows.runs.telling import WORDS

# Of one answer; what is beyond is read as batches.
MOST_NODES = 10_000


def view_waits(view: RunView) -> list[dict[str, Any]]:
    """What the run waits for, by path."""
    found = []
    runs = {} if view.progress is None else view.progress.runs
    for path, kind in view.waits.items():
        run = runs.get(path)
        wait = None if run is None else run.wait
        found.append({"path": path, **(_wait(wait) or {"kind": kind, "key": "", "until": None})})
    return found


def view_tree(view: RunView, *, rounds: int, payloads: bool) -> list[dict[str, Any]]:
    """The nodes on the top. `rounds`: of each container so many of the first are shown."""
    if view.progress is None:
        return []
    return _Tree(view, rounds, payloads).nodes()


class _Tree:
    def __init__(self, view: RunView, rounds: int, payloads: bool) -> None:
        assert view.progress is not None
        self.plan = Plan(view.definition)
        self.progress: Progress = view.progress
        self.rounds = rounds
        self.payloads = payloads
        self.left = MOST_NODES
        self.within: defaultdict[str, list[str]] = defaultdict(list)
        for path in self.progress.runs:
            self.within[path.rpartition("/")[0]].append(path)

    def nodes(self) -> list[dict[str, Any]]:
        return [self.node(node, node.id) for node in self.plan.definition.nodes if not node.scope]

    def node(self, node: Node, path: str) -> dict[str, Any]:
        self.left -= 1
        run = self.progress.runs.get(path)
        status = ("cancelled" if self.progress.is_over else "ready") if run is None else WORDS[run.status]
        shown: dict[str, Any] = {
            "path": path,
            "id": node.id,
            "name": node.name,
            "type": node.type.value,
            "status": status,
            "attempts": 0 if run is None else run.attempts,
            "max_attempts": node.retry.attempts,
            **_times(run),
            "due_at": None if run is None else _moment(run.due_at_us),
            "wait": None if run is None else _wait(run.wait),
            "branch": "" if run is None else run.branch,
            "input": run.input if run is not None and self.payloads else None,
            "output": run.output if run is not None and self.payloads else None,
            "error": "" if run is None else run.error,
            "rounds": None,
        }
        if node.type in CONTAINERS and run is not None:
            shown["rounds"] = self.rounds_of(node, path, run)
        return shown

    def rounds_of(self, node: Node, path: str, run: NodeRun) -> dict[str, Any]:
        items: list[dict[str, Any]] = []
        body = self.plan.body(node.id)
        for number in range(min(run.begun, self.rounds)):
            if self.left < len(body):
                break
            prefix = f"{path}[{number}]"
            visits = [self.progress.runs[each] for each in self.within[prefix]]
            nodes = [self.node(each, f"{prefix}/{each.id}") for each in body]
            items.append({"index": number, "status": WORDS[_status(visits)], **_span(visits), "nodes": nodes})
        return {"total": len(run.items or ()), "begun": run.begun, "items": items}


def _status(visits: Sequence[NodeRun]) -> NodeStatus:
    """How a round stands: what failed first, then what is not over, then what was stopped."""
    bad = (NodeStatus.FAILED, NodeStatus.TIMED_OUT)
    for wanted in (
        [run for run in visits if run.status in bad],
        [run for run in visits if not run.status.is_over],
        [run for run in visits if run.status is NodeStatus.STOPPED],
    ):
        if wanted:
            return wanted[0].status
    return NodeStatus.SUCCEEDED


def _span(visits: Sequence[NodeRun]) -> dict[str, Any]:
    began = [run.started_at_us for run in visits if run.started_at_us is not None]
    ended = [run.finished_at_us for run in visits if run.finished_at_us is not None]
    is_over = bool(visits) and all(run.status.is_over for run in visits)
    return _between(min(began, default=None), max(ended, default=None) if is_over else None)


def _times(run: NodeRun | None) -> dict[str, Any]:
    return _between(None, None) if run is None else _between(run.started_at_us, run.finished_at_us)


def _between(began_us: int | None, ended_us: int | None) -> dict[str, Any]:
    duration = None if began_us is None or ended_us is None else (ended_us - began_us) // 1000
    return {"started_at": _moment(began_us), "finished_at": _moment(ended_us), "duration_ms": duration}


def _moment(at_us: int | None) -> str | None:
    return None if at_us is None else format_us(at_us)


def _wait(wait: Wait | None) -> dict[str, Any] | None:
    return None if wait is None else {"kind": wait.kind.value, "key": wait.key, "until": _moment(wait.until_us)}


def view_recorded(detail: RunDetail) -> list[dict[str, Any]]:
    """The nodes of a run that was carried out elsewhere, as they were recorded."""
    return [_recorded(node) for node in detail.nodes]


def _recorded(node: RunNode) -> dict[str, Any]:
    began_us = node.started_at_us
    is_over = began_us is not None and bool(node.duration_ms)
    return {
        "path": node.id,
        "id": node.id,
        "name": node.name,
        "type": node.type,
        "status": node.status,
        "attempts": node.attempts,
        "max_attempts": node.max_attempts,
        **_between(began_us, began_us + node.duration_ms * 1000 if is_over and began_us is not None else None),
        "due_at": None,
        "wait": None,
        "branch": "",
        "input": node.input,
        "output": node.output,
        "error": "",
        "rounds": None,
    }


def view_batches(page: BatchPage, offset: int) -> dict[str, Any]:
    """Rounds without their nodes."""
    items = [
        {
            "index": number,
            "status": WORDS[run.status],
            "output": run.output,
            "error": run.error,
        }
        for number, run in page.rounds
    ]
    return {"items": items, "total": page.total, "has_more": offset + len(items) < page.total}

"""What a run's progress says on its execution: its nodes, its outcome, its events. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from gesta.ledger.records import NewEvent, RunDetail, RunNode, Severity, Status
from gesta.workflows.graph.definition import CONTAINERS, Node
from gesta.workflows.graph.plan import Plan
from gesta.workflows.graph.progress import Line, NodeRun, NodeStatus, Outcome, Progress
from gesta.workflows.graph.steps import node_of

# The timeline tells each round of a container of at most so many; of a larger one only what fails.
MOST_TOLD = 50

STATUS_OF_OUTCOME = {
    Outcome.SUCCEEDED: Status.SUCCEEDED,
    Outcome.FAILED: Status.FAILED,
    Outcome.CANCELLED: Status.CANCELLED,
    Outcome.TIMED_OUT: Status.TIMED_OUT,
}

# The words of `RunNode.status`, which dialects map to theirs.
WORDS = {
    NodeStatus.READY: "running",
    NodeStatus.RETRYING: "ready",
    NodeStatus.RUNNING: "running",
    NodeStatus.WAITING: "waiting",
    NodeStatus.SUCCEEDED: "succeeded",
    NodeStatus.FAILED: "failed",
    NodeStatus.FAILED_SKIPPED: "skipped",
    NodeStatus.SKIPPED: "rejected",
    NodeStatus.STOPPED: "cancelled",
    NodeStatus.TIMED_OUT: "timed_out",
}

_SAID = {
    NodeStatus.READY: ("node.started", Severity.DEBUG),
    NodeStatus.RUNNING: ("node.started", Severity.DEBUG),
    NodeStatus.RETRYING: ("node.retrying", Severity.WARNING),
    NodeStatus.WAITING: ("node.waiting", Severity.INFO),
    NodeStatus.SUCCEEDED: ("node.succeeded", Severity.INFO),
    NodeStatus.FAILED: ("node.failed", Severity.ERROR),
    NodeStatus.FAILED_SKIPPED: ("node.failed", Severity.WARNING),
    NodeStatus.SKIPPED: ("node.skipped", Severity.DEBUG),
    NodeStatus.STOPPED: ("node.stopped", Severity.INFO),
    NodeStatus.TIMED_OUT: ("node.timed_out", Severity.ERROR),
}


def nodes_of(plan: Plan, progress: Progress) -> tuple[RunNode, ...]:
    """The nodes on the top, in the definition's order; the rounds of a container are read as its batches."""
    return tuple(_node(node, progress.runs.get(node.id), progress) for node in plan.definition.nodes if not node.scope)


def _node(node: Node, run: NodeRun | None, progress: Progress) -> RunNode:
    if run is None:
        # What the run did not come to any more, or not yet.
        status = "cancelled" if progress.is_over else "ready"
        return RunNode(
            id=node.id, name=node.name, type=node.type.value, status=status, max_attempts=node.retry.attempts
        )
    ended_us = run.finished_at_us
    return RunNode(
        id=node.id,
        name=node.name,
        type=node.type.value,
        status=WORDS[run.status],
        is_batch=node.type in CONTAINERS,
        attempts=run.attempts,
        max_attempts=node.retry.attempts,
        started_at_us=run.started_at_us,
        duration_ms=0 if ended_us is None or run.started_at_us is None else (ended_us - run.started_at_us) // 1000,
        input=shown(run.input),
        output=shown(run.output if not run.error else {"error": run.error, "output": run.output}),
    )


def detail_of(plan: Plan, progress: Progress, before: RunDetail) -> RunDetail:
    """The execution's detail as the run stands."""
    answer = progress.answer
    response: Any = before.response_payload
    if answer is not None:
        response = {"status_code": answer.status_code, "body": shown(answer.body)}
    elif progress.is_over:
        response = shown(progress.output)
    return msgspec.structs.replace(
        before,
        nodes=nodes_of(plan, progress),
        response_payload=response,
        error=progress.error or None,
        status_reason=_reason(progress) or before.status_reason,
    )


def shown(value: Any) -> Any:
    """A payload as the record keeps it: a number that a double says as it was written is a number, any other Decimal
    its text. The record would write every Decimal as a text."""
    match value:
        case Decimal():
            number = float(value)
            return number if Decimal(repr(number)) == value else str(value)
        case dict():
            return {key: shown(each) for key, each in value.items()}
        case list() | tuple():
            return [shown(each) for each in value]
    return value


def _reason(progress: Progress) -> str | None:
    if progress.outcome is Outcome.FAILED:
        return f"node_failed: {progress.error_path}" if progress.error_path else "failed"
    return {Outcome.CANCELLED: "stopped", Outcome.TIMED_OUT: "timed_out"}.get(progress.outcome or Outcome.SUCCEEDED)


def events_between(plan: Plan, before: Progress | None, after: Progress) -> list[NewEvent]:
    """What has happened to nodes, in the order of their moments, with the lines of the log."""
    known = {} if before is None else before.runs
    told = [(line.path, _LINE, _logged(plan, line)) for line in after.lines]
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for place, (path, run) in enumerate(after.runs.items()):
        first[path] = place
        for each in (path, *_containers(path)):
            last[each] = place
        old = known.get(path)
        if old is not None and (old is run or (old.status is run.status and old.attempts == run.attempts)):
            continue
        if _is_told(path, run, after):
            told.append((path, _OVER if run.status.is_over else _BEGUN, _event(plan, path, run)))

    def order(each: tuple[str, int, NewEvent]) -> tuple[int, int, int, int]:
        """At one moment nodes are told as they were reached, and what contains others is over after them."""
        path, what, event = each
        place = (first if what == _BEGUN else last).get(path, 0)
        return _LAST_US if event.at_us is None else event.at_us, place, what, -path.count("/")

    return [event for _, _, event in sorted(told, key=order)]


# A node begins, writes its lines, and is over.
_BEGUN, _LINE, _OVER = range(3)
_LAST_US = 2**63


def _containers(path: str) -> Iterator[str]:
    at = path.rfind("[")
    while at > 0:
        yield path[:at]
        at = path.rfind("[", 0, at)


def _logged(plan: Plan, line: Line) -> NewEvent:
    return NewEvent(
        type="run.log",
        level=_LEVELS.get(line.level, Severity.INFO),
        title=node_of(plan, line.path).title,
        message=line.message,
        at_us=line.at_us,
        data={"nodeId": line.path},
    )


_LEVELS = {level.value: level for level in Severity} | {"warn": Severity.WARNING}


def _is_told(path: str, run: NodeRun, progress: Progress) -> bool:
    if "/" not in path or run.status in (NodeStatus.FAILED, NodeStatus.TIMED_OUT):
        return True
    container = progress.runs.get(path[: path.index("[")])
    return container is None or len(container.items or ()) <= MOST_TOLD


def _event(plan: Plan, path: str, run: NodeRun) -> NewEvent:
    type_, level = _SAID[run.status]
    node = node_of(plan, path)
    data: dict[str, Any] = {"nodeId": path, "nodeType": node.type.value, "attempt": run.attempts}
    if run.branch:
        data["branch"] = run.branch
    if run.wait is not None:
        data["wait"] = msgspec.to_builtins(run.wait)
    return NewEvent(
        type=type_,
        level=level,
        title=node.title,
        message=run.error,
        at_us=run.finished_at_us or run.started_at_us,
        data=data,
    )

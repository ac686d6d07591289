"""Runs and workflows ↔ B3OS's objects (protocols/b3os.md §7, and the types of its public client). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gesta.apis.b3os.codec import RUN_PREFIX, WORKFLOW_PREFIX, encode, encode_event, started_us
from gesta.kernel.times import format_shortest
from gesta.ledger.records import Event, Execution, RunDetail, Source, Status
from gesta.workflows.face import RunView, VersionView, WorkflowView
from gesta.workflows.forms.reading import write_definition
from gesta.workflows.graph.definition import Definition, NodeType
from gesta.workflows.graph.progress import NodeRun, NodeStatus

# The published status of a run. What is not paid yet waits; a stopping run still runs.
RUN_STATUS: dict[Status, str] = {
    Status.AWAITING_PAYMENT: "waiting",
    Status.PAID: "running",
    Status.QUEUED: "running",
    Status.RUNNING: "running",
    Status.WAITING: "waiting",
    Status.STOPPING: "running",
    Status.SUCCEEDED: "success",
    Status.FAILED: "failure",
    Status.CANCELLED: "cancelled",
    Status.TIMED_OUT: "failure",
}
RUN_STATUSES_OF_NAME: dict[str, frozenset[Status]] = {
    name: frozenset(status for status, its_name in RUN_STATUS.items() if its_name == name)
    for name in dict.fromkeys(RUN_STATUS.values())
}

# The published status of a node: pending, running, success, failure, skipped, waiting.
NODE_STATUS: dict[NodeStatus, str] = {
    NodeStatus.READY: "running",
    NodeStatus.RETRYING: "pending",
    NodeStatus.RUNNING: "running",
    NodeStatus.WAITING: "waiting",
    NodeStatus.SUCCEEDED: "success",
    NodeStatus.FAILED: "failure",
    NodeStatus.FAILED_SKIPPED: "failure",
    NodeStatus.SKIPPED: "skipped",
    NodeStatus.STOPPED: "skipped",
    NodeStatus.TIMED_OUT: "failure",
}
# The same of a node as the record has it, which other dialects may have posted.
_RECORDED_STATUS = {
    "ready": "pending",
    "running": "running",
    "waiting": "waiting",
    "succeeded": "success",
    "success": "success",
    "completed": "success",
    "failed": "failure",
    "errored": "failure",
    "timed_out": "failure",
    "skipped": "failure",
    "rejected": "skipped",
    "cancelled": "skipped",
    "stopped": "skipped",
}
TRIGGER_SOURCE: dict[Source, str] = {source: source.value for source in Source} | {Source.SCHEDULE: "cronjob"}


def _time(at_us: int | None) -> str | None:
    return None if at_us is None else format_shortest(at_us)


def printed_run_id(execution: Execution) -> str:
    return RUN_PREFIX + execution.id


def encode_run_item(execution: Execution, *, organization: str) -> dict[str, Any]:
    """A run as lists have it (protocols/b3os.md §7)."""
    detail = execution.detail
    assert isinstance(detail, RunDetail)
    source = detail.source_run_id
    shown = encode(execution, organization=organization)
    return {
        "id": printed_run_id(execution),
        "organizationId": organization,
        "workflowId": shown.get("workflowId") or "",
        "workflowVersion": detail.workflow_version,
        "status": RUN_STATUS[execution.status],
        "triggerSource": TRIGGER_SOURCE[execution.source],
        "triggeredBy": shown.get("initiatedById"),
        "startedAt": _time(started_us(execution) or execution.created_at_us),
        "finishedAt": _time(execution.finished_at_us),
        "sourceRunId": None if source is None else RUN_PREFIX + source,
        "totalCu": 0,
        "isSimulation": False,
        "isDustTest": False,
    }


def encode_run(
    execution: Execution,
    view: RunView | None,
    *,
    organization: str,
    summary: bool = False,
    node_ids: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """One run. `view` None: it was recorded from elsewhere, and its nodes are those on record. `summary` leaves the
    nodes' state and the definition out; `node_ids` restricts the state to these nodes."""
    made = encode_run_item(execution, organization=organization)
    detail = execution.detail
    definition = None if view is None else view.definition
    made |= {
        "workflowVersion": (view.version or None) if view is not None else made["workflowVersion"],
        "propValues": {} if definition is None else definition.properties,
        "triggerNodeId": None if definition is None else _start(definition),
        "simulationForks": [],
        "summary": None,
        "error": detail.error if isinstance(detail, RunDetail) else None,
        "executionId": execution.id,
    }
    if summary:
        return made
    document = None if definition is None else write_definition(definition, "b3os")
    state = _state(view, document) if view is not None else _recorded(execution)
    if node_ids:
        state = {path: node for path, node in state.items() if path in node_ids or _last(path) in node_ids}
    return made | {"executionState": state, "workflowDefinition": document}


def _start(definition: Definition) -> str | None:
    return next((node.id for node in definition.nodes if node.type is NodeType.START), None)


def _last(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _state(view: RunView, document: Mapping[str, Any] | None) -> dict[str, Any]:
    """The nodes that the run has come to, by their paths, and those on the top that it has not."""
    written = (document or {}).get("nodes", {})
    types = {node.id: node.type.value for node in view.definition.nodes}
    types |= {id: raw["type"] for id, raw in written.items() if isinstance(raw, dict) and raw.get("type")}
    runs = {} if view.progress is None else view.progress.runs
    state = {path: _node(types.get(_last(path), ""), run) for path, run in runs.items()}
    if view.progress is None or not view.progress.is_over:
        for node in view.definition.nodes:
            if not node.scope and node.id not in state:
                state[node.id] = {"type": types[node.id], "status": "pending"} | _NOTHING
    return state


_NOTHING: dict[str, Any] = {"input": None, "result": None, "startedAt": None, "finishedAt": None}


def _node(type: str, run: NodeRun) -> dict[str, Any]:
    result = run.output
    if run.error:
        result = {"error": run.error} | ({} if run.output is None else {"output": run.output})
    return {
        "type": type,
        "status": NODE_STATUS[run.status],
        "input": run.input,
        "result": result,
        "startedAt": _time(run.started_at_us),
        "finishedAt": _time(run.finished_at_us),
    }


def _recorded(execution: Execution) -> dict[str, Any]:
    detail = execution.detail
    assert isinstance(detail, RunDetail)
    state = {}
    for node in detail.nodes:
        started_us = node.started_at_us
        ended_us = None if started_us is None else started_us + node.duration_ms * 1000
        status = _RECORDED_STATUS.get(node.status.lower(), "pending")
        state[node.id] = {
            "type": node.type,
            "status": status,
            "input": node.input,
            "result": node.output,
            "startedAt": _time(started_us),
            "finishedAt": _time(ended_us) if status in ("success", "failure", "skipped") else None,
        }
    return state


def encode_run_event(event: Event, execution: Execution, *, organization: str) -> dict[str, Any]:
    return encode_event(event, execution, organization=organization)


# -- workflows


def encode_workflow(view: WorkflowView, *, organization: str, definition: Definition | None = None) -> dict[str, Any]:
    """A workflow; `definition` is its newest version's, left out where it is not given. Numbers of runs are not
    limited here, so `maxRuns` and `remainRuns` are null."""
    made = {
        "id": WORKFLOW_PREFIX + view.id,
        "version": view.newest_version,
        "publishedVersion": view.published_version,
        "organizationId": organization,
        "name": view.name,
        "description": view.description,
        "slug": view.slug,
        "alias": view.alias,
        "status": view.status.value,
        "type": "workflow",
        "visibility": view.visibility.value,
        "maxRuns": None,
        "remainRuns": None,
        "cooldownMs": 0,
        "lastTriggeredAt": None,
        "createdBy": None,
        "createdAt": _time(view.created_at_us),
        "updatedBy": None,
        "updatedAt": _time(view.updated_at_us),
        "publishedAt": _time(view.published_at_us),
        "hasDraft": view.published_version != view.newest_version,
        "hasLiveVersion": view.published_version is not None,
    }
    return made if definition is None else made | {"definition": write_definition(definition, "b3os")}


def encode_public_workflow(view: WorkflowView, version: VersionView) -> dict[str, Any]:
    """What everybody may know of a public workflow: what it is, what it is given, and what it costs. Its nodes have
    addresses, headers and texts that are the owner's."""
    document = write_definition(version.definition, "b3os")
    return {
        "id": WORKFLOW_PREFIX + view.id,
        "name": view.name,
        "description": view.description,
        "slug": view.slug,
        "status": view.status.value,
        "visibility": view.visibility.value,
        "version": version.version,
        "inputSchema": document.get("inputSchema"),
        "price": document.get("price"),
        "publishedAt": _time(version.published_at_us),
    }


WORKFLOW_FIELDS = frozenset({
    "id", "version", "publishedVersion", "organizationId", "name", "description", "slug", "alias", "status", "type",
    "visibility", "maxRuns", "remainRuns", "cooldownMs", "lastTriggeredAt", "createdBy", "createdAt", "updatedBy",
    "updatedAt", "publishedAt", "hasDraft", "hasLiveVersion", "definition",
})  # fmt: skip


def encode_version(version: VersionView, workflow: WorkflowView, *, full: bool = False) -> dict[str, Any]:
    status = "archived"
    if version.version == workflow.published_version:
        status = "published"
    elif version.version == workflow.newest_version:
        status = "draft"
    made = {
        "versionNumber": version.version,
        "workflowId": WORKFLOW_PREFIX + version.workflow_id,
        "status": status,
        "createdBy": None,
        "createdAt": _time(version.created_at_us),
        "publishedAt": _time(version.published_at_us),
    }
    return made | {"definition": write_definition(version.definition, "b3os")} if full else made

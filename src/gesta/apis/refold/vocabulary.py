"""Refold's words for the canonical ones, each as one table (protocols/refold.md §3, §4, §6)."""

from __future__ import annotations

from gesta.ledger.records import Mode, Source, Status
from gesta.workflows.graph.definition import NodeType
from gesta.workflows.graph.progress import NodeStatus

# QUEUED and the payment states are younger than the SDK's enum, so old clients are shown RUNNING.
STATUS_OUT: dict[Status, str] = {
    Status.AWAITING_PAYMENT: "RUNNING",
    Status.PAID: "RUNNING",
    Status.QUEUED: "RUNNING",
    Status.RUNNING: "RUNNING",
    Status.WAITING: "RUNNING",
    Status.STOPPING: "STOPPING",
    Status.SUCCEEDED: "COMPLETED",
    Status.FAILED: "ERRORED",
    Status.CANCELLED: "STOPPED",
    Status.TIMED_OUT: "TIMED_OUT",
}

# What a posted object may say. QUEUED is recorded as such and printed as RUNNING.
STATUS_IN: dict[str, Status] = {
    "QUEUED": Status.QUEUED,
    "RUNNING": Status.RUNNING,
    "STOPPING": Status.STOPPING,
    "COMPLETED": Status.SUCCEEDED,
    "ERRORED": Status.FAILED,
    "STOPPED": Status.CANCELLED,
    "TIMED_OUT": Status.TIMED_OUT,
}

# Refold knows three sources; what else starts a run in Gesta came through some API call.
SOURCE_OUT: dict[Source, str] = {
    Source.EVENT: "Event",
    Source.SCHEDULE: "Schedule",
    Source.API: "API Call",
    Source.MANUAL: "API Call",
    Source.IMPORT: "API Call",
    Source.VENUE: "API Call",
    Source.SIMULATED: "API Call",
}

# Both published spellings, compared without case (`API Call` of the docs, `API_CALL` of the OpenAPI document).
SOURCE_IN: dict[str, Source] = {
    "event": Source.EVENT,
    "schedule": Source.SCHEDULE,
    "api call": Source.API,
    "api_call": Source.API,
    "api": Source.API,
}

MODE_OUT: dict[Mode, str] = {Mode.SYNC: "SYNC", Mode.ASYNC: "ASYNC"}
MODE_IN: dict[str, Mode] = {word: mode for mode, word in MODE_OUT.items()}

# Refold has no word for a node at work: it stays Ready until it has an outcome.
NODE_STATUS_OUT: dict[str, str] = {
    "ready": "Ready",
    "queued": "Ready",
    "running": "Ready",
    "waiting": "Waiting",
    "succeeded": "Success",
    "failed": "Errored",
    "skipped": "Errored_and_Skipped",
    "cancelled": "Stopped",
    "rejected": "Rejected",
    "timed_out": "Timed_Out",
}

NODE_STATUS_IN: dict[str, str] = {
    "Ready": "ready",
    "Waiting": "waiting",
    "Success": "succeeded",
    "Errored": "failed",
    "Errored_and_Skipped": "skipped",
    "Stopped": "cancelled",
    "Rejected": "rejected",
    "Timed_Out": "timed_out",
}

# How Refold calls a type of nodes (protocols/refold.md §6); a type that is not here has one name, or is Gesta's own.
NODE_TYPE_OUT: dict[str, str] = {
    NodeType.FOR_EACH.value: "group",
    NodeType.IF.value: "rule",
    NodeType.TRY.value: "try-catch",
    NodeType.SUB_FLOW.value: "sub-flow",
    NodeType.WAIT_WEBHOOK.value: "wait-for-webhook",
    NodeType.WAIT_EVENT.value: "wait-for-event",
    NodeType.HUMAN.value: "human-task",
}

# A round of a container, by how its visit stands.
BATCH_STATUS_OUT: dict[NodeStatus, str] = {
    NodeStatus.READY: "Ready",
    NodeStatus.RETRYING: "Ready",
    NodeStatus.RUNNING: "Ready",
    NodeStatus.WAITING: "Waiting",
    NodeStatus.SUCCEEDED: "Success",
    NodeStatus.FAILED: "Errored",
    NodeStatus.FAILED_SKIPPED: "Errored_and_Skipped",
    NodeStatus.SKIPPED: "Rejected",
    NodeStatus.STOPPED: "Stopped",
    NodeStatus.TIMED_OUT: "Timed_Out",
}

# A node in one of these has no outcome yet.
NODE_OPEN = frozenset({"ready", "queued", "running", "waiting"})

STATUSES_OF: dict[str, frozenset[Status]] = {
    word: frozenset(status for status, out in STATUS_OUT.items() if out == word)
    for word in dict.fromkeys(STATUS_OUT.values())
}
SOURCES_OF: dict[str, frozenset[Source]] = {
    spelling: frozenset(source for source, out in SOURCE_OUT.items() if out == SOURCE_OUT[canonical])
    for spelling, canonical in SOURCE_IN.items()
}
MODES_OF: dict[str, frozenset[Mode]] = {word: frozenset({mode}) for word, mode in MODE_IN.items()}


def node_status_out(status: str) -> str:
    """Ready for a node status that only Gesta knows."""
    return NODE_STATUS_OUT.get(status.lower(), "Ready")

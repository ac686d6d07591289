"""Runs ↔ B3OS's execution and event objects (seed 003, protocols/b3os.md §4). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from gesta.access.model import Account, AccountType, Environment
from gesta.apis.common.overrides import capture, restore
from gesta.apis.common.posted import MAX_ID, MAX_NAME, PostedObject, as_recorded, plain_object
from gesta.apis.common.services import Decoded
from gesta.kernel.errors import InvalidInput
from gesta.kernel.json import encode_json_sorted
from gesta.kernel.times import format_shortest
from gesta.ledger.lifecycle import TERMINAL
from gesta.ledger.records import Event, Execution, Named, NewExecution, RunDetail, Source, Status

DIALECT = "b3os"
# Where runs live that name no linked account.
DEFAULT_ACCOUNT = "default"

# The published status of each canonical status. A stopping run still runs; a timed-out one failed, and its
# statusReason says why.
STATUS_NAMES: dict[Status, str] = {
    Status.AWAITING_PAYMENT: "awaiting_payment",
    Status.PAID: "payment_confirmed",
    Status.QUEUED: "workflow_queued",
    Status.RUNNING: "workflow_running",
    Status.WAITING: "workflow_waiting",
    Status.STOPPING: "workflow_running",
    Status.SUCCEEDED: "workflow_succeeded",
    Status.FAILED: "workflow_failed",
    Status.CANCELLED: "workflow_cancelled",
    Status.TIMED_OUT: "workflow_failed",
}
TIMED_OUT_REASON = "timed_out"

# The canonical statuses that each published one stands for.
STATUSES_OF_NAME: dict[str, frozenset[Status]] = {
    name: frozenset(status for status, its_name in STATUS_NAMES.items() if its_name == name)
    for name in dict.fromkeys(STATUS_NAMES.values())
}

# What an execution that arrives with a published status becomes; `_status` adds the timed-out one.
STATUS_OF_NAME: dict[str, Status] = {
    "awaiting_payment": Status.AWAITING_PAYMENT,
    "payment_confirmed": Status.PAID,
    "workflow_queued": Status.QUEUED,
    "workflow_running": Status.RUNNING,
    "workflow_waiting": Status.WAITING,
    "workflow_succeeded": Status.SUCCEEDED,
    "workflow_failed": Status.FAILED,
    "workflow_cancelled": Status.CANCELLED,
}

# `message` of an execution: one sentence for people (protocols/b3os.md §4.4).
MESSAGES: dict[Status, str] = {
    Status.AWAITING_PAYMENT: "Waiting for payment.",
    Status.PAID: "Payment confirmed; the workflow will be queued.",
    Status.QUEUED: "The workflow is queued.",
    Status.RUNNING: "The workflow is running.",
    Status.WAITING: "The workflow is waiting.",
    Status.STOPPING: "The workflow is being stopped.",
    Status.SUCCEEDED: "The workflow succeeded.",
    Status.FAILED: "The workflow failed.",
    Status.CANCELLED: "The workflow was cancelled.",
    Status.TIMED_OUT: "The workflow ran out of time.",
}

# The origin of runs that this server carries out: their ids are printed with the prefixes that clients check
# (`^run_\w+$`, `^wf_\w+$`, protocols/b3os.md §8).
OWN_ORIGIN = "workflow"
RUN_PREFIX, WORKFLOW_PREFIX = "run_", "wf_"
# What a payment of this server's can be when its run has not begun and never will.
_NEVER_PAID = frozenset({"unpaid", "processing", "expired", "failed"})
_OWN_WORKFLOW = re.compile(r"wf_([0-9a-f]{24})", re.ASCII)

# `<string>`, `<object>`: how the vendor's documentation writes "some value here".
_PLACEHOLDER = re.compile(r"<\w+>")


def is_placeholder(text: str) -> bool:
    return _PLACEHOLDER.fullmatch(text) is not None


def _time(at_us: int | None) -> str | None:
    return None if at_us is None else format_shortest(at_us)


def _object(value: Any) -> dict[str, Any] | None:
    """The three payloads are objects on the wire; a payload of another dialect may be any JSON value."""
    return value if value is None or isinstance(value, dict) else {"value": value}


def _reason(execution: Execution, detail: RunDetail) -> str | None:
    if detail.status_reason is not None:
        return detail.status_reason
    return TIMED_OUT_REASON if execution.status is Status.TIMED_OUT else detail.error


def encode(execution: Execution, *, organization: str) -> dict[str, Any]:
    """The execution object of a run; `organization` is the public id. All 23 keys, unset ones null, except where the
    object was posted in this shape: then as it was posted, as long as the record still says the same."""
    detail = execution.detail
    assert isinstance(detail, RunDetail)
    derived: dict[str, Any] = {
        "checkoutSessionId": detail.checkout_session_id,
        "clientSafeMetadata": _object(detail.client_safe_metadata),
        "createdAt": _time(execution.created_at_us),
        "externalRef": detail.external_ref,
        "finishedAt": _time(execution.finished_at_us),
        "id": execution.id,
        "idempotencyKey": detail.idempotency_key,
        "initiatedById": detail.initiated_by_id,
        "initiatedByType": detail.initiated_by_type,
        "orderId": detail.order_id,
        "organizationId": organization,
        "paymentStatus": detail.payment_status,
        "requestPayload": _object(detail.request_payload),
        "responsePayload": _object(detail.response_payload),
        "runId": _run_id(execution, detail),
        "sourceEntityId": detail.source_entity_id,
        "sourceEntityType": detail.source_entity_type,
        "sourceSystem": detail.source_system,
        "startedAt": _time(started_us(execution)),
        "status": STATUS_NAMES[execution.status],
        "statusReason": _reason(execution, detail),
        "updatedAt": _time(execution.updated_at_us),
        "workflowId": _workflow_id(execution, detail),
    }
    return restore(execution.wire, DIALECT, derived)


def _workflow_id(execution: Execution, detail: RunDetail) -> str | None:
    found = execution.correlation.get("workflow_id") or detail.workflow.id or None
    return WORKFLOW_PREFIX + found if found and execution.origin == OWN_ORIGIN else found


def _run_id(execution: Execution, detail: RunDetail) -> str | None:
    """The run of an execution, once there is one: before it is paid, there is none."""
    if execution.origin != OWN_ORIGIN or detail.run_id is not None:
        return detail.run_id
    is_unpaid = execution.status is Status.AWAITING_PAYMENT or detail.payment_status in _NEVER_PAID
    return None if is_unpaid else RUN_PREFIX + execution.id


def started_us(execution: Execution) -> int | None:
    """When the first of its nodes began. A run of this server may come to wait before any process has taken it up."""
    begun = [] if execution.started_at_us is None else [execution.started_at_us]
    if execution.origin == OWN_ORIGIN and isinstance(execution.detail, RunDetail):
        begun += [node.started_at_us for node in execution.detail.nodes if node.started_at_us is not None]
    return min(begun, default=None)


def workflow_word(text: str) -> str:
    """What the record calls the workflow that a caller names: an id of this server's without its prefix."""
    own = _OWN_WORKFLOW.fullmatch(text)
    return own[1] if own else text


def message_of(execution: Execution) -> str:
    detail = execution.detail
    reason = detail.status_reason or detail.error if isinstance(detail, RunDetail) else None
    return MESSAGES[execution.status] + (f" Reason: {reason}" if reason else "")


def event_id(seq: int) -> str:
    """`evt_` and the event's place in the organization's record; grows with time."""
    return f"evt_{seq}"


def encode_event(event: Event, execution: Execution, *, organization: str) -> dict[str, Any]:
    """One event of the timeline of `execution` (protocols/b3os.md §4.5)."""
    detail = execution.detail
    assert isinstance(detail, RunDetail)
    data = event.data
    title = event.title
    if not title and event.to_status is not None:
        title = STATUS_NAMES[event.to_status]
    return {
        "id": event_id(event.seq),
        "executionId": execution.id,
        "runId": _run_id(execution, detail),
        "workflowId": _workflow_id(execution, detail),
        "organizationId": organization,
        "nodeId": _node_id(data),
        "eventType": event.type,
        "level": event.level.value,
        "title": title or event.type,
        "message": event.message,
        "data": {key: value for key, value in data.items() if key not in ("by", "node_id", "nodeId", "request_id")},
        "requestId": _text(data.get("request_id")),
        "createdAt": _time(event.at_us),
    }


def _node_id(data: Mapping[str, Any]) -> str | None:
    return _text(data.get("node_id", data.get("nodeId")))


# What a client token shows of an execution and of its events (protocols/b3os.md §4.7), and no more.
PUBLIC_FIELDS = (
    "id", "workflowId", "runId", "orderId", "checkoutSessionId", "paymentStatus", "status", "clientSafeMetadata",
    "createdAt", "startedAt", "finishedAt",
)  # fmt: skip
PUBLIC_EVENT_FIELDS = ("id", "runId", "nodeId", "eventType", "level", "title", "message", "createdAt")


def encode_public(execution: Execution, events: Iterable[Event]) -> dict[str, Any]:
    """The execution as its client token shows it. `message` is without the reason of a failure."""
    shown = encode(execution, organization="")
    return {
        **{field: shown.get(field) for field in PUBLIC_FIELDS},
        "message": MESSAGES[execution.status],
        "events": [encode_public_event(event, execution) for event in events],
    }


def encode_public_event(event: Event, execution: Execution) -> dict[str, Any]:
    """An event as a client token shows it. Its message is what the workflow logs; what an error says is not for a
    stranger's eyes."""
    shown = encode_event(event, execution, organization="")
    message = event.message if event.type == "run.log" else ""
    if event.to_status is not None and event.to_status is not event.from_status:
        message = MESSAGES[event.to_status]
    return {field: shown[field] for field in PUBLIC_EVENT_FIELDS} | {"message": message}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def decode(posted: Mapping[str, Any], *, now_us: int, organization: str) -> Decoded:
    """Read an execution object as `GET /v1/executions` gives it; `organization` is the caller's public id.

    `id` and `status` are needed, every other key may be missing. A value like `<string>` is the documentation's
    placeholder for an unset one; as `id` it is an id like any other. An execution without `createdAt` gets the
    earliest of its other times, else `now_us`. Raises InvalidInput naming the field.
    """
    values = plain_object(posted)
    fields = PostedObject(values, is_unset=is_placeholder)
    execution_id, status = fields.id("id"), _status(fields)
    detail = _detail(fields)
    fields.text("organizationId", max_length=MAX_NAME)
    created_at_us, started_at_us = fields.time_us("createdAt"), fields.time_us("startedAt")
    finished_at_us, updated_at_us = fields.time_us("finishedAt"), fields.time_us("updatedAt")
    if created_at_us is None:
        others = [at_us for at_us in (started_at_us, finished_at_us, updated_at_us) if at_us is not None]
        created_at_us = min(others, default=now_us)
    correlation = {
        "workflow_id": detail.workflow.id,
        "external_ref": detail.external_ref,
        "order_id": detail.order_id,
    }

    def row(account: Account) -> NewExecution:
        new = NewExecution(
            id=execution_id,
            account=account.id,
            origin=DIALECT,
            name=detail.workflow.id or "workflow run",
            status=status,
            source=Source.API,
            created_at_us=created_at_us,
            detail=detail,
            correlation={key: value for key, value in correlation.items() if value},
            started_at_us=started_at_us,
            finished_at_us=finished_at_us if status in TERMINAL else None,
            updated_at_us=created_at_us if updated_at_us is None else updated_at_us,
            content=encode_json_sorted(values),
        )
        derived = encode(as_recorded(new), organization=organization)
        return msgspec.structs.replace(new, wire=capture(DIALECT, values, derived))

    return Decoded(
        account_name=DEFAULT_ACCOUNT,
        is_unnamed=True,
        account_type=AccountType.LINKED,
        environment=Environment.PRODUCTION,
        row=row,
    )


def _status(fields: PostedObject) -> Status:
    status = fields.word("status", STATUS_OF_NAME)
    if status is None:
        raise InvalidInput(f"`status` must be one of {', '.join(STATUS_OF_NAME)}.", field="status")
    if status is Status.FAILED and fields.text("statusReason") == TIMED_OUT_REASON:
        return Status.TIMED_OUT
    return status


def _detail(fields: PostedObject) -> RunDetail:
    return RunDetail(
        workflow=Named(id=fields.text("workflowId", max_length=MAX_NAME) or ""),
        run_id=fields.text("runId", max_length=MAX_ID),
        status_reason=fields.text("statusReason"),
        payment_status=fields.text("paymentStatus", max_length=MAX_NAME),
        order_id=fields.text("orderId", max_length=MAX_NAME),
        checkout_session_id=fields.text("checkoutSessionId", max_length=MAX_NAME),
        idempotency_key=fields.text("idempotencyKey", max_length=MAX_NAME),
        external_ref=fields.text("externalRef", max_length=MAX_NAME),
        source_system=fields.text("sourceSystem", max_length=MAX_NAME),
        source_entity_type=fields.text("sourceEntityType", max_length=MAX_NAME),
        source_entity_id=fields.text("sourceEntityId", max_length=MAX_NAME),
        initiated_by_id=fields.text("initiatedById", max_length=MAX_NAME),
        initiated_by_type=fields.text("initiatedByType", max_length=MAX_NAME),
        request_payload=fields.document("requestPayload"),
        response_payload=fields.document("responsePayload"),
        client_safe_metadata=fields.document("clientSafeMetadata"),
    )

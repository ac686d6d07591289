"""What endpoints are sent, in each form. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gesta.kernel.times import format_shortest, format_us
from gesta.ledger.records import Execution, NewEvent, RunDetail
from gesta.workflows.graph.expressions import Scope
from gesta.workflows.graph.rendering import render
from gesta.workflows.hooks_face import EndpointIn, HookEvent, HookFormat
from gesta.workflows.runs.rows import encoder

MAX_BODY: Final = 256 * 1024
MAX_RESPONSE: Final = 64 * 1024

# protocols/refold.md §6: the words of Refold's clients.
REFOLD_EVENTS: Final = {
    HookEvent.RUN_SUCCEEDED: "Workflow Completed",
    HookEvent.RUN_FAILED: "Workflow Errored",
    HookEvent.RUN_CANCELLED: "Workflow Stopped",
    HookEvent.RUN_TIMED_OUT: "Workflow Timed Out",
}
_REFOLD_STATUSES: Final = {
    HookEvent.RUN_SUCCEEDED: "COMPLETED",
    HookEvent.RUN_FAILED: "ERRORED",
    HookEvent.RUN_CANCELLED: "STOPPED",
    HookEvent.RUN_TIMED_OUT: "TIMED_OUT",
}
# protocols/b3os.md, execution webhooks: the names that are seen there; the others follow them.
B3OS_EVENTS: Final = {HookEvent.RUN_SUCCEEDED: "run.completed"}
B3OS_WORDS: Final = {
    event: B3OS_EVENTS.get(event, event.value)
    for event in (
        HookEvent.RUN_STARTED,
        HookEvent.RUN_WAITING,
        HookEvent.RUN_SUCCEEDED,
        HookEvent.RUN_FAILED,
        HookEvent.RUN_CANCELLED,
        HookEvent.RUN_TIMED_OUT,
        HookEvent.NODE_FAILED,
    )
}


def body_of(
    endpoint: EndpointIn, hook: HookEvent, event: NewEvent, execution: Execution, meta: Mapping[str, str], at_us: int
) -> bytes:
    """The body that tells an event of an execution, as it stands after it. `meta` are the words of its run: account,
    environment and organization by name. Raises ExpressionError for a template that names what there is not."""
    if endpoint.format is HookFormat.GESTA:
        return encoder.encode(_gesta(hook, event, execution, meta, at_us))
    if endpoint.format is HookFormat.B3OS:
        return encoder.encode(_b3os(hook, event, execution, meta, at_us))
    if endpoint.format is HookFormat.SLACK:
        return encoder.encode({"text": _sentence(hook, event, execution)})
    told = refold_payload(hook, execution, meta)
    if endpoint.format is HookFormat.REFOLD or endpoint.body is None:
        return encoder.encode(told)
    return encoder.encode(render(endpoint.body, scope_of(told)))


def scope_of(told: Mapping[str, Any]) -> Scope:
    """What a template of an endpoint may name: each word of Refold's payload by itself, or all as `input`."""
    return Scope(input=told, outputs=told)


def _detail(execution: Execution) -> RunDetail:
    assert isinstance(execution.detail, RunDetail)
    return execution.detail


def _gesta(
    hook: HookEvent, event: NewEvent, execution: Execution, meta: Mapping[str, str], at_us: int
) -> dict[str, Any]:
    detail = _detail(execution)
    response, is_cut = detail.response_payload, False
    if response is not None and len(encoder.encode(response)) > MAX_RESPONSE:
        response, is_cut = None, True
    return {
        "event": hook.value,
        "at": format_us(at_us),
        "message": event.message[:4096],
        "data": {"nodeId": event.data["nodeId"]} if "nodeId" in event.data else {},
        "execution": {
            "id": execution.id,
            "account": meta.get("account", ""),
            "environment": meta.get("environment", ""),
            "organization": meta.get("organization", ""),
            "kind": execution.kind.value,
            "name": execution.name,
            "status": execution.status.value,
            "mode": execution.mode.value,
            "correlation": dict(execution.correlation),
            "created_at": format_us(execution.created_at_us),
            "started_at": _moment(execution.started_at_us),
            "finished_at": _moment(execution.finished_at_us),
            "version": execution.version,
            "seq": execution.seq,
            "detail": {
                "kind": "run",
                "workflow": {"id": detail.workflow.id, "name": detail.workflow.name},
                "status_reason": detail.status_reason,
                "payment_status": detail.payment_status,
                "external_ref": detail.external_ref,
                "error": detail.error,
                "response_payload": response,
                "response_is_cut": is_cut,
            },
        },
    }


def _moment(at_us: int | None) -> str | None:
    return None if at_us is None else format_us(at_us)


def _b3os(
    hook: HookEvent, event: NewEvent, execution: Execution, meta: Mapping[str, str], at_us: int
) -> dict[str, Any]:
    detail = _detail(execution)
    return {
        "eventType": B3OS_WORDS.get(hook, hook.value),
        "createdAt": format_shortest(at_us),
        "organizationId": meta.get("organization", ""),
        "executionId": execution.id,
        "runId": f"run_{execution.id}",
        "workflowId": f"wf_{detail.workflow.id}" if detail.workflow.id else None,
        "externalRef": detail.external_ref,
        "status": hook.value.rpartition(".")[2],
        "nodeId": event.data.get("nodeId"),
        "error": detail.error or (event.message[:4096] or None if hook is HookEvent.NODE_FAILED else None),
    }


def refold_payload(hook: HookEvent, execution: Execution, meta: Mapping[str, str]) -> dict[str, Any]:
    """protocols/refold.md §6: the seven words of its webhooks."""
    detail = _detail(execution)
    return {
        "linked_account_id": meta.get("account", ""),
        "instance_id": execution.id,
        "workflow_id": detail.workflow.id,
        "config_id": detail.config_id,
        "event": REFOLD_EVENTS.get(hook, hook.value),
        "workflow_name": detail.workflow.name,
        "status": _REFOLD_STATUSES.get(hook, "RUNNING"),
    }


EXAMPLE: Final[Mapping[str, Any]] = {
    "linked_account_id": "",
    "instance_id": "",
    "workflow_id": "",
    "config_id": None,
    "event": "",
    "workflow_name": "",
    "status": "",
}


def _sentence(hook: HookEvent, event: NewEvent, execution: Execution) -> str:
    name = _detail(execution).workflow.name or execution.name
    said = REFOLD_EVENTS.get(hook, hook.value)
    why = f": {event.message[:1000]}" if event.message else ""
    return f"{said}: {name} ({execution.id}){why}"

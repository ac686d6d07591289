"""Where the calls that write are served, and what the document says of each: one table."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, NamedTuple

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from gesta.apis.common.services import Services
from gesta.apis.refold import openapi
from gesta.apis.refold import write_models as models
from gesta.apis.refold.accounts import AccountCalls
from gesta.apis.refold.executing import Executing
from gesta.apis.refold.schedules import ScheduleCalls
from gesta.apis.refold.triggering import Triggering
from gesta.apis.refold.webhooks import WebhookCalls
from gesta.apis.refold.workflow_routes import HOOK_PATH, WorkflowCalls

PUBLIC = "/api/v2/public"
V1 = "/api/v1"
SCHEDULED = f"{V1}/workflow/public/scheduled"
Security = list[dict[str, list[str]]]


class Call(NamedTuple):
    """`body` is what is posted; `failures` are beside those that every call can have."""

    method: str
    path: str
    operation: str
    summary: str
    tag: str
    handler: Callable[[Request], Coroutine[Any, Any, Response]]
    answer: type[msgspec.Struct]
    failures: tuple[int, ...] = ()
    body: type[msgspec.Struct] | None = None
    headers: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    security: Security = openapi.EITHER


def add(router: APIRouter, services: Services) -> None:
    for call in _calls(services):
        _add(router, call)


def _calls(services: Services) -> Iterable[Call]:
    yield from _executions(Executing(services))
    yield from _triggers(Triggering(services))
    yield from _workflows(WorkflowCalls(services))
    yield from _schedules(ScheduleCalls(services))
    yield from _accounts(AccountCalls(services))
    if services.webhooks is not None:
        yield from _webhooks(WebhookCalls(services, services.webhooks))


def _executions(calls: Executing) -> Iterable[Call]:
    one, tag = f"{PUBLIC}/execution/{{execution_id}}", "Executions"
    headers = ("slug", "sync_execution", "config_id", "instance_tag", "include-headers")
    for prefix, suffix in ((PUBLIC, ""), (V1, "_v1")):
        yield Call(
            *("POST", f"{prefix}/workflow/{{workflow_id}}/execute", f"execute_workflow{suffix}"),
            "Execute a workflow by its id or alias",
            tag,
            calls.execute,
            models.ExecutionResult,
            failures=(404, 408, 409, 413),
            headers=headers,
            query=headers,
        )
    yield Call(
        *("POST", f"{one}/stop", "stop_execution", "Stop an execution", tag, calls.stop),
        *(models.ExecutionStopped, (404, 408, 409, 413)),
    )
    yield Call(
        *("POST", f"{one}/rerun", "rerun_execution", "Run an execution again", tag, calls.rerun),
        *(models.ExecutionRerun, (404, 408, 409, 413), models.Rerun),
        query=("from_node",),
    )
    yield Call(
        *("GET", f"{one}/nodes/{{node_id}}/batches", "list_batches", "List the rounds of a group node", tag),
        *(calls.batches, models.BatchPage, (404, 501)),
        query=("page", "limit", "status"),
    )
    yield Call(
        *("GET", f"{V1}/execution/{{execution_id}}/response", "get_execution_response", "What an execution answered"),
        *(tag, calls.response, models.ExecutionResponse, (404,)),
    )


def _triggers(calls: Triggering) -> Iterable[Call]:
    tag, failures = "Triggers", (404, 408, 409, 413)
    yield Call(
        *("POST", f"{PUBLIC}/event/trigger", "trigger_event", "Fire an event", tag, calls.event, models.EventFired),
        *(failures, models.Event, ("slug", "idempotency-key")),
        query=("slug",),
    )
    yield Call(
        *("POST", f"{PUBLIC}/event/{{slug}}", "trigger_event_of", "Fire an event of an application", tag, calls.event),
        *(models.EventFired, failures, models.Event, ("idempotency-key",)),
    )
    for path, suffix, headers in (("/{secret}", "", ()), ("", "_by_header", ("x-webhook-secret",))):
        yield Call(
            *("POST", f"{HOOK_PATH}/{{workflow_id}}{path}", f"receive_webhook{suffix}", "The webhook of a workflow"),
            *(tag, calls.hook, models.HookFired, (*failures, 415)),
            headers=("idempotency-key", "gesta-signature", *headers),
            security=openapi.SECRET_ONLY,
        )


def _workflows(calls: WorkflowCalls) -> Iterable[Call]:
    path, tag, body = f"{PUBLIC}/workflow", "Workflows", (408, 409, 413)
    one = f"{path}/{{workflow_id}}"
    yield Call(
        *("GET", path, "list_workflows", "List workflows", tag, calls.list_, models.WorkflowPage),
        query=("page", "limit", "name", "slug", "application_id", "published", "start_date", "end_date", "scope"),
    )
    yield Call(
        *("POST", path, "create_workflow", "Create a workflow of the linked account", tag, calls.create),
        *(models.WorkflowSaved, body, models.NewWorkflow),
    )
    yield Call(
        *("GET", f"{path}/request-structure/{{workflow_id}}", "get_request_structure", "What an execution expects"),
        *(tag, calls.request_structure, models.RequestStructure, (404,)),
    )
    yield Call(
        *("GET", f"{path}/versions/{{workflow_id}}", "list_workflow_versions", "List published versions", tag),
        *(calls.versions, models.WorkflowPage, (404,)),
        query=("page", "limit"),
    )
    yield Call("GET", one, "get_workflow", "Get a workflow", tag, calls.get, models.Workflow, (404,))
    yield Call(
        *("PUT", one, "save_workflow", "Save a new draft", tag, calls.save, models.WorkflowSaved, (404, *body)),
        models.NewWorkflow,
    )
    yield Call(
        "DELETE", one, "delete_workflow", "Delete a workflow", tag, calls.delete, models.WorkflowDeleted, (404, 409)
    )
    yield Call("GET", f"{one}/edit", "get_draft", "Get a workflow's draft", tag, calls.draft, models.Workflow, (404,))
    yield Call(
        *("PUT", f"{one}/publish", "publish_workflow", "Publish or unpublish", tag, calls.publish, models.Workflow),
        *((404, *body), models.PublishWorkflow),
    )
    yield Call(
        *("POST", f"{one}/webhook", "new_webhook_address", "A new address of the webhook trigger", tag, calls.new_hook),
        *(models.WorkflowHook, (404, 409)),
    )


def _schedules(calls: ScheduleCalls) -> Iterable[Call]:
    tag, one, body = "Schedules", f"{SCHEDULED}/{{schedule_id}}", (404, 408, 409, 413)
    yield Call(
        *("GET", SCHEDULED, "list_schedules", "List schedules", tag, calls.list_, models.SchedulePage),
        query=("page", "limit"),
    )
    yield Call(
        *("POST", SCHEDULED, "create_schedule", "Register a schedule", tag, calls.create, models.Schedule, body),
        *(models.NewSchedule, ("workflow_id_alias", "slug", "config_id")),
    )
    yield Call("GET", one, "get_schedule", "Get a schedule", tag, calls.get, models.Schedule, (404,))
    yield Call(
        *("PUT", one, "change_schedule", "Change a schedule", tag, calls.change, models.Schedule, body),
        models.NewSchedule,
    )
    yield Call("DELETE", one, "delete_schedule", "Delete a schedule", tag, calls.delete, models.Said, (404, 409))
    yield Call("PUT", f"{one}/pause", "pause_schedule", "Pause", tag, calls.pause, models.Schedule, (404, 409))
    yield Call("PUT", f"{one}/resume", "resume_schedule", "Resume", tag, calls.resume, models.Schedule, (404, 409))


def _accounts(calls: AccountCalls) -> Iterable[Call]:
    path, tag, body = f"{PUBLIC}/linked-account", "Linked accounts", (408, 413)
    yield Call(
        *("GET", path, "list_linked_accounts", "List linked accounts", tag, calls.list_, models.LinkedAccountPage),
        query=("page", "limit"),
        security=openapi.KEY_ONLY,
    )
    yield Call(
        *("POST", path, "create_linked_account", "Create a linked account", tag, calls.create),
        *(models.LinkedAccountView, body, models.NewLinkedAccount),
        security=openapi.KEY_ONLY,
    )
    yield Call(
        *("PUT", path, "upsert_linked_account", "Create a linked account, or find it", tag, calls.upsert),
        *(models.LinkedAccountView, body, models.NewLinkedAccount),
        security=[{"sessionToken": []}, {"apiKey": []}],
    )
    yield Call(
        *("GET", f"{path}/{{linked_account_id}}", "get_linked_account", "Get a linked account", tag, calls.get),
        *(models.LinkedAccountView, (404,)),
        security=openapi.KEY_ONLY,
    )
    yield Call(
        *("DELETE", f"{path}/{{linked_account_id}}", "delete_linked_account", "Delete a linked account", tag),
        *(calls.delete, models.Said, (404,)),
        security=openapi.KEY_ONLY,
    )


def _webhooks(calls: WebhookCalls) -> Iterable[Call]:
    path, tag, body = f"{PUBLIC}/webhook", "Webhooks", (404, 408, 409, 413)
    one = f"{path}/{{webhook_id}}"
    found: list[Call] = [
        Call("GET", path, "list_webhooks", "List webhooks", tag, calls.list_, models.WebhookPage),
        Call(
            *("POST", path, "create_webhook", "Register a webhook", tag, calls.create, models.Webhook, body),
            models.NewWebhook,
        ),
        Call("GET", one, "get_webhook", "Get a webhook", tag, calls.get, models.Webhook, (404,)),
        Call(
            *("PUT", one, "change_webhook", "Change a webhook", tag, calls.change, models.Webhook, body),
            models.NewWebhook,
        ),
        Call("DELETE", one, "delete_webhook", "Delete a webhook", tag, calls.delete, models.Said, (404, 409)),
        Call(
            *("GET", f"{one}/deliveries", "list_webhook_deliveries", "What was sent", tag, calls.deliveries),
            *(models.WebhookDeliveryPage, (404,)),
        ),
        Call(
            *("POST", f"{one}/deliveries/{{delivery_id}}/replay", "replay_webhook_delivery", "Send it again", tag),
            *(calls.replay, models.WebhookDelivery, (404, 409)),
        ),
    ]
    for call in found:
        pages = ("page", "limit") if call.operation in ("list_webhooks", "list_webhook_deliveries") else ()
        yield call._replace(security=openapi.KEY_ONLY, query=pages)


def _add(router: APIRouter, call: Call) -> None:
    responses = openapi.responses(call.answer, call.summary, *call.failures)
    if call.operation.startswith("execute_workflow"):
        _add_execution_answers(responses)
    extra: dict[str, Any] = {"parameters": _parameters(call), "security": call.security}
    if call.body is not None:
        schema = openapi.reference(call.body)
        extra["requestBody"] = {"required": False, "content": {"application/json": {"schema": schema}}}
    elif call.operation.startswith(("execute_workflow", "receive_webhook")):
        payload = {"schema": {"description": "The payload, or an object of which `payload` is the only key."}}
        extra["requestBody"] = {"required": False, "content": {"application/json": payload}}
    router.add_api_route(
        call.path,
        call.handler,
        methods=[call.method],
        operation_id=call.operation,
        summary=call.summary,
        tags=[call.tag],
        responses=responses,
        openapi_extra=extra,
    )


def _add_execution_answers(responses: dict[int | str, dict[str, Any]]) -> None:
    """An asynchronous call is told that it began, a synchronous one what came of it, with a Response node's status."""
    started, result = openapi.reference(models.ExecutionStarted), openapi.reference(models.ExecutionResult)
    responses[200] = _answer("It began, or what it answered", {"anyOf": [started, result]})
    responses[202] = _answer("It goes on", started)
    responses["default"] = _answer("What it answered, with the status of its Response node", result)


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _parameters(call: Call) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in call.path.split("/") if part.startswith("{")]
    # The address of a webhook has the workflow's own id; elsewhere an alias will do.
    word = (
        {"type": "string", "pattern": "^[0-9a-f]{24}$"} if call.security == openapi.SECRET_ONLY else {"type": "string"}
    )
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": word if name == "workflow_id" else {"type": "string"}}
        for name in names
    ]
    found += [
        {"name": name, "in": where, "required": False, "schema": {"type": "string"}}
        for where, said in (("header", call.headers), ("query", call.query))
        for name in said
    ]
    if call.security == openapi.EITHER:
        found.append(openapi.LINKED_ACCOUNT_QUERY)
    return found

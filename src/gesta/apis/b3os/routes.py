"""The routes of B3OS: executions (seed 003, protocols/b3os.md §4), runs and workflows (§7, §8)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from gesta.apis.b3os import openapi
from gesta.apis.b3os.activity import Activity
from gesta.apis.b3os.cors import EXPOSED_HEADERS, PublicCors
from gesta.apis.b3os.door import Door
from gesta.apis.b3os.errors import render
from gesta.apis.b3os.executions import Executions
from gesta.apis.b3os.openapi_runs import operation
from gesta.apis.b3os.public import Public
from gesta.apis.b3os.runs import Runs
from gesta.apis.b3os.stream import Streams
from gesta.apis.b3os.webhooks import WebhookRoutes
from gesta.apis.b3os.workflows import WorkflowRoutes
from gesta.apis.common.errors import install
from gesta.apis.common.hot import HotRoute
from gesta.apis.common.services import Services

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]
#: Method, path, endpoint, operation id, summary, `data` of the envelope.
Row = tuple[str, str, Endpoint, str, str, str]


def build(services: Services) -> FastAPI:
    """The sub-app of this dialect. Its OpenAPI document is `app.openapi()`; no path of it is served by itself."""
    app = FastAPI(
        title="Gesta: workflow executions, in the dialect of B3OS",
        version="1.0.0",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(
        PublicCors,
        allow_origins=["*"],
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        expose_headers=list(EXPOSED_HEADERS),
    )
    install(app, render)
    door = Door(services)
    streams = Streams(door)
    executions, public = Executions(door), Public(door, streams)
    reads: tuple[tuple[str, Endpoint, str, str, dict[str, Any]], ...] = (
        ("", executions.listing, "list_executions", "List executions", openapi.LIST),
        ("/{id}", executions.get, "get_execution", "Get an execution with its events", openapi.GET),
        ("/{id}/events", executions.events, "list_execution_events", "List an execution's events", openapi.EVENTS),
    )
    for path, endpoint, name, summary, extra in reads:
        _add(app, "GET", f"/v1/executions{path}", endpoint, name, summary, "Executions", extra)
    tables = {
        "Executions": [*_executions(executions), *_public(public)],
        "Runs": [*_runs(Runs(door, streams)), *_activity(Activity(door, streams))],
        "Workflows": _workflows(WorkflowRoutes(door)),
        "Execution webhooks": _webhooks(WebhookRoutes(door)),
    }
    for tag, table in tables.items():
        for method, path, endpoint, name, summary, data in table:
            _add(app, method, path, endpoint, name, summary, tag, operation(name, path, data=data))
    openapi.complete(app)
    app.state.watching = streams.watching
    return app


def _add(
    app: FastAPI, method: str, path: str, endpoint: Endpoint, name: str, summary: str, tag: str, extra: dict[str, Any]
) -> None:
    # On the application's own router: an included one would be one more step for each request.
    app.router.route_class = HotRoute
    app.router.add_api_route(
        path,
        endpoint,
        methods=[method],
        tags=[tag],
        summary=summary,
        operation_id=name,
        response_model=None,
        openapi_extra=extra,
    )


def _executions(of: Executions) -> list[Row]:
    return [("POST", "/v1/executions", of.create, "create_execution", "Create an execution", "CreatedExecution")]


def _public(of: Public) -> list[Row]:
    base = "/v1/public"
    return [
        ("GET", f"{base}/workflows/{{id}}", of.workflow, "get_public_workflow", "Get a public one", "PublicWorkflow"),
        (
            "POST",
            f"{base}/workflows/{{id}}/executions",
            of.create,
            "create_public_execution",
            "Create an execution of a public workflow",
            "CreatedExecution",
        ),
        (
            "GET",
            f"{base}/executions/{{id}}",
            of.get,
            "get_public_execution",
            "Get an execution by its client token",
            "PublicExecution",
        ),
        (
            "GET",
            f"{base}/executions/{{id}}/stream",
            of.stream,
            "stream_public_execution",
            "Stream an execution by its client token",
            "",
        ),
        ("POST", "/v1/webhooks/{workflowSecret}", of.webhook, "call_webhook", "Start a run by webhook", "Triggered"),
    ]


def _runs(of: Runs) -> list[Row]:
    one = "/v1/runs/{id}"
    return [
        ("POST", "/v1/runs", of.run_definition, "run_definition", "Run an inline definition", "StartedRun"),
        ("POST", "/v1/runs/sync", of.run_sync, "run_definition_sync", "Run one and wait for it", "SyncRun"),
        ("GET", "/v1/runs", of.listing, "list_runs", "List runs", "RunPage"),
        ("GET", one, of.get, "get_run", "Get a run", "Run"),
        ("GET", f"{one}/stream", of.stream, "stream_run", "Stream a run", ""),
        ("POST", f"{one}/cancel", of.cancel, "cancel_run", "Cancel a run", "Run"),
        ("POST", f"{one}/retry", of.retry, "retry_run", "Retry a run from where it failed", "Run"),
        ("POST", f"{one}/nodes/{{nodeId}}/resume", of.resume, "resume_node", "Resume a waiting node", "Resumption"),
        ("POST", "/v1/workflows/{id}/run", of.run_workflow, "run_workflow", "Run a workflow", "StartedRun"),
        ("GET", "/v1/workflows/{id}/runs", of.of_workflow, "list_workflow_runs", "List a workflow's runs", "RunPage"),
    ]


def _activity(of: Activity) -> list[Row]:
    return [("GET", "/v1/activity/stream", of.stream, "stream_activity", "Stream what happens to runs", "")]


def _workflows(of: WorkflowRoutes) -> list[Row]:
    one = "/v1/workflows/{id}"
    return [
        ("GET", "/v1/workflows", of.listing, "list_workflows", "List workflows", "WorkflowPage"),
        ("POST", "/v1/workflows", of.create, "create_workflow", "Create a workflow", "Workflow"),
        ("POST", "/v1/workflows/validate", of.validate, "validate_workflow", "Validate a definition", "Validation"),
        ("GET", one, of.get, "get_workflow", "Get a workflow", "Workflow"),
        ("PUT", one, of.update, "update_workflow", "Save a new version", "Workflow"),
        ("DELETE", one, of.delete, "delete_workflow", "Archive a workflow", "Archived"),
        ("POST", f"{one}/publish", of.publish, "publish_workflow", "Publish a workflow", "Workflow"),
        ("POST", f"{one}/pause", of.pause, "pause_workflow", "Pause a workflow", "Workflow"),
        ("POST", f"{one}/resume", of.resume, "resume_workflow", "Resume a workflow", "Workflow"),
        ("GET", f"{one}/versions", of.versions, "list_versions", "List a workflow's versions", "VersionPage"),
        ("GET", f"{one}/versions/{{version}}", of.version, "get_version", "Get a version", "WorkflowVersion"),
        ("POST", f"{one}/rollback", of.rollback, "rollback_workflow", "Go back to a version", "Workflow"),
        ("GET", f"{one}/schedule", of.schedule, "get_workflow_schedule", "Get its schedules", "WorkflowSchedule"),
        (
            "POST",
            f"{one}/webhook-secret",
            of.webhook_secret,
            "new_webhook_secret",
            "Make a new secret of its webhook",
            "WebhookSecret",
        ),
    ]


def _webhooks(of: WebhookRoutes) -> list[Row]:
    root, one, sent = "/v1/execution-webhooks", "/v1/execution-webhooks/{id}", "/v1/execution-webhooks/deliveries"
    return [
        ("GET", root, of.listing, "list_execution_webhooks", "List webhooks", "ExecutionWebhookPage"),
        ("POST", root, of.create, "create_execution_webhook", "Create a webhook", "ExecutionWebhook"),
        ("GET", sent, of.deliveries, "list_webhook_deliveries", "List what was sent", "WebhookDeliveryPage"),
        ("GET", f"{sent}/{{id}}", of.delivery, "get_webhook_delivery", "Get a delivery", "WebhookDelivery"),
        ("POST", f"{sent}/{{id}}/retry", of.retry, "retry_webhook_delivery", "Send it again", "WebhookDelivery"),
        (
            "POST",
            f"{sent}/{{id}}/replay",
            of.replay,
            "replay_webhook_delivery",
            "Send the same anew",
            "WebhookDelivery",
        ),
        ("GET", one, of.get, "get_execution_webhook", "Get a webhook", "ExecutionWebhook"),
        ("PUT", one, of.update, "update_execution_webhook", "Change a webhook", "ExecutionWebhook"),
        ("DELETE", one, of.delete, "delete_execution_webhook", "Delete a webhook", "DeletedWebhook"),
        ("POST", f"{one}/enable", of.enable, "enable_execution_webhook", "Tell it again", "ExecutionWebhook"),
        ("POST", f"{one}/disable", of.disable, "disable_execution_webhook", "Tell it nothing", "ExecutionWebhook"),
        (
            "POST",
            f"{one}/regenerate-secret",
            of.regenerate,
            "regenerate_webhook_secret",
            "Make a new secret of it",
            "ExecutionWebhook",
        ),
    ]


__all__ = ["build"]

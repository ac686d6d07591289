"""The paths of workflows, runs, jobs, schedules and events in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gesta.apis.native import definitions, jobs, params, runs, schedules
from gesta.apis.native.openapi_parts import body_of, ok, parameters_of, problems
from gesta.apis.native.schema_parts import Schema, ref

EXAMPLE_DEFINITION: Schema = {
    "name": "Greet",
    "nodes": [
        {"id": "start", "type": "start"},
        {"id": "made", "type": "transform", "value": {"greeting": "Hello {{input.name}}"}},
        {"id": "say", "type": "response", "body": "{{made.greeting}}"},
    ],
}
EXAMPLE_WORKFLOW: Schema = {"definition": EXAMPLE_DEFINITION, "alias": "greet", "publish": True}
EXAMPLE_START: Schema = {"workflow": "greet", "input": {"name": "Ada"}, "wait_s": 10}
EXAMPLE_INLINE: Schema = {"definition": EXAMPLE_DEFINITION, "input": {"name": "Ada"}}
EXAMPLE_RERUN: Schema = {"input": {"name": "Grace"}}
EXAMPLE_RESUME: Schema = {"node": "ask", "payload": {"approved": True}}
EXAMPLE_BULK: Schema = {
    "action": "rerun",
    "filter": {"workflow_id": "65f0c2a4b8d1e3f5a7c9e0b2", "status": ["failed"], "created_from": "2026-03-10"},
}
EXAMPLE_SCHEDULE: Schema = {"workflow": "greet", "cron": "0 9 * * 1-5", "timezone": "Europe/Berlin", "input": {}}
EXAMPLE_EVENT: Schema = {"event": "order.paid", "application": "shop", "payload": {"order": 7}, "key": "order-7"}

_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key with the same content is the same run; with another it is a 409.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 256},
}
_WRITES = (404, 408, 409, 413, 415)


def _path(name: str, description: str) -> Schema:
    schema: Schema = {"type": "string", "minLength": 1, "maxLength": 256}
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _operation(
    id: str,
    summary: str,
    answers: Mapping[str, Schema],
    *statuses: int,
    parameters: list[Schema] | None = None,
    body: Schema | None = None,
    description: str = "",
) -> Schema:
    operation: Schema = {"operationId": id, "summary": summary}
    if description:
        operation["description"] = description
    operation["parameters"] = parameters or []
    if body is not None:
        operation["requestBody"] = body
    operation["responses"] = {**answers, **problems(*statuses)}
    return operation


def _body(model: str, name: str, example: Any) -> Schema:
    return body_of(ref(model), {name: example})


_GONE: dict[str, Schema] = {"204": {"description": "It is gone."}}


def workflow_paths() -> dict[str, dict[str, Schema]]:
    word = _path("id", "The workflow's id, or its alias.")
    workflow = ok("The workflow.", ref("Workflow"))
    root = "/ledger/workflows"
    return {
        root: {
            "get": _operation(
                "listWorkflows",
                "List workflows",
                ok("One page.", ref("WorkflowPage")),
                parameters=parameters_of(definitions.LIST),
            ),
            "post": _operation(
                "createWorkflow",
                "Save a new workflow",
                ok("The workflow, with one version.", ref("Workflow"), status="201"),
                *_WRITES,
                body=_body("WorkflowModel", "greet", EXAMPLE_WORKFLOW),
                description="Everything that is wrong with its definition is told at once, in `problems`.",
            ),
        },
        f"{root}/validate": {
            "post": _operation(
                "validateWorkflow",
                "Check a definition; nothing is saved",
                ok("Whether it can be run.", ref("Validation")),
                *(408, 413, 415),
                body=_body("ValidateModel", "greet", {"definition": EXAMPLE_DEFINITION}),
            )
        },
        f"{root}/{{id}}": {
            "get": _operation("getWorkflow", "Get one workflow", workflow, 404, parameters=[word]),
            "put": _operation(
                "saveWorkflow",
                "Save a new version",
                workflow,
                *_WRITES,
                parameters=[word],
                body=_body("WorkflowModel", "greet", EXAMPLE_WORKFLOW),
                description="Runs go on with theirs. `expected_version` refuses it if another is the newest by now.",
            ),
            "delete": _operation(
                "archiveWorkflow",
                "Archive a workflow",
                _GONE,
                404,
                409,
                parameters=[word],
                description="Nothing starts it, its alias is free, its schedules end. Its runs stay on record.",
            ),
        },
        **_of_workflow(),
    }


def _of_workflow() -> dict[str, dict[str, Schema]]:
    word = _path("id", "The workflow's id, or its alias.")
    version = _path("version", "Its number, `newest` or `published`.")
    workflow = ok("The workflow.", ref("Workflow"))
    root = "/ledger/workflows"
    return {
        f"{root}/{{id}}/versions": {
            "get": _operation(
                "listVersions", "Its versions", ok("Newest first.", ref("WorkflowVersionList")), 404, parameters=[word]
            )
        },
        f"{root}/{{id}}/versions/{{version}}": {
            "get": _operation(
                "getVersion",
                "One version with its definition",
                ok("The version.", ref("WrittenVersion")),
                404,
                409,
                parameters=[word, version, *parameters_of(definitions.VERSION)],
            )
        },
        f"{root}/{{id}}/diff": {
            "get": _operation(
                "diffVersions",
                "What is different between two versions",
                ok("The difference.", ref("WorkflowDiff")),
                404,
                parameters=[word, *parameters_of(definitions.DIFF)],
            )
        },
        f"{root}/{{id}}/publish": {
            "post": _operation(
                "publishWorkflow",
                "Publish a version",
                workflow,
                *_WRITES,
                parameters=[word],
                body=_body("PublishModel", "newest", {}),
                description="It is what calls, events, schedules and webhooks start from now on.",
            )
        },
        f"{root}/{{id}}/unpublish": {
            "post": _operation("unpublishWorkflow", "Unpublish a workflow", workflow, 404, 409, parameters=[word])
        },
        f"{root}/{{id}}/status": {
            "post": _operation(
                "setWorkflowStatus",
                "Pause its triggers, or let them go on",
                workflow,
                *_WRITES,
                parameters=[word],
                body=_body("WorkflowStatusModel", "paused", {"status": "paused"}),
            )
        },
        f"{root}/{{id}}/hook-secret": {
            "post": _operation(
                "newHookSecret",
                "A new secret of its inbound webhook",
                ok("Shown once.", ref("HookSecret")),
                404,
                409,
                parameters=[word],
            )
        },
    }


def run_paths(path_id: Schema) -> dict[str, dict[str, Schema]]:
    return {**_starting(), **_of_run(path_id), **_jobs(), **_schedules()}


def _started(status: str, description: str) -> dict[str, Schema]:
    return {
        **ok(description, ref("StartedRun"), status=status),
        **ok("It was known already; or, with `wait_s`, it is over or has answered.", ref("StartedRun")),
        **ok("With `wait_s`: it goes on, or has to be paid first.", ref("StartedRun"), status="202"),
    }


def _starting() -> dict[str, dict[str, Schema]]:
    examples = {"workflow": EXAMPLE_START, "definition": EXAMPLE_INLINE}
    return {
        "/ledger/runs": {
            "post": _operation(
                "startRun",
                "Start a run",
                _started("201", "On disk; it begins, or has to be paid first."),
                *_WRITES,
                parameters=[_KEY],
                body=body_of(ref("StartRunModel"), examples),
            )
        },
        "/ledger/runs/bulk": {
            "post": _operation(
                "actOnRuns",
                "Stop, retry or run again whatever a filter admits",
                ok("The job, which has begun.", ref("Job"), status="202"),
                *_WRITES,
                body=_body("BulkModel", "rerun", EXAMPLE_BULK),
                description="At most 10,000 runs. The job goes on where it had come to when the server is restarted.",
            )
        },
    }


def _of_run(path_id: Schema) -> dict[str, dict[str, Schema]]:
    def of(table: Mapping[str, params.Param] = params.GET) -> list[Schema]:
        return [path_id, *parameters_of(table)]

    execution = ok("The run as it now stands.", ref("Execution"))
    root = "/ledger/runs/{id}"
    return {
        root: {
            "get": _operation(
                "getRun",
                "One run as a tree: nodes, rounds, waits",
                ok("The run.", ref("RunTree")),
                404,
                parameters=of(runs.RUN),
            )
        },
        f"{root}/batches": {
            "get": _operation(
                "listBatches",
                "The rounds of a container",
                ok("One page.", ref("BatchPage")),
                404,
                409,
                parameters=of(runs.BATCHES),
            )
        },
        f"{root}/stop": {
            "post": _operation(
                "stopRun",
                "Ask a run to stop",
                execution,
                404,
                409,
                parameters=of(),
                description="409 for one that is over: nothing was changed.",
            )
        },
        f"{root}/retry": {
            "post": _operation(
                "retryRun", "Go on with a run from where it failed", execution, 404, 409, parameters=of()
            )
        },
        f"{root}/rerun": {
            "post": _operation(
                "rerunRun",
                "A new run of the same version, with the same payload or another, from the start or from a node",
                _started("201", "The new run."),
                *_WRITES,
                parameters=of(),
                body=_body("RerunModel", "edited", EXAMPLE_RERUN),
            )
        },
        f"{root}/resume": {
            "post": _operation(
                "resumeRun",
                "Wake a node that waits for a webhook or a person",
                ok("Whether it did.", ref("Resumed")),
                *_WRITES,
                parameters=of(),
                body=_body("ResumeModel", "approved", EXAMPLE_RESUME),
            )
        },
        f"{root}/checkout": {
            "get": _operation(
                "getCheckout",
                "Its checkout session",
                ok("The session.", ref("Checkout")),
                404,
                409,
                parameters=of(),
            )
        },
        f"{root}/refund": {
            "post": _operation(
                "refundRun",
                "Pay it back",
                ok("The session.", ref("Checkout")),
                *_WRITES,
                parameters=of(),
                body=_body("RefundModel", "reason", {"reason": "it failed"}),
            )
        },
    }


def _jobs() -> dict[str, dict[str, Schema]]:
    job_id = _path("id", "The job.")
    job = ok("The job.", ref("Job"))
    return {
        "/ledger/jobs": {
            "get": _operation(
                "listJobs", "The newest jobs", ok("They.", ref("JobList")), parameters=parameters_of(jobs.LIST)
            )
        },
        "/ledger/jobs/{id}": {"get": _operation("getJob", "How far a job is", job, 404, parameters=[job_id])},
        "/ledger/jobs/{id}/cancel": {
            "post": _operation(
                "cancelJob",
                "Do no more of a job",
                job,
                404,
                409,
                parameters=[job_id],
                description="What it has done stays done.",
            )
        },
    }


def _schedules() -> dict[str, dict[str, Schema]]:
    id = _path("id", "The schedule.")
    schedule = ok("The schedule.", ref("Schedule"))
    body = _body("ScheduleModel", "mornings", EXAMPLE_SCHEDULE)
    root = "/ledger/schedules"
    return {
        root: {
            "get": _operation(
                "listSchedules",
                "Schedules, those of workflows' own triggers among them",
                ok("Newest first.", ref("ScheduleList")),
                404,
                parameters=parameters_of(schedules.LIST),
            ),
            "post": _operation(
                "createSchedule",
                "Start a workflow at moments",
                ok("The schedule.", ref("Schedule"), status="201"),
                *_WRITES,
                body=body,
            ),
        },
        f"{root}/{{id}}": {
            "get": _operation("getSchedule", "Get one schedule", schedule, 404, parameters=[id]),
            "put": _operation("changeSchedule", "Say all of it anew", schedule, *_WRITES, parameters=[id], body=body),
            "delete": _operation("deleteSchedule", "Delete a schedule", _GONE, 404, 409, parameters=[id]),
        },
        f"{root}/{{id}}/pause": {
            "post": _operation("pauseSchedule", "Pause a schedule", schedule, 404, 409, parameters=[id])
        },
        f"{root}/{{id}}/resume": {
            "post": _operation("resumeSchedule", "Let a schedule go on", schedule, 404, 409, parameters=[id])
        },
        "/ledger/events": {
            "post": _operation(
                "postEvent",
                "Tell of a named event",
                ok("What it did.", ref("EventTaken")),
                *_WRITES,
                body=_body("EventInModel", "paid", EXAMPLE_EVENT),
                description="It starts every workflow whose trigger it is, and wakes the runs that wait for it.",
            )
        },
        "/ledger/hooks/{workflow_id}": {"post": _hook()},
    }


def _hook() -> Schema:
    signed = (
        "`t=<seconds since 1970>,v1=<hex HMAC-SHA256, under the secret, of t, a full stop and the raw body>`. `v1` may "
        "be there several times, while the secret is being replaced."
    )
    operation = _operation(
        "callWebhook",
        "Start a run by a workflow's inbound webhook",
        ok("It is started.", ref("HookStarted"), status="201"),
        *_WRITES,
        parameters=[
            _path("workflow_id", "The workflow's id."),
            _header("Gesta-Signature", signed, maxLength=1024),
            _header("Idempotency-Key", "A delivery with a key that was taken is a 409.", minLength=1, maxLength=256),
        ],
        body={"required": False, "content": {"application/json": {"schema": {}}}},
        description="With the secret in `x-webhook-secret`, or a signature under it, or both. The body is the payload. "
        "A signature that is more than 300 seconds from the server's clock is a 401; one that was taken, a 409.",
    )
    return operation | {"security": [{"webhookSecret": []}, {}]}


def _header(name: str, description: str, **schema: Any) -> Schema:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string", **schema}}

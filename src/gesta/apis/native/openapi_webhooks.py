"""The paths and answers of outgoing webhooks in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from gesta.access.model import Environment
from gesta.apis.native import webhooks
from gesta.apis.native.openapi_parts import body_of, ok, parameters_of, problems
from gesta.workflows.hooks_face import DeliveryStatus, HookEvent, HookFormat

Schema = dict[str, Any]

EXAMPLE_WEBHOOK: Schema = {
    "url": "https://hooks.example.com/gesta",
    "events": ["run.succeeded", "run.failed"],
    "headers": {"X-Team": "payments"},
    "max_retries": 5,
}
EXAMPLE_CHANGE: Schema = {"events": ["run.failed"], "enabled": True}

_TEXT: Schema = {"type": "string"}
_MOMENT: Schema = {"type": "string", "format": "date-time"}
_MAYBE_MOMENT: Schema = {"type": ["string", "null"], "format": "date-time"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_HEADERS: Schema = {"type": "object", "additionalProperties": _TEXT}


def _object(description: str, fields: dict[str, Schema]) -> Schema:
    return {"type": "object", "description": description, "properties": fields, "required": list(fields)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _words(values: type) -> Schema:
    return {"type": "string", "enum": [member.value for member in values]}  # type: ignore[attr-defined]


def webhook_schemas() -> dict[str, Schema]:
    fields: dict[str, Schema] = {
        "id": {"type": "string", "pattern": "^[0-9a-f]{24}$"},
        "url": _TEXT,
        "events": {"type": "array", "items": _words(HookEvent)},
        "name": _TEXT,
        "description": _TEXT,
        "group": _TEXT,
        "format": _words(HookFormat),
        "method": _TEXT,
        "header_names": _TEXTS,
        "body": {},
        "workflow_ids": _TEXTS,
        "application": _TEXT,
        "account": {"type": ["string", "null"]},
        "environment": {"anyOf": [_words(Environment), {"type": "null"}]},
        "enabled": {"type": "boolean"},
        "max_retries": _COUNT,
        "secret_hint": _TEXT,
        "failures": _COUNT,
        "disabled_reason": _TEXT,
        "created_at": _MOMENT,
        "updated_at": _MOMENT,
    }
    delivery: dict[str, Schema] = {
        "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "webhook_id": _TEXT,
        "event": _words(HookEvent),
        "run_id": _TEXT,
        "workflow_id": _TEXT,
        "status": _words(DeliveryStatus),
        "attempts": _COUNT,
        "next_at": _MAYBE_MOMENT,
        "request_headers": _HEADERS,
        "request_body": _TEXT,
        "response_status": {"type": ["integer", "null"]},
        "response_headers": _HEADERS,
        "response_body": _TEXT,
        "duration_ms": {"type": ["integer", "null"], "minimum": 0},
        "error": _TEXT,
        "replay_of": {"type": ["string", "null"]},
        "created_at": _MOMENT,
        "updated_at": _MOMENT,
        "delivered_at": _MAYBE_MOMENT,
    }
    secret: Schema = {"type": "string", "description": "What its deliveries are signed with: shown this once."}
    return {
        "Webhook": _object(
            "An address that is told what becomes of runs. `failures` counts deliveries that were given up in a row; "
            "`disabled_reason` says why it was disabled by itself.",
            fields,
        ),
        "WebhookWithSecret": _object("The endpoint and its secret.", {**fields, "secret": secret}),
        "WebhookPage": _object(
            "One page, newest first.",
            {"items": {"type": "array", "items": _ref("Webhook")}, "total": _COUNT, "has_more": {"type": "boolean"}},
        ),
        "WebhookDelivery": _object("One event for one endpoint, and what came of it.", delivery),
        "WebhookDeliveryPage": _object(
            "One page, newest first.",
            {"items": {"type": "array", "items": _ref("WebhookDelivery")}, "has_more": {"type": "boolean"}},
        ),
    }


def webhook_paths() -> dict[str, dict[str, Schema]]:
    root, id, delivery = "/ledger/webhooks", _path("id", "The endpoint."), _path("delivery", "The delivery.")
    page = parameters_of(webhooks.PAGE)
    writes = problems(404, 408, 409, 413, 415)
    acts = problems(404, 409)
    one = ok("The endpoint.", _ref("Webhook"))
    secret = ok("The endpoint and its new secret.", _ref("WebhookWithSecret"))
    sent = ok("The delivery.", _ref("WebhookDelivery"))
    made = ok("The new delivery.", _ref("WebhookDelivery"), status="201")
    created = ok("The endpoint and its secret.", _ref("WebhookWithSecret"), status="201")
    new, change = _ref("NewWebhookModel"), _ref("WebhookChangeModel")
    return {
        root: {
            "get": _operation("listWebhooks", "List outgoing webhooks", page, ok("A page.", _ref("WebhookPage"))),
            "post": _operation("createWebhook", "Make an outgoing webhook", [], created | writes)
            | {"requestBody": body_of(new, {"ends": EXAMPLE_WEBHOOK})},
        },
        f"{root}/{{id}}": {
            "get": _operation("getWebhook", "Get an outgoing webhook", [id], one | problems(404)),
            "patch": _operation("changeWebhook", "Change an outgoing webhook", [id], one | writes)
            | {"requestBody": body_of(change, {"failures": EXAMPLE_CHANGE})},
            "delete": _operation(
                "deleteWebhook", "Delete an outgoing webhook", [id], {"204": {"description": "It is gone."}} | acts
            ),
        },
        f"{root}/{{id}}/enable": {"post": _operation("enableWebhook", "Tell it again", [id], one | acts)},
        f"{root}/{{id}}/disable": {
            "post": _operation("disableWebhook", "Tell it nothing any more", [id], one | acts),
        },
        f"{root}/{{id}}/secret": {
            "post": _operation("renewWebhookSecret", "Make a new secret of it", [id], secret | acts),
        },
        f"{root}/{{id}}/deliveries": {
            "get": _operation(
                "listWebhookDeliveries",
                "What was sent to it",
                [id, *page],
                ok("A page.", _ref("WebhookDeliveryPage")) | problems(404),
            )
        },
        f"{root}/{{id}}/deliveries/{{delivery}}": {
            "get": _operation("getWebhookDelivery", "Get a delivery", [id, delivery], sent | problems(404))
        },
        f"{root}/{{id}}/deliveries/{{delivery}}/retry": {
            "post": _operation(
                "retryWebhookDelivery", "Send one that was given up again, as itself", [id, delivery], sent | acts
            )
        },
        f"{root}/{{id}}/deliveries/{{delivery}}/replay": {
            "post": _operation("replayWebhookDelivery", "Send the same as a new delivery", [id, delivery], made | acts)
        },
    }


def _path(name: str, description: str) -> Schema:
    schema: Schema = {"type": "string", "minLength": 1, "maxLength": 64}
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _operation(id: str, summary: str, parameters: list[Schema], answers: dict[str, Schema]) -> Schema:
    return {
        "operationId": id,
        "summary": summary,
        "parameters": parameters,
        "responses": {**problems(), **answers},
    }

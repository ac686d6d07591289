"""The operations of runs, workflows and public executions for this dialect's document."""

from __future__ import annotations

from typing import Any

from gesta.apis.b3os.bodies import MAX_DESCRIPTION, MAX_STACK, MAX_TITLE, MAX_VERSION, VISIBILITIES
from gesta.apis.b3os.codec_runs import RUN_STATUSES_OF_NAME, WORKFLOW_FIELDS
from gesta.apis.b3os.errors import CODES, envelope_of
from gesta.apis.b3os.parameters import DEFAULT_LIMIT, MAX_OFFSET, MAX_TOKEN
from gesta.apis.b3os.webhooks import EVENTS as WEBHOOK_EVENTS
from gesta.apis.common.posted import MAX_NAME

_RETRY_AFTER = {"Retry-After": {"description": "Whole seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}
_CHALLENGE = {"WWW-Authenticate": {"schema": {"const": "Bearer"}}}
# A segment of a path: what a client would not have to encode.
_SEGMENT = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[A-Za-z0-9_.-]+$"}


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "object", "properties": properties}
    return made | ({"required": list(required)} if required else {})


def _text(description: str = "", most: int = MAX_NAME) -> dict[str, Any]:
    made: dict[str, Any] = {"type": ["string", "null"], "maxLength": most}
    return made | ({"description": description} if description else {})


_NEEDED = {"type": "string", "minLength": 1, "maxLength": MAX_NAME, "pattern": r"\S"}
_FREE = {"type": ["object", "null"], "description": "At most 64 levels deep."}
_VERSION = {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_VERSION}
_DEFINITION = {
    "type": "object",
    "description": "`{nodes: {id: {type, payload, children, branch, loopBody}}, inputSchema, triggerNodeIds}`.",
    "required": ["nodes"],
    "properties": {"nodes": {"type": "object"}},
    "example": {"nodes": {"root": {"type": "manual", "payload": {}, "children": []}}},
}
_URL = {
    "type": ["string", "null"],
    "maxLength": 2048,
    "pattern": r"^https?://[!-~]+$",
    "description": "Added by Gesta.",
}
_RUN_ID = {"type": ["string", "null"], "pattern": r"^run_[A-Za-z0-9_]{1,100}$"}

_CREATION: dict[str, Any] = {
    "sourceSystem": _NEEDED,
    "sourceEntityType": _NEEDED,
    "sourceEntityId": _text(),
    "externalRef": _text(),
    "idempotencyKey": _text("A repetition with the same content is the same execution."),
    "requestPayload": _FREE,
    "clientSafeMetadata": {**_FREE, "description": "What its client token shows; at most 65536 bytes as JSON."},
    "successUrl": _URL,
    "cancelUrl": _URL,
}
_FALSE = {"enum": [False, None], "description": "This server does not simulate."}
_INLINE = _object(("definition",), definition=_DEFINITION, payload=_FREE, propValues=_FREE, runId=_RUN_ID)
_WORKFLOW: dict[str, Any] = {
    "description": _text(most=MAX_DESCRIPTION),
    "visibility": {"enum": [*VISIBILITIES, None]},
    "slug": _text(most=100),
    "alias": _text("Added by Gesta: a word that names it in paths, too.", 100),
}
BODIES: dict[str, dict[str, Any]] = {
    "create_execution": _object(("workflowId", "sourceSystem", "sourceEntityType"), workflowId=_NEEDED, **_CREATION),
    "create_public_execution": _object(("sourceSystem", "sourceEntityType"), **_CREATION),
    "run_workflow": _object(payload=_FREE, runId=_RUN_ID, version=_VERSION, simulate=_FALSE, dustTest=_FALSE),
    "run_definition": _INLINE,
    "run_definition_sync": _INLINE,
    "resume_node": _object(
        data={},
        payload={},
        forEachContext={
            "type": ["object", "null"],
            "properties": {
                "stack": {
                    "type": ["array", "null"],
                    "maxItems": MAX_STACK,
                    "items": _object(
                        ("parentNodeId", "index"), parentNodeId=_NEEDED, index={"type": "integer", "minimum": 0}
                    ),
                }
            },
        },
    ),
    "call_webhook": {},
    "create_workflow": _object(
        ("name", "definition"),
        name={"type": "string", "minLength": 1, "maxLength": MAX_TITLE},
        definition=_DEFINITION,
        **_WORKFLOW,
    ),
    "update_workflow": _object(
        name={"type": ["string", "null"], "minLength": 1, "maxLength": MAX_TITLE},
        definition={**_DEFINITION, "type": ["object", "null"]},
        expectedCurrentVersion=_VERSION,
        **_WORKFLOW,
    ),
    "publish_workflow": _object(expectedVersion=_VERSION),
    "validate_workflow": _object(("definition",), name=_text(most=MAX_TITLE), definition=_DEFINITION),
    "rollback_workflow": _object(
        ("versionNumber",), versionNumber={"type": "integer", "minimum": 1, "maximum": MAX_VERSION}
    ),
}
_EVENT_TYPES = {"type": "array", "minItems": 1, "maxItems": len(WEBHOOK_EVENTS), "items": {"enum": [*WEBHOOK_EVENTS]}}
_WEBHOOK: dict[str, Any] = {
    "name": _text(),
    "description": _text(most=2048),
    "maxRetries": {"type": ["integer", "null"], "minimum": 0, "maximum": 10, "description": "3 where it is missing."},
    "enabled": {"type": ["boolean", "null"]},
}
BODIES |= {
    "create_execution_webhook": _object(
        ("url", "subscribedEventTypes"),
        url={**_NEEDED, "maxLength": 2048, "format": "uri", "example": "https://hooks.example.com/b3os"},
        subscribedEventTypes=_EVENT_TYPES,
        **_WEBHOOK,
    ),
    "update_execution_webhook": _object(
        url={"type": ["string", "null"], "maxLength": 2048, "format": "uri"},
        subscribedEventTypes={**_EVENT_TYPES, "type": ["array", "null"]},
        **_WEBHOOK,
    ),
}
OPTIONAL_BODIES = frozenset({"run_workflow", "resume_node", "call_webhook", "publish_workflow"})


def _query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


_PAGE = [
    _query("limit", "Above 100 it is clamped to 100.", type="integer", minimum=1, default=DEFAULT_LIMIT),
    _query("offset", "Offset for pagination.", type="integer", minimum=0, maximum=MAX_OFFSET, default=0),
]
_STATUS: dict[str, Any] = {
    "name": "status",
    "in": "query",
    "description": "One status, or several separated by commas.",
    "style": "form",
    "explode": False,
    "schema": {"type": "array", "minItems": 1, "items": {"type": "string", "enum": list(RUN_STATUSES_OF_NAME)}},
}
_WORKFLOW_ID = _query("workflowId", "Runs of this workflow.", type="string", minLength=1, maxLength=MAX_NAME)
_TOKEN_SCHEMA = {"type": "string", "minLength": 1, "maxLength": MAX_TOKEN}
_TOKEN = {**_query("token", "The client token."), "required": True, "schema": _TOKEN_SCHEMA}
_LAST_EVENT = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that was read: the stream goes on after it.",
    "schema": {"type": "string", "pattern": "^evt_[0-9]{1,18}$"},
}
QUERIES: dict[str, list[dict[str, Any]]] = {
    "list_runs": [*_PAGE, _STATUS, _WORKFLOW_ID],
    "list_workflow_runs": [*_PAGE, _STATUS],
    "get_run": [
        _query("summary", "Leave the nodes' state and the definition out.", type="boolean", default=False),
        _query("nodeIds", "The state of these nodes only, separated by commas.", type="string"),
    ],
    "stream_run": [_LAST_EVENT],
    "stream_activity": [_LAST_EVENT],
    "get_public_execution": [_TOKEN],
    "stream_public_execution": [_TOKEN, _LAST_EVENT],
    "resume_node": [{**_query("secret", "The run's secret, instead of an API key."), "schema": _TOKEN_SCHEMA}],
    "list_workflows": [
        *_PAGE,
        _query("status", "Added by Gesta.", type="string", enum=["draft", "active", "paused", "archived"]),
        _query("search", "Added by Gesta: part of a name, alias or description.", type="string", maxLength=MAX_NAME),
        {
            **_query("_fields_filter", f"Fields, separated by commas: {', '.join(sorted(WORKFLOW_FIELDS))}."),
            "schema": {"type": "string", "maxLength": 1000},
        },
    ],
    "list_versions": _PAGE,
    "list_execution_webhooks": _PAGE,
    "call_webhook": [
        _header("Gesta-Signature", "`t=<seconds>,v1=<hex HMAC-SHA256 of t, a full stop and the raw body>`."),
        _header("Idempotency-Key", "A delivery with a key that was taken is a 409."),
    ],
    "list_webhook_deliveries": [
        *_PAGE,
        {**_query("endpointId", "Of this endpoint only."), "schema": _SEGMENT},
    ],
}

_PATHS = {
    "id": "Id of the execution, run, workflow, execution webhook or delivery.",
    "nodeId": "Id of the node.",
    "workflowSecret": "What `POST /v1/workflows/{id}/webhook-secret` gave; with `Gesta-Signature`, the id is enough.",
    "version": "Number of the version.",
}
_ORGANIZATION: dict[str, Any] = {
    "name": "X-Org-ID",
    "in": "header",
    "description": "Public id of the token's own organization; may be left out.",
    "schema": {"type": "string"},
}
_BEARER: list[dict[str, list[str]]] = [{"BearerAuth": []}]
# Who may call: a bearer, somebody with a client token, or anybody.
SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "get_public_execution": [{"ClientToken": []}],
    "get_public_workflow": [{}],
    "stream_public_execution": [{"ClientToken": []}],
    "create_public_execution": [{}, {"BearerAuth": []}],
    "call_webhook": [{}, {"BearerAuth": []}],
    "resume_node": [{}, {"BearerAuth": []}],
}
STREAMS = frozenset({"stream_run", "stream_public_execution", "stream_activity"})


ENDING_STREAMS = STREAMS - {"stream_activity"}


def operation(name: str, path: str, *, data: str) -> dict[str, Any]:
    """`openapi_extra` of an operation that answers with an envelope around `data`."""
    words = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
    parameters = [
        {"name": word, "in": "path", "required": True, "description": _PATHS[word], "schema": _path_schema(word)}
        for word in words
    ]
    security = SECURITY.get(name, _BEARER)
    if security == _BEARER:
        parameters.append(_ORGANIZATION)
    made: dict[str, Any] = {
        "security": security,
        "parameters": parameters + QUERIES.get(name, []),
        "responses": {"200": _answer(name, data), **_errors(name)},
    }
    if name in BODIES:
        content = {"application/json": {"schema": BODIES[name]}}
        made["requestBody"] = {"required": name not in OPTIONAL_BODIES, "content": content}
    return made


def _path_schema(word: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": 999_999_999} if word == "version" else _SEGMENT


def _answer(name: str, data: str) -> dict[str, Any]:
    if name in STREAMS:
        return {"description": "Server-Sent Events.", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    schema = {"$ref": f"#/components/schemas/{data}Envelope"}
    return {"description": "OK", "content": {"application/json": {"schema": schema}}}


def _errors(name: str) -> dict[str, Any]:
    """The errors that any of these operations may answer with; 409 and those of a body where they can be."""
    told: dict[int, tuple[str, dict[str, Any]]] = {
        400: ("A parameter or the body is malformed.", {}),
        401: ("No credential, or one that is wrong, expired or revoked.", _CHALLENGE),
        403: ("The credential lacks a scope, or is of another organization.", {}),
        404: ("No such thing in the caller's organization.", {}),
        409: ("What is on record forbids it.", {}),
        429: ("More requests, or streams, than the limit.", _RETRY_AFTER),
        500: ("A defect of the server.", {}),
        503: ("The database is out of reach, or workflows are switched off.", _RETRY_AFTER),
    }
    if name in BODIES:
        told |= {408: ("The body did not arrive in time.", {}), 413: ("The body is too large.", {})}
    errors: dict[str, Any] = {}
    for status, (description, headers) in sorted(told.items()):
        examples = {
            str(code): {"value": envelope_of(code, meaning, "abc-123")}
            for code, meaning in CODES.items()
            if code // 1000 == status
        }
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorEnvelope"}, "examples": examples}}
        errors[str(status)] = {"description": description, "content": content} | (
            {"headers": headers} if headers else {}
        )
    if name in ENDING_STREAMS:
        errors["204"] = {"description": "`Last-Event-ID` names the end: there is nothing to come back for."}
    return errors

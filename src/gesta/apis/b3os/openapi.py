"""What FastAPI cannot see of hot routes: parameters, bodies, errors and security of this dialect's document."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from gesta.apis.b3os.codec import STATUSES_OF_NAME
from gesta.apis.b3os.errors import CODES, envelope_of
from gesta.apis.b3os.models import schemas
from gesta.apis.b3os.models_runs import ENVELOPES
from gesta.apis.b3os.parameters import DEFAULT_EVENTS, DEFAULT_LIMIT, ID_PATTERN, MAX_OFFSET
from gesta.apis.common.posted import MAX_ID, MAX_NAME

# The published example of the list (seed 003): placeholders for every text and object.
_KEYS = [
    "checkoutSessionId",
    "clientSafeMetadata",
    "createdAt",
    "externalRef",
    "finishedAt",
    "id",
    "idempotencyKey",
    "initiatedById",
    "initiatedByType",
    "orderId",
    "organizationId",
    "paymentStatus",
    "requestPayload",
    "responsePayload",
    "runId",
    "sourceEntityId",
    "sourceEntityType",
    "sourceSystem",
    "startedAt",
    "status",
    "statusReason",
    "updatedAt",
    "workflowId",
]
_OBJECTS = frozenset({"clientSafeMetadata", "requestPayload", "responsePayload"})
EXAMPLE_ITEM: dict[str, Any] = {key: "<object>" if key in _OBJECTS else "<string>" for key in _KEYS} | {
    "status": "awaiting_payment"
}
EXAMPLE_LIST: dict[str, Any] = {
    "code": 200,
    "data": {"hasMore": True, "items": [EXAMPLE_ITEM], "limit": 20, "offset": 0},
    "message": "success",
    "requestId": "abc-123",
}

_RETRY_AFTER = {
    "Retry-After": {"description": "Whole seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
}


def _body(model: str, examples: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{model}"}}
    if examples:
        content["examples"] = {name: {"value": value} for name, value in examples.items()}
    return {"application/json": content}


def _error(status: int, description: str, codes: tuple[int, ...], **headers: Any) -> dict[str, Any]:
    """The error of one status with an example per code that these endpoints answer with."""
    examples = {str(code): envelope_of(code, CODES[code], "abc-123") for code in codes}
    made: dict[str, Any] = {"description": description, "content": _body("ErrorEnvelope", examples)}
    return {str(status): made | ({"headers": headers} if headers else {})}


_COMMON_ERRORS: dict[str, Any] = {
    **_error(
        401,
        "No bearer token, or one that is unknown, expired or revoked.",
        (401001, 401002, 401003, 401004),
        **{"WWW-Authenticate": {"schema": {"const": "Bearer"}}},
    ),
    **_error(403, "The token lacks a scope, or is of another organization.", (403001, 403002)),
    **_error(429, "More requests than the limit of this token.", (429001,), **_RETRY_AFTER),
    **_error(500, "A defect of the server.", (500001,)),
    **_error(503, "The database is out of reach.", (503001,), **_RETRY_AFTER),
}
_NOT_FOUND = _error(404, "No such execution in the token's organization.", (404001,))

_SECURITY: list[dict[str, list[str]]] = [{"BearerAuth": []}]

_ORGANIZATION: dict[str, Any] = {
    "name": "X-Org-ID",
    "in": "header",
    "description": "Public id of the token's own organization; may be left out.",
    "schema": {"type": "string"},
}
_ID: dict[str, Any] = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "Id of the execution.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_ID, "pattern": ID_PATTERN},
}


def _query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


_MOMENT = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}
_REFERENCE = {"type": "string", "minLength": 1, "maxLength": MAX_NAME, "pattern": r"^[^\u0000]+$"}
_LIST_PARAMETERS: list[dict[str, Any]] = [
    _ORGANIZATION,
    _query(
        "limit",
        "Number of items; above 100 it is clamped to 100.",
        type="integer",
        minimum=1,
        default=DEFAULT_LIMIT,
    ),
    _query("offset", "Offset for pagination.", type="integer", minimum=0, maximum=MAX_OFFSET, default=0),
    _query(
        "cursor",
        "Added by Gesta. Empty for the first page, then `nextCursor` of the page before. Not with `offset`.",
        type="string",
    ),
    {
        "name": "status",
        "in": "query",
        "description": "Added by Gesta. One status, or several separated by commas.",
        "style": "form",
        "explode": False,
        "schema": {"type": "array", "minItems": 1, "items": {"type": "string", "enum": list(STATUSES_OF_NAME)}},
    },
    _query("workflowId", "Added by Gesta.", **_REFERENCE),
    _query("externalRef", "Added by Gesta.", **_REFERENCE),
    _query("orderId", "Added by Gesta.", **_REFERENCE),
    _query("createdAfter", "Added by Gesta. Created after this moment: RFC 3339, or a date.", **_MOMENT),
    _query("createdBefore", "Added by Gesta. Created before this moment: RFC 3339, or a date.", **_MOMENT),
]
_EVENTS_PARAMETERS: list[dict[str, Any]] = [
    _ORGANIZATION,
    _ID,
    _query(
        "after", "Added by Gesta. Only events after the one with this id.", type="string", pattern="^evt_[0-9]{1,18}$"
    ),
    _query(
        "limit",
        f"Added by Gesta. Number of events; above {DEFAULT_EVENTS} it is clamped.",
        type="integer",
        minimum=1,
        default=DEFAULT_EVENTS,
    ),
]


def _codes(*excluded: int) -> tuple[int, ...]:
    """Those of the reads."""
    return tuple(code for code in CODES if 400000 <= code <= 400009 and code not in excluded)


LIST: dict[str, Any] = {
    "security": _SECURITY,
    "parameters": _LIST_PARAMETERS,
    "responses": {
        "200": {"description": "OK", "content": _body("ExecutionListEnvelope", {"published": EXAMPLE_LIST})},
        **_error(400, "A parameter is malformed, out of range or given twice.", _codes(400000, 400008, 400009)),
        **_COMMON_ERRORS,
    },
}
GET: dict[str, Any] = {
    "security": _SECURITY,
    "parameters": [_ORGANIZATION, _ID],
    "responses": {
        "200": {"description": "OK", "content": _body("ExecutionEnvelope", {})},
        **_error(400, "The id is malformed.", (400008,)),
        **_NOT_FOUND,
        **_COMMON_ERRORS,
    },
}
EVENTS: dict[str, Any] = {
    "security": _SECURITY,
    "parameters": _EVENTS_PARAMETERS,
    "responses": {
        "200": {"description": "OK", "content": _body("EventsEnvelope", {})},
        **_error(400, "The id or a parameter is malformed.", (400001, 400003, 400008, 400009)),
        **_NOT_FOUND,
        **_COMMON_ERRORS,
    },
}


def complete(app: FastAPI) -> None:
    """Give `app.openapi()` the schemas and the security scheme that the operations refer to."""
    generate = app.openapi

    def document() -> dict[str, Any]:
        made = generate()
        components = made.setdefault("components", {})
        components["schemas"] = components.get("schemas", {}) | schemas(*ENVELOPES)
        components["securitySchemes"] = {
            "BearerAuth": {"type": "http", "scheme": "bearer", "description": "An API key that starts with b3sk_."},
            "ClientToken": {
                "type": "apiKey",
                "in": "query",
                "name": "token",
                "description": "What the creation of an execution gave: it reads this one.",
            },
        }
        return made

    app.openapi = document  # type: ignore[method-assign]

"""The OpenAPI 3.1 document, made from the command table and the models."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gesta.apis.crosstrade import models
from gesta.apis.crosstrade.commands import COMMANDS, STREAM_PATH, Command, endpoints

_REFERENCE: Final = "#/components/schemas/{name}"
_MODELS: Final = (
    *dict.fromkeys(command.reply for command in COMMANDS),
    models.EndpointList,
    models.Error,
    models.RouteError,
    models.RateError,
)
DESCRIPTION: Final = f"""The CrossTrade dialect of Gesta: executions of trading accounts.

Every command is also an RPC of the WebSocket `{STREAM_PATH}` (the same bearer token in the upgrade request):
`{{"action": "rpc", "id": "1", "api": "ListExecutions", "args": {{"account": "Sim101"}}}}` is answered by
`{{"id": "1", "data": {{…the REST body…}}}}`. `GET /v1/api/_endpoints` lists both spellings of each.
REST calls and RPCs of a credential share one bucket: 3 per second, 20 at once, unless configured otherwise.
"""
_ERRORS: Final[dict[int, tuple[str, str, dict[str, Any]]]] = {
    400: (
        "An argument is malformed or out of range",
        "Error",
        {
            "success": False,
            "error": "Invalid request",
            "detail": "`lookbackTime` must be an integer from 1 to 2147483647",
        },
    ),
    401: (
        "The token is missing or not valid",
        "Error",
        {"success": False, "error": "unauthorized", "detail": "Send the header `Authorization: Bearer <token>`."},
    ),
    403: (
        "The token does not allow reading",
        "Error",
        {"success": False, "error": "forbidden", "detail": "This credential lacks the scope `read`."},
    ),
    404: (
        "No such account, execution or path",
        "Error",
        {"success": False, "error": "invalid_account", "detail": "Account Sim999 not found"},
    ),
    429: (
        "Over the rate; `Retry-After` says when to come back",
        "RateError",
        {"success": False, "error": "Rate limit exceeded", "detail": "Too many calls.", "retryAfter": 1},
    ),
    503: (
        "The database does not answer; nothing was done",
        "RateError",
        {"success": False, "error": "unavailable", "detail": "The database does not answer.", "retryAfter": 2},
    ),
}
_RETRY_AFTER: Final = {
    "Retry-After": {"description": "Whole seconds.", "schema": {"type": "integer", "minimum": 1}, "required": True}
}
_CHALLENGE: Final = {"WWW-Authenticate": {"schema": {"type": "string", "const": "Bearer"}, "required": True}}


def operation(command: Command) -> dict[str, Any]:
    """What FastAPI adds to the operation: parameters, security and replies, as they really are."""
    return {
        "parameters": [_parameter(command, place) for place in range(len(command.arguments))],
        "security": [{"bearer": []}],
        "responses": {
            "200": _response("The reply", command.reply.__name__, command.example),
            **{str(status): error_response(status) for status in _ERRORS},
        },
    }


def public_operation() -> dict[str, Any]:
    """The operation of `/v1/api/_endpoints`, which needs no token."""
    return {"responses": {"200": _response("The command table", models.EndpointList.__name__, endpoints())}}


def _parameter(command: Command, place: int) -> dict[str, Any]:
    argument = command.arguments[place]
    parameter: dict[str, Any] = {
        "name": argument.name,
        "in": argument.where,
        "required": argument.where == "path",
        "description": argument.description,
        "schema": argument.schema,
    }
    return parameter if argument.example is None else {**parameter, "example": argument.example}


def _response(description: str, model: str, example: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REFERENCE.format(name=model)}, "example": example}}
    return {"description": description, "content": content}


def error_response(status: int) -> dict[str, Any]:
    description, model, example = _ERRORS[status]
    response = _response(description, model, example)
    if status == 401:
        response["headers"] = _CHALLENGE
    if model == "RateError":
        response["headers"] = _RETRY_AFTER
    return response


def install(app: FastAPI) -> None:
    """Make `app.openapi()` the document of FastAPI with Gesta's models and security scheme; it is built once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=DESCRIPTION,
                routes=app.routes,
                openapi_version="3.1.0",
            )
            _, schemas = msgspec.json.schema_components(_MODELS, ref_template=_REFERENCE)
            document["components"] = {
                "schemas": schemas,
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            }
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]

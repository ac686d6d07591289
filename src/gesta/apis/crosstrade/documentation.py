"""The OpenAPI 3.1 document, made from the command table and the models."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gesta.apis.crosstrade import models
from gesta.apis.crosstrade.commands import COMMANDS, STREAM_PATH, Argument, Command, endpoints

_REFERENCE: Final = "#/components/schemas/{name}"
_MODELS: Final = (
    *dict.fromkeys(command.reply for command in COMMANDS),
    models.EndpointList,
    models.Error,
    models.RouteError,
    models.RateError,
)
DESCRIPTION: Final = f"""The CrossTrade dialect of Gesta: orders, executions, positions and money of trading accounts.

Every command is also an RPC of the WebSocket `{STREAM_PATH}` (the same bearer token in the upgrade request):
`{{"action": "rpc", "id": "1", "api": "ListExecutions", "args": {{"account": "Sim101"}}}}` is answered by
`{{"id": "1", "data": {{…the REST body…}}}}`. `GET /v1/api/_endpoints` lists both spellings of each.
REST calls and RPCs of a credential share one bucket: 3 per second, 20 at once, unless configured otherwise.
"""
_ERRORS: Final[dict[int, tuple[str, str, dict[str, Any]]]] = {
    400: (
        "An argument is malformed or out of range, what it names is not there, or the state of things forbids it",
        "Error",
        {"success": False, "error": "invalid_account", "detail": "Account Sim999 not found"},
    ),
    401: (
        "The token is missing or not valid",
        "Error",
        {"success": False, "error": "unauthorized", "detail": "Send the header `Authorization: Bearer <token>`."},
    ),
    403: (
        "The token does not allow it: writing needs the scope `trade`",
        "Error",
        {"success": False, "error": "forbidden", "detail": "This credential lacks the scope `trade`."},
    ),
    404: (
        "No such path",
        "RouteError",
        {
            "success": False,
            "error": "not_found",
            "detail": "No route /v1/api/accounts/Sim101/executions/.",
            "did_you_mean": "/v1/api/accounts/Sim101/executions",
        },
    ),
    413: (
        "The body is too large",
        "Error",
        {"success": False, "error": "too_large", "detail": "The body of a command has at most 65536 bytes."},
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
    """What FastAPI adds to the operation: parameters, body, security and replies, as they really are."""
    described: dict[str, Any] = {
        "parameters": [_parameter(argument) for argument in command.arguments if argument.where != "body"],
        "security": [{"bearer": []}],
        "responses": {
            "200": _described("The reply", _schema_of(command.reply), command.example),
            **{str(status): error_response(status) for status in statuses_of(command)},
        },
    }
    if command.method != "GET":
        described["requestBody"] = _body(command)
    return described


def statuses_of(command: Command) -> list[int]:
    """The errors that a command can answer with."""
    return [status for status in _ERRORS if status != 413 or command.method != "GET"]


def _schema_of(reply: Any) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([reply], ref_template=_REFERENCE)
    return schema


def _body(command: Command) -> dict[str, Any]:
    """A flat object, to which a caller may add keys: the description says which are refused."""
    arguments = command.body_arguments
    required = [argument.name for argument in arguments if argument.required]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {each.name: {**each.schema, "description": each.description} for each in arguments},
    }
    if required:
        schema["required"] = required
    if command.unknown == "refused":
        schema["additionalProperties"] = False
    example = {each.name: each.example for each in arguments if each.example is not None}
    return {"required": bool(required), "content": {"application/json": {"schema": schema, "example": example}}}


def public_operation() -> dict[str, Any]:
    """The operation of `/v1/api/_endpoints`, which needs no token."""
    return {"responses": {"200": _response("The command table", models.EndpointList.__name__, endpoints())}}


def _parameter(argument: Argument) -> dict[str, Any]:
    parameter: dict[str, Any] = {
        "name": argument.name,
        "in": argument.where,
        "required": argument.required,
        "description": argument.description,
        "schema": argument.schema,
    }
    return parameter if argument.example is None else {**parameter, "example": argument.example}


def _response(description: str, model: str, example: dict[str, Any]) -> dict[str, Any]:
    return _described(description, {"$ref": _REFERENCE.format(name=model)}, example)


def _described(description: str, schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema, "example": example}}}


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
            _restore_examples(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _restore_examples(document: dict[str, Any]) -> None:
    """FastAPI leaves out every null of a document, and an example may have some."""
    for command in COMMANDS:
        content = document["paths"][command.path][command.method.lower()]["responses"]["200"]["content"]
        content["application/json"]["example"] = command.example

"""What the routes beside the executors' own share: who calls, query parameters that are texts, what is documented."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.datastructures import QueryParams
from starlette.requests import Request

from gesta.access.model import Principal
from gesta.apis.common.services import Services
from gesta.apis.hummingbot.codec import DIALECT
from gesta.apis.hummingbot.errors import NOT_AUTHENTICATED, WRONG_CREDENTIALS
from gesta.apis.hummingbot.parameters import basic_credentials
from gesta.kernel.errors import InvalidInput

MAX_NAME = 256


async def caller_of(services: Services, request: Request) -> Principal:
    """Raises Unauthenticated before anything else is looked at, RateLimited."""
    username, password = basic_credentials(request.headers.get("authorization"))
    principal = await services.access.basic(username, password)
    services.access.admit(DIALECT, principal.credential_id)
    return principal


def text_of(query: QueryParams, name: str) -> str | None:
    """A query parameter that is given at most once. Raises InvalidInput with FastAPI's defect."""
    given = query.getlist(name)
    if len(given) > 1:
        raise refused(
            name, "too_many_values", f"Input should be given once, it was given {len(given)} times", given[:9]
        )
    if given and (len(given[0]) > MAX_NAME or not given[0].isprintable()):
        message = f"Value error, text has at most {MAX_NAME} characters, all printable"
        raise refused(name, "value_error", message, given[0][:MAX_NAME])
    return given[0] if given else None


def refused(name: str, kind: str, message: str, given: Any, *, where: str = "query") -> InvalidInput:
    """One defect in the words of FastAPI."""
    defect = {"type": kind, "loc": [where, name], "msg": message, "input": given}
    return InvalidInput(message, field=name, where=where, errors=[defect])


# -- what is documented


def responses(schema: dict[str, Any], *, missing: str | None = None, invalid: bool = False) -> dict[str, Any]:
    """The responses of an operation: `schema` is of its 200."""
    waits = {"Retry-After": {"description": "Whole seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}
    made: dict[str, Any] = {
        "200": {"description": "Successful Response", "content": {"application/json": {"schema": schema}}},
        "401": _error(f"{NOT_AUTHENTICATED}, or: {WRONG_CREDENTIALS}. It comes before every other error."),
        "403": _error("The user lacks the scope that this needs."),
        "429": _error("More requests than the limit of this user.", headers=waits),
        "500": _error("A defect of the server; its log has the request id."),
        "503": _error("The database is out of reach, or this server does not trade.", headers=waits),
    }
    made["401"]["headers"] = {"WWW-Authenticate": {"schema": {"const": "Basic"}}}
    if missing is not None:
        made["404"] = _error(missing)
    if invalid:
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}}}
        made["422"] = {"description": "A parameter is malformed or given twice.", "content": content}
    return made


def _error(description: str, *, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}}
    return {"description": description, "content": content} | ({"headers": headers} if headers else {})


def parameter(name: str, description: str, *, where: str = "query", default: str | None = None) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"} | ({} if default is None else {"default": default})
    if where == "path":
        schema["minLength"] = 1
    return {"name": name, "in": where, "required": where == "path", "description": description, "schema": schema}


def inlined(type_: Any) -> dict[str, Any]:
    """The JSON schema of a wire type that has no other in it."""
    (schema,), components = msgspec.json.schema_components([type_])
    (only,) = components.values()
    del schema
    return {name: value for name, value in only.items() if name != "title"}


def add(
    router: APIRouter, path: str, endpoint: Any, method: str, summary: str, operation: str, extra: dict[str, Any]
) -> None:
    """One route on the application's own router."""
    router.add_api_route(
        path,
        endpoint,
        methods=[method],
        tags=[path.split("/")[1].replace("-", " ").title()],
        summary=summary,
        operation_id=operation,
        response_model=None,
        openapi_extra={"security": [{"HTTPBasic": []}], **extra},
    )

"""The dialect's OpenAPI 3.1 document: what the hot routes do, said by hand and held true by tests."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gesta.apis.refold.models import BODIES, ErrorBody
from gesta.apis.refold.vocabulary import MODES_OF, STATUSES_OF
from gesta.apis.refold.write_models import WRITE_BODIES

TITLE = "Gesta: Refold dialect"
DESCRIPTION = (
    "Workflows and executions of linked accounts. Authenticate with a session token, or with an organization API "
    "key and the linked account's id. Unknown query parameters are ignored; of a repeated one, the last counts."
)

_SECURITY_SCHEMES = {
    "sessionToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A session token."},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "An organization's API key: `pk…` for production, `tk…` for test.",
    },
    "linkedAccount": {
        "type": "apiKey",
        "in": "header",
        "name": "linked_account_id",
        "description": "The linked account on whose behalf the key is used.",
    },
    "webhookSecret": {
        "type": "apiKey",
        "in": "header",
        "name": "x-webhook-secret",
        "description": "The secret of a workflow's webhook, where its address does not have it.",
    },
}
EITHER: list[dict[str, list[str]]] = [{"sessionToken": []}, {"apiKey": [], "linkedAccount": []}]
KEY_ONLY: list[dict[str, list[str]]] = [{"apiKey": []}]
SECRET_ONLY: list[dict[str, list[str]]] = [{"webhookSecret": []}]
TOKEN_ONLY: list[dict[str, list[str]]] = [{"sessionToken": []}]

_FAILURES = {
    400: "A parameter is wrong, or no linked account is named",
    401: "No credential, or a wrong one",
    403: "The credential lacks a scope",
    404: "Not found, or another account's",
    408: "The body did not arrive in time",
    409: "The state of what is named forbids it",
    413: "The body is too large",
    415: "The body is not JSON",
    429: "Too many requests; `Retry-After` says when",
    500: "Internal error",
    501: "The node has no rounds",
    503: "The database does not answer; `Retry-After` says when",
}


def responses(body: type[msgspec.Struct], description: str, *failures: int) -> dict[int | str, dict[str, Any]]:
    """200 with `body`, and the error body for each of `failures` and for what can always happen."""
    found: dict[int | str, dict[str, Any]] = {200: _response(body, description)}
    for status in sorted({400, 401, 403, 429, 500, 503, *failures}):
        found[status] = _response(ErrorBody, _FAILURES[status])
        if status in (429, 503):
            found[status]["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return found


def _response(body: type[msgspec.Struct], description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": reference(body)}}}


def reference(body: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{body.__name__}"}


def query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


# NUL characters are refused everywhere.
_TEXT = {"type": "string", "pattern": "^[^\\x00]*$"}
_NUMBER_OR_TEXT = {"anyOf": [{"type": "integer"}, _TEXT]}
_DATE = {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}
_TRUE_OR_FALSE = {"type": "string", "enum": ["true", "false"], "default": "false"}

LINKED_ACCOUNT_QUERY = query("linked_account_id", "The linked account, where the header is not sent.", _TEXT)
FORCE_REFRESH = query("force_refresh", "`true` gives a new token even where an unexpired one exists.", _TRUE_OR_FALSE)
EXECUTION_ID = {"name": "execution_id", "in": "path", "required": True, "schema": {"type": "string"}}

LIST_PARAMETERS = [
    query(
        "page",
        "Page number from 1. Below 1, or no number, is 1; a fraction is cut; past the end is an empty page.",
        _NUMBER_OR_TEXT | {"default": 1},
    ),
    query(
        "limit",
        "Executions per page. Above 100 is 100; no number is 10; a fraction is cut; 0 or below gives the totals alone.",
        _NUMBER_OR_TEXT | {"default": 10},
    ),
    query(
        "status",
        "Without case; several separated by commas are a union (an addition). `All` is no filter.",
        {"type": "string", "enum": ["All", *STATUSES_OF], "default": "All"},
    ),
    query("workflow_id", "Executions of this workflow.", _TEXT),
    query("workflow_name", "Part of the workflow's name, without case.", _TEXT),
    query("execution_id", "The one execution with this id.", _TEXT),
    query(
        "slug",
        "Application slugs, separated by commas, at most 20; compared by letters and digits, without case.",
        {"type": "string", "pattern": "^[^,\\x00]*(,[^,\\x00]*){0,19}$"},
    ),
    query(
        "execution_source",
        "What started it. `API_CALL` and `SCHEDULE` are accepted spellings; case does not matter.",
        {"type": "string", "enum": ["All", "Event", "Schedule", "API Call", "API_CALL", "SCHEDULE"], "default": "All"},
    ),
    query("execution_type", "Mode.", {"type": "string", "enum": ["All", *MODES_OF], "default": "All"}),
    query("start_date", "Created at or after: a date (its first instant, UTC) or a timestamp.", _DATE),
    query("end_date", "Created at or before: a date (to the end of that day, UTC) or a timestamp.", _DATE),
    query("sortAsc", "`true` for the oldest first.", _TRUE_OR_FALSE),
    LINKED_ACCOUNT_QUERY,
]


def install(app: FastAPI) -> None:
    """Make `app.openapi()` give the complete document, once built and then kept."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            _, schemas = msgspec.json.schema_components(
                (*BODIES, *WRITE_BODIES), ref_template="#/components/schemas/{name}"
            )
            built = get_openapi(title=TITLE, version=app.version, description=DESCRIPTION, routes=app.routes)
            components = built.setdefault("components", {})
            components["schemas"] = {**components.get("schemas", {}), **schemas}
            components["securitySchemes"] = _SECURITY_SCHEMES
            app.openapi_schema = built
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]

"""The OpenAPI operations that create, find, sum up and stop executors."""

from __future__ import annotations

from typing import Any

from gesta.apis.common.posted import MAX_NAME
from gesta.apis.hummingbot.bodies import DEFAULT_LIMIT, MAX_LIMIT, MAX_VALUES, STATUSES_OF
from gesta.apis.hummingbot.bodies import TYPES as TYPE_NAMES
from gesta.apis.hummingbot.openapi import ERRORS, EXECUTOR_ID, SECURITY, body, error
from gesta.executors.control import MAX_KEY

_READS = {code: said for code, said in ERRORS.items() if code != "404"}
_INVALID: dict[str, Any] = {
    "422": {"description": "A part of the request is missing or malformed.", "content": body("HTTPValidationError")}
}
_WITH_BODY: dict[str, Any] = {
    **_INVALID,
    "408": error("The body did not arrive in time."),
    "413": error("The body is too large."),
}
_TRADES = {**ERRORS, "403": error("The user lacks the scope `trade`."), **_WITH_BODY}


def _ok(model: str, status: str = "200") -> dict[str, Any]:
    return {status: {"description": "Successful Response", "content": body(model)}}


def _json(properties: dict[str, Any], *, required: tuple[str, ...] = (), **examples: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    content: dict[str, Any] = {"schema": schema}
    if examples:
        content["examples"] = {name: {"value": value} for name, value in examples.items()}
    return {"required": True, "content": {"application/json": content}}


def _texts(description: str, **items: Any) -> dict[str, Any]:
    return {
        "type": ["array", "null"],
        "items": items or {"type": "string", "maxLength": MAX_NAME},
        "maxItems": MAX_VALUES,
        "description": description,
    }


_NAME: dict[str, Any] = {"type": ["string", "null"], "maxLength": MAX_NAME}

CREATE: dict[str, Any] = {
    "security": SECURITY,
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "The same key with the same content is the same executor, with other content 409.",
            "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"},
        }
    ],
    "requestBody": _json(
        {
            "account_name": {**_NAME, "description": "Account name (master_account)"},
            "controller_id": {**_NAME, "description": "Controller that owns this executor (main)"},
            "executor_config": {
                "type": "object",
                "description": "`type` and the fields of that type: see `/executors/types/{executor_type}/config`.",
            },
        },
        required=("executor_config",),
        position={
            "account_name": "master_account",
            "executor_config": {
                "type": "position_executor",
                "connector_name": "binance_perpetual",
                "trading_pair": "BTC-USDT",
                "side": "BUY",
                "amount": "0.01",
                "triple_barrier_config": {"stop_loss": "0.02", "take_profit": "0.04", "time_limit": 3600},
            },
        },
    ),
    "responses": {
        **_ok("CreateExecutorResponse", "201"),
        **_TRADES,
        "400": error(
            "The configuration cannot be; the message names the field.",
            amount="Invalid executor config: amount (missing) must be a number greater than 0",
        ),
        "404": error("No such account in the caller's organization."),
        "409": error("The id is taken, or the key was used with another content."),
    },
}

STOP: dict[str, Any] = {
    "security": SECURITY,
    "parameters": [EXECUTOR_ID],
    "requestBody": _json(
        {"keep_position": {"type": "boolean", "default": False, "description": "Leave open what is open."}},
        close={"keep_position": False},
    ),
    "responses": {
        **_ok("StopExecutorResponse"),
        **_TRADES,
        "400": error("The executor is over.", closed="Executor abc123 is already closed."),
        "409": error("The executor is on record and is not run by this server."),
    },
}

SEARCH: dict[str, Any] = {
    "security": SECURITY,
    "requestBody": _json(
        {
            "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
            "cursor": {**_NAME, "description": "`next_cursor` of the page before."},
            "account_names": _texts("Filter by account names"),
            "connector_names": _texts("Filter by connector names"),
            "trading_pairs": _texts("Filter by trading pairs"),
            "executor_types": _texts("Filter by executor types", type="string", enum=list(TYPE_NAMES)),
            "status": {"enum": [*STATUSES_OF, None], "description": "Filter by status, in any case"},
            "controller_ids": _texts("Filter by controller IDs"),
        },
        running={"status": "RUNNING", "limit": 50},
    ),
    "responses": {**_ok("PaginatedResponse"), **_READS, **_WITH_BODY},
}

SUMMARY: dict[str, Any] = {"security": SECURITY, "responses": {**_ok("ExecutorsSummaryResponse"), **_READS}}

PERFORMANCE: dict[str, Any] = {
    "security": SECURITY,
    "parameters": [
        {
            "name": "controller_id",
            "in": "query",
            "description": "Only executors of this controller.",
            "schema": {"type": "string", "maxLength": MAX_NAME},
        }
    ],
    "responses": {**_ok("PerformanceReportResponse"), **_READS, **_INVALID},
}

TYPES: dict[str, Any] = {"security": SECURITY, "responses": {**_ok("ExecutorTypesResponse"), **_READS}}

CONFIG: dict[str, Any] = {
    "security": SECURITY,
    "parameters": [
        {
            "name": "executor_type",
            "in": "path",
            "required": True,
            "description": "Executor type",
            "schema": {"type": "string", "minLength": 1},
        }
    ],
    "responses": {
        **_ok("ExecutorConfigResponse"),
        **ERRORS,
        "404": error("No such type, or one that cannot run here."),
    },
}

"""What FastAPI cannot see of hot routes: parameters, bodies, errors and security of this dialect's document."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from gesta.apis.hummingbot.codec import SEVERITY_OF_LEVEL
from gesta.apis.hummingbot.errors import NOT_AUTHENTICATED, WRONG_CREDENTIALS
from gesta.apis.hummingbot.models import schemas
from gesta.apis.hummingbot.parameters import DEFAULT_LOGS, MAX_LOGS

# The published example of the endpoint (seed 002).
EXAMPLE: dict[str, Any] = {
    "account_name": "master_account",
    "connector_name": "binance_perpetual",
    "created_at": "2024-01-15T10:30:00Z",
    "cum_fees_quote": 1.25,
    "executor_id": "abc123...",
    "executor_type": "position_executor",
    "filled_amount_quote": 5000,
    "is_active": True,
    "is_trading": True,
    "net_pnl_pct": 2.5,
    "net_pnl_quote": 125.5,
    "side": "BUY",
    "status": "RUNNING",
    "timestamp": 1705315800,
    "trading_pair": "BTC-USDT",
}

_RETRY_AFTER = {
    "Retry-After": {"description": "Whole seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
}


def body(model: str, **examples: Any) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{model}"}}
    if examples:
        content["examples"] = {name: {"value": value} for name, value in examples.items()}
    return {"application/json": content}


def error(description: str, *, headers: dict[str, Any] | None = None, **examples: str) -> dict[str, Any]:
    content = body("ErrorResponse", **{name: {"detail": text} for name, text in examples.items()})
    return {"description": description, "content": content} | ({"headers": headers} if headers else {})


ERRORS: dict[str, Any] = {
    "401": error(
        "No Basic credentials, or wrong ones. It comes before every other error.",
        headers={"WWW-Authenticate": {"schema": {"const": "Basic"}}},
        missing=NOT_AUTHENTICATED,
        wrong=WRONG_CREDENTIALS,
    ),
    "403": error("The user lacks the scope `read`."),
    "404": error("No such executor in the caller's organization.", unknown="Executor abc123 not found"),
    "429": error("More requests than the limit of this user.", headers=_RETRY_AFTER),
    "500": error("A defect of the server; its log has the request id.", crash="Internal Server Error"),
    "503": error("The database is out of reach.", headers=_RETRY_AFTER),
}

EXECUTOR_ID: dict[str, Any] = {
    "name": "executor_id",
    "in": "path",
    "required": True,
    "description": "Unique executor identifier",
    "schema": {"type": "string", "minLength": 1},
}

SECURITY: list[dict[str, list[str]]] = [{"HTTPBasic": []}]

GET_EXECUTOR: dict[str, Any] = {
    "security": SECURITY,
    "parameters": [EXECUTOR_ID],
    "responses": {
        "200": {"description": "Successful Response", "content": body("ExecutorDetailResponse", published=EXAMPLE)},
        **ERRORS,
    },
}

GET_LOGS: dict[str, Any] = {
    "security": SECURITY,
    "parameters": [
        EXECUTOR_ID,
        {
            "name": "level",
            "in": "query",
            "description": "Only entries of this level.",
            "schema": {"type": "string", "enum": list(SEVERITY_OF_LEVEL)},
        },
        {
            "name": "limit",
            "in": "query",
            "description": "At most so many entries, the newest.",
            "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LOGS, "default": DEFAULT_LOGS},
        },
    ],
    "responses": {
        "200": {"description": "Successful Response", "content": body("ExecutorLogsResponse")},
        **ERRORS,
        "422": {
            "description": "A parameter is malformed, out of range or given twice.",
            "content": body(
                "HTTPValidationError",
                malformed={
                    "detail": [
                        {
                            "type": "int_parsing",
                            "loc": ["query", "limit"],
                            "msg": "Input should be a valid integer, unable to parse string as an integer",
                            "input": "abc",
                        }
                    ]
                },
            ),
        },
    },
}


def complete(app: FastAPI) -> None:
    """Give `app.openapi()` the schemas and the security scheme that the operations refer to."""
    generate = app.openapi

    def document() -> dict[str, Any]:
        made = generate()
        components = made.setdefault("components", {})
        components["schemas"] = components.get("schemas", {}) | schemas()
        components["securitySchemes"] = {"HTTPBasic": {"type": "http", "scheme": "basic"}}
        return made

    app.openapi = document  # type: ignore[method-assign]

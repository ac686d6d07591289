"""The commands of the dialect: one table, of which REST paths and WebSocket `api` names are two spellings.

A row is everything there is to say about a command: both surfaces, the OpenAPI document, `/v1/api/_endpoints` and the
suggestions for mistyped names are made from it (protocols/crosstrade.md §0). The rows stand in a file per subject.
"""

from __future__ import annotations

from typing import Any, Final

from gesta.apis.crosstrade import (
    commands_accounts,
    commands_executions,
    commands_market,
    commands_orders,
    commands_positions,
)
from gesta.apis.crosstrade.command import Argument, Command

# Of two paths that match, the first counts: longer ones stand before those that end in an id.
COMMANDS: Final[tuple[Command, ...]] = (
    *commands_executions.COMMANDS,
    *commands_accounts.COMMANDS,
    *commands_orders.COMMANDS,
    *commands_positions.COMMANDS,
    *commands_market.COMMANDS,
)


def _by_api() -> dict[str, Command]:
    """Of two rows with one name, the first."""
    found: dict[str, Command] = {}
    for command in COMMANDS:
        for name in (command.api, *command.aliases):
            found.setdefault(name, command)
    return found


BY_API: Final = _by_api()
ENDPOINTS_PATH: Final = "/v1/api/_endpoints"
OPENAPI_PATH: Final = "/v1/api/openapi.json"
STREAM_PATH: Final = "/ws/stream"
PATHS: Final = (
    *dict.fromkeys(command.path for command in COMMANDS),
    ENDPOINTS_PATH,
    OPENAPI_PATH,
    STREAM_PATH,
)


def endpoints() -> dict[str, Any]:
    """The body of `/v1/api/_endpoints`: the table, readable by machines."""
    return {
        "endpoints": [
            {
                "method": command.method,
                "path": command.path,
                "api": command.api,
                "aliases": list(command.aliases),
                "summary": command.summary,
                "arguments": [
                    {
                        "name": argument.name,
                        "where": argument.where,
                        "required": argument.required,
                        "description": argument.description,
                    }
                    for argument in command.arguments
                ],
            }
            for command in COMMANDS
        ],
        "success": True,
    }


__all__ = [
    "BY_API",
    "COMMANDS",
    "ENDPOINTS_PATH",
    "OPENAPI_PATH",
    "PATHS",
    "STREAM_PATH",
    "Argument",
    "Command",
    "endpoints",
]

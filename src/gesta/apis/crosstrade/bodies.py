"""The JSON body of a command over REST, merged with its path as the WebSocket merges both into `args`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request

from gesta.apis.crosstrade.arguments import read_query
from gesta.apis.crosstrade.command import Command
from gesta.kernel.errors import InvalidInput, TooLarge
from gesta.kernel.json import decode_json_exact

# No command's arguments are longer.
MAX_BODY_BYTES: Final = 64 * 1024


async def read_arguments(request: Request, command: Command) -> dict[str, Any]:
    """Path, and query or body, as one flat object. Raises InvalidInput, TooLarge and BodyTimeout."""
    query: bytes = request.scope["query_string"]
    path = dict(request.path_params)
    if command.method == "GET":
        return {**read_query(query, command.query_names), **path}
    misplaced = read_query(query, [argument.name for argument in command.body_arguments])
    if misplaced:
        # Ignored, a filter in the wrong place would widen what is done.
        name = next(iter(misplaced))
        raise InvalidInput(f"`{name}` goes into the JSON body, not into the query", field=name, where="query")
    return _merged(read_body(await _bytes_of(request)), path)


async def _bytes_of(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise TooLarge(f"The body of a command has at most {MAX_BODY_BYTES} bytes.")
        parts.append(part)
    return b"".join(parts)


def read_body(body: bytes) -> dict[str, Any]:
    """A JSON object; nothing at all is an empty one."""
    posted = decode_json_exact(body) if body.strip() else {}
    if not isinstance(posted, dict):
        raise InvalidInput("The body is a JSON object")
    return posted


def _merged(posted: dict[str, Any], path: Mapping[str, str]) -> dict[str, Any]:
    for name, value in path.items():
        said = posted.get(name)
        if said is not None and (not isinstance(said, str) or said.casefold() != value.casefold()):
            raise InvalidInput(f"`{name}` in the body is not the one in the path", field=name)
    return {**posted, **path}

"""What a run may be started with: a JSON Schema (draft 2020-12, or the one that `$schema` names).

It is applied in another process (`kernel/bounded.py`): a pattern that backtracks for ever, or a schema that doubles its
work at every level, is ended and is an error like any other. Nothing is ever fetched: a `$ref` leads within the schema.
`format` is checked for the well-known ones (`formats.py`); any other is a remark, as the draft has it.
"""

from __future__ import annotations

from typing import Any

from gesta.kernel.errors import InvalidInput
from gesta.workflows.graph.bounded import asked

Schema = dict[str, Any] | bool | None


def check_schema(schema: Schema, field: str = "input_schema") -> None:
    """Whether a schema is one: its keywords, its patterns, and every `$ref` within it.

    Raises InvalidInput; `field` is the place in the schema, `details["errors"]` the first ten as
    `{"path": …, "message": …}`.
    """
    if schema is None:
        return
    if not isinstance(schema, dict | bool):
        raise InvalidInput(f"`{field}` must be a JSON Schema: an object, true or false.", field=field)
    try:
        errors = asked("schema_check", schema=schema)
    except InvalidInput as error:
        raise InvalidInput(f"`{field}` cannot be used. {error.message}", field=field) from None
    _raise(errors, field, f"`{field}` is not a JSON Schema")


def check_input(schema: Schema, payload: Any, *, field: str = "input", what: str = "The input") -> None:
    """Whether a payload meets a schema; any payload meets None. `what` it is called in the words of an error.

    Raises InvalidInput; `field` is the first place that does not (the given one for the whole), `details["errors"]` the
    first ten as `{"path": …, "message": …}`, paths as in `order.legs[0].qty`.
    """
    if schema is None or schema is True:
        return
    try:
        errors = asked("schema_input", schema=schema, payload=payload)
    except InvalidInput as error:
        raise InvalidInput(f"{what} could not be checked. {error.message}", field=field) from None
    _raise(errors, field, f"{what} does not fit")


def _raise(errors: list[dict[str, str]], whole: str, what: str) -> None:
    if not errors:
        return
    first = errors[0]
    place = f" at `{first['path']}`" if first["path"] else ""
    more = f" ({len(errors)} errors{' are shown' if len(errors) == 10 else ''})" if len(errors) > 1 else ""
    raise InvalidInput(f"{what}{place}: {first['message']}{more}", field=first["path"] or whole, errors=errors)

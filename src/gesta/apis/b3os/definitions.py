"""Workflow definitions as this dialect's bodies carry them."""

from __future__ import annotations

from typing import Any

from gesta.kernel.errors import InvalidInput, TooLarge
from gesta.workflows.forms.reading import read_definition
from gesta.workflows.graph.definition import Definition


def definition_of(value: Any) -> Definition:
    """A definition of a body: in B3OS's form, or in any other that it looks like. Raises InvalidInput (400228), whose
    details have every problem."""
    if not isinstance(value, dict):
        raise InvalidInput("`definition` must be an object with its `nodes`.", field="definition", problem="definition")
    try:
        return read_definition(value, "b3os" if _is_theirs(value) else "auto")
    except TooLarge:
        raise
    except InvalidInput as error:
        field = f"definition.{error.field}" if error.field else "definition"
        problems = error.details.get("problems", [])
        raise InvalidInput(error.message, field=field, problem="definition", problems=problems) from None


def _is_theirs(value: dict[str, Any]) -> bool:
    return "form" not in value and isinstance(value.get("nodes", {}), dict)

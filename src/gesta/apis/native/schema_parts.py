"""What the schemas of the OpenAPI document are put together from."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

MOMENT: Schema = {"type": "string", "format": "date-time", "examples": ["2026-03-10T14:30:00.123456Z"]}
MAYBE_MOMENT: Schema = {"type": ["string", "null"], "format": "date-time"}
MAYBE_TEXT: Schema = {"type": ["string", "null"]}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def object_of(description: str, **properties: Schema) -> Schema:
    """An object whose every property is there."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
    }


def enum_of(values: type) -> Schema:
    return {"type": "string", "enum": [member.value for member in values]}  # type: ignore[attr-defined]

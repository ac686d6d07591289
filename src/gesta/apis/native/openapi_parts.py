"""What the descriptions of operations are put together from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gesta.apis.native import params
from gesta.apis.native.errors import PROBLEM_JSON, PROBLEMS
from gesta.apis.native.schema_parts import Schema, ref


def parameters_of(table: Mapping[str, params.Param]) -> list[Schema]:
    described = []
    for name, param in table.items():
        parameter: Schema = {"name": name, "in": "query", "description": param.description, "schema": param.schema}
        if param.many:
            parameter |= {"style": "form", "explode": True}
        described.append(parameter)
    return described


def problems(*statuses: int) -> dict[str, Schema]:
    """The error answers of an operation: those of every operation, and its own."""
    answers: dict[str, Schema] = {}
    for status in sorted({400, 401, 403, 429, 500, 503, *statuses}):
        codes = [code for code, (of_code, _) in PROBLEMS.items() if of_code == status]
        answer: Schema = {
            "description": "; ".join(f"`{code}`: {PROBLEMS[code][1]}" for code in codes) + ".",
            "content": {PROBLEM_JSON: {"schema": ref("Problem")}},
        }
        if status in (429, 503):
            answer["headers"] = {"Retry-After": {"schema": {"type": "integer", "minimum": 1}}}
        if status == 401:
            answer["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
        answers[str(status)] = answer
    return answers


def ok(description: str, schema: Schema, *, status: str = "200") -> dict[str, Schema]:
    return {status: {"description": description, "content": {"application/json": {"schema": schema}}}}


def body_of(schema: Schema, examples: Mapping[str, Any]) -> Schema:
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": schema,
                "examples": {name: {"value": value} for name, value in examples.items()},
            }
        },
    }

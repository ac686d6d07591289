"""What is done in a process that can be stopped: JSONata and JSON Schema (`queries.py`, `schemas.py` ask for it)."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any, Final, cast

import jsonata  # type: ignore[import-untyped]
from jsonata.jexception import JException  # type: ignore[import-untyped]

from gesta.kernel.bounded import Refused
from gesta.workflows.graph import formats

#: Another answer each time, or code that nobody has read.
REFUSED_FUNCTIONS: Final = ("random", "shuffle", "eval")
MOST_ERRORS: Final = 10
MOST_MESSAGE: Final = 300
_DECIMAL: Final = re.compile(r"Decimal\('([^']*)'\)")


def perform(job: bytes) -> bytes:
    """A job is an object: `job` says which one, its other fields are that one's arguments."""
    asked = json.loads(job, parse_float=Decimal if job.startswith(b'{"job":"schema') else _float)
    answer = _JOBS[asked.pop("job")](**asked)
    return json.dumps(answer, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_plain).encode()


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise Refused(f"The number {_short(text)} is out of range.")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Sequence):
        return list(value)
    raise Refused("It came to a function, which is not a value.")


# -- JSONata


def _query(expression: str, document: Any, moment_ms: int | None) -> Any:
    try:
        program = jsonata.Jsonata(expression)
        program.set_validate_input(False)
        for name in REFUSED_FUNCTIONS:
            program.register_lambda(name, functools.partial(_refuse, name))
        program.register_lambda("now", functools.partial(_now, moment_ms))
        program.register_lambda("millis", functools.partial(_millis, moment_ms))
        return program.evaluate(document)
    except JException as error:
        raise Refused(f"{str(error).strip().rstrip('.')}.") from None


def _parse(expression: str) -> None:
    try:
        jsonata.Jsonata(expression)
    except JException as error:
        raise Refused(f"{str(error).strip().rstrip('.')}.") from None


def _refuse(name: str, *_: Any) -> Any:
    raise Refused(f"`${name}` is not allowed: a run that is done again must come to the same.")


def _millis(moment_ms: int | None) -> int:
    if moment_ms is None:
        raise Refused("`$now` and `$millis` are known only within a run.")
    return moment_ms


def _now(moment_ms: int | None, picture: str | None = None, timezone: str | None = None) -> str | None:
    told: str | None = jsonata.Functions.datetime_from_millis(_millis(moment_ms), picture, timezone)
    return told


# -- JSON Schema


def _check_schema(schema: Any) -> list[dict[str, str]]:
    """What is wrong with a schema itself."""
    from jsonschema.exceptions import SchemaError

    try:
        _kind(schema).check_schema(schema)
    except SchemaError as error:
        return [_told(error)]
    return _unresolved(schema)


def _check_input(schema: Any, payload: Any) -> list[dict[str, str]]:
    """The first errors of a payload."""
    from referencing.exceptions import Unresolvable

    try:
        return [_told(error) for error in islice(_validator(schema).iter_errors(payload), MOST_ERRORS)]
    except Unresolvable as error:
        raise Refused(f"The schema refers to `{_short(str(error.ref))}`, which is not in it.") from None


def _kind(schema: Any) -> Any:
    """The draft that a schema is written for."""
    from jsonschema import validators

    named = schema.get("$schema") if isinstance(schema, dict) else None
    if named is None:
        return validators.Draft202012Validator
    kind = validators.validator_for(schema, default=cast("Any", None)) if isinstance(named, str) else None
    if kind is None:
        raise Refused(f"The schema is written for `{_short(str(named))}`, which is not known.")
    return kind


def _validator(schema: Any) -> Any:
    from jsonschema import validators
    from referencing import Registry

    kind = _kind(schema)
    # Numbers are Decimals here, so that multiples of 0.01 are; 1.0 is an integer still.
    checker = kind.TYPE_CHECKER.redefine("integer", _is_integer)
    extended: Any = cast("Any", validators).extend(kind, type_checker=checker)
    # An empty registry: nothing is ever fetched.
    return extended(schema, registry=Registry(), format_checker=formats.checker())


def _is_integer(_: Any, value: Any) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite() and value == value.to_integral_value()
    return isinstance(value, int) and not isinstance(value, bool)


def _told(error: Any) -> dict[str, str]:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path).lstrip(".")
    return {"path": path, "message": _short(_DECIMAL.sub(r"\1", error.message))}


def _short(text: str) -> str:
    # The start and the end: a message repeats the value, which may be a megabyte, and says at its end what is wrong.
    return text if len(text) <= MOST_MESSAGE else f"{text[:100]} … {text[100 - MOST_MESSAGE :]}"


#: Keywords whose value is data, not a schema.
_DATA: Final = frozenset({"const", "enum", "default", "examples"})
#: Keywords whose value is an object of schemas by names.
_NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})


def _unresolved(schema: Any) -> list[dict[str, str]]:
    """References that lead out of the schema, or nowhere."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
    found: list[dict[str, str]] = []
    todo: list[tuple[str, Any]] = [("", schema)]
    while todo and len(found) < MOST_ERRORS:
        path, part = todo.pop()
        if isinstance(part, list):
            todo += [(f"{path}[{number}]", each) for number, each in enumerate(part)]
        if not isinstance(part, dict):
            continue
        for name, value in part.items():
            at = f"{path}.{name}".lstrip(".")
            if name in ("$ref", "$dynamicRef", "$recursiveRef") and isinstance(value, str):
                try:
                    if not value.startswith("#"):
                        raise Unresolvable(ref=value)
                    resolver.lookup(value)
                except Unresolvable:
                    found.append({"path": at, "message": f"`{_short(value)}` is not in this schema."})
            elif name in _NAMED and isinstance(value, dict):
                todo += [(f"{at}.{key}", each) for key, each in value.items()]
            elif name not in _DATA:
                todo.append((at, value))
    return found[:MOST_ERRORS]


_JOBS: Final[dict[str, Callable[..., Any]]] = {
    "query": _query,
    "parse": _parse,
    "schema_check": _check_schema,
    "schema_input": _check_input,
}

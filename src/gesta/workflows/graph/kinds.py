"""Kinds of values in a configuration: what a literal of each has to be, and how durations and moments are read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import MAX_US, parse_rfc3339
from gesta.workflows.graph.definition import DEFAULT_CASE
from gesta.workflows.graph.problems import shown

MOST_SECONDS: Final = 366 * 86_400
MOST_TEXT: Final = 100_000
MOST_CASES: Final = 100
#: An epoch below it counts seconds (until the year 5138), from it on milliseconds (from 1973 on).
_FIRST_MILLISECONDS: Final = 100_000_000_000
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)
_EPOCH = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?([Zz]|[+-]\d{2}:?\d{2})", re.ASCII)
_STATUS = re.compile(r"[1-5]([0-9]{2}|xx|XX)", re.ASCII)


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a configuration. `low` and `high` bound a number; with `is_fixed` it is never a template."""

    name: str
    kind: str
    meaning: str
    required: bool = False
    is_fixed: bool = False
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    default: str = ""


def is_template(value: Any) -> bool:
    """Whether it is a text with something to be filled in."""
    return isinstance(value, str) and "{{" in value


# -- kinds: what a literal has to be


def _check_text(field: Field, value: Any) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        yield f"`{field.name}` must be a text, and is {shown(value)}."
    elif isinstance(value, str) and field.required and not value.strip():
        yield f"`{field.name}` must not be empty."
    elif isinstance(value, str) and len(value) > MOST_TEXT:
        yield f"`{field.name}` may have {MOST_TEXT} characters."
    elif field.name == "url" and not re.match(r"https?://[^/\s]", str(value)):
        yield f"`url` must begin with http:// or https:// and a host, and is {shown(value)}."


def _check_choice(field: Field, value: Any) -> Iterator[str]:
    upper = field.name == "method"
    word = (value.upper() if upper else value) if isinstance(value, str) else None
    if word not in field.choices:
        yield f"`{field.name}` must be {_choices(field)}, and is {shown(value)}."


def _check_integer(field: Field, value: Any) -> Iterator[str]:
    if isinstance(value, str) and not field.is_fixed and re.fullmatch(r"[0-9]{1,10}", value, re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not _is_within(field, value):
        yield f"`{field.name}` must be {_RIGHT['integer'](field)}, and is {shown(value)}."


def _check_seconds(field: Field, value: Any) -> Iterator[str]:
    try:
        number = seconds(value, field.name)
    except InvalidInput as error:
        yield error.message
        return
    if not _is_within(field, number):
        yield f"`{field.name}` must be {_RIGHT['seconds'](field)}, and is {shown(value)}."


def _check_moment(field: Field, value: Any) -> Iterator[str]:
    try:
        moment_us(value, field.name)
    except InvalidInput as error:
        yield error.message


def _check_decimal(field: Field, value: Any) -> Iterator[str]:
    number: Decimal | None = None
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = Decimal(str(value).strip())
        except InvalidOperation:
            number = None
    if number is None or not number.is_finite() or not 0 < number < Decimal(10) ** 15:
        yield f"`{field.name}` must be a number above zero, and is {shown(value)}."


def _check_boolean(field: Field, value: Any) -> Iterator[str]:
    if not isinstance(value, bool):
        yield f"`{field.name}` must be true or false, and is {shown(value)}."


def _check_object(field: Field, value: Any) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"`{field.name}` must be an object, and is {shown(value)}."
    elif field.name == "headers":
        for name, text in value.items():
            if isinstance(text, dict | list) or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
                yield f"The header {shown(name)} must be a header's name with a text."
            elif isinstance(text, str) and re.search(r"[\r\n\0]", text):
                yield f"The header {shown(name)} must be one line."


def _check_list(field: Field, value: Any) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"`{field.name}` must be a list, or a template that comes to one, and is {shown(value)}."


def _check_jsonata(field: Field, value: Any) -> Iterator[str]:
    if not isinstance(value, str) or not value.strip() or len(value) > MOST_TEXT:
        yield f"`{field.name}` must be a JSONata expression, and is {shown(value)}."


def _check_condition(field: Field, value: Any) -> Iterator[str]:
    if not isinstance(value, bool | str | dict | list) or value in ("", {}, []):
        yield (
            f"`{field.name}` must be true or false, a template, `{{jsonata: …}}` or an object of operators, "
            f"and is {shown(value)}."
        )


def _check_cases(field: Field, value: Any) -> Iterator[str]:
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_CASES:
        yield f"`cases` must be a list of 1 to {MOST_CASES} cases `{{branch, condition}}`, and is {shown(value)}."
        return
    names: set[str] = set()
    for place, case in enumerate(value):
        if not isinstance(case, dict) or set(case) != {"branch", "condition"}:
            yield f"`cases[{place}]` must have a `branch` and a `condition`, and nothing else."
            continue
        branch = case["branch"]
        if not isinstance(branch, str) or not branch or len(branch) > 100 or is_template(branch):
            yield f"`cases[{place}].branch` must be a name of up to 100 characters, and is {shown(branch)}."
        elif branch == DEFAULT_CASE or branch in names:
            yield f"`cases[{place}].branch` {shown(branch)} is there already; `{DEFAULT_CASE}` needs no case."
        else:
            names.add(branch)
        yield from _check_condition(msgspec.structs.replace(field, name=f"cases[{place}].condition"), case["condition"])


def _check_statuses(field: Field, value: Any) -> Iterator[str]:
    several = value if isinstance(value, list) else [value]
    for each in several:
        if isinstance(each, bool) or not isinstance(each, int | str) or not _STATUS.fullmatch(str(each)):
            yield f"`{field.name}` must have statuses from 100 to 599, or classes as `2xx`; {shown(each)} is none."
    if not several:
        yield f"`{field.name}` must have a status, or a class as `2xx`."


def _check_any(field: Field, value: Any) -> Iterator[str]:
    yield from ()


def _is_within(field: Field, value: float) -> bool:
    return (field.low is None or value >= field.low) and (field.high is None or value <= field.high)


def _choices(field: Field) -> str:
    return ", ".join(f"`{choice}`" for choice in field.choices[:-1]) + f" or `{field.choices[-1]}`"


def _bounds(field: Field) -> str:
    return "" if field.low is None or field.high is None else f" from {field.low:g} to {int(field.high)}"


#: What a field of the kind has to be, in words: for messages and for the reference page.
_RIGHT: Final[dict[str, Callable[[Field], str]]] = {
    "text": lambda _: "a text",
    "choice": _choices,
    "integer": lambda field: f"an integer{_bounds(field)}",
    "seconds": lambda field: f"a number{_bounds(field)}",
    "moment": lambda _: "a moment",
    "decimal": lambda _: "a number above zero",
    "boolean": lambda _: "true or false",
    "object": lambda _: "an object",
    "list": lambda _: "a list",
    "jsonata": lambda _: "a JSONata expression",
    "condition": lambda _: "a condition",
    "cases": lambda _: f"a list of 1 to {MOST_CASES} cases",
    "statuses": lambda _: "a status or a list of them",
    "any": lambda _: "any JSON",
}

_CHECKS: Final[dict[str, Callable[[Field, Any], Iterator[str]]]] = {
    "text": _check_text,
    "choice": _check_choice,
    "integer": _check_integer,
    "seconds": _check_seconds,
    "moment": _check_moment,
    "decimal": _check_decimal,
    "boolean": _check_boolean,
    "object": _check_object,
    "list": _check_list,
    "jsonata": _check_jsonata,
    "condition": _check_condition,
    "cases": _check_cases,
    "statuses": _check_statuses,
    "any": _check_any,
}


def in_words(field: Field) -> str:
    """What a field has to be, for messages and for the reference page."""
    return _RIGHT[field.kind](field)


def check_literal(field: Field, value: Any) -> Iterator[str]:
    """What is wrong with a value that is no template."""
    yield from _CHECKS[field.kind](field, value)


# -- durations and moments, at saving and when a node is reached


def seconds(value: Any, field: str) -> float:
    """A duration in seconds: a number, or a text of one. Raises InvalidInput unless it is from 0 to 366 days."""
    number = math.nan
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        number = float(value) if 0 <= value <= MOST_SECONDS else math.inf
    elif isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        number = float(value)
    if not 0 <= number <= MOST_SECONDS:
        raise InvalidInput(
            f"`{field}` must be a number of seconds from 0 to {MOST_SECONDS} (366 days), and is {shown(value)}.",
            field=field,
        )
    return number


def moment_us(value: Any, field: str) -> int:
    """UTC microseconds of a moment: ISO 8601 with a time zone, or an epoch in seconds or milliseconds, as a number or
    a text. Raises InvalidInput for anything else, and for dates that do not exist."""
    if isinstance(value, str) and (match := _MOMENT.fullmatch(value.strip())):
        text = value.strip()
        if match[1] is None:
            text = f"{text[:16]}:00{text[16:]}"
        return parse_rfc3339(text, field=field)
    epoch = Decimal(-1)
    if isinstance(value, str) and _EPOCH.fullmatch(value.strip()):
        epoch = Decimal(value.strip())
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool) and 0 <= value <= MAX_US:
        epoch = Decimal(str(value))
    if 0 <= epoch <= MAX_US // 1000:
        return int(epoch * (1_000_000 if epoch < _FIRST_MILLISECONDS else 1000))
    raise InvalidInput(
        f"`{field}` must be a moment with its time zone, as 2026-03-10T12:00:00Z, or an epoch in seconds or "
        f"milliseconds, and is {shown(value)}.",
        field=field,
    )

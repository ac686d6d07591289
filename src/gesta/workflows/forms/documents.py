"""JSON and YAML texts as plain values, bounded in size, depth and number.

YAML is read by its safe loader with the types of JSON only: `no` and `2026-03-10` are texts, `12:30` is not 750. An
anchor may be used again; what it stands for counts every time. A key that is there twice is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from gesta.kernel.errors import InvalidInput, TooLarge
from gesta.kernel.json import decode_json
from gesta.workflows.graph.problems import shown

MOST_JSON_BYTES: Final = 1024 * 1024
MOST_YAML_BYTES: Final = 128 * 1024
MOST_DEPTH: Final = 48
MOST_VALUES: Final = 100_000
MOST_TEXT: Final = 2 * MOST_JSON_BYTES


def load(document: bytes | str | Mapping[str, Any]) -> dict[str, Any]:
    """The object that a JSON or YAML text holds, or that is given as one. Raises InvalidInput, TooLarge."""
    value: Any = _parsed(document) if isinstance(document, bytes | str) else document
    if not isinstance(value, Mapping):
        raise InvalidInput(f"A workflow is an object with its `nodes`, and this is {shown(value)}.", field="nodes")
    return _Plain().object_of(value, 0)


def _parsed(document: bytes | str) -> Any:
    raw = document.encode(errors="surrogatepass") if isinstance(document, str) else document
    if len(raw) > MOST_JSON_BYTES:
        raise TooLarge(f"A workflow has at most {MOST_JSON_BYTES} bytes, and this has {len(raw)}.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput("A workflow is written in UTF-8, and this is not.") from None
    if text.lstrip()[:1] == "{":
        return decode_json(text)
    if len(raw) > MOST_YAML_BYTES:
        raise TooLarge(f"A workflow in YAML has at most {MOST_YAML_BYTES} bytes, and this has {len(raw)}.")
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a safe loader with fewer types
    except yaml.YAMLError as error:
        raise InvalidInput(f"This is neither JSON nor YAML: {_why(error)}") from None
    except RecursionError:
        raise InvalidInput("The YAML is nested too deeply.") from None


def _why(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{getattr(error, 'problem', None) or 'it cannot be read'}{where}."[:300]


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: Final[dict[str, Any]] = {}  # type: ignore[misc]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {shown(key.value)} is there twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,17})", list("-+0123456789")),
    ("float", r"[-+]?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,30})?(?:[eE][-+]?[0-9]{1,3})?", list("-+0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$", re.ASCII), _first)


class _Plain:
    """A copy with JSON's types only, counted."""

    def __init__(self) -> None:
        self.values = 0
        self.text = 0

    def of(self, value: Any, depth: int) -> Any:
        self.values += 1
        if self.values > MOST_VALUES:
            raise InvalidInput(f"A workflow may hold {MOST_VALUES} values.")
        if depth > MOST_DEPTH:
            raise InvalidInput(f"A workflow may be nested {MOST_DEPTH} levels deep.")
        match value:
            case None | bool():
                return value
            case str():
                return self.text_of(value)
            case int():
                if not -(2**63) <= value < 2**63:
                    raise InvalidInput(f"{shown(value)} is beyond 64 bits; write it as a text.")
                return value
            case float():
                if not math.isfinite(value):
                    raise InvalidInput(f"{value} is no number of JSON.")
                return value
            case Mapping():
                return self.object_of(value, depth)
            case list() | tuple():
                return [self.of(each, depth + 1) for each in value]
        raise InvalidInput(f"{shown(value)} is nothing that JSON can hold.")

    def object_of(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for key, each in value.items():
            if isinstance(key, bool) or not isinstance(key, str | int):
                raise InvalidInput(f"A key is a text, and {shown(key)} is none.")
            name = self.text_of(str(key) if isinstance(key, str) or abs(key) < 10**20 else "")
            plain[name] = self.of(each, depth + 1)
        return plain

    def text_of(self, text: str) -> str:
        self.text += len(text)
        if self.text > MOST_TEXT:
            raise InvalidInput(f"A workflow may hold {MOST_TEXT} characters of text.")
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise InvalidInput(f"The text {shown(text)} has a NUL or half a character in it.")
        return text

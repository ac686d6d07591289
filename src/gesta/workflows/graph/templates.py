"""Templates: `{{…}}` within texts, in Gesta's own spelling and in both vendors' (docs/reference/expressions.md).

A template is one path, or several with fallbacks: `{{quote.price || input.price || 0}}`. A path is a first word and
then keys and positions: `.name`, `.0`, `[0]`, `["any key"]`. Keys are looked up in objects and positions in lists, and
nowhere else: there is no attribute, no call, no operator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from gesta.kernel.json import encode_json
from gesta.workflows.graph.expressions import ExpressionError, Scope
from gesta.workflows.graph.template_reader import MOST_TEMPLATES, Path, Template, parts_of
from gesta.workflows.graph.template_values import STARTS, WORDS, value_of

#: How deep a configuration may be nested.
MOST_DEPTH: Final = 64
#: How much text may come of one configuration, in characters.
MOST_TEXT: Final = 1024 * 1024
#: How much JSON may come of the values that are put in whole, in bytes.
MOST_VALUES: Final = 4 * 1024 * 1024


def render(template: Any, scope: Scope) -> Any:
    """A template, or a configuration with templates anywhere in its texts, with everything filled in.

    A text that is exactly one template becomes what it names, with its type. Within other text a value is printed: a
    text as it is, null as nothing, true and false so, numbers in decimal, objects and lists as compact JSON. The keys
    of objects are left as they are. Nothing that was given is changed. Raises ExpressionError, which names the template
    and what is missing, or the bound that is passed.
    """
    try:
        return _Rendering(scope).filled(template, 0)
    except RecursionError:
        raise ExpressionError("What a template names is nested too deeply.") from None


class _Rendering:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.templates = 0
        self.text = 0
        self.values = 0

    def filled(self, template: Any, depth: int) -> Any:
        if depth > MOST_DEPTH:
            raise ExpressionError(f"A configuration may be nested {MOST_DEPTH} deep at most.")
        if isinstance(template, str):
            return self.filled_text(template)
        if isinstance(template, Mapping):
            return {key: self.filled(value, depth + 1) for key, value in template.items()}
        if isinstance(template, list | tuple):
            return [self.filled(value, depth + 1) for value in template]
        return template

    def filled_text(self, text: str) -> Any:
        parts = parts_of(text)
        if len(parts) == 1 and isinstance(parts[0], Template):
            return self.weighed(self.valued(parts[0]))
        if not any(isinstance(part, Template) for part in parts):
            return text
        printed: list[str] = []
        for part in parts:
            word = part if isinstance(part, str) else printed_value(self.valued(part))
            self.text += len(word)
            if self.text > MOST_TEXT:
                raise ExpressionError(f"More than {MOST_TEXT} characters come of the templates.")
            printed.append(word)
        return "".join(printed)

    def valued(self, template: Template) -> Any:
        self.templates += 1
        if self.templates > MOST_TEMPLATES:
            raise ExpressionError(f"A configuration may have {MOST_TEMPLATES} templates at most.")
        return value_of(template, self.scope)

    def weighed(self, value: Any) -> Any:
        if isinstance(value, str):
            self.values += len(value)
        elif isinstance(value, Mapping | list | tuple):
            self.values += len(_encoded(value))
        if self.values > MOST_VALUES:
            raise ExpressionError(f"More than {MOST_VALUES} bytes of values come of the templates.")
        return value


def printed_value(value: Any) -> str:
    """As it stands within other text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:f}" if isinstance(value, Decimal) and abs(value.adjusted()) < 100 else _encoded(value).strip('"')


def _encoded(value: Any) -> str:
    try:
        return encode_json(value).decode()
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        raise ExpressionError("A template names a value that JSON cannot hold.") from None


# -- looking at a configuration before there is a run


def check(template: Any) -> None:
    """Whether every template in a configuration can be read. Raises ExpressionError for the first that cannot."""
    for _ in templates_in(template):
        pass


def references(template: Any) -> frozenset[str]:
    """The ids of the nodes that a configuration's templates name, those of conditions among them.

    What the run was started with (`start`, `root`, `$trigger`, `input`) is always there, and is not among them; nor is
    what a text under the key `jsonata` names. Raises ExpressionError as `check` does.
    """
    found: set[str] = set()
    for part in templates_in(template):
        for choice in part.choices:
            if isinstance(choice, Path):
                first: str | int = choice.first
                if first in ("nodes", "$nodes") and choice.keys:
                    first = choice.keys[0]
                elif first in WORDS:
                    continue
                name = str(first)
                if name not in STARTS and not name.startswith("$"):
                    found.add(name)
    return frozenset(found)


def templates_in(config: Any) -> Iterator[Template]:
    """Every template of a configuration, of the keys of its objects too."""
    count = 0
    for text in _texts(config, 0):
        for part in parts_of(text):
            if isinstance(part, Template):
                count += 1
                if count > MOST_TEMPLATES:
                    raise ExpressionError(f"A configuration may have {MOST_TEMPLATES} templates at most.")
                yield part


def _texts(config: Any, depth: int) -> Iterator[str]:
    if depth > MOST_DEPTH:
        raise ExpressionError(f"A configuration may be nested {MOST_DEPTH} deep at most.")
    if isinstance(config, str):
        yield config
    elif isinstance(config, Mapping):
        for key, value in config.items():
            if isinstance(key, str):
                yield key
            # JSONata writes two braces together where a function gives an object.
            if not (key == "jsonata" and isinstance(value, str)):
                yield from _texts(value, depth + 1)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _texts(value, depth + 1)

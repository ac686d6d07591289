"""Reads what is written between `{{` and `}}`: paths, fallbacks and literals (docs/reference/expressions.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NoReturn

import msgspec

from gesta.workflows.graph.expressions import ExpressionError

#: How long one `{{…}}` may be, in characters.
MOST_TEMPLATE: Final = 2_000
#: How many `{{…}}` one configuration may have.
MOST_TEMPLATES: Final = 1_000
#: How many keys one path may have.
MOST_KEYS: Final = 64

_OPEN: Final = "{{"
_BLANK: Final = re.compile(r"\s*")
_NAME: Final = re.compile(r"[^\s.\[\]{}|\"']+")
_NUMBER: Final = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?(?=\s|\}|\|)")
_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*"' + r"|'[^']*'", re.DOTALL)
_POSITION: Final = re.compile(r"\[\s*([0-9]{1,9})\s*\]")
_KEY: Final = re.compile(r"\[\s*(" + _TEXT.pattern + r")\s*\]", re.DOTALL)
_CONSTANTS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None}
_CACHED_TEXT: Final = 4_096


class Literal(msgspec.Struct, frozen=True):
    """A value that is written in the template itself."""

    value: Any


class Path(msgspec.Struct, frozen=True):
    """A first word, and the keys and positions after it."""

    first: str
    keys: tuple[str | int, ...] = ()


class Template(msgspec.Struct, frozen=True):
    """One `{{…}}`: the first choice that is there and not null, as it stands in `source`."""

    source: str
    choices: tuple[Literal | Path, ...]


Part = str | Template


def parts_of(text: str) -> tuple[Part, ...]:
    """A text as what stands between its templates, and the templates. Raises ExpressionError."""
    if _OPEN not in text:
        return (text,) if text else ()
    return _cached_parts(text) if len(text) <= _CACHED_TEXT else _parts(text)


def _parts(text: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    at = 0
    while (found := text.find(_OPEN, at)) >= 0:
        if found > at:
            parts.append(text[at:found])
        template, at = _Reader(text, found).template()
        parts.append(template)
        if len(parts) > 2 * MOST_TEMPLATES:
            raise ExpressionError(f"A text may have {MOST_TEMPLATES} templates at most.")
    if at < len(text):
        parts.append(text[at:])
    return tuple(parts)


_cached_parts = lru_cache(maxsize=1024)(_parts)


class _Reader:
    """Reads the template that begins at `begin`."""

    def __init__(self, text: str, begin: int) -> None:
        self.text = text
        self.begin = begin
        self.at = begin + len(_OPEN)
        self.end = min(len(text), begin + MOST_TEMPLATE)

    def template(self) -> tuple[Template, int]:
        """It, and where it ends."""
        choices = [self.choice()]
        while self.comes("||"):
            choices.append(self.choice())
        if not self.comes("}}"):
            self.refuse()
        return Template(self.text[self.begin : self.at], tuple(choices)), self.at

    def choice(self) -> Literal | Path:
        if text := self.match(_TEXT):
            return Literal(_unquoted(text[0], self))
        if number := self.match(_NUMBER):
            return Literal(float(number[0]) if number[1] else int(number[0]))
        word = self.match(_NAME)
        if word is None:
            self.refuse("It begins with no name." if self.at < len(self.text) else "")
        keys = tuple(self.keys())
        if not keys and word[0] in _CONSTANTS:
            return Literal(_CONSTANTS[word[0]])
        return Path(word[0], keys)

    def keys(self) -> Iterator[str | int]:
        for count in range(MOST_KEYS + 1):
            if position := self.match(_POSITION, blanks=False):
                key: str | int = int(position[1])
            elif quoted := self.match(_KEY, blanks=False):
                key = _unquoted(quoted[1], self)
            elif self.text.startswith(".", self.at, self.end):
                self.at += 1
                name = self.match(_NAME, blanks=False)
                if name is None:
                    self.refuse("A name must follow each point.")
                key = name[0]
            else:
                return
            if count == MOST_KEYS:
                self.refuse(f"A path may have {MOST_KEYS} keys at most.")
            yield key

    def match(self, pattern: re.Pattern[str], *, blanks: bool = True) -> re.Match[str] | None:
        at = self.blank() if blanks else self.at
        found = pattern.match(self.text, at, self.end)
        if found:
            self.at = found.end()
        return found

    def comes(self, word: str) -> bool:
        at = self.blank()
        if not self.text.startswith(word, at, self.end):
            return False
        self.at = at + len(word)
        return True

    def blank(self) -> int:
        found = _BLANK.match(self.text, self.at, self.end)
        return found.end() if found else self.at

    def refuse(self, why: str = "") -> NoReturn:
        closed = self.text.find("}}", self.begin, self.end)
        shown = shortened(self.text[self.begin : self.end if closed < 0 else closed + 2])
        if self.blank() >= self.end:
            over = self.end - self.begin >= MOST_TEMPLATE
            why = f"It is longer than {MOST_TEMPLATE} characters." if over else "It is not closed by `}}`."
        elif not why:
            why = f"`{shortened(self.text[self.blank() : self.end], 20)}` cannot stand where it stands."
        raise ExpressionError(
            f"`{shown}` is not a template. {why} A path is meant, as in `{{{{node.key[0]}}}}`; for the two braces "
            'themselves, write `{{"{{"}}`.'
        )


def _unquoted(text: str, reader: _Reader) -> str:
    if text.startswith("'"):
        return text[1:-1]
    try:
        return msgspec.json.decode(text, type=str)
    except (msgspec.DecodeError, UnicodeError):
        reader.refuse(f"`{shortened(text, 40)}` is not a text of JSON.")


def shortened(text: str, most: int = 120) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"

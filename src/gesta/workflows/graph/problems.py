"""What is wrong with a definition, all of it at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import msgspec

from gesta.kernel.errors import InvalidInput

#: More than these are counted only: a message is for reading.
MOST_TOLD = 50


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """`node` is an id, or empty for the definition's own fields. `message` says what would be right."""

    node: str
    field: str
    message: str

    @property
    def text(self) -> str:
        return f"Node `{self.node}`: {self.message}" if self.node else self.message


def refuse(problems: Iterable[Problem]) -> None:
    """Raises InvalidInput if there are any: its message tells the first, `details["problems"]` has them all."""
    found = list(dict.fromkeys(problems))
    if not found:
        return
    first, more = found[0], len(found) - 1
    message = first.text + (f" ({more} more problem{'s' if more > 1 else ''}.)" if more else "")
    field = ".".join(filter(None, (f"nodes.{first.node}" if first.node else "", first.field)))
    told = [msgspec.to_builtins(problem) for problem in found[:MOST_TOLD]]
    raise InvalidInput(message, field=field, problems=told)


def shown(value: object, most: int = 60) -> str:
    """A caller's value within a message, cut."""
    # Digits beyond what Python prints at once; no such number is right anywhere.
    text = "a huge number" if isinstance(value, int) and abs(value) >= 10**100 else repr(value)
    return text if len(text) <= most else f"{text[:most]}…"


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean …?`, or nothing."""
    close = difflib.get_close_matches(name[:60], sorted(known), n=1)
    return f" Did you mean `{close[0]}`?" if close else ""

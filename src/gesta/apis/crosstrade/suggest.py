"""`did_you_mean`: the closest known path or command. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

_LONGEST = 256


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word most like `word`, without regard to case; of equals the first. `known` is not empty."""
    wanted = word[:_LONGEST].casefold()
    return max(known, key=lambda candidate: SequenceMatcher(None, wanted, candidate.casefold()).ratio())


def nearest_path(path: str, templates: Iterable[str]) -> str:
    """The template most like `path`, with the caller's own segments where the template has `{names}`.

    `/v1/api/accounts/Sim101/execution` gives `/v1/api/accounts/Sim101/executions`.
    """
    segments = path[:_LONGEST].split("/")
    return nearest(path, [_filled(template, segments) for template in templates])


def _filled(template: str, segments: list[str]) -> str:
    parts = template.split("/")
    given = [*segments, *[""] * len(parts)]
    return "/".join((mine if mine and part.startswith("{") else part) for part, mine in zip(parts, given, strict=False))

"""`did_you_mean`: the closest known path or command. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Final

_LONGEST = 256

# Calls that callers invent (protocols/crosstrade.md §7), and the one that does what they want. `{0}` is the account,
# `{1}` the id, where the invented path has them.
_INVENTED: Final = tuple(
    (frozenset(methods.split()), re.compile(pattern, re.ASCII), meant)
    for methods, pattern, meant in (
        ("GET", r"/v1/api/orders?", "/v1/api/accounts/{{account}}/orders"),
        ("POST PUT", r"/v1/api/orders?(?:/place)?", "/v1/api/accounts/{{account}}/orders/place"),
        ("DELETE", r"/v1/api/orders?", "/v1/api/orders/cancelall"),
        ("DELETE", r"/v1/api/positions?", "/v1/api/positions/flatten"),
        ("POST PUT", r"/v1/api/accounts/([^/]+)/orders?", "/v1/api/accounts/{0}/orders/place"),
        ("DELETE", r"/v1/api/accounts/([^/]+)/orders?", "/v1/api/accounts/{0}/orders/cancel"),
        ("DELETE", r"/v1/api/accounts/([^/]+)/orders?/([^/]+)", "/v1/api/accounts/{0}/orders/{1}/cancel"),
        ("PUT PATCH", r"/v1/api/accounts/([^/]+)/orders?/([^/]+)", "/v1/api/accounts/{0}/orders/{1}/change"),
        ("DELETE", r"/v1/api/accounts/([^/]+)/positions?(?:/[^/]+)?", "/v1/api/accounts/{0}/positions/close"),
        ("GET", r"/v1/api/accounts/([^/]+)/fills?", "/v1/api/accounts/{0}/executions"),
        ("GET", r"/v1/api/accounts/([^/]+)/orders?/([^/]+)/fills?", "/v1/api/accounts/{0}/orders/{1}/executions"),
    )
)


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word most like `word`, without regard to case; of equals the first. `known` is not empty."""
    wanted = word[:_LONGEST].casefold()
    return max(known, key=lambda candidate: SequenceMatcher(None, wanted, candidate.casefold()).ratio())


def nearest_call(method: str, path: str, templates: Iterable[str]) -> str:
    """The path that a call of `method` and `path` meant: of the invented ones by the table, else the nearest."""
    for methods, pattern, meant in _INVENTED:
        match = pattern.fullmatch(path[:_LONGEST]) if method in methods else None
        if match is not None:
            return meant.format(*match.groups())
    return nearest_path(path, templates)


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

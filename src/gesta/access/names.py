"""What may be a name, and when two names are the same. Pure."""

from __future__ import annotations

import unicodedata
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gesta.kernel.errors import InvalidInput

NAME_LIMIT = 256
# Controls, lone surrogates (no UTF-8 form), line and paragraph separators.
_REFUSED = frozenset({"Cc", "Cs", "Zl", "Zp"})


def possible(name: str, limit: int = NAME_LIMIT) -> bool:
    """1 to `limit` characters, not all blank, none of them a control character."""
    if not 1 <= len(name) <= limit or name.isspace():
        return False
    return (name.isascii() and name.isprintable()) or not any(unicodedata.category(c) in _REFUSED for c in name)


def name_key(name: str) -> str:
    """Equal for names that differ only in case or in how an accent is composed."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def checked_name(name: str, *, field: str, limit: int = NAME_LIMIT) -> str:
    """The name, unchanged. Raises InvalidInput."""
    if not possible(name, limit):
        raise InvalidInput(
            f"`{field}` must have 1 to {limit} characters, not only blanks and no control characters.", field=field
        )
    return name


def checked_username(name: str) -> str:
    """A Basic username: RFC 7617 allows no colon in it. Raises InvalidInput."""
    if ":" in checked_name(name, field="username", limit=128):
        raise InvalidInput("`username` must not contain a colon.", field="username")
    return name


def checked_label(label: str) -> str:
    """A label may be empty. Raises InvalidInput."""
    return label if label == "" else checked_name(label, field="label")


def checked_time_zone(name: str) -> str:
    """An IANA zone such as America/Chicago. Raises InvalidInput."""
    try:
        ZoneInfo(checked_name(name, field="time_zone", limit=64))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(f"{name!r} is not a time zone like America/Chicago.", field="time_zone") from None
    return name

"""One comparable form for names of applications, wherever they are compared."""

from __future__ import annotations

MOST_SLUG = 128


def slug_of(name: str) -> str:
    """The comparable form of an application's slug or name: letters and digits only, without case, at most 128.

    `Google Sheets`, `google-sheets` and `google_sheets` are one application.
    """
    return "".join(character for character in name.casefold() if character.isalnum())[:MOST_SLUG]

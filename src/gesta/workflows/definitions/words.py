"""A workflow's own words: what they may be, and how a draft changes them. Pure."""

from __future__ import annotations

import msgspec

from gesta.kernel.errors import InvalidInput, TooLarge
from gesta.ledger.records import Named
from gesta.workflows.face import Draft, Visibility, WorkflowView
from gesta.workflows.graph.definition import Definition
from gesta.workflows.graph.problems import shown
from gesta.workflows.runs.rows import encoder

MOST_NAME = 256
MOST_ALIAS = 128
MOST_SLUG = 128
MOST_DESCRIPTION = 10_000
MOST_DEFINITION_BYTES = 4 * 1024 * 1024
#: Of one organization, the archived ones too.
MOST_WORKFLOWS = 100_000
#: Of one workflow.
MOST_VERSIONS = 1_000
MOST_SEARCH = 256
MOST_PAGE = 1_000
UNNAMED = "Workflow"


def definition_bytes(definition: Definition) -> bytes:
    """As it is stored. Raises TooLarge."""
    data = encoder.encode(definition)
    if len(data) > MOST_DEFINITION_BYTES:
        raise TooLarge(f"A definition may have {MOST_DEFINITION_BYTES} bytes, and this has {len(data)}.")
    return data


def check_words(draft: Draft) -> None:
    """Raises InvalidInput for a word that cannot be."""
    for field, most in (("name", MOST_NAME), ("alias", MOST_ALIAS), ("slug", MOST_SLUG)):
        word = getattr(draft, field)
        if word is None:
            continue
        if len(word) > most or not word.isprintable():
            message = f"`{field}` may have {most} printable characters, and is {shown(word)}."
            raise InvalidInput(message, field=field)
    if draft.name is not None and not draft.name.strip():
        raise InvalidInput("`name` must not be empty.", field="name")
    alias = draft.alias or ""
    if alias != alias.strip() or "/" in alias:
        raise InvalidInput("`alias` has no slash, and no space at its ends.", field="alias")
    description = draft.description or ""
    if len(description) > MOST_DESCRIPTION or "\0" in description:
        message = f"`description` may have {MOST_DESCRIPTION} characters, and no NUL."
        raise InvalidInput(message, field="description")
    if draft.application is not None:
        _check_named(draft.application)


def _check_named(named: Named) -> None:
    for word in (named.id, named.name, named.icon):
        if word is not None and (len(word) > MOST_NAME * 8 or not word.isprintable()):
            raise InvalidInput("`application` has printable texts of a reasonable length.", field="application")


def with_draft(view: WorkflowView, draft: Draft, account: int) -> WorkflowView:
    """What the draft says; None keeps what is there. `account` is the caller's own, 0 for one of the whole
    organization: private is what belongs to an account."""
    changes = {
        field: value
        for field in ("name", "alias", "slug", "description", "visibility", "application")
        if (value := getattr(draft, field)) is not None
    }
    if draft.is_private:
        changes["visibility"] = Visibility.PRIVATE
    if changes.get("visibility") is Visibility.PRIVATE and not view.account:
        changes["account"] = account
    return msgspec.structs.replace(view, **changes)


def pattern_of(search: str) -> str:
    """What LIKE finds it by, anywhere and without case; nothing for nothing."""
    word = search.strip().lower()
    for special in "!%_":
        word = word.replace(special, f"!{special}")
    return f"%{word}%" if word else ""

"""The secret of a workflow's inbound webhook. Pure.

What is kept is a hash of it and its beginning, the hint, which is random. The rest follows from the hint, the workflow
and a key of the installation: so it can be had again to check a signature, and is stored nowhere.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from gesta.kernel.ids import IdSource, hex_id

#: What `Access.derived_key` is asked for.
PURPOSE: Final = "workflow-hooks"
PREFIX: Final = "gwh_"
HINT_DIGITS: Final = 16
SECRET_DIGITS: Final = 48


def new_hint(ids: IdSource) -> str:
    return PREFIX + hex_id(ids, HINT_DIGITS)


def secret_of(key: bytes, organization: int, workflow_id: str, hint: str) -> str:
    said = f"{organization}:{workflow_id}:{hint}".encode()
    return hint + hmac.new(key, said, hashlib.sha256).hexdigest()[:SECRET_DIGITS]


def hook_hash(word: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(word.encode("utf-8", "replace")).digest()


def had_again(key: bytes, organization: int, workflow_id: str, hint: str, kept: bytes | None) -> str | None:
    """The secret that is kept as a hash. None for a workflow without one, and for one that was made at random, before
    there were signatures: that one is known only to who has it."""
    made = secret_of(key, organization, workflow_id, hint)
    return made if kept is not None and hmac.compare_digest(hook_hash(made), kept) else None

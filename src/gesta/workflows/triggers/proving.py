"""Whether who calls an inbound webhook knows its secret: by showing it, or by signing with it."""

from __future__ import annotations

import hmac

from gesta.access.face import Access
from gesta.kernel.clock import Clock
from gesta.kernel.errors import NotFound, Unauthenticated
from gesta.storage.program import Database
from gesta.workflows.definitions import rows as definitions
from gesta.workflows.definitions.hook_secrets import PURPOSE, had_again, hook_hash
from gesta.workflows.definitions.rows import WorkflowRow
from gesta.workflows.face import Signed, WorkflowStatus
from gesta.workflows.hooks.signing import SIGNATURE, TOLERANCE_S, claim_of, proof, refused
from gesta.workflows.triggers.schedules import US
from gesta.workflows.triggers.starting import Once

# Of a workflow that is not there: compared all the same, so that the answer takes as long.
_NO_HASH = b"\0" * 32


class Proofs:
    def __init__(self, *, database: Database, access: Access, clock: Clock) -> None:
        self._database = database
        self._access = access
        self._clock = clock

    async def of(self, word: str, secret: str | None, signed: Signed | None) -> tuple[WorkflowRow, Once | None]:
        """The workflow whose secret was shown, or signed with, and by what the signature is known again.

        Who shows no secret is told only what does not depend on it: that a signature is malformed or stale, and
        otherwise that it is wrong, whether there is such a workflow or not. Raises NotFound for a secret that is
        wrong, Unauthenticated for a signature that is, or where there is neither.
        """
        if secret is None and signed is None:
            raise Unauthenticated(f"Send the webhook's secret, or sign with it: `{SIGNATURE}`.", reason="missing")
        row = await self._open(word)
        if secret is not None:
            expected = _NO_HASH if row is None or row.hook_hash is None else row.hook_hash
            is_right = hmac.compare_digest(hook_hash(secret), expected)
            if row is None or not is_right:
                raise NotFound(f"There is no webhook of workflow {word[:128]} with this secret.", what="workflow")
        once = None
        if signed is not None:
            claim = claim_of(signed.header, self._clock.now_us())
            known = secret if secret is not None else await self._secret(row)
            proved = proof(claim, known or "", signed.body)
            if known is None or not proved:
                raise refused("The signature is not this webhook's over this body, or there is no such webhook.")
            # From then on the signature is refused as stale.
            once = Once(key=proved, until_us=(claim.at_s + TOLERANCE_S + 1) * US)
        assert row is not None
        return row, once

    async def _open(self, word: str) -> WorkflowRow | None:
        if "\0" in word or not word.isascii():
            return None
        row = await self._database.read(lambda: definitions.find_anywhere(word), snapshot=False)
        return None if row is None or row.view.status is WorkflowStatus.ARCHIVED else row

    async def _secret(self, row: WorkflowRow | None) -> str | None:
        key = await self._access.derived_key(PURPOSE)
        if row is None:
            return had_again(key, 0, "", "", None)
        return had_again(key, row.view.organization, row.view.id, row.view.hook_secret_hint, row.hook_hash)

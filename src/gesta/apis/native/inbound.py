"""The address of workflows' inbound webhooks: no credential of Gesta's, but the secret, or a signature under it."""

from __future__ import annotations

import hashlib

from starlette.requests import Request
from starlette.responses import Response

from gesta.apis.common.services import Services
from gesta.apis.native.auth import one_header
from gesta.apis.native.bodies import JSON, content_type, read_body
from gesta.apis.native.codec import check_json
from gesta.apis.native.definitions import answer
from gesta.apis.native.params import parse_query
from gesta.apis.native.stream import BUCKET
from gesta.kernel.errors import InvalidInput, NotFound, Unauthenticated
from gesta.kernel.json import decode_json
from gesta.workflows.face import Signed

PATH = "/ledger/hooks"
SECRET = "x-webhook-secret"  # noqa: S105 - the name of a header
SIGNATURE = "gesta-signature"
KEY = "idempotency-key"
MAX_SECRET = 256


class HookRoutes:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def hook(self, request: Request) -> Response:
        """Start a run with what is posted. Nothing of the secret is in the address."""
        workflow = str(request.path_params["workflow_id"])
        self._admit(request, workflow)
        parse_query(request.scope["query_string"], {})
        secret, key = one_header(request, SECRET), one_header(request, KEY)
        header = ",".join(request.headers.getlist(SIGNATURE))
        body = await read_body(request, self._services.limits)
        payload = None
        if body:
            content_type(request, JSON)
            payload = decode_json(body)
            check_json(payload, "body")
        if secret is not None and len(secret) > MAX_SECRET:
            raise _unknown()
        if key is not None and (not 0 < len(key) <= MAX_SECRET or not key.isprintable()):
            raise InvalidInput("`Idempotency-Key` has 1 to 256 characters.", field="Idempotency-Key", where="header")
        signed = Signed(header, body) if header else None
        try:
            started = await self._services.runs_workflows.triggers.hook(
                workflow, secret, payload, key=key, signed=signed
            )
        except NotFound:
            raise _unknown() from None
        return answer({"run_id": started.execution.id}, 201)

    def _admit(self, request: Request, workflow: str) -> None:
        """Of one address and workflow, beyond every credential's number: nobody uses up what others may call."""
        address = request.client.host if request.client is not None else ""
        digest = hashlib.sha256(f"{address}\n{workflow}".encode("utf-8", "replace")).digest()
        self._services.access.admit(BUCKET, int.from_bytes(digest[:8]) | 1 << 64)


def _unknown() -> Unauthenticated:
    # One answer for both: nobody learns without the secret whether there is such a workflow.
    return Unauthenticated("The secret is not this webhook's, or there is no such webhook.")

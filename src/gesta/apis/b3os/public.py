"""`/v1/public` and `/v1/webhooks`: without an API key (protocols/b3os.md §4.6–4.8, §7)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gesta.apis.b3os.bodies import anything, new_execution, posted, read_raw
from gesta.apis.b3os.codec import (
    DIALECT,
    PUBLIC_FIELDS,
    RUN_PREFIX,
    encode,
    encode_public,
    workflow_word,
)
from gesta.apis.b3os.codec_runs import encode_public_workflow
from gesta.apis.b3os.door import Door, stranger, success
from gesta.apis.b3os.executions import request_of
from gesta.apis.b3os.parameters import MAX_TOKEN, EventsQuery, path_id, path_word, token_of
from gesta.apis.b3os.stream import Streams
from gesta.kernel.errors import InvalidInput, NotFound, Unauthenticated
from gesta.ledger.records import Event, Execution
from gesta.workflows.face import Signed, Started, StartRun

PUBLIC_BUCKET = "b3os_public"
SIGNATURE = "Gesta-Signature"


def created_publicly(started: Started) -> dict[str, Any]:
    """As `created`, with no more of the execution than its client token shows: the other fields are null."""
    shown = encode(started.execution, organization="")
    execution = {field: value if field in PUBLIC_FIELDS else None for field, value in shown.items()}
    made = {"clientToken": started.client_token, "execution": execution}
    return made if started.checkout_url is None else made | {"checkoutUrl": started.checkout_url}


def _publicly(asked: StartRun) -> StartRun:
    """Idempotency keys of strangers are apart from those of the organization: nobody takes a key away from it, or is
    given an execution that it has made."""
    if asked.key is None:
        return asked
    attributes = {**asked.attributes, "idempotency_key": asked.key}
    key = f"public:{hashlib.sha256(asked.key.encode()).hexdigest()}"
    return msgspec.structs.replace(asked, key=key, attributes=attributes)


class Public:
    def __init__(self, door: Door, streams: Streams) -> None:
        self._door = door
        self._streams = streams

    async def workflow(self, request: Request) -> Response:
        """What everybody may know of a `public_view` or `public_execute` workflow."""
        self._door.admit_address(DIALECT, request)
        view, version = await self._door.workflows.definitions.public(self._door.workflow_word(request))
        return success(request, encode_public_workflow(view, version))

    async def create(self, request: Request) -> Response:
        """An execution of a `public_execute` workflow."""
        workflow = workflow_word(path_word(request.path_params["id"], "workflow"))
        self._door.admit_address(PUBLIC_BUCKET, request, workflow)
        body = new_execution(await posted(request), workflow_id=workflow)
        started = await self._door.workflows.runs.start_public(workflow, _publicly(request_of(body)))
        return success(request, created_publicly(started))

    async def get(self, request: Request) -> Response:
        """What the client token shows of its execution."""
        execution = await self._execution(request)
        events = await self._door.events(stranger(execution.organization), execution, EventsQuery())
        return success(request, encode_public(execution, events))

    async def stream(self, request: Request) -> Response:
        """The same as a stream: all of it, then each change."""
        execution = await self._execution(request)

        async def show(execution: Execution, events: Sequence[Event], is_whole: bool) -> dict[str, Any]:
            return encode_public(execution, events)

        async def allowed() -> None:
            """A client token stays good as long as its execution does."""

        principal = stranger(execution.organization)
        return await self._streams.open(request, principal, execution.id, word="execution", show=show, allowed=allowed)

    async def _execution(self, request: Request) -> Execution:
        self._door.admit_address(DIALECT, request)
        id = path_id(request.path_params["id"])
        token = token_of(request.query_params, "token")
        try:
            return await self._door.workflows.runs.run_of_token(id, token)
        except (NotFound, Unauthenticated):
            # One answer for both: nobody learns without the token whether there is such an execution.
            raise Unauthenticated(
                "The token is not this execution's, or there is no such execution.", reason="client_token"
            ) from None

    async def webhook(self, request: Request) -> Response:
        """A run by its workflow's inbound webhook. The secret in the address is the workflow's id, a dot, and what
        `POST /v1/workflows/{id}/webhook-secret` gave. With a `Gesta-Signature` the workflow's id is enough."""
        given = request.path_params["workflowSecret"]
        self._door.admit_address(DIALECT, request)
        header = ",".join(request.headers.getlist(SIGNATURE))
        workflow, dot, secret = given.partition(".")
        is_told = bool(secret) or (bool(header) and not dot)
        if not workflow or not is_told or len(given) > MAX_TOKEN or not given.isprintable():
            raise NotFound("There is no such webhook.", what="workflow")
        raw = await read_raw(request)
        key = request.headers.get("idempotency-key")
        if key is not None and not 0 < len(key) <= MAX_TOKEN // 2:
            raise InvalidInput("`Idempotency-Key` has 1 to 256 characters.", field="Idempotency-Key", where="header")
        started = await self._door.workflows.triggers.hook(
            workflow_word(workflow),
            secret or None,
            anything(request, raw),
            key=key,
            signed=Signed(header, raw) if header else None,
        )
        return success(request, {"action": "triggered", "runId": RUN_PREFIX + started.execution.id})


__all__ = ["Public"]

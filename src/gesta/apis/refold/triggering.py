"""Named events and inbound webhooks start workflows (protocols/refold.md §5)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Scope as Right
from gesta.apis.common.services import Services
from gesta.apis.refold import listing
from gesta.apis.refold.auth import BUCKET
from gesta.apis.refold.calls import enter, is_object_id, json_answer, json_of, read_body, text_in, word_of
from gesta.apis.refold.errors import HookRefused, HookUnsigned, InvalidEvent, MissingField, UnsupportedMediaType
from gesta.kernel.errors import InvalidInput, NotFound, TooLarge, Unauthenticated
from gesta.workflows.face import EventIn, Signed

FIRED = "Webhook Fired Success"
MAX_HOOK_BYTES = 1024 * 1024
MAX_PARTS = 20
JSON = "application/json"
MULTIPART = "multipart/form-data"
KEY_HEADER = "idempotency-key"
HOOK_HEADER = "x-webhook-secret"
SIGNATURE_HEADER = "gesta-signature"
# Addresses of webhooks are limited by a bucket each, which no credential can have.
_BUCKETS = 65_536


class Triggering:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def event(self, request: Request) -> Response:
        """`slug`, in the path or a header, is the application whose event it is."""
        caller = await enter(self._services.access, request)
        caller.principal.require(Right.RUN)
        slug = str(request.path_params.get("slug") or "") or word_of(request, caller.query, "slug")
        posted = await _read_event(request)
        event = text_in(posted, "event") or text_in(posted, "trigger")
        if not event:
            raise MissingField("event")
        key = text_in(posted, "dedup_key") or word_of(request, caller.query, KEY_HEADER) or None
        taken = await self._services.runs_workflows.triggers.event(
            caller.principal,
            EventIn(event=event, application=slug, payload=posted.get("payload", {}), key=key),
        )
        if not (taken.started or taken.woken or taken.duplicates):
            raise InvalidEvent()
        return json_answer(
            {
                "message": FIRED,
                "event_id": taken.event_id,
                "execution_ids": [execution.id for execution in taken.started],
                "resumed_execution_ids": list(taken.woken),
                "duplicates": list(taken.duplicates),
            }
        )

    async def hook(self, request: Request) -> Response:
        """The webhook trigger of a workflow: whoever knows the secret may start it, showing it or signing with it."""
        query = listing.read_query(request.scope["query_string"])
        workflow = request.path_params["workflow_id"]
        self._services.access.admit(BUCKET, -1 - zlib.crc32(workflow.encode()) % _BUCKETS)
        secret = request.path_params.get("secret") or word_of(request, {}, HOOK_HEADER)
        header = ",".join(request.headers.getlist(SIGNATURE_HEADER))
        if not (secret or header) or not is_object_id(workflow):
            raise HookRefused()
        media_type = _media_type(request)
        body = await read_body(request)
        if body.strip() and not (media_type == JSON or media_type.endswith("+json")):
            raise UnsupportedMediaType(f"Send Content-Type {JSON}, not {media_type[:64] or 'none'}.")
        if len(body) > MAX_HOOK_BYTES:
            raise TooLarge(f"A webhook's body may have {MAX_HOOK_BYTES} bytes.")
        key = word_of(request, query, KEY_HEADER) or None
        doors = self._services.runs_workflows
        try:
            started = await doors.triggers.hook(
                workflow, secret or None, json_of(body), key=key, signed=Signed(header, body) if header else None
            )
        except NotFound:
            raise HookRefused() from None
        except Unauthenticated as error:
            raise HookUnsigned(error.message, reason=error.reason) from None
        return json_answer({"message": FIRED, "execution_id": started.execution.id})


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _read_event(request: Request) -> Mapping[str, Any]:
    """The fields of a JSON object or of a multipart form, of which `payload` is JSON."""
    body = await read_body(request)
    posted = _form_of(request, body) if _media_type(request) == MULTIPART else json_of(body)
    if not isinstance(posted, dict):
        raise InvalidInput("The body must be a JSON object with `event` and `payload`.")
    return posted


def _form_of(request: Request, body: bytes) -> dict[str, Any]:
    head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode("latin-1")
    message = BytesParser(EmailMessage, policy=policy.HTTP).parsebytes(head + body)
    fields: dict[str, Any] = {}
    parts = list(message.iter_parts()) if message.is_multipart() else []
    if not 0 < len(parts) <= MAX_PARTS:
        raise InvalidInput(f"The form must have 1 to {MAX_PARTS} parts.")
    for part in parts:
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(content, bytes):
            raise InvalidInput("A part of the form has no name, or parts of its own.")
        if part.get_filename() is not None:
            raise InvalidInput(f"The part `{name[:64]}` is a file; an event takes fields.", field=name[:64])
        fields[name] = json_of(content) if name == "payload" else _text_of(name, content)
    return fields


def _text_of(name: str, content: bytes) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(f"The part `{name[:64]}` is not UTF-8.", field=name[:64]) from None
    if "\0" in text:
        raise InvalidInput(f"The part `{name[:64]}` contains a NUL character.", field=name[:64])
    return text

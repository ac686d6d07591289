"""Outgoing webhooks (protocols/refold.md §6): who is told what becomes of executions. Served where the server has
them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Principal
from gesta.access.model import Scope as Right
from gesta.apis.common.services import Services
from gesta.apis.refold import auth, listing
from gesta.apis.refold.calls import find_workflow, json_answer, read_object, text_in
from gesta.apis.refold.errors import MissingField, WorkflowNotFound
from gesta.apis.refold.paging import envelope, read_page
from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import format_ms
from gesta.workflows.hooks_face import METHODS, Delivery, Endpoint, EndpointIn, HookEvent, HookFormat, Webhooks

EVENTS: Final[dict[str, HookEvent]] = {
    "Workflow Completed": HookEvent.RUN_SUCCEEDED,
    "Workflow Errored": HookEvent.RUN_FAILED,
    "Workflow Stopped": HookEvent.RUN_CANCELLED,
    "Workflow Timed Out": HookEvent.RUN_TIMED_OUT,
    "Connection Created": HookEvent.CONNECTION_CREATED,
    "Connection Deleted": HookEvent.CONNECTION_DELETED,
    "Connection Expired": HookEvent.CONNECTION_EXPIRED,
}
# Endpoints that another dialect made may hear of more: those events are shown by Gesta's own words.
_EVENT_WORDS: Final = {event: event.value for event in HookEvent} | {event: word for word, event in EVENTS.items()}
_FORMATS: Final = {"default": HookFormat.REFOLD, "slack": HookFormat.SLACK, "custom": HookFormat.CUSTOM}
_FORMAT_WORDS: Final = dict.fromkeys(HookFormat, "default") | {format: word for word, format in _FORMATS.items()}
_SHARED: Final = tuple(name for name in EndpointIn.__struct_fields__ if name in Endpoint.__struct_fields__)
_NAMES: Final = {"url": "webhook_url", "headers": "webhook_headers", "body": "webhook_body", "events": "webhook_events"}
MAX_URL = 2048
MAX_HEADERS = 20
MAX_WORKFLOWS = 100


class WebhookCalls:
    def __init__(self, services: Services, webhooks: Webhooks) -> None:
        self._services = services
        self._access = services.access
        self._webhooks = webhooks

    async def create(self, request: Request) -> Response:
        """With the signing secret, which is shown this once."""
        caller = await self._key(request)
        caller.require(Right.RUN)
        wanted = await self._known(caller, read_endpoint(await read_object(request), None, caller), ())
        with _own_words():
            made, secret = await self._webhooks.create(caller, wanted)
        return json_answer(encode_endpoint(made, caller) | {"secret": secret})

    async def list_(self, request: Request) -> Response:
        query = listing.read_query(request.scope["query_string"])
        caller = await self._key(request)
        page = read_page(query.get("page"), query.get("limit"))
        found, total = await self._webhooks.list(caller, offset=page.offset, limit=max(1, page.limit))
        docs = [encode_endpoint(each, caller) for each in found[: page.limit]]
        return json_answer(envelope(docs, total, page))

    async def get(self, request: Request) -> Response:
        caller = await self._key(request)
        return json_answer(encode_endpoint(await self._webhooks.get(caller, request.path_params["webhook_id"]), caller))

    async def change(self, request: Request) -> Response:
        caller = await self._key(request)
        caller.require(Right.RUN)
        before = await self._webhooks.get(caller, request.path_params["webhook_id"])
        wanted = read_endpoint(await read_object(request), before, caller)
        wanted = await self._known(caller, wanted, before.workflow_ids)
        with _own_words():
            changed = await self._webhooks.change(caller, before.id, wanted)
        return json_answer(encode_endpoint(changed, caller))

    async def delete(self, request: Request) -> Response:
        caller = await self._key(request)
        caller.require(Right.RUN)
        await self._webhooks.delete(caller, request.path_params["webhook_id"])
        return json_answer({"success": True, "message": "Webhook deleted successfully"})

    async def deliveries(self, request: Request) -> Response:
        """An addition: what was sent, and what was answered."""
        query = listing.read_query(request.scope["query_string"])
        caller = await self._key(request)
        page = read_page(query.get("page"), query.get("limit"))
        found, total = await self._webhooks.deliveries(
            caller, request.path_params["webhook_id"], offset=page.offset, limit=max(1, page.limit)
        )
        return json_answer(envelope([encode_delivery(each) for each in found[: page.limit]], total, page))

    async def replay(self, request: Request) -> Response:
        """An addition: the same again."""
        caller = await self._key(request)
        caller.require(Right.RUN)
        path = request.path_params
        return json_answer(
            encode_delivery(await self._webhooks.replay(caller, path["webhook_id"], path["delivery_id"]))
        )

    async def _known(self, caller: Principal, wanted: EndpointIn, before: Sequence[str]) -> EndpointIn:
        """With the workflows by the ids that their executions show, whichever of its two ids names one. Raises
        InvalidInput for one that is not there; what the endpoint named before may be gone."""
        workflows = self._services.workflows
        if workflows is None or tuple(wanted.workflow_ids) == tuple(before):
            return wanted
        ids = []
        for place, word in enumerate(wanted.workflow_ids):
            if word in before:
                ids.append(word)
                continue
            try:
                ids.append((await find_workflow(workflows.definitions, caller, word)).view.id)
            except WorkflowNotFound:
                field = f"workflow_ids[{place}]"
                raise InvalidInput(f"`{field}`: there is no workflow {word[:64]!r}.", field=field) from None
        return msgspec.structs.replace(wanted, workflow_ids=tuple(dict.fromkeys(ids)))

    async def _key(self, request: Request) -> Principal:
        """An organization's key; webhooks are not a linked account's."""
        principal = await auth.organization(self._access, request)
        principal.require(Right.READ)
        return principal


@contextmanager
def _own_words() -> Iterator[None]:
    """Of an endpoint that cannot be, Refold's name for what is wrong."""
    try:
        yield
    except InvalidInput as error:
        message = error.message
        for own, refold in _NAMES.items():
            message = re.sub(rf"^`{own}\b", f"`{refold}", message)
        raise InvalidInput(message, **error.details) from None


def read_endpoint(posted: Mapping[str, Any], before: Endpoint | None, caller: Principal) -> EndpointIn:
    """What is not said stays. `url` and `events` are accepted spellings (one page of Refold's uses them)."""
    url = text_in(posted, "webhook_url", most=MAX_URL) or text_in(posted, "url", most=MAX_URL)
    if url is None and before is None:
        raise MissingField("webhook_url")
    if url is not None and not _is_address(url):
        raise InvalidInput("`webhook_url` is an address that starts with https:// or http://", field="webhook_url")
    given = posted.get("webhook_events", posted.get("events"))
    if given is None and before is None:
        raise MissingField("webhook_events")
    format = _word(posted, "webhook_type", _FORMATS) or (before.format if before else HookFormat.REFOLD)
    method = _word(posted, "method", {each: each for each in METHODS}) or (before.method if before else "POST")
    enabled = posted.get("is_enabled", before.is_enabled if before else True)
    if not isinstance(enabled, bool):
        raise InvalidInput("`is_enabled` is true or false.", field="is_enabled")
    slug, group = text_in(posted, "slug"), text_in(posted, "group")
    description = text_in(posted, "description") or text_in(posted, "webhook_description")
    # What this dialect has no words for stays, too.
    kept = {} if before is None else {name: getattr(before, name) for name in _SHARED}
    said: dict[str, Any] = {
        "url": url or (before.url if before else ""),
        "events": _events(given) if given is not None else before.events if before else (),
        "format": format,
        "method": method,
        "headers": _headers(posted.get("webhook_headers"))
        if "webhook_headers" in posted
        else _of(before, "headers", {}),
        "body": posted.get("webhook_body", _of(before, "body", None)),
        "workflow_ids": _ids(posted["workflow_ids"]) if "workflow_ids" in posted else _of(before, "workflow_ids", ()),
        "application": slug if slug is not None else _of(before, "application", ""),
        "environment": caller.environment,
        "description": description if description is not None else _of(before, "description", ""),
        "group": group if group is not None else _of(before, "group", ""),
        "is_enabled": enabled,
    }
    return EndpointIn(**{**kept, **said})


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _of(before: Endpoint | None, name: str, default: Any) -> Any:
    return default if before is None else getattr(before, name)


def _word(posted: Mapping[str, Any], name: str, words: Mapping[str, Any]) -> Any:
    value = posted.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or value not in words:
        raise InvalidInput(f"`{name}` is one of {', '.join(words)}.", field=name)
    return words[value]


def _events(given: Any) -> tuple[HookEvent, ...]:
    if not isinstance(given, list) or not given or any(each not in EVENTS for each in map(str, given)):
        raise InvalidInput(f"`webhook_events` is a list of {', '.join(EVENTS)}.", field="webhook_events")
    return tuple(dict.fromkeys(EVENTS[str(each)] for each in given))


def _headers(given: Any) -> dict[str, str]:
    if given is None:
        return {}
    is_right = isinstance(given, Mapping) and len(given) <= MAX_HEADERS
    if not is_right or not all(isinstance(value, str) and value.isprintable() for value in given.values()):
        raise InvalidInput(f"`webhook_headers` holds at most {MAX_HEADERS} texts by name.", field="webhook_headers")
    return dict(given)


def _ids(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > MAX_WORKFLOWS or not all(isinstance(each, str) for each in given):
        raise InvalidInput(f"`workflow_ids` is a list of at most {MAX_WORKFLOWS} ids.", field="workflow_ids")
    return tuple(given)


def _word_of(event: HookEvent) -> str:
    """Refold's, or Gesta's own where Refold has none."""
    return _EVENT_WORDS.get(event, event.value)


def encode_endpoint(view: Endpoint, caller: Principal) -> dict[str, Any]:
    return {
        "_id": view.id,
        "org_id": caller.organization.public_id,
        "environment": None if view.environment is None else view.environment.value,
        "is_enabled": view.is_enabled,
        "webhook_events": [_word_of(event) for event in view.events],
        "slug": view.application,
        "description": view.description,
        "webhook_description": view.description,
        "workflow_ids": list(view.workflow_ids),
        "webhook_url": view.url,
        "webhook_body": view.body,
        "webhook_headers": dict(view.headers),
        "method": view.method,
        "group": view.group,
        "webhook_type": _FORMAT_WORDS.get(view.format, "default"),
        "secret_hint": view.secret_hint,
        "createdAt": format_ms(view.created_at_us),
        "updatedAt": format_ms(view.updated_at_us),
    }


def encode_delivery(view: Delivery) -> dict[str, Any]:
    return {
        "_id": view.id,
        "webhook_id": view.endpoint_id,
        "event": _word_of(view.event),
        "instance_id": view.run_id,
        "status": view.status.value,
        "attempts": view.attempts,
        "payload": view.payload,
        "response_status": view.response_status,
        "response_text": view.response_text,
        "error": view.error,
        "replay_of": view.replay_of or None,
        "createdAt": format_ms(view.created_at_us),
        "deliveredAt": None if view.delivered_at_us is None else format_ms(view.delivered_at_us),
        "next_attempt_at": None if view.next_at_us is None else format_ms(view.next_at_us),
    }

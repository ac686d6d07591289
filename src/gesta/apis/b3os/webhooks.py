"""Execution webhooks (protocols/b3os.md, "Execution webhooks"): who is told what becomes of runs, and what was sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Principal, Scope
from gesta.apis.b3os.bodies import Fields, posted
from gesta.apis.b3os.codec import RUN_PREFIX, WORKFLOW_PREFIX
from gesta.apis.b3os.door import Door, success
from gesta.apis.b3os.parameters import page_query, path_word, single
from gesta.apis.common.posted import MAX_NAME
from gesta.kernel.errors import InvalidInput, Unavailable
from gesta.kernel.times import format_shortest
from gesta.workflows.hooks_face import (
    Delivery,
    DeliveryStatus,
    Endpoint,
    EndpointIn,
    HookEvent,
    HookFormat,
    Webhooks,
)

# The names that are seen in B3OS's pages, and those that follow from its families.
EVENTS: Final[dict[str, HookEvent]] = {
    "run.started": HookEvent.RUN_STARTED,
    "run.waiting": HookEvent.RUN_WAITING,
    "run.completed": HookEvent.RUN_SUCCEEDED,
    "run.failed": HookEvent.RUN_FAILED,
    "run.cancelled": HookEvent.RUN_CANCELLED,
    "run.timed_out": HookEvent.RUN_TIMED_OUT,
    "node.failed": HookEvent.NODE_FAILED,
    "*": HookEvent.ALL,
}
_ACCEPTED: Final = {**EVENTS, "run.succeeded": HookEvent.RUN_SUCCEEDED}
_WORDS: Final = {event: event.value for event in HookEvent} | {event: word for word, event in EVENTS.items()}
_STATUSES: Final = {
    DeliveryStatus.PENDING: "pending",
    DeliveryStatus.RETRYING: "retrying",
    DeliveryStatus.DELIVERED: "success",
    DeliveryStatus.FAILED: "failure",
}
MAX_URL = 2048
MAX_DESCRIPTION = 2048
MAX_RETRIES = 10


class WebhookRoutes:
    """The endpoints. Each authenticates before it looks at anything else of the request."""

    def __init__(self, door: Door) -> None:
        self._door = door

    @property
    def _webhooks(self) -> Webhooks:
        found = self._door.services.webhooks
        if found is None:
            raise Unavailable(
                "Workflows are switched off on this server (setting `workflows.enabled`).", setting="workflows.enabled"
            )
        return found

    async def listing(self, request: Request) -> Response:
        principal = await self._door.caller(request)
        query = page_query(request.query_params)
        found, total = await self._webhooks.list(principal, offset=query.offset, limit=query.limit)
        items = [encode_endpoint(each, principal) for each in found]
        has_more = query.offset + len(items) < total
        return success(request, {"items": items, "limit": query.limit, "offset": query.offset, "hasMore": has_more})

    async def create(self, request: Request) -> Response:
        """With the secret, which is shown this once."""
        principal = await self._door.caller(request)
        principal.require(Scope.RUN)
        made, secret = await self._webhooks.create(principal, endpoint_of(await posted(request), None))
        return success(request, {**encode_endpoint(made, principal), "secret": secret})

    async def get(self, request: Request) -> Response:
        principal = await self._door.caller(request)
        return success(request, encode_endpoint(await self._webhooks.get(principal, _id(request)), principal))

    async def update(self, request: Request) -> Response:
        principal = await self._door.caller(request)
        before = await self._webhooks.get(principal, _id(request))
        principal.require(Scope.RUN)
        wanted = endpoint_of(await posted(request), before)
        return success(request, encode_endpoint(await self._webhooks.change(principal, before.id, wanted), principal))

    async def delete(self, request: Request) -> Response:
        principal = await self._door.caller(request)
        id = _id(request)
        await self._webhooks.delete(principal, id)
        return success(request, {"id": id, "deleted": True})

    async def enable(self, request: Request) -> Response:
        return await self._enabled(request, is_enabled=True)

    async def disable(self, request: Request) -> Response:
        return await self._enabled(request, is_enabled=False)

    async def _enabled(self, request: Request, *, is_enabled: bool) -> Response:
        principal = await self._door.caller(request)
        changed = await self._webhooks.enable(principal, _id(request), is_enabled=is_enabled)
        return success(request, encode_endpoint(changed, principal))

    async def regenerate(self, request: Request) -> Response:
        principal = await self._door.caller(request)
        changed, secret = await self._webhooks.new_secret(principal, _id(request))
        return success(request, {**encode_endpoint(changed, principal), "secret": secret})

    async def deliveries(self, request: Request) -> Response:
        principal = await self._door.caller(request)
        query = page_query(request.query_params)
        endpoint = single(request.query_params, "endpointId")
        if endpoint is not None and not 0 < len(endpoint) <= MAX_NAME:
            message = f"`endpointId` must be text of 1 to {MAX_NAME} characters."
            raise InvalidInput(message, field="endpointId", where="query", problem="view")
        found, has_more = await self._webhooks.log(principal, endpoint or "", offset=query.offset, limit=query.limit)
        items = [encode_delivery(each, principal) for each in found]
        return success(request, {"items": items, "limit": query.limit, "offset": query.offset, "hasMore": has_more})

    async def delivery(self, request: Request) -> Response:
        principal = await self._door.caller(request)
        return success(request, encode_delivery(await self._webhooks.delivery(principal, _id(request)), principal))

    async def retry(self, request: Request) -> Response:
        """The same record, again."""
        principal = await self._door.caller(request)
        return success(request, encode_delivery(await self._webhooks.retry(principal, _id(request)), principal))

    async def replay(self, request: Request) -> Response:
        """A record of its own."""
        principal = await self._door.caller(request)
        found = await self._webhooks.delivery(principal, _id(request))
        made = await self._webhooks.replay(principal, found.endpoint_id, found.id)
        return success(request, encode_delivery(made, principal))


def _id(request: Request) -> str:
    return path_word(request.path_params["id"], "webhook")


def endpoint_of(values: Mapping[str, Any], before: Endpoint | None) -> EndpointIn:
    """What is not said stays. `events` and `enabled` are accepted spellings (one page of B3OS uses them)."""
    fields = Fields(values)
    url = fields.text("url", most=MAX_URL) if before is not None else fields.needed("url", most=MAX_URL)
    given = values.get("subscribedEventTypes", values.get("events"))
    retries = fields.count("maxRetries", least=0, most=MAX_RETRIES)
    said: dict[str, Any] = {
        "url": url or None,
        "name": fields.text("name"),
        "description": fields.text("description", most=MAX_DESCRIPTION),
        "events": None if given is None and before is not None else _events(given),
        "max_retries": retries,
        "is_enabled": None if values.get("enabled") is None else fields.flag("enabled"),
    }
    kept: dict[str, Any] = {"format": HookFormat.B3OS}
    if before is not None:
        kept = {name: getattr(before, name) for name in EndpointIn.__struct_fields__ if hasattr(before, name)}
    return EndpointIn(**{**kept, **{name: value for name, value in said.items() if value is not None}})


def _events(given: Any) -> tuple[HookEvent, ...]:
    if (
        not isinstance(given, list)
        or not 0 < len(given) <= len(_ACCEPTED)
        or any(not isinstance(each, str) or each not in _ACCEPTED for each in given)
    ):
        raise InvalidInput(
            f"`subscribedEventTypes` is a list of {', '.join(_ACCEPTED)}.",
            field="subscribedEventTypes",
            where="body",
            problem="body",
        )
    return tuple(dict.fromkeys(_ACCEPTED[each] for each in given))


def encode_endpoint(view: Endpoint, caller: Principal) -> dict[str, Any]:
    return {
        "id": view.id,
        "organizationId": caller.organization.public_id,
        "name": view.name,
        "url": view.url,
        "description": view.description,
        "subscribedEventTypes": [_WORDS[event] for event in view.events],
        "enabled": view.is_enabled,
        "maxRetries": view.max_retries,
        "secretHint": view.secret_hint,
        "disabledReason": view.disabled_reason or None,
        "createdAt": format_shortest(view.created_at_us),
        "updatedAt": format_shortest(view.updated_at_us),
    }


def encode_delivery(view: Delivery, caller: Principal) -> dict[str, Any]:
    return {
        "id": view.id,
        "endpointId": view.endpoint_id,
        "executionId": view.run_id or None,
        "runId": RUN_PREFIX + view.run_id if view.run_id else None,
        "workflowId": WORKFLOW_PREFIX + view.workflow_id if view.workflow_id else None,
        "organizationId": caller.organization.public_id,
        "eventType": _WORDS[view.event],
        "status": _STATUSES[view.status],
        "retryCount": max(0, view.attempts - 1),
        "maxRetries": view.max_retries,
        "nextRetryAt": None if view.next_at_us is None else format_shortest(view.next_at_us),
        "durationMs": view.duration_ms,
        "requestHeaders": dict(view.request_headers),
        "requestBody": view.payload,
        "responseStatus": view.response_status,
        "responseHeaders": dict(view.response_headers),
        "responseBody": view.response_text,
        "errorMessage": view.error or None,
        "replayOf": view.replay_of or None,
        "createdAt": format_shortest(view.created_at_us),
        "updatedAt": format_shortest(view.updated_at_us),
    }

"""The routes of outgoing webhooks: endpoints, their log, and sending again."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Principal, Scope
from gesta.apis.common.services import Services
from gesta.apis.native import params
from gesta.apis.native.auth import Directory
from gesta.apis.native.bodies import JSON, content_type, read_body
from gesta.apis.native.codec import check_json, decode_model, encoder
from gesta.apis.native.executors import Enter
from gesta.apis.native.webhook_models import NewWebhookModel, WebhookChangeModel, view_delivery, view_endpoint
from gesta.kernel.errors import NotFound, Unavailable
from gesta.workflows.hooks_face import Delivery, Endpoint, EndpointIn, HookEvent, HookFormat, Webhooks

MAX_OFFSET = 100_000
PAGE: dict[str, params.Param] = {
    "limit": params.integer_param(1, 1000, "Entries of the page.", 50),
    "offset": params.integer_param(0, MAX_OFFSET, "Entries to pass over.", 0),
}


class WebhookRoutes:
    """The handlers. `enter` authenticates and reads the query."""

    def __init__(self, services: Services, directory: Directory, enter: Enter) -> None:
        self._services = services
        self._directory = directory
        self._enter = enter

    @property
    def _door(self) -> Webhooks:
        if self._services.webhooks is None:
            raise Unavailable("Workflows are switched off on this server (setting `workflows.enabled`).")
        return self._services.webhooks

    async def webhooks(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._create(request)
        principal, given = await self._enter(request, PAGE)
        found, total = await self._door.list(principal, offset=given["offset"], limit=given["limit"])
        items = [await self._view(principal, each) for each in found]
        return _answer({"items": items, "total": total, "has_more": given["offset"] + len(items) < total})

    async def _create(self, request: Request) -> Response:
        principal, _ = await self._enter(request, {})
        principal.require(Scope.RUN)
        content_type(request, JSON)
        posted = decode_model(await read_body(request, self._services.limits), NewWebhookModel)
        check_json(posted.body, "body")
        said = msgspec.structs.asdict(posted)
        made, secret = await self._door.create(principal, EndpointIn(**_read(said)))
        return _answer({**await self._view(principal, made), "secret": secret}, 201)

    async def webhook(self, request: Request) -> Response:
        principal, _ = await self._enter(request, {})
        id = request.path_params["id"]
        before = await self._door.get(principal, id)
        if request.method == "GET":
            return _answer(await self._view(principal, before))
        principal.require(Scope.RUN)
        if request.method == "DELETE":
            await self._door.delete(principal, id)
            return Response(status_code=204)
        content_type(request, JSON)
        posted = decode_model(await read_body(request, self._services.limits), WebhookChangeModel)
        said = {name: value for name, value in msgspec.structs.asdict(posted).items() if value is not UNSET}
        check_json(said.get("body"), "body")
        kept = {name: getattr(before, name) for name in EndpointIn.__struct_fields__ if hasattr(before, name)}
        changed = await self._door.change(principal, id, EndpointIn(**{**kept, **_read(said)}))
        return _answer(await self._view(principal, changed))

    async def enable(self, request: Request) -> Response:
        return await self._enabled(request, is_enabled=True)

    async def disable(self, request: Request) -> Response:
        return await self._enabled(request, is_enabled=False)

    async def _enabled(self, request: Request, *, is_enabled: bool) -> Response:
        principal, _ = await self._enter(request, {})
        changed = await self._door.enable(principal, request.path_params["id"], is_enabled=is_enabled)
        return _answer(await self._view(principal, changed))

    async def secret(self, request: Request) -> Response:
        """Another secret, shown once."""
        principal, _ = await self._enter(request, {})
        changed, secret = await self._door.new_secret(principal, request.path_params["id"])
        return _answer({**await self._view(principal, changed), "secret": secret})

    # -- the log

    async def deliveries(self, request: Request) -> Response:
        principal, given = await self._enter(request, PAGE)
        found, has_more = await self._door.log(
            principal, request.path_params["id"], offset=given["offset"], limit=given["limit"]
        )
        return _answer({"items": [view_delivery(each) for each in found], "has_more": has_more})

    async def delivery(self, request: Request) -> Response:
        principal, _ = await self._enter(request, {})
        return _answer(view_delivery(await self._found(principal, request)))

    async def retry(self, request: Request) -> Response:
        principal, _ = await self._enter(request, {})
        found = await self._found(principal, request)
        return _answer(view_delivery(await self._door.retry(principal, found.id)))

    async def replay(self, request: Request) -> Response:
        principal, _ = await self._enter(request, {})
        found = await self._found(principal, request)
        return _answer(view_delivery(await self._door.replay(principal, found.endpoint_id, found.id)), 201)

    async def _found(self, principal: Principal, request: Request) -> Delivery:
        endpoint = await self._door.get(principal, request.path_params["id"])
        id = request.path_params["delivery"]
        found = await self._door.delivery(principal, id)
        if found.endpoint_id != endpoint.id:
            raise NotFound(f"No webhook delivery {id[:64]}.", what="delivery")
        return found

    async def _view(self, principal: Principal, endpoint: Endpoint) -> dict[str, Any]:
        name = None
        if endpoint.account:
            name = (await self._directory.by_id(principal.organization.id, endpoint.account)).name
        return view_endpoint(endpoint, name)


def _read(said: dict[str, Any]) -> dict[str, Any]:
    """The fields of `EndpointIn` that a body says."""
    made = dict(said)
    if "events" in made:
        made["events"] = tuple(HookEvent(each) for each in made["events"])
    if "format" in made:
        made["format"] = HookFormat(made["format"])
    if "workflow_ids" in made:
        made["workflow_ids"] = tuple(made["workflow_ids"])
    if "enabled" in made:
        made["is_enabled"] = made.pop("enabled")
    return made


def _answer(value: Any, status: int = 200) -> Response:
    return Response(encoder.encode(value), status_code=status, media_type=JSON)

"""The routes of what starts runs by itself: schedules, and named events."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Principal, Scope
from gesta.apis.common.services import Services
from gesta.apis.native import params
from gesta.apis.native.auth import Directory
from gesta.apis.native.bodies import JSON, content_type, read_body
from gesta.apis.native.codec import check_json, decode_model, view_execution
from gesta.apis.native.definitions import answer, path_word
from gesta.apis.native.executors import Enter
from gesta.apis.native.workflow_codec import decode_schedule, view_schedule
from gesta.apis.native.workflow_models import EventInModel, ScheduleModel
from gesta.kernel.errors import NotFound
from gesta.workflows.face import EventIn, ScheduleView, Triggers

T = TypeVar("T", bound=msgspec.Struct)

LIST: dict[str, params.Param] = {
    "workflow": params.text_param("Only those of this workflow, by id or alias.", "65f0c2a4b8d1e3f5a7c9e0b2")
}


class TriggerRoutes:
    """The handlers. `enter` authenticates and reads the query."""

    def __init__(self, services: Services, directory: Directory, enter: Enter) -> None:
        self._services = services
        self._directory = directory
        self._enter = enter

    @property
    def _door(self) -> Triggers:
        return self._services.runs_workflows.triggers

    async def _body(self, request: Request, model: type[T]) -> T:
        content_type(request, JSON)
        return decode_model(await read_body(request, self._services.limits), model)

    async def schedules(self, request: Request) -> Response:
        if request.method == "POST":
            principal, _ = await self._enter(request, {})
            principal.require(Scope.RUN)
            asked = decode_schedule(await self._body(request, ScheduleModel))
            return answer(view_schedule(await self._door.create_schedule(principal, asked)), 201)
        principal, given = await self._enter(request, LIST)
        found = await self._door.schedules(principal, workflow=given.get("workflow", ""))
        return answer({"items": [view_schedule(each) for each in found]})

    async def schedule(self, request: Request) -> Response:
        principal, _ = await self._enter(request, {})
        view = await self._found(principal, request)
        if request.method == "GET":
            return answer(view_schedule(view))
        principal.require(Scope.RUN)
        if request.method == "DELETE":
            await self._door.delete_schedule(principal, view.id)
            return Response(status_code=204)
        asked = decode_schedule(await self._body(request, ScheduleModel))
        return answer(view_schedule(await self._door.change_schedule(principal, view.id, asked)))

    async def pause(self, request: Request) -> Response:
        return await self._paused(request, paused=True)

    async def resume(self, request: Request) -> Response:
        return await self._paused(request, paused=False)

    async def _paused(self, request: Request, *, paused: bool) -> Response:
        principal, _ = await self._enter(request, {})
        id = path_word(request, "id", "schedule")
        return answer(view_schedule(await self._door.pause_schedule(principal, id, paused=paused)))

    async def _found(self, principal: Principal, request: Request) -> ScheduleView:
        id = path_word(request, "id", "schedule")
        for view in await self._door.schedules(principal):
            if view.id == id:
                return view
        raise NotFound(f"Schedule {id[:128]} not found.", what="schedule")

    async def event(self, request: Request) -> Response:
        principal, _ = await self._enter(request, {})
        principal.require(Scope.RUN)
        posted = await self._body(request, EventInModel)
        for field in ("event", "application", "payload", "key"):
            check_json(getattr(posted, field), field)
        taken = await self._door.event(
            principal,
            EventIn(event=posted.event, application=posted.application, payload=posted.payload, key=posted.key),
        )
        organization = principal.organization.id
        accounts = await self._directory.names(organization, [row.account for row in taken.started])
        return answer(
            {
                "event_id": taken.event_id,
                "started": [view_execution(row, accounts[row.account]) for row in taken.started],
                "woken": list(taken.woken),
                "duplicates": list(taken.duplicates),
            }
        )

"""`/v1/workflows`: what B3OS's public client asks for (protocols/b3os.md §8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Principal, Scope
from gesta.apis.b3os.bodies import MAX_DESCRIPTION, MAX_TITLE, Fields, posted
from gesta.apis.b3os.codec import WORKFLOW_PREFIX
from gesta.apis.b3os.codec_runs import WORKFLOW_FIELDS, encode_version, encode_workflow
from gesta.apis.b3os.definitions import definition_of
from gesta.apis.b3os.door import Door, success
from gesta.apis.b3os.parameters import PageQuery, one_of, page_query, search_of, single, version_number, words_of
from gesta.kernel.errors import Conflict, InvalidInput, NotFound
from gesta.kernel.times import format_shortest
from gesta.ledger.records import Kind
from gesta.workflows.face import Definitions, Draft, ScheduleView, Visibility, WorkflowStatus, WorkflowView
from gesta.workflows.forms.reading import header_of
from gesta.workflows.graph.checking import check

READ_WORKFLOWS = 200


class WorkflowRoutes:
    """The endpoints. Each authenticates before it looks at anything else of the request."""

    def __init__(self, door: Door) -> None:
        self._door = door

    @property
    def _definitions(self) -> Definitions:
        return self._door.workflows.definitions

    async def _answer(self, request: Request, principal: Principal, view: WorkflowView) -> Response:
        """A workflow with its newest definition."""
        newest = await self._definitions.version(principal, view.id, view.newest_version)
        organization = principal.organization.public_id
        return success(request, encode_workflow(view, organization=organization, definition=newest.definition))

    async def listing(self, request: Request) -> Response:
        """The workflows of the organization, newest first; `_fields_filter` says which fields."""
        principal = await self._door.caller(request)
        query = page_query(request.query_params)
        search = search_of(request.query_params)
        status = one_of(request.query_params, "status", [each.value for each in WorkflowStatus])
        fields = words_of(single(request.query_params, "_fields_filter"), "_fields_filter")
        views, has_more = await self._views(principal, search, status, query)
        items = [await self._item(principal, view, fields) for view in views]
        data = {"items": items, "limit": query.limit, "offset": query.offset, "hasMore": has_more}
        return success(request, data)

    async def _views(
        self, principal: Principal, search: str, status: str | None, query: PageQuery
    ) -> tuple[Sequence[WorkflowView], bool]:
        """A page, and whether there is more."""
        if status is None:
            views, total = await self._definitions.list(
                principal, search=search, offset=query.offset, limit=query.limit
            )
            return views, query.offset + len(views) < total
        found: list[WorkflowView] = []
        offset, total, wanted = 0, 1, query.offset + query.limit + 1
        while offset < total and len(found) < wanted:
            views, total = await self._definitions.list(principal, search=search, offset=offset, limit=READ_WORKFLOWS)
            found += [view for view in views if view.status == status]
            offset += max(1, len(views))
        return found[query.offset : wanted - 1], len(found) >= wanted

    async def _item(self, principal: Principal, view: WorkflowView, fields: frozenset[str]) -> dict[str, Any]:
        organization, definition = principal.organization.public_id, None
        if "definition" in fields:
            definition = (await self._definitions.version(principal, view.id, view.newest_version)).definition
        made = encode_workflow(view, organization=organization, definition=definition)
        return {key: value for key, value in made.items() if key in fields} if fields & WORKFLOW_FIELDS else made

    async def create(self, request: Request) -> Response:
        """A new workflow with one draft version."""
        principal = await self._door.caller(request)
        body = Fields(await posted(request))
        draft = _draft(body, name=body.needed("name", most=MAX_TITLE))
        return await self._answer(request, principal, await self._definitions.create(principal, draft))

    async def get(self, request: Request) -> Response:
        """One workflow with its newest definition."""
        principal = await self._door.caller(request)
        view = await self._definitions.get(principal, self._door.workflow_word(request))
        newest = await self._definitions.version(principal, view.id, view.newest_version)
        organization = principal.organization.public_id
        shown = encode_workflow(view, organization=organization, definition=newest.definition)
        return success(request, shown | {"lastTriggeredAt": await self._last_run(principal, view)})

    async def _last_run(self, principal: Principal, view: WorkflowView) -> str | None:
        reading = self._door.reading
        conditions = reading.filter(principal, kinds=frozenset({Kind.RUN}), correlation={"workflow_id": view.id})
        page = await reading.page(principal, conditions, offset=0, limit=1, total=False)
        return format_shortest(page.rows[0].created_at_us) if page.rows else None

    async def update(self, request: Request) -> Response:
        """A new version; what the body does not name stays."""
        principal = await self._door.caller(request)
        workflow = self._door.workflow_word(request)
        body = Fields(await posted(request))
        name = body.text("name", most=MAX_TITLE)
        if name is not None and not name.strip():
            raise InvalidInput("`name` must not be empty.", field="name", problem="body")
        expected = body.count("expectedCurrentVersion")
        if body.values.get("definition") is None:
            view = await self._definitions.get(principal, workflow)
            kept = await self._definitions.version(principal, view.id, view.newest_version)
            draft = _draft(body, name=name, expected=expected or kept.version, definition=kept.definition)
        else:
            draft = _draft(body, name=name, expected=expected)
        return await self._answer(request, principal, await self._definitions.save(principal, workflow, draft))

    async def delete(self, request: Request) -> Response:
        """Archive it: nothing starts it any more, and its runs stay on record."""
        principal = await self._door.caller(request)
        view = await self._definitions.get(principal, self._door.workflow_word(request))
        await self._definitions.delete(principal, view.id)
        return success(request, {"id": WORKFLOW_PREFIX + view.id, "status": WorkflowStatus.ARCHIVED.value})

    async def publish(self, request: Request) -> Response:
        """The newest version goes live, or the one that `expectedVersion` says the newest is."""
        principal = await self._door.caller(request)
        workflow = self._door.workflow_word(request)
        expected = Fields(await posted(request, needs_body=False)).count("expectedVersion")
        view = await self._definitions.get(principal, workflow)
        if expected not in (None, view.newest_version):
            raise Conflict(f"The newest version is {view.newest_version}, not {expected}; read the workflow again.")
        published = await self._definitions.publish(principal, view.id, version=view.newest_version)
        return await self._answer(request, principal, published)

    async def pause(self, request: Request) -> Response:
        """Its triggers do nothing until it is resumed."""
        return await self._become(request, WorkflowStatus.PAUSED)

    async def resume(self, request: Request) -> Response:
        """Its triggers fire again."""
        return await self._become(request, WorkflowStatus.ACTIVE)

    async def _become(self, request: Request, status: WorkflowStatus) -> Response:
        principal = await self._door.caller(request)
        changed = await self._definitions.set_status(principal, self._door.workflow_word(request), status)
        return await self._answer(request, principal, changed)

    async def validate(self, request: Request) -> Response:
        """Whether a definition can be saved, with every problem; nothing is saved."""
        principal = await self._door.caller(request)
        principal.require(Scope.READ)
        body = Fields(await posted(request))
        body.text("name", most=MAX_TITLE)
        try:
            definition = definition_of(body.values.get("definition"))
        except InvalidInput as error:
            problems = error.details.get("problems") or [
                {"node": "", "field": error.field or "definition", "message": error.message}
            ]
            return success(request, {"valid": False, "errors": [_told(each) for each in problems], "warnings": []})
        warnings = [{"nodeId": each.node, "field": each.field, "message": each.message} for each in check(definition)]
        return success(request, {"valid": True, "errors": [], "warnings": warnings})

    async def versions(self, request: Request) -> Response:
        """The versions of a workflow, newest first."""
        principal = await self._door.caller(request)
        query = page_query(request.query_params)
        view = await self._definitions.get(principal, self._door.workflow_word(request))
        found = await self._definitions.versions(principal, view.id)
        rows = found[query.offset : query.offset + query.limit]
        more = query.offset + len(rows) < len(found)
        items = [encode_version(row, view) for row in rows]
        data = {"items": items, "limit": query.limit, "offset": query.offset, "hasMore": more}
        return success(request, data)

    async def version(self, request: Request) -> Response:
        """One version with its definition."""
        principal = await self._door.caller(request)
        number = version_number(request.path_params["version"])
        view = await self._definitions.get(principal, self._door.workflow_word(request))
        found = await self._definitions.version(principal, view.id, number)
        return success(request, encode_version(found, view, full=True))

    async def rollback(self, request: Request) -> Response:
        """A new draft version with the definition of an earlier one."""
        principal = await self._door.caller(request)
        workflow = self._door.workflow_word(request)
        number = Fields(await posted(request)).count("versionNumber")
        if number is None:
            raise InvalidInput("`versionNumber` says which version to go back to.", field="versionNumber")
        view = await self._definitions.get(principal, workflow)
        if number > view.newest_version:
            raise NotFound(f"The workflow has no version {number}.", what="version")
        earlier = await self._definitions.version(principal, view.id, number)
        saved = await self._definitions.save(principal, view.id, Draft(definition=earlier.definition))
        return await self._answer(request, principal, saved)

    async def schedule(self, request: Request) -> Response:
        """When it last ran by its schedules, and when it will run next."""
        principal = await self._door.caller(request)
        view = await self._definitions.get(principal, self._door.workflow_word(request))
        found = await self._door.workflows.triggers.schedules(principal, workflow=view.id)
        last_us = max((each.last_at_us for each in found if each.last_at_us is not None), default=None)
        nexts = [each.next_at_us for each in found if each.next_at_us is not None and not each.is_paused]
        data = {
            "workflowId": WORKFLOW_PREFIX + view.id,
            "lastRunAt": _time(last_us),
            "nextRunAt": _time(min(nexts, default=None)),
            "schedules": [_schedule(each) for each in found],
        }
        return success(request, data)

    async def webhook_secret(self, request: Request) -> Response:
        """A new secret of the workflow's inbound webhook, shown once; the one before is void."""
        principal = await self._door.caller(request)
        view = await self._definitions.get(principal, self._door.workflow_word(request))
        secret = f"{WORKFLOW_PREFIX}{view.id}.{await self._definitions.new_hook_secret(principal, view.id)}"
        return success(request, {"secret": secret, "path": f"/v1/webhooks/{secret}"})


def _told(problem: Mapping[str, Any]) -> dict[str, Any]:
    return {"nodeId": problem["node"], "field": problem["field"], "message": problem["message"]}


def _draft(body: Fields, *, name: str | None, expected: int | None = None, definition: Any = None) -> Draft:
    visibility = body.visibility()
    if definition is None:
        definition = definition_of(body.values.get("definition"))
        said = header_of(body.values["definition"])
        name = name or said.name or None
    return Draft(
        definition=definition,
        name=name,
        alias=body.word("alias"),
        slug=body.word("slug"),
        description=body.text("description", most=MAX_DESCRIPTION),
        visibility=None if visibility is None else Visibility(visibility),
        expected_version=expected,
    )


def _time(at_us: int | None) -> str | None:
    return None if at_us is None else format_shortest(at_us)


def _schedule(schedule: ScheduleView) -> dict[str, Any]:
    return {
        "id": schedule.id,
        "name": schedule.name,
        "cron": schedule.cron or None,
        "everySeconds": schedule.every_s,
        "timezone": schedule.timezone,
        "isPaused": schedule.is_paused,
        "lastRunAt": _time(schedule.last_at_us),
        "nextRunAt": _time(schedule.next_at_us),
    }

"""Workflows are listed, created, saved, published and deleted (protocols/refold.md §6, §7)."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Scope as Right
from gesta.apis.common.services import Services
from gesta.apis.refold.calls import Caller, Found, check_is_own, enter, find_workflow, json_answer, read_object
from gesta.apis.refold.errors import InvalidWorkflow, MissingField
from gesta.apis.refold.listing import moment_us
from gesta.apis.refold.paging import envelope, read_page
from gesta.apis.refold.workflow_codec import encode_version, encode_workflow, read_draft, request_structure
from gesta.kernel.errors import InvalidInput
from gesta.kernel.slugs import slug_of
from gesta.kernel.times import DAY_US
from gesta.workflows.face import Definitions, VersionView, WorkflowStatus, WorkflowView

HOOK_PATH = "/api/v2/public/hook"
_AT_ONCE = 200
_SCOPES = ("private", "public")


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """None and empty are no condition; times are from ≤ createdAt < to."""

    name: str = ""
    slug: str = ""
    application_id: str = ""
    published: bool | None = None
    scope: str = ""
    created_from_us: int | None = None
    created_to_us: int | None = None

    def hold(self, view: WorkflowView, account: int) -> bool:
        application = view.application
        slugs = {slug_of(view.slug), slug_of("" if application is None else application.name)}
        return (
            view.status is not WorkflowStatus.ARCHIVED
            and view.account in (0, account)
            and self.name.casefold() in view.name.casefold()
            and (not self.slug or slug_of(self.slug) in slugs)
            and (not self.application_id or (application is not None and application.id == self.application_id))
            and self.published in (None, view.published_version is not None)
            and (not self.scope or (self.scope == "private") is bool(view.account))
            and (self.created_from_us is None or view.created_at_us >= self.created_from_us)
            and (self.created_to_us is None or view.created_at_us < self.created_to_us)
        )


class WorkflowCalls:
    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def _definitions(self) -> Definitions:
        return self._services.runs_workflows.definitions

    async def _found(self, request: Request) -> tuple[Caller, Found]:
        caller = await enter(self._services.access, request)
        return caller, await find_workflow(self._definitions, caller.principal, request.path_params["workflow_id"])

    async def _own(self, request: Request) -> tuple[Caller, Found]:
        """One that the linked account may change: its own. One of the whole organization's is not in the hands of one
        account, nor of one environment."""
        caller, found = await self._found(request)
        caller.principal.require(Right.RUN)
        check_is_own(found.view)
        return caller, found

    # -- reading

    async def list_(self, request: Request) -> Response:
        caller = await enter(self._services.access, request)
        page, filters = read_page(caller.query.get("page"), caller.query.get("limit")), read_filters(caller)
        if filters == Filters():
            views, total = await self._definitions.list(caller.principal, offset=page.offset, limit=max(1, page.limit))
            shown = list(views)[: page.limit]
        else:
            found = [view async for view in self._all(caller) if filters.hold(view, caller.account.id)]
            shown, total = found[page.offset : page.offset + page.limit], len(found)
        docs = [encode_workflow(_named(view), caller.scope) for view in shown]
        return json_answer(envelope(docs, total, page) | {"schema": None})

    async def _all(self, caller: Caller) -> AsyncGenerator[WorkflowView, None]:
        offset, total = 0, 1
        while offset < total:
            views, total = await self._definitions.list(caller.principal, offset=offset, limit=_AT_ONCE)
            if not views:
                return
            for view in views:
                yield view
            offset += len(views)

    async def get(self, request: Request) -> Response:
        """By its draft's id the newest version, else the published one, or the newest where none is."""
        caller, found = await self._found(request)
        return json_answer(encode_version(found, await self._version(caller, found), caller.scope))

    async def draft(self, request: Request) -> Response:
        caller, found = await self._found(request)
        found = msgspec.structs.replace(found, is_draft=True)
        return json_answer(encode_version(found, await self._version(caller, found), caller.scope))

    async def _version(self, caller: Caller, found: Found) -> VersionView:
        view = found.view
        wanted = view.newest_version if found.is_draft else view.published_version or view.newest_version
        return await self._definitions.version(caller.principal, view.id, wanted)

    async def request_structure(self, request: Request) -> Response:
        caller, found = await self._found(request)
        return json_answer(request_structure((await self._version(caller, found)).definition))

    async def versions(self, request: Request) -> Response:
        """Those that were published, newest first."""
        caller, found = await self._found(request)
        page = read_page(caller.query.get("page"), caller.query.get("limit"))
        all_ = await self._definitions.versions(caller.principal, found.view.id)
        published = [each for each in all_ if each.published_at_us is not None]
        shown = published[page.offset : page.offset + page.limit]
        docs = [encode_version(msgspec.structs.replace(found, is_draft=False), each, caller.scope) for each in shown]
        return json_answer(envelope(docs, len(published), page))

    # -- writing

    async def create(self, request: Request) -> Response:
        caller = await enter(self._services.access, request)
        caller.principal.require(Right.RUN)
        draft = read_draft(await read_object(request))
        view = await self._definitions.create(caller.principal, draft)
        return json_answer({"workflow": await self._draft_of(caller, view)})

    async def save(self, request: Request) -> Response:
        """An addition: the graph over HTTP, where Refold has its editor."""
        caller, found = await self._own(request)
        posted = await read_object(request)
        newest = await self._version(caller, msgspec.structs.replace(found, is_draft=True))
        draft = read_draft(posted, before=newest.definition)
        view = await self._definitions.save(caller.principal, found.view.id, draft)
        return json_answer({"workflow": await self._draft_of(caller, view)})

    async def _draft_of(self, caller: Caller, view: WorkflowView) -> dict[str, object]:
        found = Found(view=view, is_draft=True)
        return encode_version(found, await self._version(caller, found), caller.scope)

    async def publish(self, request: Request) -> Response:
        caller, found = await self._own(request)
        posted = await read_object(request)
        wanted, version = posted.get("published"), posted.get("version")
        if wanted is None:
            raise MissingField("published")
        if not isinstance(wanted, bool):
            raise InvalidInput("`published` is true or false.", field="published")
        if version is not None and (isinstance(version, bool) or not isinstance(version, int) or version < 1):
            raise InvalidInput("`version` is a whole number from 1.", field="version")
        if wanted:
            view = await self._definitions.publish(caller.principal, found.view.id, version=version)
        else:
            if found.is_draft or found.view.published_version is None:
                raise InvalidWorkflow("Only public and published workflows can be unpublished", field="workflow_id")
            view = await self._definitions.unpublish(caller.principal, found.view.id)
        published = Found(view=view, is_draft=False)
        return json_answer(encode_version(published, await self._version(caller, published), caller.scope))

    async def delete(self, request: Request) -> Response:
        """By the published id; by the draft's where nothing was published."""
        caller, found = await self._own(request)
        if found.is_draft and found.view.published_version is not None:
            raise InvalidInput("Workflow is a version workflow.", field="workflow_id", where="path")
        await self._definitions.delete(caller.principal, found.view.id)
        return json_answer({"success": True, "triggers_deregistered": True})

    async def new_hook(self, request: Request) -> Response:
        """An addition: the address of its webhook trigger, shown once; the one before is void."""
        caller, found = await self._own(request)
        secret = await self._definitions.new_hook_secret(caller.principal, found.view.id)
        path = f"{HOOK_PATH}/{found.view.id}/{secret}"
        base = str(request.base_url).rstrip("/")
        return json_answer({"webhook_url": base + path, "path": path, "secret": secret})


def read_filters(caller: Caller) -> Filters:
    query = caller.query
    scope, published = query.get("scope", ""), query.get("published", "").casefold()
    if scope not in ("", *_SCOPES):
        raise InvalidInput(f"`scope` is one of {', '.join(_SCOPES)}", field="scope", where="query")
    if published not in ("", "true", "false"):
        raise InvalidInput("`published` is true or false", field="published", where="query")
    start, end = query.get("start_date"), query.get("end_date")
    created_to_us = None
    if end:
        at_us, is_day = moment_us(end, "end_date")
        created_to_us = at_us + (DAY_US if is_day else 1000)
    return Filters(
        name=query.get("name", ""),
        slug=query.get("slug", ""),
        application_id=query.get("application_id", ""),
        published=None if not published else published == "true",
        scope=scope,
        created_from_us=moment_us(start, "start_date")[0] if start else None,
        created_to_us=created_to_us,
    )


def _named(view: WorkflowView) -> Found:
    """By the id that a client goes on with: the published one, or the draft's where nothing is published."""
    return Found(view=view, is_draft=view.published_version is None)

"""The front door of definitions: workflows are saved, published, found, and put away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gesta.access.model import Principal, Scope
from gesta.kernel.clock import Clock
from gesta.kernel.errors import InvalidInput, NotFound
from gesta.kernel.ids import IdSource, hex_id
from gesta.storage.program import Database, Fetch, Program
from gesta.workflows.definitions import changes, rows
from gesta.workflows.definitions.changes import Seen
from gesta.workflows.definitions.hook_secrets import PURPOSE, new_hint, secret_of
from gesta.workflows.definitions.rows import SQL, VersionRow, WorkflowRow
from gesta.workflows.definitions.words import (
    MOST_PAGE,
    MOST_SEARCH,
    UNNAMED,
    check_words,
    definition_bytes,
    pattern_of,
)
from gesta.workflows.face import Draft, VersionView, WorkflowStatus, WorkflowView, is_public
from gesta.workflows.triggers.settings import TriggerSettings

T = TypeVar("T")

WORKFLOW_ID_DIGITS = 24


class DefinitionDesk:
    """`gesta.workflows.face.Definitions`. `key` gives the installation's secret for a purpose (`Access.derived_key`);
    `on_schedules` is called when a schedule may have changed."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        ids: IdSource,
        key: Callable[[str], Awaitable[bytes]],
        settings: TriggerSettings | None = None,
        on_schedules: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._key = key
        self._settings = settings or TriggerSettings()
        self._on_schedules = on_schedules

    # -- changing

    async def create(self, principal: Principal, draft: Draft) -> WorkflowView:
        seen = _changing(principal)
        check_words(draft)
        now_us = self._clock.now_us()
        view = WorkflowView(
            id=hex_id(self._ids, WORKFLOW_ID_DIGITS),
            organization=seen.organization,
            account=0,
            name=UNNAMED,
            status=WorkflowStatus.DRAFT,
            newest_version=1,
            published_version=None,
            created_at_us=now_us,
            updated_at_us=now_us,
        )
        definition = definition_bytes(draft.definition)
        return await self._write(seen, lambda: changes.created(seen, view, draft, definition))

    async def save(self, principal: Principal, workflow: str, draft: Draft) -> WorkflowView:
        seen = _changing(principal)
        check_words(draft)
        definition, now_us = definition_bytes(draft.definition), self._clock.now_us()
        return await self._write(seen, lambda: changes.saved(seen, workflow, draft, definition, now_us))

    async def publish(self, principal: Principal, workflow: str, *, version: int | None = None) -> WorkflowView:
        seen, now_us = _changing(principal), self._clock.now_us()
        cron_seconds = self._settings.cron_seconds
        return await self._write(seen, lambda: changes.published(seen, workflow, version, cron_seconds, now_us))

    async def unpublish(self, principal: Principal, workflow: str) -> WorkflowView:
        seen, now_us = _changing(principal), self._clock.now_us()
        return await self._write(seen, lambda: changes.unpublished(seen, workflow, now_us))

    async def set_status(self, principal: Principal, workflow: str, status: WorkflowStatus) -> WorkflowView:
        seen, now_us = _changing(principal), self._clock.now_us()
        return await self._write(seen, lambda: changes.with_status(seen, workflow, status, now_us))

    async def delete(self, principal: Principal, workflow: str) -> None:
        seen, now_us = _changing(principal), self._clock.now_us()
        await self._write(seen, lambda: changes.deleted(seen, workflow, now_us))

    async def new_hook_secret(self, principal: Principal, workflow: str) -> str:
        seen, now_us = _changing(principal), self._clock.now_us()
        hint, key = new_hint(self._ids), await self._key(PURPOSE)

        def made(row: WorkflowRow) -> str:
            return secret_of(key, seen.organization, row.view.id, hint)

        return await self._write(seen, lambda: changes.with_hook(seen, workflow, made, hint, now_us))

    async def _write(self, seen: Seen, program: Callable[[], Program[T]]) -> T:
        done = await self._database.write(program, key=seen.organization)
        self._on_schedules()
        return done

    # -- reading

    async def get(self, principal: Principal, workflow: str) -> WorkflowView:
        seen = _reading(principal)
        found = await self._database.read(lambda: changes.find(seen, workflow), snapshot=False)
        return found.view

    async def version(self, principal: Principal, workflow: str, version: int | None = None) -> VersionView:
        seen = _reading(principal)
        return await self._database.read(lambda: _version(seen, workflow, version))

    async def versions(self, principal: Principal, workflow: str) -> Sequence[VersionView]:
        seen = _reading(principal)
        return await self._database.read(lambda: _versions(seen, workflow), unbounded=True)

    async def public(self, workflow: str) -> tuple[WorkflowView, VersionView]:
        return await self._database.read(lambda: _public(workflow))

    async def list(
        self, principal: Principal, *, search: str = "", slug: str = "", offset: int = 0, limit: int = 50
    ) -> tuple[Sequence[WorkflowView], int]:
        """Those that are archived are found by their id only. At most `MOST_PAGE` are on a page."""
        seen = _reading(principal)
        for field, word in (("search", search), ("slug", slug)):
            if len(word) > MOST_SEARCH or "\0" in word:
                raise InvalidInput(f"`{field}` may have {MOST_SEARCH} characters.", field=field, where="query")
        if offset < 0 or limit < 0:
            raise InvalidInput("`offset` and `limit` are not below zero.", field="offset", where="query")
        page = (min(limit, MOST_PAGE), min(offset, 2**31))
        return await self._database.read(lambda: _list(seen, search, slug, page), unbounded=bool(search))


def seen_by(principal: Principal) -> Seen:
    return Seen(principal.organization.id, None if principal.account is None else principal.account.id)


def _changing(principal: Principal) -> Seen:
    principal.require(Scope.RUN)
    return seen_by(principal)


def _reading(principal: Principal) -> Seen:
    principal.require(Scope.READ)
    return seen_by(principal)


def _view(workflow: WorkflowView, row: VersionRow) -> VersionView:
    return VersionView(
        workflow_id=workflow.id,
        version=row.version,
        definition=row.definition,
        created_at_us=row.created_at_us,
        published_at_us=row.published_at_us,
    )


def _version(seen: Seen, word: str, version: int | None) -> Program[VersionView]:
    row = yield from changes.find(seen, word)
    wanted = version
    if wanted is None:
        wanted = row.view.published_version or row.view.newest_version
    found = (yield from rows.version(row.number, wanted)) if 0 < wanted < 2**31 else None
    if found is None:
        raise NotFound(f"Workflow {row.view.id} has no version {wanted}.", what="version")
    return _view(row.view, found)


def _public(id: str) -> Program[tuple[WorkflowView, VersionView]]:
    row = None if "\0" in id else (yield from rows.find_anywhere(id))
    if row is not None and is_public(row.view):
        found = yield from rows.version(row.number, row.view.published_version or 0)
        if found is not None:
            return row.view, _view(row.view, found)
    raise NotFound(f"Workflow {id[:128]} not found.", what="workflow")


def _versions(seen: Seen, word: str) -> Program[list[VersionView]]:
    row = yield from changes.find(seen, word)
    found = yield from rows.versions(row.number)
    return [_view(row.view, each) for each in found]


def _list(seen: Seen, search: str, slug: str, page: tuple[int, int]) -> Program[tuple[list[WorkflowView], int]]:
    account = -1 if seen.account is None else seen.account
    asked = (seen.organization, account, pattern_of(search), slug)
    found = yield Fetch(SQL["workflow.list"], (*asked, *page))
    ((total,),) = yield Fetch(SQL["workflow.list_count"], asked)
    return [rows.workflow_of(row).view for row in found], total

"""Workflows and their versions in memory: what the front door says of them, without a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gesta.access.model import Principal, Scope
from gesta.kernel.clock import Clock
from gesta.kernel.errors import Conflict, NotFound
from gesta.kernel.ids import IdSource, hex_id, secret
from gesta.workflows.face import Draft, VersionView, Visibility, WorkflowStatus, WorkflowView, is_public

_WORDS = ("name", "alias", "slug", "description", "visibility", "application")


class MemoryDefinitions:
    """`Definitions`. `hook_secrets` maps a workflow's id to the secret of its webhook."""

    def __init__(self, clock: Clock, ids: IdSource) -> None:
        self._clock = clock
        self._ids = ids
        self._views: dict[str, WorkflowView] = {}
        self._versions: dict[str, list[VersionView]] = {}
        self.hook_secrets: dict[str, str] = {}

    async def create(self, principal: Principal, draft: Draft) -> WorkflowView:
        principal.require(Scope.RUN)
        self._check_alias(principal, draft.alias, "")
        now_us = self._clock.now_us()
        view = WorkflowView(
            id=hex_id(self._ids, 24),
            organization=principal.organization.id,
            account=principal.account.id if draft.is_private and principal.account is not None else 0,
            name=draft.name or "",
            status=WorkflowStatus.DRAFT,
            newest_version=1,
            published_version=None,
            created_at_us=now_us,
            updated_at_us=now_us,
        )
        view = msgspec.structs.replace(view, **_said(draft))
        self._versions[view.id] = [
            VersionView(workflow_id=view.id, version=1, definition=draft.definition, created_at_us=now_us)
        ]
        return self._put(view)

    async def save(self, principal: Principal, workflow: str, draft: Draft) -> WorkflowView:
        principal.require(Scope.RUN)
        view = await self.get(principal, workflow)
        if draft.expected_version not in (None, view.newest_version):
            raise Conflict(f"The newest version is {view.newest_version}, not {draft.expected_version}.")
        self._check_alias(principal, draft.alias, view.id)
        now_us, version = self._clock.now_us(), view.newest_version + 1
        self._versions[view.id].append(
            VersionView(workflow_id=view.id, version=version, definition=draft.definition, created_at_us=now_us)
        )
        changed = msgspec.structs.replace(view, newest_version=version, updated_at_us=now_us, **_said(draft))
        return self._put(changed)

    async def publish(self, principal: Principal, workflow: str, *, version: int | None = None) -> WorkflowView:
        principal.require(Scope.RUN)
        view = await self.get(principal, workflow)
        wanted, now_us = version or view.newest_version, self._clock.now_us()
        found = await self.version(principal, view.id, wanted)
        self._versions[view.id][wanted - 1] = msgspec.structs.replace(found, published_at_us=now_us)
        return self._change(view, published_version=wanted, published_at_us=now_us, status=WorkflowStatus.ACTIVE)

    async def unpublish(self, principal: Principal, workflow: str) -> WorkflowView:
        principal.require(Scope.RUN)
        view = await self.get(principal, workflow)
        return self._change(view, published_version=None, status=WorkflowStatus.DRAFT)

    async def set_status(self, principal: Principal, workflow: str, status: WorkflowStatus) -> WorkflowView:
        principal.require(Scope.RUN)
        view = await self.get(principal, workflow)
        if view.status in (WorkflowStatus.DRAFT, WorkflowStatus.ARCHIVED):
            raise Conflict(f"Workflow {view.id} is {view.status.value}; it cannot become {status.value}.")
        return self._change(view, status=status)

    async def delete(self, principal: Principal, workflow: str) -> None:
        principal.require(Scope.RUN)
        view = await self.get(principal, workflow)
        self._change(view, status=WorkflowStatus.ARCHIVED, alias="")

    async def get(self, principal: Principal, workflow: str) -> WorkflowView:
        principal.require(Scope.READ)
        for view in self._views.values():
            if self._sees(principal, view) and workflow and workflow in (view.id, view.alias):
                return view
        raise NotFound(f"Workflow {workflow[:128]} not found.", what="workflow")

    async def version(self, principal: Principal, workflow: str, version: int | None = None) -> VersionView:
        view = await self.get(principal, workflow)
        return self.version_of(view, version or view.published_version or view.newest_version)

    async def versions(self, principal: Principal, workflow: str) -> Sequence[VersionView]:
        view = await self.get(principal, workflow)
        return self._versions[view.id][::-1]

    async def list(
        self, principal: Principal, *, search: str = "", slug: str = "", offset: int = 0, limit: int = 50
    ) -> tuple[Sequence[WorkflowView], int]:
        principal.require(Scope.READ)
        found = [
            view
            for view in reversed(self._views.values())
            if self._sees(principal, view)
            and view.status is not WorkflowStatus.ARCHIVED
            and search.casefold() in f"{view.name} {view.alias} {view.description}".casefold()
            and (not slug or view.slug == slug)
        ]
        return found[offset : offset + limit], len(found)

    async def new_hook_secret(self, principal: Principal, workflow: str) -> str:
        principal.require(Scope.RUN)
        view = await self.get(principal, workflow)
        self.hook_secrets[view.id] = made = secret(self._ids, "whsec_")
        self._change(view, hook_secret_hint=made[:10])
        return made

    # -- for the other parts

    async def public(self, workflow: str) -> tuple[WorkflowView, VersionView]:
        view = self.anywhere(workflow)
        if view is None or not is_public(view):
            raise NotFound(f"Workflow {workflow[:128]} not found.", what="workflow")
        return view, self.version_of(view, view.published_version or 0)

    def anywhere(self, workflow: str) -> WorkflowView | None:
        """By id, of whatever organization."""
        return self._views.get(workflow)

    def version_of(self, view: WorkflowView, version: int) -> VersionView:
        versions = self._versions[view.id]
        if not 1 <= version <= len(versions):
            raise NotFound(f"Workflow {view.id} has no version {version}.", what="version")
        return versions[version - 1]

    def _sees(self, principal: Principal, view: WorkflowView) -> bool:
        mine = principal.account is None or view.account in (0, principal.account.id)
        return view.organization == principal.organization.id and mine

    def _check_alias(self, principal: Principal, alias: str | None, mine: str) -> None:
        organization = principal.organization.id
        taken = {view.alias for view in self._views.values() if view.organization == organization and view.id != mine}
        if alias and alias in taken:
            raise Conflict(f"The alias {alias} is taken.", alias=alias)

    def _change(self, view: WorkflowView, **fields: Any) -> WorkflowView:
        return self._put(msgspec.structs.replace(view, updated_at_us=self._clock.now_us(), **fields))

    def _put(self, view: WorkflowView) -> WorkflowView:
        self._views[view.id] = view
        return view


def _said(draft: Draft) -> dict[str, Any]:
    words = {word: value for word in _WORDS if (value := getattr(draft, word)) is not None}
    return words | ({"visibility": Visibility.PRIVATE} if draft.is_private else {})

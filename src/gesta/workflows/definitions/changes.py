"""What changes a workflow, each as one transaction. Programs of one organization run one after another."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gesta.kernel.errors import Conflict, NotFound
from gesta.storage.program import Fetch, Program
from gesta.workflows.definitions import rows
from gesta.workflows.definitions.hook_secrets import hook_hash
from gesta.workflows.definitions.rows import SQL, VersionRow, WorkflowRow
from gesta.workflows.definitions.words import MOST_VERSIONS, MOST_WORKFLOWS, with_draft
from gesta.workflows.face import Draft, WorkflowStatus, WorkflowView
from gesta.workflows.graph.definition import Definition, TriggerKind
from gesta.workflows.triggers import rows as triggers


class Seen(msgspec.Struct, frozen=True):
    """Whose workflows a caller sees: the organization's, and of accounts its own, or all (None)."""

    organization: int
    account: int | None

    def sees(self, view: WorkflowView) -> bool:
        return self.account is None or view.account in (0, self.account)


def find(seen: Seen, word: str) -> Program[WorkflowRow]:
    """Raises NotFound, also for another account's private one."""
    row = None if "\0" in word else (yield from rows.find(seen.organization, word))
    if row is None or not seen.sees(row.view):
        raise NotFound(f"Workflow {word[:128]} not found.", what="workflow")
    return row


def created(seen: Seen, view: WorkflowView, draft: Draft, definition: bytes) -> Program[WorkflowView]:
    ((count,),) = yield Fetch(SQL["workflow.count"], (seen.organization,))
    if count >= MOST_WORKFLOWS:
        raise Conflict(f"An organization may have {MOST_WORKFLOWS} workflows.")
    view = with_draft(view, draft, seen.account or 0)
    yield from _check_alias(view)
    ((number,),) = yield Fetch(SQL["workflow.new"], rows.new_row_of(view))
    yield Fetch(SQL["version.add"], (number, 1, definition, view.created_at_us, None))
    return view


def saved(seen: Seen, word: str, draft: Draft, definition: bytes, now_us: int) -> Program[WorkflowView]:
    row = yield from find(seen, word)
    newest = row.view.newest_version
    _check_is_open(row.view)
    if draft.expected_version is not None and draft.expected_version != newest:
        raise Conflict(
            f"Version {newest} of workflow {row.view.id} is the newest, and not {draft.expected_version}: somebody "
            "saved it meanwhile. Read it again.",
            workflow=row.view.id,
            version=newest,
        )
    if newest >= MOST_VERSIONS:
        raise Conflict(f"A workflow may have {MOST_VERSIONS} versions.", workflow=row.view.id)
    view = with_draft(row.view, draft, seen.account or 0)
    yield from _check_alias(view)
    yield Fetch(SQL["version.add"], (row.number, newest + 1, definition, now_us, None))
    return (yield from _put(row, msgspec.structs.replace(view, newest_version=newest + 1), now_us))


def published(seen: Seen, word: str, version: int | None, cron_seconds: bool, now_us: int) -> Program[WorkflowView]:
    """The version and what it is started by, at once."""
    row = yield from find(seen, word)
    _check_is_open(row.view)
    wanted = yield from _version(row, row.view.newest_version if version is None else version)
    trigger = wanted.definition.trigger
    if trigger.kind is TriggerKind.SCHEDULE and not cron_seconds and len(trigger.cron.split()) == 6:
        raise Conflict(
            f"Version {wanted.version} has a schedule with seconds, which this server does not allow; use five fields.",
            workflow=row.view.id,
        )
    yield Fetch(SQL["version.published"], (row.number, wanted.version, now_us))
    status = WorkflowStatus.ACTIVE if row.view.status is WorkflowStatus.DRAFT else row.view.status
    view = msgspec.structs.replace(row.view, status=status, published_version=wanted.version, published_at_us=now_us)
    yield from _put_trigger(row, view, wanted.definition, now_us)
    return (yield from _put(row, view, now_us))


def unpublished(seen: Seen, word: str, now_us: int) -> Program[WorkflowView]:
    row = yield from find(seen, word)
    _check_is_open(row.view)
    if row.view.published_version is None:
        return row.view
    yield from triggers.clear_trigger(seen.organization, row.number, row.view.id)
    view = msgspec.structs.replace(row.view, status=WorkflowStatus.DRAFT, published_version=None, published_at_us=None)
    return (yield from _put(row, view, now_us))


def with_status(seen: Seen, word: str, status: WorkflowStatus, now_us: int) -> Program[WorkflowView]:
    """Archived ends its schedules; active again, its trigger starts it again."""
    row = yield from find(seen, word)
    before = row.view.status
    if status is before:
        return row.view
    is_published = row.view.published_version is not None
    if status is WorkflowStatus.DRAFT and is_published:
        raise Conflict(f"Workflow {row.view.id} is published; unpublish it instead.", workflow=row.view.id)
    if status in (WorkflowStatus.ACTIVE, WorkflowStatus.PAUSED) and not is_published:
        raise Conflict(f"Workflow {row.view.id} is not published; publish it first.", workflow=row.view.id)
    view = msgspec.structs.replace(row.view, status=status)
    if status is WorkflowStatus.ARCHIVED:
        yield from triggers.end(seen.organization, row.number, row.view.id, now_us)
    elif before is WorkflowStatus.ARCHIVED and view.published_version is not None:
        version = yield from _version(row, view.published_version)
        yield from _put_trigger(row, view, version.definition, now_us)
    return (yield from _put(row, view, now_us))


def deleted(seen: Seen, word: str, now_us: int) -> Program[None]:
    row = yield from find(seen, word)
    yield from triggers.end(seen.organization, row.number, row.view.id, now_us)
    view = msgspec.structs.replace(row.view, status=WorkflowStatus.ARCHIVED, alias="", hook_secret_hint="")
    row = msgspec.structs.replace(row, hook_hash=None)
    yield from _put(row, view, now_us)


def with_hook(seen: Seen, word: str, make: Callable[[WorkflowRow], str], hint: str, now_us: int) -> Program[str]:
    """The new secret, of which the hash is kept."""
    row = yield from find(seen, word)
    _check_is_open(row.view)
    made = make(row)
    view = msgspec.structs.replace(row.view, hook_secret_hint=hint)
    yield from _put(msgspec.structs.replace(row, hook_hash=hook_hash(made)), view, now_us)
    return made


# -- parts


def _put(row: WorkflowRow, view: WorkflowView, now_us: int) -> Program[WorkflowView]:
    view = msgspec.structs.replace(view, updated_at_us=now_us)
    yield Fetch(SQL["workflow.put"], rows.put_row_of(msgspec.structs.replace(row, view=view)))
    return view


def _put_trigger(row: WorkflowRow, view: WorkflowView, definition: Definition, now_us: int) -> Program[None]:
    yield from triggers.put_trigger(view.organization, row.number, view.id, definition, now_us)


def _version(row: WorkflowRow, version: int) -> Program[VersionRow]:
    found = (yield from rows.version(row.number, version)) if 0 < version < 2**31 else None
    if found is None:
        raise NotFound(f"Workflow {row.view.id} has no version {version}.", what="version")
    return found


def _check_is_open(view: WorkflowView) -> None:
    if view.status is WorkflowStatus.ARCHIVED:
        raise Conflict(f"Workflow {view.id} is archived; make it active first.", workflow=view.id)


def _check_alias(view: WorkflowView) -> Program[None]:
    """One word means one workflow: an alias is no other's alias, and nobody's id."""
    if not view.alias:
        return
    other = yield from rows.find(view.organization, view.alias)
    if view.alias == view.id or (other is not None and other.view.id != view.id):
        raise Conflict(f"The alias {view.alias} is another workflow's already.", alias=view.alias)


__all__ = [
    "Seen",
    "created",
    "deleted",
    "find",
    "published",
    "saved",
    "unpublished",
    "with_hook",
    "with_status",
]

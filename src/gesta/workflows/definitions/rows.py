"""The rows of workflows and their versions."""

from __future__ import annotations

from typing import Any

import msgspec

from gesta.ledger.records import Named
from gesta.storage.program import Fetch, Program, Row, Statement, load
from gesta.workflows.face import Visibility, WorkflowStatus, WorkflowView
from gesta.workflows.graph.definition import Definition
from gesta.workflows.runs.rows import definition_of, encoder

SQL: dict[str, Statement] = load("gesta.workflows.sql", "definitions.sql")

_named_decoder = msgspec.json.Decoder(Named)


class WorkflowRow(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow as it is on disk. `number` is its order of creation over all organizations."""

    number: int
    view: WorkflowView
    hook_hash: bytes | None = None


class VersionRow(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    definition: Definition
    created_at_us: int
    published_at_us: int | None


def workflow_of(row: Row) -> WorkflowRow:
    application, hook_hash = row[10], row[16]
    return WorkflowRow(
        number=row[0],
        view=WorkflowView(
            organization=row[1],
            account=row[2],
            id=row[3],
            name=row[4],
            alias=row[5],
            slug=row[6],
            description=row[7],
            status=WorkflowStatus(row[8]),
            visibility=Visibility(row[9]),
            application=None if application is None else _named_decoder.decode(bytes(application)),
            newest_version=row[11],
            published_version=row[12],
            created_at_us=row[13],
            updated_at_us=row[14],
            published_at_us=row[15],
            hook_secret_hint=row[17],
        ),
        hook_hash=None if hook_hash is None else bytes(hook_hash),
    )


def add_row_of(row: WorkflowRow) -> tuple[Any, ...]:
    """The parameters of `workflow.add`."""
    view = row.view
    return (
        row.number,
        view.organization,
        view.account,
        view.id,
        view.name,
        view.alias,
        view.slug,
        view.description,
        view.status.value,
        view.visibility.value,
        None if view.application is None else encoder.encode(view.application),
        view.newest_version,
        view.published_version,
        view.created_at_us,
        view.updated_at_us,
        view.published_at_us,
        row.hook_hash,
        view.hook_secret_hint,
    )


def new_row_of(view: WorkflowView) -> tuple[Any, ...]:
    """The parameters of `workflow.new`."""
    return add_row_of(WorkflowRow(number=0, view=view))[1:]


def put_row_of(row: WorkflowRow) -> tuple[Any, ...]:
    """The parameters of `workflow.put`."""
    number, _, account, _, *rest = add_row_of(row)
    name, alias, slug, description, status, visibility, application, newest, published, _, updated, at, hook, hint = (
        rest
    )
    return (
        number,
        account,
        name,
        alias,
        slug,
        description,
        status,
        visibility,
        application,
        newest,
        published,
        updated,
        at,
        hook,
        hint,
    )


def find(organization: int, word: str) -> Program[WorkflowRow | None]:
    """By id or alias."""
    rows = yield Fetch(SQL["workflow.get"], (organization, word))
    return workflow_of(rows[0]) if rows else None


def find_anywhere(workflow_id: str) -> Program[WorkflowRow | None]:
    """By id, of whatever organization: for callers without a credential."""
    rows = yield Fetch(SQL["workflow.of_id"], (workflow_id,))
    return workflow_of(rows[0]) if rows else None


def find_number(number: int) -> Program[WorkflowRow | None]:
    rows = yield Fetch(SQL["workflow.of_number"], (number,))
    return workflow_of(rows[0]) if rows else None


def version(number: int, version: int) -> Program[VersionRow | None]:
    rows = yield Fetch(SQL["version.get"], (number, version))
    return version_of(rows[0]) if rows else None


def versions(number: int) -> Program[list[VersionRow]]:
    """Newest first."""
    rows = yield Fetch(SQL["version.all"], (number,))
    return [version_of(row) for row in rows]


def version_of(row: Row) -> VersionRow:
    return VersionRow(
        version=row[0], definition=definition_of(bytes(row[1])), created_at_us=row[2], published_at_us=row[3]
    )


def any_published() -> Program[bool]:
    """Whether anything may be started by its name."""
    return bool((yield Fetch(SQL["workflow.any_published"])))

"""The wire shapes of workflows, runs, jobs and schedules: what is posted."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gesta.access.model import Environment
from gesta.apis.native.models import Moment, NamedModel, Reference, Text, Token, _In
from gesta.ledger.records import Source, Status
from gesta.workflows.face import CatchUp, Visibility
from gesta.workflows.jobs_face import JobAction
from gesta.workflows.triggers.checking import MOST_DATES

MOST_IDS = 1000

Version = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Written = Annotated[
    dict[str, Any] | str,
    Meta(description="A workflow as an object, or as the text of a JSON or YAML file, in one of the forms."),
]
Form = Annotated[
    Literal["auto", "gesta", "b3os", "refold"], Meta(description="The form it is written in; `auto`: as it looks.")
]
Free = Annotated[Any, Meta(description="Any JSON, nested at most 64 deep.")]
Path = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1024,
        description="A node by its id, within rounds by its path: `loop[2]/pay`.",
        examples=["ask"],
    ),
]


Ids = Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(min_length=1, max_length=MOST_IDS)]


class ValidateModel(_In, frozen=True, kw_only=True):
    """A definition to be checked."""

    definition: Written
    form: Form = "auto"


class WorkflowModel(_In, frozen=True, kw_only=True):
    """A workflow to save. Name, alias, slug and description are those of the definition's own text where they are
    missing here. `private` is the caller's account alone."""

    definition: Written
    form: Form = "auto"
    name: Text | None = None
    alias: Text | None = None
    slug: Text | None = None
    description: Annotated[str, Meta(max_length=10_000)] | None = None
    visibility: Visibility | None = None
    application: NamedModel | None = None
    publish: bool = False
    expected_version: Version | None = None


class PublishModel(_In, frozen=True, kw_only=True):
    """The newest version, unless `version` says another."""

    version: Version | None = None


class WorkflowStatusModel(_In, frozen=True, kw_only=True):
    """`paused`: triggers start nothing, a call still does. `active` again."""

    status: Literal["active", "paused"]


class StartRunModel(_In, frozen=True, kw_only=True):
    """A run to start: of a `workflow` (id or alias), or of a `definition` that is not stored.

    Without `version` it is the published one; with `drafts` the newest, if none is published. With `wait_s` the answer
    comes when the run is over or has answered, or after so many seconds. `account` is a linked account of the
    organization that it runs for."""

    workflow: Token | None = None
    definition: Written | None = None
    form: Form = "auto"
    version: Version | None = None
    drafts: bool = False
    input: Free = None
    wait_s: Annotated[float, Meta(ge=0, le=3600)] = 0
    id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    name: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    account: Token | None = None
    environment: Environment | None = None
    external_ref: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    source_system: Reference | None = None
    client_safe_metadata: dict[str, Any] | None = None
    customer_email: Annotated[str, Meta(max_length=320)] | None = None
    success_url: Annotated[str, Meta(max_length=2048)] | None = None
    cancel_url: Annotated[str, Meta(max_length=2048)] | None = None


class RerunModel(_In, frozen=True, kw_only=True):
    """A new run of the same version. Without `input` it has the same payload; with `from_node` what came before that
    node counts as done."""

    input: Free | msgspec.UnsetType = msgspec.UNSET
    from_node: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    wait_s: Annotated[float, Meta(ge=0, le=3600)] = 0


class ResumeModel(_In, frozen=True, kw_only=True):
    """What a node that waits for a webhook or a person is given."""

    node: Path
    payload: Free = None


class RefundModel(_In, frozen=True, kw_only=True):
    """Why it is paid back."""

    reason: Annotated[str, Meta(max_length=1024)] = ""


class RunFilterModel(_In, frozen=True, kw_only=True):
    """Which runs. At least one condition; all of them must hold. `ids` stands alone."""

    ids: Ids | None = None
    workflow_id: Token | None = None
    status: Annotated[list[Status], Meta(min_length=1, max_length=20)] | None = None
    source: Annotated[list[Source], Meta(min_length=1, max_length=20)] | None = None
    account: Token | None = None
    environment: Environment | None = None
    created_from: Moment | None = None
    created_to: Moment | None = None
    name: Token | None = None
    parent_id: Token | None = None
    external_ref: Token | None = None
    event_id: Token | None = None
    application: Token | None = None


class BulkModel(_In, frozen=True, kw_only=True):
    """One action on every run that the filter admits. Without `status` those that the action is for: `stop` what is
    not over, `retry` and `rerun` what failed, was stopped or timed out."""

    action: JobAction
    filter: RunFilterModel
    input: Free | msgspec.UnsetType = msgspec.UNSET
    from_node: Annotated[str, Meta(min_length=1, max_length=256)] | None = None


class ScheduleModel(_In, frozen=True, kw_only=True):
    """When a workflow is started: exactly one of `cron` (five fields), `every_s`, `at` and `dates`; of these only what
    is from `starts_at` to `ends_at`, where they are said. `catch_up` says what becomes of moments that passed while no
    server ran. `workflow` is required for a new one."""

    workflow: Token | None = None
    cron: Annotated[str, Meta(max_length=256)] = ""
    every_s: Annotated[float, Meta(gt=0, le=366 * 86_400)] | None = None
    at: Moment | None = None
    dates: Annotated[tuple[Moment, ...], Meta(max_length=MOST_DATES)] = ()
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    timezone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
    input: Free = None
    name: Annotated[str, Meta(max_length=256)] = ""
    catch_up: CatchUp = CatchUp.ONE


class EventInModel(_In, frozen=True, kw_only=True):
    """A named event of an application. With `key`, a repetition starts nothing."""

    event: Token
    application: Annotated[str, Meta(max_length=256)] = ""
    payload: Free = None
    key: Token | None = None


POSTED = (
    ValidateModel,
    WorkflowModel,
    PublishModel,
    WorkflowStatusModel,
    StartRunModel,
    RerunModel,
    ResumeModel,
    RefundModel,
    BulkModel,
    ScheduleModel,
    EventInModel,
)

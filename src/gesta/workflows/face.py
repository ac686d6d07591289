"""What dialects, commands and the scheduler ask of workflows: the front door `Workflows`, in four parts.

Every method takes the caller first, answers only what the caller's organization (and account, if the credential is
bound to one) may see, and raises NotFound for anything else.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from gesta.access.model import Principal
from gesta.ledger.records import Execution, Mode, Named, Source
from gesta.workflows.graph.definition import Definition
from gesta.workflows.graph.progress import NodeRun, Progress
from gesta.workflows.jobs_face import Jobs


class WorkflowStatus(enum.StrEnum):
    DRAFT = "draft"  # never published
    ACTIVE = "active"
    PAUSED = "paused"  # triggers do nothing; a call may still start it
    ARCHIVED = "archived"  # nothing starts it


class Visibility(enum.StrEnum):
    """Who may start it: the organization, one account of it, or anybody who knows its id."""

    PRIVATE = "private"
    ORGANIZATION = "org"
    PUBLIC_VIEW = "public_view"
    PUBLIC_EXECUTE = "public_execute"


class WorkflowView(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow. `id` is 24 hexadecimal digits; `alias` is the organization's own word for it; `account` 0 is the
    whole organization's. `published_version` None: never published. `hook_secret_hint`: the first characters of the
    secret of its inbound webhook."""

    id: str
    organization: int
    account: int
    name: str
    alias: str = ""
    slug: str = ""
    description: str = ""
    status: WorkflowStatus
    visibility: Visibility = Visibility.ORGANIZATION
    application: Named | None = None
    newest_version: int
    published_version: int | None
    created_at_us: int
    updated_at_us: int
    published_at_us: int | None = None
    hook_secret_hint: str = ""


def is_public(view: WorkflowView) -> bool:
    """Whether everybody may see it: it is open to all, published, and not archived."""
    is_open = view.visibility in (Visibility.PUBLIC_VIEW, Visibility.PUBLIC_EXECUTE)
    return is_open and view.published_version is not None and view.status is not WorkflowStatus.ARCHIVED


class VersionView(msgspec.Struct, frozen=True, kw_only=True):
    workflow_id: str
    version: int
    definition: Definition
    created_at_us: int
    published_at_us: int | None = None


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What is saved as a new version: the definition, checked already (`forms.py`), and the workflow's own words. None
    keeps what is there."""

    definition: Definition
    name: str | None = None
    alias: str | None = None
    slug: str | None = None
    description: str | None = None
    visibility: Visibility | None = None
    application: Named | None = None
    is_private: bool = False
    expected_version: int | None = None


class StartRun(msgspec.Struct, frozen=True, kw_only=True):
    """Start a run of `workflow` (id or alias), or of an inline `definition` that belongs to no workflow.

    `version` None is the published one (Conflict where there is none, unless `drafts`: then the newest). `run_id` is
    the id wanted. `key` makes a repetition the same run; the same key with another content is a Conflict. `from_run`
    and `from_node`: a run again, from a node on with what was done before it. `attributes` are fields of the run's
    `RunDetail` that the caller says (`external_ref`, `source_system`, `client_safe_metadata` …). `parent`: the run and
    path that wait for it.
    """

    workflow: str = ""
    definition: Definition | None = None
    version: int | None = None
    drafts: bool = False
    input: Any = None
    mode: Mode = Mode.ASYNC
    source: Source = Source.API
    environment: str = ""
    run_id: str | None = None
    key: str | None = None
    name: str | None = None
    attributes: Mapping[str, Any] = {}
    correlation: Mapping[str, str] = {}
    customer_email: str | None = None
    success_url: str | None = None
    cancel_url: str | None = None
    from_run: str | None = None
    from_node: str | None = None
    parent: tuple[str, str] | None = None


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """`client_token` reads this one execution and no other (protocols/b3os.md §4.7). `checkout_url`: where it is paid,
    while it awaits its payment. `is_new` False: the key was known."""

    execution: Execution
    client_token: str
    checkout_url: str | None = None
    is_new: bool = True


class Signed(msgspec.Struct, frozen=True):
    """What an inbound webhook came with: its `Gesta-Signature`, and the raw body that it is over."""

    header: str
    body: bytes


class EventIn(msgspec.Struct, frozen=True, kw_only=True):
    """A named event of an application. `key` de-duplicates it for as long as each trigger says, or else for good."""

    event: str
    application: str = ""
    payload: Any = None
    key: str | None = None


class EventTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What an event did. `duplicates`: workflows that had it already."""

    event_id: str
    started: Sequence[Execution] = ()
    woken: Sequence[str] = ()
    duplicates: Sequence[str] = ()


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A run as its own table has it: which version, how far, what it waits for."""

    execution: Execution
    workflow_id: str
    version: int
    definition: Definition
    progress: Progress | None
    waits: Mapping[str, str] = {}


class BatchPage(msgspec.Struct, frozen=True, kw_only=True):
    """Rounds of a container, in their order: for each its index, its status and output (protocols/refold.md §2)."""

    rounds: Sequence[tuple[int, NodeRun]]
    total: int


class CatchUp(enum.StrEnum):
    """What becomes of moments that passed while no server ran."""

    SKIP = "skip"
    ONE = "one"  # once, for all of them
    ALL = "all"


class ScheduleIn(msgspec.Struct, frozen=True, kw_only=True):
    """Exactly one of `cron` (5 or 6 fields), `every_s`, `at_us` and `dates_us` (several moments). Of these only what is
    from `from_us` to `until_us`, where they are said."""

    workflow: str
    cron: str = ""
    every_s: float | None = None
    at_us: int | None = None
    timezone: str = "UTC"
    input: Any = None
    name: str = ""
    catch_up: CatchUp = CatchUp.ONE
    dates_us: tuple[int, ...] = ()
    from_us: int | None = None
    until_us: int | None = None


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    organization: int
    account: int
    workflow_id: str
    name: str
    cron: str
    every_s: float | None
    at_us: int | None
    timezone: str
    input: Any
    catch_up: CatchUp
    is_paused: bool
    next_at_us: int | None
    last_at_us: int | None
    created_at_us: int
    updated_at_us: int
    dates_us: tuple[int, ...] = ()
    from_us: int | None = None
    until_us: int | None = None


class CheckoutView(msgspec.Struct, frozen=True, kw_only=True):
    """`status`: open, processing, complete, expired, failed, refunded. `provider_id` is the provider's own."""

    id: str
    run_id: str
    provider: str
    provider_id: str
    amount: Decimal
    currency: str
    status: str
    url: str
    expires_at_us: int
    created_at_us: int


class Definitions(Protocol):
    async def create(self, principal: Principal, draft: Draft) -> WorkflowView:
        """A new workflow with one draft version. Raises Conflict for an alias that is taken."""
        ...

    async def save(self, principal: Principal, workflow: str, draft: Draft) -> WorkflowView:
        """A new version. Runs go on with theirs. Raises Conflict for an `expected_version` that is not the newest."""
        ...

    async def publish(self, principal: Principal, workflow: str, *, version: int | None = None) -> WorkflowView: ...

    async def unpublish(self, principal: Principal, workflow: str) -> WorkflowView: ...

    async def set_status(self, principal: Principal, workflow: str, status: WorkflowStatus) -> WorkflowView: ...

    async def delete(self, principal: Principal, workflow: str) -> None:
        """Archive it, free its alias, end its schedules. Its runs stay on record."""
        ...

    async def get(self, principal: Principal, workflow: str) -> WorkflowView:
        """By id or alias."""
        ...

    async def version(self, principal: Principal, workflow: str, version: int | None = None) -> VersionView:
        """The published one by default, or else the newest."""
        ...

    async def versions(self, principal: Principal, workflow: str) -> Sequence[VersionView]: ...

    async def public(self, workflow: str) -> tuple[WorkflowView, VersionView]:
        """Without a credential: a workflow that everybody may see, by its id, and its published version. Raises
        NotFound for any other."""
        ...

    async def list(
        self, principal: Principal, *, search: str = "", slug: str = "", offset: int = 0, limit: int = 50
    ) -> tuple[Sequence[WorkflowView], int]:
        """A page, newest first, and how many there are."""
        ...

    async def new_hook_secret(self, principal: Principal, workflow: str) -> str:
        """The secret of its inbound webhook, shown once; the one before is void."""
        ...


class Runs(Protocol):
    async def start(self, principal: Principal, request: StartRun) -> Started:
        """On return the run is on disk, and begins, or awaits its payment. Raises InvalidInput for a payload that the
        schema refuses, Conflict for what cannot be started, Forbidden for another account's workflow."""
        ...

    async def start_public(self, workflow: str, request: StartRun) -> Started:
        """Without a credential: only a workflow that is `public_execute`. Raises NotFound, Forbidden."""
        ...

    async def finished(self, principal: Principal, run_id: str, *, timeout_s: float) -> Execution | None:
        """The run once it is over, or has answered; None when that takes longer."""
        ...

    async def run(self, principal: Principal, run_id: str) -> RunView: ...

    async def run_of_token(self, run_id: str, client_token: str) -> Execution:
        """Raises NotFound, Unauthenticated."""
        ...

    async def stop(self, principal: Principal, run_id: str) -> Execution:
        """Ask it to stop; it is STOPPING, or over already if nothing had to be interrupted. Raises Conflict for one
        that is over."""
        ...

    async def retry(self, principal: Principal, run_id: str) -> Execution:
        """Go on with the same run from where it failed. Raises Conflict for one that did not fail or stop."""
        ...

    async def rerun(
        self,
        principal: Principal,
        run_id: str,
        *,
        input: Any = msgspec.UNSET,
        from_node: str | None = None,
        new_id: str | None = None,
    ) -> Started:
        """A new run with the same version and payload, or another payload; the old one is untouched. `new_id` is the
        id wanted for it. Raises Conflict for one that is taken."""
        ...

    async def resume(self, principal: Principal, run_id: str, node: str, payload: Any) -> bool:
        """Wake a node that waits for a webhook or a person. False: it did not wait (any more)."""
        ...

    async def resume_by_secret(self, run_id: str, node: str, secret: str, payload: Any) -> bool:
        """As a webhook does. Raises NotFound, Unauthenticated."""
        ...

    async def wait_secret(self, principal: Principal, run_id: str) -> str:
        """What `resume_by_secret` takes for this run."""
        ...

    async def batches(
        self, principal: Principal, run_id: str, node: str, *, status: str = "", offset: int, limit: int
    ) -> BatchPage:
        """Raises NotFound for a node that is not of the run, Conflict for one without batches."""
        ...


class Triggers(Protocol):
    async def event(self, principal: Principal, event: EventIn) -> EventTaken: ...

    async def hook(
        self, workflow: str, secret: str | None, payload: Any, *, key: str | None = None, signed: Signed | None = None
    ) -> Started:
        """The inbound webhook of a workflow: the secret, a signature under it, or both. Raises NotFound for an unknown
        workflow or a wrong secret, Unauthenticated (`reason` is `signature`) for a signature that is malformed, stale,
        wrong, or missing where the trigger requires one, Conflict for a duplicate: of the key, or of a signature that
        was taken before."""
        ...

    async def create_schedule(self, principal: Principal, schedule: ScheduleIn) -> ScheduleView: ...

    async def change_schedule(self, principal: Principal, id: str, schedule: ScheduleIn) -> ScheduleView: ...

    async def pause_schedule(self, principal: Principal, id: str, *, paused: bool) -> ScheduleView: ...

    async def delete_schedule(self, principal: Principal, id: str) -> None: ...

    async def schedules(self, principal: Principal, *, workflow: str = "") -> Sequence[ScheduleView]: ...


class Payments(Protocol):
    async def checkout(self, principal: Principal, run_id: str) -> CheckoutView:
        """The checkout session of a run. Raises NotFound for one that costs nothing."""
        ...

    async def refund(self, principal: Principal, run_id: str, *, reason: str = "") -> CheckoutView:
        """Raises Conflict unless it was paid and is not refunded."""
        ...


class Workflows(msgspec.Struct, frozen=True, kw_only=True):
    definitions: Definitions
    runs: Runs
    triggers: Triggers
    payments: Payments
    jobs: Jobs | None = None

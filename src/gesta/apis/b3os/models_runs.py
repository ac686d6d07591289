"""The wire shapes of runs, workflows and public executions as msgspec types: the source of the OpenAPI schemas
(protocols/b3os.md §4, §7, §8)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gesta.apis.b3os.models import Execution, ExecutionStatus

RunStatus = Literal["running", "waiting", "success", "failure", "cancelled"]
NodeStatus = Literal["pending", "running", "success", "failure", "skipped", "waiting"]
RunId = Annotated[str, Meta(description="`run_` and the execution's id.", pattern="^run_")]
WorkflowId = Annotated[str, Meta(description="`wf_` and 24 hexadecimal digits.", pattern="^wf_")]
Time = Annotated[str | None, Meta(description="RFC 3339, UTC.")]


class _Wire(msgspec.Struct, kw_only=True, rename="camel"):
    pass


class _Envelope(_Wire):
    code: Literal[200]
    message: str
    request_id: str


class CreatedExecution(_Wire):
    """`clientToken` reads this one execution at the public endpoints, and no other."""

    client_token: str
    execution: Execution
    checkout_url: Annotated[
        str | UnsetType, Meta(description="Added by Gesta: where it is paid, while it awaits its payment.")
    ] = UNSET


class PublicEvent(_Wire):
    id: Annotated[str, Meta(pattern="^evt_[0-9]+$")]
    run_id: str | None
    node_id: str | None
    event_type: str
    level: Literal["debug", "info", "warning", "error"]
    title: str
    message: Annotated[str, Meta(description="What the workflow logs, or where the execution stands.")]
    created_at: str


class PublicExecution(_Wire):
    """What a client token shows."""

    id: str
    workflow_id: str | None
    run_id: str | None
    order_id: str | None
    checkout_session_id: str | None
    payment_status: str | None
    status: ExecutionStatus
    message: str
    client_safe_metadata: dict[str, Any] | None
    created_at: str
    started_at: Time
    finished_at: Time
    events: list[PublicEvent]


class RunItem(_Wire):
    id: RunId
    organization_id: str
    workflow_id: Annotated[str, Meta(description="Empty for a run of an inline definition.")]
    workflow_version: Annotated[int | None, Meta(description="Null for a run of an inline definition.")]
    status: RunStatus
    trigger_source: str
    triggered_by: str | None
    started_at: Time
    finished_at: Time
    source_run_id: str | None
    total_cu: Annotated[int, Meta(description="Always 0: nothing is metered.")]
    is_simulation: Literal[False]
    is_dust_test: Literal[False]


class NodeState(_Wire):
    type: str
    status: NodeStatus
    input: Any
    result: Any
    started_at: Time
    finished_at: Time


class Run(RunItem):
    """`executionState` and `workflowDefinition` are left out with `summary=true`. Its keys are nodes, and visits of
    nodes within loops: `loop[2]/node`."""

    prop_values: dict[str, Any]
    trigger_node_id: str | None
    simulation_forks: list[Any]
    summary: str | None
    error: str | None
    execution_id: Annotated[str, Meta(description="Added by Gesta: the execution that is this run.")]
    execution_state: dict[str, NodeState] | UnsetType = UNSET
    workflow_definition: dict[str, Any] | UnsetType | None = UNSET
    resume_secret: Annotated[
        str | UnsetType, Meta(description="Added by Gesta: what resumes a waiting node without an API key.")
    ] = UNSET
    run_id: RunId | UnsetType = UNSET


class RunPage(_Wire):
    items: list[RunItem]
    limit: Annotated[int, Meta(ge=1, le=100)]
    offset: Annotated[int, Meta(ge=0)]
    has_more: bool
    next_cursor: str | UnsetType | None = UNSET


class StartedRun(_Wire):
    run_id: RunId
    execution_id: str


class SyncRun(_Wire):
    run_id: RunId
    status: RunStatus
    execution_state: dict[str, NodeState]
    duration_ms: int


class Resumption(_Wire):
    action: Literal["resumed", "skipped"]
    reason: str


class Triggered(_Wire):
    action: Literal["triggered"]
    run_id: RunId


class Workflow(_Wire):
    """With `_fields_filter`, only the fields that it names."""

    id: WorkflowId | UnsetType = UNSET
    version: Annotated[int | UnsetType, Meta(description="The newest.")] = UNSET
    published_version: int | UnsetType | None = UNSET
    organization_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    slug: str | UnsetType = UNSET
    alias: str | UnsetType = UNSET
    status: Literal["draft", "active", "paused", "archived"] | UnsetType = UNSET
    type: str | UnsetType = UNSET
    visibility: Literal["private", "org", "public_view", "public_execute"] | UnsetType = UNSET
    max_runs: UnsetType | None = UNSET
    remain_runs: UnsetType | None = UNSET
    cooldown_ms: int | UnsetType = UNSET
    last_triggered_at: Annotated[str | UnsetType | None, Meta(description="Only of one workflow.")] = UNSET
    created_by: str | UnsetType | None = UNSET
    created_at: str | UnsetType = UNSET
    updated_by: str | UnsetType | None = UNSET
    updated_at: str | UnsetType = UNSET
    published_at: str | UnsetType | None = UNSET
    has_draft: bool | UnsetType = UNSET
    has_live_version: bool | UnsetType = UNSET
    definition: Annotated[
        dict[str, Any] | UnsetType, Meta(description="Of the newest version; in lists only where it is asked for.")
    ] = UNSET


class PublicWorkflow(_Wire):
    """What everybody may know of a workflow that is open to all and published; its nodes are not shown."""

    id: WorkflowId
    name: str
    description: str
    slug: str
    status: Literal["active", "paused"]
    visibility: Literal["public_view", "public_execute"]
    version: Annotated[int, Meta(description="The published one.")]
    input_schema: Annotated[Any, Meta(description="What its executions are given, as its definition has it.")]
    price: Annotated[dict[str, Any] | None, Meta(description="Added by Gesta: `{amount, currency}`.")]
    published_at: Time


class WorkflowPage(_Wire):
    items: list[Workflow]
    limit: int
    offset: int
    has_more: bool


class WorkflowVersion(_Wire):
    version_number: int
    workflow_id: str
    status: Literal["draft", "published", "archived"]
    created_by: str | None
    created_at: str
    published_at: Time
    definition: dict[str, Any] | UnsetType = UNSET


class VersionPage(_Wire):
    items: list[WorkflowVersion]
    limit: int
    offset: int
    has_more: bool


class Problem(_Wire):
    node_id: str
    field: str
    message: str


class Validation(_Wire):
    valid: bool
    errors: list[Problem]
    warnings: list[Problem]


class Archived(_Wire):
    id: str
    status: Literal["archived"]


class Schedule(_Wire):
    id: str
    name: str
    cron: str | None
    every_seconds: float | None
    timezone: str
    is_paused: bool
    last_run_at: Time
    next_run_at: Time


class WorkflowSchedule(_Wire):
    workflow_id: str
    last_run_at: Time
    next_run_at: Time
    schedules: list[Schedule]


class WebhookSecret(_Wire):
    secret: str
    path: str


class ExecutionWebhook(_Wire):
    """An address that is told what becomes of runs. `secretHint` and `disabledReason` are added by Gesta."""

    id: str
    organization_id: str
    name: str
    url: str
    description: str
    subscribed_event_types: list[str]
    enabled: bool
    max_retries: int
    secret_hint: str
    disabled_reason: str | None
    created_at: str
    updated_at: str
    secret: Annotated[str | UnsetType, Meta(description="Shown once: when it is made.")] = UNSET


class ExecutionWebhookPage(_Wire):
    items: list[ExecutionWebhook]
    limit: int
    offset: int
    has_more: bool


class DeletedWebhook(_Wire):
    id: str
    deleted: bool


class WebhookDelivery(_Wire):
    """One event for one endpoint. `replayOf` is added by Gesta."""

    id: str
    endpoint_id: str
    execution_id: str | None
    run_id: RunId | None
    workflow_id: str | None
    organization_id: str
    event_type: str
    status: Literal["pending", "success", "failure", "retrying"]
    retry_count: int
    max_retries: int
    next_retry_at: Time
    duration_ms: int | None
    request_headers: dict[str, str]
    request_body: Any
    response_status: int | None
    response_headers: dict[str, str]
    response_body: str
    error_message: str | None
    replay_of: str | None
    created_at: str
    updated_at: str


class WebhookDeliveryPage(_Wire):
    items: list[WebhookDelivery]
    limit: int
    offset: int
    has_more: bool


#: The `data` of each operation's envelope; the envelope is called after it.
DATA = (
    CreatedExecution,
    PublicExecution,
    Run,
    RunPage,
    StartedRun,
    SyncRun,
    Resumption,
    Triggered,
    Workflow,
    PublicWorkflow,
    WorkflowPage,
    WorkflowVersion,
    VersionPage,
    Validation,
    Archived,
    WorkflowSchedule,
    WebhookSecret,
    ExecutionWebhook,
    ExecutionWebhookPage,
    DeletedWebhook,
    WebhookDelivery,
    WebhookDeliveryPage,
)


def envelope(data: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The envelope around `data`."""
    made: type[msgspec.Struct] = msgspec.defstruct(
        f"{data.__name__}Envelope", [("data", data)], bases=(_Envelope,), kw_only=True, rename="camel"
    )
    return made


ENVELOPES = tuple(envelope(data) for data in DATA)

"""The bodies of the calls that write, for the OpenAPI document (protocols/refold.md §1, §2, §5, §6)."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from gesta.apis.refold.models import Environment, ExecutionStatus, NodeStatus, OptionalText

OptionalObject = dict[str, Any] | None | UnsetType
OptionalList = list[Any] | None | UnsetType


class ExecutionStarted(msgspec.Struct, kw_only=True):
    """`status` where the caller waited for longer than the server does; `checkout_url` where it is to be paid."""

    message: str
    execution_id: str
    status: ExecutionStatus | UnsetType = UNSET
    checkout_url: str | UnsetType = UNSET
    headers: dict[str, str] | UnsetType = UNSET


class ExecutionResult(msgspec.Struct, kw_only=True):
    """What a synchronous execution answered. The HTTP status is the Response node's."""

    execution_id: str
    return_value: Any
    errored: bool
    status_code: int
    executed_by_thanos: bool
    execution_error: dict[str, Any] | None
    headers: dict[str, str] | UnsetType = UNSET


class ExecutionResponse(msgspec.Struct, kw_only=True):
    response: Any
    status: ExecutionStatus


class ExecutionStopped(msgspec.Struct, kw_only=True):
    """`status` where there was nothing to stop."""

    message: str
    status: ExecutionStatus | UnsetType = UNSET


class Rerun(msgspec.Struct, kw_only=True):
    """From the node `from_node` on, with what was done before it; with `payload` instead of the first one's."""

    from_node: OptionalText = UNSET
    payload: Any = UNSET


class ExecutionRerun(msgspec.Struct, kw_only=True):
    status: str
    id: str
    message: str
    instance_id: str = field(name="instanceId")


class _Page(msgspec.Struct, kw_only=True):
    total_docs: Annotated[int, Meta(ge=0)] = field(name="totalDocs")
    limit: Annotated[int, Meta(ge=0, le=100)]
    total_pages: Annotated[int, Meta(ge=1)] = field(name="totalPages")
    page: Annotated[int, Meta(ge=1)]
    paging_counter: Annotated[int, Meta(ge=1)] = field(name="pagingCounter")
    has_prev_page: bool = field(name="hasPrevPage")
    has_next_page: bool = field(name="hasNextPage")
    prev_page: int | None = field(name="prevPage")
    next_page: int | None = field(name="nextPage")


class Batch(msgspec.Struct, kw_only=True):
    batch_index: Annotated[int, Meta(ge=0)]
    status: NodeStatus
    output: Any
    error: str | UnsetType = UNSET


class BatchPage(_Page, kw_only=True):
    docs: list[Batch]


class Event(msgspec.Struct, kw_only=True):
    """`event` or `trigger` names it. `dedup_key`: the same one starts nothing a second time."""

    event: OptionalText = UNSET
    trigger: OptionalText = UNSET
    payload: Any = UNSET
    dedup_key: OptionalText = UNSET


class EventFired(msgspec.Struct, kw_only=True):
    message: str
    event_id: str
    execution_ids: list[str]
    resumed_execution_ids: list[str]
    duplicates: list[str]


class HookFired(msgspec.Struct, kw_only=True):
    message: str
    execution_id: str


class NewWorkflow(msgspec.Struct, kw_only=True):
    """Without `nodes` it begins as a start node alone."""

    name: OptionalText = UNSET
    description: OptionalText = UNSET
    slug: OptionalText = UNSET
    associated_application: dict[str, Any] | str | UnsetType | None = UNSET
    workflow_alias: OptionalText = UNSET
    nodes: OptionalList = UNSET
    edges: OptionalList = UNSET
    settings: OptionalObject = UNSET
    json_schema: OptionalObject = UNSET
    manual_execution_payload: Any = UNSET


class Workflow(msgspec.Struct, kw_only=True):
    """`_id` is the published id, or the draft's (`draft_id`) where a draft is shown. Lists are without the graph."""

    object_id: str = field(name="_id")
    name: str
    description: str
    icon: str
    slug: str
    workflow_alias: str
    org_id: str
    environment: Environment
    published: bool
    public_access_workflow: bool
    associated_application: str | None
    associated_workflow: str | None
    draft_id: str
    is_v2: bool
    version: int
    current_version: int
    created_at: str = field(name="createdAt")
    updated_at: str = field(name="updatedAt")
    nodes: list[Any] | UnsetType = UNSET
    edges: list[Any] | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    json_schema: OptionalObject = UNSET
    manual_execution_payload: Any = UNSET
    data_slots: list[Any] | UnsetType = UNSET


class WorkflowSaved(msgspec.Struct, kw_only=True):
    workflow: Workflow


class WorkflowPage(_Page, kw_only=True):
    docs: list[Workflow]
    schema: OptionalObject = UNSET


class PublishWorkflow(msgspec.Struct, kw_only=True):
    published: bool
    version: int | UnsetType | None = UNSET


class WorkflowDeleted(msgspec.Struct, kw_only=True):
    success: bool
    triggers_deregistered: bool


class RequestStructure(msgspec.Struct, kw_only=True):
    payload: Any
    schema: dict[str, Any] | None
    schema_interpreted: dict[str, str] | None


class WorkflowHook(msgspec.Struct, kw_only=True):
    """The address of a webhook trigger, shown once."""

    webhook_url: str
    path: str
    secret: str


class NewSchedule(msgspec.Struct, kw_only=True):
    """`cron` with `regex`, or `interval` with dates in `interval_dates`; from `startDate` to `endDate`."""

    trigger_type: OptionalText = UNSET
    regex: OptionalText = UNSET
    interval_dates: OptionalList = UNSET
    tz: OptionalText = UNSET
    start_date: OptionalText = field(default=UNSET, name="startDate")
    end_date: OptionalText = field(default=UNSET, name="endDate")
    payload: Any = UNSET


class Schedule(msgspec.Struct, kw_only=True):
    """`cron_patten` is Refold's spelling."""

    object_id: str = field(name="_id")
    event_id: str
    workflow: dict[str, Any] | str
    config_id: str
    linked_account_id: str
    environment: Environment
    org_id: str
    trigger_type: str
    cron_patten: str | None
    trigger_interval: list[dict[str, int]]
    status: str
    inactive: bool
    registered_by_api: bool
    options: dict[str, Any]
    payload: Any
    next_run_at: str | None
    last_run_at: str | None
    created_at: str = field(name="createdAt")
    updated_at: str = field(name="updatedAt")


class SchedulePage(_Page, kw_only=True):
    docs: list[Schedule]


class Said(msgspec.Struct, kw_only=True):
    message: str
    success: bool | UnsetType = UNSET


class NewLinkedAccount(msgspec.Struct, kw_only=True):
    account_id: OptionalText = UNSET
    linked_account_id: OptionalText = UNSET
    name: OptionalText = UNSET
    payload: OptionalObject = UNSET
    udf: OptionalObject = UNSET
    your_app: OptionalObject = UNSET


class LinkedAccountView(msgspec.Struct, kw_only=True):
    object_id: str = field(name="_id")
    associated_org: str
    account_id: str
    linked_account_id: str
    name: str
    environment: Environment
    udf: list[Any]
    integrations: list[Any] | None
    created_at: str = field(name="createdAt")
    updated_at: str = field(name="updatedAt")
    new_account: bool | UnsetType = UNSET


class LinkedAccountPage(_Page, kw_only=True):
    docs: list[LinkedAccountView]


class NewWebhook(msgspec.Struct, kw_only=True):
    webhook_url: OptionalText = UNSET
    webhook_events: OptionalList = UNSET
    webhook_headers: OptionalObject = UNSET
    webhook_body: Any = UNSET
    webhook_type: OptionalText = UNSET
    method: OptionalText = UNSET
    slug: OptionalText = UNSET
    workflow_ids: OptionalList = UNSET
    description: OptionalText = UNSET
    group: OptionalText = UNSET
    is_enabled: bool | UnsetType = UNSET


class Webhook(msgspec.Struct, kw_only=True):
    """`secret` only in the answer to its creation."""

    object_id: str = field(name="_id")
    org_id: str
    environment: Environment | None
    is_enabled: bool
    webhook_events: list[str]
    slug: str
    description: str
    webhook_description: str
    workflow_ids: list[str]
    webhook_url: str
    webhook_body: Any
    webhook_headers: dict[str, str]
    method: str
    group: str
    webhook_type: str
    secret_hint: str
    secret: str | UnsetType = UNSET
    created_at: str = field(name="createdAt")
    updated_at: str = field(name="updatedAt")


class WebhookPage(_Page, kw_only=True):
    docs: list[Webhook]


class WebhookDelivery(msgspec.Struct, kw_only=True):
    object_id: str = field(name="_id")
    webhook_id: str
    event: str
    instance_id: str
    status: str
    attempts: int
    payload: Any
    response_status: int | None
    response_text: str
    error: str
    replay_of: str | None
    created_at: str = field(name="createdAt")
    delivered_at: str | None = field(name="deliveredAt")
    next_attempt_at: str | None


class WebhookDeliveryPage(_Page, kw_only=True):
    docs: list[WebhookDelivery]


WRITE_BODIES = (
    *(ExecutionStarted, ExecutionResult, ExecutionResponse, ExecutionStopped, Rerun, ExecutionRerun, BatchPage),
    *(Event, EventFired, HookFired, NewWorkflow, Workflow, WorkflowSaved, WorkflowPage, PublishWorkflow),
    *(WorkflowDeleted, RequestStructure, WorkflowHook, NewSchedule, Schedule, SchedulePage, Said),
    *(NewLinkedAccount, LinkedAccountView, LinkedAccountPage),
    *(NewWebhook, Webhook, WebhookPage, WebhookDelivery, WebhookDeliveryPage),
)

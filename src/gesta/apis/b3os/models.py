"""The wire shapes of B3OS as msgspec types: the source of the OpenAPI schemas (seed 003, protocols/b3os.md §3–4).

B3OS marks no key as required. Here every key is always there, unset ones null, except those that an execution posted
in this shape lacked.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

ExecutionStatus = Literal[
    "awaiting_payment",
    "payment_confirmed",
    "workflow_queued",
    "workflow_running",
    "workflow_waiting",
    "workflow_succeeded",
    "workflow_failed",
    "workflow_cancelled",
]
Text = str | UnsetType | None
# A posted execution keeps its documentation's placeholder, such as the text `<object>`.
Document = dict[str, Any] | str | UnsetType | None


class Execution(msgspec.Struct, kw_only=True, rename="camel"):
    """A workflow run as a business object: who asked, for what, its payment and its outcome."""

    id: Annotated[str, Meta(description="Opaque id of the execution.")]
    status: Annotated[ExecutionStatus, Meta(description="Where the execution stands.")]
    checkout_session_id: Text = UNSET
    client_safe_metadata: Annotated[Document, Meta(description="What a public client may see.")] = UNSET
    created_at: Annotated[Text, Meta(description="RFC 3339, UTC.")] = UNSET
    external_ref: Text = UNSET
    finished_at: Annotated[Text, Meta(description="RFC 3339, UTC; null until it has ended.")] = UNSET
    idempotency_key: Text = UNSET
    initiated_by_id: Text = UNSET
    initiated_by_type: Text = UNSET
    order_id: Text = UNSET
    organization_id: Text = UNSET
    payment_status: Text = UNSET
    request_payload: Document = UNSET
    response_payload: Document = UNSET
    run_id: Annotated[Text, Meta(description="The run of the workflow graph, once there is one.")] = UNSET
    source_entity_id: Text = UNSET
    source_entity_type: Text = UNSET
    source_system: Text = UNSET
    started_at: Annotated[Text, Meta(description="RFC 3339, UTC; null until it has started.")] = UNSET
    status_reason: Annotated[Text, Meta(description="Why it failed or was cancelled; `timed_out` for a timeout.")] = (
        UNSET
    )
    updated_at: Annotated[Text, Meta(description="RFC 3339, UTC.")] = UNSET
    workflow_id: Text = UNSET


class Event(msgspec.Struct, kw_only=True, rename="camel"):
    """One entry of an execution's timeline."""

    id: Annotated[str, Meta(description="`evt_` and a number that grows with time.", pattern="^evt_[0-9]+$")]
    execution_id: str
    run_id: str | None
    workflow_id: str | None
    organization_id: str
    node_id: Annotated[str | None, Meta(description="The node of the workflow that the event is about.")]
    event_type: Annotated[str, Meta(description="A dotted word, such as `execution.running` or `node.failed`.")]
    level: Literal["debug", "info", "warning", "error"]
    title: str
    message: str
    data: dict[str, Any]
    request_id: str | None
    created_at: Annotated[str, Meta(description="RFC 3339, UTC.")]


class ExecutionList(msgspec.Struct, kw_only=True, rename="camel"):
    """One page, newest first."""

    items: list[Execution]
    limit: Annotated[int, Meta(description="The limit in force, after clamping.", ge=1, le=100)]
    offset: Annotated[int, Meta(ge=0)]
    has_more: bool
    next_cursor: Annotated[
        str | UnsetType | None, Meta(description="Only when paging by `cursor`: where the next page begins, or null.")
    ] = UNSET


class ExecutionWithEvents(msgspec.Struct, kw_only=True, rename="camel"):
    """An execution, its timeline, and a sentence about where it stands."""

    execution: Execution
    events: list[Event]
    message: str


class ExecutionListEnvelope(msgspec.Struct, kw_only=True, rename="camel"):
    code: Literal[200]
    data: ExecutionList
    message: str
    request_id: str


class ExecutionEnvelope(msgspec.Struct, kw_only=True, rename="camel"):
    code: Literal[200]
    data: ExecutionWithEvents
    message: str
    request_id: str


class EventsEnvelope(msgspec.Struct, kw_only=True, rename="camel"):
    code: Literal[200]
    data: list[Event]
    message: str
    request_id: str


class ErrorEnvelope(msgspec.Struct, kw_only=True, rename="camel"):
    """Every error."""

    code: Annotated[int, Meta(description="The HTTP status and a three-digit sequence.", ge=400000, le=599999)]
    message: str
    data: None
    request_id: str


WIRE_TYPES: tuple[type[msgspec.Struct], ...] = (
    ExecutionListEnvelope,
    ExecutionEnvelope,
    EventsEnvelope,
    ErrorEnvelope,
)


def schemas(*more: type[msgspec.Struct]) -> dict[str, Any]:
    """`components.schemas` of the OpenAPI document: those of the reads, and `more`."""
    _, components = msgspec.json.schema_components((*WIRE_TYPES, *more), ref_template="#/components/schemas/{name}")
    return components

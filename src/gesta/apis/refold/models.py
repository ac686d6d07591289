"""The bodies of the dialect, for its OpenAPI document (seed 004, protocols/refold.md §1, §3, §4).

Executions are printed from plain dicts, since a posted object may carry keys that no schema knows; a test holds what is
printed against these schemas.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

Environment = Literal["test", "production"]
ExecutionStatus = Literal["COMPLETED", "ERRORED", "RUNNING", "STOPPED", "STOPPING", "TIMED_OUT"]
NodeStatus = Literal[
    "Success", "Ready", "Errored", "Waiting", "Stopped", "Rejected", "Errored_and_Skipped", "Timed_Out"
]
OptionalText = str | None | UnsetType


class Reference(msgspec.Struct, kw_only=True):
    """A workflow or an application."""

    id: OptionalText = field(default=UNSET, name="_id")
    name: OptionalText = UNSET
    icon: OptionalText = UNSET


class ExecutionItem(msgspec.Struct, kw_only=True):
    """One execution. A key is absent where the object that was recorded through the dialect lacked it."""

    object_id: Annotated[str, Meta(description="Execution id")] = field(name="_id")
    id: OptionalText = UNSET
    name: OptionalText = UNSET
    org_id: OptionalText = UNSET
    associated_application: Reference | str | UnsetType | None = UNSET
    status: ExecutionStatus
    associated_workflow: Reference | str | UnsetType | None = UNSET
    associated_trigger_application: Reference | str | UnsetType | None = UNSET
    trigger_application_event: Annotated[
        OptionalText, Meta(description="`Schedule`, `API Call`, `Event`, or the name of an application's event")
    ] = UNSET
    linked_account_id: OptionalText = UNSET
    environment: Environment | UnsetType | None = UNSET
    config_id: OptionalText = UNSET
    associated_event_id: OptionalText = UNSET
    custom_trigger_id: OptionalText = UNSET
    custom_application_id: OptionalText = UNSET
    type_of_execution: Literal["SYNC", "ASYNC"] | UnsetType | None = UNSET
    completion_time: Annotated[OptionalText, Meta(description="RFC 3339, when it ended")] = UNSET
    instance_execution_time: Annotated[float | UnsetType | None, Meta(description="Milliseconds")] = UNSET
    created_at: Annotated[str, Meta(description="RFC 3339 with milliseconds, UTC")] = field(name="createdAt")
    updated_at: Annotated[OptionalText, Meta(description="RFC 3339 with milliseconds, UTC")] = field(
        default=UNSET, name="updatedAt"
    )


class ExecutionNode(msgspec.Struct, kw_only=True):
    node_id: OptionalText = UNSET
    node_name: OptionalText = UNSET
    node_type: OptionalText = UNSET
    node_status: NodeStatus | UnsetType | None = UNSET
    is_batch: bool | UnsetType | None = UNSET
    attempts_made: int | UnsetType | None = UNSET
    maximum_attempts: int | UnsetType | None = UNSET
    execution_time: Annotated[float | UnsetType | None, Meta(description="Milliseconds")] = UNSET
    input_data: Any = UNSET
    latest_output: Any = UNSET


class ExecutionDetail(ExecutionItem, kw_only=True):
    """An execution with its nodes, by the time at which each was entered."""

    completion_percentage: float | UnsetType | None = UNSET
    nodes: list[ExecutionNode] | UnsetType | None = UNSET


class ExecutionPage(msgspec.Struct, kw_only=True):
    """The flat result of mongoose-paginate."""

    docs: list[ExecutionItem]
    total_docs: Annotated[int, Meta(ge=0)] = field(name="totalDocs")
    limit: Annotated[int, Meta(ge=0, le=100)]
    total_pages: Annotated[int, Meta(ge=1)] = field(name="totalPages")
    page: Annotated[int, Meta(ge=1)]
    paging_counter: Annotated[int, Meta(ge=1)] = field(name="pagingCounter")
    has_prev_page: bool = field(name="hasPrevPage")
    has_next_page: bool = field(name="hasNextPage")
    prev_page: int | None = field(name="prevPage")
    next_page: int | None = field(name="nextPage")


class SessionTokenRequest(msgspec.Struct, kw_only=True):
    linked_account_id: Annotated[str, Meta(min_length=1, description="The linked account that the session is for")]


class SessionToken(msgspec.Struct, kw_only=True):
    """Lifetimes are in seconds from now; an unexpired token is given again unless `force_refresh=true`."""

    token: str
    refresh_token: str
    expires_in: int
    refresh_expires_in: int


class SessionRevoked(msgspec.Struct, kw_only=True):
    success: bool
    revoked_count: Annotated[int, Meta(ge=0, le=1)]


class LinkedAccount(msgspec.Struct, kw_only=True):
    """The linked account that the caller is confined to."""

    object_id: str = field(name="_id")
    associated_org: str
    account_id: str
    linked_account_id: str
    name: str
    environment: Environment
    udf: Annotated[list[Any], Meta(description="User-defined fields, each `{key_name, key_value}`")]
    integrations: list[Any]
    created_at: str = field(name="createdAt")
    updated_at: str = field(name="updatedAt")


class ErrorBody(msgspec.Struct, kw_only=True):
    """Every error. `error` repeats `error_code`."""

    status_code: int
    http_error_type: str
    error_code: str
    error: str
    message: str
    request_id: str


BODIES = (ExecutionPage, ExecutionDetail, SessionTokenRequest, SessionToken, SessionRevoked, LinkedAccount, ErrorBody)

"""The wire shapes of outgoing webhooks: what is posted, and what is printed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gesta.access.model import Environment
from gesta.apis.native.models import _In
from gesta.kernel.times import format_us
from gesta.workflows.hooks_face import Delivery, Endpoint

Address = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2048,
        description="An http or https address, on the public network unless the operator allows its network.",
        examples=["https://hooks.example.com/gesta"],
    ),
]
Event = Literal[
    "*",
    "run.started",
    "run.waiting",
    "run.succeeded",
    "run.failed",
    "run.cancelled",
    "run.timed_out",
    "node.failed",
]
Events = Annotated[list[Event], Meta(min_length=1, max_length=20)]
Format = Annotated[
    Literal["gesta", "refold", "slack", "custom", "b3os"],
    Meta(description="The body: Gesta's own, a dialect's, a text for Slack, or `body` with its templates filled in."),
]
Method = Literal["POST", "PUT", "PATCH"]
HeaderText = Annotated[str, Meta(max_length=4096, pattern=r"^([!-~]([ -~]*[!-~])?)?$")]
Headers = Annotated[dict[str, HeaderText], Meta(max_length=20)]
Body = Annotated[Any, Meta(description="Of format `custom`: any JSON of at most 16384 bytes, with templates.")]
WorkflowIds = Annotated[list[Annotated[str, Meta(min_length=1, max_length=128)]], Meta(max_length=100)]
Name = Annotated[str, Meta(max_length=256)]
Description = Annotated[str, Meta(max_length=2048)]
Retries = Annotated[int, Meta(ge=0, le=10, description="Attempts after the first one.")]


class NewWebhookModel(_In, frozen=True, kw_only=True):
    """An address that is told what becomes of runs: of all, or of `workflow_ids` or an `application` only.
    `environment` null is both."""

    url: Address
    events: Events
    name: Name = ""
    description: Description = ""
    group: Name = ""
    format: Format = "gesta"
    method: Method = "POST"
    headers: Headers = msgspec.field(default_factory=dict)
    body: Body = None
    workflow_ids: WorkflowIds = msgspec.field(default_factory=list)
    application: Name = ""
    environment: Environment | None = None
    enabled: bool = True
    max_retries: Retries = 3


class WebhookChangeModel(_In, frozen=True, kw_only=True):
    """What is not said stays."""

    url: Address | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    group: Name | UnsetType = UNSET
    format: Format | UnsetType = UNSET
    method: Method | UnsetType = UNSET
    headers: Headers | UnsetType = UNSET
    body: Body = UNSET
    workflow_ids: WorkflowIds | UnsetType = UNSET
    application: Name | UnsetType = UNSET
    environment: Environment | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    max_retries: Retries | UnsetType = UNSET


POSTED: tuple[type[msgspec.Struct], ...] = (NewWebhookModel, WebhookChangeModel)


def view_endpoint(endpoint: Endpoint, account: str | None) -> dict[str, Any]:
    """An endpoint as Gesta's own dialect prints it. Values of headers may be credentials: only names are shown."""
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": [event.value for event in endpoint.events],
        "name": endpoint.name,
        "description": endpoint.description,
        "group": endpoint.group,
        "format": endpoint.format.value,
        "method": endpoint.method,
        "header_names": list(endpoint.headers),
        "body": endpoint.body,
        "workflow_ids": list(endpoint.workflow_ids),
        "application": endpoint.application,
        "account": account,
        "environment": endpoint.environment,
        "enabled": endpoint.is_enabled,
        "max_retries": endpoint.max_retries,
        "secret_hint": endpoint.secret_hint,
        "failures": endpoint.failures,
        "disabled_reason": endpoint.disabled_reason,
        "created_at": format_us(endpoint.created_at_us),
        "updated_at": format_us(endpoint.updated_at_us),
    }


def view_delivery(delivery: Delivery) -> dict[str, Any]:
    """One entry of an endpoint's log."""
    return {
        "id": delivery.id,
        "webhook_id": delivery.endpoint_id,
        "event": delivery.event.value,
        "run_id": delivery.run_id,
        "workflow_id": delivery.workflow_id,
        "status": delivery.status.value,
        "attempts": delivery.attempts,
        "next_at": _moment(delivery.next_at_us),
        "request_headers": dict(delivery.request_headers),
        "request_body": delivery.request_text,
        "response_status": delivery.response_status,
        "response_headers": dict(delivery.response_headers),
        "response_body": delivery.response_text,
        "duration_ms": delivery.duration_ms,
        "error": delivery.error,
        "replay_of": delivery.replay_of or None,
        "created_at": format_us(delivery.created_at_us),
        "updated_at": format_us(delivery.updated_at_us),
        "delivered_at": _moment(delivery.delivered_at_us),
    }


def _moment(at_us: int | None) -> str | None:
    return None if at_us is None else format_us(at_us)

"""What dialects ask of outgoing webhooks: addresses that are told what becomes of runs, and what was sent to them."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from gesta.access.model import Environment, Principal


class HookEvent(enum.StrEnum):
    """What an endpoint may be told of. Gesta keeps no connections; a client may ask for their events, and hears none.
    `ALL` is every event of runs and nodes. `ENDPOINT_DISABLED` is only ever an entry of an endpoint's own log."""

    ALL = "*"
    RUN_STARTED = "run.started"
    RUN_WAITING = "run.waiting"
    NODE_FAILED = "node.failed"
    ENDPOINT_DISABLED = "endpoint.disabled"
    RUN_SUCCEEDED = "run.succeeded"
    RUN_FAILED = "run.failed"
    RUN_CANCELLED = "run.cancelled"
    RUN_TIMED_OUT = "run.timed_out"
    CONNECTION_CREATED = "connection.created"
    CONNECTION_DELETED = "connection.deleted"
    CONNECTION_EXPIRED = "connection.expired"


class HookFormat(enum.StrEnum):
    """What is sent: Gesta's own body, or the one of a dialect's clients; `slack` is a text, `custom` is `body` with its
    templates filled in."""

    GESTA = "gesta"
    REFOLD = "refold"
    SLACK = "slack"
    CUSTOM = "custom"
    B3OS = "b3os"


METHODS: Final = ("POST", "PUT", "PATCH")


class EndpointIn(msgspec.Struct, frozen=True, kw_only=True):
    """An address to be told. With `workflow_ids` or `application` (a slug) only of their runs; `environment` None is
    both. `account_bound`: only runs of the caller's own account."""

    url: str
    events: tuple[HookEvent, ...]
    format: HookFormat = HookFormat.GESTA
    method: str = "POST"
    headers: Mapping[str, str] = {}
    body: Any = None
    workflow_ids: tuple[str, ...] = ()
    application: str = ""
    environment: Environment | None = None
    account_bound: bool = False
    description: str = ""
    group: str = ""
    is_enabled: bool = True
    name: str = ""
    max_retries: int = 3


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An address that is told. `id` is 24 hexadecimal digits; `account` 0 hears of the whole organization's runs.
    `secret_hint` is the start of the secret that its deliveries are signed with. `failures` counts the deliveries that
    were given up in a row; `disabled_reason` says why Gesta itself disabled it."""

    id: str
    organization: int
    account: int
    url: str
    events: tuple[HookEvent, ...]
    format: HookFormat
    method: str = "POST"
    headers: Mapping[str, str] = {}
    body: Any = None
    workflow_ids: tuple[str, ...] = ()
    application: str = ""
    environment: Environment | None = None
    description: str = ""
    group: str = ""
    is_enabled: bool = True
    secret_hint: str = ""
    created_at_us: int
    updated_at_us: int
    name: str = ""
    max_retries: int = 3
    failures: int = 0
    disabled_reason: str = ""


class DeliveryStatus(enum.StrEnum):
    PENDING = "pending"  # to be sent
    RETRYING = "retrying"  # was sent and not taken; to be sent again at `next_at_us`
    DELIVERED = "delivered"  # answered with 2xx
    FAILED = "failed"  # given up after the last attempt


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one endpoint. `response_status` None: no answer came; `error` says why. `replay_of`: the delivery
    that this one repeats. `request_headers` are those of the newest attempt, the endpoint's own without their values;
    what was answered is kept up to a bound. `duration_ms` is that of the newest attempt."""

    id: str
    endpoint_id: str
    event: HookEvent
    run_id: str
    status: DeliveryStatus
    attempts: int
    payload: Any
    response_status: int | None = None
    response_text: str = ""
    error: str = ""
    replay_of: str = ""
    created_at_us: int
    next_at_us: int | None = None
    delivered_at_us: int | None = None
    max_retries: int = 3
    duration_ms: int | None = None
    request_headers: Mapping[str, str] = {}
    request_text: str = ""
    response_headers: Mapping[str, str] = {}
    workflow_id: str = ""
    updated_at_us: int = 0


class Webhooks(Protocol):
    """The front door. As everywhere, what another organization or account has is not found."""

    async def create(self, principal: Principal, endpoint: EndpointIn) -> tuple[Endpoint, str]:
        """The endpoint, and the secret that its deliveries are signed with, shown once. Raises InvalidInput for an
        address that may not be called."""
        ...

    async def change(self, principal: Principal, id: str, endpoint: EndpointIn) -> Endpoint:
        """All of it but its secret. Raises NotFound, InvalidInput."""
        ...

    async def get(self, principal: Principal, id: str) -> Endpoint: ...

    async def list(self, principal: Principal, *, offset: int = 0, limit: int = 50) -> tuple[Sequence[Endpoint], int]:
        """A page, newest first, and how many there are."""
        ...

    async def delete(self, principal: Principal, id: str) -> None: ...

    async def deliveries(
        self, principal: Principal, id: str, *, offset: int = 0, limit: int = 50
    ) -> tuple[Sequence[Delivery], int]:
        """What was sent to an endpoint, newest first, and how many there are."""
        ...

    async def replay(self, principal: Principal, id: str, delivery: str) -> Delivery:
        """Send the same again, as a delivery of its own."""
        ...

    async def enable(self, principal: Principal, id: str, *, is_enabled: bool) -> Endpoint:
        """A disabled one is told nothing, and what waits for it is given up."""
        ...

    async def new_secret(self, principal: Principal, id: str) -> tuple[Endpoint, str]:
        """Another secret instead of the one that it has, shown once. What is sent from now on is signed with it."""
        ...

    async def log(
        self, principal: Principal, id: str = "", *, offset: int = 0, limit: int = 50
    ) -> tuple[Sequence[Delivery], bool]:
        """As `deliveries`, of every endpoint where none is named, and whether there are more."""
        ...

    async def delivery(self, principal: Principal, delivery: str) -> Delivery: ...

    async def retry(self, principal: Principal, delivery: str) -> Delivery:
        """Send one that was given up again, as the same delivery. Raises Conflict for any other, and where its endpoint
        is disabled."""
        ...

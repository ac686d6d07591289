"""The rows of endpoints and of what is delivered to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gesta.access.model import Environment
from gesta.kernel.json import decode_json
from gesta.storage.program import Fetch, Program, Row, Statement, load
from gesta.workflows.hooks_face import Delivery, DeliveryStatus, Endpoint, EndpointIn, HookEvent
from gesta.workflows.runs.rows import encoder

SQL: dict[str, Statement] = load("gesta.workflows.sql", "hooks.sql")

HINT = 10
_endpoint_decoder = msgspec.json.Decoder(EndpointIn)
_headers_decoder = msgspec.json.Decoder(dict[str, str])


class EndpointRow(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as it is on disk. `said` is what its maker says of it; whether it is enabled says the row."""

    organization: int
    id: str
    account: int
    is_enabled: bool
    secret: str
    said: EndpointIn
    failures: int = 0
    failing_since_us: int | None = None
    disabled_reason: str = ""
    created_at_us: int
    updated_at_us: int

    @property
    def view(self) -> Endpoint:
        said = self.said
        return Endpoint(
            id=self.id,
            organization=self.organization,
            account=self.account,
            url=said.url,
            events=said.events,
            format=said.format,
            method=said.method,
            headers=said.headers,
            body=said.body,
            workflow_ids=said.workflow_ids,
            application=said.application,
            environment=said.environment,
            description=said.description,
            group=said.group,
            is_enabled=self.is_enabled,
            secret_hint=self.secret[:HINT],
            created_at_us=self.created_at_us,
            updated_at_us=self.updated_at_us,
            name=said.name,
            max_retries=said.max_retries,
            failures=self.failures,
            disabled_reason=self.disabled_reason,
        )


def endpoint_of(row: Row) -> EndpointRow:
    said = _endpoint_decoder.decode(bytes(row[6]))
    environment = Environment(row[3]) if row[3] else None
    return EndpointRow(
        organization=row[0],
        id=row[1],
        account=row[2],
        is_enabled=bool(row[4]),
        secret=row[5],
        said=msgspec.structs.replace(said, environment=environment),
        failures=row[7],
        failing_since_us=row[8],
        disabled_reason=row[9],
        created_at_us=row[10],
        updated_at_us=row[11],
    )


def row_of_endpoint(row: EndpointRow) -> tuple[Any, ...]:
    """The parameters of `hook.add` and `hook.put`."""
    return (
        row.organization,
        row.id,
        row.account,
        row.said.environment.value if row.said.environment is not None else "",
        int(row.is_enabled),
        row.secret,
        encoder.encode(row.said),
        row.failures,
        row.failing_since_us,
        row.disabled_reason,
        row.created_at_us,
        row.updated_at_us,
    )


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery as it is on disk. `most`: the attempts that it has in all."""

    organization: int
    id: str
    endpoint: str
    event: HookEvent
    run: str
    workflow: str
    status: DeliveryStatus
    attempts: int = 0
    most: int
    fence: int = 0
    next_at_us: int | None
    body: bytes
    request_headers: Mapping[str, str] = {}
    response_status: int | None = None
    response_headers: Mapping[str, str] = {}
    response_body: bytes = b""
    duration_ms: int | None = None
    error: str = ""
    replay_of: str = ""
    created_at_us: int
    updated_at_us: int
    delivered_at_us: int | None = None

    @property
    def view(self) -> Delivery:
        text = self.body.decode("utf-8", "replace")
        return Delivery(
            id=self.id,
            endpoint_id=self.endpoint,
            event=self.event,
            run_id=self.run,
            status=self.status,
            attempts=self.attempts,
            payload=decode_json(self.body) if self.body else None,
            response_status=self.response_status,
            response_text=self.response_body.decode("utf-8", "replace"),
            error=self.error,
            replay_of=self.replay_of,
            created_at_us=self.created_at_us,
            next_at_us=self.next_at_us,
            delivered_at_us=self.delivered_at_us,
            max_retries=max(0, self.most - 1),
            duration_ms=self.duration_ms,
            request_headers=self.request_headers,
            request_text=text,
            response_headers=self.response_headers,
            workflow_id=self.workflow,
            updated_at_us=self.updated_at_us,
        )


def delivery_of(row: Row) -> DeliveryRow:
    return DeliveryRow(
        organization=row[0],
        id=row[1],
        endpoint=row[2],
        event=HookEvent(row[3]),
        run=row[4],
        workflow=row[5],
        status=DeliveryStatus(row[6]),
        attempts=row[7],
        most=row[8],
        fence=row[9],
        next_at_us=row[10],
        body=bytes(row[11]),
        request_headers=_headers_decoder.decode(bytes(row[12])),
        response_status=row[13],
        response_headers=_headers_decoder.decode(bytes(row[14])),
        response_body=bytes(row[15]),
        duration_ms=row[16],
        error=row[17],
        replay_of=row[18],
        created_at_us=row[19],
        updated_at_us=row[20],
        delivered_at_us=row[21],
    )


def row_of_delivery(row: DeliveryRow) -> tuple[Any, ...]:
    """The parameters of `delivery.add`."""
    return (
        row.organization,
        row.id,
        row.endpoint,
        row.event.value,
        row.run,
        row.workflow,
        row.status.value,
        row.attempts,
        row.most,
        row.fence,
        row.next_at_us,
        row.body,
        encoder.encode(row.request_headers),
        row.response_status,
        encoder.encode(row.response_headers),
        row.response_body,
        row.duration_ms,
        row.error,
        row.replay_of,
        row.created_at_us,
        row.updated_at_us,
        row.delivered_at_us,
    )


def put(before: DeliveryRow, after: DeliveryRow) -> Program[bool]:
    """Write what became of a delivery. False, and nothing written, if another took it since `before`."""
    changed = (
        before.organization,
        before.id,
        before.fence,
        after.status.value,
        after.attempts,
        after.most,
        after.fence,
        after.next_at_us,
        encoder.encode(after.request_headers),
        after.response_status,
        encoder.encode(after.response_headers),
        after.response_body,
        after.duration_ms,
        after.error,
        after.updated_at_us,
        after.delivered_at_us,
    )
    rows = yield Fetch(SQL["delivery.put"], changed)
    return bool(rows)


def endpoint(organization: int, id: str) -> Program[EndpointRow | None]:
    rows = yield Fetch(SQL["hook.get"], (organization, id))
    return endpoint_of(rows[0]) if rows else None


def delivery(organization: int, id: str) -> Program[DeliveryRow | None]:
    rows = yield Fetch(SQL["delivery.get"], (organization, id))
    return delivery_of(rows[0]) if rows else None


def due(now_us: int, busy: str, most: int) -> Program[list[DeliveryRow]]:
    """What is to be sent now, the longest due first; `busy`: a JSON list of the endpoints that are left out."""
    rows = yield Fetch(SQL["delivery.due"], (now_us, busy, most))
    return [delivery_of(row) for row in rows]

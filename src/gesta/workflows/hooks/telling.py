"""Which endpoints hear of a transition: their deliveries are written in its transaction, so that a kill loses none."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from gesta.kernel.slugs import slug_of
from gesta.ledger.records import Execution, NewEvent, RunDetail
from gesta.storage.program import Fetch, Many, Program
from gesta.workflows.graph.expressions import ExpressionError
from gesta.workflows.hooks.payloads import MAX_BODY, body_of
from gesta.workflows.hooks.rows import SQL, DeliveryRow, EndpointRow, endpoint_of, row_of_delivery
from gesta.workflows.hooks_face import DeliveryStatus, EndpointIn, HookEvent
from gesta.workflows.runs.rows import RunRow

# How many deliveries may wait for one endpoint. What comes beyond is in its log, as not sent.
MAX_WAITING = 1000
# Failures of nodes that one transaction tells.
MAX_EVENTS = 20

HOOKS = {
    "run.started": HookEvent.RUN_STARTED,
    "run.waiting": HookEvent.RUN_WAITING,
    "run.succeeded": HookEvent.RUN_SUCCEEDED,
    "run.failed": HookEvent.RUN_FAILED,
    "run.stopped": HookEvent.RUN_CANCELLED,
    "run.timed_out": HookEvent.RUN_TIMED_OUT,
    "node.failed": HookEvent.NODE_FAILED,
}


class Told(msgspec.Struct, frozen=True):
    hook: HookEvent
    event: NewEvent


def told_of(events: Sequence[NewEvent]) -> list[Told]:
    """What endpoints may be told of a timeline's new events."""
    found = [Told(HOOKS[event.type], event) for event in events if event.type in HOOKS]
    if len(found) <= MAX_EVENTS:
        return found
    nodes = [each for each in found if each.hook is HookEvent.NODE_FAILED]
    left_out = {id(each) for each in nodes[MAX_EVENTS:]}
    return [each for each in found if id(each) not in left_out]


def tell(run: RunRow, execution: Execution, told: Sequence[Told], now_us: int) -> Program[bool]:
    """Write what the organization's endpoints are to be sent. Whether there is anything to send."""
    if not told:
        return False
    meta = run.progress.meta
    rows = yield Fetch(SQL["hook.hearing"], (run.organization, run.account, meta.get("environment", "")))
    made: list[DeliveryRow] = []
    for endpoint in (endpoint_of(row) for row in rows):
        heard = [each for each in told if hears(endpoint.said, each.hook, execution)]
        if not heard:
            continue
        counted = yield Fetch(SQL["delivery.waiting"], (run.organization, endpoint.id, MAX_WAITING))
        room = MAX_WAITING - int(counted[0][0])
        for place, each in enumerate(heard):
            made.append(_delivery(endpoint, run, execution, each, now_us, has_room=place < room))
    if made:
        yield Many(SQL["delivery.add"], [row_of_delivery(each) for each in made])
    return any(each.next_at_us is not None for each in made)


def hears(endpoint: EndpointIn, hook: HookEvent, execution: Execution) -> bool:
    """Whether an endpoint asked for this."""
    if hook not in endpoint.events and HookEvent.ALL not in endpoint.events:
        return False
    detail = execution.detail
    assert isinstance(detail, RunDetail)
    if endpoint.workflow_ids and detail.workflow.id not in endpoint.workflow_ids:
        return False
    if not endpoint.application:
        return True
    named = detail.application
    wanted = slug_of(endpoint.application)
    return named is not None and wanted in {slug_of(word) for word in (named.id, named.name) if word}


def _delivery(
    endpoint: EndpointRow, run: RunRow, execution: Execution, told: Told, now_us: int, *, has_room: bool
) -> DeliveryRow:
    node = told.event.data.get("nodeId", "")
    made_of = f"{run.organization}\n{run.id}\n{execution.seq}\n{told.hook}\n{node}\n{endpoint.id}"
    body, error = b"", ""
    try:
        body = body_of(endpoint.said, told.hook, told.event, execution, run.progress.meta, now_us)
    except ExpressionError as failure:
        error = f"The body's template: {failure}"[:1000]
    if len(body) > MAX_BODY:
        body, error = b"", f"The body came to {len(body)} bytes; {MAX_BODY} is the most."
    elif not has_room and not error:
        error = f"{MAX_WAITING} deliveries wait for this endpoint already; this one was not sent."
    detail = execution.detail
    assert isinstance(detail, RunDetail)
    return DeliveryRow(
        organization=run.organization,
        id=hashlib.sha256(made_of.encode()).hexdigest()[:32],
        endpoint=endpoint.id,
        event=told.hook,
        run=run.id,
        workflow=detail.workflow.id,
        status=DeliveryStatus.FAILED if error else DeliveryStatus.PENDING,
        most=1 + endpoint.said.max_retries,
        next_at_us=None if error else now_us,
        body=body,
        error=error,
        created_at_us=now_us,
        updated_at_us=now_us,
    )

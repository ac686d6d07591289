"""`/v1/executions` (seed 003, protocols/b3os.md §4.1–4.5)."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gesta.apis.b3os.bodies import NewExecutionBody, new_execution, posted
from gesta.apis.b3os.codec import encode, message_of, workflow_word
from gesta.apis.b3os.door import Door, encoder, success
from gesta.apis.b3os.parameters import EventsQuery, events_query, list_query
from gesta.apis.common.printed import Printed
from gesta.ledger.records import Kind, Source
from gesta.workflows.face import Started, StartRun


def request_of(body: NewExecutionBody) -> StartRun:
    """What a creation asks of the front door of workflows."""
    return StartRun(
        workflow=workflow_word(body.workflow_id),
        input={} if body.payload is None else body.payload,
        source=Source.API,
        key=body.key,
        attributes=body.attributes,
        success_url=body.success_url,
        cancel_url=body.cancel_url,
    )


def created(started: Started, *, organization: str) -> dict[str, Any]:
    """`{clientToken, execution}`, with `checkoutUrl` while the execution awaits its payment."""
    made = {"clientToken": started.client_token, "execution": encode(started.execution, organization=organization)}
    return made if started.checkout_url is None else made | {"checkoutUrl": started.checkout_url}


class Executions:
    """The endpoints. Each authenticates before it looks at anything else of the request."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._printed = Printed(encoder.encode)

    async def listing(self, request: Request) -> Response:
        """The runs of the organization, newest first."""
        principal = await self._door.caller(request)
        query = list_query(request.query_params)
        conditions = self._door.reading.filter(
            principal,
            kinds=frozenset({Kind.RUN}),
            statuses=query.statuses,
            correlation=query.correlation,
            created_from_us=query.created_from_us,
            created_to_us=query.created_to_us,
        )
        rows, more = await self._door.page(principal, query, conditions)
        organization = principal.organization.public_id
        items = [self._printed.of(row, partial(encode, row, organization=organization)) for row in rows]
        return success(request, {"items": items, "limit": query.limit, "offset": query.offset, **more})

    async def create(self, request: Request) -> Response:
        """An execution of a workflow, which begins, or awaits its payment."""
        principal = await self._door.caller(request)
        body = new_execution(await posted(request))
        started = await self._door.workflows.runs.start(principal, request_of(body))
        return success(request, created(started, organization=principal.organization.public_id))

    async def get(self, request: Request) -> Response:
        """One run with its timeline and a sentence about where it stands."""
        principal = await self._door.caller(request)
        execution = await self._door.execution(principal, request)
        organization = principal.organization.public_id
        data = {
            "execution": self._printed.of(execution, partial(encode, execution, organization=organization)),
            "events": await self._door.timeline(principal, execution, EventsQuery()),
            "message": message_of(execution),
        }
        return success(request, data)

    async def events(self, request: Request) -> Response:
        """The timeline of one run, oldest first, as a bare array."""
        principal = await self._door.caller(request)
        query = events_query(request.query_params)
        execution = await self._door.execution(principal, request)
        return success(request, await self._door.timeline(principal, execution, query))

"""What every endpoint of this dialect begins with: who calls, and which thing the path names."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Organization, Principal, Scope
from gesta.apis.b3os.codec import DIALECT, encode_event, workflow_word
from gesta.apis.b3os.parameters import (
    EventsQuery,
    ListQuery,
    bearer_token,
    check_organization,
    path_id,
    path_word,
    run_words,
)
from gesta.apis.common.errors import request_id_of
from gesta.apis.common.services import Services
from gesta.kernel.errors import NotFound
from gesta.ledger.cursor import encode_cursor
from gesta.ledger.query import Filter
from gesta.ledger.records import Event, Execution, Kind
from gesta.workflows.face import Workflows

EVENTS_PER_READ = 1000

# Payloads may hold exact numbers; in JSON they are numbers.
encoder = msgspec.json.Encoder(decimal_format="number")


def success(request: Request, data: Any, **hoisted: Any) -> Response:
    """The envelope of every success (protocols/b3os.md §3). `hoisted` stands beside `data` too, where the published
    answer has no envelope and a real client reads one."""
    envelope = {"code": 200, "data": data, "message": "success", "requestId": request_id_of(request)}
    return Response(encoder.encode({**hoisted, **envelope}), media_type="application/json")


def stranger(organization: int) -> Principal:
    """Whoever holds a client token, which has been checked: it reads of one organization what the token is for."""
    return Principal(
        organization=Organization(id=organization, public_id="", name=""),
        identity_id=0,
        identity_name="client token",
        credential_id=0,
        scopes=frozenset({Scope.READ}),
    )


class Door:
    """The front doors behind this dialect, and its own rules of entry."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.reading = services.reading
        self.access = services.access

    @property
    def workflows(self) -> Workflows:
        return self.services.runs_workflows

    async def caller(self, request: Request) -> Principal:
        principal = await self.access.bearer(bearer_token(request.headers.get("authorization")))
        check_organization(request.headers.getlist("x-org-id"), principal.organization.public_id)
        self.access.admit(DIALECT, principal.credential_id)
        return principal

    def admit_address(self, bucket: str, request: Request, what: str = "") -> None:
        """Take one token of the bucket of the caller's address (and of `what`). Raises RateLimited."""
        address = request.client.host if request.client is not None else ""
        digest = hashlib.sha256(f"{address}\n{what}".encode("utf-8", "replace")).digest()
        # Beyond every credential's number.
        self.access.admit(bucket, int.from_bytes(digest[:8]) | 1 << 64)

    async def execution(self, principal: Principal, request: Request) -> Execution:
        return await self.reading.get(principal, path_id(request.path_params["id"]), kind=Kind.RUN)

    async def run(self, principal: Principal, request: Request) -> Execution:
        """The run that the path names. Raises NotFound."""
        text = request.path_params["id"]
        for word in run_words(text):
            try:
                return await self.reading.get(principal, word, kind=Kind.RUN)
            except NotFound:
                continue
        raise NotFound(f"Run {text[:128]} not found.", what="run")

    def workflow_word(self, request: Request) -> str:
        return workflow_word(path_word(request.path_params["id"], "workflow"))

    async def page(
        self, principal: Principal, query: ListQuery, conditions: Filter
    ) -> tuple[list[Execution], dict[str, Any]]:
        """One page of executions, and what the envelope of a list says of it."""
        if query.by_cursor:
            found = await self.reading.seek(principal, conditions, after=query.after, limit=query.limit)
            cursor = None if found.next is None else encode_cursor(found.next)
            return found.rows, {"hasMore": cursor is not None, "nextCursor": cursor}
        page = await self.reading.page(principal, conditions, offset=query.offset, limit=query.limit, total=False)
        return page.rows, {"hasMore": page.has_more}

    async def events(self, principal: Principal, execution: Execution, query: EventsQuery) -> list[Event]:
        """The timeline of an execution, oldest first."""
        events: list[Event] = []
        after_seq, has_more = query.after_seq, True
        while has_more and len(events) < query.limit:
            wanted = min(EVENTS_PER_READ, query.limit - len(events))
            read = await self.reading.events(principal, execution, after_seq=after_seq, limit=wanted)
            events += read.events
            has_more = read.has_more
            after_seq = read.events[-1].seq if read.events else after_seq
        return events

    async def timeline(self, principal: Principal, execution: Execution, query: EventsQuery) -> list[dict[str, Any]]:
        organization = principal.organization.public_id
        events = await self.events(principal, execution, query)
        return [encode_event(event, execution, organization=organization) for event in events]

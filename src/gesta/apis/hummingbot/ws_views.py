"""What the subscriptions of `/ws/executors` show: what the REST reads answer, and whether a price matters to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from gesta.access.model import Principal
from gesta.apis.common.services import Services
from gesta.apis.hummingbot.bodies import Search
from gesta.apis.hummingbot.managing import Managing, Printer
from gesta.apis.hummingbot.parameters import LogsQuery
from gesta.apis.hummingbot.positions import summary_of
from gesta.apis.hummingbot.timelines import Logs, following, newest
from gesta.apis.hummingbot.ws_frames import Topic, What
from gesta.kernel.errors import InvalidInput, NotFound
from gesta.ledger.lifecycle import ACTIVE, TERMINAL
from gesta.ledger.query import ExecutorFilter
from gesta.ledger.records import Execution

Finder = Callable[[Principal, str], Awaitable[Execution]]

_encoder = msgspec.json.Encoder(decimal_format="number")
NO_LOGS = Logs(entries=[], total_count=0, last_seq=0)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """`data` is JSON. `total_count` of EXECUTORS only: None where it is not known. `moves` says that a price may change
    what is shown."""

    data: bytes
    moves: bool
    total_count: int | None = None


class Views:
    def __init__(self, services: Services, managing: Managing, find: Finder, printer: Printer) -> None:
        self._services = services
        self._managing = managing
        self._find = find
        self._printer = printer

    def check(self, what: What) -> None:
        """Raises InvalidInput for what this server cannot show."""
        if what.topic is Topic.POSITIONS and self._services.executors is None:
            raise InvalidInput("positions are not served: this server runs no executors.")

    async def see(self, principal: Principal, what: What) -> Seen:
        """Raises Forbidden, Unavailable."""
        match what.topic:
            case Topic.EXECUTOR_DETAIL:
                return await self._detail(principal, what.executor_id)
            case Topic.EXECUTOR_SUMMARY:
                body = await self._managing.summary_body(principal)
                return Seen(data=_encoder.encode(body), moves=bool(body["total_active"]))
            case Topic.PERFORMANCE:
                body = await self._managing.performance_body(principal, what.controller_id)
                moves = bool(body["active_positions"]) or any(each["running"] for each in body["by_type"])
                return Seen(data=_encoder.encode(body), moves=moves)
            case Topic.POSITIONS:
                held = await self._services.runs_executors.positions.every(principal, controller=what.controller_id)
                moves = any(each.hold.net_base for each in held)
                return Seen(data=_encoder.encode(summary_of(held)), moves=moves)
            case Topic.EXECUTORS:
                assert what.search is not None
                body = await self._managing.search_body(principal, what.search)
                total_count = body["pagination"]["total_count"]
                moves = bool(body["data"]) and await self._has_active(principal, what.search)
                return Seen(data=_encoder.encode(body["data"]), moves=moves, total_count=total_count)
            case Topic.EXECUTOR_LOGS:
                raise AssertionError("a timeline is read from where it was read to")

    async def _has_active(self, principal: Principal, search: Search) -> bool:
        if search.statuses and not search.statuses & ACTIVE:
            return False
        query = ExecutorFilter(organization=principal.organization.id, statuses=ACTIVE)
        return bool((await self._services.reading.executors(principal, query, after=None, limit=1)).rows)

    async def _detail(self, principal: Principal, executor_id: str) -> Seen:
        try:
            execution = await self._find(principal, executor_id)
        except NotFound:
            return Seen(data=b"null", moves=False)
        account = await self._services.access.account_by_id(execution.organization, execution.account)
        return Seen(data=bytes(self._printer(principal, execution, account)), moves=execution.status not in TERMINAL)

    async def logs(self, principal: Principal, executor_id: str, query: LogsQuery, after_seq: int | None) -> Logs:
        """The newest entries, or those that follow `after_seq`; nothing of an executor that is not there."""
        try:
            execution = await self._find(principal, executor_id)
        except NotFound:
            return NO_LOGS
        if after_seq is None:
            return await newest(self._services.reading, principal, execution, query)
        return await following(self._services.reading, principal, execution, query, after_seq=after_seq)


__all__ = ["NO_LOGS", "Seen", "Views"]

"""The endpoints that create, find, sum up and stop executors (protocols/hummingbot.md §11)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Account, Principal, Scope
from gesta.apis.common.posted import MAX_NAME
from gesta.apis.common.services import Services
from gesta.apis.hummingbot import bodies, catalog
from gesta.apis.hummingbot.codec import RUNNABLE_STATUS
from gesta.apis.hummingbot.errors import Refused
from gesta.apis.hummingbot.reports import Performance, Summary
from gesta.apis.hummingbot.searching import active, find
from gesta.executors.control import CreateExecutor
from gesta.kernel.errors import InvalidInput, NotFound
from gesta.kernel.times import format_shortest
from gesta.ledger.cursor import encode_cursor
from gesta.ledger.lifecycle import TERMINAL
from gesta.ledger.query import ExecutorFilter
from gesta.ledger.records import Execution, ExecutorDetail, Kind

Caller = Callable[[Request], Awaitable[Principal]]
Printer = Callable[[Principal, Execution, Account | None], msgspec.Raw]
KEY = "Idempotency-Key"

_encoder = msgspec.json.Encoder(decimal_format="number")


def json_response(value: Any, status: int = 200) -> Response:
    return Response(_encoder.encode(value), status_code=status, media_type="application/json")


def marked(services: Services, principal: Principal, execution: Execution) -> Execution:
    """A running executor as it stands at the market's prices now; any other as it is."""
    if services.executors is None or execution.status in TERMINAL:
        return execution
    detail = services.executors.live(principal, execution)
    return execution if detail is None else msgspec.structs.replace(execution, detail=detail)


class Managing:
    """Each endpoint authenticates first, and looks at the scope before it looks at what was sent."""

    def __init__(self, services: Services, caller: Caller, printer: Printer) -> None:
        self._services = services
        self._reading = services.reading
        self._access = services.access
        self._caller = caller
        self._printer = printer

    async def create(self, request: Request) -> Response:
        """Create and start an executor. On return it is on disk. The same `Idempotency-Key` with the same content is
        the same executor."""
        principal = await self._caller(request)
        principal.require(Scope.TRADE)
        key = _key(request)
        asked = bodies.create_of(await bodies.read(request))
        wanted = CreateExecutor(
            config=asked.config, account_name=asked.account_name, controller_id=asked.controller_id, key=key
        )
        try:
            execution = await self._services.runs_executors.create(principal, wanted)
        except InvalidInput as error:
            raise _refusal(error) from None
        detail = execution.detail
        assert isinstance(detail, ExecutorDetail)
        body = {
            "executor_id": execution.id,
            "executor_type": detail.executor_type,
            "connector_name": detail.connector,
            "trading_pair": detail.trading_pair,
            "controller_id": execution.correlation.get("controller_id"),
            "status": RUNNABLE_STATUS[execution.status],
            "created_at": format_shortest(execution.created_at_us),
        }
        return json_response(body, 201)

    async def stop(self, request: Request) -> Response:
        """Ask an executor to stop. Without `keep_position` it closes what it holds first."""
        principal = await self._caller(request)
        principal.require(Scope.TRADE)
        keeps = bodies.keep_position_of(await bodies.read(request))
        executor_id = request.path_params["executor_id"]
        missing = NotFound(f"Executor {executor_id[:256]} not found")
        if not executor_id.isprintable():
            raise missing
        try:
            found = await self._reading.get(principal, executor_id, kind=Kind.EXECUTOR)
        except NotFound:
            raise missing from None
        if found.status in TERMINAL:
            raise Refused(f"Executor {found.id} is already closed.")
        stopped = await self._services.runs_executors.stop(principal, found.id, keep_position=keeps)
        return json_response({"executor_id": stopped.id, "status": "stopping", "keep_position": keeps})

    async def search(self, request: Request) -> Response:
        """Executors, running and finished, newest first. Every value of every filter counts."""
        principal = await self._caller(request)
        principal.require(Scope.READ)
        return json_response(await self.search_body(principal, bodies.search_of(await bodies.read(request))))

    async def search_body(self, principal: Principal, search: bodies.Search) -> dict[str, Any]:
        """What a search answers."""
        found = await find(self._reading, self._access, principal, search)
        organization = principal.organization.id
        accounts = {each: await self._access.account_by_id(organization, each) for each in _accounts_of(found.rows)}
        return {
            "data": [self._printer(principal, row, accounts[row.account]) for row in found.rows],
            "pagination": {
                "limit": search.limit,
                "has_more": found.next is not None,
                "next_cursor": None if found.next is None else encode_cursor(found.next),
                "total_count": found.total,
            },
        }

    async def summary(self, request: Request) -> Response:
        """Counts and sums of the active executors, at current prices."""
        return json_response(await self.summary_body(await self._caller(request)))

    async def summary_body(self, principal: Principal) -> dict[str, Any]:
        """What the summary answers."""
        report = Summary()
        query = ExecutorFilter(organization=principal.organization.id)
        async for row in active(self._reading, principal, query):
            now = marked(self._services, principal, row)
            if isinstance(now.detail, ExecutorDetail):
                report.add(now, now.detail)
        return report.printed()

    async def performance(self, request: Request) -> Response:
        """What the executors have earned, of one controller or of all."""
        principal = await self._caller(request)
        return json_response(await self.performance_body(principal, _controller(request)))

    async def performance_body(self, principal: Principal, controller_id: str | None) -> dict[str, Any]:
        """What the report answers."""
        controllers = frozenset(() if controller_id is None else (controller_id,))
        query = ExecutorFilter(organization=principal.organization.id, controllers=controllers)
        report = Performance(controller_id)
        for sums in await self._reading.executor_sums(principal, query):
            report.add(sums)
        async for row in active(self._reading, principal, query):
            now = marked(self._services, principal, row)
            if isinstance(now.detail, ExecutorDetail):
                report.add_open(now.detail)
        held, positions = Decimal(0), 0
        if self._services.executors is not None:
            for position in await self._services.executors.positions.every(principal, controller=controller_id):
                held += position.open_pnl_quote
                positions += position.hold.net_base != 0
        return report.printed(held_pnl_quote=held, active_positions=positions)

    async def types(self, request: Request) -> Response:
        """The executor types, with those that cannot run here marked."""
        principal = await self._caller(request)
        principal.require(Scope.READ)
        return json_response(catalog.available())

    async def config(self, request: Request) -> Response:
        """The fields of one type's configuration: types, defaults, which are needed."""
        principal = await self._caller(request)
        principal.require(Scope.READ)
        return json_response(catalog.config_of(request.path_params["executor_type"]))


def _accounts_of(rows: list[Execution]) -> set[int]:
    return {row.account for row in rows}


def _key(request: Request) -> str | None:
    """Raises InvalidInput for more than one: which of them counts would be a guess."""
    given = request.headers.getlist(KEY)
    if len(given) > 1:
        raise InvalidInput("Input should be given once", field=KEY, where="header")
    return given[0] if given else None


def _controller(request: Request) -> str | None:
    given = request.query_params.getlist("controller_id")
    if len(given) > 1:
        raise InvalidInput("Input should be given once", field="controller_id", where="query")
    if given and (len(given[0]) > MAX_NAME or not given[0].isprintable()):
        raise InvalidInput(
            f"Input should have at most {MAX_NAME} printable characters", field="controller_id", where="query"
        )
    return given[0] or None if given else None


def _refusal(error: InvalidInput) -> Exception:
    """What the front door refuses, in hummingbot-api's words."""
    if error.field == "account_name":
        return NotFound(error.message, what="account")
    if error.field == KEY:
        return InvalidInput(error.message, field=KEY, where="header")
    return Refused(f"Invalid executor config: {error.message}")

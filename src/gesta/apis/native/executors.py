"""The routes of Gesta's own dialect that start, watch and stop executors. Lists and timelines are those of every
execution: `GET /ledger/executions?kind=executor`, `GET /ledger/executions/{id}/events`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import AccountType, Environment, Principal, Scope
from gesta.apis.common.services import Services
from gesta.apis.native import params
from gesta.apis.native.auth import Directory, one_header
from gesta.apis.native.bodies import JSON, content_type, read_body
from gesta.apis.native.codec import check_json, decode_model, encoder, view_execution
from gesta.apis.native.models import NewExecutorModel, StopExecutorModel
from gesta.apis.native.reads import Reads
from gesta.executors.control import CreateExecutor
from gesta.executors.vocabulary import DEFAULT_ACCOUNT
from gesta.kernel.errors import NotFound
from gesta.ledger.records import Execution, Kind

KEY_HEADER = "Idempotency-Key"
Enter = Callable[[Request, dict[str, params.Param]], Coroutine[Any, Any, tuple[Principal, dict[str, Any]]]]


class ExecutorRoutes:
    """The handlers. `enter` authenticates and reads the query."""

    def __init__(self, services: Services, directory: Directory, reads: Reads, enter: Enter) -> None:
        self._services = services
        self._directory = directory
        self._reads = reads
        self._enter = enter

    async def create(self, request: Request) -> Response:
        principal, _ = await self._enter(request, {})
        principal.require(Scope.TRADE)
        content_type(request, JSON)
        key = one_header(request, KEY_HEADER)
        posted = decode_model(await read_body(request, self._services.limits), NewExecutorModel)
        check_json(posted.config, "config")
        account = await self._account_name(principal, posted.account)
        made = await self._services.runs_executors.create(
            principal,
            CreateExecutor(config=posted.config, account_name=account, controller_id=posted.controller_id, key=key),
        )
        return await self._view(principal, made, status=201)

    async def stop(self, request: Request) -> Response:
        principal, row = await self._executor(request)
        principal.require(Scope.TRADE)
        content_type(request, JSON)
        posted = decode_model(await read_body(request, self._services.limits), StopExecutorModel)
        stopped = await self._services.runs_executors.stop(principal, row.id, keep_position=posted.keep_position)
        return await self._view(principal, stopped)

    async def executor(self, request: Request) -> Response:
        return await self._view(*await self._executor(request))

    async def _executor(self, request: Request) -> tuple[Principal, Execution]:
        principal, given = await self._enter(request, params.GET)
        # The execution first: a stranger to it learns nothing but that it is not there, whatever the body.
        executor_id = request.path_params["id"]
        row = await self._reads.find(principal, executor_id, given)
        if row.kind is not Kind.EXECUTOR:
            raise NotFound(f"Execution {executor_id[:128]} not found.")
        return principal, row

    async def _account_name(self, principal: Principal, name: str | None) -> str:
        """Executors trade for production accounts. Raises NotFound for one that the caller does not reach."""
        wanted = name or (DEFAULT_ACCOUNT if principal.account is None else principal.account.name)
        try:
            found = await self._directory.by_name(principal, wanted, AccountType.TRADING, Environment.PRODUCTION)
        except NotFound:
            is_free = principal.account is None and principal.environment in (None, Environment.PRODUCTION)
            if wanted != DEFAULT_ACCOUNT or not is_free:
                raise
            # The front door makes it.
            return wanted
        return found[0].name

    async def _view(self, principal: Principal, row: Execution, *, status: int = 200) -> Response:
        """As it stands at the market's prices now, where it runs here; else as recorded."""
        executors = self._services.executors
        live = None if executors is None else executors.live(principal, row)
        if live is not None:
            row = msgspec.structs.replace(row, detail=live)
        account = await self._directory.by_id(principal.organization.id, row.account)
        return Response(encoder.encode(view_execution(row, account)), status_code=status, media_type=JSON)

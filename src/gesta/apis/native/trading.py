"""The routes of Gesta's own dialect around trading: fills that the venue takes back or corrects, and an account's
money."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Account, AccountType, Principal, Scope
from gesta.apis.common.services import Services
from gesta.apis.native import params
from gesta.apis.native.auth import Directory
from gesta.apis.native.bodies import JSON, content_type, read_body
from gesta.apis.native.codec import canonical, decimal_text, decode_model, encoder
from gesta.apis.native.models import BustModel, CorrectModel, FundsModel
from gesta.apis.native.reads import MAX_ID, Reads
from gesta.desk.recording import is_engine_fill
from gesta.desk.trading.views import AccountView, PositionView
from gesta.kernel.errors import Conflict, InvalidInput, NotFound
from gesta.ledger.records import Execution
from gesta.trading.money import from_units

Enter = Callable[[Request, dict[str, params.Param]], Coroutine[Any, Any, tuple[Principal, dict[str, Any]]]]
View = Callable[[Principal, Execution], Coroutine[Any, Any, Response]]


class TradingRoutes:
    """The handlers. `enter` authenticates and reads the query; `view` prints an execution."""

    def __init__(self, services: Services, directory: Directory, reads: Reads, enter: Enter, view: View) -> None:
        self._services = services
        self._directory = directory
        self._reads = reads
        self._enter = enter
        self._view = view

    async def bust(self, request: Request) -> Response:
        principal, row = await self._fill(request)
        posted = decode_model(await read_body(request, self._services.limits), BustModel)
        _check_engine_fill(row)
        busted = await self._services.trades.bust(principal, row.id, reason=posted.reason)
        return await self._view(principal, busted)

    async def correct(self, request: Request) -> Response:
        principal, row = await self._fill(request)
        posted = decode_model(await read_body(request, self._services.limits), CorrectModel)
        terms = _numbers(posted, "price", "quantity", "commission")
        if not terms:
            raise InvalidInput("Say what is different: `price`, `quantity` or `commission`.", field="price")
        _check_engine_fill(row)
        corrected = await self._services.trades.correct(principal, row.id, reason=posted.reason, **terms)
        return await self._view(principal, corrected)

    async def funds(self, request: Request) -> Response:
        principal, given = await self._enter(request, params.FUNDS)
        principal.require(Scope.READ)
        account = await self._account(principal, request.path_params["name"], given)
        if request.method != "PATCH":
            return _json(view_funds(await self._services.trades.account(principal, account)))
        principal.require(Scope.ADMIN)
        content_type(request, JSON)
        terms = _numbers(
            decode_model(await read_body(request, self._services.limits), FundsModel), "cash", "max_position"
        )
        if not terms:
            raise InvalidInput("Say what to set: `cash` or `max_position`.", field="cash")
        return _json(view_funds(await self._services.trades.configure(principal, account, **terms)))

    async def _fill(self, request: Request) -> tuple[Principal, Execution]:
        principal, given = await self._enter(request, params.GET)
        # The execution first: a stranger to it learns nothing but that it is not there, whatever the body.
        row = await self._reads.find(principal, request.path_params["id"], given)
        principal.require(Scope.TRADE)
        content_type(request, JSON)
        return principal, row

    async def _account(self, principal: Principal, name: str, given: Mapping[str, Any]) -> Account:
        if "\x00" in name or not 0 < len(name) <= MAX_ID:
            raise NotFound(f"No account {name[:128]!r}.", what="account")
        environment = given.get("environment", principal.environment)
        found = await self._directory.by_name(principal, name, AccountType.TRADING, environment)
        if len(found) > 1:
            environments = " or ".join(f"`{account.environment}`" for account in found)
            raise InvalidInput(
                f"Several accounts are called {name[:128]!r}: say which by `environment` {environments}.",
                field="environment",
                where="query",
            )
        return found[0]


def _check_engine_fill(row: Execution) -> None:
    if not is_engine_fill(row):
        raise Conflict(
            f"Execution {row.id} is not a fill of Gesta's own venue: its record is changed through "
            "`POST /ledger/executions/{id}/transitions`."
        )


def _numbers(posted: BustModel | CorrectModel | FundsModel, *names: str) -> dict[str, Decimal]:
    """The numbers that were given. Raises InvalidInput for one that is no finite decimal."""
    given = {name: getattr(posted, name) for name in names}
    return {name: canonical(value, name) for name, value in given.items() if value is not None}


def view_funds(view: AccountView) -> dict[str, Any]:
    """An account's money and open positions; amounts are decimal text in `currency`."""
    return {
        "account": view.account.name,
        "environment": view.account.environment,
        "venue": view.venue,
        "currency": view.account.currency,
        "cash": decimal_text(view.cash),
        "starting_cash": decimal_text(view.starting_cash),
        "session_cash": decimal_text(view.session_cash),
        "net_liquidation": decimal_text(view.net_liquidation),
        "buying_power": decimal_text(view.buying_power),
        "initial_margin": decimal_text(view.initial_margin),
        "realized": decimal_text(view.realized),
        "session_realized": decimal_text(view.session_realized),
        "unrealized": decimal_text(view.unrealized),
        "commission": decimal_text(view.commission),
        "session_commission": decimal_text(view.session_commission),
        "max_position": None if view.max_position is None else decimal_text(view.max_position),
        "positions": [_position(position) for position in view.positions],
    }


def _position(view: PositionView) -> dict[str, Any]:
    return {
        "instrument": view.instrument.name,
        "market_position": view.market_position,
        "quantity": decimal_text(view.quantity),
        "average_price": decimal_text(view.average_price),
        "market_price": None if view.market_price is None else decimal_text(view.market_price),
        "unrealized": None if view.unrealized is None else decimal_text(view.unrealized),
        "realized": decimal_text(from_units(view.position.realized)),
        "commission": decimal_text(from_units(view.position.commission)),
    }


def _json(value: Any) -> Response:
    return Response(encoder.encode(value), media_type=JSON)

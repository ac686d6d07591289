"""Position holds: `GET /executors/positions/summary`, `GET` and `DELETE /executors/positions/{connector}/{pair}`
(protocols/hummingbot.md §10 and §11)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from gesta.apis.common.services import Services
from gesta.apis.hummingbot.calls import add, caller_of, inlined, parameter, responses, text_of
from gesta.apis.hummingbot.codec import double
from gesta.executors.holdings import HeldPosition
from gesta.executors.vocabulary import DEFAULT_ACCOUNT
from gesta.kernel.times import format_shortest

DEFAULT_CONTROLLER = "main"
MISSING = "No such position hold in the caller's organization."

_encoder = msgspec.json.Encoder()


class PositionHoldResponse(msgspec.Struct, kw_only=True):
    """What executors left open in one pair, for one controller. Amounts are in base, money is in quote."""

    trading_pair: str
    connector_name: str
    account_name: str
    controller_id: str
    buy_amount_base: float
    buy_amount_quote: float
    sell_amount_base: float
    sell_amount_quote: float
    net_amount_base: float
    buy_breakeven_price: float | None
    sell_breakeven_price: float | None
    matched_amount_base: float
    unmatched_amount_base: float
    position_side: str
    realized_pnl_quote: float
    unrealized_pnl_quote: float | None
    cum_fees_quote: float
    executor_count: int
    executor_ids: list[str]
    last_updated: str


def position_of(held: HeldPosition) -> PositionHoldResponse:
    """Pure."""
    hold = held.hold
    return PositionHoldResponse(
        trading_pair=held.key.pair,
        connector_name=held.key.connector,
        account_name=held.account_name,
        controller_id=held.key.controller,
        buy_amount_base=double(hold.buy_base),
        buy_amount_quote=double(hold.buy_quote),
        sell_amount_base=double(hold.sell_base),
        sell_amount_quote=double(hold.sell_quote),
        net_amount_base=double(hold.net_base),
        buy_breakeven_price=_maybe(hold.buy_breakeven),
        sell_breakeven_price=_maybe(hold.sell_breakeven),
        matched_amount_base=double(hold.matched_base),
        unmatched_amount_base=double(abs(hold.net_base)),
        position_side=hold.side,
        realized_pnl_quote=double(hold.realized_quote),
        unrealized_pnl_quote=_maybe(held.unrealized),
        cum_fees_quote=double(hold.fees_quote),
        executor_count=hold.executor_count,
        executor_ids=list(hold.executor_ids),
        last_updated=format_shortest(hold.updated_at_us),
    )


def summary_of(held: Sequence[HeldPosition]) -> dict[str, Any]:
    """The unrealized total is null where one of them is not known: a part of a sum is no sum. Pure."""
    unrealized = [each.unrealized for each in held]
    known = [each for each in unrealized if each is not None]
    return {
        "total_positions": len(held),
        "total_realized_pnl": double(sum((each.hold.realized_quote for each in held), Decimal(0))),
        "total_unrealized_pnl": double(sum(known, Decimal(0))) if len(known) == len(held) else None,
        "positions": [position_of(each) for each in held],
    }


def _maybe(value: Decimal | None) -> float | None:
    return None if value is None else double(value)


class Positions:
    def __init__(self, services: Services, on_cleared: Callable[[int], None]) -> None:
        self._services = services
        self._on_cleared = on_cleared

    async def summary(self, request: Request) -> Response:
        """Every hold, of one controller or of all."""
        principal = await caller_of(self._services, request)
        controller = text_of(request.query_params, "controller_id")
        return _json(summary_of(await self._services.runs_executors.positions.every(principal, controller=controller)))

    async def get(self, request: Request) -> Response:
        """One hold."""
        principal = await caller_of(self._services, request)
        connector, pair, where = self._asked(request)
        return _json(
            position_of(await self._services.runs_executors.positions.get(principal, connector, pair, **where))
        )

    async def clear(self, request: Request) -> Response:
        """Forget one hold; it is off the disk when this answers. What is left open later makes a new one."""
        principal = await caller_of(self._services, request)
        connector, pair, where = self._asked(request)
        await self._services.runs_executors.positions.clear(principal, connector, pair, **where)
        self._on_cleared(principal.organization.id)
        message = f"Position hold for {connector}/{pair} cleared"
        return _json({"message": message, "connector_name": connector, "trading_pair": pair})

    @staticmethod
    def _asked(request: Request) -> tuple[str, str, dict[str, str]]:
        account = text_of(request.query_params, "account_name") or DEFAULT_ACCOUNT
        controller = text_of(request.query_params, "controller_id")
        where = {"account_name": account, "controller": DEFAULT_CONTROLLER if controller is None else controller}
        return request.path_params["connector_name"], request.path_params["trading_pair"], where


def _json(value: Any) -> Response:
    return Response(_encoder.encode(value), media_type="application/json")


def register(router: APIRouter, services: Services, *, on_cleared: Callable[[int], None]) -> None:
    """Before `/executors/{executor_id}`: what is matched first answers. `on_cleared` is told the organization, since
    the change feed does not tell of it."""
    positions, position = Positions(services, on_cleared), inlined(PositionHoldResponse)
    number, maybe = {"type": "number"}, {"type": ["number", "null"]}
    properties = {
        "total_positions": {"type": "integer"},
        "total_realized_pnl": number,
        "total_unrealized_pnl": maybe | {"description": "null where there is no market for one of them"},
        "positions": {"type": "array", "items": position},
    }
    summary = {"type": "object", "properties": properties, "required": list(properties)}
    controller = parameter("controller_id", "Only the holds of this controller.")
    add(
        router,
        "/executors/positions/summary",
        positions.summary,
        "GET",
        "Get Positions Summary",
        "get_positions_summary",
        {"parameters": [controller], "responses": responses(summary, invalid=True)},
    )
    path = "/executors/positions/{connector_name}/{trading_pair}"
    parameters = [
        parameter("connector_name", "Connector name", where="path"),
        parameter("trading_pair", "Trading pair, as `BTC-USDT`", where="path"),
        parameter("account_name", "Account name", default=DEFAULT_ACCOUNT),
        parameter("controller_id", "Controller", default=DEFAULT_CONTROLLER),
    ]
    said = {name: {"type": "string"} for name in ("message", "connector_name", "trading_pair")}
    cleared = {"type": "object", "properties": said, "required": list(said)}
    one = {"parameters": parameters, "responses": responses(position, missing=MISSING, invalid=True)}
    add(router, path, positions.get, "GET", "Get Position Held", "get_position_held", one)
    gone = {"parameters": parameters, "responses": responses(cleared, missing=MISSING, invalid=True)}
    add(router, path, positions.clear, "DELETE", "Clear Position Held", "clear_position_held", gone)

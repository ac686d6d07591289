"""What the position commands do: arguments in, reply body out. The same for REST and for the WebSocket."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any

from gesta.access.model import Account
from gesta.apis.crosstrade.calls import Call, account_of, accounts_asked, accounts_of
from gesta.apis.crosstrade.codec_trading import position_object
from gesta.apis.crosstrade.errors import Published
from gesta.apis.crosstrade.terms import MARKET_POSITIONS, read_instrument, read_place
from gesta.apis.crosstrade.values import read_flag, read_number, read_quantity, read_text, read_word
from gesta.desk.trading.requests import MarketPosition
from gesta.desk.trading.views import Flattened, PositionView
from gesta.kernel.errors import InvalidInput

_NOTHING_OPEN = "No open positions to flatten."


# -- reading


async def list_positions(call: Call) -> dict[str, Any]:
    include_flat = read_flag(call.args, "includeFlat")
    account = await account_of(call)
    views = await call.services.trades.positions(call.principal, [account], include_flat=include_flat)
    return {"positions": [position_object(view) for view in views], "success": True}


async def get_position(call: Call) -> dict[str, Any]:
    instrument = read_instrument(call.args)
    account = await account_of(call)
    view = await call.services.trades.position(call.principal, account, instrument)
    return {**position_object(view), "success": True}


async def get_all_positions(call: Call) -> dict[str, Any]:
    include_flat = read_flag(call.args, "includeFlat")
    accounts = await accounts_of(call)
    views = await call.services.trades.positions(call.principal, accounts, include_flat=include_flat)
    return {"positions": [position_object(view) for view in views], "count": len(views), "success": True}


# -- closing


async def close_position(call: Call) -> dict[str, Any]:
    """All of a position, which cancels what works on it too, or a part, which leaves that alone."""
    instrument = read_instrument(call.args)
    quantity, percent = read_quantity(call.args, "quantity"), read_number(call.args, "percent")
    if percent is not None and not 0 < percent <= 1:
        raise InvalidInput("`percent` must be a fraction above 0, at most 1: 0.25 is a quarter", field="percent")
    account = await account_of(call)
    view = await call.services.trades.position(call.principal, account, instrument)
    part = _part(view, quantity, percent)
    closed: list[PositionView] = []
    if part is not None:
        order = await call.services.trades.close(call.principal, account, view.instrument.name, quantity=part)
        closed = [] if order is None else [view]
    elif view.position.lots:
        flattened = await call.services.trades.flatten(call.principal, [account], instrument=view.instrument.name)
        closed = list(flattened.closed)
    if not closed:
        raise Published(f"No positions found for instrument '{view.instrument.name}'")
    return _closed(closed)


def _part(view: PositionView, quantity: Decimal | None, percent: Decimal | None) -> Decimal | None:
    """What to close if it is not everything. `quantity` goes before `percent`, which is rounded up to a lot."""
    if quantity is not None:
        return quantity if quantity < view.quantity else None
    if percent is None or percent == 1:
        return None
    lots = int((percent * abs(view.position.lots)).to_integral_value(ROUND_CEILING))
    return view.instrument.quantity(lots) if lots < abs(view.position.lots) else None


async def flatten(call: Call) -> dict[str, Any]:
    """One account, or one instrument of it; without an account, as a WebSocket call may be, by filters."""
    if call.args.get("account") in (None, ""):
        if not any(call.args.get(name) for name in ("instrument", "marketPosition")):
            raise InvalidInput(
                "Flatten takes `account`, `instrument` or `marketPosition`; everything is FlattenEverything",
                field="account",
            )
        return await flatten_everything(call)
    instrument, market_position = _filters(call)
    account = await account_of(call)
    flattened = await _flattened(call, [account], instrument, market_position)
    return _with_warning(_closed(flattened.closed), flattened)


async def flatten_everything(call: Call) -> dict[str, Any]:
    """Every account within reach, or what the filters leave of it."""
    instrument, market_position = _filters(call)
    flattened = await _flattened(call, await accounts_asked(call), instrument, market_position)
    body = {"orderIds": list(flattened.order_ids), **_closed(flattened.closed)}
    return _with_warning(body, flattened)


def _filters(call: Call) -> tuple[str | None, MarketPosition | None]:
    sides = {name: side for name, side in MARKET_POSITIONS.items() if side is not MarketPosition.FLAT}
    return read_text(call.args, "instrument"), read_word(call.args, "marketPosition", sides)


async def _flattened(
    call: Call, accounts: Sequence[Account], instrument: str | None, market_position: MarketPosition | None
) -> Flattened:
    return await call.services.trades.flatten(
        call.principal, accounts, instrument=instrument, market_position=market_position
    )


def _closed(views: Sequence[PositionView]) -> dict[str, Any]:
    """The positions as they stood before."""
    return {"closedPositions": [position_object(view) for view in views], "success": True}


def _with_warning(body: dict[str, Any], flattened: Flattened) -> dict[str, Any]:
    return body if flattened.closed or flattened.order_ids else {**body, "warning": _NOTHING_OPEN}


# -- reversing


async def reverse(call: Call) -> dict[str, Any]:
    instrument = read_instrument(call.args)
    account = await account_of(call)
    view = await call.services.trades.reverse(call.principal, account, instrument)
    if view is None:
        name = call.services.markets.resolve(instrument).name
        raise Published(f"No position found for instrument '{name}' in account '{account.name}'")
    return {"orderId": view.order.id, "success": True}


async def reverse_position(call: Call) -> dict[str, Any]:
    """Close the position, then place the order of these terms."""
    request = read_place(call.args)
    account = await account_of(call)
    view = await call.services.trades.reverse_position(call.principal, account, request)
    return {"orderId": view.order.id, "success": True}

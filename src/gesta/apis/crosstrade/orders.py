"""What the order commands do: arguments in, reply body out. The same for REST and for the WebSocket."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from gesta.access.model import Account
from gesta.apis.crosstrade.arguments import DEFAULT_LIMIT, read_id
from gesta.apis.crosstrade.calls import Call, account_of, accounts_asked, accounts_of
from gesta.apis.crosstrade.codec_trading import ORDER_STATE, order_object
from gesta.apis.crosstrade.errors import Published
from gesta.apis.crosstrade.numbers import double, whole
from gesta.apis.crosstrade.terms import read_change, read_place, read_protection
from gesta.apis.crosstrade.values import read_count, read_flag, read_text
from gesta.desk.reading import MAX_PAGE
from gesta.desk.trading.views import OrderNote, OrderView
from gesta.kernel.errors import Conflict, InvalidInput, NotFound
from gesta.kernel.times import format_ms
from gesta.ledger.records import Execution, FillDetail, Kind, Status
from gesta.trading.orders import OrderState

# A reply that is not paged holds at most this many orders of an account.
MAX_REPLY_ORDERS: Final = 5000
DEFAULT_EVENTS: Final = 200
MAX_EVENTS: Final = 2000
_CURSOR: Final = re.compile(r"o[0-9]{1,19}", re.ASCII)
_INT64_MAX: Final = 2**63 - 1


# -- placing


async def place_order(call: Call) -> dict[str, Any]:
    request = read_place(call.args)
    account = await account_of(call)
    return _placed(await call.services.trades.place(call.principal, account, request))


async def cancel_replace(call: Call) -> dict[str, Any]:
    """Cancel an order and place another in its place."""
    order_id = _order_id(call)
    request = read_place(call.args, client_id=None)
    account = await account_of(call)
    return _placed(await call.services.trades.replace(call.principal, account, order_id, request))


async def change_order(call: Call) -> dict[str, Any]:
    order_id = _order_id(call)
    request = read_change(call.args)
    strategy = read_text(call.args, "strategyId")
    account = await account_of(call)
    if strategy is not None:
        view = await call.services.trades.order(call.principal, account, order_id)
        if view.order.strategy != strategy:
            raise Conflict(f"Order {view.order.id} is not of the strategy {strategy!r}")
    return _placed(await call.services.trades.change(call.principal, account, order_id, request))


async def flat_place(call: Call) -> dict[str, Any]:
    request = read_place(call.args)
    account = await account_of(call)
    return _placed(await call.services.trades.flat_place(call.principal, account, request))


async def cancel_and_bracket(call: Call) -> dict[str, Any]:
    """Replace what protects a position by one pair of orders."""
    request = read_protection(call.args)
    account = await account_of(call)
    views = await call.services.trades.cancel_and_bracket(call.principal, account, request)
    stops = [view.order.id for view in views if view.order.type.has_stop]
    targets = [view.order.id for view in views if not view.order.type.has_stop]
    return {
        "orderIds": [view.order.id for view in views],
        "stopLossOrderId": stops[0] if stops else None,
        "takeProfitOrderId": targets[0] if targets else None,
        "ocoId": next((view.order.oco_id for view in views if view.order.oco_id), None),
        "success": True,
    }


def _placed(view: OrderView) -> dict[str, Any]:
    return {"orderId": view.order.id, "success": True}


# -- cancelling


async def cancel_order(call: Call) -> dict[str, Any]:
    """By Gesta's id or the caller's own; the reply names the order as the caller did."""
    order_id = _order_id(call)
    account = await account_of(call)
    try:
        await call.services.trades.cancel(call.principal, account, order_id)
    except (Conflict, NotFound) as error:
        if isinstance(error, NotFound) and error.what != "order":
            raise
        # The vendor promises these words to callers that compare them.
        raise Published(f"Order linked to '{order_id[:128]}' not found or already terminal.") from error
    return {"orderId": order_id, "success": True}


async def cancel_orders(call: Call) -> dict[str, Any]:
    """What works in one account, on one instrument if it is named."""
    instrument = read_text(call.args, "instrument")
    account = await account_of(call)
    return await _cancelled(call, [account], instrument)


async def cancel_all_orders(call: Call) -> dict[str, Any]:
    """What works in every account within reach, or in the one that is named."""
    instrument = read_text(call.args, "instrument")
    return await _cancelled(call, await accounts_asked(call), instrument)


async def _cancelled(call: Call, accounts: list[Account], instrument: str | None) -> dict[str, Any]:
    views = await call.services.trades.cancel_orders(call.principal, accounts, instrument=instrument)
    return {"orderIds": [view.order.id for view in views], "success": True}


# -- reading


async def get_order(call: Call) -> dict[str, Any]:
    view = await _order(call)
    return {**order_object(view), "success": True}


async def get_order_status(call: Call) -> dict[str, Any]:
    view = await _order(call)
    return {"status": ORDER_STATE[view.order.state], "success": True}


async def _order(call: Call) -> OrderView:
    order_id = _order_id(call)
    account = await account_of(call)
    return await call.services.trades.order(call.principal, account, order_id)


async def list_orders(call: Call) -> dict[str, Any]:
    """One account's orders, newest first: all up to the cap, or a page. Without an account, as a WebSocket call may
    be, every account's within reach, account after account."""
    active = _only_active(call.args)
    after, limit = _page(call.args)
    if call.args.get("account") in (None, ""):
        if after is not None:
            raise InvalidInput("`cursor` goes with `account`", field="cursor")
        accounts = await accounts_of(call)
    else:
        accounts = [await account_of(call)]
    rows: list[dict[str, Any]] = []
    wanted, following = limit or MAX_REPLY_ORDERS, None
    for account in accounts:
        start, following = len(rows), after
        while True:
            part = await call.services.trades.orders(
                call.principal,
                account,
                working=True if active else None,
                after=following,
                limit=min(MAX_PAGE, wanted - (len(rows) - start)),
            )
            rows += [order_object(view) for view in part.rows]
            following = part.next
            if following is None or len(rows) - start >= wanted:
                break
    body: dict[str, Any] = {"orders": rows, "success": True}
    if len(accounts) == 1 and (limit is not None or following is not None):
        body["nextCursor"] = None if following is None else f"o{following}"
    return body


def _only_active(args: Mapping[str, Any]) -> bool:
    """`activeOnly` is the vendor's word, `working` Gesta's."""
    given = [read_flag(args, name) for name in ("activeOnly", "working") if args.get(name) not in (None, "")]
    if len(set(given)) > 1:
        raise InvalidInput("`activeOnly` and `working` are two words for one thing: give one", field="working")
    return any(given)


def _page(args: Mapping[str, Any]) -> tuple[int | None, int | None]:
    limit = read_count(args, "limit", least=1, most=MAX_PAGE)
    cursor = args.get("cursor")
    if cursor is None:
        return None, limit
    if not isinstance(cursor, str) or not _CURSOR.fullmatch(cursor) or int(cursor[1:]) > _INT64_MAX:
        raise InvalidInput("`cursor` must be the `nextCursor` of the page before", field="cursor")
    return int(cursor[1:]), DEFAULT_LIMIT if limit is None else limit


# -- the life of an order


async def get_order_lifecycle(call: Call) -> dict[str, Any]:
    """Everything that happened to an order, oldest first (§1.4)."""
    order_id = _order_id(call)
    fills, raw = read_flag(call.args, "includeFills", default=True), read_flag(call.args, "includeRaw")
    limit = min(read_count(call.args, "limit", least=1, most=_INT64_MAX) or DEFAULT_EVENTS, MAX_EVENTS)
    account = await account_of(call)
    view, notes = await call.services.trades.timeline(call.principal, account, order_id, limit=limit)
    events = [(note.at_us, _note_event(note, view, raw=raw)) for note in notes]
    if fills and len(events) < limit:
        filled = await _fills(call, account, view.order.id, limit - len(events))
        events += [(fill.created_at_us, _fill_event(fill, view)) for fill in filled]
        # A stable sort: what was asked and what the venue said of one moment stay before its fill.
        events.sort(key=lambda each: each[0])
    return {
        "success": True,
        "orderId": view.order.id,
        "originalOrderId": view.order.client_id,
        "account": account.name,
        "count": len(events),
        "events": [event for _, event in events],
    }


def _note_event(note: OrderNote, view: OrderView, *, raw: bool) -> dict[str, Any]:
    # What was asked has no state yet (§1.4).
    state = None if note.source == "api" else ORDER_STATE.get(_STATES.get(note.state, OrderState.UNKNOWN))
    event = {
        "timestamp": format_ms(note.at_us),
        "epoch": float(note.at_us // 1000),
        "source": _SOURCE.get(note.source, note.source),
        "event": note.event,
        "orderState": state,
        "orderId": view.order.id,
        "message": note.message or None,
    }
    return {**event, "raw": note.data} if raw else event


_STATES: Final = {state.value: state for state in OrderState}
_SOURCE: Final = {"api": "api_received", "venue": "order_update"}


def _fill_event(fill: Execution, view: OrderView) -> dict[str, Any]:
    detail = fill.detail
    assert isinstance(detail, FillDetail)
    return {
        "timestamp": format_ms(fill.created_at_us),
        "epoch": float(fill.created_at_us // 1000),
        "source": "execution",
        "event": "Fill",
        "orderState": None,
        "orderId": view.order.id,
        "message": None,
        "executionId": fill.external_id,
        "price": double(detail.price),
        "quantity": whole(detail.quantity),
    }


async def _fills(call: Call, account: Account, order_id: str, room: int) -> list[Execution]:
    query = call.services.reading.filter(
        call.principal,
        account=account.id,
        kinds=frozenset({Kind.FILL}),
        statuses=frozenset({Status.SUCCEEDED}),
        correlation={"order_id": order_id},
    )
    part = await call.services.reading.seek(
        call.principal, query, after=None, limit=min(room, MAX_PAGE), newest_first=False
    )
    return list(part.rows)


def _order_id(call: Call) -> str:
    return read_id(call.args, "orderId", what="order")

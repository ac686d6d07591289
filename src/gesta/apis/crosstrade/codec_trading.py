"""Orders, positions and accounts as CrossTrade prints NinjaTrader's. Pure; protocols/crosstrade.md §2.

Encode the results with `encode_reply`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from gesta.access.model import Account
from gesta.apis.crosstrade.numbers import double, whole
from gesta.apis.crosstrade.wall_clock import local_time
from gesta.desk.trading.requests import MarketPosition
from gesta.desk.trading.views import AccountView, OrderView, PositionView
from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.orders import OrderState, OrderType, Side, TimeInForce

NINJATRADER_POSITION: Final = "NinjaTrader.Cbi.Position"
NINJATRADER_CONNECTION: Final = "NinjaTrader.Cbi.Connection"
# What NinjaTrader prints of an order that has no date of its own (docs.crosstrade.io, GET Order).
_NO_GOOD_TILL_DATE: Final = "2099-12-01T00:00:00.0000000"

ORDER_STATE: Final = {
    OrderState.INITIALIZED: "Initialized",
    OrderState.SUBMITTED: "Submitted",
    OrderState.ACCEPTED: "Accepted",
    OrderState.WORKING: "Working",
    OrderState.PART_FILLED: "PartFilled",
    OrderState.CHANGE_PENDING: "ChangePending",
    OrderState.CANCEL_PENDING: "CancelPending",
    OrderState.FILLED: "Filled",
    OrderState.CANCELLED: "Cancelled",
    OrderState.EXPIRED: "Cancelled",
    OrderState.REJECTED: "Rejected",
    OrderState.UNKNOWN: "Unknown",
}
ORDER_TYPE: Final = {
    OrderType.MARKET: "Market",
    OrderType.LIMIT: "Limit",
    OrderType.STOP_MARKET: "StopMarket",
    OrderType.STOP_LIMIT: "StopLimit",
    OrderType.MARKET_IF_TOUCHED: "MIT",
}
ORDER_ACTION: Final = {Side.BUY: "Buy", Side.SELL: "Sell"}
TIME_IN_FORCE: Final = {
    TimeInForce.DAY: "Day",
    TimeInForce.GTC: "Gtc",
    TimeInForce.IOC: "Ioc",
    TimeInForce.FOK: "Fok",
}
MARKET_POSITION: Final = {
    MarketPosition.LONG: "Long",
    MarketPosition.SHORT: "Short",
    MarketPosition.FLAT: "Flat",
}
INSTRUMENT_TYPE: Final = {
    InstrumentKind.FUTURE: "Future",
    InstrumentKind.SPOT: "CryptoCurrency",
    InstrumentKind.LINEAR_PERPETUAL: "CryptoCurrency",
    InstrumentKind.INVERSE_PERPETUAL: "CryptoCurrency",
}
DENOMINATION: Final = {
    "USD": "UsDollar",
    "EUR": "Euro",
    "GBP": "BritishPound",
    "JPY": "JapaneseYen",
    "CHF": "SwissFranc",
    "CAD": "CanadianDollar",
    "AUD": "AustralianDollar",
}


# -- orders


def order_object(view: OrderView) -> dict[str, Any]:
    """One order. Up to `limitPriceChanged` the keys and their order are the vendor's page; those after it are the
    other members of NinjaTrader's Order by the same rule, and from `originalOrderId` on Gesta's own."""
    order, instrument, account = view.order, view.instrument, view.account
    return {
        "account": account.name,
        "orderId": order.id,
        "instrument": instrument.name,
        "instrumentType": INSTRUMENT_TYPE[instrument.kind],
        "orderType": ORDER_TYPE[order.type],
        "orderState": ORDER_STATE[order.state],
        "quantity": whole(instrument.quantity(order.quantity)),
        "averageFillPrice": float(view.average_price),
        "filled": whole(instrument.quantity(order.filled)),
        "fromEntrySignal": None,
        "gtd": _NO_GOOD_TILL_DATE,
        "hasOverfill": False,
        "isBacktestOrder": False,
        "limitPrice": _price(instrument, order.limit_ticks),
        "limitPriceChanged": 0.0,
        "name": order.name,
        "oco": order.oco_id or "",
        "orderAction": ORDER_ACTION[order.side],
        "quantityChanged": 0,
        "serverName": account.server_name,
        "stopPrice": _price(instrument, order.stop_ticks),
        "stopPriceChanged": 0.0,
        "time": local_time(order.created_at_us, account.time_zone),
        "epoch": order.created_at_us // 1000,
        "timeInForce": TIME_IN_FORCE[order.time_in_force],
        "originalOrderId": order.client_id,
        "strategy": order.strategy or None,
        "reduceOnly": order.reduce_only,
        "stopLossTicks": None if order.bracket is None else order.bracket.stop_ticks,
        "takeProfitTicks": None if order.bracket is None else order.bracket.target_ticks,
        "entryOrderId": order.opened_by,
        "replacesOrderId": order.replaces,
        "isTriggered": order.is_triggered,
        "isGap": order.gap,
        "isExpired": order.state is OrderState.EXPIRED,
        "reason": order.reason or None,
        "updatedEpoch": order.updated_at_us // 1000,
    }


def _price(instrument: Instrument, ticks: int | None) -> Any:
    """NinjaTrader prints 0 for a price that the order does not have."""
    return 0.0 if ticks is None else double(instrument.price(ticks))


# -- positions


def position_object(view: PositionView) -> dict[str, Any]:
    """One position (§2.2). While the instrument has no data `marketPrice` is null, and `unrealizedProfitLoss` too
    unless nothing is open."""
    unrealized = view.unrealized if view.position.lots else Decimal(0)
    return {
        "type": NINJATRADER_POSITION,
        "account": view.account.name,
        "instrument": view.instrument.name,
        "instrumentType": INSTRUMENT_TYPE[view.instrument.kind],
        "marketPosition": MARKET_POSITION[view.market_position],
        "quantity": whole(view.quantity),
        "averagePrice": float(view.average_price),
        "marketPrice": None if view.market_price is None else double(view.market_price),
        "unrealizedProfitLoss": None if unrealized is None else float(unrealized),
        "tag": None,
    }


# -- accounts

_ITEMS: Final = (
    "buyingPower",
    "cashValue",
    "commission",
    "dailyLossLimit",
    "dailyProfitTrigger",
    "excessInitialMargin",
    "excessIntradayMargin",
    "excessMaintenanceMargin",
    "excessPositionMargin",
    "fee",
    "grossRealizedProfitLoss",
    "initialMargin",
    "intradayMargin",
    "longOptionValue",
    "longStockValue",
    "lookAheadMaintenanceMargin",
    "maintenanceMargin",
    "netLiquidation",
    "netLiquidationByCurrency",
    "positionMargin",
    "realizedProfitLoss",
    "shortOptionValue",
    "shortStockValue",
    "sodCashValue",
    "sodLiquidatingValue",
    "totalCashBalance",
    "trailingMaxDrawdown",
    "unrealizedProfitLoss",
    "weeklyLossLimit",
    "weeklyProfitLoss",
    "weeklyProfitTrigger",
)


def account_object(account: Account, view: AccountView | None, *, user: str) -> dict[str, Any]:
    """One account (§2.3). `view` is None where nothing trades on this server: then it is not connected.

    What Gesta does not keep (loss limits, option values …) is 0.0, as NinjaTrader's simulator has it.
    """
    return {
        "id": account.id,
        "name": account.name,
        "displayName": account.name,
        "primaryUser": user,
        "provider": "Simulator",
        "denomination": DENOMINATION.get(account.currency, account.currency),
        "status": "Enabled",
        "dailyLossLimit": 0.0,
        "minCashValue": 0.0,
        "maxOrderSize": 0,
        "maxPositionSize": 0 if view is None or view.max_position is None else whole(view.max_position),
        "connection": NINJATRADER_CONNECTION,
        "connectionStatus": "Disconnected" if view is None else "Connected",
        "lastTransactionSum": 0.0,
        "item": _item(view),
    }


def snapshot_row(account: Account, view: AccountView | None, *, user: str) -> dict[str, Any]:
    """One element of the summary's `accounts`: the account, and its open positions."""
    positions = [] if view is None else [each for each in view.positions if each.position.lots]
    return {
        "account": {
            "type": "NinjaTrader.Cbi.Account",
            **account_object(account, view, user=user),
            "isAccountFlat": not positions,
        },
        "positions": [position_object(each) for each in positions],
    }


def _item(view: AccountView | None) -> dict[str, float]:
    item = dict.fromkeys(_ITEMS, 0.0)
    if view is None:
        return item
    known = {
        "buyingPower": view.buying_power,
        "cashValue": view.cash,
        "commission": view.session_commission,
        "excessInitialMargin": view.net_liquidation - view.initial_margin,
        "grossRealizedProfitLoss": view.session_realized,
        "initialMargin": view.initial_margin,
        "netLiquidation": view.net_liquidation,
        "netLiquidationByCurrency": view.net_liquidation,
        "realizedProfitLoss": view.session_realized - view.session_commission,
        "sodCashValue": view.session_cash,
        "totalCashBalance": view.cash,
        "unrealizedProfitLoss": view.unrealized,
    }
    item.update({name: float(value) for name, value in known.items()})
    return item

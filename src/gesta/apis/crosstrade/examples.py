"""What the OpenAPI document shows: values of a made-up account, printed by the codecs that print the real ones."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, Final

from gesta.access.model import Account, AccountType, Environment
from gesta.apis.crosstrade.codec_market import account_quote_reply, bars_reply, market_info_reply, quote_reply
from gesta.apis.crosstrade.codec_trading import account_object, order_object, position_object, snapshot_row
from gesta.desk.market.face import Bar, Snapshot
from gesta.desk.trading.views import AccountView, OrderView, PositionView
from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.market import Flag, Quote
from gesta.trading.orders import Order, OrderState, OrderType, Side
from gesta.trading.positions import PRECISION, Position

ORDER_ID: Final = "50cca7b8051146c684087db511107983"
_AT_US: Final = 1_773_864_714_000_000
_ACCOUNT: Final = Account(
    id=1,
    organization=1,
    name="Sim101",
    type=AccountType.TRADING,
    environment=Environment.PRODUCTION,
    time_zone="America/Chicago",
)
_ES: Final = Instrument(
    name="ES 06-26",
    root="ES",
    kind=InstrumentKind.FUTURE,
    tick_size=Decimal("0.25"),
    lot_size=Decimal(1),
    point_value=Decimal(50),
    exchange="Globex",
    description="E-mini S&P 500",
    expiry=date(2026, 6, 19),
    calendar="cme_equity",
)
_POSITION: Final = PositionView(
    account=_ACCOUNT,
    instrument=_ES,
    position=Position(lots=2, cost=2 * 26_923 * _ES.factor, ticks_lots=2 * 26_923 * PRECISION, fills=1, bought=2),
    market_price=Decimal("6731.75"),
    unrealized=Decimal(100),
)
_MONEY: Final = AccountView(
    account=_ACCOUNT,
    venue="paper",
    cash=Decimal("99997.52"),
    starting_cash=Decimal(100_000),
    session_cash=Decimal(100_000),
    realized=Decimal(0),
    session_realized=Decimal(0),
    commission=Decimal("2.48"),
    session_commission=Decimal("2.48"),
    unrealized=Decimal(100),
    initial_margin=Decimal(30_000),
    max_position=None,
    positions=[_POSITION],
)
_SNAPSHOT: Final = Snapshot(
    instrument=_ES,
    quote=Quote("ES 06-26", 26_926, 26_927, 12, 9, _AT_US, _AT_US, Flag.SIMULATED),
    trade=None,
    open=26_880,
    high=26_951,
    low=26_862,
    previous_close=26_874,
    volume=1_204_518,
    source="simulated",
    is_simulated=True,
    is_open=True,
)

ORDER: Final[dict[str, Any]] = order_object(
    OrderView(
        account=_ACCOUNT,
        instrument=_ES,
        order=Order(
            id=ORDER_ID,
            organization=1,
            account=1,
            instrument="ES 06-26",
            side=Side.BUY,
            type=OrderType.LIMIT,
            quantity=2,
            limit_ticks=26_920,
            client_id="myStrat_entry_42",
            state=OrderState.WORKING,
            name="Entry",
            created_at_us=_AT_US,
            updated_at_us=_AT_US + 3_000,
        ),
    )
)
POSITION: Final[dict[str, Any]] = position_object(_POSITION)
ACCOUNT: Final[dict[str, Any]] = account_object(_ACCOUNT, _MONEY, user="owner")
SUMMARY: Final[dict[str, Any]] = {
    "type": "snapshot",
    "timestamp": "2026-03-18T15:11:54.0000000-05:00",
    "epoch": _AT_US // 1000,
    "accounts": [snapshot_row(_ACCOUNT, _MONEY, user="owner")],
}
QUOTE: Final[dict[str, Any]] = quote_reply(_SNAPSHOT)
ACCOUNT_QUOTE: Final[dict[str, Any]] = account_quote_reply(_SNAPSHOT, _ACCOUNT.time_zone)
MARKET_INFO: Final[dict[str, Any]] = market_info_reply(_ES, is_open=True, now_us=_AT_US)
BARS: Final[dict[str, Any]] = bars_reply(
    _ES, [Bar(_AT_US, 26_920, 26_931, 26_915, 26_927, 4_812)], period_type="minute", period=5, period_s=300
)
LIFECYCLE: Final[dict[str, Any]] = {
    "success": True,
    "orderId": ORDER_ID,
    "originalOrderId": "myStrat_entry_42",
    "account": "Sim101",
    "count": 1,
    "events": [
        {
            "timestamp": "2026-03-18T20:11:54.000Z",
            "epoch": 1773864714000.0,
            "source": "api_received",
            "event": "PlaceOrder",
            "orderState": None,
            "orderId": ORDER_ID,
            "message": None,
        }
    ],
}

"""What arbitrage and cross-exchange market making share: one amount of a base that is bought in one market and sold in
another. Leg 0 is the buying market, leg 1 the selling market. If their quotes differ there is a leg 2, which nothing is
traded in: the market of the one quote in the other, whose price converts. Without that price nothing is done, since
profit at an invented rate is none. Results are in the buying market's quote.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from gesta.executors.machines.common import ZERO, Book, executed_base, executed_quote, fees_quote, is_perpetual
from gesta.executors.machines.face import CloseType, Leg, PositionAction, Price, Report, RunnableStatus, Tracked, Trade
from gesta.executors.machines.parsing import Fields

__all__ = [
    "BUYING",
    "SELLING",
    "Market",
    "Result",
    "legs_of",
    "opening_action",
    "parse_markets",
    "rate_of",
    "report_of",
    "result_of",
]

BUYING, SELLING, RATE = 0, 1, 2
ONE = Decimal(1)

#: Tokens that count as one another's (protocols/hummingbot.md §7), besides a token itself and the dollars.
SAME_TOKEN = frozenset(
    frozenset(pair)
    for pair in (
        ("WETH", "ETH"),
        ("WBTC", "BTC"),
        ("WBNB", "BNB"),
        ("WPOL", "POL"),
        ("WAVAX", "AVAX"),
        ("WONE", "ONE"),
        ("USDC", "USDC.E"),
        ("UBTC", "BTC"),
        ("UETH", "ETH"),
        ("USOL", "SOL"),
    )
)


class Market(msgspec.Struct, frozen=True, kw_only=True):
    connector_name: str
    trading_pair: str

    @property
    def base(self) -> str:
        return self.trading_pair.partition("-")[0]

    @property
    def quote(self) -> str:
        return self.trading_pair.partition("-")[2]


def interchangeable(one: str, other: str) -> bool:
    """Whether a token bought as `one` can be sold as `other`."""
    one, other = one.upper(), other.upper()
    return one == other or frozenset((one, other)) in SAME_TOKEN or ("USD" in one and "USD" in other)


def parse_markets(fields: Fields) -> tuple[Market, Market]:
    """The buying and the selling market: different markets of interchangeable bases."""
    buying, selling = (_market(fields, name) for name in ("buying_market", "selling_market"))
    if buying == selling:
        fields.refuse("selling_market", "be another market than buying_market")
    if not interchangeable(buying.base, selling.base):
        fields.refuse("selling_market", f"trade {buying.base}, as buying_market does, and not {selling.base}")
    return buying, selling


def _market(fields: Fields, name: str) -> Market:
    if not fields.has(name):
        fields.refuse(name, "be an object with connector_name and trading_pair")
    market = fields.nested(name, ("connector_name", "trading_pair"))
    return Market(connector_name=market.text("connector_name"), trading_pair=market.pair())


def legs_of(buying: Market, selling: Market) -> tuple[Leg, ...]:
    legs = tuple(
        Leg(
            connector_name=market.connector_name,
            trading_pair=market.trading_pair,
            is_perpetual=is_perpetual(market.connector_name),
        )
        for market in (buying, selling)
    )
    if selling.quote == buying.quote:
        return legs
    rate = Leg(connector_name=buying.connector_name, trading_pair=f"{selling.quote}-{buying.quote}")
    return (*legs, rate)


def rate_of(legs: tuple[Leg, ...], prices: Mapping[int, Price]) -> Decimal | None:
    """What one unit of the selling market's quote is worth in the buying market's; None while that is unknown."""
    if len(legs) <= RATE:
        return ONE
    price = prices.get(RATE)
    return None if price is None else price.mid


def opening_action(leg: Leg) -> PositionAction:
    """In a spot market nothing is opened: inventory changes hands."""
    return PositionAction.OPEN if leg.is_perpetual else PositionAction.NIL


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What was bought and sold so far. `exposed_base`: more bought than sold, negative if less. Profit is of the part
    that was both bought and sold, less all fees; `pnl_pct` is of what that part cost."""

    exposed_base: Decimal
    pnl_quote: Decimal
    pnl_pct: Decimal
    fees_quote: Decimal
    volume_quote: Decimal
    held: tuple[Tracked, ...]


def result_of(book: Book, rate: Decimal) -> Result:
    buys = tuple(order for order in book.filled if order.side is Trade.BUY)
    sells = tuple(order for order in book.filled if order.side is Trade.SELL)
    bought, sold = executed_base(buys), executed_base(sells)
    cost, proceeds = executed_quote(buys), executed_quote(sells) * rate
    fees = fees_quote(buys) + fees_quote(sells) * rate
    matched = min(bought, sold)
    # Equal amounts are not divided: the result is exact where it can be.
    matched_cost = cost if matched == bought else cost / bought * matched
    matched_proceeds = proceeds if matched == sold else proceeds / sold * matched
    pnl = matched_proceeds - matched_cost - fees
    return Result(
        exposed_base=bought - sold,
        pnl_quote=pnl,
        pnl_pct=pnl / matched_cost if matched_cost else ZERO,
        fees_quote=fees,
        volume_quote=cost + proceeds,
        held=(*buys, *sells) if bought != sold else (),
    )


def report_of(
    result: Result,
    *,
    status: RunnableStatus,
    close_type: CloseType | None,
    close_at_us: int | None,
    custom_info: dict[str, Any],
    held: tuple[Tracked, ...],
) -> Report:
    """The report of an executor that stands at `result`."""
    is_active = status in (RunnableStatus.NOT_STARTED, RunnableStatus.RUNNING)
    return Report(
        status=status,
        close_type=close_type,
        net_pnl_quote=result.pnl_quote,
        net_pnl_pct=result.pnl_pct,
        cum_fees_quote=result.fees_quote,
        filled_amount_quote=result.volume_quote,
        is_active=is_active,
        is_trading=is_active and bool(result.pnl_quote),
        close_at_us=close_at_us,
        custom_info=custom_info,
        held=held,
    )

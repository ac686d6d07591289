"""What an account is worth: its money in all currencies and its open positions, at the market's prices. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

from gesta.access.model import Account
from gesta.desk.trading.state import Funds
from gesta.desk.trading.views import AccountView, PositionView
from gesta.trading.money import from_units, to_units

# Coins that count as their dollar.
DOLLARS: Final = frozenset({"USD", "USDT", "USDC"})

# The price of one unit of a currency in another, None where the market gives none.
Rate = Callable[[str, str], Decimal | None]


def account_view(
    account: Account, funds: Sequence[Funds], positions: Sequence[PositionView], *, session: int, rate: Rate
) -> AccountView:
    """Money of another currency counts at the market's rate, and not at all where there is none."""
    today = [(each.at(session), rate(each.currency, account.currency) or Decimal(0)) for each in funds]

    def total(name: str) -> Decimal:
        return sum((from_units(getattr(each, name)) * price for each, price in today), start=Decimal(0))

    unrealized, margin = Decimal(0), Decimal(0)
    for view in positions:
        if view.unrealized is not None:
            unrealized += view.unrealized * (rate(view.instrument.currency, account.currency) or Decimal(0))
        if view.market_price is not None:
            ticks = int(view.market_price / view.instrument.tick_size)
            margin += from_units(view.instrument.margin(ticks, view.position.lots))
    return AccountView(
        account=account,
        venue="paper",
        cash=total("cash"),
        starting_cash=total("starting"),
        session_cash=total("session_cash"),
        realized=total("realized"),
        session_realized=total("session_realized"),
        commission=total("commission"),
        session_commission=total("session_commission"),
        unrealized=unrealized,
        initial_margin=margin,
        max_position=next((each.max_position for each in funds if each.max_position is not None), None),
        positions=positions,
    )


def with_cash(funds: Funds, cash: Decimal) -> Funds:
    """New cash is as if it had been there from the start: what was won and lost stays."""
    added = to_units(cash) - funds.cash
    return Funds(
        account=funds.account,
        currency=funds.currency,
        organization=funds.organization,
        starting=funds.starting + added,
        cash=funds.cash + added,
        realized=funds.realized,
        commission=funds.commission,
        session=funds.session,
        session_cash=funds.session_cash + added,
        session_realized=funds.session_realized,
        session_commission=funds.session_commission,
        max_position=funds.max_position,
    )

"""Whether the venue takes an order, and why not, in words for a person. The first reason that applies counts."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_UP, Decimal
from typing import Final

from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.money import from_units, to_units
from gesta.trading.orders import OrderType
from gesta.venues.paper.accounts import Accounts
from gesta.venues.paper.book import Book
from gesta.venues.paper.working import Working

_CENT: Final = Decimal("0.01")


def terms_reason(order: Working) -> str | None:
    """Terms that no order of its type can have."""
    type_ = order.order.type
    word = type_.value.replace("_", "-")
    if order.quantity <= 0:
        return "The quantity must be positive."
    if type_.has_limit and order.limit is None:
        return f"A {word} order needs a limit price."
    if type_.has_stop and order.stop is None:
        return f"A {word} order needs a stop price."
    return None


def refusal(order: Working, accounts: Accounts, *, market_us: int, may_wait: bool) -> str | None:
    """Why the order, in no sum yet, is not taken. `market_us` is the market's time, `may_wait` lets a market order wait
    for the first data."""
    book, exposure = order.book, order.exposure
    instrument = book.instrument
    if market_us >= book.expiry_us:
        return f"{instrument.name} expired on {instrument.expiry}."
    if order.order.type is OrderType.MARKET and not book.has_data and not may_wait:
        return f"No market data for {instrument.name}."
    if order.order.reduce_only and not exposure.closable(is_buy=order.is_buy):
        side = "short" if order.is_buy else "long"
        return f"Reduce-only: there is no {side} position in {instrument.name} to reduce."
    if order.is_capped and not order.order.reduce_only and order.leaves > exposure.lots:
        asked, held = _quantity(instrument, order.leaves), _quantity(instrument, max(0, exposure.lots))
        return f"{instrument.name} cannot be sold short: {asked} to sell, {held} held."
    if not order.order.reduce_only and (reason := _notional_reason(order)):
        return reason
    return growth_reason(order, accounts, order.leaves, 0)


def growth_reason(order: Working, accounts: Accounts, lots: int, was: int) -> str | None:
    """Why the order, now in the sums with `was` lots, cannot be there with `lots` at its price. The sums stay."""
    if order.is_capped:
        return None
    exposure = order.exposure
    account = exposure.account
    if account.max_position is not None and (reason := _position_reason(order, lots - was)):
        return reason
    if account.cash is None:
        return None
    held_before, reserve_before = order.held, exposure.reserve
    free = accounts.free(account) or 0
    accounts.count(order, lots, was)
    needed = exposure.reserve - reserve_before
    _put_back(order, accounts, lots, was, held_before)
    if needed <= 0 or needed <= free:
        return None
    currency = _currency(exposure.instrument)
    return f"Order needs {_money(needed, ROUND_UP)} {currency} of margin, {_money(max(0, free))} are free."


def _put_back(order: Working, accounts: Accounts, lots: int, was: int, held: int) -> None:
    exposure = order.exposure
    if order.is_buy:
        exposure.buy_lots += was - lots
        exposure.buy_held += held - order.held
    else:
        exposure.sell_lots += was - lots
        exposure.sell_held += held - order.held
    order.held = held
    exposure.settle()


def _position_reason(order: Working, more: int) -> str | None:
    exposure = order.exposure
    instrument, most = exposure.instrument, exposure.account.max_position
    assert most is not None
    held, working = (exposure.lots, exposure.buy_lots) if order.is_buy else (-exposure.lots, exposure.sell_lots)
    reached = held + working + more
    if more <= 0 or instrument.quantity(reached) <= most:
        return None
    side = "long" if order.is_buy else "short"
    return (
        f"With what is working, the order could bring the position in {instrument.name} to "
        f"{_quantity(instrument, reached)} {side}; at most {most:f} is allowed."
    )


def _notional_reason(order: Working) -> str | None:
    instrument = order.book.instrument
    least = to_units(instrument.min_notional)
    if not least or not order.price:
        return None
    notional = instrument.notional(order.price, order.leaves)
    if notional >= least:
        return None
    currency = _currency(instrument)
    return (
        f"The order is worth {_money(notional)} {currency}, less than the least of "
        f"{instrument.min_notional:f} {currency} for {instrument.name}."
    )


def price_of(order: Working, book: Book) -> int:
    """The price at which the order is valued before it is filled; 0 where the market has not said any."""
    if order.limit is not None:
        return order.limit
    if order.stop is not None:
        return order.stop
    best = book.opposite(is_buy=order.is_buy)
    return best[0] if best is not None else book.mark or 0


def _quantity(instrument: Instrument, lots: int) -> str:
    return f"{instrument.quantity(lots):f}"


def _money(units: int, rounding: str = ROUND_DOWN) -> str:
    """Two decimals, more where the amount has no other digits."""
    amount = from_units(units)
    if amount and abs(amount) < _CENT:
        return f"{amount:f}"
    return f"{amount.quantize(_CENT, rounding):f}"


def _currency(instrument: Instrument) -> str:
    """Margins and notionals of what settles in a coin are counted in its quote currency."""
    if instrument.kind is InstrumentKind.INVERSE_PERPETUAL:
        return "USD"
    return instrument.currency

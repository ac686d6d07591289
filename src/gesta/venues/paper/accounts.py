"""Money and positions as far as the venue needs them: buying power, the largest position, what can be closed.

What working orders could open is held back by running sums for each account and instrument, so that a check costs the
same with one working order or a hundred thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.money import UNITS, divided, to_units
from gesta.trading.positions import Position, apply_fill
from gesta.trading.venue import AccountFunds, OpenPosition
from gesta.venues.paper.working import Working


class Exposure:
    """One account in one instrument: the position, and the lots and margin of the orders that may open more.

    An order that can only reduce the position is in none of the sums.
    """

    __slots__ = ("account", "buy_held", "buy_lots", "cost", "instrument", "lots", "reserve", "sell_held", "sell_lots")

    def __init__(self, account: PaperAccount, instrument: Instrument) -> None:
        self.account = account
        self.instrument = instrument
        self.lots = 0
        self.cost = 0
        self.buy_lots = 0
        self.buy_held = 0
        self.sell_lots = 0
        self.sell_held = 0
        self.reserve = 0

    def closable(self, *, is_buy: bool) -> int:
        """Lots that an order of this side can close."""
        return max(0, -self.lots if is_buy else self.lots)

    def settle(self) -> None:
        """Hold back what the worse of the two sides could open: both together would cancel out."""
        reserve = max(
            _opening(self.buy_held, self.buy_lots, self.closable(is_buy=True)),
            _opening(self.sell_held, self.sell_lots, self.closable(is_buy=False)),
        )
        self.account.reserve += reserve - self.reserve
        self.reserve = reserve

    def hold(self, order: Working, lots: int) -> None:
        """Let the order count for so many lots from now on; 0 when it has ended."""
        if order.is_capped:
            return
        held = self.instrument.margin(order.price, lots) if lots else 0
        if order.is_buy:
            self.buy_held += held - order.held
        else:
            self.sell_held += held - order.held
        order.held = held

    def margin(self, mark: int | None) -> int:
        """Of the position. Without a price of the market, at what was paid."""
        instrument = self.instrument
        if mark is not None or instrument.initial_margin is not None:
            return instrument.margin(mark or 0, abs(self.lots))
        if instrument.kind is InstrumentKind.INVERSE_PERPETUAL:
            return instrument.margin(0, abs(self.lots))
        return divided(abs(self.cost) * to_units(instrument.margin_rate), UNITS)

    def unrealized(self, mark: int | None) -> int:
        if not self.lots or mark is None:
            return 0
        sign = 1 if self.lots > 0 else -1
        gain = sign * self.instrument.value(mark, abs(self.lots)) - self.cost
        return self.instrument.quoted(gain, mark)


class PaperAccount:
    """`cash` is None where nothing limits the account."""

    __slots__ = ("cash", "exposures", "max_position", "reserve")

    def __init__(self) -> None:
        self.cash: int | None = None
        self.max_position: Decimal | None = None
        self.exposures: dict[str, Exposure] = {}
        self.reserve = 0


class Accounts:
    """`mark_of` gives the price that positions of an instrument are valued at, None without market data."""

    def __init__(self, instrument_of: Callable[[str], Instrument], mark_of: Callable[[str], int | None]) -> None:
        self._instrument_of = instrument_of
        self._mark_of = mark_of
        self._accounts: dict[int, PaperAccount] = {}

    def account(self, account: int) -> PaperAccount:
        found = self._accounts.get(account)
        if found is None:
            found = self._accounts[account] = PaperAccount()
        return found

    def exposure(self, account: int, instrument: str) -> Exposure:
        of_account = self.account(account)
        found = of_account.exposures.get(instrument)
        if found is None:
            found = Exposure(of_account, self._instrument_of(instrument))
            of_account.exposures[instrument] = found
        return found

    def set_funds(self, account: int, funds: AccountFunds) -> None:
        of_account = self.account(account)
        of_account.cash, of_account.max_position = funds.cash, funds.max_position

    def set_position(self, account: int, instrument: str, position: OpenPosition) -> None:
        exposure = self.exposure(account, instrument)
        exposure.lots, exposure.cost = position.lots, position.cost
        exposure.settle()

    def resume(self, positions: Mapping[tuple[int, str], OpenPosition], funds: Mapping[int, AccountFunds]) -> None:
        for (account, instrument), position in positions.items():
            self.set_position(account, instrument, position)
        for account, of_account in funds.items():
            self.set_funds(account, of_account)

    def free(self, account: PaperAccount) -> int | None:
        """What new orders may tie up, in money units; None without a limit. It costs one step for each instrument that
        the account has touched."""
        if account.cash is None:
            return None
        free = account.cash - account.reserve
        for exposure in account.exposures.values():
            if exposure.lots:
                mark = self._mark_of(exposure.instrument.name)
                free += exposure.unrealized(mark) - exposure.margin(mark)
        return free

    def reserve(self, account: int) -> int:
        """Money units that working orders hold back."""
        found = self._accounts.get(account)
        return found.reserve if found is not None else 0

    # -- orders

    def count(self, order: Working, lots: int, was: int) -> None:
        """The order's lots that may open a position are `lots`, and were `was`."""
        exposure = order.exposure
        if order.is_capped:
            return
        if order.is_buy:
            exposure.buy_lots += lots - was
        else:
            exposure.sell_lots += lots - was
        exposure.hold(order, lots)
        exposure.settle()

    def fill(self, order: Working, lots: int, ticks: int, commission: int) -> None:
        """Fold a fill into position and cash; the order's `filled` includes it already."""
        exposure = order.exposure
        before = Position(lots=exposure.lots, cost=exposure.cost)
        change = lots if order.is_buy else -lots
        after, effect = apply_fill(before, exposure.instrument, change, ticks)
        exposure.lots, exposure.cost = after.lots, after.cost
        account = exposure.account
        # What settles in a coin is no cash of the account.
        if account.cash is not None and exposure.instrument.kind is not InstrumentKind.INVERSE_PERPETUAL:
            account.cash += (effect.realized or 0) - commission
        if order.is_capped:
            exposure.settle()
        else:
            self.count(order, order.leaves, order.leaves + lots)


def _opening(held: int, lots: int, closable: int) -> int:
    """The share of the margin held that opens a position, once what is open is closed."""
    if lots <= closable:
        return 0
    return held if not closable else divided(held * (lots - closable), lots)

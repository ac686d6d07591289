"""What a fill costs: so much per contract for futures, a share of the value by maker and taker elsewhere.

`DEFAULT_FEES` is the default table: round figures of the size that a NinjaTrader account with a monthly plan pays
per contract and side, all included, and the base rates of the large crypto exchanges. NinjaTrader's simulated accounts
pay nothing until a commission template is set: that is `ZERO_FEES`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from itertools import product
from typing import Any, Final

import msgspec

from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.money import DIGITS, UNITS, divided, to_units
from gesta.trading.tables import Table

_MOST_PER_CONTRACT: Final = Decimal(100_000)


class FeeRule(msgspec.Struct, frozen=True, kw_only=True):
    """What one fill costs where `account`, `root`, `kind` and `venue` are as said; None matches any.

    `per_contract` is in the instrument's currency, for a quantity of 1; the rates are shares of the fill's value, in
    the settlement currency. A negative figure is a rebate.
    """

    account: int | None = None
    venue: str | None = None
    root: str | None = None
    kind: InstrumentKind | None = None
    per_contract: Decimal = Decimal(0)
    maker_rate: Decimal = Decimal(0)
    taker_rate: Decimal = Decimal(0)


class FeeSchedule(msgspec.Struct, frozen=True, dict=True):
    """The rules that hold. The most particular one that matches decides alone: an account's own before anybody's, then
    one with a root, then one with a kind, then one with a venue; of two alike, the later. None matching: no fee."""

    rules: tuple[FeeRule, ...] = ()

    def commission(
        self,
        instrument: Instrument,
        lots: int,
        ticks: int,
        is_maker: bool,
        *,
        account: int | None = None,
        venue: str = "paper",
    ) -> int:
        """The fee of a fill of `lots` at `ticks`, in money units of the instrument's currency, halves to even."""
        rule = self.rule(instrument, account=account, venue=venue)
        if rule is None:
            return 0
        fee = divided(to_units(rule.per_contract) * to_units(instrument.lot_size) * abs(lots), UNITS)
        rate = rule.maker_rate if is_maker else rule.taker_rate
        # `value`, not `notional`: an inverse perpetual settles its fee in the coin.
        return fee + divided(abs(instrument.value(ticks, lots)) * to_units(rate), UNITS)

    def rule(self, instrument: Instrument, *, account: int | None = None, venue: str = "paper") -> FeeRule | None:
        """The rule that decides, None if no rule matches."""
        wanted = ((account, None), (instrument.root, None), (instrument.kind, None), (venue, None))
        for key in product(*wanted):
            if (rule := self._by_key.get(key)) is not None:
                return rule
        return None

    def with_rules(self, rules: Sequence[FeeRule]) -> FeeSchedule:
        """This schedule with more rules, which take precedence over those that say the same of the same."""
        return FeeSchedule((*self.rules, *rules))

    @cached_property
    def _by_key(self) -> dict[tuple[object, ...], FeeRule]:
        return {(rule.account, rule.root, rule.kind, rule.venue): rule for rule in self.rules}


# Per contract and side, in the future's own currency.
_PER_CONTRACT: Final = {
    "2.25": "ES NQ RTY YM EMD",
    "2.75": "NKD 6A 6B 6C 6E 6J 6M 6N 6S",
    "0.62": "MES MNQ M2K MYM M6A M6B M6E",
    "1.85": "ZT ZF ZN TN ZB UB",
    "3.15": "ZC ZS ZW",
    "2.60": "GC SI HG PL CL NG RB HO",
    "0.87": "MGC SIL MHG MCL",
    "1.60": "QM QG",
    "7.00": "BTC",
    "3.60": "MBT",
    "5.00": "ETH",
    "0.45": "MET",
    "1.50": "FDAX FDXM FESX FGBL FGBM FGBS",
    "0.55": "FDXS",
}

ZERO_FEES: Final = FeeSchedule()
DEFAULT_FEES: Final = FeeSchedule(
    (
        FeeRule(kind=InstrumentKind.FUTURE, per_contract=Decimal("2.25")),
        FeeRule(kind=InstrumentKind.SPOT, maker_rate=Decimal("0.001"), taker_rate=Decimal("0.001")),
        FeeRule(kind=InstrumentKind.LINEAR_PERPETUAL, maker_rate=Decimal("0.0002"), taker_rate=Decimal("0.0005")),
        FeeRule(kind=InstrumentKind.INVERSE_PERPETUAL, maker_rate=Decimal("0.0002"), taker_rate=Decimal("0.0005")),
        *(
            FeeRule(root=root, per_contract=Decimal(fee))
            for fee, roots in _PER_CONTRACT.items()
            for root in roots.split()
        ),
    )
)
_SCHEDULES: Final = {"default": DEFAULT_FEES, "zero": ZERO_FEES}


def fee_schedule_of_table(table: Mapping[str, Any], accounts: Mapping[str, int] | None = None) -> FeeSchedule:
    """The schedule of an operator's configuration; `accounts` are the ids of the accounts' names.

        base = "default"            # or "zero"; the rules come on top of it
        [[rule]]
        root = "ES"
        per_contract = "1.29"
        [[rule]]
        account = "Sim101"
        kind = "linear_perpetual"
        maker_rate = "0.0001"
        taker_rate = "0.0004"

    Raises InvalidInput, naming the field, for an unknown field, an unknown account and a figure that cannot be.
    """
    read = Table(table, "fees")
    base = read.choice("base", tuple(_SCHEDULES), "default")
    rules = [_rule_of(row, accounts) for row in read.tables("rule")]
    read.done()
    return _SCHEDULES[base].with_rules(rules)


def _rule_of(read: Table, accounts: Mapping[str, int] | None) -> FeeRule:
    name = read.text("account")
    if name and (accounts is None or name not in accounts):
        raise read.error("account", f"no account is called {name!r}")
    kind = read.choice("kind", ("", *InstrumentKind), "")
    rule = FeeRule(
        account=accounts[name] if name and accounts else None,
        venue=read.text("venue") or None,
        root=read.text("root").upper() or None,
        kind=InstrumentKind(kind) if kind else None,
        per_contract=_fee(read, "per_contract", _MOST_PER_CONTRACT),
        maker_rate=_fee(read, "maker_rate", Decimal(1)),
        taker_rate=_fee(read, "taker_rate", Decimal(1)),
    )
    read.done()
    return rule


def _fee(read: Table, field: str, most: Decimal) -> Decimal:
    return read.decimal(field, Decimal(0), least=-most, most=most, digits=DIGITS)

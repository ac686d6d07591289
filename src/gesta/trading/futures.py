"""The contract specifications of well-known futures, as the exchanges publish them.

Exchange and description follow NinjaTrader's words. Initial margins are fixed, rounded figures of the right size: real
ones move with the market, and a simulated account needs one that does not.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from gesta.trading.contracts import Contract
from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.rolls import Anchor, Cycle, Expiry, expiry_date

_ALL_MONTHS = "FGHJKMNQUVXZ"


class Specification(msgspec.Struct, frozen=True, kw_only=True):
    """What all contracts of one root have in common. `point_value` and `initial_margin` are per contract."""

    root: str
    description: str
    exchange: str
    tick_size: Decimal
    point_value: Decimal
    initial_margin: Decimal
    cycle: Cycle
    calendar: str
    currency: str = "USD"

    def instrument(self, contract: Contract) -> Instrument:
        return Instrument(
            name=contract.name,
            root=self.root,
            kind=InstrumentKind.FUTURE,
            tick_size=self.tick_size,
            lot_size=Decimal(1),
            point_value=self.point_value,
            currency=self.currency,
            exchange=self.exchange,
            description=self.description,
            initial_margin=self.initial_margin,
            expiry=expiry_date(self.cycle, contract),
            calendar=self.calendar,
        )


_QUARTERLY = Cycle(months="HMUZ", active="HMUZ", expiry=Expiry.THIRD_FRIDAY)
_NIKKEI = Cycle(months="HMUZ", active="HMUZ", expiry=Expiry.BEFORE_SECOND_FRIDAY)
_CURRENCY = Cycle(months=_ALL_MONTHS, active="HMUZ", expiry=Expiry.TWO_BEFORE_THIRD_WEDNESDAY)
_CANADIAN = Cycle(months=_ALL_MONTHS, active="HMUZ", expiry=Expiry.ONE_BEFORE_THIRD_WEDNESDAY)
_MICRO_CURRENCY = Cycle(months="HMUZ", active="HMUZ", expiry=Expiry.TWO_BEFORE_THIRD_WEDNESDAY)
_COIN = Cycle(months=_ALL_MONTHS, active=_ALL_MONTHS, expiry=Expiry.LAST_FRIDAY, roll_days=3)
_CRUDE = Cycle(months=_ALL_MONTHS, active=_ALL_MONTHS, expiry=Expiry.CRUDE, roll_days=4)
_SMALL_CRUDE = Cycle(months=_ALL_MONTHS, active=_ALL_MONTHS, expiry=Expiry.BEFORE_CRUDE, roll_days=4)
_GAS = Cycle(months=_ALL_MONTHS, active=_ALL_MONTHS, expiry=Expiry.GAS, roll_days=4)
_SMALL_GAS = Cycle(months=_ALL_MONTHS, active=_ALL_MONTHS, expiry=Expiry.BEFORE_GAS, roll_days=4)
_PRODUCT = Cycle(months=_ALL_MONTHS, active=_ALL_MONTHS, expiry=Expiry.MONTH_BEFORE)


def _delivered(months: str, active: str, expiry: Expiry, roll_days: int) -> Cycle:
    return Cycle(months=months, active=active, expiry=expiry, anchor=Anchor.NOTICE, roll_days=roll_days)


_GOLD = _delivered(_ALL_MONTHS, "GJMQVZ", Expiry.THIRD_LAST_BUSINESS_DAY, 3)
_SILVER = _delivered(_ALL_MONTHS, "HKNUZ", Expiry.THIRD_LAST_BUSINESS_DAY, 3)
_PLATINUM = _delivered(_ALL_MONTHS, "FJNV", Expiry.THIRD_LAST_BUSINESS_DAY, 3)
_SHORT_NOTE = _delivered("HMUZ", "HMUZ", Expiry.LAST_BUSINESS_DAY, 1)
_BOND = _delivered("HMUZ", "HMUZ", Expiry.SEVENTH_BEFORE_LAST_BUSINESS_DAY, 1)
_CORN = _delivered("HKNUZ", "HKNUZ", Expiry.BEFORE_FIFTEENTH, 8)
_SOYBEANS = _delivered("FHKNQUX", "FHKNX", Expiry.BEFORE_FIFTEENTH, 8)
_EURO_BOND = Cycle(months="HMUZ", active="HMUZ", expiry=Expiry.TWO_BEFORE_TENTH, roll_days=2)

# (exchange, calendar, currency) and then, a row each: root, tick size, point value, initial margin, cycle, description.
_Row = tuple[str, str, str, int, Cycle, str]
_TABLE: Final[tuple[tuple[tuple[str, str, str], tuple[_Row, ...]], ...]] = (
    (
        ("Globex", "cme_equity", "USD"),
        (
            ("ES", "0.25", "50", 23_000, _QUARTERLY, "E-mini S&P 500 Futures"),
            ("NQ", "0.25", "20", 33_000, _QUARTERLY, "E-mini Nasdaq-100 Futures"),
            ("RTY", "0.1", "50", 9_500, _QUARTERLY, "E-mini Russell 2000 Index Futures"),
            ("EMD", "0.1", "100", 18_000, _QUARTERLY, "E-mini S&P MidCap 400 Futures"),
            ("MES", "0.25", "5", 2_300, _QUARTERLY, "Micro E-mini S&P 500 Index Futures"),
            ("MNQ", "0.25", "2", 3_300, _QUARTERLY, "Micro E-mini Nasdaq-100 Index Futures"),
            ("M2K", "0.1", "5", 950, _QUARTERLY, "Micro E-mini Russell 2000 Index Futures"),
            ("NKD", "5", "5", 15_000, _NIKKEI, "Nikkei/USD Futures"),
        ),
    ),
    (
        ("CBOT", "cme_equity", "USD"),
        (
            ("YM", "1", "5", 15_000, _QUARTERLY, "E-mini Dow ($5) Futures"),
            ("MYM", "1", "0.5", 1_500, _QUARTERLY, "Micro E-mini Dow Jones Industrial Average Index Futures"),
        ),
    ),
    (
        ("Globex", "cme_currencies", "USD"),
        (
            ("6A", "0.00005", "100000", 2_000, _CURRENCY, "Australian Dollar Futures"),
            ("6B", "0.0001", "62500", 2_500, _CURRENCY, "British Pound Futures"),
            ("6C", "0.00005", "100000", 1_300, _CANADIAN, "Canadian Dollar Futures"),
            ("6E", "0.00005", "125000", 2_800, _CURRENCY, "Euro FX Futures"),
            ("6J", "0.0000005", "12500000", 3_300, _CURRENCY, "Japanese Yen Futures"),
            ("6M", "0.00001", "500000", 1_900, _CURRENCY, "Mexican Peso Futures"),
            ("6N", "0.00005", "100000", 1_800, _CURRENCY, "New Zealand Dollar Futures"),
            ("6S", "0.00005", "125000", 4_300, _CURRENCY, "Swiss Franc Futures"),
            ("M6A", "0.0001", "10000", 200, _MICRO_CURRENCY, "E-micro AUD/USD Futures"),
            ("M6B", "0.0001", "6250", 250, _MICRO_CURRENCY, "E-micro GBP/USD Futures"),
            ("M6E", "0.0001", "12500", 280, _MICRO_CURRENCY, "E-micro EUR/USD Futures"),
        ),
    ),
    (
        ("Globex", "cme_crypto", "USD"),
        (
            ("BTC", "5", "5", 120_000, _COIN, "Bitcoin Futures"),
            ("MBT", "5", "0.1", 2_400, _COIN, "Micro Bitcoin Futures"),
            ("ETH", "0.5", "50", 60_000, _COIN, "Ether Futures"),
            ("MET", "0.5", "0.1", 120, _COIN, "Micro Ether Futures"),
        ),
    ),
    (
        ("CBOT", "cme_rates", "USD"),
        (
            ("ZT", "0.00390625", "2000", 1_100, _SHORT_NOTE, "2-Year T-Note Futures"),
            ("ZF", "0.0078125", "1000", 1_400, _SHORT_NOTE, "5-Year T-Note Futures"),
            ("ZN", "0.015625", "1000", 2_000, _BOND, "10-Year T-Note Futures"),
            ("TN", "0.015625", "1000", 2_700, _BOND, "Ultra 10-Year U.S. Treasury Note Futures"),
            ("ZB", "0.03125", "1000", 3_800, _BOND, "U.S. Treasury Bond Futures"),
            ("UB", "0.03125", "1000", 5_000, _BOND, "Ultra U.S. Treasury Bond Futures"),
        ),
    ),
    (
        ("CBOT", "cbot_grains", "USD"),
        (
            ("ZC", "0.25", "50", 1_100, _CORN, "Corn Futures"),
            ("ZS", "0.25", "50", 2_200, _SOYBEANS, "Soybean Futures"),
            ("ZW", "0.25", "50", 1_800, _CORN, "Chicago SRW Wheat Futures"),
        ),
    ),
    (
        ("COMEX", "cme_energy_metals", "USD"),
        (
            ("GC", "0.1", "100", 16_000, _GOLD, "Gold Futures"),
            ("MGC", "0.1", "10", 1_600, _GOLD, "Micro Gold Futures"),
            ("SI", "0.005", "5000", 18_000, _SILVER, "Silver Futures"),
            ("SIL", "0.005", "1000", 3_600, _SILVER, "Micro Silver Futures"),
            ("HG", "0.0005", "25000", 8_500, _SILVER, "Copper Futures"),
            ("MHG", "0.0005", "2500", 850, _SILVER, "Micro Copper Futures"),
        ),
    ),
    (
        ("NYMEX", "cme_energy_metals", "USD"),
        (
            ("PL", "0.1", "50", 4_500, _PLATINUM, "Platinum Futures"),
            ("CL", "0.01", "1000", 6_000, _CRUDE, "Crude Oil Futures"),
            ("MCL", "0.01", "100", 600, _SMALL_CRUDE, "Micro WTI Crude Oil Futures"),
            ("QM", "0.025", "500", 3_000, _SMALL_CRUDE, "E-mini Crude Oil Futures"),
            ("NG", "0.001", "10000", 4_000, _GAS, "Henry Hub Natural Gas Futures"),
            ("QG", "0.005", "2500", 1_000, _SMALL_GAS, "E-mini Natural Gas Futures"),
            ("RB", "0.0001", "42000", 6_500, _PRODUCT, "RBOB Gasoline Futures"),
            ("HO", "0.0001", "42000", 7_000, _PRODUCT, "NY Harbor ULSD Futures"),
        ),
    ),
    (
        ("Eurex", "eurex", "EUR"),
        (
            ("FDAX", "1", "25", 40_000, _QUARTERLY, "DAX Futures"),
            ("FDXM", "1", "5", 8_000, _QUARTERLY, "Mini-DAX Futures"),
            ("FDXS", "1", "1", 1_600, _QUARTERLY, "Micro-DAX Futures"),
            ("FESX", "1", "10", 4_000, _QUARTERLY, "Euro Stoxx 50 Index Futures"),
            ("FGBL", "0.01", "1000", 2_600, _EURO_BOND, "Euro-Bund Futures"),
            ("FGBM", "0.01", "1000", 1_700, _EURO_BOND, "Euro-Bobl Futures"),
            ("FGBS", "0.005", "1000", 700, _EURO_BOND, "Euro-Schatz Futures"),
        ),
    ),
)

FUTURES: Final[dict[str, Specification]] = {
    root: Specification(
        root=root,
        description=description,
        exchange=exchange,
        tick_size=Decimal(tick_size),
        point_value=Decimal(point_value),
        initial_margin=Decimal(margin),
        cycle=cycle,
        calendar=calendar,
        currency=currency,
    )
    for (exchange, calendar, currency), rows in _TABLE
    for root, tick_size, point_value, margin, cycle, description in rows
}

# Currency units per point of price, by the NinjaTrader master name.
POINT_VALUES: Final[dict[str, Decimal]] = {root: future.point_value for root, future in FUTURES.items()}

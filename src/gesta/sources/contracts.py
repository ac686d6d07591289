"""What an instrument's name says in another program's export, where any instrument may stand: its type, its dated form,
and the value of one point. What is known of futures is in `gesta.trading`."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from gesta.trading.contracts import normalized, parse_code, parse_spelled
from gesta.trading.futures import POINT_VALUES

_CURRENCIES = frozenset(re.findall("...", "USDEURGBPJPYCHFAUDNZDCADSEKNOKDKKMXNZARSGDHKDCNHPLNHUFCZKTRY"))
_COINS = ("BTC", "ETH", "LTC", "BCH", "XRP", "SOL", "DOGE", "ADA", "XLM")


@lru_cache(maxsize=1024)
def dated_name(instrument: str, year: int) -> str:
    """The dated form that NinjaTrader's API prints, `MES 06-26`, of `MES JUN26`, `MES 06-26` or `MESM6`.

    An exchange code is taken apart only if its root is a known future, so that a share's symbol stays what it is; a
    one-digit year is the first one not before `year`, the year of the fill.
    """
    name = normalized(instrument)
    contract = parse_spelled(name, year)
    if contract is None:
        contract = parse_code(name, year)
        if contract is None or contract.root not in POINT_VALUES:
            return name
    return contract.name


def point_value(instrument: str) -> Decimal:
    """Currency units per point of price: 1 unless it is the dated name of a known future."""
    contract = parse_spelled(instrument, 0)
    return POINT_VALUES.get(contract.root, Decimal(1)) if contract else Decimal(1)


def instrument_type(instrument: str) -> str:
    """NinjaTrader's word for the kind of instrument, from the form of its dated name."""
    if parse_spelled(instrument, 0):
        return "Future"
    if instrument.startswith("^"):
        return "Index"
    base, quote = instrument[:3], instrument[3:]
    if base in _CURRENCIES and quote in _CURRENCIES:
        return "Forex"
    if instrument.startswith(_COINS) and instrument.endswith(("USD", "USDT", "EUR")):
        return "CryptoCurrency"
    return "Stock"

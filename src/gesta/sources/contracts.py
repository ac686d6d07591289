"""What an instrument's name says: its type, its dated form, and the value of one point of well-known futures."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

# Currency units per point of price, by the NinjaTrader master name. A root that is missing here counts as 1.
POINT_VALUES: dict[str, Decimal] = {
    root: Decimal(value)
    for value, roots in {
        "0.1": "MBT MET",
        "0.5": "MYM",
        "1": "FDXS",
        "2": "MNQ",
        "5": "MES YM M2K FDXM BTC NKD",
        "10": "MGC FESX",
        "20": "NQ",
        "25": "FDAX",
        "50": "ES RTY ETH ZC ZS ZW PL",
        "100": "GC MCL",
        "500": "QM",
        "1000": "CL ZB UB ZN ZF SIL FGBL FGBM FGBS",
        "2000": "ZT",
        "2500": "MHG QG",
        "5000": "SI",
        "6250": "M6B",
        "10000": "NG M6A",
        "12500": "M6E",
        "25000": "HG",
        "42000": "RB HO",
        "62500": "6B",
        "100000": "6A 6C 6N",
        "125000": "6E 6S",
        "12500000": "6J",
    }.items()
    for root in roots.split()
}

_MONTH_CODES = {code: number for number, code in enumerate("FGHJKMNQUVXZ", start=1)}
_MONTH_NAMES = {
    name: number
    for number, name in enumerate(
        ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"], start=1
    )
}
_DATED = re.compile(r"(\S+) (\d{2})-(\d{2})", re.ASCII)
_NAMED_MONTH = re.compile(r"(\S+) ([A-Z]{3}) ?(\d{2})", re.ASCII)
_CODED = re.compile(r"([A-Z0-9]{1,4}?)([FGHJKMNQUVXZ])(\d{1,2})", re.ASCII)
_CURRENCIES = frozenset(re.findall("...", "USDEURGBPJPYCHFAUDNZDCADSEKNOKDKKMXNZARSGDHKDCNHPLNHUFCZKTRY"))
_COINS = ("BTC", "ETH", "LTC", "BCH", "XRP", "SOL", "DOGE", "ADA", "XLM")


@lru_cache(maxsize=1024)
def dated_name(instrument: str, year: int) -> str:
    """The dated form that NinjaTrader's API prints, `MES 06-26`, of `MES JUN26`, `MES 06-26` or `MESM6`.

    An exchange code is taken apart only if its root is a known future, so that a share's symbol stays what it is; a
    one-digit year is the first one not before `year`, the year of the fill.
    """
    name = " ".join(instrument.split()).upper()
    if match := _NAMED_MONTH.fullmatch(name):
        month = _MONTH_NAMES.get(match[2])
        return f"{match[1]} {month:02d}-{match[3]}" if month else name
    match = _CODED.fullmatch(name)
    if match is None or match[1] not in POINT_VALUES:
        return name
    digits = match[3]
    expiry = int(digits) if len(digits) == 2 else (year + (int(digits) - year) % 10) % 100
    return f"{match[1]} {_MONTH_CODES[match[2]]:02d}-{expiry:02d}"


def root_of(instrument: str) -> str:
    """`MES` of `MES 06-26`; the whole name of anything else."""
    match = _DATED.fullmatch(instrument)
    return match[1] if match else instrument


def point_value(instrument: str) -> Decimal:
    return POINT_VALUES.get(root_of(instrument), Decimal(1)) if _DATED.fullmatch(instrument) else Decimal(1)


def instrument_type(instrument: str) -> str:
    """NinjaTrader's word for the kind of instrument, from the form of its dated name."""
    if _DATED.fullmatch(instrument):
        return "Future"
    if instrument.startswith("^"):
        return "Index"
    base, quote = instrument[:3], instrument[3:]
    if base in _CURRENCIES and quote in _CURRENCIES:
        return "Forex"
    if instrument.startswith(_COINS) and instrument.endswith(("USD", "USDT", "EUR")):
        return "CryptoCurrency"
    return "Stock"

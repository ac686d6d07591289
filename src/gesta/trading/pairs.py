"""Well-known crypto pairs: spot and linear perpetuals with the sizes of Binance, the inverse one with BitMEX's.

Names are `BASE-QUOTE` and `BASE-QUOTE-PERP`; `compact` finds them by other spellings.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from gesta.trading.instruments import Instrument, InstrumentKind

_SPOT: Final = """
BTC  Bitcoin   0.01     0.00001
ETH  Ether     0.01     0.0001
SOL  Solana    0.01     0.001
BNB  BNB       0.01     0.001
XRP  XRP       0.0001   0.1
DOGE Dogecoin  0.00001  1
ADA  Cardano   0.0001   0.1
LTC  Litecoin  0.01     0.001
LINK Chainlink 0.01     0.01
AVAX Avalanche 0.01     0.01
"""

# With the smallest notional, which differs here.
_PERPETUAL: Final = """
BTC  Bitcoin   0.1      0.001  100
ETH  Ether     0.01     0.001  20
SOL  Solana    0.01     0.01   5
BNB  BNB       0.01     0.01   5
XRP  XRP       0.0001   0.1    5
DOGE Dogecoin  0.00001  1      5
ADA  Cardano   0.0001   1      5
LTC  Litecoin  0.01     0.001  20
LINK Chainlink 0.001    0.01   20
AVAX Avalanche 0.001    1      5
"""

# One twentieth of the value: what venues ask of a small position.
_PERPETUAL_MARGIN: Final = Decimal("0.05")
# BitMEX writes XBT for bitcoin.
_OTHER_NAMES: Final = {"XBTUSD": "BTCUSDPERP", "XBTUSDPERP": "BTCUSDPERP", "XBTUSDT": "BTCUSDT"}


def compact(name: str) -> str:
    """The key under which all spellings of a normalized name of a pair meet: `BTCUSDT` of `BTC/USDT` and `BTC-USDT`,
    `BTCUSDTPERP` of `BTC-USDT-PERP` and `BTC/USDT:USDT`."""
    pair, colon, settlement = name.partition(":")
    text = "".join(character for character in pair if character not in "-/_ ")
    if colon and settlement:
        text += "PERP"
    return _OTHER_NAMES.get(text, text)


def _spot(base: str, title: str, tick_size: str, lot_size: str) -> Instrument:
    return Instrument(
        name=f"{base}-USDT",
        root=f"{base}-USDT",
        kind=InstrumentKind.SPOT,
        tick_size=Decimal(tick_size),
        lot_size=Decimal(lot_size),
        currency="USDT",
        exchange="Binance",
        description=f"{title} / Tether",
        min_notional=Decimal(5),
    )


def _perpetual(base: str, title: str, tick_size: str, lot_size: str, min_notional: str) -> Instrument:
    return Instrument(
        name=f"{base}-USDT-PERP",
        root=f"{base}-USDT-PERP",
        kind=InstrumentKind.LINEAR_PERPETUAL,
        tick_size=Decimal(tick_size),
        lot_size=Decimal(lot_size),
        currency="USDT",
        exchange="Binance USD-M",
        description=f"{title} / Tether Perpetual",
        min_notional=Decimal(min_notional),
        margin_rate=_PERPETUAL_MARGIN,
    )


_INVERSE: Final = Instrument(
    name="BTC-USD-PERP",
    root="BTC-USD-PERP",
    kind=InstrumentKind.INVERSE_PERPETUAL,
    tick_size=Decimal("0.5"),
    lot_size=Decimal(1),
    point_value=Decimal(1),
    currency="BTC",
    exchange="BitMEX",
    description="Bitcoin / US Dollar Inverse Perpetual",
    margin_rate=_PERPETUAL_MARGIN,
)

PAIRS: Final[tuple[Instrument, ...]] = (
    *(_spot(*row.split()) for row in _SPOT.strip().splitlines()),
    *(_perpetual(*row.split()) for row in _PERPETUAL.strip().splitlines()),
    _INVERSE,
)

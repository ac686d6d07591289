"""Small recordings, and where the real ones lie."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path

import pytest

from gesta.trading.catalog import Catalog
from gesta.trading.market import MarketData
from gesta.venues.market_data.tally import Tally
from gesta.venues.market_data.tapes import Tapes

DATA = Path(__file__).resolve().parents[5] / "shared/data"
USDM = DATA / "crypto/binance_usdm_btcusdt_20240808.gz"
SPOT = DATA / "crypto/binance_spot_btcusdt_20240808.gz"
ES_QUOTES = DATA / "cme_es/ESH4_quotes_20231225.csv.gz"
ES_TRADES = DATA / "cme_es/ESH4_trades_20231225.csv.gz"

real = pytest.mark.skipif(not USDM.exists(), reason="the real recordings are not beside this repository")
resolve = Catalog().resolve

LOCAL_NS = 1_723_161_255_088_169_167
PERPETUAL_QUOTE = (
    b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":1,"s":"BTCUSDT","b":"61800.20","B":"2.507",'
    b'"a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256313}}'
)
PERPETUAL_TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256322,"T":1723161256322,"s":"BTCUSDT","t":5,'
    b'"p":"61800.30","q":"0.006","X":"MARKET","m":false}}'
)
SPOT_QUOTE = (
    b'{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000",'
    b'"a":"61837.64000000","A":"1.54698000"}}'
)
SPOT_TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3,"p":"61837.63000000",'
    b'"q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
)
DEPTH = b'{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","b":[["58710.20","0.014"]],"a":[]}}'
SNAPSHOT = b'{"lastUpdateId":5,"E":1723161256501,"T":1723161256493,"bids":[["61800.20","2.909"]],"asks":[]}'

QUOTES_CSV = (
    "ts_event_ns,bid,ask,bid_qty,ask_qty\n"
    "1703545200000000000,4800.00,4800.25,4,7\n"
    "1703545200085275419,4800.00,4800.25,4,2\n"
    "1703545201000000000,4800.25,4800.50,4,10\n"
)
TRADES_CSV = (
    "ts_event_ns,price,qty,aggressor\n1703545200000000000,4800.25,44,NONE\n1703545200085275419,4800.25,5,BUY\n"
    "1703545200500000000,4800.00,1,SELL\n"
)


def line(message: bytes, local_ns: int = LOCAL_NS) -> bytes:
    return b"%d %s\n" % (local_ns, message)


def capture(messages: Iterable[bytes]) -> bytes:
    """A recording, a millisecond between its lines."""
    return b"".join(line(message, LOCAL_NS + place * 1_000_000) for place, message in enumerate(messages))


def write(folder: Path, name: str, content: str | bytes) -> str:
    raw = content.encode() if isinstance(content, str) else content
    path = folder / name
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return str(path)


def everything(*files: str | Path) -> tuple[list[MarketData], Tally]:
    tapes = Tapes(files, resolve)
    found = list(tapes.read())
    return found, tapes.tally

"""Recordings of Binance's streams: one line is `<nanoseconds of local receipt> <message>`.

Messages are those of the combined stream, `{"stream":…,"data":…}`, or bare. `bookTicker` becomes a quote and `trade` a
trade; depth and snapshots are passed over. A USD-M message (`T` on a bookTicker, `X` on a trade) is of the perpetual,
`BTC-USDT-PERP`, and carries the exchange's time; a spot message is of the pair, `BTC-USDT`. Spot quotes carry no time,
so spot data takes the time of local receipt throughout: mixing two clocks would order it wrongly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from gesta.kernel.errors import InvalidInput
from gesta.trading.instruments import Instrument
from gesta.trading.market import MarketData, Quote, Trade
from gesta.venues.market_data.numbers import Lots, Ticks
from gesta.venues.market_data.tally import Resolve, Tally

_QUOTE_ASSETS = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "BTC", "ETH", "BNB", "EUR", "USD")
# Where a line says what it is: the stream's name stands within its first characters.
_HEAD = 96
_OLDEST_NS, _NEWEST_NS = 10**18, 10**19


class _BookTicker(msgspec.Struct):
    s: str
    b: str
    B: str
    a: str
    A: str
    T: int | None = None


class _Trade(msgspec.Struct):
    s: str
    p: str
    q: str
    m: bool
    T: int
    X: str | None = None


class _QuoteLine(msgspec.Struct):
    data: _BookTicker


class _TradeLine(msgspec.Struct):
    data: _Trade


class _Any(msgspec.Struct):
    """Enough of any message to tell what it is."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    e: str = ""
    b: msgspec.Raw = msgspec.Raw()
    B: msgspec.Raw = msgspec.Raw()


_quote_line = msgspec.json.Decoder(_QuoteLine)
_trade_line = msgspec.json.Decoder(_TradeLine)
_any = msgspec.json.Decoder(_Any)
_book_ticker = msgspec.json.Decoder(_BookTicker)
_trade = msgspec.json.Decoder(_Trade)
_Decode = Callable[[bytes], _BookTicker | _Trade | None]


class _Stand:
    """One instrument of the capture, with what its numbers mean."""

    __slots__ = ("lots", "name", "ticks")

    def __init__(self, instrument: Instrument) -> None:
        self.name = instrument.name
        self.ticks = Ticks(instrument)
        self.lots = Lots(instrument)


def read(lines: Iterable[bytes], resolve: Resolve, tally: Tally, *, source: str = "capture") -> Iterator[MarketData]:
    """The quotes and trades of the lines, in the order of the lines. What cannot be used is counted in `tally`."""
    stands: dict[tuple[str, bool], _Stand] = {}

    def stand_of(symbol: str, is_perpetual: bool, at_us: int) -> _Stand:
        found = stands[symbol, is_perpetual] = _Stand(resolve(instrument_name(symbol, is_perpetual), at_us))
        return found

    for number, line in enumerate(lines, 1):
        tally.read += 1
        try:
            decoded = _decoded(line)
            if decoded is None:
                tally.ignored += 1
                continue
            local_ns, message = decoded
            is_perpetual = message.T is not None if type(message) is _BookTicker else message.X is not None  # type: ignore[union-attr]
            at_us = _exchange_us(message.T) if is_perpetual else local_ns // 1000
            stand = stands.get((message.s, is_perpetual)) or stand_of(message.s, is_perpetual, at_us)
            ticks, lots = stand.ticks, stand.lots
            data: MarketData
            if type(message) is _BookTicker:
                bid_size, ask_size = lots[message.B], lots[message.A]
                data = Quote(
                    stand.name,
                    ticks[message.b] if bid_size else 0,
                    ticks[message.a] if ask_size else 0,
                    bid_size,
                    ask_size,
                    at_us,
                    tally.received_at_us,
                )
            else:
                assert type(message) is _Trade
                size = lots[message.q]
                if not size or message.X not in (None, "MARKET"):
                    # Insurance fund and liquidation bookkeeping: not prints of the book.
                    tally.ignored += 1
                    continue
                aggressor = -1 if message.m else 1
                data = Trade(stand.name, ticks[message.p], size, aggressor, at_us, tally.received_at_us)
        except InvalidInput as error:
            tally.refuse(source, number, error.message)
            continue
        tally.taken += 1
        yield data


def _exchange_us(at_ms: int | None) -> int:
    if at_ms is None or not _OLDEST_NS <= at_ms * 1_000_000 < _NEWEST_NS:
        raise InvalidInput("`T` is not in milliseconds since 1970.")
    return at_ms * 1000


def _decoded(line: bytes) -> tuple[int, _BookTicker | _Trade] | None:
    """Time of receipt and message; None for a line of another kind. Raises InvalidInput for a malformed one."""
    stamp, found, text = line.partition(b" ")
    if not found:
        if not line.strip():
            return None
        raise InvalidInput("The line is not `<nanoseconds> <message>`.")
    try:
        local_ns = int(stamp)
    except ValueError:
        raise InvalidInput("The line does not begin with nanoseconds since 1970.") from None
    if not _OLDEST_NS <= local_ns < _NEWEST_NS:
        raise InvalidInput("The time of receipt is not in nanoseconds since 1970.")
    try:
        if text.find(b'@bookTicker"', 0, _HEAD) > 0:
            return local_ns, _quote_line.decode(text).data
        if text.find(b'@trade"', 0, _HEAD) > 0:
            return local_ns, _trade_line.decode(text).data
        if text.find(b"@depth", 0, _HEAD) > 0:
            return None
        message = _other(text)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"The message is not one of Binance's: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidInput("The message is not JSON.") from None
    return None if message is None else (local_ns, message)


def _other(text: bytes) -> _BookTicker | _Trade | None:
    """A message without its envelope, or one of a stream whose name says nothing here."""
    known = _any.decode(text)
    if inner := bytes(known.data):
        text, known = inner, _any.decode(inner)
    if known.e == "trade":
        return _trade.decode(text)
    if known.e == "bookTicker" or (not known.e and bytes(known.B) and bytes(known.b)):
        return _book_ticker.decode(text)
    return None


def instrument_name(symbol: str, is_perpetual: bool) -> str:
    """`BTC-USDT` of `BTCUSDT`. Raises InvalidInput for a symbol whose quote asset is not known."""
    base = ""
    for asset in _QUOTE_ASSETS:
        if symbol.endswith(asset) and len(symbol) > len(asset):
            base = f"{symbol.removesuffix(asset)}-{asset}"
            break
    if not base:
        raise InvalidInput(f"No instrument is known by Binance's symbol {symbol[:32]!r}.", field="instrument")
    return f"{base}-PERP" if is_perpetual else base

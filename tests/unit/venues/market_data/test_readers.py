"""Captures and CSV tapes: what a line becomes, and that no line vanishes uncounted."""

from __future__ import annotations

from collections import Counter

import pytest

from gesta.kernel.errors import InvalidInput
from gesta.trading.market import MarketData, Quote, Trade
from gesta.venues.market_data import binance_capture, csv_tape
from gesta.venues.market_data.tally import SHOWN, Tally
from tests.unit.venues.market_data.samples import (
    DEPTH,
    ES_QUOTES,
    ES_TRADES,
    LOCAL_NS,
    PERPETUAL_QUOTE,
    PERPETUAL_TRADE,
    QUOTES_CSV,
    SNAPSHOT,
    SPOT,
    SPOT_QUOTE,
    SPOT_TRADE,
    TRADES_CSV,
    USDM,
    everything,
    line,
    real,
    resolve,
)

NOW = 7


def captured(*lines: bytes) -> tuple[list[MarketData], Tally]:
    tally = Tally(received_at_us=NOW)
    return list(binance_capture.read(lines, resolve, tally)), tally


def taped(text: str, instrument: str = "ESH4") -> tuple[list[MarketData], Tally]:
    tally = Tally(received_at_us=NOW)
    lines = text.encode().splitlines(keepends=True)
    return list(csv_tape.read(lines, instrument, resolve, tally)), tally


def test_a_perpetual_has_the_exchanges_time() -> None:
    found, tally = captured(line(PERPETUAL_QUOTE), line(PERPETUAL_TRADE), line(DEPTH), line(SNAPSHOT))
    assert found == [
        Quote("BTC-USDT-PERP", 618002, 618003, 2507, 2510, 1_723_161_256_313_000, NOW),
        Trade("BTC-USDT-PERP", 618003, 6, 1, 1_723_161_256_322_000, NOW),
    ]
    assert (tally.read, tally.taken, tally.ignored, tally.refused) == (4, 2, 2, 0)


def test_spot_has_the_time_of_local_receipt() -> None:
    found, _ = captured(line(SPOT_QUOTE), line(SPOT_TRADE))
    local_us = LOCAL_NS // 1000
    assert [(data.instrument, data.venue_time_us) for data in found] == [("BTC-USDT", local_us)] * 2
    assert isinstance(found[1], Trade)
    assert (found[1].price, found[1].aggressor) == (6183763, -1)


def test_messages_without_an_envelope_are_read_too() -> None:
    bare = [message.partition(b'"data":')[2][:-1] for message in (PERPETUAL_QUOTE, PERPETUAL_TRADE, SPOT_QUOTE)]
    renamed = PERPETUAL_QUOTE.replace(b"btcusdt@bookTicker", b"!bookTicker")
    found, tally = captured(*(line(message) for message in (*bare, renamed)))
    assert [type(data) for data in found] == [Quote, Trade, Quote, Quote]
    assert tally.refused == 0


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"no time and no message\n", "nanoseconds"),
        (b"one\n", "<nanoseconds> <message>"),
        (b"12 {}\n", "nanoseconds"),
        (line(b"{"), "JSON"),
        (line(b"[" * 5000), "message"),
        (line(b'"\xff"'), "message"),
        (line(PERPETUAL_QUOTE.replace(b'"2.507"', b"2.507")), "Binance"),
        (line(PERPETUAL_QUOTE.replace(b"61800.20", b"61800.25")), "tick size"),
        (line(PERPETUAL_QUOTE.replace(b"61800.20", b"NaN")), "finite"),
        (line(PERPETUAL_QUOTE.replace(b"61800.20", b"-1")), "not above 0"),
        (line(PERPETUAL_QUOTE.replace(b"61800.20", b"x")), "not a number"),
        (line(PERPETUAL_QUOTE.replace(b"61800.20", b"9" * 50)), "longer"),
        (line(PERPETUAL_QUOTE.replace(b"2.507", b"-2.507")), "positive"),
        (line(PERPETUAL_QUOTE.replace(b'"T":1723161256313', b'"T":99999999999999999999')), "milliseconds"),
        (line(PERPETUAL_QUOTE.replace(b'"T":1723161256313', b'"T":5')), "milliseconds"),
        (line(SPOT_QUOTE.replace(b"BTCUSDT", b"NOPE")), "Binance's symbol"),
        (line(SPOT_QUOTE.replace(b"BTCUSDT", b"NOPEUSDT")), "No instrument"),
    ],
)
def test_a_line_that_cannot_be_used_is_counted_and_explained(bad: bytes, reason: str) -> None:
    found, tally = captured(line(PERPETUAL_QUOTE), bad, line(PERPETUAL_TRADE))
    assert len(found) == 2
    assert (tally.read, tally.refused) == (3, 1)
    assert tally.problems[0].line == 2
    assert reason in tally.problems[0].reason


def test_what_is_no_print_is_passed_over() -> None:
    insurance = PERPETUAL_TRADE.replace(b"MARKET", b"INSURANCE_FUND")
    nothing = PERPETUAL_TRADE.replace(b'"0.006"', b'"0"')
    found, tally = captured(line(insurance), line(nothing), b"\n")
    assert (found, tally.ignored, tally.refused) == ([], 3, 0)


def test_an_empty_side_needs_no_price() -> None:
    found, _ = captured(line(PERPETUAL_QUOTE.replace(b"61800.20", b"0.00").replace(b"2.507", b"0.000")))
    assert isinstance(found[0], Quote)
    assert (found[0].bid, found[0].bid_size, found[0].ask) == (0, 0, 618003)


def test_only_the_first_problems_are_kept() -> None:
    _, tally = captured(*[line(b"{")] * 100)
    assert (tally.refused, len(tally.problems)) == (100, SHOWN)


@pytest.mark.parametrize(
    ("symbol", "perpetual", "name"),
    [("BTCUSDT", False, "BTC-USDT"), ("ETHUSDT", True, "ETH-USDT-PERP"), ("ETHBTC", False, "ETH-BTC")],
)
def test_symbols(symbol: str, perpetual: bool, name: str) -> None:
    assert binance_capture.instrument_name(symbol, perpetual) == name


def test_quotes_in_csv() -> None:
    found, tally = taped(QUOTES_CSV)
    assert found[0] == Quote("ES 03-24", 19200, 19201, 4, 7, 1_703_545_200_000_000, NOW)
    assert (tally.read, tally.taken, tally.ignored) == (4, 3, 1)


def test_trades_in_csv() -> None:
    found, _ = taped(TRADES_CSV)
    assert [data.aggressor for data in found if isinstance(data, Trade)] == [0, 1, -1]
    assert found[0] == Trade("ES 03-24", 19201, 44, 0, 1_703_545_200_000_000, NOW)


def test_columns_in_any_order_with_a_byte_order_mark_and_windows_lines() -> None:
    found, _ = taped('\ufeffextra,"ask",bid,ask_qty,bid_qty,ts_event_ns\r\nx,2.25,2.00,1,3,1703545200000000000\r\n\r\n')
    assert found == [Quote("ES 03-24", 8, 9, 3, 1, 1_703_545_200_000_000, NOW)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1703545200000000000,4800.00,4800.25,4", "4 fields"),
        ("soon,4800.00,4800.25,4,7", "nanoseconds"),
        ("-5,4800.00,4800.25,4,7", "nanoseconds"),
        ("1703545200000,4800.00,4800.25,4,7", "nanoseconds"),
        ("99999999999999999999,4800.00,4800.25,4,7", "nanoseconds"),
        ("1703545200000000000,4800.10,4800.25,4,7", "tick size"),
        ("1703545200000000000,4800.00,4800.25,4.5,7", "lot size"),
        ("1703545200000000000,inf,4800.25,4,7", "finite"),
    ],
)
def test_a_row_that_cannot_be_used_is_counted_and_explained(row: str, reason: str) -> None:
    found, tally = taped(QUOTES_CSV + row + "\n")
    assert (len(found), tally.refused) == (3, 1)
    assert reason in tally.problems[0].reason
    assert tally.problems[0].line == 5


def test_a_damaged_first_row_does_not_decide_the_contract() -> None:
    header, _, rows = QUOTES_CSV.partition("\n")
    for at in ("0", "1703545200", "9703545200000000000"):
        found, tally = taped(f"{header}\n{at},4800.00,4800.25,4,7\n{rows}")
        assert {data.instrument for data in found} == {"ES 03-24"}
        assert (len(found), tally.refused) == (3, 1)


def test_trades_that_cannot_be_used() -> None:
    _, tally = taped(TRADES_CSV + "1703545200000000000,4800.25,0,BUY\n1703545200000000000,4800.25,1,MAYBE\n")
    assert tally.refused == 2
    assert "aggressor" in tally.problems[1].reason


def test_a_header_that_is_none_is_refused() -> None:
    for text in ("", "a,b,c\n1,2,3\n"):
        with pytest.raises(InvalidInput, match="columns"):
            taped(text)


@real
def test_the_real_captures() -> None:
    for path, quotes, trades, name in ((USDM, 66_089, 21_313, "BTC-USDT-PERP"), (SPOT, 28_040, 9_757, "BTC-USDT")):
        found, tally = everything(path)
        assert Counter(type(data) for data in found) == {Quote: quotes, Trade: trades}
        assert {data.instrument for data in found} == {name}
        assert tally.refused == 0
        assert tally.read == tally.taken + tally.ignored


@real
def test_the_real_tape() -> None:
    found, tally = everything(ES_QUOTES, ES_TRADES)
    assert Counter(type(data) for data in found) == {Quote: 25_424, Trade: 2_973}
    assert {data.instrument for data in found} == {"ES 03-24"}
    times = [data.venue_time_us for data in found]
    assert times == sorted(times)
    assert tally.refused == 0

"""Files: what kind each is, of what instrument, and several as one sequence."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from gesta.kernel.errors import InvalidInput
from gesta.trading.market import Quote, Trade
from gesta.venues.market_data.tapes import Tapes, split_specification
from tests.unit.venues.market_data.samples import (
    PERPETUAL_QUOTE,
    PERPETUAL_TRADE,
    QUOTES_CSV,
    TRADES_CSV,
    capture,
    everything,
    resolve,
    write,
)


def test_files_are_merged_by_time_and_trades_come_first(tmp_path: Path) -> None:
    quotes = write(tmp_path, "ESH4_quotes.csv.gz", QUOTES_CSV)
    trades = write(tmp_path, "ESH4_trades.csv", TRADES_CSV)
    found, _ = everything(quotes, trades)
    assert [type(data) for data in found] == [Trade, Quote, Trade, Quote, Trade, Quote]
    assert [data.venue_time_us for data in found] == sorted(data.venue_time_us for data in found)


def test_what_is_known_before_it_is_read(tmp_path: Path) -> None:
    tapes = Tapes(
        [write(tmp_path, "ESH4_quotes.csv", QUOTES_CSV), write(tmp_path, "any.gz", capture([PERPETUAL_QUOTE] * 3))],
        resolve,
    )
    assert set(tapes.instruments) == {"ES 03-24", "BTC-USDT-PERP"}
    assert tapes.begins_at_us == 1_703_545_200_000_000
    assert tapes.name == "ESH4_quotes.csv and 1 more"
    assert len(list(tapes.read())) == 6
    assert tapes.position == tapes.size_bytes


def test_an_instrument_can_be_given(tmp_path: Path) -> None:
    path = write(tmp_path, "quotes-of-monday.csv", QUOTES_CSV)
    assert Tapes([f"NQ 03-24={path}"], resolve).instruments == ("NQ 03-24",)
    with pytest.raises(InvalidInput, match="No instrument"):
        Tapes([path], resolve)
    odd = write(tmp_path, "été_2023.csv", QUOTES_CSV)
    with pytest.raises(InvalidInput, match="INSTRUMENT=FILE"):
        Tapes([odd], resolve)
    with pytest.raises(InvalidInput, match="itself"):
        Tapes([f"ES={write(tmp_path, 'a.gz', capture([PERPETUAL_QUOTE]))}"], resolve)


def test_a_file_with_an_equals_sign_in_its_name(tmp_path: Path) -> None:
    path = write(tmp_path, "ES=1.csv", QUOTES_CSV)
    assert split_specification(path) == (Path(path), None)
    assert split_specification("ES=quotes.csv") == (Path("quotes.csv"), "ES")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.csv", b"", "neither"),
        ("image.png", b"\x89PNG\r\n" + bytes(100), "neither"),
        ("ESH4.csv", QUOTES_CSV.partition("\n")[0].encode(), "no quote or trade"),
        ("off.csv", b"ts_event_ns,bid,ask,bid_qty,ask_qty\n1,2,3,4\n", "fields"),
        ("cut.gz", gzip.compress(capture([PERPETUAL_QUOTE] * 500), mtime=0)[:60], "cannot be read to its end"),
        ("bad.gz", b"\x1f\x8bnot gzip", "cannot be read to its end"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=reason):
        Tapes([f"ES={path}"] if name == "off.csv" else [path], resolve)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for specification in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InvalidInput, match="cannot be opened"):
            Tapes([specification], resolve)
    with pytest.raises(InvalidInput, match="at least one"):
        Tapes([], resolve)


def test_a_file_that_breaks_off_is_told_after_what_it_held(tmp_path: Path) -> None:
    messages = [PERPETUAL_QUOTE.replace(b"2.507", b"%d.507" % n) for n in range(1, 3000)] + [PERPETUAL_TRADE]
    whole = gzip.compress(capture(messages), mtime=0)
    path = tmp_path / "broken.gz"
    path.write_bytes(whole[: len(whole) // 2])
    tapes = Tapes([path], resolve)
    found = []
    with pytest.raises(InvalidInput, match="cannot be read to its end"):
        found.extend(iter(tapes.read()))
    assert tapes.tally.taken > 500

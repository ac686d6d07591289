"""Names become instruments, or an error that says what would be right."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import MAX_US, MIN_US, parse_rfc3339
from gesta.trading.catalog import Catalog, instrument_of_table, load_instruments
from gesta.trading.futures import FUTURES, POINT_VALUES
from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.pairs import PAIRS
from gesta.trading.sessions import RULES
from scripts.instruments import _FIELDS

_CHRISTMAS = parse_rfc3339("2023-12-25T23:00:00Z")
_CATALOG = Catalog()


@pytest.mark.parametrize(
    ("name", "resolved"),
    [
        ("ES", "ES 03-24"),
        ("es1!", "ES 03-24"),
        ("ES2!", "ES 06-24"),
        (" ESH4 ", "ES 03-24"),
        ("ES 03-24", "ES 03-24"),
        ("es mar24", "ES 03-24"),
        ("ESZ5", "ES 12-25"),
        ("ESZ2", "ES 12-22"),
        ("ES 12-19", "ES 12-19"),
        ("6EH4", "6E 03-24"),
        ("6E", "6E 03-24"),
        ("M2KZ5", "M2K 12-25"),
        ("BTC", "BTC 12-23"),
        ("btc-usdt", "BTC-USDT"),
        ("BTCUSDT", "BTC-USDT"),
        ("BTC/USDT", "BTC-USDT"),
        ("BTC/USDT:USDT", "BTC-USDT-PERP"),
        ("BTCUSDT-PERP", "BTC-USDT-PERP"),
        ("btc-usd-perp", "BTC-USD-PERP"),
        ("XBTUSD", "BTC-USD-PERP"),
    ],
)
def test_names_resolve(name: str, resolved: str) -> None:
    instrument = _CATALOG.resolve(name, _CHRISTMAS)
    assert instrument.name == resolved
    assert _CATALOG.get(resolved) is instrument
    assert Catalog().get(resolved) == instrument


def test_the_e_mini() -> None:
    es = _CATALOG.resolve("ES", _CHRISTMAS)
    assert (es.kind, es.root, es.tick_size, es.lot_size, es.point_value, es.currency) == (
        InstrumentKind.FUTURE,
        "ES",
        Decimal("0.25"),
        Decimal(1),
        Decimal(50),
        "USD",
    )
    assert (es.exchange, es.description, es.expiry, es.calendar) == (
        "Globex",
        "E-mini S&P 500 Futures",
        date(2024, 3, 15),
        "cme_equity",
    )
    assert es.initial_margin is not None


# What one tick is worth, as the exchanges publish it.
@pytest.mark.parametrize(
    ("root", "tick_value"),
    [
        *(("ES", "12.5"), ("NQ", "5"), ("RTY", "5"), ("YM", "5"), ("MES", "1.25"), ("MNQ", "0.5"), ("MYM", "0.5")),
        *(("M2K", "0.5"), ("NKD", "25"), ("6E", "6.25"), ("6B", "6.25"), ("6J", "6.25"), ("6A", "5"), ("6C", "5")),
        *(("M6E", "1.25"), ("ZB", "31.25"), ("ZN", "15.625"), ("ZF", "7.8125"), ("ZT", "7.8125"), ("ZC", "12.5")),
        *(("GC", "10"), ("MGC", "1"), ("SI", "25"), ("SIL", "5"), ("HG", "12.5"), ("PL", "5"), ("CL", "10")),
        *(("MCL", "1"), ("QM", "12.5"), ("NG", "10"), ("QG", "12.5"), ("RB", "4.2"), ("HO", "4.2"), ("BTC", "25")),
        *(("MBT", "0.5"), ("ETH", "25"), ("MET", "0.05"), ("FDAX", "25"), ("FESX", "10"), ("FGBL", "10")),
    ],
)
def test_tick_values(root: str, tick_value: str) -> None:
    assert FUTURES[root].tick_size * FUTURES[root].point_value == Decimal(tick_value)


def test_every_known_instrument_is_whole() -> None:
    instruments = [*PAIRS, *(_CATALOG.resolve(root, _CHRISTMAS) for root in FUTURES)]
    for instrument in instruments:
        assert instrument.factor > 0
        assert instrument.margin(100, 1) > 0
        assert instrument.calendar in RULES
        assert instrument.description
        assert instrument.exchange
    assert _CATALOG.roots() == (*FUTURES, *(pair.root for pair in PAIRS))
    assert set(POINT_VALUES) == set(FUTURES)


@pytest.mark.parametrize(
    ("name", "meant", "says"),
    [
        ("EZ 12-25", "ES 12-25", "No instrument is called 'EZ 12-25'. Did you mean `ES 12-25`?"),
        ("EZZ5", "ESZ5", "Did you mean `ESZ5`?"),
        ("ES 11-25", "ES 12-25", "ES does not trade in Nov, but in Mar, Jun, Sep, Dec: `ES 12-25` is the next one."),
        ("ESF4", "ES 03-24", "`ES 03-24` is the next one"),
        ("ZSZ5", "ZS 01-26", "ZS does not trade in Dec"),
        ("ES 13-25", "ES 03-24", "'13-25' is no month of ES"),
        ("ES banana", "ES 03-24", "'BANANA' is no month of ES"),
        ("BTC-USDC", "BTC-USDT", "Did you mean `BTC-USDT`?"),
        ("BTCUSD", "BTC-USDT", "Did you mean `BTC-USDT`?"),
        ("EZ 11-25", "ES 12-25", "No instrument is called 'EZ 11-25'. Did you mean `ES 12-25`?"),
        ("AAPL", None, "No instrument is called 'AAPL'. A future"),
        ("QQQ", None, "A future is named like `ES 12-26`"),
        ("", None, "is empty"),
        (" \t", None, "is empty"),
        ("x" * 65, None, "at most 64 characters"),
        ("x" * 10_000_000, None, "too long"),
        ("E\x00S", "ES", "No instrument is called 'E\\x00S'"),
        (None, None, "must be a name"),
        (5, None, "must be a name"),
    ],
)
def test_an_unknown_name_says_what_would_be_right(name: str, meant: str | None, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        _CATALOG.resolve(name, _CHRISTMAS)
    assert caught.value.field == "instrument"
    assert says in caught.value.message
    assert len(caught.value.message) < 400
    assert caught.value.details.get("did_you_mean") == meant


@pytest.mark.parametrize("name", ["ES", "es 03-24", "ES H24", "ESH24", "ES 04-24", "XX 03-24", "", "x" * 10_000_000])
def test_get_takes_resolved_names_only(name: str) -> None:
    assert _CATALOG.get(name) is None


@pytest.mark.parametrize("at_us", [MIN_US, MIN_US - 1, 0, 946_684_799_999_999, MAX_US, MAX_US + 1])
def test_there_is_no_front_month_outside_the_years_of_names(at_us: int) -> None:
    for name in ("ES", "ES1!"):
        with pytest.raises(InvalidInput, match="ES has no active contract"):
            _CATALOG.resolve(name, at_us)
    assert _CATALOG.resolve("ESZ25", at_us).name == "ES 12-25"


def test_the_first_front_month() -> None:
    assert _CATALOG.resolve("ES", 946_684_800_000_000).name == "ES 03-00"


def test_roll_days_of_the_operator() -> None:
    at_us = parse_rfc3339("2024-03-08T12:00:00Z")
    assert Catalog().resolve("ES", at_us).name == "ES 06-24"
    assert Catalog(roll_days={"ES": 4}).resolve("ES", at_us).name == "ES 03-24"


_OWN = """
[[instrument]]
name = "fce dec26"
kind = "spot"
tick_size = "0.5"

[[instrument]]
name = "FCE 12-26"
kind = "future"
tick_size = 0.5
point_value = "10"
currency = "eur"
initial_margin = 4000
expiry = 2026-12-18
calendar = "eurex"

[[instrument]]
name = "FCE 03-27"
kind = "future"
tick_size = "0.5"
expiry = "2027-03-19"

[[instrument]]
name = "BTC-USDT"
kind = "spot"
tick_size = "0.1"
lot_size = "0.001"
currency = "USDT"
"""


def test_an_operator_adds_and_replaces_instruments() -> None:
    own = load_instruments(_OWN.replace("fce dec26", "TSLA"))
    catalog = Catalog(own)
    at_us = parse_rfc3339("2026-11-01T12:00:00Z")
    assert catalog.resolve("tsla", at_us) is own[0]
    assert (own[0].root, own[0].kind, own[0].lot_size, own[0].calendar) == ("TSLA", "spot", 1, "always")
    for name in ("FCE 12-26", "FCE DEC26", "fcez6", "FCE", "FCE1!"):
        assert catalog.resolve(name, at_us) is own[1]
    assert catalog.resolve("FCE2!", at_us) is own[2]
    assert catalog.resolve("FCE", parse_rfc3339("2026-12-19T12:00:00Z")) is own[2]
    with pytest.raises(InvalidInput, match="has no contract at that time: name one of FCE 12-26, FCE 03-27"):
        catalog.resolve("FCE", parse_rfc3339("2027-04-01T12:00:00Z"))
    assert (own[1].root, own[1].currency, own[1].initial_margin, own[1].expiry) == (
        "FCE",
        "EUR",
        Decimal(4000),
        date(2026, 12, 18),
    )
    assert catalog.resolve("btcusdt", at_us).tick_size == Decimal("0.1")
    assert catalog.get("FCE 12-26") is own[1]
    assert {"FCE", "TSLA"} <= set(catalog.roots())
    assert Catalog().get("FCE 12-26") is None


_LEAST = {"name": "X", "kind": "spot", "tick_size": "0.01"}


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"name": None}, "name", "is missing"),
        ({"name": " "}, "name", "must not be empty"),
        ({"name": 5}, "name", "printable text"),
        ({"name": "a\x00"}, "name", "printable text"),
        ({"name": "x" * 65}, "name", "at most 64"),
        ({"kind": None}, "kind", "is missing"),
        ({"kind": "share"}, "kind", "future, spot, linear_perpetual, inverse_perpetual"),
        ({"kind": "future", "name": "ESZ26"}, "name", "here 'ESZ 26'|here 'ES 12-26'"),
        ({"tick_size": None}, "tick_size", "is missing"),
        ({"tick_size": "0"}, "tick_size", "more than 0"),
        ({"tick_size": "-1"}, "tick_size", "more than 0"),
        ({"tick_size": "NaN"}, "tick_size", "must be a number"),
        ({"tick_size": "1e999999999"}, "tick_size", "at most 1000000000"),
        ({"tick_size": "1e-13"}, "tick_size", "12 digits"),
        ({"tick_size": "0.0000001", "lot_size": "0.0000001"}, "tick_size", "worth"),
        ({"kind": "inverse_perpetual", "tick_size": "0.3"}, "tick_size", "worth"),
        ({"lot_size": "0.001", "initial_margin": "0.0000000001"}, "tick_size", "margin"),
        ({"point_value": []}, "point_value", "must be a number"),
        ({"initial_margin": -1}, "initial_margin", "at least 0"),
        ({"margin_rate": 11}, "margin_rate", "at most 10"),
        ({"currency": ""}, "currency", "must not be empty"),
        ({"expiry": "soon"}, "expiry", "2026-12-18"),
        ({"expiry": 20261218}, "expiry", "2026-12-18"),
        ({"calendar": "nyse"}, "calendar", "always, cme_equity"),
        ({"ticksize": 1}, "ticksize", "is unknown; the fields are name, kind"),
    ],
)
def test_a_wrong_table_is_refused_by_field(change: dict[str, object], field: str, says: str) -> None:
    row = {key: value for key, value in {**_LEAST, **change}.items() if value is not None}
    with pytest.raises(InvalidInput, match=says) as caught:
        instrument_of_table(row)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "not TOML"),
        ("x = " + "[" * 5000, "not TOML|too deeply"),
        ("name = 'X'", "`name`: is unknown; the fields are instrument"),
        ("instrument = 5", r"\[\[instrument\]\]"),
        ("instrument = [5]", "`instrument 1` must be a table"),
        ("[[instrument]]\nname='X'\nkind='spot'\ntick_size='1'\n" * 2, "Two instruments are called 'X'"),
        (_OWN.replace("0.5", "-1", 1), "instrument 1: `tick_size`"),
    ],
)
def test_a_wrong_file_is_refused(text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        load_instruments(text)


def test_the_page_lists_every_field() -> None:
    assert [name for name, _, _ in _FIELDS] == list(
        dict.fromkeys(("name", "root", "kind", *Instrument.__struct_fields__))
    )

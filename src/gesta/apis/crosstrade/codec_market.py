"""Quotes, sessions and bars as CrossTrade prints them. Pure; protocols/crosstrade.md §2.4 and the vendor's pages
get-quote, get-market-info and post-historical-bars.

Prices that are not known are null: 0 would be a price.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gesta.apis.crosstrade.codec_trading import INSTRUMENT_TYPE
from gesta.apis.crosstrade.numbers import double, whole
from gesta.apis.crosstrade.wall_clock import moment_in, utc_time
from gesta.desk.market.face import Bar, Snapshot
from gesta.trading.instruments import Instrument
from gesta.trading.sessions import RULES, session_at

SIMULATED: Final = "Simulated"


def quote_reply(snapshot: Snapshot) -> dict[str, Any]:
    """GetQuote: no `success`, `epoch` in seconds, `quoteTime` in UTC (there is no account, whose zone it could be)."""
    instrument = snapshot.instrument
    at_us = quoted_at(snapshot)
    expiry = instrument.expiry
    return {
        "description": instrument.description,
        "type": INSTRUMENT_TYPE[instrument.kind],
        "tickSize": double(instrument.tick_size),
        "pointValue": double(instrument.point_value),
        "tickValue": double(instrument.tick_size * instrument.point_value),
        "exchange": instrument.exchange,
        "expiration": None if expiry is None else expiry.replace(day=1).isoformat(),
        "tradingHours": instrument.calendar,
        "instrument": instrument.name,
        **prices(snapshot),
        "quoteTime": None if at_us is None else moment_in(at_us, "UTC").strftime("%m/%d/%Y %I:%M:%S %p"),
        "quoteTimeUtc": None if at_us is None else moment_in(at_us, "UTC").strftime("%Y-%m-%d %H:%M:%S"),
        "epoch": None if at_us is None else at_us // 1_000_000,
        "dataSource": _source(snapshot),
        "isMarketOpen": snapshot.is_open,
    }


def account_quote_reply(snapshot: Snapshot, zone: str) -> dict[str, Any]:
    """The older form, under an account: .NET's own date texts, in the account's zone, and `success`."""
    reply = quote_reply(snapshot)
    at_us, expiry = quoted_at(snapshot), snapshot.instrument.expiry
    if at_us is not None:
        moment = moment_in(at_us, zone)
        clock = f"{(moment.hour - 1) % 12 + 1}:{moment:%M:%S} {'AM' if moment.hour < 12 else 'PM'}"
        reply["quoteTime"] = f"{moment.month}/{moment.day}/{moment.year} {clock}"
    if expiry is not None:
        reply["expiration"] = f"{expiry.month}/1/{expiry.year} 12:00:00 AM"
    return {**reply, "success": True}


def quoted_at(snapshot: Snapshot) -> int | None:
    """The venue's time of the newest data."""
    return max((data.venue_time_us for data in (snapshot.quote, snapshot.trade) if data is not None), default=None)


def prices(snapshot: Snapshot) -> dict[str, Any]:
    instrument = snapshot.instrument

    def price(ticks: int | None) -> Any:
        return None if ticks is None else double(instrument.price(ticks))

    return {
        "bid": None if snapshot.bid is None else double(snapshot.bid),
        "ask": None if snapshot.ask is None else double(snapshot.ask),
        "last": None if snapshot.last is None else double(snapshot.last),
        "open": price(snapshot.open),
        "high": price(snapshot.high),
        "low": price(snapshot.low),
        "close": price(snapshot.previous_close),
        "volume": whole(instrument.quantity(snapshot.volume)),
    }


def _source(snapshot: Snapshot) -> dict[str, Any]:
    """A simulated market is called so, and nothing else."""
    if snapshot.quote is None and snapshot.trade is None:
        status = "NoData"
    else:
        status = "Stale" if snapshot.is_stale else "Connected"
    feed = SIMULATED if snapshot.is_simulated else snapshot.source
    return {"status": status, "connectedFeeds": [feed] if feed else []}


def bars_reply(
    instrument: Instrument, bars: Sequence[Bar], *, period_type: str, period: int, period_s: int
) -> dict[str, Any]:
    """GetBars. As NinjaTrader stamps them, a bar's time is that of its end: the one that still grows ends later."""
    rows = [_bar(instrument, bar, bar.start_us + period_s * 1_000_000) for bar in bars]
    return {
        "instrument": instrument.name,
        "periodType": period_type,
        "period": period,
        "count": len(rows),
        "bars": rows,
        "success": True,
    }


def _bar(instrument: Instrument, bar: Bar, end_us: int) -> dict[str, Any]:
    return {
        "time": utc_time(end_us),
        "epoch": end_us // 1000,
        "open": double(instrument.price(bar.open)),
        "high": double(instrument.price(bar.high)),
        "low": double(instrument.price(bar.low)),
        "close": double(instrument.price(bar.close)),
        "volume": whole(instrument.quantity(bar.volume)),
    }


# .NET's names of the zones of exchanges, as the vendor prints them.
_WINDOWS_ZONE: Final = {"America/Chicago": "Central Standard Time", "Europe/Berlin": "W. Europe Standard Time"}


def market_info_reply(instrument: Instrument, *, is_open: bool, now_us: int) -> dict[str, Any]:
    """GetMarketInfo: `timestamp` is the market's own time. While closed, `session` is the next one."""
    zone = RULES[instrument.calendar].zone.key
    current = session_at(instrument.calendar, now_us)
    following = session_at(instrument.calendar, current.end_us)
    start_us = current.start_us
    if current.pause_start_us <= now_us < current.pause_end_us:
        start_us = current.pause_end_us
    left_us = (current.end_us if is_open else max(start_us, now_us)) - now_us
    seconds = left_us // 1_000_000
    return {
        "success": True,
        "timestamp": utc_time(now_us),
        "instrument": instrument.name,
        "timeZone": _WINDOWS_ZONE.get(zone, zone),
        "status": {"isOpen": is_open, "state": "Open" if is_open else "Closed"},
        "session": {
            "label": "Current Session" if is_open else "Next Session",
            "utcStart": utc_time(start_us),
            "utcEnd": utc_time(current.end_us),
            "localStart": moment_in(start_us, zone).strftime("%Y-%m-%d %H:%M:%S"),
            "localEnd": moment_in(current.end_us, zone).strftime("%Y-%m-%d %H:%M:%S"),
            "countdown": f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}",
            "action": "Until Close" if is_open else "Until Open",
            "secondsRemaining": left_us / 1_000_000,
        },
        "upcoming": {"utcStart": utc_time(following.start_us), "utcEnd": utc_time(following.end_us)},
    }

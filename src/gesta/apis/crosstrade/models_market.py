"""The wire shapes of market data, for the OpenAPI document (protocols/crosstrade.md §2.4). What is sent is built by
`codec_market`; tests hold the two equal.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class DataSource(msgspec.Struct, kw_only=True, rename="camel"):
    status: Literal["Connected", "Stale", "NoData"]
    connected_feeds: Annotated[list[str], Meta(description="`Simulated` for a market that is.")]


class Quote(msgspec.Struct, kw_only=True, rename="camel"):
    """One instrument's market. What is not known is null."""

    description: str
    type: str
    tick_size: float
    point_value: float
    tick_value: float
    exchange: str
    expiration: str | None
    trading_hours: str
    instrument: str
    bid: float | None
    ask: float | None
    last: float | None
    open: float | None
    high: float | None
    low: float | None
    close: Annotated[float | None, Meta(description="Of the session before.")]
    volume: float
    quote_time: str | None
    quote_time_utc: str | None
    epoch: Annotated[int | None, Meta(description="Seconds, UTC, by the venue's clock.")]
    data_source: DataSource
    is_market_open: bool


class AccountQuote(Quote, kw_only=True, rename="camel"):
    """The older form, with `success` and .NET's date texts."""

    success: Literal[True]


class MarketStatus(msgspec.Struct, kw_only=True, rename="camel"):
    is_open: bool
    state: Literal["Open", "Closed"]


class SessionTimes(msgspec.Struct, kw_only=True, rename="camel"):
    utc_start: str
    utc_end: str


class MarketSession(SessionTimes, kw_only=True, rename="camel"):
    """The session that is open; while closed the next one."""

    label: Literal["Current Session", "Next Session"]
    local_start: str
    local_end: str
    countdown: Annotated[str, Meta(description="Hours, minutes and seconds; hours may be more than 24.")]
    action: Literal["Until Close", "Until Open"]
    seconds_remaining: float


class MarketInfo(msgspec.Struct, kw_only=True, rename="camel"):
    success: Literal[True]
    timestamp: Annotated[str, Meta(description="The market's own time, UTC.")]
    instrument: str
    time_zone: Annotated[str, Meta(description="The exchange's, by its Windows name where there is one.")]
    status: MarketStatus
    session: MarketSession
    upcoming: SessionTimes


class Bar(msgspec.Struct, kw_only=True):
    time: Annotated[str, Meta(description="The bar's end, UTC, seven digits.")]
    epoch: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class BarList(msgspec.Struct, kw_only=True, rename="camel"):
    """Oldest first; the last bar may still grow."""

    instrument: str
    period_type: Literal["second", "minute", "hour", "day", "week"]
    period: int
    count: int
    bars: list[Bar]
    success: Literal[True]

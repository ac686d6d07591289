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


class MarketInfo(msgspec.Struct, kw_only=True, rename="camel"):
    success: Literal[True]
    timestamp: Annotated[str, Meta(description="The market's own time, UTC.")]
    instrument: str
    status: MarketStatus


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

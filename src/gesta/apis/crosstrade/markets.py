"""What the market commands do: arguments in, reply body out. The same for REST and for the WebSocket."""

from __future__ import annotations

from typing import Any, Final

from gesta.apis.crosstrade.arguments import read_instant
from gesta.apis.crosstrade.calls import Call, account_of
from gesta.apis.crosstrade.codec_market import account_quote_reply, bars_reply, market_info_reply, quote_reply
from gesta.apis.crosstrade.terms import read_instrument
from gesta.apis.crosstrade.values import read_count, read_text, read_word
from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import DAY_US

MAX_QUOTED: Final = 50
MAX_BARS: Final = 5000
MAX_PERIOD: Final = 100_000
MAX_DAYS_BACK: Final = 36_500
PERIODS: Final = {
    "SECOND": ("second", 1),
    "MINUTE": ("minute", 60),
    "HOUR": ("hour", 3600),
    "DAY": ("day", 86_400),
    "WEEK": ("week", 604_800),
}
_ES: Final = "ES"


async def get_quote(call: Call) -> Any:
    """One instrument gives an object, several with commas between a bare array (§2.4). Over the WebSocket an
    `account` makes it the older form, as the vendor's one RPC serves both."""
    if call.args.get("account") not in (None, ""):
        return await get_account_quote(call)
    names = [name.strip() for name in _names(call).split(",")]
    if len(names) > MAX_QUOTED or not all(names):
        raise InvalidInput(f"`instrument` takes 1 to {MAX_QUOTED} names with commas between", field="instrument")
    markets = call.services.markets
    quotes = [quote_reply(markets.snapshot(markets.resolve(name).name)) for name in names]
    return quotes[0] if len(quotes) == 1 else quotes


def _names(call: Call) -> str:
    given = call.args.get("instrument")
    if isinstance(given, str) and "," in given:
        # A list of names may be longer than any one.
        return ",".join(read_instrument({"instrument": name}) for name in given.split(",", MAX_QUOTED))
    return read_instrument(call.args)


async def get_account_quote(call: Call) -> dict[str, Any]:
    instrument = read_instrument(call.args)
    account = await account_of(call)
    markets = call.services.markets
    return account_quote_reply(markets.snapshot(markets.resolve(instrument).name), account.time_zone)


async def get_market_info(call: Call) -> dict[str, Any]:
    """Whether the session is open, by the market's own time; of ES where no instrument is named."""
    markets = call.services.markets
    instrument = markets.resolve(read_text(call.args, "instrument") or _ES)
    return market_info_reply(instrument, is_open=markets.is_open(instrument), now_us=markets.now_us(instrument))


async def get_bars(call: Call) -> dict[str, Any]:
    name = read_instrument(call.args)
    period_type, seconds = read_word(call.args, "periodType", PERIODS) or PERIODS["MINUTE"]
    period = read_count(call.args, "period", least=1, most=MAX_PERIOD) or 1
    days_back = read_count(call.args, "daysBack", least=1, most=MAX_DAYS_BACK) or 1
    limit = read_count(call.args, "limit", least=1, most=2**31 - 1) or MAX_BARS
    from_us, to_us = read_instant(call.args, "from"), read_instant(call.args, "to")
    markets = call.services.markets
    instrument = markets.resolve(name)
    if from_us is None:
        from_us = (markets.now_us(instrument) if to_us is None else to_us) - days_back * DAY_US
    bars = markets.bars(instrument, period_s=seconds * period, from_us=from_us, to_us=to_us, limit=min(limit, MAX_BARS))
    return bars_reply(instrument, bars, period_type=period_type, period=period, period_s=seconds * period)

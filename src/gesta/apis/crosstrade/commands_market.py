"""The commands of market data (protocols/crosstrade.md §2.4 and the vendor's pages of each)."""

from __future__ import annotations

from typing import Final

from gesta.apis.crosstrade import examples, markets, models_market
from gesta.apis.crosstrade.command import ACCOUNT, INSTANT, Argument, Command
from gesta.apis.crosstrade.commands_orders import INSTRUMENT, body, word

_NAME: Final = Argument(
    name="instrument",
    where="query",
    description=INSTRUMENT.description,
    schema=INSTRUMENT.schema,
    example="ES",
    is_required=True,
)

COMMANDS: Final = (
    Command(
        api="GetQuote",
        path="/v1/api/market/quote",
        summary="The market of an instrument",
        description=(
            "One name gives an object, several with commas between an array; neither has `success`. `epoch` is in "
            "seconds, `quoteTime` in UTC. A simulated market says so in `dataSource`."
        ),
        arguments=(
            Argument(
                name="instrument",
                where="query",
                description=f"{INSTRUMENT.description} At most {markets.MAX_QUOTED}, with commas between.",
                schema={"type": "string", "minLength": 1},
                example="ES",
                is_required=True,
            ),
        ),
        reply=models_market.Quote | list[models_market.Quote],
        example=examples.QUOTE,
        run=markets.get_quote,
        tag="market",
    ),
    Command(
        api="GetQuote",
        path="/v1/api/accounts/{account}/quote",
        summary="The market of an instrument, in the older form",
        description="With `success`, and times in the account's zone. The same RPC with an `account`.",
        arguments=(ACCOUNT, _NAME),
        reply=models_market.AccountQuote,
        example=examples.ACCOUNT_QUOTE,
        run=markets.get_account_quote,
        tag="market",
        operation="GetAccountQuote",
    ),
    Command(
        api="GetMarketInfo",
        path="/v1/api/market/info",
        summary="Whether an instrument's session is open",
        description="By the market's own time, which on a replay is that of the recording.",
        arguments=(
            Argument(
                name="instrument",
                where="query",
                description=f"{INSTRUMENT.description} ES if it is left out.",
                schema={"type": "string", "maxLength": 128},
                example="ES",
            ),
        ),
        reply=models_market.MarketInfo,
        example=examples.MARKET_INFO,
        run=markets.get_market_info,
        tag="market",
    ),
    Command(
        api="GetBars",
        method="POST",
        path="/v1/api/market/bars",
        summary="Bars of an instrument",
        description=f"Oldest first, the newest `limit` of the range, at most {markets.MAX_BARS}.",
        arguments=(
            INSTRUMENT,
            word("periodType", "minute if it is left out:", markets.PERIODS, "minute"),
            body(
                "period",
                "How many of them make a bar; 1 if it is left out.",
                {"type": "integer", "minimum": 1, "maximum": markets.MAX_PERIOD},
                5,
            ),
            body(
                "daysBack",
                "Days before `to`; 1 if it is left out, ignored beside `from`.",
                {"type": "integer", "minimum": 1, "maximum": markets.MAX_DAYS_BACK},
            ),
            body("from", "First moment, inclusive: ISO time or date (UTC) or Unix milliseconds.", INSTANT),
            body("to", "Last moment, exclusive; the market's now if it is left out.", INSTANT),
            body(
                "limit",
                f"Most bars; {markets.MAX_BARS} if it is left out, and more counts as that.",
                {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
                3,
            ),
        ),
        reply=models_market.BarList,
        example=examples.BARS,
        run=markets.get_bars,
        tag="market",
    ),
)

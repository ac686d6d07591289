"""The reference page of the instruments that Gesta knows: specifications, rolls, sessions, default fees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

from gesta.trading.fees import DEFAULT_FEES
from gesta.trading.futures import FUTURES, Specification
from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.pairs import PAIRS
from gesta.trading.rolls import Cycle
from gesta.trading.sessions import RULES, Rule

_HEAD = """\
# Instruments

<!-- Made from src/gesta/trading by `make docs`. -->

## Names

Every interface accepts every spelling, in either case, and answers with the first one.

| what | spellings |
|---|---|
| a futures contract | `ES 12-26`, `ES DEC26`, `ES DEC 26`, `ESZ26`, `ESZ2026`, `ESZ6` |
| the front month, and the one after it | `ES` or `ES1!`, `ES2!` |
| a pair | `BTC-USDT`, `BTC/USDT`, `BTCUSDT` |
| a perpetual | `BTC-USDT-PERP`, `BTC/USDT:USDT`, `BTCUSDT-PERP`; inverse `BTC-USD-PERP`, `XBTUSD` |

A year of one digit is one from the year before the market's to the eighth after it. A name is resolved once, at the
market's time (that of the recording, when one is replayed), and kept resolved: an order for `ES` stays with its
contract when the front month moves on. `BTC` and `ETH` are the futures.

## Your own

Tables in a TOML file; a name that Gesta knows is replaced by yours.

```toml
[[instrument]]
name = "FCE 12-26"          # a future is named by its month; anything else by any name
kind = "future"             # or spot, linear_perpetual, inverse_perpetual
tick_size = "0.5"
point_value = "10"
currency = "EUR"
initial_margin = "4000"
expiry = 2026-12-18
calendar = "eurex"
```

"""

_FUTURES_HEAD = """
## Futures

The market rolls from one active month to the next so many calendar days before the expiry, or before the last business
day ahead of the contract month ("notice"). Margins are fixed figures for the paper account, not the exchange's.
Fees are per contract and side, of the `default` schedule.

| root | | exchange | tick | point value | margin | fee | active months | last day of trading | rolls | calendar |
|---|---|---|---|---|---|---|---|---|---|---|
"""

_PAIRS_HEAD = """
## Pairs and perpetuals

| name | | venue | tick | lot | smallest value | currency | maker | taker |
|---|---|---|---|---|---|---|---|---|
"""

_CALENDARS_HEAD = """
## Calendars

Local times; a session is named by the day on which it closes. Holidays and early closes are in a table from 2015 to
2032. A DAY order that is given while the market is closed lives until the end of the next session.

| calendar | time zone | opens | closes | pause |
|---|---|---|---|---|
"""

# In the order of `Instrument`; a test compares the names.
_FIELDS = (
    ("name", "what it is called; upper case", "required"),
    ("root", "what a fee rule calls it", "the future's root, else the name"),
    ("kind", ", ".join(f"`{kind}`" for kind in InstrumentKind), "required"),
    ("tick_size", "smallest step of the price", "required"),
    ("lot_size", "smallest step of the quantity", "1"),
    ("point_value", "what one point of price is worth, for a quantity of 1; inverse: the face value", "1"),
    ("currency", "what profit is counted in; inverse: the coin", "USD"),
    ("exchange", "its name", ""),
    ("description", "for people", ""),
    ("min_notional", "smallest value of an order", "0"),
    ("initial_margin", "what holding a quantity of 1 ties up", "by the margin rate"),
    ("margin_rate", "the share of the value that holding it ties up", "1"),
    ("expiry", "last day of trading", "never"),
    ("calendar", "one of the calendars below", "always"),
)


def instruments_markdown() -> str:
    """The whole page."""
    return "".join(
        [
            _HEAD,
            "| field | | default |\n|---|---|---|\n",
            *(f"| `{name}` | {meaning} | {default} |\n" for name, meaning, default in _FIELDS),
            _FUTURES_HEAD,
            *(_future(specification) for specification in FUTURES.values()),
            _PAIRS_HEAD,
            *(_pair(instrument) for instrument in PAIRS),
            _CALENDARS_HEAD,
            *_calendars(),
        ]
    )


def _future(future: Specification) -> str:
    instrument_fee = next(rule.per_contract for rule in DEFAULT_FEES.rules if rule.root == future.root)
    return (
        f"| `{future.root}` | {future.description} | {future.exchange} | {_plain(future.tick_size)} | "
        f"{_plain(future.point_value)} {future.currency} | {future.initial_margin} | {instrument_fee} | "
        f"{_months(future.cycle)} | {future.cycle.expiry.value} | {_roll(future.cycle)} | `{future.calendar}` |\n"
    )


def _months(cycle: Cycle) -> str:
    active = "all" if len(cycle.active) == 12 else cycle.active
    return active if cycle.months == cycle.active else f"{active} (trades in {_others(cycle)})"


def _others(cycle: Cycle) -> str:
    return "all" if len(cycle.months) == 12 else cycle.months


def _roll(cycle: Cycle) -> str:
    days = f"{cycle.roll_days} day{'' if cycle.roll_days == 1 else 's'}"
    return f"{days} before {cycle.anchor.name.lower()}"


def _pair(instrument: Instrument) -> str:
    rule = DEFAULT_FEES.rule(instrument)
    maker, taker = (rule.maker_rate, rule.taker_rate) if rule else (Decimal(0), Decimal(0))
    lot = _plain(instrument.lot_size)
    if instrument.kind is InstrumentKind.INVERSE_PERPETUAL:
        lot += f" contract of {instrument.point_value} USD"
    return (
        f"| `{instrument.name}` | {instrument.description} | {instrument.exchange} | {_plain(instrument.tick_size)} | "
        f"{lot} | {instrument.min_notional} | {instrument.currency} | {maker:.2%} | {taker:.2%} |\n"
    )


def _calendars() -> Iterator[str]:
    for name, rule in RULES.items():
        pause = f"{rule.pause[0]:%H:%M} to {rule.pause[1]:%H:%M}" if rule.pause else ""
        yield f"| `{name}` | {rule.zone.key} | {_opens(rule)} | {_closes(rule)} | {pause} |\n"


def _opens(rule: Rule) -> str:
    if rule.every_day:
        return "never closes"
    return f"{rule.opens:%H:%M}{' of the day before' if rule.opens_day_before else ''}"


def _closes(rule: Rule) -> str:
    return f"trading day ends {rule.closes:%H:%M}" if rule.every_day else f"{rule.closes:%H:%M}"


def _plain(number: Decimal) -> str:
    return f"{number:f}"


PAGES: dict[str, Callable[[], str]] = {"reference/instruments.md": instruments_markdown}

"""Write src/gesta/trading/session_tables.py: the days on which a calendar differs from its rule, 2015 to 2032.

    python -m scripts.sessions

The reference is pandas_market_calendars, which must be installed beside Gesta for this script only: at run time there
is just the table. The rules themselves (opening, close, time zone) are in src/gesta/trading/sessions.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from importlib import import_module
from pathlib import Path

from gesta.trading.sessions import RULES

FIRST_YEAR, LAST_YEAR = 2015, 2032
TARGET = Path(__file__).resolve().parent.parent / "src/gesta/trading/session_tables.py"

# Our calendar, and the reference's.
REFERENCES = {
    "cme_equity": "CME_Equity",
    "cme_currencies": "CMEGlobex_FX",
    "cme_rates": "CME Globex Fixed Income",
    "cme_energy_metals": "CMEGlobex_EnergyAndMetals",
    "cme_crypto": "CME Globex Crypto",
    "cbot_grains": "CMEGlobex_Grains",
    "eurex": "EUREX_Bond",
}

_HEAD = f'''"""The days on which a market is closed, or closes early, {FIRST_YEAR} to {LAST_YEAR}.

Made by `python -m scripts.sessions`: edit that, not this. A line is a year, what happens (`closed`, or the local time
of the close), and the days, month first.
"""

from __future__ import annotations

from typing import Final

TABLES: Final[dict[str, str]] = {{
'''


def exceptions(closes: Mapping[date, time], regular_close: time) -> str:
    """The lines of one table, from the local time of the close of every session."""
    found: dict[tuple[int, str], list[date]] = defaultdict(list)
    for day in _weekdays():
        close = closes.get(day)
        if close is None:
            found[day.year, "closed"].append(day)
        elif close != regular_close:
            found[day.year, f"{close:%H:%M}"].append(day)
    return "".join(
        f"{year} {what} {' '.join(f'{day:%m-%d}' for day in days)}\n"
        for (year, what), days in sorted(found.items(), key=lambda item: (item[0][0], item[0][1] != "closed", item[0]))
    )


def module(tables: Mapping[str, str]) -> str:
    """The source of the generated module."""
    return _HEAD + "".join(f'    "{name}": """\\\n{text}""",\n' for name, text in tables.items()) + "}\n"


def _weekdays() -> Iterable[date]:
    day = date(FIRST_YEAR, 1, 1)
    while day.year <= LAST_YEAR:
        if day.weekday() < 5:
            yield day
        day += timedelta(days=1)


def _closes(reference: str, zone: object) -> dict[date, time]:
    calendar = import_module("pandas_market_calendars").get_calendar(reference)
    schedule = calendar.schedule(f"{FIRST_YEAR}-01-01", f"{LAST_YEAR}-12-31")
    moments: list[tuple[date, datetime]] = [
        (day.date(), close.tz_convert(zone)) for day, close in schedule["market_close"].items()
    ]
    return {day: close.time() for day, close in moments}


def main() -> None:
    tables = {
        name: exceptions(_closes(reference, RULES[name].zone), RULES[name].closes)
        for name, reference in REFERENCES.items()
    }
    TARGET.write_text(module(tables), "utf-8")
    print(f"wrote {TARGET.name}")


if __name__ == "__main__":
    main()

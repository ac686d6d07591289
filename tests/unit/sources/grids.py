"""Grids of NinjaTrader as text, and how to read them."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from gesta.sources import nt8_grid
from gesta.sources.files import bytes_opener
from gesta.sources.row import Fill, Item, Reading, Refused

HEADER = (
    "Instrument;Action;Quantity;Price;Time;ID;E/X;Position;Order ID;Name;Commission;Rate;Account display name;"
    "Connection;"
)
CHICAGO = ZoneInfo("America/Chicago")


def open_grid(text: str | bytes, **options: Any) -> Reading:
    content = text.encode() if isinstance(text, str) else text
    return nt8_grid.read(bytes_opener(content), nt8_grid.Options(**{"zone": CHICAGO, **options}))


def items(text: str | bytes, **options: Any) -> list[Item]:
    return list(open_grid(text, **options).items)


def fills(text: str | bytes, **options: Any) -> list[Fill]:
    """Every row, none of which may be refused."""
    found = items(text, **options)
    assert not [item for item in found if isinstance(item, Refused)], found
    return [item for item in found if isinstance(item, Fill)]


def grid(*rows: str, header: str = HEADER) -> str:
    return "\r\n".join((header, *rows)) + "\r\n"


def row(**cells: str) -> str:
    """One row of HEADER's columns, each cell as the German or French Windows writes it unless given."""
    given = {
        "instrument": "ES 12-26",
        "action": "Buy",
        "quantity": "1",
        "price": "5006,25",
        "time": "27/04/2026 6:05:02",
        "id": "e1",
        "entry_exit": "Entry",
        "position": "1 L",
        "order_id": "o1",
        "name": "Entry",
        "commission": "0,62 $",
        "rate": "1",
        "account": "Sim101",
        "connection": "Live",
        **cells,
    }
    return ";".join(given.values()) + ";"

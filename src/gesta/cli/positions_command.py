"""`gesta positions`: what is open, and what it would make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from gesta.cli.connection import JsonOption, ReadAccountOption, TokenOption, UrlOption, WatchOption, server
from gesta.cli.tables import holding, listing, plain, profit, show


def register(app: typer.Typer) -> None:
    app.command("positions")(positions)


def positions(
    account: ReadAccountOption = None,
    json: JsonOption = False,
    watch: WatchOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Open positions."""
    with server(url, token) as gesta:
        show(lambda: gesta.trading.positions(account), table_of, json=json, watch=watch)


def table_of(rows: Sequence[dict[str, Any]]) -> Table:
    table = listing(
        *("Account", "Instrument", "Position", "Average", "Market", "Unrealized"),
        right=("Average", "Market", "Unrealized"),
        fold=("Account", "Instrument"),
        empty="" if rows else "No open position.",
    )
    for row in rows:
        is_long = row.get("marketPosition") == "Long"
        table.add_row(
            Text(str(row["account"])),
            Text(str(row["instrument"])),
            Text(holding(row), style="green" if is_long else "red"),
            plain(row.get("averagePrice")),
            plain(row.get("marketPrice")),
            profit(row.get("unrealizedProfitLoss")),
        )
    return table

"""`gesta orders`: what is working, and what has become of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gesta.cli.connection import (
    JsonOption,
    ReadAccountOption,
    TokenOption,
    UrlOption,
    WatchOption,
    server,
    the_accounts,
)
from gesta.cli.tables import is_wide, listing, progress, short, show, terms, when


def register(app: typer.Typer) -> None:
    app.command("orders")(orders)


def orders(
    account: ReadAccountOption = None,
    working: Annotated[
        bool, typer.Option("--working", envvar="GESTA_ORDERS_WORKING", help="Only orders that may still fill.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", envvar="GESTA_ORDERS_ALL", help="The whole history, whatever --limit says.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", envvar="GESTA_ORDERS_LIMIT", help="Newest orders.", min=1)
    ] = 20,
    json: JsonOption = False,
    watch: WatchOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Orders, newest first."""
    wanted = None if everything else limit
    with server(url, token) as gesta:
        names = the_accounts(gesta, account)

        def fetch() -> list[dict[str, Any]]:
            rows = [row for name in names for row in gesta.trading.orders(name, working=working, limit=wanted)]
            # A stable sort: what one account did in one millisecond keeps its order.
            rows.sort(key=lambda row: -int(row.get("epoch") or 0))
            return rows[:wanted]

        def draw(rows: Sequence[dict[str, Any]]) -> Table:
            return table_of(rows, with_account=len(names) > 1, empty="No working order." if working else "No order.")

        show(fetch, draw, json=json, watch=watch)


def table_of(rows: Sequence[dict[str, Any]], *, with_account: bool, empty: str = "") -> Table:
    wide = is_wide()
    is_named = any(row.get("name") for row in rows)
    columns = ["ID", "Time", *(["Account"] if with_account else []), "Order", *(["Name"] if is_named else []), "State"]
    table = listing(*columns, fold=("Account", "Order"), empty="" if rows else empty)
    for row in rows:
        cells = [short(str(row["orderId"]), wide=wide), when(row.get("epoch"))]
        cells += [str(row["account"])] if with_account else []
        # What was refused says why, on a line of its own.
        is_refused = row.get("orderState") == "Rejected" and row.get("reason")
        cells.append(f"{terms(row)}\n{row['reason']}" if is_refused else terms(row))
        cells += [str(row.get("name") or "")] if is_named else []
        table.add_row(*map(Text, cells), progress(row))
    return table

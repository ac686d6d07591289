"""`gesta accounts`: the trading accounts and their money; `gesta accounts set`: their paper money and limits."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gesta.cli.connection import JsonOption, TokenOption, UrlOption, WatchOption, number, server
from gesta.cli.tables import holding, listing, money, print_json, profit, screen, show
from gesta.kernel.errors import InvalidInput


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="The trading accounts: cash, net liquidation, today's realized result after commissions, unrealized "
        "result, open positions.",
        invoke_without_command=True,
    )
    group.callback()(accounts)
    group.command("set")(set_funds)
    app.add_typer(group, name="accounts")


def accounts(
    context: typer.Context,
    json: JsonOption = False,
    watch: WatchOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    if context.invoked_subcommand is not None:
        return
    with server(url, token) as gesta:
        show(gesta.trading.snapshot, _table, json=json, watch=watch)


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    amounts = ("Cash", "Net liquidation", "Realized", "Unrealized")
    table = listing(
        *("Account", *amounts, "Open"),
        right=amounts,
        fold=("Account", "Open"),
        empty="" if rows else "No trading account yet; `gesta init` makes Sim101.",
    )
    for row in rows:
        account = row["account"]
        item = account.get("item", {})
        table.add_row(
            Text(str(account["name"])),
            money(item.get("cashValue")),
            money(item.get("netLiquidation")),
            profit(item.get("realizedProfitLoss")),
            profit(item.get("unrealizedProfitLoss")),
            Text("\n".join(f"{position['instrument']} {holding(position)}" for position in row["positions"]) or "flat"),
        )
    return table


def set_funds(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Account.", envvar="GESTA_ACCOUNT")],
    cash: Annotated[
        Decimal | None,
        typer.Option(
            "--cash",
            envvar="GESTA_ACCOUNTS_CASH",
            help="Paper money in the currency of the account, from now on.",
            parser=number,
            metavar="AMOUNT",
            show_default="unchanged",
        ),
    ] = None,
    max_position: Annotated[
        Decimal | None,
        typer.Option(
            "--max-position",
            envvar="GESTA_ACCOUNTS_MAX_POSITION",
            help="Largest position in any one instrument.",
            parser=number,
            metavar="QUANTITY",
            show_default="unchanged",
        ),
    ] = None,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Set the paper money of an account, or its largest position. Takes a token of scope admin."""
    if cash is None and max_position is None:
        raise InvalidInput("Say what to set: --cash, --max-position or both.", where="arguments")
    with server(url, token) as gesta:
        made = gesta.trading.configure(name, cash=cash, max_position=max_position)
    if json:
        print_json(made)
        return
    largest = made.get("max_position")
    screen().print(
        Text(
            f"{made['account']}: cash {money(made['cash'])} {made['currency']}, net liquidation "
            f"{money(made['net_liquidation'])}, largest position {largest if largest is not None else 'unlimited'}."
        )
    )

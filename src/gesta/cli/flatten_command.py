"""`gesta flatten`: cancel what works, then close what is open."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer
from rich.text import Text

from gesta.cli.common import err
from gesta.cli.connection import (
    SERVER_AT_FAULT,
    AccountOption,
    JsonOption,
    TokenOption,
    UrlOption,
    server,
    the_account,
)
from gesta.cli.tables import holding, print_json, screen
from gesta.client import Gesta
from gesta.kernel.errors import InvalidInput

# A market order closes with the next quotes: look soon, then every second.
_LOOKS_S = (0.0, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0)


def register(app: typer.Typer) -> None:
    app.command("flatten")(flatten)


def flatten(
    account: AccountOption = None,
    instrument: Annotated[
        str | None,
        typer.Option(
            "--instrument", "-i", envvar="GESTA_FLATTEN_INSTRUMENT", help="Only this one.", show_default="every one"
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--everything", envvar="GESTA_FLATTEN_EVERYTHING", help="Every account.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", envvar="GESTA_FLATTEN_YES", help="Do not ask.")] = False,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Cancel what works, then close what is open at the market. Asks first, if a person is there."""
    if everything and account is not None:
        raise InvalidInput("--everything is every account: leave --account out.", where="arguments")
    with server(url, token) as gesta:
        name = None if everything else the_account(gesta, account)
        if not yes and sys.stdin.isatty():
            typer.confirm(_question(gesta, name, instrument), abort=True, err=True)
        made = gesta.trading.flatten(name, instrument=instrument)
        left = _left(gesta, name, made["closedPositions"])
    _tell(made, left, json)


def _question(gesta: Gesta, account: str | None, instrument: str | None) -> str:
    where = "on every account" if account is None else f"on {account}"
    what = "everything" if instrument is None else instrument
    held = "; ".join(f"{row['account']} {holding(row)} {row['instrument']}" for row in gesta.trading.positions(account))
    return f"Cancel the working orders and close {what} {where}? Open are: {held or 'no positions'}."


def _left(gesta: Gesta, account: str | None, closed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is still open of what should close, after some seconds."""
    wanted = {(row["account"], row["instrument"]) for row in closed}
    left = closed
    for pause_s in _LOOKS_S:
        if not left:
            break
        time.sleep(pause_s)
        left = [row for row in gesta.trading.positions(account) if (row["account"], row["instrument"]) in wanted]
    return left


def _tell(made: dict[str, Any], left: list[dict[str, Any]], json: bool) -> None:
    if json:
        print_json(made)
    else:
        for row in made["closedPositions"]:
            screen().print(Text(f"Closing {holding(row)} {row['instrument']} on {row['account']}."))
        if not made["closedPositions"]:
            screen().print(str(made.get("warning") or "Nothing was open."))
        elif not left:
            screen().print(Text("Flat.", style="green"))
    for row in left:
        err.print(
            Text(
                f"Still open: {holding(row)} {row['instrument']} on {row['account']}. `gesta orders` shows what became "
                "of the closing order."
            )
        )
    if left:
        raise typer.Exit(SERVER_AT_FAULT)

"""`gesta executions`: the fills, newest first; `bust` and `correct`: what the venue takes back or changes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gesta.cli.connection import (
    SEARCHED_ROWS,
    JsonOption,
    ReadAccountOption,
    TokenOption,
    UrlOption,
    WatchOption,
    by_prefix,
    number,
    said,
    server,
)
from gesta.cli.tables import epoch_ms, is_wide, listing, money, plain, print_json, profit, screen, short, show, when
from gesta.client import Gesta
from gesta.kernel.clock import SystemClock
from gesta.kernel.errors import InvalidInput

_AGO = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_WHOLE_ID = 32
SHOWN_ROWS = 20

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The fill: its id, or the beginning of it.")]
ReasonOption = Annotated[
    str, typer.Option("--reason", envvar="GESTA_EXECUTIONS_REASON", help="Why, in words; the timeline keeps it.")
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Fills, newest first: of this server's venue and of everything that was imported.",
        invoke_without_command=True,
    )
    group.callback()(executions)
    group.command("bust")(bust)
    group.command("correct")(correct)
    app.add_typer(group, name="executions")


def executions(
    context: typer.Context,
    account: ReadAccountOption = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            "-n",
            envvar="GESTA_EXECUTIONS_LIMIT",
            help="So many of the newest.",
            min=1,
            show_default="20; all of --since",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            envvar="GESTA_EXECUTIONS_SINCE",
            help="Fills since a date, a time (of this machine's zone, if it names none), or so long ago: 30m, 8h, 2d.",
            show_default="the beginning",
        ),
    ] = None,
    json: JsonOption = False,
    watch: WatchOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    if context.invoked_subcommand is not None:
        return
    wanted = SHOWN_ROWS if limit is None and since is None else limit
    filters = said(account=account, created_from=None if since is None else moment(since))
    with server(url, token) as gesta:

        def fetch() -> list[dict[str, Any]]:
            return list(gesta.executions.list(limit=wanted, kind="fill", **filters))

        show(fetch, table_of, json=json, watch=watch)


def moment(text: str) -> str:
    """What --since means, as the server takes it. Raises InvalidInput."""
    ago = _AGO.fullmatch(text)
    if ago is not None:
        now = datetime.fromtimestamp(SystemClock().now_us() / 1_000_000, UTC)
        try:
            return (now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).isoformat()
        except OverflowError:
            raise InvalidInput(f"--since {text} is too long ago.", field="since", where="arguments") from None
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"--since {text!r} is no date, no time and no span: give 2026-11-20, 2026-11-20T09:30:00Z, 30m, 8h or 2d.",
            field="since",
            where="arguments",
        ) from None
    return given.astimezone(UTC).isoformat()


def table_of(rows: Sequence[dict[str, Any]]) -> Table:
    wide = is_wide()
    with_account = len({row["account"] for row in rows}) > 1
    right = ("After", "Fee", "Realized")
    columns = ["ID", "Time", *(["Account"] if with_account else []), "Fill"]
    table = listing(
        *(*columns, *(["Name"] if wide else []), *right),
        right=right,
        fold=("Time", "Account", "Fill"),
        empty="" if rows else "No fill.",
    )
    for row in rows:
        detail = row["detail"]
        cells = [short(str(row["id"]), wide=wide), when(epoch_ms(row["created_at"]))]
        cells += [str(row["account"])] if with_account else []
        cells.append(described(row))
        cells += [str(row.get("name") or "")] if wide else []
        realized = detail.get("realized_pnl")
        table.add_row(
            *map(Text, cells),
            Text(plain(detail.get("position_after"))),
            money(detail.get("commission")),
            Text("") if realized is None else profit(realized),
            style="dim strike" if row["status"] == "cancelled" else None,
        )
    return table


def described(row: dict[str, Any]) -> str:
    """`buy 2 ES 12-26 @ 5804.25`, and what became of it."""
    detail = row["detail"]
    text = f"{detail['side']} {plain(detail['quantity'])} {detail['instrument']} @ {plain(detail['price'])}"
    if row["status"] == "cancelled":
        return f"{text} busted"
    return f"{text} corrected" if int(row.get("version", 1)) > 1 else text


def bust(
    execution: IdArgument,
    reason: ReasonOption,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Take back a fill of this server's venue: position, money and totals become what the others make."""
    with server(url, token) as gesta:
        row = gesta.trading.bust(_whole(gesta, execution), reason=reason)
    _told(row, json)


def correct(
    execution: IdArgument,
    reason: ReasonOption,
    price: Annotated[
        Decimal | None,
        typer.Option(
            "--price",
            envvar="GESTA_EXECUTIONS_PRICE",
            help="Price.",
            parser=number,
            metavar="P",
            show_default="as it is",
        ),
    ] = None,
    quantity: Annotated[
        Decimal | None,
        typer.Option(
            "--quantity",
            envvar="GESTA_EXECUTIONS_QUANTITY",
            help="Quantity.",
            parser=number,
            metavar="Q",
            show_default="as it is",
        ),
    ] = None,
    commission: Annotated[
        Decimal | None,
        typer.Option(
            "--commission",
            envvar="GESTA_EXECUTIONS_COMMISSION",
            help="Commission for the whole fill.",
            parser=number,
            metavar="C",
            show_default="as it is",
        ),
    ] = None,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Correct a fill of this server's venue; position, money and totals follow."""
    terms = said(price=price, quantity=quantity, commission=commission)
    if not terms:
        raise InvalidInput("Say what is different: --price, --quantity or --commission.", where="arguments")
    with server(url, token) as gesta:
        row = gesta.trading.correct(_whole(gesta, execution), reason=reason, **terms)
    _told(row, json)


def _whole(gesta: Gesta, text: str) -> str:
    if len(text) == _WHOLE_ID:
        return text
    return by_prefix(text, [str(row["id"]) for row in gesta.executions.list(limit=SEARCHED_ROWS, kind="fill")])


def _told(row: dict[str, Any], json: bool) -> None:
    if json:
        print_json(row)
        return
    detail = row["detail"]
    what = "busted" if row["status"] == "cancelled" else "corrected"
    screen().print(
        Text(
            f"Fill {row['id']} is {what}: {detail['side']} {plain(detail['quantity'])} {detail['instrument']} @ "
            f"{plain(detail['price'])}, commission {money(detail['commission'])}, on {row['account']}."
        )
    )

"""`gesta executors`: start, watch and stop executors; `executor_views` prints them."""

from __future__ import annotations

import enum
import itertools
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from gesta.cli.common import run_listed
from gesta.cli.connection import (
    CALL_AT_FAULT,
    SEARCHED_ROWS,
    AccountOption,
    JsonOption,
    ReadAccountOption,
    TokenOption,
    UrlOption,
    WatchOption,
    number,
    said,
    server,
)
from gesta.cli.executor_configs import Type, config_of, trailing
from gesta.cli.executor_views import line_of, sentence, table_of, whole
from gesta.cli.tables import REFRESH_S, print_json, screen, show
from gesta.client import ClientError, Gesta, NotFound, RateLimited, Unavailable, Unreachable
from gesta.kernel.errors import InvalidInput

SHOWN_EVENTS = 20
# Rows of a list that are asked for one by one, as they stand now: more than a screen has. The others are as recorded.
MARKED_ROWS = 50
# Of the feed: a recorded profit that follows the market is nothing that the executor did.
_MARKED = "executor.marked"
_STOP_S = 5.0
_ACTIVE = ("queued", "running", "waiting", "stopping")
_OVER = ("succeeded", "failed", "cancelled", "timed_out")
_SHORTEST_PREFIX = 4


class Wanted(enum.StrEnum):
    """Which executors: those of a status, those that run, those that do not."""

    ACTIVE = "active"
    OVER = "over"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


class Side(enum.StrEnum):
    """Which way."""

    BUY = "buy"
    SELL = "sell"


IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The executor: its id, or the beginning of it.")]


def _option(flag: str, meaning: str, **more: Any) -> Any:
    variable = "GESTA_EXECUTORS_" + flag.removeprefix("--").replace("-", "_").upper()
    return typer.Option(flag, envvar=variable, help=meaning, show_default="none", **more)


def _number(flag: str, meaning: str, metavar: str = "N") -> Any:
    return _option(flag, meaning, parser=number, metavar=metavar)


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Executors, newest first: what they are, and how they do.", invoke_without_command=True)
    group.callback()(executors)
    group.command("list")(list_executors)
    group.command("show")(show_executor)
    group.command("create")(create)
    group.command("stop")(stop)
    group.command("logs")(logs)
    app.add_typer(group, name="executors")


TypeOption = Annotated[Type | None, _option("--type", "Only this type.")]
StatusOption = Annotated[Wanted | None, _option("--status", "Only these; active and over are several statuses.")]
ControllerOption = Annotated[str | None, _option("--controller", "Only those of this controller.")]
LimitOption = Annotated[
    int, typer.Option("--limit", "-n", envvar="GESTA_EXECUTORS_LIMIT", help="So many of the newest.", min=1)
]


def executors(context: typer.Context) -> None:
    run_listed(context)


def list_executors(
    type: TypeOption = None,
    status: StatusOption = None,
    controller: ControllerOption = None,
    limit: LimitOption = 20,
    account: ReadAccountOption = None,
    json: JsonOption = False,
    watch: WatchOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Executors, newest first; the newest that run at the market's prices now."""
    groups = {Wanted.ACTIVE: _ACTIVE, Wanted.OVER: _OVER}
    statuses = None if status is None else groups.get(status, (status.value,))
    # An executor is named by its type, as far as it has no better name.
    name = None if type is None else type.wire
    filters = said(account=account, controller_id=controller, status=statuses, name=name)
    with server(url, token) as gesta:

        def fetch() -> list[dict[str, Any]]:
            rows: Iterator[dict[str, Any]] = gesta.executors.list(limit=None if type else limit, **filters)
            if type is not None:
                rows = (row for row in rows if row["detail"].get("executor_type") == type.wire)
            found = list(itertools.islice(rows, limit))
            return [_marked(gesta, row) for row in found[:MARKED_ROWS]] + found[MARKED_ROWS:]

        show(fetch, table_of, json=json, watch=watch)


def show_executor(
    executor: IdArgument,
    json: JsonOption = False,
    watch: WatchOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """One executor: what it is worth now, how it stands, what happened."""
    with server(url, token) as gesta:
        identifier = str(_found(gesta, executor)["id"])
        seen: list[dict[str, Any]] = []

        def fetch() -> dict[str, Any]:
            # A timeline only grows.
            seen.extend(gesta.executors.events(identifier, after=int(seen[-1]["seq"]) if seen else 0))
            done = [event for event in seen if event["type"] != _MARKED]
            return {"executor": gesta.executors.get(identifier), "events": done}

        show(fetch, lambda found: whole(found["executor"], found["events"][-SHOWN_EVENTS:]), json=json, watch=watch)


def create(
    type: Annotated[
        Type | None,
        typer.Argument(
            metavar="[TYPE]",
            help="position, order, dca, grid, twap, arbitrage, xemm; or as the file says.",
            envvar="GESTA_EXECUTORS_TYPE",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        _option("--file", "Its config, JSON or TOML (.toml); - is JSON from standard input. Flags go before it."),
    ] = None,
    connector: Annotated[str | None, _option("--connector", "Connector: binance, binance_perpetual …")] = None,
    pair: Annotated[str | None, _option("--pair", "Trading pair: BTC-USDT …")] = None,
    side: Annotated[Side | None, _option("--side", "buy or sell.")] = None,
    amount: Annotated[Decimal | None, _number("--amount", "How much, in the base coin: position, order.")] = None,
    amount_quote: Annotated[
        Decimal | None, _number("--amount-quote", "How much in all, in the quote coin: grid, twap.")
    ] = None,
    price: Annotated[
        Decimal | None, _number("--price", "Limit of its entry; without one it begins at the market.", "P")
    ] = None,
    leverage: Annotated[int | None, _option("--leverage", "Leverage.", min=1)] = None,
    stop_loss: Annotated[Decimal | None, _number("--stop-loss", "Fraction of the entry price: 0.02 is 2 %.")] = None,
    take_profit: Annotated[
        Decimal | None, _number("--take-profit", "Fraction of the entry price: 0.03 is 3 %.")
    ] = None,
    time_limit: Annotated[int | None, _option("--time-limit", "Seconds until it closes.", metavar="S", min=1)] = None,
    trailing_stop: Annotated[
        str | None,
        _option("--trailing-stop", "Fractions: profit at which it begins, and its distance.", metavar="AT/DELTA"),
    ] = None,
    field: Annotated[
        list[str] | None,
        _option("--set", "Any field of the config by its path, as JSON or text; may be repeated.", metavar="FIELD=V"),
    ] = None,
    controller: Annotated[
        str,
        typer.Option("--controller", envvar="GESTA_EXECUTORS_CONTROLLER", help="Controller that it belongs to."),
    ] = "main",
    key: Annotated[str | None, _option("--key", "Idempotency key: the same key starts one executor.")] = None,
    account: AccountOption = None,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Start an executor, from flags or a file, and tell its id."""
    flags = said(
        connector=connector,
        pair=pair,
        side=None if side is None else side.value.upper(),
        amount=amount,
        amount_quote=amount_quote,
        price=price,
        leverage=leverage,
        stop_loss=stop_loss,
        take_profit=take_profit,
        time_limit=time_limit,
        trailing_stop=None if trailing_stop is None else trailing(trailing_stop),
    )
    config = config_of(type, file, flags, field or [])
    with server(url, token) as gesta:
        made = gesta.executors.create(config, account=account, controller_id=controller, key=key)
    _tell(made, json)


def stop(
    executor: IdArgument,
    keep_position: Annotated[
        bool,
        typer.Option(
            "--keep-position", envvar="GESTA_EXECUTORS_KEEP_POSITION", help="Leave open what it holds; else it closes."
        ),
    ] = False,
    wait: Annotated[
        float,
        typer.Option("--wait", envvar="GESTA_EXECUTORS_WAIT", help="Seconds to wait until it is over.", min=0),
    ] = _STOP_S,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Stop an executor, and tell how it ended."""
    with server(url, token) as gesta:
        identifier = str(_found(gesta, executor)["id"])
        gesta.executors.stop(identifier, keep_position=keep_position)
        stopped = gesta.executors.wait(identifier, timeout_s=wait)
    _tell(stopped, json)


def logs(
    executor: IdArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", envvar="GESTA_EXECUTORS_FOLLOW", help="Go on until it is over, or Ctrl-C.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", envvar="GESTA_JSON", help="Print the server's objects, one on each line.")
    ] = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """The log of an executor and its changes, oldest first."""
    with server(url, token) as gesta:
        identifier = str(_found(gesta, executor)["id"])
        try:
            for event in _lines(gesta, identifier, follow):
                if json:
                    print_json(event, compact=True)
                else:
                    screen().print(line_of(event), soft_wrap=True)
        except KeyboardInterrupt:
            return


def _lines(gesta: Gesta, identifier: str, follow: bool) -> Iterator[dict[str, Any]]:
    """Its events; with `follow`, those that come until it is over. A server that is away for a moment is waited for."""
    after, is_first = 0, True
    while True:
        try:
            # How it stands first: what it does before it ends is then in what is read after.
            is_over = gesta.executors.get(identifier)["status"] in _OVER
            for event in gesta.executors.events(identifier, after=after):
                after = int(event["seq"])
                if event["type"] != _MARKED:
                    yield event
            if is_over or not follow:
                return
        except ClientError as error:
            if is_first or not isinstance(error, (Unreachable, Unavailable, RateLimited)):
                raise
        is_first = False
        time.sleep(REFRESH_S)


def _marked(gesta: Gesta, row: dict[str, Any]) -> dict[str, Any]:
    """One that runs as it stands now."""
    if row["status"] not in _ACTIVE:
        return row
    try:
        return gesta.executors.get(str(row["id"]), account=str(row["account"]))
    except NotFound:
        return row


def _found(gesta: Gesta, text: str) -> dict[str, Any]:
    """The executor of an id, or of the beginning of one. Raises InvalidInput where several begin so, NotFound."""
    try:
        return gesta.executors.get(text)
    except NotFound:
        if len(text) < _SHORTEST_PREFIX:
            raise
        rows = [row for row in gesta.executors.list(limit=SEARCHED_ROWS) if str(row["id"]).startswith(text)]
        if not rows:
            raise
    if len(rows) > 1:
        ids = ", ".join(str(row["id"]) for row in rows[:5])
        raise InvalidInput(f"Several begin with {text}: {ids}.", where="arguments")
    return rows[0]


def _tell(executor: dict[str, Any], json: bool) -> None:
    if json:
        print_json(executor)
    else:
        screen().print(sentence(executor))
        screen().print(Text(f"Executor {executor['id']} on {executor['account']}", style="dim"))
    if executor["status"] == "failed":
        raise typer.Exit(CALL_AT_FAULT)

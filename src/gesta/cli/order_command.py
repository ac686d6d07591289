"""`gesta order buy|sell|cancel|change|show`: one order, from the terms to what became of it."""

from __future__ import annotations

import enum
import re
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gesta.cli.common import err
from gesta.cli.connection import (
    CALL_AT_FAULT,
    AccountOption,
    JsonOption,
    TokenOption,
    UrlOption,
    explanation,
    number,
    order_id,
    said,
    server,
    the_account,
)
from gesta.cli.tables import filled, listing, plain, print_json, screen, state, terms, when
from gesta.client import BadRequest, Conflict, Gesta, NotFound
from gesta.kernel.errors import InvalidInput

_BRACKET = re.compile(r"([0-9]{0,7})/([0-9]{0,7})", re.ASCII)
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_ANSWER_S = 5.0
_EVENTS = 2000
_WHO = {"api_received": "you", "order_update": "venue", "execution": "venue"}


class Tif(enum.StrEnum):
    """Until when an order works."""

    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"


def _price(flag: str, variable: str, meaning: str) -> Any:
    return typer.Option(flag, envvar=variable, help=meaning, parser=number, metavar="P", show_default="none")


InstrumentArgument = Annotated[str, typer.Argument(metavar="INSTRUMENT", help="ES, ES1!, ESZ6, 'ES 12-26', BTC-USDT …")]
QuantityArgument = Annotated[
    Decimal,
    typer.Argument(metavar="QUANTITY", help="How many.", parser=number),
]
IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The order: its id, the beginning of it, or the client's own.")
]
WaitOption = Annotated[
    float | None,
    typer.Option(
        "--wait",
        envvar="GESTA_ORDER_WAIT",
        help="Seconds to wait until the order is filled or over.",
        metavar="S",
        min=0,
        show_default="until the venue answers",
    ),
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Place, change, cancel and show one order.", no_args_is_help=True)
    group.command("buy", help="Buy, and tell what became of it.")(place)
    group.command("sell", help="Sell, and tell what became of it.")(place)
    group.command("cancel")(cancel)
    group.command("change")(change)
    group.command("show")(show_order)
    app.add_typer(group, name="order")


def place(
    context: typer.Context,
    instrument: InstrumentArgument,
    quantity: QuantityArgument,
    limit: Annotated[Decimal | None, _price("--limit", "GESTA_ORDER_LIMIT", "Worst price.")] = None,
    stop: Annotated[
        Decimal | None, _price("--stop", "GESTA_ORDER_STOP", "Wait until the market trades through this price.")
    ] = None,
    mit: Annotated[
        Decimal | None, _price("--mit", "GESTA_ORDER_MIT", "Wait until the market comes down (up) to this price.")
    ] = None,
    tif: Annotated[
        Tif, typer.Option("--tif", envvar="GESTA_ORDER_TIF", help="How long it works: day, gtc, ioc, fok.")
    ] = Tif.DAY,
    bracket: Annotated[
        str | None,
        typer.Option(
            "--bracket",
            envvar="GESTA_ORDER_BRACKET",
            help="Ticks to the stop and to the target that every fill brings: 8/16; 8/ or /16 for one of them.",
            metavar="STOP/TARGET",
            show_default="none",
        ),
    ] = None,
    oco: Annotated[
        str | None,
        typer.Option(
            "--oco", envvar="GESTA_ORDER_OCO", help="Orders of one group cancel each other.", show_default="none"
        ),
    ] = None,
    reduce_only: Annotated[
        bool, typer.Option("--reduce-only", envvar="GESTA_ORDER_REDUCE_ONLY", help="Close only, never open.")
    ] = False,
    client_id: Annotated[
        str | None,
        typer.Option(
            "--client-id",
            envvar="GESTA_ORDER_CLIENT_ID",
            help="Your own id: the same id with the same terms is the same order.",
            show_default="a new one",
        ),
    ] = None,
    wait: WaitOption = None,
    account: AccountOption = None,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    action = str(context.info_name)
    if mit is not None and (stop is not None or limit is not None):
        raise InvalidInput("--mit stands alone: it is a market order once the price is touched.", where="arguments")
    stop_ticks, target_ticks = _bracket(bracket)
    with server(url, token) as gesta:
        name = the_account(gesta, account)
        made = gesta.trading.place(
            name,
            instrument,
            action,
            quantity,
            order_type=None if mit is None else "MIT",
            time_in_force=tif.value,
            limit_price=limit,
            stop_price=stop if mit is None else mit,
            oco_id=oco,
            reduce_only=reduce_only,
            stop_ticks=stop_ticks,
            target_ticks=target_ticks,
            client_id=client_id,
        )
        order = _outcome(gesta, name, str(made["orderId"]), wait)
        protection = _protection(gesta, name, order) if stop_ticks or target_ticks else []
    _tell(order, protection, json)


def _bracket(text: str | None) -> tuple[int | None, int | None]:
    """Ticks to the stop and to the target. Raises InvalidInput."""
    if text is None:
        return None, None
    found = _BRACKET.fullmatch(text.strip())
    ticks = [int(part) if part else None for part in found.groups()] if found else []
    if not any(ticks) or 0 in ticks:
        raise InvalidInput(
            f"--bracket {text!r} is not STOP/TARGET in ticks: 8/16, or 8/ or /16 for one of them.", where="arguments"
        )
    return ticks[0], ticks[1]


def _outcome(gesta: Gesta, account: str, identifier: str, wait_s: float | None) -> dict[str, Any]:
    """The order once the venue has answered; with `wait_s`, once it is over or that time is."""
    if wait_s is not None:
        return gesta.trading.wait(account, identifier, timeout_s=wait_s)
    order = gesta.trading.wait(account, identifier, timeout_s=_ANSWER_S, final=False)
    if order.get("orderType") == "Market" or order.get("timeInForce") in ("Ioc", "Fok"):
        # What it becomes, it becomes with the next quotes.
        return gesta.trading.wait(account, identifier, timeout_s=_ANSWER_S)
    return order


def _protection(gesta: Gesta, account: str, order: dict[str, Any]) -> list[dict[str, Any]]:
    if not order.get("filled"):
        return []
    rows = gesta.trading.orders(account, working=True, limit=100)
    return [row for row in rows if row.get("entryOrderId") == order["orderId"]]


def _tell(order: dict[str, Any], protection: list[dict[str, Any]], json: bool) -> None:
    if json:
        print_json(order)
    else:
        screen().print(sentence(order))
        for row in reversed(protection):
            screen().print(Text(f"  {row.get('name') or 'bracket'}: {terms(row)}"))
    if order.get("orderState") == "Rejected":
        raise typer.Exit(CALL_AT_FAULT)


def sentence(order: dict[str, Any]) -> Text:
    """What became of an order, in one line and its id in another."""
    if order.get("orderState") == "Filled":
        verb = "bought" if order.get("orderAction") == "Buy" else "sold"
        whole = f"{plain(order['quantity'])} {order['instrument']}"
        line = Text.assemble(("Filled", "green"), f": {verb} {whole} at {plain(order.get('averageFillPrice'))}.")
    else:
        word = state(order)
        line = Text.assemble((word.plain.capitalize(), word.style), f": {terms(order)}.")
        if order.get("filled"):
            line.append(f" So far {filled(order)}.")
        if order.get("reason"):
            line.append(f" {order['reason']}")
    return Text.assemble(line, (f"\nOrder {order['orderId']} on {order['account']}", "dim"))


def cancel(
    orders: Annotated[
        list[str], typer.Argument(metavar="ID", help="Orders: ids, their beginnings, or the client's own.")
    ],
    account: AccountOption = None,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Cancel orders. What was filled before stays filled."""
    told, refused = [], False
    with server(url, token) as gesta:
        name = the_account(gesta, account)
        for text in orders:
            try:
                identifier = order_id(gesta, name, text)
                gesta.trading.cancel(name, identifier)
                told.append(gesta.trading.wait(name, identifier, timeout_s=_ANSWER_S))
            except (BadRequest, NotFound, Conflict) as error:
                # The others are cancelled all the same.
                err.print(Text("\n".join(explanation(error))))
                refused = True
    if json:
        print_json(told)
    else:
        for order in told:
            screen().print(sentence(order))
    if refused:
        raise typer.Exit(CALL_AT_FAULT)


def change(
    order: IdArgument,
    quantity: Annotated[
        Decimal | None,
        typer.Option(
            "--quantity",
            envvar="GESTA_ORDER_QUANTITY",
            help="The whole quantity, what is filled included.",
            parser=number,
            metavar="Q",
            show_default="as it is",
        ),
    ] = None,
    limit: Annotated[Decimal | None, _price("--limit", "GESTA_ORDER_LIMIT", "Limit price.")] = None,
    stop: Annotated[Decimal | None, _price("--stop", "GESTA_ORDER_STOP", "Stop or touch price.")] = None,
    account: AccountOption = None,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Give a working order new terms; it keeps its id."""
    wanted = said(quantity=quantity, limit_price=limit, stop_price=stop)
    if not wanted:
        raise InvalidInput("Say what to change: --quantity, --limit or --stop.", where="arguments")
    with server(url, token) as gesta:
        name = the_account(gesta, account)
        identifier = order_id(gesta, name, order)
        gesta.trading.change(name, identifier, **wanted)
        changed = gesta.trading.wait(name, identifier, timeout_s=_ANSWER_S, final=False)
    _tell(changed, [], json)


def show_order(
    order: IdArgument,
    account: AccountOption = None,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """One order and its life: what was asked, what the venue said, its fills."""
    with server(url, token) as gesta:
        name = the_account(gesta, account)
        identifier = order_id(gesta, name, order)
        found = gesta.trading.order(name, identifier)
        events = gesta.trading.lifecycle(name, str(found["orderId"]), limit=_EVENTS)
    if json:
        print_json({"order": found, "events": events})
        return
    screen().print(sentence(found))
    for fact in _facts(found):
        screen().print(Text(fact, style="dim"))
    screen().print(_timeline(events))


def _facts(order: dict[str, Any]) -> list[str]:
    """What else there is to know, where it applies."""
    known = {
        "client id": order.get("originalOrderId"),
        "name": order.get("name"),
        "group": order.get("oco"),
        "bracket of": order.get("entryOrderId"),
        "replaces": order.get("replacesOrderId"),
    }
    stop, target = order.get("stopLossTicks"), order.get("takeProfitTicks")
    if stop or target:
        known["bracket"] = f"stop {stop or '–'} ticks, target {target or '–'} ticks"
    if order.get("isGap"):
        known["gap"] = "fired at the first quote after a hole in the market data"
    return [f"{name}: {value}" for name, value in known.items() if value]


def _timeline(events: list[dict[str, Any]]) -> Table:
    table = listing("Time", "Who", "What", "State", fold=("Time", "What", "State"), empty="" if events else "No entry.")
    for event in events:
        # `OrderAccepted` as `order accepted`.
        what = _CAPITAL.sub(" ", str(event.get("event") or "")).lower()
        if event.get("price") is not None:
            what = f"{what} {plain(event.get('quantity'))} @ {plain(event['price'])}"
        message = event.get("message")
        table.add_row(
            when(event.get("epoch")),
            Text(_WHO.get(str(event.get("source")), str(event.get("source")))),
            Text(f"{what}: {message}" if message else what),
            state(event) if event.get("orderState") else Text(""),
        )
    return table

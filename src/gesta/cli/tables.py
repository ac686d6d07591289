"""What the trading tables share: how a number, a time, an id is printed, and how a table is shown once or watched."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any, TypeVar

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gesta.client import ClientError, RateLimited, Unavailable, Unreachable
from gesta.kernel.clock import SystemClock

T = TypeVar("T")

REFRESH_S = 1.0
WIDE = 150
_SHORT_ID = 8
# What a person reads of an average price; the JSON has every digit.
_SHOWN_DIGITS = Context(prec=10)
_encoder = msgspec.json.Encoder(decimal_format="number")

_STATE_STYLES = {
    "Filled": "green",
    "PartFilled": "yellow",
    "Working": "cyan",
    "Accepted": "cyan",
    "Rejected": "red",
    "Cancelled": "dim",
}
_STATE_WORDS = {
    "PartFilled": "part filled",
    "ChangePending": "changing",
    "CancelPending": "cancelling",
}
_TYPE_WORDS = {"Market": "market", "Limit": "limit", "StopMarket": "stop", "MIT": "touch"}


def screen() -> Console:
    """Standard output, at the width of the terminal (80 where there is none, or COLUMNS)."""
    return Console(highlight=False)


def is_wide() -> bool:
    """Whether there is room for whole ids."""
    return screen().width >= WIDE


# -- values


def plain(value: Any) -> str:
    """A price or a quantity without exponent and trailing zeros; `–` where there is none."""
    if value is None:
        return "–"
    text = f"{_SHOWN_DIGITS.plus(Decimal(str(value))):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def money(value: Any) -> Text:
    """An amount with two decimals and separators."""
    return Text("–") if value is None else Text(f"{Decimal(str(value)):,.2f}")


def profit(value: Any) -> Text:
    """As money, green or red."""
    text = money(value)
    if value is not None and Decimal(str(value)):
        text.stylize("green" if Decimal(str(value)) > 0 else "red")
    return text


def short(identifier: str, *, wide: bool) -> str:
    """As much of an id as there is room for: its beginning finds it again."""
    return identifier if wide or len(identifier) <= _SHORT_ID + 2 else identifier[:_SHORT_ID]


def when(epoch_ms: Any) -> str:
    """A moment in the zone of this machine: the time today, the date with it on another day."""
    if not epoch_ms:
        return "–"
    moment = datetime.fromtimestamp(int(epoch_ms) / 1000, UTC).astimezone()
    today = datetime.fromtimestamp(SystemClock().now_us() / 1_000_000, UTC).astimezone()
    if moment.date() == today.date():
        return f"{moment:%H:%M:%S}"
    return f"{moment:%m-%d %H:%M}" if moment.year == today.year else f"{moment:%Y-%m-%d}"


def epoch_ms(rfc3339: str) -> int:
    """Of a time as Gesta's own dialect prints it."""
    return int(datetime.fromisoformat(rfc3339).timestamp() * 1000)


def terms(order: Mapping[str, Any]) -> str:
    """What an order asks for, in words: `buy 2 ES 12-26 limit 5804.25 gtc`."""
    kind = str(order.get("orderType"))
    words = [str(order.get("orderAction", "")).lower(), plain(order.get("quantity")), str(order.get("instrument", ""))]
    if kind == "StopLimit":
        words += ["stop", plain(order.get("stopPrice")), "limit", plain(order.get("limitPrice"))]
    else:
        words.append(_TYPE_WORDS.get(kind, kind.lower()))
        if kind in ("Limit", "StopMarket", "MIT"):
            words.append(plain(order.get("limitPrice" if kind == "Limit" else "stopPrice")))
    tif = str(order.get("timeInForce", "")).lower()
    if tif != "day":
        words.append(tif)
    if order.get("reduceOnly"):
        words.append("reduce-only")
    return " ".join(words)


def filled(order: Mapping[str, Any]) -> str:
    """`1 @ 5804.25`, or nothing."""
    return f"{plain(order['filled'])} @ {plain(order.get('averageFillPrice'))}" if order.get("filled") else ""


def state(order: Mapping[str, Any]) -> Text:
    """The state in words and colour."""
    name = str(order.get("orderState"))
    word = "expired" if order.get("isExpired") else _STATE_WORDS.get(name, name.lower())
    return Text(word, style=_STATE_STYLES.get(name, ""))


def progress(order: Mapping[str, Any]) -> Text:
    """The state, with what is filled: `filled @ 5804.25`, `working`, `part filled 1 @ 5804.25`."""
    text = state(order)
    if order.get("filled"):
        is_whole = order.get("orderState") == "Filled"
        text.append(f" @ {plain(order.get('averageFillPrice'))}" if is_whole else f" {filled(order)}")
    return text


def holding(position: Mapping[str, Any]) -> str:
    """`long 2`."""
    return f"{str(position.get('marketPosition', '')).lower()} {plain(position.get('quantity'))}"


# -- tables


def listing(*columns: str, right: Sequence[str] = (), fold: Sequence[str] = (), empty: str = "") -> Table:
    """A table without lines between its rows. Columns in `fold` give way first, by going on in the next line."""
    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        caption=empty or None,
        caption_justify="left",
        # A caption is folded at the table's width, which is small where there are no rows.
        min_width=min(len(empty), screen().width) if empty else None,
    )
    for column in columns:
        table.add_column(
            column, justify="right" if column in right else "left", no_wrap=column not in fold, overflow="fold"
        )
    return table


def print_json(value: Any, *, compact: bool = False) -> None:
    """One document, every digit of it."""
    encoded = _encoder.encode(value)
    typer.echo((encoded if compact else msgspec.json.format(encoded, indent=2)).decode())


def show(fetch: Callable[[], T], draw: Callable[[T], RenderableType], *, json: bool, watch: bool) -> None:
    """Print what `fetch` gives, once or, with `watch`, whenever it has changed, until Ctrl-C."""
    if watch:
        try:
            _watch(fetch, draw, json=json)
        except KeyboardInterrupt:
            return
    elif json:
        print_json(fetch())
    else:
        screen().print(draw(fetch()))


def _watch(fetch: Callable[[], T], draw: Callable[[T], RenderableType], *, json: bool) -> None:
    if json or not sys.stdout.isatty():
        seen: Any = None
        for value in _values(fetch):
            if value is not None and value != seen:
                seen = value
                if json:
                    print_json(value, compact=True)
                    sys.stdout.flush()
                else:
                    screen().print(draw(value))
        return
    last: T = fetch()
    with Live(console=screen(), auto_refresh=False, vertical_overflow="crop") as live:
        live.update(draw(last), refresh=True)
        for value in _values(fetch):
            note = Text("The server does not answer; trying again.", style="yellow")
            last = last if value is None else value
            live.update(Group(draw(last), note) if value is None else draw(last), refresh=True)


def _values(fetch: Callable[[], T]) -> Any:
    """What `fetch` gives, every second for ever; None where the server was out of reach."""
    is_first = True
    while True:
        try:
            value = fetch()
        except ClientError as error:
            if is_first or not isinstance(error, (Unreachable, Unavailable, RateLimited)):
                raise
            value = None
        is_first = False
        yield value
        time.sleep(REFRESH_S)

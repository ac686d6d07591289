"""How executors are printed: a table of many, the whole of one, one line of a log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gesta.cli.executor_configs import short_type
from gesta.cli.tables import epoch_ms, is_wide, listing, money, plain, profit, short, when

_STYLES = {
    "running": "cyan",
    "stopping": "yellow",
    "succeeded": "green",
    "failed": "red",
    "timed_out": "yellow",
    "cancelled": "dim",
}
_LEVEL_STYLES = {"error": "red", "warning": "yellow", "debug": "dim"}
_MOST_FACTS = 40
_LONGEST_FACT = 300
_FRACTION = re.compile(r"-?[0-9]{1,20}\.[0-9]{1,40}", re.ASCII)


def table_of(rows: Sequence[dict[str, Any]]) -> Table:
    wide = is_wide()
    right = ("PnL", "%")
    with_account = len({row["account"] for row in rows}) > 1
    columns = ["ID", "Time", *(["Account"] if with_account else []), "Type", "Market", "Status", *right]
    table = listing(
        *columns, right=right, fold=("Time", "Account", "Market", "Status"), empty="" if rows else "No executor."
    )
    for row in rows:
        detail = row["detail"]
        cells = [short(str(row["id"]), wide=wide), when(epoch_ms(row["created_at"]))]
        cells += [str(row["account"])] if with_account else []
        cells += [short_type(detail.get("executor_type")), market(detail)]
        table.add_row(
            *map(Text, cells), status(row), profit(detail.get("net_pnl_quote")), percent(detail.get("net_pnl_pct"))
        )
    return table


def market(detail: dict[str, Any]) -> str:
    """`buy BTC-USDT binance`, as far as it is known."""
    return " ".join(str(detail[name]) for name in ("side", "trading_pair", "connector") if detail.get(name)) or "–"


def status(row: dict[str, Any]) -> Text:
    """How it stands; one that is over tells how it ended: `take profit`."""
    name = str(row["status"])
    close_type = row["detail"].get("close_type")
    word = str(close_type).lower() if close_type else name
    return Text(word.replace("_", " "), style=_STYLES.get(name, ""))


def percent(fraction: Any) -> Text:
    return Text("–") if fraction is None else Text(f"{Decimal(str(fraction)) * 100:+,.2f}")


def sentence(row: dict[str, Any]) -> Text:
    """`Running: position executor, buy BTC-USDT binance.`"""
    word = status(row)
    detail = row["detail"]
    line = Text.assemble((word.plain.capitalize(), word.style))
    line.append(f": {short_type(detail.get('executor_type'))} executor, {market(detail)}.")
    if row["status"] == "failed" and detail.get("last_error"):
        line.append(f" {detail['last_error']}")
    return line


def worth(row: dict[str, Any]) -> Text:
    """`PnL 12.50 (+0.42 %), fees 0.31, filled 300.10`."""
    detail = row["detail"]
    line = Text("PnL ")
    line.append_text(profit(detail.get("net_pnl_quote")))
    line.append(f" ({percent(detail.get('net_pnl_pct'))} %)")
    line.append(f", fees {money(detail.get('fees_quote'))}, filled {money(detail.get('filled_quote'))}")
    return line


def whole(row: dict[str, Any], events: Sequence[dict[str, Any]]) -> RenderableType:
    """Everything about one executor, the newest events last."""
    parts: list[RenderableType] = [sentence(row), worth(row)]
    parts.append(Text(f"Executor {row['id']} on {row['account']}", style="dim"))
    parts += [Text(fact, style="dim") for fact in _facts(row)]
    table = listing("Time", "Level", "What", fold=("Time", "What"), empty="" if events else "No entry.")
    for event in events:
        level = str(event.get("level", ""))
        table.add_row(
            Text(when(epoch_ms(event["at"]))), Text(level, style=_LEVEL_STYLES.get(level, "")), Text(said_by(event))
        )
    parts.append(table)
    return Group(*parts)


def _facts(row: dict[str, Any]) -> list[str]:
    detail = row["detail"]
    ended = row.get("finished_at")
    known: dict[str, Any] = {
        "controller": row.get("correlation", {}).get("controller_id"),
        "started": when(epoch_ms(row["created_at"])),
        "ended": when(epoch_ms(ended)) if ended else None,
        "errors": f"{detail['error_count']}, the last: {detail.get('last_error')}"
        if detail.get("error_count")
        else None,
    }
    custom = detail.get("custom_info") or {}
    for name in list(custom)[:_MOST_FACTS]:
        known.setdefault(str(name), _fact(custom[name]))
    return [f"{name}: {value}" for name, value in known.items() if value not in (None, "", "[]", "{}")]


def _fact(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if _FRACTION.fullmatch(text):
        text = plain(text)
    return text if len(text) <= _LONGEST_FACT else f"{text[:_LONGEST_FACT]} and more; --json has it whole"


def said_by(event: dict[str, Any]) -> str:
    """What an event says, in one line."""
    what = str(event.get("title") or "") or ("" if event.get("type") == "executor.log" else str(event.get("type")))
    return ": ".join(part for part in (what, str(event.get("message") or "")) if part)


def line_of(event: dict[str, Any]) -> Text:
    """`09:30:00 info    Open order placed.`"""
    level = str(event.get("level", ""))
    return Text.assemble(
        f"{when(epoch_ms(event['at']))} ", (f"{level:<7}", _LEVEL_STYLES.get(level, "")), f" {said_by(event)}"
    )

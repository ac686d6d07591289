"""What the commands that trade share: where the server is, which account is meant, and how its errors are told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, NoReturn

import typer
from rich.text import Text

from gesta.cli.common import err
from gesta.client import (
    ApiError,
    ClientError,
    Gesta,
    RateLimited,
    Retry,
    ServerFault,
    Unreachable,
)
from gesta.kernel.errors import InvalidInput

SERVER_AT_FAULT, CALL_AT_FAULT = 1, 2
_SHORTEST_PREFIX, _WHOLE_ID = 4, 32
# Where an order or a fill is looked for by the beginning of its id.
SEARCHED_ROWS = 500

UrlOption = Annotated[
    str | None, typer.Option("--url", envvar="GESTA_URL", help="The server.", show_default="http://127.0.0.1:8080")
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token", envvar="GESTA_TOKEN", help="A bearer token; trading takes scope trade.", show_default="required"
    ),
]
AccountOption = Annotated[
    str | None, typer.Option("--account", "-a", envvar="GESTA_ACCOUNT", help="Account.", show_default="the only one")
]
ReadAccountOption = Annotated[
    str | None, typer.Option("--account", "-a", envvar="GESTA_ACCOUNT", help="Account.", show_default="every one")
]
JsonOption = Annotated[
    bool, typer.Option("--json", envvar="GESTA_JSON", help="Print the server's objects, as one JSON document.")
]
WatchOption = Annotated[
    bool, typer.Option("--watch", "-w", envvar="GESTA_WATCH", help="Refresh every second until Ctrl-C.")
]


class _Prompt(Retry, frozen=True, kw_only=True):
    """A person waits: a rate limit is waited for as the server says, a server that is not there hardly at all."""

    def wait_s(self, attempt: int, error: ClientError) -> float | None:
        if isinstance(error, Unreachable) and attempt > 1:
            return None
        return super().wait_s(attempt, error)


@contextmanager
def server(url: str | None, token: str | None) -> Iterator[Gesta]:
    """A client of the server. What it raises is told with the next step, and ends the command."""
    try:
        with Gesta(url, token, retry=_Prompt()) as gesta:
            yield gesta
    except ClientError as error:
        raise_exit(error)


def raise_exit(error: ClientError) -> NoReturn:
    """Say what went wrong and what to do next, and exit: 1 when the server is at fault, 2 when the call is."""
    err.print(Text("\n".join(explanation(error))))
    passing = isinstance(error, (Unreachable, RateLimited, ServerFault))
    raise typer.Exit(SERVER_AT_FAULT if passing else CALL_AT_FAULT) from None


def explanation(error: ClientError) -> list[str]:
    """The server's sentence, what it takes to be meant, and the next step."""
    lines = [f"gesta: {error.message}"]
    if isinstance(error, Unreachable):
        lines.append("Start the server with `gesta serve`, or say where it is with --url or GESTA_URL.")
    if not isinstance(error, ApiError):
        return lines
    if error.did_you_mean and "did you mean" not in error.message.lower():
        lines.append(f"Did you mean {error.did_you_mean}?")
    if error.status == 401:
        lines.append("`gesta keys create --type bearer --scope trade` makes a token; give it with GESTA_TOKEN.")
    elif error.status == 403:
        lines.append("`gesta keys create --type bearer --scope trade` makes a token that may; `--scope admin` may all.")
    elif error.code == "invalid_account" or error.problem.get("what") == "account":
        lines.append("`gesta accounts` lists them.")
    elif error.status == 404 and error.problem.get("what") in ("workflow", "version"):
        lines.append("`gesta workflows` lists them, `gesta workflows versions` their versions.")
    elif isinstance(error, RateLimited):
        lines.append("Wait a moment and run the command again, or raise the rate on the server.")
    elif isinstance(error, ServerFault) and error.request_id:
        lines.append(f"The server's log has it under {error.request_id}.")
    return lines


def account_names(gesta: Gesta) -> list[str]:
    return [str(account["name"]) for account in gesta.trading.accounts()]


def the_account(gesta: Gesta, given: str | None) -> str:
    """The account given, or the only one. Raises InvalidInput that lists them where there are several."""
    if given:
        return given
    names = account_names(gesta)
    if len(names) == 1:
        return names[0]
    if not names:
        raise InvalidInput("There is no trading account yet; `gesta init` makes Sim101.", where="arguments")
    raise InvalidInput(
        f"There are several accounts: {', '.join(names)}. Give --account, or set GESTA_ACCOUNT.", where="arguments"
    )


def the_accounts(gesta: Gesta, given: str | None) -> list[str]:
    """The account given, or every one."""
    return [given] if given else account_names(gesta)


def order_id(gesta: Gesta, account: str, text: str) -> str:
    """The id of the order that a text means: an id, the beginning of one, or the caller's own."""
    if len(text) == _WHOLE_ID:
        return text
    rows = list(gesta.trading.orders(account, limit=SEARCHED_ROWS))
    own = [str(row["orderId"]) for row in rows if row.get("originalOrderId") == text]
    return own[0] if own else by_prefix(text, [str(row["orderId"]) for row in rows])


def by_prefix(text: str, ids: Sequence[str]) -> str:
    """The one id that begins so, else the text as it stands. Raises InvalidInput where several do."""
    if len(text) < _SHORTEST_PREFIX:
        return text
    found = [one for one in ids if one.startswith(text.lower())]
    if len(found) > 1:
        raise InvalidInput(f"Several begin with {text}: {', '.join(found[:5])}.", where="arguments")
    return found[0] if found else text


def number(text: str) -> Decimal:
    """A decimal that was typed. Raises BadParameter."""
    try:
        made = Decimal(text)
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is not a number.") from None
    if not made.is_finite():
        raise typer.BadParameter(f"{text!r} is not a finite number.")
    return made


def said(**terms: Any) -> dict[str, Any]:
    """The terms that were given."""
    return {name: value for name, value in terms.items() if value is not None}


__all__ = [
    "SEARCHED_ROWS",
    "AccountOption",
    "JsonOption",
    "ReadAccountOption",
    "TokenOption",
    "UrlOption",
    "WatchOption",
    "account_names",
    "by_prefix",
    "explanation",
    "number",
    "order_id",
    "raise_exit",
    "said",
    "server",
    "the_account",
    "the_accounts",
]

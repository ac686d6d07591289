"""What the demo tells its user: where it answers, the credentials, one call per dialect. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import msgspec

from gesta.app.demo.stage import LINKED_ACCOUNT, TRADING_ACCOUNT, Secrets


class CrossTrade(msgspec.Struct, frozen=True):
    token: str
    account: str


class Hummingbot(msgspec.Struct, frozen=True):
    """`executor_id` is None where nothing trades."""

    username: str
    password: str
    executor_id: str | None


class Token(msgspec.Struct, frozen=True):
    token: str


class Refold(msgspec.Struct, frozen=True):
    api_key: str
    linked_account_id: str


class Handout(msgspec.Struct, frozen=True, kw_only=True):
    """The credentials file, as it is written."""

    base_url: str
    crosstrade: CrossTrade
    hummingbot: Hummingbot
    b3os: Token
    refold: Refold
    native: Token


def handout(base_url: str, secrets: Secrets, executor_id: str | None) -> Handout:
    return Handout(
        base_url=base_url,
        crosstrade=CrossTrade(secrets.crosstrade_token, TRADING_ACCOUNT),
        hummingbot=Hummingbot(secrets.hummingbot_username, secrets.hummingbot_password, executor_id),
        b3os=Token(secrets.b3os_token),
        refold=Refold(secrets.refold_api_key, LINKED_ACCOUNT),
        native=Token(secrets.native_token),
    )


def calls(given: Handout) -> dict[str, list[str]]:
    """One call per dialect, as the arguments of a command."""
    url = given.base_url
    executor = given.hummingbot.executor_id
    return {
        "CrossTrade: the fills of the last minutes": [
            *_bearer(given.crosstrade.token),
            f"{url}/v1/api/accounts/{given.crosstrade.account}/executions",
        ],
        f"Hummingbot: {'one executor' if executor else 'all executors, summed up'}": [
            "curl",
            "-s",
            "-u",
            f"{given.hummingbot.username}:{given.hummingbot.password}",
            f"{url}/executors/{executor or 'summary'}",
        ],
        "B3OS: the newest runs": [*_bearer(given.b3os.token), f"{url}/v1/executions?limit=5"],
        "Refold: the runs of a linked account": [
            "curl",
            "-s",
            "-H",
            f"x-api-key: {given.refold.api_key}",
            "-H",
            f"linked_account_id: {given.refold.linked_account_id}",
            f"{url}/api/v2/public/execution?page=1&limit=5",
        ],
        "Gesta: everything, with a total": [*_bearer(given.native.token), f"{url}/ledger/executions?limit=5"],
    }


def _bearer(token: str) -> list[str]:
    return ["curl", "-s", "-H", f"Authorization: Bearer {token}"]


def page(given: Handout, folder: str) -> str:
    """The text that is printed when the server answers."""
    return "\n".join(_lines(given, folder))


def _lines(given: Handout, folder: str) -> Iterator[str]:
    yield f"Gesta demo: simulated activity on {given.base_url}, kept in {folder}"
    yield ""
    yield f"  CrossTrade   token     {given.crosstrade.token}   account {given.crosstrade.account}"
    yield f"  Hummingbot   user      {given.hummingbot.username}   password {given.hummingbot.password}"
    yield f"  B3OS         token     {given.b3os.token}"
    yield f"  Refold       x-api-key {given.refold.api_key}   linked_account_id {given.refold.linked_account_id}"
    yield f"  Gesta        token     {given.native.token}"
    for title, call in calls(given).items():
        yield ""
        yield f"# {title}"
        yield shlex.join(call)
    yield ""
    yield "# Gesta: what happens, as it happens"
    yield shlex.join([*_bearer(given.native.token), "-N", f"{given.base_url}/ledger/stream"])
    yield ""
    yield "Ctrl-C stops it; the same command goes on where it stopped."

"""What the demo tells its user: where it answers, the credentials, calls for each dialect. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import msgspec

from gesta.app.demo.published import OPEN_POSITION
from gesta.app.demo.stage import LINKED_ACCOUNT, TRADING_ACCOUNT, Secrets
from gesta.kernel.json import encode_json


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


class Runs(msgspec.Struct, frozen=True, kw_only=True):
    """Runs to look at: one of an order, one that is paid by itself, with its client token, and where one may be paid by
    hand. None where there is none."""

    order_id: str | None = None
    paid_id: str | None = None
    client_token: str | None = None
    checkout_url: str | None = None


def handout(base_url: str, secrets: Secrets, executor_id: str | None) -> Handout:
    return Handout(
        base_url=base_url,
        crosstrade=CrossTrade(secrets.crosstrade_token, TRADING_ACCOUNT),
        hummingbot=Hummingbot(secrets.hummingbot_username, secrets.hummingbot_password, executor_id),
        b3os=Token(secrets.b3os_token),
        refold=Refold(secrets.refold_api_key, LINKED_ACCOUNT),
        native=Token(secrets.native_token),
    )


def calls(given: Handout, runs: Runs) -> dict[str, list[str]]:
    """Calls of each dialect, as the arguments of a command."""
    url = given.base_url
    executor = given.hummingbot.executor_id
    b3os, refold, found = _bearer(given.b3os.token), _refold(given), "api/v2/public/execution"
    made: dict[str, list[str]] = {
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
        "B3OS: the newest runs": [*b3os, f"{url}/v1/executions?limit=5"],
    }
    if runs.paid_id is not None:
        made["B3OS: a run that is paid, with its events"] = [*b3os, f"{url}/v1/executions/{runs.paid_id}"]
        made["B3OS: a run to be paid; the answer says where"] = [*b3os, *_json(_PURCHASE), f"{url}/v1/executions"]
    made["Refold: the runs of a linked account"] = [*refold, f"{url}/{found}?page=1&limit=5"]
    if runs.order_id is not None:
        made["Refold: one run, with its nodes"] = [*refold, f"{url}/{found}/{runs.order_id}"]
        made["Refold: an event, which starts a run"] = [*refold, *_json(_ORDER), f"{url}/api/v2/public/event/shop"]
    made["Gesta: everything, with a total"] = [*_bearer(given.native.token), f"{url}/ledger/executions?limit=5"]
    return made


def streams(given: Handout, runs: Runs) -> dict[str, list[str]]:
    """Calls whose answers go on."""
    made: dict[str, list[str]] = {}
    if runs.paid_id is not None and runs.client_token is not None:
        address = f"{given.base_url}/v1/public/executions/{runs.paid_id}/stream?token={runs.client_token}"
        made["B3OS: the run that is paid, as its payer follows it"] = ["curl", "-s", "-N", address]
    made["Gesta: what happens, as it happens"] = [
        *_bearer(given.native.token),
        "-N",
        f"{given.base_url}/ledger/stream",
    ]
    return made


_PURCHASE = {
    "workflowId": OPEN_POSITION,
    "sourceSystem": "me",
    "sourceEntityType": "try",
    "requestPayload": {"pair": "BTC-USDT", "side": "BUY", "notional": 1000},
}
_ORDER = {
    "event": "order.placed",
    "payload": {"number": "mine-1", "customer": "Me", "lines": [{"item": "lamp", "quantity": 2, "price": 49}]},
}


def _json(body: object) -> list[str]:
    return ["-H", "Content-Type: application/json", "-d", encode_json(body).decode()]


def _bearer(token: str) -> list[str]:
    return ["curl", "-s", "-H", f"Authorization: Bearer {token}"]


def _refold(given: Handout) -> list[str]:
    account = f"linked_account_id: {given.refold.linked_account_id}"
    return ["curl", "-s", "-H", f"x-api-key: {given.refold.api_key}", "-H", account]


def page(given: Handout, runs: Runs, folder: str) -> str:
    """The text that is printed when the server answers."""
    return "\n".join(_lines(given, runs, folder))


def _lines(given: Handout, runs: Runs, folder: str) -> Iterator[str]:
    yield f"Gesta demo on {given.base_url}, in a simulated market and without money, kept in {folder}"
    yield ""
    yield f"  CrossTrade   token     {given.crosstrade.token}   account {given.crosstrade.account}"
    yield f"  Hummingbot   user      {given.hummingbot.username}   password {given.hummingbot.password}"
    yield f"  B3OS         token     {given.b3os.token}"
    yield f"  Refold       x-api-key {given.refold.api_key}   linked_account_id {given.refold.linked_account_id}"
    yield f"  Gesta        token     {given.native.token}"
    if runs.checkout_url is not None:
        yield ""
        yield "# In a browser: a run that waits to be paid. Pay, and an executor trades for it; nothing is charged"
        yield runs.checkout_url
    for title, call in (calls(given, runs) | streams(given, runs)).items():
        yield ""
        yield f"# {title}"
        yield shlex.join(call)
    yield ""
    yield "Ctrl-C stops it; the same command goes on where it stopped."

"""The trading commands against a running server that trades a simulated market: orders in, fills and positions out."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gesta.access.model import AccountType, CredentialType, Scope
from gesta.cli.main import main
from gesta.client import AsyncGesta, BadRequest, Gesta
from tests.integration.hardening.house import Live


class Ended(msgspec.Struct, frozen=True):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out, parse_float=Decimal)


Command = Callable[..., Ended]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(**{"database.url": str(tmp_path_factory.mktemp("trading") / "gesta.sqlite3")}) as server:
        yield server


@pytest.fixture
def token(live: Live, request: pytest.FixtureRequest) -> str:
    """A token of an organization of the test's own, with one trading account."""
    access = live.core.access
    organization = live.run(access.create_organization(request.node.name[:60]))
    live.run(access.ensure_account(organization.id, "Sim101", AccountType.TRADING))
    made = live.run(
        access.create_credential(organization.id, type=CredentialType.BEARER, scopes=frozenset({Scope.ADMIN}))
    )
    return str(made.secret)


@pytest.fixture
def gesta(live: Live, token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.setenv("GESTA_URL", live.base_url)
    monkeypatch.setenv("GESTA_TOKEN", token)
    monkeypatch.delenv("GESTA_ACCOUNT", raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["gesta", *map(str, arguments)])
        code: Any = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        return Ended(int(code or 0), said.out, said.err)

    return run


def test_a_day_at_the_desk(gesta: Command) -> None:
    bought = gesta("order", "buy", "ES", 2, "--bracket", "40/80", "--json")
    assert bought.code == 0, bought.err
    order = bought.json
    assert (order["orderState"], order["filled"], order["instrument"][:3]) == ("Filled", 2, "ES ")
    working = gesta("orders", "--working", "--json").json
    assert {row["name"] for row in working} == {"Stop1", "Target1"}
    assert {row["entryOrderId"] for row in working} == {order["orderId"]}
    by_name = {row["name"]: row for row in working}
    price = Decimal(order["averageFillPrice"])
    assert Decimal(by_name["Stop1"]["stopPrice"]) <= price - 10
    assert Decimal(by_name["Target1"]["limitPrice"]) > price

    (position,) = gesta("positions", "--json").json
    assert (position["marketPosition"], position["quantity"]) == ("Long", 2)
    fills = gesta("executions", "--json").json
    assert {fill["detail"]["order_id"] for fill in fills} == {order["orderId"]}
    assert sum(Decimal(fill["detail"]["quantity"]) for fill in fills) == 2
    assert gesta("executions", "--json", "--since", "1h").json == fills

    changed = gesta(
        "order", "change", by_name["Target1"]["orderId"][:8], "--limit", by_name["Target1"]["limitPrice"] + 1
    )
    assert changed.code == 0, changed.err
    shown = gesta("order", "show", order["orderId"])
    assert "Filled: bought 2 ES" in shown.out
    assert "bracket: stop 40 ticks, target 80 ticks" in shown.out
    assert "order submitted" in shown.out

    flat = gesta("flatten", "--yes")
    assert (flat.code, flat.out.splitlines()[-1]) == (0, "Flat.")
    assert gesta("positions", "--json").json == []
    assert gesta("orders", "--working", "--json").json == []
    states = {row["name"]: row["orderState"] for row in gesta("orders", "--all", "--json").json}
    assert (states["Stop1"], states["Target1"], states["Close"]) == ("Cancelled", "Cancelled", "Filled")
    (account,) = gesta("accounts", "--json").json
    assert (account["account"]["name"], account["account"]["isAccountFlat"]) == ("Sim101", True)


def test_tables_are_for_eighty_columns(gesta: Command) -> None:
    gesta("order", "buy", "BTC-USDT", "0.5")
    gesta("order", "sell", "ES", 1, "--limit", 99_000, "--tif", "gtc")
    gesta("order", "buy", "ES", 1000)
    for words in (["accounts"], ["orders"], ["positions"], ["executions"]):
        ended = gesta(*words)
        assert (ended.code, ended.err) == (0, "")
        assert max(map(len, ended.out.splitlines())) <= 80
        assert len(ended.out.splitlines()) > 2
    assert "rejected" in gesta("orders").out


def test_what_the_server_refuses_is_told(gesta: Command) -> None:
    off_tick = gesta("order", "buy", "ES", 1, "--limit", "5000.1")
    assert (off_tick.code, off_tick.out) == (2, "")
    assert "5000.00 or 5000.25" in off_tick.err
    unknown = gesta("order", "buy", "ESX", 1)
    assert (unknown.code, "Did you mean" in unknown.err) == (2, True)
    stranger = gesta("order", "buy", "ES", 1, "--account", "Sim999")
    assert (stranger.code, "`gesta accounts` lists them." in stranger.err) == (2, True)
    again = gesta("order", "cancel", "0" * 32)
    assert (again.code, "not found or already terminal" in again.err) == (2, True)
    assert gesta("order", "show", "0" * 32).code == 2
    assert gesta("orders", "--json").json == []
    rejected = gesta("order", "buy", "ES", 1000)
    assert (rejected.code, rejected.out.startswith("Rejected: buy 1000 ES")) == (2, True)


def test_the_same_client_id_is_the_same_order(gesta: Command) -> None:
    words = ["order", "buy", "ES", 1, "--limit", 1000, "--client-id", "mine", "--json"]
    first, second = gesta(*words).json, gesta(*words).json
    assert first["orderId"] == second["orderId"]
    words[5] = 1001
    assert gesta(*words).code == 2
    assert len(gesta("orders", "--json").json) == 1
    cancelled = gesta("order", "cancel", "mine")
    assert (cancelled.code, cancelled.out.startswith("Cancelled")) == (0, True)


def test_a_bust_and_a_correction_move_the_position(gesta: Command, live: Live, token: str) -> None:
    gesta("order", "buy", "NQ", 1)
    gesta("order", "buy", "NQ", 1)
    newest, oldest = gesta("executions", "--json").json
    price = Decimal(oldest["detail"]["price"]) - 10
    corrected = gesta("executions", "correct", oldest["id"][:10], "--price", price, "--reason", "the venue's word")
    assert corrected.code == 0, corrected.err
    (position,) = gesta("positions", "--json").json
    expected = (price + Decimal(newest["detail"]["price"])) / 2
    assert Decimal(position["averagePrice"]) == expected
    assert gesta("executions", "bust", newest["id"], "--reason", "never happened").code == 0
    (position,) = gesta("positions", "--json").json
    assert (position["quantity"], Decimal(position["averagePrice"])) == (1, price)
    assert gesta("executions", "bust", newest["id"], "--reason", "twice").code == 2
    with Gesta(live.base_url, token) as client:
        events = [event["message"] for event in client.executions.events(newest["id"])]
        assert any("never happened" in message for message in events)
    # What the desk made is changed by the desk only.
    answer = httpx.post(
        f"{live.base_url}/ledger/executions/{oldest['id']}/transitions",
        json={"status": "cancelled"},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert (answer.status_code, "/bust" in answer.json()["detail"]) == (409, True)


def test_money_and_limits(gesta: Command) -> None:
    ended = gesta("accounts", "set", "Sim101", "--cash", "250000", "--max-position", 3)
    assert ended.out == "Sim101: cash 250,000.00 USD, net liquidation 250,000.00, largest position 3.\n"
    refused = gesta("order", "buy", "ES", 4)
    assert (refused.code, "at most 3" in refused.out.replace("\n", " ")) == (2, True)
    assert gesta("order", "buy", "ES", 3).code == 0


def test_two_accounts(gesta: Command, live: Live, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    organization = live.run(live.core.access.bearer(token)).organization
    live.run(live.core.access.ensure_account(organization.id, "Sim102", AccountType.TRADING))
    several = gesta("order", "buy", "ES", 1)
    assert several.code == 2
    assert "Sim101, Sim102" in several.err
    for name in ("Sim101", "Sim102"):
        monkeypatch.setenv("GESTA_ACCOUNT", name)
        assert gesta("order", "buy", "ES", 1).code == 0
    monkeypatch.delenv("GESTA_ACCOUNT")
    assert [row["account"] for row in gesta("orders", "--json").json] == ["Sim102", "Sim101"]
    assert "Sim102" in gesta("orders").out
    assert gesta("flatten", "--account", "Sim101", "--instrument", "ES").code == 0
    assert [row["account"] for row in gesta("positions", "--json").json] == ["Sim102"]
    assert gesta("flatten", "--everything", "--yes").out.splitlines()[-1] == "Flat."


async def test_the_async_client(live: Live, token: str) -> None:
    async with AsyncGesta(live.base_url, token) as client:
        placed = await client.trading.place("Sim101", "ES", "buy", 1, stop_ticks=20)
        order = await client.trading.wait("Sim101", placed["orderId"])
        assert order["orderState"] == "Filled"
        with pytest.raises(BadRequest):
            await client.trading.cancel("Sim101", placed["orderId"])
        replaced = [row async for row in client.trading.orders("Sim101", working=True)]
        assert [row["name"] for row in replaced] == ["Stop1"]
        closed = await client.trading.flatten("Sim101")
        assert [row["instrument"] for row in closed["closedPositions"]] == [order["instrument"]]
        assert (await client.trading.wait("Sim101", closed["orderIds"][0]))["orderState"] == "Filled"
        assert await client.trading.positions("Sim101") == []
        funds = await client.trading.funds("Sim101")
        assert Decimal(funds["cash"]) != Decimal(funds["starting_cash"])


def test_a_watch_on_a_terminal_refreshes_in_place_and_leaves_cleanly(live: Live, token: str) -> None:
    screen, terminal = pty.openpty()
    environment = {**os.environ, "GESTA_URL": live.base_url, "GESTA_TOKEN": token, "COLUMNS": "80", "TERM": "xterm"}
    # Whoever runs the tests in the background has them ignore interrupts, and a child would inherit that.
    gesta = Path(sys.executable).parent / "gesta"
    command = ["env", "--default-signal=INT", str(gesta), "positions", "--watch"]
    watching = subprocess.Popen(command, env=environment, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    try:
        with Gesta(live.base_url, token) as client:
            seen = _until(screen, b"No open position.")
            client.trading.place("Sim101", "ES", "buy", 1)
            seen += _until(screen, b"long 1")
        watching.send_signal(signal.SIGINT)
        seen += _until(screen, None)
        assert watching.wait(10) == 0
    finally:
        watching.kill()
        watching.wait()
        os.close(screen)
    # The cursor goes up over what was there, and is shown again at the end.
    assert b"\x1b[1A" in seen
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")
    assert b"Traceback" not in seen


def _until(screen: int, wanted: bytes | None) -> bytes:
    """What the terminal shows until something is there, or to the end."""
    seen = b""
    while wanted is None or wanted not in seen:
        ready, _, _ = select.select([screen], [], [], 20)
        assert ready, seen
        try:
            part = os.read(screen, 65536)
        except OSError:  # the other end is closed
            part = b""
        if not part:
            assert wanted is None, seen
            break
        seen += part
    return seen


def test_the_ledger_and_the_positions_agree(live: Live) -> None:
    assert live.verify().faults == []

"""The tables: what they say, that they fit, what `--json` and `--watch` make of them; flatten, busts, accounts set."""

from __future__ import annotations

import io
import json
import sys
import time
from decimal import Decimal
from typing import Any

import httpx
import pytest

from gesta.cli.tables import plain, short, terms, when
from gesta.kernel.errors import InvalidInput
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_server import FakeServer

FILL = "9f2c31d0a4b84f6e8c1d2e3f4a5b6c7d"


def test_accounts(run: Run, server: FakeServer) -> None:
    server.accounts = ["Sim101", "Sim102"]
    server.hold("Sim101", "Long", 2)
    ended = run("accounts")
    assert ended.code == 0, ended.err
    first = next(line for line in ended.out.splitlines() if line.startswith("Sim101"))
    assert first.split() == ["Sim101", "100,012.50", "99,987.50", "12.50", "-25.00", "ES", "12-26", "long", "2"]
    assert "flat" in next(line for line in ended.out.splitlines() if line.startswith("Sim102"))
    (one, two) = json.loads(run("accounts", "--json").out)
    assert (one["account"]["name"], two["positions"]) == ("Sim101", [])


def test_setting_an_account(run: Run, server: FakeServer) -> None:
    ended = run("accounts", "set", "Sim101", "--cash", "100000", "--max-position", 10)
    assert ended.out == "Sim101: cash 100,000.00 USD, net liquidation 100,000.50, largest position 10.\n"
    assert server.requests[-1] == (
        "PATCH",
        "/ledger/accounts/Sim101/funds",
        {"cash": "100000", "max_position": "10"},
    )
    assert run("accounts", "set", "Sim101").code == 2
    assert run("accounts", "set", "Sim101", "--cash", "much").code == 2


def test_positions(run: Run, server: FakeServer) -> None:
    assert "No open position." in run("positions").out
    server.hold("Sim101", "Short", 3)
    line = next(line for line in run("positions").out.splitlines() if line.startswith("Sim101"))
    assert line.split() == ["Sim101", "ES", "12-26", "short", "3", "6615.178571", "6610.25", "-32.50"]
    (row,) = json.loads(run("positions", "--json", "--account", "Sim101").out)
    assert row["averagePrice"] == 6615.178571428572


def test_orders(run: Run, server: FakeServer) -> None:
    assert "No order." in run("orders").out
    assert "No working order." in run("orders", "--working").out
    run("order", "buy", "ES", 2)
    server.add(account="Sim102")
    server.add()
    everything = run("orders").out
    # One account, so no column for it.
    assert "Account" not in everything
    assert everything.index("working") < everything.index("filled")
    assert "filled @ 5804.25" in everything
    working = run("orders", "--working").out
    assert ("filled" in working, "working" in working) == (False, True)
    assert [row["orderState"] for row in json.loads(run("orders", "--json").out)] == ["Working", "Filled"]
    assert len(json.loads(run("orders", "--json", "--limit", 1).out)) == 1
    server.accounts = ["Sim101", "Sim102"]
    both = run("orders", "--all")
    assert "Sim102" in both.out
    assert "Account" in both.out
    assert "Sim101" not in run("orders", "--account", "Sim102").out


@pytest.mark.parametrize("width", [80, 120, 160])
def test_tables_fit(run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    server.accounts = ["Sim101", "A rather long account name"]
    for name in server.accounts:
        server.hold(name, "Long", 2)
        server.add(account=name, orderState="Rejected", reason="Not enough buying power for this order. " * 3)
        server.add(account=name, orderType="StopLimit", reduceOnly=True, filled=1, averageFillPrice=5804.25)
        server.fill(FILL, account=name)
    for command in ("accounts", "orders", "positions", "executions"):
        lines = run(command).out.splitlines()
        assert max(map(len, lines)) <= width, command
        assert not any("…" in line for line in lines), command
    # An id is whole where there is room, and its beginning finds it where there is not.
    assert (FILL in run("executions").out) is (width == 160)
    assert "Not enough" in run("orders").out


def test_executions(run: Run, server: FakeServer) -> None:
    assert "No fill." in run("executions").out
    server.fill("f1")
    server.fill("f2", status="cancelled")
    server.fill("f3", version=2)
    said = run("executions").out
    assert "buy 2 ES 12-26 @ 5804.25 busted" in said
    assert "buy 2 ES 12-26 @ 5804.25 corrected" in said
    assert [row["id"] for row in json.loads(run("executions", "--json", "--limit", 2).out)] == ["f3", "f2"]
    asked = server.requests[-1][1]
    assert "kind=fill" in asked
    run("executions", "--since", "2026-11-20T09:30:00+02:00", "--account", "Sim101")
    asked = server.requests[-1][1]
    assert "created_from=2026-11-20T07%3A30%3A00%2B00%3A00" in asked
    assert "account=Sim101" in asked
    assert "limit=500" in asked
    assert run("executions", "--since", "8h").code == 0
    for wrong in ("yesterday", "99999999d", "999999d", "2026-13-01"):
        ended = run("executions", "--since", wrong)
        assert (ended.code, "--since" in ended.err) == (2, True)


def test_bust_and_correct(run: Run, server: FakeServer) -> None:
    server.fill(FILL)
    ended = run("executions", "correct", FILL[:6], "--price", "5804.5", "--reason", "typo")
    assert ended.code == 0, ended.err
    assert server.requests[-1] == (
        "POST",
        f"/ledger/executions/{FILL}/correct",
        {"reason": "typo", "price": "5804.5"},
    )
    assert "is corrected: buy 2 ES 12-26 @ 5804.5" in ended.out.replace("\n", " ")
    ended = run("executions", "bust", FILL, "--reason", "never was", "--json")
    assert json.loads(ended.out)["status"] == "cancelled"
    assert run("executions", "correct", FILL, "--reason", "x").code == 2
    assert run("executions", "bust", FILL).code == 2


def test_flatten(run: Run, server: FakeServer) -> None:
    server.accounts = ["Sim101", "Sim102"]
    assert "There are several accounts" in run("flatten").err
    for name in server.accounts:
        server.hold(name, "Long", 2)
    ended = run("flatten", "--account", "Sim101", "--instrument", "ES")
    assert ended.out.splitlines() == ["Closing long 2 ES 12-26 on Sim101.", "Flat."]
    assert server.requests[-2][2] == {"account": "Sim101", "instrument": "ES"}
    assert [row["account"] for row in server.positions] == ["Sim102"]
    assert run("flatten", "--everything", "--yes").code == 0
    assert server.positions == []
    assert "No open positions to flatten." in run("flatten", "--everything").out
    assert run("flatten", "--everything", "--account", "Sim101").code == 2


def test_what_does_not_close_is_told(run: Run, server: FakeServer) -> None:
    server.hold("Sim101", "Long", 2)
    server.closes = False
    ended = run("flatten")
    assert ended.code == 1
    assert "Still open: long 2 ES 12-26 on Sim101." in ended.err


@pytest.mark.parametrize(("answer", "code", "left"), [("n\n", 1, 1), ("y\n", 0, 0)])
def test_a_person_is_asked(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, left: int
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    server.hold("Sim101", "Long", 2)
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    ended = run("flatten")
    assert (ended.code, len(server.positions)) == (code, left)
    assert "Sim101 long 2 ES 12-26" in ended.err


def test_watching_prints_what_changed_and_ctrl_c_leaves(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[float] = []

    def sleep(seconds: float) -> None:
        passes.append(seconds)
        if len(passes) == 2:
            server.hold("Sim101", "Long", 2)
        if len(passes) == 3:
            server.refusals = [httpx.ConnectError("refused") for _ in range(2)]
        if len(passes) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    ended = run("positions", "--json", "--watch")
    assert (ended.code, ended.err) == (0, "")
    first, second = (json.loads(line) for line in ended.out.splitlines())
    assert (first, len(second)) == ([], 1)
    passes.clear()
    table = run("positions", "--watch")
    assert (table.code, table.out.count("Instrument")) == (0, 2)


def test_a_server_that_is_not_there_ends_a_watch_at_once(run: Run, server: FakeServer) -> None:
    server.refusals = [httpx.ConnectError("refused") for _ in range(2)]
    ended = run("positions", "--watch")
    assert (ended.code, "gesta serve" in ended.err) == (1, True)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5804.0, "5804"),
        (Decimal("5804.50"), "5804.5"),
        ("1E+2", "100"),
        (Decimal("0.00001234"), "0.00001234"),
        (None, "–"),
        (100, "100"),
        (0, "0"),
    ],
)
def test_numbers(value: Any, text: str) -> None:
    assert plain(value) == text


def test_words() -> None:
    touch = {
        "orderType": "MIT",
        "instrument": "ES",
        "orderAction": "Buy",
        "quantity": 1,
        "stopPrice": 5700.5,
        "timeInForce": "Day",
    }
    assert terms(touch) == "buy 1 ES touch 5700.5"
    assert short(FILL, wide=False) == "9f2c31d0"
    assert short("exec-1", wide=False) == "exec-1"
    assert when(None) == "–"
    assert when(0) == "–"
    assert len(when(1_600_000_000_000)) == len("2020-09-13")


def test_since_without_a_zone_is_of_this_machine() -> None:
    from gesta.cli.executions_command import moment

    assert moment("2026-11-20").endswith("+00:00")
    with pytest.raises(InvalidInput):
        moment("")

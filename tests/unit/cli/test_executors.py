"""Executors from the command line: what goes out, what is told, what is refused before anything goes out."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from gesta.cli import executors_command
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_server import FakeServer

LONG = "7Xq4zBvT9mWcLkR2sPyNfGhJdA3eU6oV1iQ5rZ8tYbK"


def sent(server: FakeServer) -> Any:
    """The config of the last executor that was asked for."""
    return [body for _, path, body in server.requests if path == "/ledger/executors"][-1]["config"]


def test_listing(run: Run, server: FakeServer) -> None:
    assert "No executor." in run("executors").out
    server.execute(LONG)
    server.execute("done", status="succeeded", detail={"close_type": "TAKE_PROFIT", "net_pnl_quote": "-3"})
    said = run("executors").out
    assert said == run("executors", "list").out
    assert LONG[:8] in said
    line = next(line for line in said.splitlines() if line.startswith("7Xq4"))
    assert line.split()[-5:] == ["BTC-USDT", "binance", "running", "12.50", "+0.42"]
    assert "take profit" in said
    assert [row["id"] for row in json.loads(run("executors", "list", "--json", "-n", 1).out)] == ["done"]


def test_those_that_run_are_listed_as_they_stand_now(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors_command, "MARKED_ROWS", 2)
    for name, status in (("old", "running"), ("new", "running"), ("done", "succeeded")):
        server.execute(name, status=status)
    rows = json.loads(run("executors", "list", "--json").out)
    assert [row["id"] for row in rows] == ["done", "new", "old"]
    asked = [path.partition("?")[0] for _, path, _ in server.requests]
    assert asked == ["/ledger/executions", "/ledger/executors/new"]


def test_marks_are_no_lines_of_a_log(run: Run, server: FakeServer) -> None:
    server.execute(LONG)
    server.events.append({**server.events[0], "seq": 4, "type": "executor.marked", "title": "Marked"})
    for words in (("logs", LONG), ("show", LONG)):
        assert "Marked" not in run("executors", *words).out


def test_filters(run: Run, server: FakeServer) -> None:
    server.execute("a1")
    server.execute("g1", config={"type": "grid_executor"})
    said = run("executors", "list", "--type", "grid", "--status", "active", "--controller", "main", "--json")
    assert [row["id"] for row in json.loads(said.out)] == ["g1"]
    asked = next(path for _, path, _ in server.requests if "kind=executor" in path)
    for part in ("kind=executor", "status=running", "status=stopping", "controller_id=main", "name=grid_executor"):
        assert part in asked
    assert "status=failed" not in asked
    run("executors", "list", "--status", "failed", "--account", "Sim101")
    asked = [path for _, path, _ in server.requests if "kind=executor" in path][-1]
    assert "status=failed" in asked
    assert "account=Sim101" in asked
    assert run("executors", "list", "--status", "wild").code == 2


@pytest.mark.parametrize("width", [80, 120, 160])
def test_the_table_fits(run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    server.execute(LONG, account="A rather long account name", detail={"connector": "binance_perpetual_testnet"})
    server.execute("b" * 44, detail={"net_pnl_quote": "-1234567.891", "close_type": "INSUFFICIENT_BALANCE"})
    for words in (("executors",), ("executors", "show", LONG)):
        lines = run(*words).out.splitlines()
        assert max(map(len, lines)) <= width
        assert not any("…" in line for line in lines)
    assert (LONG in run("executors").out) is (width == 160)


def test_showing(run: Run, server: FakeServer) -> None:
    server.execute(LONG, detail={"error_count": 2, "last_error": "Refused."})
    ended = run("executors", "show", LONG[:6])
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[:3] == [
        "Running: position executor, buy BTC-USDT binance.",
        "PnL 12.50 (+0.42 %), fees 0.31, filled 300.10",
        f"Executor {LONG} on master_account",
    ]
    for fact in ("controller: main", "entry: 97000.5", "current_retries: 0", "errors: 2, the last: Refused."):
        assert fact in ended.out
    assert "note" not in ended.out
    assert "Open order placed." in ended.out
    document = json.loads(run("executors", "show", LONG, "--json").out)
    assert (document["executor"]["id"], len(document["events"])) == (LONG, 3)
    server.execute(LONG[:7] + "other")
    ended = run("executors", "show", LONG[:6])
    assert (ended.code, LONG in ended.err) == (2, True)
    assert run("executors", "show", "nothing").code == 2
    assert run("executors", "show", "no").code == 2


def test_starting_a_position_from_flags(run: Run, server: FakeServer) -> None:
    words = "position --connector binance --pair BTC-USDT --side buy --amount 0.01 --stop-loss 0.02 --take-profit 0.03"
    ended = run("executors", "create", *words.split())
    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == [
        "Running: position executor, buy BTC-USDT binance.",
        "Executor made0 on master_account",
    ]
    assert sent(server) == {
        "type": "position_executor",
        "connector_name": "binance",
        "trading_pair": "BTC-USDT",
        "side": "BUY",
        "amount": "0.01",
        "triple_barrier_config": {"stop_loss": "0.02", "take_profit": "0.03", "open_order_type": "MARKET"},
    }
    more = "--price 97000 --trailing-stop 0.02/0.005 --time-limit 60 --leverage 5 --set activation_bounds=[0.01]"
    run("executors", "create", *words.split(), *more.split(), "--controller", "c1", "--key", "k1", "-a", "Sim101")
    assert sent(server)["triple_barrier_config"] == {
        "stop_loss": "0.02",
        "take_profit": "0.03",
        "time_limit": 60,
        "trailing_stop": {"activation_price": "0.02", "trailing_delta": "0.005"},
    }
    assert (sent(server)["entry_price"], sent(server)["leverage"]) == ("97000", 5)
    assert sent(server)["activation_bounds"] == ["0.01"]
    assert server.keys[-1] == "k1"
    assert {name: server.requests[-1][2][name] for name in ("account", "controller_id")} == {
        "account": "Sim101",
        "controller_id": "c1",
    }


@pytest.mark.parametrize(("price", "strategy"), [((), "MARKET"), (("--price", "97000"), "LIMIT")])
def test_an_order_is_what_its_price_says(run: Run, server: FakeServer, price: tuple[str, ...], strategy: str) -> None:
    run("executors", "create", "order", "--pair", "BTC-USDT", "--side", "sell", "--amount", 1, *price)
    assert (sent(server)["execution_strategy"], sent(server)["side"]) == (strategy, "SELL")


def test_starting_from_a_file(run: Run, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = tmp_path / "grid.toml"
    toml.write_text('type = "grid_executor"\nstart_price = 90000.10\n[triple_barrier_config]\ntake_profit = 0.001\n')
    run("executors", "create", "--file", toml, "--amount-quote", 500, "--set", "end_price=95000")
    assert sent(server) == {
        "type": "grid_executor",
        "start_price": "90000.10",
        "triple_barrier_config": {"take_profit": "0.001"},
        "total_amount_quote": "500",
        "end_price": 95000,
    }
    config = {"type": "xemm_executor", "buying_market": {"connector_name": "binance"}}
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(config).encode())))
    run("executors", "create", "xemm", "--file", "-", "--set", "buying_market.trading_pair=BTC-USDT")
    assert sent(server)["buying_market"] == {"connector_name": "binance", "trading_pair": "BTC-USDT"}
    assert run("executors", "create", "dca", "--file", toml).code == 2
    assert run("executors", "create", "--file", tmp_path / "none.json").code == 1


@pytest.mark.parametrize(
    "words",
    [
        "",
        "wild",
        "twap --stop-loss 0.02",
        "arbitrage --pair BTC-USDT",
        "position --amount much",
        "position --amount NaN",
        "position --side up",
        "position --trailing-stop 0.02",
        "position --set amount",
        "position --set =1",
        "position --set side=BUY --set side.x=1",
    ],
)
def test_what_makes_no_sense_sends_nothing(run: Run, server: FakeServer, words: str) -> None:
    ended = run("executors", "create", *words.split())
    assert (ended.code, server.requests) == (2, [])
    assert ended.err


@pytest.mark.parametrize(("name", "text"), [("a.json", "[]"), ("a.json", "{"), ("a.toml", "a ="), ("a.toml", "\x00")])
def test_a_file_that_is_none(run: Run, server: FakeServer, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    ended = run("executors", "create", "--file", tmp_path / name)
    assert (ended.code, server.requests) == (2, [])
    assert name in ended.err


def test_a_refusal_is_told(run: Run, server: FakeServer) -> None:
    detail = "amount (0) must be a number greater than 0"
    problem = {"type": "/problems/invalid_input", "status": 400, "detail": detail}
    server.refusals = [httpx.Response(400, json=problem)]
    ended = run("executors", "create", "position", "--amount", 0)
    assert (ended.code, ended.err) == (2, f"gesta: {detail}\n")


def test_stopping(run: Run, server: FakeServer) -> None:
    server.execute(LONG)
    ended = run("executors", "stop", LONG[:8], "--keep-position")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("Early stop: position executor, buy BTC-USDT binance.")
    body = next(body for _, path, body in server.requests if path.endswith("/stop"))
    assert body == {"keep_position": True}
    assert json.loads(run("executors", "stop", LONG, "--json").out)["status"] == "cancelled"


def test_logs(run: Run, server: FakeServer, slept: list[float]) -> None:
    server.execute(LONG)
    lines = run("executors", "logs", LONG).out.splitlines()
    assert [line.split()[-2:] for line in lines] == [["order", "placed."], ["error", "Refused."], ["info", "Filled"]]
    assert [json.loads(line)["seq"] for line in run("executors", "logs", LONG, "--json").out.splitlines()] == [1, 2, 3]
    assert slept == []


def test_following_ends_with_the_executor(run: Run, server: FakeServer, slept: list[float]) -> None:
    server.execute(LONG)
    server.ends_after = 3
    ended = run("executors", "logs", LONG, "-f")
    assert (ended.code, len(ended.out.splitlines())) == (0, 3)
    assert slept == [1.0]

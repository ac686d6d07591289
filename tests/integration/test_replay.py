"""`gesta replay` and `gesta serve --replay`: recordings in a whole server, and orders that they fill."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gesta.access.model import AccountType, CredentialType, Environment, Scope
from gesta.cli.main import main
from gesta.client import Conflict, Forbidden, Gesta
from gesta.venues.market_data.replay import ReplayFeed
from tests.integration.hardening.house import Live
from tests.unit.venues.market_data.samples import (
    ES_QUOTES,
    ES_TRADES,
    PERPETUAL_QUOTE,
    PERPETUAL_TRADE,
    QUOTES_CSV,
    TRADES_CSV,
    USDM,
    capture,
    real,
    write,
)

ES, BTC = "ES 03-24", "BTC-USDT-PERP"


class Ended(msgspec.Struct, frozen=True):
    code: int
    out: str
    err: str


Command = Callable[..., Ended]


def token_of(live: Live, name: str, *scopes: Scope) -> str:
    organization = live.run(live.core.access.create_organization(name[:60]))
    live.run(live.core.access.ensure_account(organization.id, "Sim101", AccountType.TRADING, Environment.PRODUCTION))
    made = live.run(
        live.core.access.create_credential(organization.id, type=CredentialType.BEARER, scopes=frozenset(scopes))
    )
    return str(made.secret)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """A server whose market is only what is pushed."""
    with Live(**{"database.url": str(tmp_path / "gesta.sqlite3"), "trading.market": "none"}) as server:
        yield server


@pytest.fixture
def gesta(live: Live, request: pytest.FixtureRequest) -> Iterator[Gesta]:
    token = token_of(live, request.node.name, Scope.READ, Scope.TRADE, Scope.ADMIN)
    with Gesta(live.base_url, token) as client:
        yield client


@pytest.fixture
def command(live: Live, gesta: Gesta, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.setenv("GESTA_URL", live.base_url)
    monkeypatch.setenv("GESTA_TOKEN", token_of(live, "replaying", Scope.ADMIN))

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["gesta", "replay", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


def test_a_tape_goes_in_and_in_again(command: Command, gesta: Gesta, tmp_path: Path) -> None:
    files = [write(tmp_path, "ESH4_q.csv.gz", QUOTES_CSV), write(tmp_path, "ESH4_t.csv", TRADES_CSV)]
    for _ in range(2):
        ended = command(*files, "--speed", "max")
        assert ended.code == 0, ended.err
        assert f"6 quotes and trades of {ES}" in ended.out
        assert "× real time" in ended.out
        said = gesta.market.get(ES)
        assert (said["bid"], said["ask"], said["volume"]) == ("4800.25", "4800.50", "50")
        assert (said["time"], said["source"]) == ("2023-12-25T23:00:01.000000Z", "push")
    assert [each["instrument"] for each in gesta.market.list()] == [ES]


def test_a_pace_is_kept_and_the_time_is_the_recordings(command: Command, gesta: Gesta, tmp_path: Path) -> None:
    ended = command(f"NQ={write(tmp_path, 'quotes.csv', QUOTES_CSV)}", "--speed", "20")
    assert ended.code == 0, ended.err
    assert gesta.market.get("NQ 03-24")["bid"] == "4800.25"


def test_what_cannot_be_used_is_told(command: Command, gesta: Gesta, tmp_path: Path) -> None:
    bad = QUOTES_CSV + "1703545202000000000,4800.10,4800.25,1,1\n"
    ended = command(write(tmp_path, "ESH4_q.csv", bad), "--speed", "max")
    assert ended.code == 1
    assert "ESH4_q.csv:5: `price` 4800.10 is not a multiple" in ended.err
    assert "1 lines or rows were refused" in ended.err
    assert gesta.market.get(ES)["bid"] == "4800.25"


def test_several_instruments_at_once(command: Command, gesta: Gesta, tmp_path: Path) -> None:
    messages = [PERPETUAL_QUOTE, PERPETUAL_TRADE] * 700
    ended = command(
        write(tmp_path, "btc.gz", capture(messages)), write(tmp_path, "ESH4_q.csv", QUOTES_CSV), "--speed", "max"
    )
    assert ended.code == 0, ended.err
    assert {each["instrument"] for each in gesta.market.list()} == {ES, BTC}
    # The trades of the capture differ in nothing but the line they stand on: each counts once.
    assert gesta.market.get(BTC)["volume"] == "4.200"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.csv"], "cannot be opened"),
        (["--speed", "fast", "missing.csv"], "--speed is a number"),
        (["--speed", "0", "missing.csv"], "--speed is a number"),
        (["--speed", "nan", "missing.csv"], "--speed is a number"),
    ],
)
def test_calls_that_are_wrong(command: Command, arguments: list[str], said: str) -> None:
    ended = command(*arguments)
    assert (ended.code, said in ended.err) == (2, True), ended.err


def test_the_servers_refusals_are_told(
    command: Command, live: Live, gesta: Gesta, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "ESH4_q.csv", QUOTES_CSV)
    trader = token_of(live, "trader", Scope.READ, Scope.TRADE)
    monkeypatch.setenv("GESTA_TOKEN", trader)
    ended = command(path, "--speed", "max")
    assert ended.code == 2
    assert "admin" in ended.err
    with Gesta(live.base_url, trader) as other, pytest.raises(Forbidden):
        other.market.push([{"instrument": "BTC-USDT", "price": "1", "size": "1"}])
    monkeypatch.setenv("GESTA_URL", "http://127.0.0.1:9")
    ended = command(path, "--speed", "max")
    assert ended.code == 1
    assert "gesta serve" in ended.err
    assert gesta.market.list() == []


def until(live: Live, met: Callable[[], bool]) -> None:
    async def wait() -> None:
        while not met():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)

    live.run(asyncio.wait_for(wait(), 20))


def test_pushed_prices_fill_an_order(gesta: Gesta) -> None:
    row: dict[str, Any] = {"instrument": ES, "bid_size": 5, "ask_size": 5}
    first = {**row, "bid": "4800.00", "ask": "4800.25", "time": "2023-12-26T15:00:00Z"}
    assert gesta.market.push([first], restart=True).taken == 1
    placed = gesta.trading.place("Sim101", "ES", "buy", 2, limit_price="4799.50")
    then = {**row, "bid": "4799.00", "ask": "4799.25", "time": "2023-12-26T15:00:01Z"}
    assert gesta.market.push([then]).taken == 1
    order = gesta.trading.wait("Sim101", placed["orderId"])
    assert order["orderState"] == "Filled"
    fills = list(gesta.executions.list(kind="fill"))
    assert [fill["detail"]["instrument"] for fill in fills] == [ES]


def test_a_server_replays_its_own_files(tmp_path: Path) -> None:
    quotes, trades = write(tmp_path, "ESH4_q.csv", QUOTES_CSV), write(tmp_path, "ESH4_t.csv", TRADES_CSV)
    settings = {"trading.market": "replay", "trading.replay": f"{quotes}:{trades}", "trading.speed": "max"}
    with Live(**{"database.url": str(tmp_path / "gesta.sqlite3"), **settings}) as live:
        assert live.server.trading is not None
        (feed,) = live.server.trading.market.feeds()
        assert isinstance(feed, ReplayFeed)
        until(live, lambda: feed.is_over)
        token = token_of(live, "own files", Scope.READ, Scope.ADMIN)
        with Gesta(live.base_url, token) as gesta:
            said = gesta.market.get("ES")
            assert (said["instrument"], said["source"]) == (ES, "replay:ESH4_q.csv and 1 more")
            assert (said["is_stale"], said["is_simulated"], said["volume"]) == (True, False, "50")
            # It is over, so that what is pushed takes its place.
            assert gesta.market.push([{"instrument": ES, "price": "4801", "size": 1}]).taken == 1


def test_a_replay_that_runs_is_not_pushed_aside(tmp_path: Path) -> None:
    path = write(tmp_path, "ESH4_q.csv", QUOTES_CSV)
    settings = {"trading.market": "replay", "trading.replay": path, "trading.speed": "0.001"}
    with Live(**{"database.url": str(tmp_path / "gesta.sqlite3"), **settings}) as live:
        token = token_of(live, "running", Scope.READ, Scope.ADMIN)
        with Gesta(live.base_url, token) as gesta, pytest.raises(Conflict, match="replay:ESH4"):
            gesta.market.push([{"instrument": ES, "price": "4801", "size": 1}])


@real
def test_the_real_hour_of_es_fills_an_order(command: Command, gesta: Gesta) -> None:
    # The first quote makes the market known; a sale above it rests, and the hour trades through it.
    row = {"instrument": ES, "bid": "4800.00", "ask": "4800.25", "bid_size": 4, "ask_size": 7}
    gesta.market.push([{**row, "time": "2023-12-25T23:00:00Z"}], restart=True)
    placed = gesta.trading.place("Sim101", "ES", "sell", 3, limit_price="4805.00", time_in_force="GTC")
    ended = command(ES_QUOTES, ES_TRADES, "--speed", "max")
    assert ended.code == 0, ended.err
    assert f"28,397 quotes and trades of {ES}" in ended.out
    said = gesta.market.get("ES")
    assert (said["bid"], said["ask"], said["instrument"]) == ("4810.00", "4810.25", ES)
    assert gesta.trading.wait("Sim101", placed["orderId"])["orderState"] == "Filled"
    fills = list(gesta.executions.list(kind="fill"))
    assert {fill["detail"]["price"] for fill in fills} == {"4805.00"}


@real
def test_the_real_capture_goes_through_a_server(tmp_path: Path) -> None:
    settings = {"trading.market": "replay", "trading.replay": str(USDM), "trading.speed": "max"}
    with Live(**{"database.url": str(tmp_path / "gesta.sqlite3"), **settings}) as live:
        assert live.server.trading is not None
        (feed,) = live.server.trading.market.feeds()
        assert isinstance(feed, ReplayFeed)
        until(live, lambda: feed.is_over)
        told = feed.progress()
        assert (told.taken, told.refused, feed.failed) == (87_402, 0, None)
        assert live.server.trading.market.snapshot(BTC).gaps == 1

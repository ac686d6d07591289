"""Executors from the command line against a running server: started, watched, stopped, and what the ledger has then."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from gesta.client import AsyncGesta, Conflict, Gesta
from tests.integration.test_cli_trading import Command, gesta, live, token

__all__ = ["gesta", "live", "token"]

POSITION = "position --connector binance --side buy --amount 0.01 --stop-loss 0.5 --take-profit 0.5"


def test_a_position_from_start_to_end(gesta: Command) -> None:
    made = gesta("executors", "create", *POSITION.split(), "--pair", "BTC-USDT", "--json")
    assert made.code == 0, made.err
    identifier = made.json["id"]
    assert (made.json["account"], made.json["status"]) == ("master_account", "running")

    listed = gesta("executors", "list", "--status", "active", "--type", "position", "--json").json
    assert [row["id"] for row in listed] == [identifier]
    with Gesta() as client:
        # Open once its order has filled.
        for _ in range(100):
            if list(client.executors.fills(identifier)):
                break
            client._sleep(0.05)
        (fill,) = client.executors.fills(identifier)
        assert (fill["parent_id"], fill["detail"]["side"]) == (identifier, "buy")
        assert Decimal(fill["detail"]["quantity"]) == Decimal("0.01")

    shown = gesta("executors", "show", identifier[:10])
    assert shown.code == 0, shown.err
    assert "position executor, buy BTC-USDT binance." in shown.out
    assert "PnL " in shown.out

    stopped = gesta("executors", "stop", identifier[:10])
    assert stopped.code == 0, stopped.err
    assert stopped.out.startswith("Early stop: position executor")
    lines = gesta("executors", "logs", identifier, "-f").out.splitlines()
    assert len(lines) >= 3
    again = gesta("executors", "stop", identifier)
    assert (again.code, "over already" in again.err) == (2, True)
    with Gesta() as client:
        sold = [
            row["detail"]["quantity"] for row in client.executors.fills(identifier) if row["detail"]["side"] == "sell"
        ]
        assert sum(map(Decimal, sold)) == Decimal("0.01")


def test_a_file_a_key_and_a_refusal(gesta: Command, tmp_path: Path) -> None:
    file = tmp_path / "order.toml"
    file.write_text(
        'type = "order_executor"\nconnector_name = "binance"\ntrading_pair = "BTC-USDT"\nside = "BUY"\namount = 0.01\n'
        'execution_strategy = "LIMIT"\nprice = 10000.5\n'
    )
    first = gesta("executors", "create", "--file", file, "--key", "k1", "--json")
    assert first.code == 0, first.out
    again = gesta("executors", "create", "--file", file, "--key", "k1", "--json")
    assert again.json["id"] == first.json["id"]
    other = gesta("executors", "create", "--file", file, "--key", "k1", "--set", "amount=0.02")
    assert (other.code, "idempotency key" in other.err) == (2, True)
    wrong = gesta("executors", "create", *POSITION.split(), "--pair", "NO-SUCH", "--amount", "-1")
    assert (wrong.code, "amount" in wrong.err) == (2, True)
    nowhere = gesta("executors", "create", "--file", file, "--account", "Sim999")
    assert (nowhere.code, "Sim999" in nowhere.err) == (2, True)
    assert len(gesta("executors", "list", "--json").json) == 1
    assert gesta("executors", "stop", first.json["id"], "--keep-position").code == 0


def test_the_async_client(gesta: Command) -> None:
    async def work() -> None:
        async with AsyncGesta() as client:
            config = {"type": "order_executor", "connector_name": "binance", "trading_pair": "BTC-USDT", "side": "BUY"}
            config |= {"amount": "0.01", "execution_strategy": "MARKET"}
            made = await client.executors.create(config, account="Sim101", controller_id="c1")
            ended = await client.executors.wait(made["id"])
            assert (ended["status"], ended["account"]) == ("succeeded", "Sim101"), ended
            assert [row["id"] async for row in client.executors.list(controller_id="c1")] == [made["id"]]
            with pytest.raises(Conflict, match="over already"):
                await client.executors.stop(made["id"])

    asyncio.run(work())

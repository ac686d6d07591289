"""Orders from the command line: what goes out, what is told, what a refusal looks like."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_server import FakeServer, refused


def placed(server: FakeServer) -> dict[str, Any]:
    """The body of the last order that was sent, without the id that it was given."""
    bodies = [body for method, path, body in server.requests if path.endswith("/orders/place")]
    return {key: value for key, value in bodies[-1].items() if key != "orderId"}


def test_a_market_order_tells_its_fill(run: Run, server: FakeServer) -> None:
    ended = run("order", "buy", "ES", 2)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "Filled: bought 2 ES 12-26 at 5804.25.",
        f"Order {server.orders[0]['orderId']} on Sim101",
    ]
    assert placed(server) == {
        "instrument": "ES",
        "action": "BUY",
        "quantity": 2,
        "orderType": "MARKET",
        "timeInForce": "DAY",
    }


def test_every_term_goes_out(run: Run, server: FakeServer) -> None:
    server.outcomes.append({"orderState": "Working", "filled": 0})
    words = "sell ES 0.5 --limit 5804.25 --stop 5805 --tif gtc --bracket 8/16 --oco g1 --reduce-only --client-id mine"
    ended = run("order", *words.split(), "--account", "Sim102")
    assert ended.code == 0, ended.err
    assert "Working: sell 0.5 ES 12-26 stop 5805 limit 5804.25 gtc reduce-only." in ended.out
    assert placed(server) == {
        "instrument": "ES",
        "action": "SELL",
        "quantity": 0.5,
        "orderType": "STOPLIMIT",
        "timeInForce": "GTC",
        "limitPrice": 5804.25,
        "stopPrice": 5805,
        "ocoId": "g1",
        "reduceOnly": True,
        "stopLossTicks": 8,
        "takeProfitTicks": 16,
    }
    _, path, body = server.requests[0]
    assert (path, body["orderId"]) == ("/v1/api/accounts/Sim102/orders/place", "mine")


@pytest.mark.parametrize(
    ("flags", "type", "price"),
    [("--stop 5900", "STOPMARKET", 5900), ("--mit 5700.5", "MIT", 5700.5), ("--limit 5700", "LIMIT", None)],
)
def test_the_type_follows_from_the_flags(
    run: Run, server: FakeServer, flags: str, type: str, price: float | None
) -> None:
    run("order", "buy", "ES", 1, *flags.split())
    assert (placed(server)["orderType"], placed(server).get("stopPrice")) == (type, price)


def test_a_bracket_is_told_with_its_entry(run: Run, server: FakeServer) -> None:
    ended = run("order", "buy", "ES", 2, "--bracket", "8/16")
    assert ended.out.splitlines()[2:] == [
        "  Stop1: sell 2 ES 12-26 stop 5802.25 gtc",
        "  Target1: sell 2 ES 12-26 limit 5808.25 gtc",
    ]
    assert (placed(server)["stopLossTicks"], placed(server)["takeProfitTicks"]) == (8, 16)
    run("order", "buy", "ES", 2, "--bracket", "/16")
    assert "stopLossTicks" not in placed(server)
    assert placed(server)["takeProfitTicks"] == 16


@pytest.mark.parametrize("bracket", ["8", "/", "8/16/3", "0/16", "a/b", "-8/16", "8.5/16", "99999999/1"])
def test_a_bracket_that_is_none_sends_nothing(run: Run, server: FakeServer, bracket: str) -> None:
    ended = run("order", "buy", "ES", 2, f"--bracket={bracket}")
    assert ended.code == 2
    assert "8/16" in ended.err
    assert server.requests == []


@pytest.mark.parametrize(
    "words",
    [
        "buy ES",
        "buy ES two",
        "buy ES NaN",
        "buy ES 1 --limit abc",
        "buy ES 1 --tif never",
        "buy ES 1 --mit 1 --limit 2",
        "buy ES 1 --wait -1",
        "change 1234",
        "hold ES 1",
    ],
)
def test_what_makes_no_sense_sends_nothing(run: Run, server: FakeServer, words: str) -> None:
    ended = run("order", *words.split())
    assert ended.code == 2, ended.out
    assert ended.err
    assert server.requests == []


def test_a_rejection_tells_the_venues_reason(run: Run, server: FakeServer) -> None:
    reason = "Not enough buying power: 12,500.00 is needed, 200.00 is there."
    server.outcomes.append({"orderState": "Rejected", "filled": 0, "reason": reason})
    ended = run("order", "buy", "ES", 2)
    assert ended.code == 2
    assert ended.out.startswith("Rejected: buy 2 ES 12-26 market.")
    assert "Not enough buying power" in ended.out


def test_json_is_the_order_whole(run: Run, server: FakeServer) -> None:
    ended = run("order", "buy", "ES", 2, "--json")
    assert json.loads(ended.out) == {**server.orders[0], "success": True}


def test_waiting_is_for_the_end(run: Run, server: FakeServer, slept: list[float]) -> None:
    server.outcomes.append({"orderState": "Working", "filled": 1})
    ended = run("order", "buy", "ES", 2, "--limit", "5804.25", "--wait", "3")
    assert "Working: buy 2 ES 12-26 limit 5804.25. So far 1 @ 5804.25." in ended.out
    assert sum(slept) == pytest.approx(3)
    slept.clear()
    server.outcomes.append({"orderState": "Working", "filled": 0})
    run("order", "buy", "ES", 2, "--limit", "5804.25")
    assert slept == []


def test_several_accounts_and_none_named(run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.accounts = ["Sim101", "Sim102"]
    ended = run("order", "buy", "ES", 1)
    assert ended.code == 2
    assert ended.err == ("gesta: There are several accounts: Sim101, Sim102. Give --account, or set GESTA_ACCOUNT.\n")
    assert server.orders == []
    monkeypatch.setenv("GESTA_ACCOUNT", "Sim102")
    assert run("order", "buy", "ES", 1).code == 0
    assert server.orders[0]["account"] == "Sim102"
    server.accounts = []
    monkeypatch.delenv("GESTA_ACCOUNT")
    assert "gesta init" in run("order", "buy", "ES", 1).err


def test_the_servers_refusals_are_told_with_the_next_step(run: Run, server: FakeServer) -> None:
    detail = "there is no instrument 'ESX'"
    server.refusals = [refused(400, "Invalid request", detail=detail, did_you_mean="ES")]
    ended = run("order", "buy", "ESX", 1, "-a", "Sim101")
    assert (ended.code, ended.err) == (2, f"gesta: {detail}\nDid you mean ES?\n")
    server.refusals = [refused(404, "invalid_account", detail="Account Sim9 not found")]
    assert "`gesta accounts` lists them." in run("order", "buy", "ES", 1, "-a", "Sim9").err
    server.refusals = [refused(401, "unauthorized", detail="The token is not valid.")]
    assert "gesta keys create --type bearer --scope trade" in run("order", "buy", "ES", 1, "-a", "Sim9").err
    server.refusals = [refused(403, "forbidden", detail="This credential lacks the scope `trade`.")]
    assert "--scope trade" in run("order", "buy", "ES", 1, "-a", "Sim9").err
    server.refusals = [refused(500, "internal_error", detail="Internal error", request_id="r-1")]
    ended = run("order", "buy", "ES", 1, "-a", "Sim9")
    assert (ended.code, "r-1" in ended.err) == (1, True)


def test_no_server_says_how_to_start_one(run: Run, server: FakeServer, slept: list[float]) -> None:
    server.refusals = [httpx.ConnectError("Connection refused") for _ in range(2)]
    ended = run("order", "buy", "ES", 1, "-a", "Sim101")
    assert ended.code == 1
    assert "gesta serve" in ended.err
    assert "GESTA_URL" in ended.err
    # A person is not kept waiting.
    assert sum(slept) < 1


def test_a_rate_limit_is_waited_for(run: Run, server: FakeServer, slept: list[float]) -> None:
    server.refusals = [httpx.Response(429, json={"error": "Rate limit exceeded"}, headers={"retry-after": "3"})]
    ended = run("order", "buy", "ES", 1, "-a", "Sim101")
    assert (ended.code, slept[0]) == (0, 3)
    first, second = (body for _, path, body in server.requests if path.endswith("/place"))
    assert first == second
    assert len(server.orders) == 1


def test_without_a_token(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GESTA_TOKEN")
    ended = run("orders")
    assert ended.code == 2
    assert "GESTA_TOKEN" in ended.err


def test_cancelling_by_id_by_its_beginning_and_by_the_clients_own(run: Run, server: FakeServer) -> None:
    ids = [server.add(originalOrderId=f"mine-{number}")["orderId"] for number in range(3)]
    ended = run("order", "cancel", ids[0], ids[1][:8], "mine-2")
    assert ended.code == 0, ended.err
    assert {row["orderState"] for row in server.orders} == {"Cancelled"}
    assert ended.out.count("Cancelled: sell 2 ES 12-26 limit 5808.25 gtc. Cancelled by the caller.") == 3


def test_one_that_cannot_be_cancelled_does_not_save_the_others(run: Run, server: FakeServer) -> None:
    kept = server.add()["orderId"]
    ended = run("order", "cancel", "nothing", kept)
    assert ended.code == 2
    assert "Order linked to 'nothing' not found or already terminal." in ended.err
    assert server.orders[0]["orderState"] == "Cancelled"


def test_a_beginning_that_several_have(run: Run, server: FakeServer) -> None:
    for number in range(2):
        server.add(orderId=f"abcd{number}" + "0" * 27)
    ended = run("order", "cancel", "abcd")
    assert ended.code == 2
    assert "abcd0" in ended.err
    assert {row["orderState"] for row in server.orders} == {"Working"}


def test_changing(run: Run, server: FakeServer) -> None:
    row = server.add()
    ended = run("order", "change", row["orderId"][:8], "--limit", "5810.5", "--quantity", 3)
    assert ended.out.startswith("Working: sell 3 ES 12-26 limit 5810.5 gtc.")
    assert server.requests[-2][2] == {"quantity": 3, "limitPrice": 5810.5}


def test_showing_an_order_and_its_life(run: Run, server: FakeServer) -> None:
    run("order", "buy", "ES", 2, "--bracket", "8/16", "--client-id", "mine")
    ended = run("order", "show", "mine")
    assert "Filled: bought 2 ES 12-26 at 5804.25." in ended.out
    assert "client id: mine" in ended.out
    assert "bracket: stop 8 ticks, target 16 ticks" in ended.out
    assert [line.split()[-4:] for line in ended.out.splitlines() if " fill " in line] == [["fill", "2", "@", "5804.25"]]
    document = json.loads(run("order", "show", "mine", "--json").out)
    assert (document["order"]["originalOrderId"], len(document["events"])) == ("mine", 2)
    assert run("order", "show", "other").code == 2

"""What the WebSocket pushes: account events, market data and PnL, to whom, in which order, and when it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from gesta.access.model import AccountType, Environment, Scope
from gesta.apis.crosstrade import frames, market_pushes, outbox, stream
from gesta.apis.crosstrade.codec import encode
from gesta.ledger.records import Status
from gesta.testing.fake_access import principal
from tests.wire.crosstrade.stream_house import (
    PATIENCE_S,
    StreamHouse,
    ask,
    fill_update,
    hear,
    order_update,
    position_update,
    say,
    until,
)

EVENTS = ["orders", "executions", "positions"]
READY = {"type": "status", "state": "ready", "seq": 1}


@pytest.fixture
async def open_house(house: Any) -> AsyncIterator[StreamHouse]:
    made = StreamHouse(house)
    async with made.serving():
        yield made
    assert made.without_listeners()


async def closing(peer: Any) -> tuple[int, str]:
    """What it is closed with; frames before that are of no interest."""
    async with asyncio.timeout(PATIENCE_S):
        with suppress(ConnectionClosedError):
            async for _ in peer:
                pass
    return peer.close_code, peer.close_reason


async def subscribed(peer: Any, **more: Any) -> None:
    ack = await ask(peer, action="subscribe", events=EVENTS, **more)
    assert ack == {"status": "subscribed", "events": EVENTS, **more}
    assert await hear(peer) == READY


# -- account events


async def test_an_order_its_fill_and_its_position_in_that_order(open_house: StreamHouse) -> None:
    account = await open_house.account()
    async with open_house.connect() as peer:
        await subscribed(peer, origin="tradovate")
        fill = fill_update(account)
        open_house.trading.publish(1, order_update(account), fill, position_update(account))
        order, execution, position = [await hear(peer) for _ in range(3)]
    head = {"epoch": open_house.base.clock.now_us() // 1000, "account": "Sim101", "accountId": account.id}
    assert [order.pop("type"), execution.pop("type"), position.pop("type")] == [
        "orderUpdate",
        "executionUpdate",
        "positionUpdate",
    ]
    assert [order.pop("seq"), execution.pop("seq"), position.pop("seq")] == [2, 3, 4]
    assert (order["order"]["orderId"], order["order"]["orderState"]) == (f"{1:032x}", "Working")
    assert execution == {**head, "operation": "Add", "execution": encode(fill.execution, account)}
    assert position["position"]["marketPosition"] == "Long"
    assert {key: order[key] for key in head} == {key: position[key] for key in head} == head


async def test_who_asked_for_nothing_hears_nothing(open_house: StreamHouse) -> None:
    account = await open_house.account()
    async with open_house.connect() as peer, open_house.connect("gst_rival") as rival:
        await subscribed(rival)
        open_house.trading.publish(1, order_update(account))
        assert await ask(peer, action="ping") == {"type": "pong"}
        assert await ask(rival, action="ping") == {"type": "pong"}


async def test_only_the_topics_that_were_asked_for(open_house: StreamHouse) -> None:
    account = await open_house.account()
    async with open_house.connect() as peer:
        ack = await ask(peer, action="subscribe", id=7, events=["executions"])
        assert ack == {"id": 7, "status": "subscribed", "events": ["executions"]}
        assert await hear(peer) == READY
        open_house.trading.publish(1, order_update(account), fill_update(account), position_update(account))
        assert (await hear(peer))["type"] == "executionUpdate"
        assert (await ask(peer, action="subscribe", events=["orders"]))["status"] == "subscribed"
        assert (await hear(peer))["seq"] == 3
        open_house.trading.publish(1, order_update(account), position_update(account))
        assert (await hear(peer))["type"] == "orderUpdate"
        assert (await ask(peer, action="ping")) == {"type": "pong"}


async def test_a_fill_that_is_taken_back_or_corrected_says_so(open_house: StreamHouse) -> None:
    account = await open_house.account()
    async with open_house.connect() as peer:
        await subscribed(peer)
        updates = [
            fill_update(account, 1),
            fill_update(account, 1, version=2),
            fill_update(account, 1, version=3, status=Status.CANCELLED),
        ]
        open_house.trading.publish(1, *updates)
        assert [(await hear(peer))["operation"] for _ in updates] == ["Add", "Update", "Remove"]


async def test_unsubscribed_events_do_not_come_any_more(open_house: StreamHouse) -> None:
    account = await open_house.account()
    async with open_house.connect() as peer:
        await subscribed(peer)
        assert (await ask(peer, action="unsubscribe", events=["orders", "positions"]))["status"] == "unsubscribed"
        open_house.trading.publish(1, order_update(account), fill_update(account))
        assert (await hear(peer))["type"] == "executionUpdate"
        assert (await ask(peer, action="unsubscribe", events=EVENTS)) == {"status": "unsubscribed", "events": EVENTS}
        assert open_house.without_listeners()


async def test_another_organization_and_other_accounts_stay_apart(open_house: StreamHouse, bind: Any) -> None:
    sim, other = await open_house.account(), await open_house.account("Apex-7")
    tested = await open_house.access.ensure_account(1, "Test", AccountType.TRADING, Environment.TEST)
    rivals = await open_house.account("Rival1", 2)
    bind(account=other, scopes=frozenset({Scope.READ}))
    async with open_house.connect() as bound, open_house.connect("gst_rival") as rival:
        await subscribed(bound)
        await subscribed(rival)
        open_house.trading.publish(1, order_update(sim), order_update(tested), order_update(other, 5))
        open_house.trading.publish(2, order_update(rivals, 9))
        heard = await hear(bound)
        assert (heard["account"], heard["seq"]) == ("Apex-7", 2)
        heard = await hear(rival)
        assert (heard["account"], heard["seq"]) == ("Rival1", 2)
        for peer in (bound, rival):
            assert await ask(peer, action="ping") == {"type": "pong"}


async def test_each_update_is_encoded_once_and_one_listener_serves_all(
    open_house: StreamHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = []
    printed = open_house.shared.account_pushes._printed
    real = printed.of

    def counted(*given: Any) -> Any:
        encoded.append(given)
        return real(*given)

    monkeypatch.setattr(printed, "of", counted)
    account = await open_house.account()
    peers = []
    for number in range(5):
        open_house.access.bearers[f"t{number}"] = principal(1, Scope.READ, credential_id=100 + number)
        peer = await open_house.connect(f"t{number}")
        await subscribed(peer)
        peers.append(peer)
    assert open_house.trading.listener_count == 1
    open_house.trading.publish(1, fill_update(account))
    heard = [json.dumps(await hear(peer)) for peer in peers]
    assert len(set(heard)) == 1
    assert len(encoded) == 1
    for peer in peers:
        await peer.close()
    await until(open_house.without_listeners)


async def test_what_cannot_be_printed_is_told_as_a_gap(
    open_house: StreamHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await open_house.account()
    async with open_house.connect() as peer:
        await subscribed(peer)
        fill = fill_update(account)
        monkeypatch.setattr(open_house.shared.account_pushes._printed, "of", lambda *_: 1 / 0)
        open_house.trading.publish(1, fill, order_update(account))
        assert await hear(peer) == {"type": "resync", "seq": 2, "dropped": 2}
        open_house.trading.publish(1, order_update(account))
        assert (await hear(peer))["seq"] == 3


# -- market data


async def test_instruments_in_any_form_are_resolved_and_told_at_once(open_house: StreamHouse) -> None:
    open_house.market.tick("ES 12-26", 23216)
    async with open_house.connect() as peer:
        ack = await ask(peer, action="subscribe", instruments=["es", "NQ 12-26", "ES 12-26"])
        assert ack == {"status": "subscribed", "instruments": ["ES 12-26", "NQ 12-26"]}
        frame = await hear(peer)
        assert frame == {
            "type": "marketData",
            "seq": 1,
            "quotes": [
                {
                    "instrument": "ES 12-26",
                    "bid": 5804.0,
                    "ask": 5804.25,
                    "last": 5804.0,
                    "open": None,
                    "high": None,
                    "low": None,
                    "close": None,
                    "volume": 17,
                    "bidSize": 3,
                    "askSize": 4,
                    "epoch": 5000,
                    "isStale": False,
                }
            ],
        }
        # Quiet until now: what comes is told at once, and what comes within the interval waits for its end.
        open_house.market.tick("NQ 12-26", 80000)
        assert [row["instrument"] for row in (await hear(peer))["quotes"]] == ["NQ 12-26"]


async def test_within_an_interval_the_newest_quote_alone_is_told(open_house: StreamHouse) -> None:
    open_house.market.tick("ES 12-26", 1000)
    async with open_house.connect() as peer:
        await ask(peer, action="subscribe", instruments=["ES"], interval=100)
        first = await hear(peer)
        for bid in range(2000, 2500):
            open_house.market.tick("ES 12-26", bid)
        second = await hear(peer)
        assert (first["seq"], second["seq"]) == (1, 2)
        assert [row["bid"] for row in second["quotes"]] == [2499 / 4]
        assert await ask(peer, action="ping") == {"type": "pong"}


async def test_unsubscribing_by_the_name_that_was_given(open_house: StreamHouse) -> None:
    async with open_house.connect() as peer:
        await ask(peer, action="subscribe", instruments=["ES", "NQ"])
        # A front month that has rolled meanwhile: `ES` still means what was subscribed.
        del open_house.market.known["ES 12-26"]
        ack = await ask(peer, action="unsubscribe", instruments=["es "])
        assert ack == {"status": "unsubscribed", "instruments": ["ES 12-26"]}
        open_house.market.tick("NQ 12-26", 1)
        assert (await hear(peer))["quotes"][0]["instrument"] == "NQ 12-26"
        assert (await ask(peer, action="unsubscribe", instruments=["NQ", "X3"]))["instruments"] == ["NQ 12-26", "X3"]
        assert open_house.without_listeners()


async def test_an_unknown_instrument_subscribes_nothing(open_house: StreamHouse) -> None:
    async with open_house.connect() as peer:
        reply = await ask(peer, action="subscribe", id="s", instruments=["NQ", "EZ"])
        assert (reply["id"], reply["error"], reply["did_you_mean"]) == ("s", "invalid_instrument", "ES 12-26")
        assert open_house.without_listeners()
        reply = await ask(peer, action="unsubscribe", instruments=["EZ"])
        assert reply["did_you_mean"] == "ES 12-26"


async def test_a_connection_follows_at_most_500_instruments(open_house: StreamHouse) -> None:
    async with open_house.connect() as peer:
        ack = await ask(peer, action="subscribe", instruments=[f"X{number}" for number in range(500)])
        assert len(ack["instruments"]) == 500
        reply = await ask(peer, action="subscribe", instruments=["X500"])
        assert reply["error"] == "Invalid request"
        assert "at most 500" in reply["data"]["detail"]
        assert (await ask(peer, action="subscribe", instruments=["X7"]))["status"] == "subscribed"
        assert len(open_house.shared.market_pushes) == 500
    await until(open_house.without_listeners)


async def test_a_quote_that_cannot_be_printed_harms_nobody(open_house: StreamHouse) -> None:
    open_house.market.is_broken = True
    async with open_house.connect() as peer:
        assert (await ask(peer, action="subscribe", instruments=["ES"]))["status"] == "subscribed"
        assert await ask(peer, action="ping") == {"type": "pong"}
        open_house.market.is_broken = False
        open_house.market.tick("ES 12-26", 1)
        assert (await hear(peer))["type"] == "marketData"


# -- PnL


async def test_pnl_at_the_interval_until_it_is_switched_off(open_house: StreamHouse) -> None:
    account = await open_house.account()
    open_house.trading.unrealized = Decimal("-32.25")
    async with open_house.connect() as peer:
        ack = await ask(peer, action="streamPnl", enabled=True, interval=100)
        assert ack == {"status": "subscribed", "stream": "pnl", "interval": 100}
        frame = await hear(peer)
        assert (frame["type"], frame["seq"], frame["epoch"]) == (
            "pnlUpdate",
            1,
            open_house.base.clock.now_us() // 1000,
        )
        assert [row["account"] for row in frame["accounts"]] == ["Sim101", "Apex-7"]
        assert frame["accounts"][0] == {
            "account": "Sim101",
            "accountId": account.id,
            "realizedProfitLoss": 10.5,
            "grossRealizedProfitLoss": 15.0,
            "unrealizedProfitLoss": -32.25,
            "commission": 4.5,
            "cashValue": 100010.5,
            "netLiquidation": 99978.25,
            "buyingPower": 99978.25,
        }
        assert (await hear(peer))["seq"] == 2
        await say(peer, action="streamPnl", enabled=False)
        while (said := await hear(peer)).get("type") == "pnlUpdate":
            pass
        assert said == {"status": "unsubscribed", "stream": "pnl"}
        assert await ask(peer, action="ping") == {"type": "pong"}


async def test_pnl_goes_on_after_an_outage(open_house: StreamHouse) -> None:
    open_house.trading.is_down = True
    async with open_house.connect() as peer:
        assert (await ask(peer, action="streamPnl", interval=100))["status"] == "subscribed"
        assert await ask(peer, action="ping") == {"type": "pong"}
        open_house.trading.is_down = False
        open_house.base.clock.advance_us(1_000_000)
        assert (await hear(peer))["type"] == "pnlUpdate"


async def test_connections_share_the_figures_of_a_moment(open_house: StreamHouse) -> None:
    open_house.access.bearers["second"] = principal(1, Scope.READ, credential_id=50)
    async with open_house.connect() as one, open_house.connect("second") as two:
        for peer in (one, two):
            await ask(peer, action="streamPnl")
            await hear(peer)
        assert open_house.trading.asked == 2


# -- bounds and ends


@pytest.mark.parametrize(
    "text",
    [
        '{"action":"subscribe"}',
        '{"action":"subscribe","instruments":[]}',
        '{"action":"subscribe","instruments":"ES"}',
        '{"action":"subscribe","instruments":{"ES":1}}',
        '{"action":"subscribe","instruments":[1]}',
        '{"action":"subscribe","instruments":[null]}',
        '{"action":"subscribe","instruments":[""]}',
        '{"action":"subscribe","instruments":["E\\u0000S"]}',
        '{"action":"subscribe","instruments":["' + "E" * 65 + '"]}',
        '{"action":"subscribe","instruments":[["ES"]]}',
        '{"action":"subscribe","instruments":[' + ",".join(f'"Y{number}"' for number in range(10_000)) + "]}",
        '{"action":"subscribe","events":["fills"]}',
        '{"action":"subscribe","events":["Orders"]}',
        '{"action":"subscribe","events":[1]}',
        '{"action":"subscribe","events":"orders"}',
        '{"action":"subscribe","events":["orders","orders","orders","orders"]}',
        '{"action":"subscribe","events":["orders"],"origin":5}',
        '{"action":"subscribe","instruments":["ES"],"events":["fills"]}',
        '{"action":"subscribe","instruments":["ES"],"interval":NaN}',
        '{"action":"subscribe","instruments":["ES"],"interval":Infinity}',
        '{"action":"subscribe","instruments":["ES"],"interval":1e999}',
        '{"action":"subscribe","instruments":["ES"],"interval":-1000}',
        '{"action":"subscribe","instruments":["ES"],"interval":0}',
        '{"action":"subscribe","instruments":["ES"],"interval":99}',
        '{"action":"subscribe","instruments":["ES"],"interval":60001}',
        '{"action":"subscribe","instruments":["ES"],"interval":' + "9" * 400 + "}",
        '{"action":"subscribe","instruments":["ES"],"interval":"1000"}',
        '{"action":"subscribe","instruments":["ES"],"interval":true}',
        '{"action":"subscribe","instruments":["ES"],"interval":[1000]}',
        '{"action":"unsubscribe"}',
        '{"action":"unsubscribe","events":["fills"]}',
        '{"action":"streamPnl","enabled":1}',
        '{"action":"streamPnl","enabled":"true"}',
        '{"action":"streamPnl","enabled":null}',
        '{"action":"streamPnl","enabled":true,"interval":-1}',
        '{"action":"streamPnl","enabled":true,"interval":1e300}',
        '{"action":"streamPnl","enabled":true,"interval":{}}',
        '{"action":"streamPnl","enabled":false,"interval":"x"}',
    ],
)
async def test_a_bad_frame_gets_an_error_and_subscribes_nothing(open_house: StreamHouse, text: str) -> None:
    async with open_house.connect() as peer:
        await peer.send(text)
        reply = await hear(peer)
        assert reply["error"] == "Invalid request"
        assert reply["data"]["detail"]
        assert open_house.without_listeners()
        assert await ask(peer, action="ping") == {"type": "pong"}


async def test_without_desks_subscriptions_say_so(house: Any) -> None:
    made = StreamHouse(house)
    made.app = house.app
    async with made.serving(), made.connect() as peer:
        for frame in ({"events": ["orders"]}, {"instruments": ["ES"]}):
            assert (await ask(peer, action="subscribe", **frame))["error"] == "unavailable"
        assert (await ask(peer, action="streamPnl", enabled=True))["error"] == "unavailable"
        assert (await ask(peer, action="streamPnl", enabled=False))["status"] == "unsubscribed"


async def test_subscriptions_have_their_own_bucket(open_house: StreamHouse) -> None:
    open_house.access.refuse_after["crosstrade_subscribe"] = 3
    async with open_house.connect() as peer:
        await ask(peer, action="subscribe", instruments=["ES"])
        await ask(peer, action="streamPnl", enabled=False)
        await ask(peer, action="unsubscribe", instruments=["ES"])
        for action in ("subscribe", "unsubscribe", "streamPnl"):
            reply = await ask(peer, action=action, instruments=["ES"], enabled=False)
            assert (reply["error"], reply["data"]["retryAfter"]) == ("Rate limit exceeded", 1)
        open_house.access.refuse_after["crosstrade"] = 1
        reply = await ask(peer, action="rpc", id=1, api="ListAccounts")
        assert reply["data"]["success"] is True
        for _ in range(10):
            await say(peer, action="subscribe", instruments=["ES"])
        assert await closing(peer) == (1008, "Rate limit exceeded")


async def test_a_revoked_credential_hears_no_more(open_house: StreamHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CHECK_S", 0.02)
    account = await open_house.account()
    async with open_house.connect() as peer:
        await subscribed(peer)
        open_house.access.is_down = True
        await asyncio.sleep(0.06)  # an outage ends nothing
        open_house.trading.publish(1, order_update(account))
        assert (await hear(peer))["type"] == "orderUpdate"
        open_house.access.is_down = False
        open_house.access.bearers.pop("gst_mine")
        assert await closing(peer) == (1008, "unauthorized")
    await until(open_house.without_listeners)


async def test_a_credential_that_is_bound_later_is_confined(
    open_house: StreamHouse, monkeypatch: pytest.MonkeyPatch, bind: Any
) -> None:
    monkeypatch.setattr(stream, "CHECK_S", 0.02)
    sim, other = await open_house.account(), await open_house.account("Apex-7")
    async with open_house.connect() as peer:
        await subscribed(peer)
        bind(account=other)
        (session,) = open_house.app.state.stream._sessions
        await until(lambda: session.principal.account is not None)
        open_house.trading.publish(1, order_update(sim), order_update(other))
        assert (await hear(peer))["account"] == "Apex-7"


async def test_a_newer_connection_takes_over(open_house: StreamHouse) -> None:
    account = await open_house.account()
    async with open_house.connect() as older:
        await subscribed(older)
        async with open_house.connect() as newer:
            assert await closing(older) == (1008, "Session active elsewhere")
            await until(open_house.without_listeners)
            await subscribed(newer)
            open_house.trading.publish(1, order_update(account))
            assert (await hear(newer))["seq"] == 2


async def test_a_stop_says_goodbye(open_house: StreamHouse) -> None:
    async with open_house.connect() as peer, open_house.connect("gst_rival") as rival:
        await subscribed(peer)
        await open_house.app.state.close()
        await open_house.app.state.close()
        for each in (peer, rival):
            assert await closing(each) == (1001, "The server is stopping")
        with pytest.raises(InvalidStatus, match="503"):
            await open_house.connect()


async def test_gone_without_a_word(open_house: StreamHouse) -> None:
    peer = await open_house.connect()
    await subscribed(peer)
    await ask(peer, action="subscribe", instruments=["ES", "X1"])
    await ask(peer, action="streamPnl")
    assert not open_house.without_listeners()
    peer.transport.abort()
    await until(open_house.without_listeners)
    await until(lambda: not open_house.app.state.stream._sessions)


def test_the_page_has_the_numbers_of_the_code() -> None:
    page = (Path(__file__).parents[3] / "docs" / "dialects" / "crosstrade.md").read_text("utf-8")
    section = " ".join(page.split("## The WebSocket")[1].split("\n## ")[0].split())
    assert (
        f"({frames.MIN_INTERVAL_MS} to {frames.MAX_INTERVAL_MS} milliseconds, {frames.DEFAULT_INTERVAL_MS} if"
        in section
    )
    assert f"at most {market_pushes.MAX_INSTRUMENTS} instruments" in section
    assert f"At most {outbox.MAX_EVENTS} account events" in section
    assert f"while {outbox.MAX_REPLIES} of them wait" in section
    assert f"nothing at all for {stream.STALLED_S:.0f} seconds" in section
    assert stream.REPLACED in section

"""A connection of `/ws/executors`: who may open it, what is answered, what ends it (protocols/hummingbot.md §11.4)."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest
from websockets.asyncio.client import connect

from gesta.apis.hummingbot import ws_session, ws_stream
from gesta.kernel.errors import Unavailable
from gesta.ledger.records import NewEvent, Severity
from gesta.testing.fake_access import principal
from tests.wire.crosstrade.trading_house import served
from tests.wire.hummingbot.conftest import MINE, World, basic
from tests.wire.hummingbot.ws_house import PATIENCE_S, Peer, opened, token_of
from tests.wire.hummingbot.ws_house import swift as swift

pytestmark = pytest.mark.usefixtures("swift")
ADMIN = ("admin", "admin")
FAILED = {"type": "error", "message": "Authentication failed"}


@pytest.fixture
async def address(world: World) -> AsyncIterator[str]:
    async with served(world.app) as address:
        yield address
    assert len(world.app.state.stream.changes) == 0


@pytest.fixture
async def peer(address: str) -> AsyncIterator[Peer]:
    async with opened(address, ADMIN) as peer:
        yield peer


async def first(address: str, query: str = "", **headers: str) -> dict[str, Any]:
    """The first frame; of a refused connection the closing is waited for, too."""
    async with connect(f"ws://{address}/ws/executors{query}", additional_headers=headers, proxy=None) as socket:
        said: dict[str, Any] = json.loads(await socket.recv())
        if said["type"] == "error":
            assert (await Peer(socket).closed())[1] == []
            said["code"] = socket.close_code
        return said


# -- who may


async def test_three_ways_to_say_who_calls(world: World, address: str) -> None:
    # In base64 this has a plus sign, which reads as a space where it is not escaped.
    odd = ("admin", "~~>\u00fb\u00ff>>")
    assert "+" in token_of(*odd)
    world.access.users[odd] = principal(MINE)
    for query, headers in (
        ("", basic(*ADMIN)),
        ("?token=" + token_of(*ADMIN), {}),
        ("?token=" + token_of(*odd), {}),
        ("?" + urlencode({"username": "admin", "password": "admin"}), {}),
        ("?" + urlencode({"username": "admin", "password": "admin"}), {"Authorization": "Bearer x"}),
        ("", basic(*ADMIN) | {"Origin": f"http://{address}"}),
    ):
        said = await first(address, query, **headers)
        assert (said["type"], len(said["connection_id"])) == ("connected", 12), (query, headers)
        assert said["timestamp"] == world.clock.now_us() / 1_000_000


async def test_accepted_first_and_refused_then(address: str) -> None:
    for query, headers in (
        ("", {}),
        ("", basic("admin", "wrong")),
        ("?token=" + token_of("admin", "wrong"), {}),
        ("?token=%00", {}),
        ("?token=" + base64.b64encode(b"nocolon").decode(), {}),
        ("?username=admin", {}),
        # The query is not looked at where the header is of this scheme.
        ("?token=" + token_of(*ADMIN), basic("admin", "wrong")),
    ):
        assert await first(address, query, **headers) == FAILED | {"code": 4001}, (query, headers)


async def test_a_remembered_password_does_not_serve_the_page_of_another_site(address: str) -> None:
    for origin in ("https://elsewhere.test", "null", "http://["):
        assert await first(address, **basic(*ADMIN), Origin=origin) == FAILED | {"code": 4001}
    said = await first(address, "?token=" + token_of(*ADMIN), Origin="https://elsewhere.test")
    assert said["type"] == "connected"


async def test_who_may_not_read(address: str) -> None:
    said = await first(address, **basic("runner", "secret"))
    assert (said["type"], said["code"]) == ("error", 1008)
    assert "read" in said["message"]


async def test_while_the_database_is_out_of_reach(world: World, address: str) -> None:
    world.access.is_down = True
    said = await first(address, **basic(*ADMIN))
    assert (said["message"], said["code"]) == ("The database is out of reach; retry later.", 1013)


async def test_no_more_connections_of_one_user_than_allowed(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws_stream, "MAX_CONNECTIONS", 2)
    async with opened(address, ADMIN):
        async with opened(address, ADMIN) as second:
            said = await first(address, **basic(*ADMIN))
            assert (said["type"], said["code"]) == ("error", 1008)
            assert "at most 2 connections" in said["message"]
            # Others are not concerned.
            async with opened(address, ("other", "secret")):
                await second.socket.close()
        # The server has seen it go when the place is free.
        async with asyncio.timeout(PATIENCE_S):
            while (await first(address, **basic(*ADMIN)))["type"] != "connected":
                pass


async def test_a_password_that_is_no_longer_good(world: World, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws_stream, "CHECK_S", 0.005)
    async with opened(address, ADMIN) as peer, opened(address, ("other", "secret")) as other:
        await peer.subscribe("executor_summary")
        await peer.data("executor_summary")
        # An outage revokes nothing.
        world.access.is_down = True
        assert await peer.quiet() == []
        world.access.is_down = False
        del world.access.users[ADMIN]
        assert await peer.closed() == (4001, [FAILED])
        assert await other.quiet() == []


async def test_a_user_who_may_no_longer_read(world: World, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws_stream, "CHECK_S", 0.005)
    async with opened(address, ADMIN) as peer:
        world.access.users[ADMIN] = world.access.users["runner", "secret"]
        assert await peer.closed() == (4001, [FAILED])


# -- what is answered


async def test_ping_and_heartbeat(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws_session, "HEARTBEAT_S", 0.005)
    async with opened(address, ADMIN) as peer:
        for _ in range(3):
            frame = await peer.hear()
            assert (frame["type"], isinstance(frame["timestamp"], float)) == ("heartbeat", True)
        await peer.say(action="ping")
        assert (await peer.until(lambda frame: frame["type"] != "heartbeat"))["type"] == "pong"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ('{"action": NaN}', "not valid JSON"),
        ("[" * 100_000, "bytes"),
        ("[" * 10_000, "not valid JSON"),
        ("[]", "JSON object"),
        ("null", "JSON object"),
        (b'{"action": "ping"}', "JSON text"),
        ("{}", "Unknown action"),
        ('{"action": 1}', "Unknown action"),
        ('{"action": "dance"}', "Valid actions: subscribe, unsubscribe, ping"),
        ('{"action": "unsubscribe"}', "requires 'subscription_id'"),
        ('{"action": "unsubscribe", "subscription_id": 1}', "requires 'subscription_id'"),
        ('{"action": "unsubscribe", "subscription_id": "x"}', "No subscription found: x"),
        ('{"action": "subscribe"}', "Unknown subscription type"),
        ('{"action": "subscribe", "type": ["executors"]}', "Unknown subscription type"),
        ('{"action": "subscribe", "type": "candles"}', "executor_summary"),
        ('{"action": "subscribe", "type": "bot_status", "bot_name": "b"}', "no bots"),
        ('{"action": "subscribe", "type": "all_bots_status"}', "no bots"),
        ('{"action": "subscribe", "type": "positions"}', "runs no executors"),
        ('{"action": "subscribe", "type": "executor_detail"}', "requires 'executor_id'"),
        ('{"action": "subscribe", "type": "executor_logs", "executor_id": ""}', "requires 'executor_id'"),
        ('{"action": "subscribe", "type": "executor_detail", "executor_id": 7}', "printable"),
        ('{"action": "subscribe", "type": "executor_detail", "executor_id": "a\\u0000"}', "printable"),
        ('{"action": "subscribe", "type": "executor_summary", "update_interval": "1"}', "number of seconds"),
        ('{"action": "subscribe", "type": "executor_summary", "update_interval": true}', "number of seconds"),
    ],
)
async def test_what_does_not_fit(address: str, message: Any, said: str) -> None:
    async with opened(address, ADMIN) as peer:
        await peer.socket.send(message)
        reply = await peer.hear()
        assert reply["type"] == "error"
        assert said in reply["message"]
        if said == "bytes":
            assert await peer.closed() == (1009, [])
            return
        assert (await peer.ask(action="ping"))["type"] == "pong"


async def test_no_more_subscriptions_than_allowed(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws_session, "MAX_SUBSCRIPTIONS", 2)
    await peer.subscribe("executor_summary")
    await peer.subscribe("performance")
    reply = await peer.ask(action="subscribe", type="executors")
    assert (reply["type"], "at most 2 subscriptions" in reply["message"]) == ("error", True)
    # One that takes the place of another is no more.
    await peer.subscribe("performance")


async def test_above_the_rate(world: World, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws_session, "MAX_VIOLATIONS", 3)
    world.access.refuse_after["hummingbot"] = 2
    async with opened(address, ADMIN) as peer:
        await peer.subscribe("executor_summary")
        for _ in range(3):
            await peer.say(action="unsubscribe", subscription_id="executor_summary")
        code, told = await peer.closed()
        assert code == 1008
        assert [frame["message"] for frame in told if frame["type"] == "error"] == ["Too many requests."] * 3
    assert (await first(address, **basic(*ADMIN)))["code"] == 1008


async def test_the_server_stops(world: World, address: str) -> None:
    async with opened(address, ADMIN) as one, opened(address, ADMIN) as two:
        await one.subscribe("executor_summary")
        closing = asyncio.create_task(world.app.state.close())
        assert (await one.closed())[0] == (await two.closed())[0] == 1001
        await closing
        await world.app.state.close()
    said = await first(address, **basic(*ADMIN))
    assert said["code"] == 1013


async def test_a_reader_that_takes_nothing(
    world: World, seed: Any, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is closed, and what waits for it meanwhile does not grow; others are served."""
    monkeypatch.setattr(ws_stream, "CHECK_S", 0.005)
    monkeypatch.setattr(ws_stream, "STALLED_S", 0.01)
    monkeypatch.setattr(ws_session, "CLOSE_S", 0.01)
    # Twelve megabytes are more than sockets hold.
    ids = [f"large-{number}" for number in range(20)]
    for executor_id in ids:
        await world.post(seed | {"executor_id": executor_id, "config": {str(n): "x" * 60_000 for n in range(10)}})
    async with opened(address, ADMIN) as other:
        await other.subscribe("executor_summary")
        host, _, port = address.partition(":")
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            await asyncio.get_running_loop().sock_connect(deaf, (host, int(port)))
            async with connect(
                f"ws://{address}/ws/executors?token={token_of(*ADMIN)}", sock=deaf, max_queue=1, compression=None
            ) as silent:
                for executor_id in ids:
                    await Peer(silent).say(action="subscribe", type="executor_detail", executor_id=executor_id)
                stream = world.app.state.stream
                async with asyncio.timeout(PATIENCE_S):
                    while len(stream._sessions) == 2:
                        assert (await other.ask(action="ping"))["type"] == "pong"
                silent.transport.abort()
        assert (await other.ask(action="ping"))["type"] == "pong"


# -- outages and defects


async def test_an_outage_is_waited_out(world: World, seed: Any, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws_session, "RETRY_S", 0.001)
    stream = world.app.state.stream
    see, failures = stream.changes._views.see, 0

    async def failing(caller: Any, what: Any) -> Any:
        nonlocal failures
        failures += 1
        if failures <= 3:
            raise Unavailable("The database does not answer.")
        return await see(caller, what)

    monkeypatch.setattr(stream.changes._views, "see", failing)
    await peer.subscribe("executor_summary")
    assert (await peer.data("executor_summary"))["total_active"] == 0
    assert failures > 3


async def test_what_takes_long_to_read_holds_up_no_answer(
    world: World, seed: Any, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = world.app.state.stream.changes._views
    see, may, begun = views.see, asyncio.Event(), asyncio.Event()

    async def slow(caller: Any, what: Any) -> Any:
        begun.set()
        await may.wait()
        return await see(caller, what)

    monkeypatch.setattr(views, "see", slow)
    for executor_id in ("abc123...", "another"):
        await peer.subscribe("executor_detail", executor_id=executor_id)
    await begun.wait()
    assert await peer.quiet() == []
    # What is ended meanwhile is not told.
    await peer.ask(action="unsubscribe", subscription_id="executor_detail_abc123...")
    may.set()
    frame = await peer.hear()
    assert (frame["subscription_id"], frame["data"]) == ("executor_detail_another", None)
    assert await peer.quiet() == []


async def test_a_defect_ends_one_subscription(world: World, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    await peer.subscribe("executor_detail", executor_id="abc")
    await peer.data("executor_detail")

    async def failing(caller: Any, what: Any) -> Any:
        raise RuntimeError("secret internals")

    monkeypatch.setattr(world.app.state.stream.changes._views, "see", failing)
    subscription_id = await peer.subscribe("executor_summary")
    reply = await peer.until(lambda frame: frame["type"] == "error")
    assert reply == {"type": "error", "message": "Internal Server Error", "subscription_id": subscription_id}
    assert (await peer.ask(action="ping"))["type"] == "pong"
    assert len(world.app.state.stream.changes) == 1


async def test_the_feed_is_read_on_after_a_failure(
    world: World, seed: Any, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gesta.apis.hummingbot.ws_changes.RETRY_S", 0.001)
    feed, failures = world.ledger.feed, [RuntimeError("a defect"), Unavailable("an outage")]

    async def failing(*args: Any, **more: Any) -> Any:
        if failures:
            raise failures.pop()
        return await feed(*args, **more)

    monkeypatch.setattr(world.ledger, "feed", failing)
    await peer.subscribe("executor_detail", executor_id="abc123...")
    assert await peer.data("executor_detail") is None
    await world.post(seed)
    assert (await peer.data("executor_detail", lambda data: data))["executor_id"] == "abc123..."
    assert not failures


# -- logs


async def notes(world: World, *messages: str, level: Severity = Severity.INFO) -> None:
    events = [NewEvent(type="note", message=message, level=level) for message in messages]
    await world.ledger.note(MINE, "abc123...", events)


async def logs(peer: Peer, last: str) -> list[str]:
    """The messages until one is told."""
    told: list[str] = []
    while last not in told:
        frame = await peer.until(lambda frame: frame["type"] == "executor_logs")
        assert frame["subscription_id"] == "executor_logs_abc123..."
        told += [entry["message"] for entry in frame["data"]]
    return told


async def test_logs_do_not_end_after_fifty(world: World, seed: Any, peer: Peer) -> None:
    assert await peer.subscribe("executor_logs", executor_id="abc123...") == "executor_logs_abc123..."
    frame = await peer.hear()
    assert (frame["data"], frame["total_count"]) == ([], 0)
    await world.post(seed)
    assert (await logs(peer, "execution.recorded: RUNNING")) == ["execution.recorded: RUNNING"]
    expected: list[str] = []
    told: list[str] = []
    for batch in range(12):
        messages = [f"{batch}.{number}" for number in range(10)]
        expected += messages
        await notes(world, *messages)
        told += await logs(peer, messages[-1])
    assert told == expected


async def test_logs_in_parts_when_there_are_more_than_the_limit(world: World, seed: Any, peer: Peer) -> None:
    await world.post(seed)
    await notes(world, "a", "b", "c")
    await peer.subscribe("executor_logs", executor_id="abc123...", limit=2)
    frame = await peer.hear()
    assert ([entry["message"] for entry in frame["data"]], frame["total_count"]) == (["b", "c"], 4)
    many = [str(number) for number in range(2500)]
    await notes(world, *many)
    told: list[str] = []
    while len(told) < len(many):
        frame = await peer.hear()
        assert len(frame["data"]) <= 2
        told += [entry["message"] for entry in frame["data"]]
        assert frame["total_count"] == 4 + len(told)
    assert told == many


async def test_logs_of_a_level(world: World, seed: Any, peer: Peer) -> None:
    await world.post(seed)
    await peer.subscribe("executor_logs", executor_id="abc123...", level="error")
    assert (await peer.hear())["data"] == []
    await notes(world, *(str(number) for number in range(1500)))
    assert await peer.quiet() == []
    await notes(world, "bad", level=Severity.ERROR)
    frame = await peer.hear()
    assert ([entry["message"] for entry in frame["data"]], frame["total_count"]) == (["bad"], 1)


async def test_what_is_posted_is_pushed(world: World, seed: Any, peer: Peer) -> None:
    """Executors of others, recorded here, are shown as those that run here."""
    await peer.subscribe("executors", filters={"trading_pair": seed["trading_pair"]})
    assert await peer.data("executors") == []
    await world.post(seed | {"executor_id": "other", "trading_pair": "ETH-BTC"})
    await world.post(seed)
    rows = await peer.data("executors")
    assert [row["executor_id"] for row in rows] == ["abc123..."]


async def test_what_is_written_to_a_real_database_is_pushed(stored_world: World, seed: Any) -> None:
    async with served(stored_world.app) as address, opened(address, ADMIN) as peer:
        await peer.subscribe("executor_detail", executor_id="abc123...")
        assert await peer.data("executor_detail") is None
        await stored_world.post(seed)
        assert (await peer.data("executor_detail"))["executor_id"] == "abc123..."
        await peer.subscribe("executor_logs", executor_id="abc123...")
        await peer.data("executor_logs")
        await notes(stored_world, "one", "two")
        assert [entry["message"] for entry in await peer.data("executor_logs")] == ["one", "two"]

"""The whole server on a real socket: what well-behaved clients get, and what the others get."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import websockets

from gesta.access.bootstrap import Bootstrap, bootstrap
from gesta.access.model import AccountType, Environment
from gesta.app import http_server
from gesta.app.build import Server, build
from gesta.app.settings import Settings, load_settings
from gesta.kernel.errors import ServerError

QUICK = {
    "server.port": 0,
    "server.header_timeout_s": 0.5,
    "server.shutdown_deadline_s": 2,
    "limits.body_idle_timeout_s": 0.3,
    "limits.body_timeout_s": 1.0,
    "log.requests": False,
}


class Running(msgspec.Struct):
    server: Server
    url: str
    port: int
    made: Bootstrap
    stop: asyncio.Event
    done: asyncio.Task[None]

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.made.bearer.secret}"}

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=20)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """A server with one organization, on a port of its own."""
    listener = http_server.listen(settings.server)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(build(settings))
        made = await bootstrap(server.core.access, "test")
        answering: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        stop = asyncio.Event()
        done = asyncio.create_task(
            http_server.run(
                server.app,
                server.supervisor,
                settings,
                listener,
                on_ready=answering.set_result,
                handle_signals=False,
                stop=stop,
            )
        )
        url = await asyncio.wait_for(answering, 20)
        yield Running(server, url, int(url.rpartition(":")[2]), made, stop, done)
        stop.set()
        await asyncio.wait_for(asyncio.gather(done, return_exceptions=True), 20)


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def begin(**changes: Any) -> Running:
            overrides = {**QUICK, "database.url": str(tmp_path / "ledger.sqlite3")}
            overrides |= {name.replace("__", "."): value for name, value in changes.items()}
            return await stack.enter_async_context(running(load_settings(overrides=overrides, environ={})))

        yield begin


@pytest.fixture
async def live(start: Start) -> Running:
    return await start()


async def exchange(port: int, data: bytes, *, wait_s: float = 15) -> bytes:
    """Send bytes, and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), wait_s)
    finally:
        writer.close()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def body_of(answer: bytes) -> Any:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def test_every_dialect_answers_its_own_credential(live: Running) -> None:
    made = live.made
    async with live.client() as client:
        key = {"x-api-key": made.production_key.secret}
        await live.server.core.access.ensure_account(
            made.organization.id, "ann@example.com", AccountType.LINKED, Environment.PRODUCTION
        )
        basic = (made.basic.username or "", made.basic.secret)
        answers = {
            "native": await client.get("/ledger/executions", headers=live.bearer),
            "crosstrade": await client.get("/v1/api/accounts/Sim101/executions", headers=live.bearer),
            "hummingbot": await client.get("/executors/unknown", auth=basic),
            "b3os": await client.get("/v1/executions", headers={"Authorization": f"Bearer {made.b3os.secret}"}),
            "refold": await client.get(
                "/api/v2/public/execution", headers={**key, "linked_account_id": "ann@example.com"}
            ),
        }
    statuses = {name: answer.status_code for name, answer in answers.items()}
    assert statuses == {"native": 200, "crosstrade": 200, "hummingbot": 404, "b3os": 200, "refold": 200}
    assert all(len(answer.headers["x-request-id"]) == 36 for answer in answers.values())


async def test_health_metrics_documents_and_index(live: Running) -> None:
    async with live.client() as client:
        assert (await client.get("/healthz")).json()["status"] == "ok"
        assert (await client.get("/readyz")).json()["status"] == "ready"
        names = [each["name"] for each in (await client.get("/")).json()["dialects"]]
        assert names == ["crosstrade", "hummingbot", "b3os", "refold", "native"]
        for name in names:
            assert (await client.get(f"/openapi/{name}.json")).json()["openapi"].startswith("3.1")
        text = (await client.get("/metrics")).text
        assert 'gesta_http_requests_total{dialect="operations",method="GET",route="/readyz",status="200"} 1.0' in text


SHAPES = {
    "/v1/api/accounts/Sim101/executions": lambda body: body["success"] is False and body["detail"],
    "/executors/x": lambda body: body["detail"],
    "/v1/executions": lambda body: body["code"] // 1000 in (400, 413) and body["requestId"],
    "/api/v2/public/execution": lambda body: body["status_code"] in (400, 413) and body["request_id"],
    "/ledger/executions": lambda body: body["type"].startswith("/problems/"),
}


@pytest.mark.parametrize("path", SHAPES)
@pytest.mark.parametrize(
    "target",
    [b"%s/%%ff", b"%s/\xff", b"%s?a=%%ff", b"%s?a=\xff", b"%s?a=%%00", b"%s/%%00", b"%s?" + b"a" * 20_000],
    ids=["path", "raw path", "query", "raw query", "query NUL", "path NUL", "long query"],
)
async def test_unreadable_targets_get_the_dialects_own_400(live: Running, path: str, target: bytes) -> None:
    request = b"GET " + target % path.encode() + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await exchange(live.port, request)
    assert status_of(answer) in (400, 422)
    assert SHAPES[path](body_of(answer))


@pytest.mark.parametrize("path", SHAPES)
async def test_broken_http_gets_the_dialects_own_400(live: Running, path: str) -> None:
    answer = await exchange(live.port, b"GET " + path.encode() + b" HTTP/1.1\r\nHost: x\r\nX-Bad: a\0b\r\n\r\n")
    assert status_of(answer) in (400, 422)
    assert SHAPES[path](body_of(answer))


@pytest.mark.parametrize(
    "data",
    [b"\x16\x03\x01\x02\x00garbage", b"GET\r\n\r\n", b"\0" * 100, b"GET / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n"],
)
async def test_what_is_not_http_is_refused(live: Running, data: bytes) -> None:
    assert status_of(await exchange(live.port, data)) in (400, 408)


async def test_a_raw_utf8_target_is_understood(live: Running) -> None:
    request = "GET /nope/café?x=é HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    answer = await exchange(live.port, request)
    assert status_of(answer) == 404
    assert "café" in body_of(answer)["detail"]


async def test_a_head_that_never_ends_is_bounded_in_size(live: Running) -> None:
    answer = await exchange(live.port, b"GET /v1/executions HTTP/1.1\r\nX-Long: " + b"a" * 300_000)
    assert status_of(answer) == 413
    assert body_of(answer)["code"] == 413001


async def test_a_head_that_trickles_is_bounded_in_time(live: Running) -> None:
    answer = await exchange(live.port, b"GET /v1/executions HTTP/1.1\r\nHost:")
    assert status_of(answer) == 408


async def test_a_silent_connection_is_closed(live: Running) -> None:
    assert await exchange(live.port, b"") == b""


async def test_a_body_of_20_mb_is_413_and_the_server_goes_on(live: Running) -> None:
    headers = {**live.bearer, "content-type": "application/json"}
    async with live.client() as client:
        answer = await client.post("/ledger/executions", content=b"[" + b" " * 20_000_000 + b"]", headers=headers)
        assert answer.status_code == 413
        assert answer.json()["type"] == "/problems/too_large"

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(200):
                yield b" " * 100_000

        answer = await client.post("/ledger/executions", content=chunks(), headers=headers)
        assert answer.status_code == 413
        assert (await client.get("/ledger/executions", headers=live.bearer)).json()["total"] == 0


async def test_a_stream_of_rows_may_be_larger_than_a_body(start: Start) -> None:
    live = await start(limits__body_bytes=20_000)
    row = {"account": "Sim101", "name": "Entry", "created_at": "2026-03-10T14:30:00Z", "detail": FILL}

    async def lines() -> AsyncIterator[bytes]:
        for number in range(300):
            yield json.dumps({"id": f"fill-{number}", **row}).encode() + b"\n"

    async with live.client() as client:
        headers = {**live.bearer, "content-type": "application/x-ndjson"}
        answer = await client.post("/ledger/executions?results=errors", content=lines(), headers=headers)
        assert answer.status_code == 200, answer.text
        assert json.loads(answer.text.splitlines()[-1])["summary"]["recorded"] == 300


FILL = {"kind": "fill", "order_id": "o", "instrument": "ES 03-26", "side": "buy", "quantity": "2", "price": "5123.25"}


async def test_json_10000_deep_is_a_400(live: Running) -> None:
    async with live.client() as client:
        for body in (b"[" * 10_000, b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000):
            answer = await client.post(
                "/ledger/executions", content=body, headers={**live.bearer, "content-type": "application/json"}
            )
            assert 400 <= answer.status_code < 500
            assert answer.json()["type"].startswith("/problems/")


async def test_a_body_that_stalls_is_the_dialects_408_and_nothing_is_written(live: Running) -> None:
    head = (
        b"POST /ledger/executions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
        b"Content-Length: 100\r\nAuthorization: Bearer " + live.made.bearer.secret.encode() + b"\r\n\r\n[{"
    )
    answer = await exchange(live.port, head)
    assert status_of(answer) == 408
    assert body_of(answer)["type"] == "/problems/request_timeout"
    async with live.client() as client:
        assert (await client.get("/ledger/executions", headers=live.bearer)).json()["total"] == 0


async def test_a_body_that_nobody_reads_does_not_hold_its_connection(live: Running) -> None:
    """Refused at once (401), the client goes on to trickle its body: the connection ends after the body's time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    writer.write(b"POST /ledger/executions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx")

    async def trickle() -> None:
        while True:
            await asyncio.sleep(0.05)
            writer.write(b"x")

    trickling = asyncio.create_task(trickle())
    try:
        answer = await asyncio.wait_for(reader.read(), 15)
    except ConnectionResetError:
        answer = b""
    finally:
        trickling.cancel()
        writer.close()
    assert answer == b"" or status_of(answer) in (401, 408)


async def test_connections_above_the_limit_get_503_and_those_below_go_on(start: Start) -> None:
    live = await start(server__max_connections=50, server__header_timeout_s=60)
    held = [await asyncio.open_connection("127.0.0.1", live.port) for _ in range(50)]
    try:
        answer = await exchange(live.port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status_of(answer) == 503
        assert b"retry-after: 5" in answer.lower()
        reader, writer = held[0]
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert status_of(await asyncio.wait_for(reader.read(), 10)) == 200
    finally:
        for _, writer in held:
            writer.close()
    assert status_of(await until_free(live.port)) == 200


async def until_free(port: int) -> bytes:
    answer = b""
    for _ in range(200):
        answer = await exchange(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        if status_of(answer) != 503:
            break
    return answer


async def test_thousands_of_idle_sockets_do_not_stop_the_server(start: Start) -> None:
    live = await start(server__header_timeout_s=60)
    http_server.allow_files(5000)
    held: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    try:
        for _ in range(20):
            held += await asyncio.gather(*(asyncio.open_connection("127.0.0.1", live.port) for _ in range(100)))
        async with live.client() as client:
            assert (await client.get("/ledger/executions", headers=live.bearer)).status_code == 200
    finally:
        for _, writer in held:
            writer.close()


async def last_of(socket: websockets.ClientConnection) -> None:
    """Read until the server closes, which raises."""
    while True:
        await asyncio.wait_for(socket.recv(), 10)


async def test_half_a_websocket_frame_and_a_frame_that_is_too_large(start: Start) -> None:
    live = await start(limits__websocket_ping_s=0.2, limits__websocket_frame_bytes=2000)
    url = f"ws://127.0.0.1:{live.port}/ws/stream"
    async with websockets.connect(url, additional_headers=live.bearer) as socket:
        await socket.send("x" * 3000)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await last_of(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
    # Half a frame, then silence, not even a pong: the connection is dropped.
    handshake = (
        f"GET /ws/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Authorization: Bearer {live.made.bearer.secret}\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = await exchange(live.port, handshake.encode() + b"\x81\xfe\x01")
    assert status_of(answer) == 101


@pytest.mark.parametrize(
    ("path", "status"), [("/nope", 404), ("/ws/streams", 404), ("/ws/stream?x=%ff", 400), ("/ws/stream/%00", 400)]
)
async def test_a_websocket_that_cannot_be_is_refused_in_words(live: Running, path: str, status: int) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(f"ws://127.0.0.1:{live.port}{path}", additional_headers=live.bearer)
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body or b"")


async def test_invalid_utf8_in_a_websocket_frame_closes_with_1007(live: Running) -> None:
    url = f"ws://127.0.0.1:{live.port}/ws/stream"
    async with websockets.connect(url, additional_headers=live.bearer) as socket:
        await socket.send(b"\xff\xfe", text=True)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await last_of(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1007


async def test_a_stop_ends_streams_and_sockets_before_the_deadline(live: Running) -> None:
    async with live.client() as client, AsyncExitStack() as stack:
        stream = await stack.enter_async_context(client.stream("GET", "/ledger/stream", headers=live.bearer))
        assert stream.headers["content-type"].startswith("text/event-stream")
        sockets = [
            await stack.enter_async_context(
                websockets.connect(f"ws://127.0.0.1:{live.port}{path}", additional_headers=live.bearer)
            )
            for path in ("/ws/stream", "/ledger/stream")
        ]
        idle = await asyncio.open_connection("127.0.0.1", live.port)
        reading = asyncio.create_task(stream.aread())
        began = asyncio.get_running_loop().time()
        live.stop.set()
        await asyncio.wait_for(live.done, 10)
        assert asyncio.get_running_loop().time() - began < 2
        await asyncio.wait_for(reading, 5)
        for socket in sockets:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await last_of(socket)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
        assert await asyncio.wait_for(idle[0].read(), 5) == b""
        idle[1].close()


async def test_a_side_task_that_dies_stops_the_server(live: Running) -> None:
    supervisor = live.server.supervisor
    supervisor.failure = LookupError("a defect")
    supervisor.failed.set()
    with pytest.raises(ServerError, match="background task died"):
        await asyncio.wait_for(live.done, 10)


async def test_a_taken_port_is_explained(live: Running) -> None:
    settings = msgspec.structs.replace(Settings().server, port=live.port)
    with pytest.raises(ServerError, match=r"is taken by another program\. Stop it, or choose another with --port\."):
        http_server.listen(settings)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7", "a" * 300])
def test_an_impossible_host_is_explained(host: str) -> None:
    with pytest.raises(ServerError, match="--host"):
        http_server.listen(msgspec.structs.replace(Settings().server, host=host, port=0))


async def test_the_same_server_stands_on_postgresql(postgres_url: str, start: Start) -> None:
    live = await start(database__url=postgres_url)
    async with live.client() as client:
        assert (await client.get("/readyz")).json()["status"] == "ready"
        assert (await client.get("/ledger/executions", headers=live.bearer)).json()["total"] == 0


async def test_what_outlives_the_deadline_is_aborted_with_a_503(start: Start) -> None:
    live = await start(
        limits__body_idle_timeout_s=60, limits__body_timeout_s=60, server__shutdown_deadline_s=1, log__requests=True
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    writer.write(
        b"POST /ledger/executions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
        b"Authorization: Bearer " + live.made.bearer.secret.encode() + b"\r\n\r\n["
    )
    async with live.client() as client:
        in_flight = False
        while not in_flight:
            in_flight = "in_flight 2" in (await client.get("/metrics")).text
    live.stop.set()
    answer = await asyncio.wait_for(reader.read(), 10)
    assert status_of(answer) == 503
    assert body_of(answer)["type"] == "/problems/unavailable"
    await asyncio.wait_for(live.done, 10)
    writer.close()

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fastapi import FastAPI, Request, WebSocket
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from gesta.apis.common.errors import install, renderer_of
from gesta.app.dispatch import Dispatcher, Mount
from gesta.app.metrics import HttpMetrics
from gesta.app.operations import Document, Operations
from gesta.app.settings import LimitSettings
from gesta.kernel.clock import SystemClock
from gesta.kernel.errors import GestaError, Unavailable
from gesta.testing.fakes import SeededIds


def dialect(name: str) -> FastAPI:
    """A small dialect whose errors name it."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)

    def render(request: Request, error: GestaError) -> Response:
        return JSONResponse({name: error.code, "message": error.message}, error.status)

    install(app, render)
    return app


def add_routes(app: FastAPI) -> None:
    @app.get("/v1/executions/boom")
    async def boom() -> None:
        raise LookupError("secret internals")

    @app.get("/v1/executions/half")
    async def half() -> StreamingResponse:
        async def parts() -> Any:
            yield b"first"
            raise LookupError("in the middle")

        return StreamingResponse(parts())

    @app.get("/v1/executions/{execution_id}")
    async def one(execution_id: str, request: Request) -> dict[str, str]:
        return {"id": execution_id, "request": request.scope["gesta.request_id"]}

    @app.post("/v1/executions")
    async def model(body: dict[str, Any]) -> int:
        return len(body)

    @app.post("/v1/executions/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())

    @app.websocket("/ws/stream")
    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        while True:
            text = await socket.receive_text()
            if text == "boom":
                raise LookupError("secret internals")
            await socket.send_text(text)


async def always_ready() -> None:
    return None


def server(metrics: HttpMetrics | None = None, ready: Any = always_ready) -> Dispatcher:
    long, short, rest = dialect("long"), dialect("short"), dialect("socket")
    add_routes(long)
    add_routes(rest)

    @short.get("/v1/{tail:path}")
    async def short_any(tail: str) -> dict[str, str]:
        return {"short": tail}

    mounts = [
        Mount(
            name="long",
            prefixes=("/v1/executions",),
            app=long,
            render=renderer_of(long),
            streamed_type=b"application/x-ndjson",
        ),
        Mount(name="short", prefixes=("/v1",), app=short, render=renderer_of(short)),
        Mount(name="socket", prefixes=("/ws/stream",), app=rest, render=renderer_of(rest)),
    ]
    documents = [
        Document(name="long", title="Long <one>", prefixes=("/v1/executions",), openapi=lambda: {"openapi": "3.1.0"})
    ]
    operations = Operations(documents, ready=ready, metrics=metrics)
    return Dispatcher(
        [*mounts, Mount(name="operations", prefixes=(), app=operations.app(), render=operations.render)],
        clock=SystemClock(),
        ids=SeededIds(),
        limits=LimitSettings(body_bytes=1024, body_idle_timeout_s=0.05, body_timeout_s=0.1),
        query_bytes=300,
        metrics=metrics,
        request_log=None,
    )


def client(app: Dispatcher | None = None) -> TestClient:
    return TestClient(app or server())


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/v1/executions", "long"),
        ("/v1/executions/", "long"),
        ("/v1/executions/abc", "long"),
        ("/v1/executionsX", "short"),
        ("/v1/executions-2/x", "short"),
        ("/v1", "short"),
        ("/v1/", "short"),
        ("/v1x", "operations"),
        ("/v1\n", "operations"),
        ("/", "operations"),
        ("", "operations"),
        ("/x/v1/executions", "operations"),
        ("/V1/executions", "operations"),
        ("/ws/stream", "socket"),
        ("/ws/streams", "operations"),
    ],
)
def test_the_longest_prefix_that_ends_at_a_segment_wins(path: str, owner: str) -> None:
    assert server().mount_of(path).name == owner


def test_a_sibling_path_reaches_the_other_dialect() -> None:
    assert client().get("/v1/executionsX").json() == {"short": "executionsX"}
    assert client().get("/v1/executions/X").json()["id"] == "X"


def test_the_request_id_in_the_scope_is_the_one_in_the_answer() -> None:
    answer = client().get("/v1/executions/x", headers={"X-Request-Id": "mine"})
    assert answer.json()["request"] == answer.headers["x-request-id"]
    assert len(answer.headers["x-request-id"]) == 36


def test_an_unknown_path_is_a_problem_that_names_the_paths_there_are() -> None:
    answer = client().get("/nope")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["prefixes"] == ["/v1/executions"]
    assert answer.headers["x-request-id"]


def test_a_crash_is_answered_without_internals_and_does_not_escape() -> None:
    answer = client().get("/v1/executions/boom")
    assert answer.status_code == 500
    assert answer.json()["long"] == "internal"
    assert "secret" not in answer.text


def test_a_crash_outside_of_any_handler_is_answered_too() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("secret internals")

    shape = dialect("broken")
    app = Dispatcher(
        [Mount(name="broken", prefixes=(), app=broken, render=renderer_of(shape))],
        clock=SystemClock(),
        ids=SeededIds(),
        limits=LimitSettings(),
        query_bytes=300,
        metrics=None,
        request_log=None,
    )
    answer = client(app).get("/")
    assert (answer.status_code, answer.json()["broken"]) == (500, "internal")


async def test_a_crash_in_the_middle_of_a_body_never_looks_complete() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await server()(http_scope("/v1/executions/half"), receive, send)
    assert [message.get("body") for message in sent] == [None, b"first"]
    assert sent[-1]["more_body"] is True


@pytest.mark.parametrize("path", ["/v1/executions", "/v1/executions/raw"])
def test_a_body_above_the_bound_is_the_dialects_413(path: str) -> None:
    answer = client().post(path, content=b'{"a":"' + b"x" * 2000 + b'"}', headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["long"] == "too_large"


@pytest.mark.parametrize("path", ["/v1/executions", "/v1/executions/raw"])
def test_a_chunked_body_above_the_bound_is_the_dialects_413(path: str) -> None:
    def chunks() -> Any:
        for _ in range(20):
            yield b"x" * 100

    answer = client().post(path, content=chunks(), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["long"] == "too_large"


def test_a_stream_is_bounded_by_the_dialect_itself() -> None:
    headers = {"content-type": "Application/X-NDJSON; charset=utf-8"}
    answer = client().post("/v1/executions/raw", content=b"x" * 5000, headers=headers)
    assert answer.json() == 5000


@pytest.mark.parametrize("path", ["/v1/executions", "/v1/executions/raw"])
async def test_a_body_that_stalls_is_the_dialects_408(path: str) -> None:
    async def receive() -> Any:
        await asyncio.Event().wait()

    headers = [(b"content-length", b"10"), (b"content-type", b"application/json")]
    status, body = await answered(server(), http_scope(path, method="POST", headers=headers), receive)
    assert (status, body["long"]) == (408, "request_timeout")


def http_scope(path: str, *, method: str = "GET", query: bytes = b"", headers: Any = ()) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("latin-1"),
        "root_path": "",
        "query_string": query,
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }


async def answered(app: Dispatcher, scope: dict[str, Any], receive: Any = None) -> tuple[int, Any]:
    sent: list[Any] = []

    async def nothing() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive or nothing, send)
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent[1:]))


@pytest.mark.parametrize(
    "scope",
    [
        {**http_scope("/v1/executions/x"), "raw_path": b"/v1/executions/%ff"},
        {**http_scope("/v1/executions/\0"), "raw_path": b"/v1/executions/%00"},
        http_scope("/v1/executions/x", query=b"a=%ff"),
        http_scope("/v1/executions/x", query=b"a=%00"),
        http_scope("/v1/executions/x", query=b"a" * 301),
        http_scope("/v1/executions/x", headers=[(b"authorization", b"\xff")]),
    ],
)
async def test_unreadable_heads_are_the_dialects_400(scope: dict[str, Any]) -> None:
    status, body = await answered(server(), scope)
    assert (status, body["long"]) == (400, "invalid_input")


async def test_an_absurd_content_length_is_only_too_large() -> None:
    headers = [(b"content-length", b"9" * 400), (b"content-type", b"application/json")]
    status, body = await answered(server(), http_scope("/v1/executions", method="POST", headers=headers))
    assert (status, body["long"]) == (413, "too_large")


def test_metrics_count_by_route_template_and_never_by_path() -> None:
    metrics = HttpMetrics()
    with_metrics = client(server(metrics))
    for path in ("/v1/executions/a", "/v1/executions/b", "/nope/1", "/nope/2"):
        with_metrics.get(path)
    text = with_metrics.get("/metrics").text
    line = (
        'gesta_http_requests_total{dialect="long",method="GET",route="/v1/executions/{execution_id}",status="200"} 2.0'
    )
    assert line in text
    assert 'gesta_http_requests_total{dialect="operations",method="GET",route="unmatched",status="404"} 2.0' in text
    assert "gesta_http_requests_in_flight 1.0" in text
    assert "nope" not in text


def test_metrics_can_be_switched_off() -> None:
    assert client().get("/metrics").status_code == 404


def test_health_and_readiness() -> None:
    async def away() -> None:
        raise Unavailable("The database is away.", retry_after_s=3)

    assert client().get("/healthz").json()["status"] == "ok"
    assert client().get("/readyz").json()["status"] == "ready"
    answer = client(server(ready=away)).get("/readyz")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert client(server(ready=away)).get("/healthz").status_code == 200
    answer = client().post("/healthz")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_the_index_and_the_documents() -> None:
    listing = client().get("/").json()
    assert listing["dialects"][0] == {
        "name": "long",
        "title": "Long <one>",
        "paths": ["/v1/executions"],
        "openapi": "/openapi/long.json",
    }
    assert client().get("/openapi/long.json").json() == {"openapi": "3.1.0"}
    assert client().get("/openapi/other.json").status_code == 404
    page = client().get("/", headers={"accept": "text/html"})
    assert "Long &lt;one&gt;" in page.text


def test_websockets_pass_and_a_crash_closes_with_1011() -> None:
    metrics = HttpMetrics()
    app = server(metrics)
    with client(app).websocket_connect("/ws/stream") as socket:
        socket.send_text("hello")
        assert socket.receive_text() == "hello"
        assert 'gesta_websocket_connections{dialect="socket"} 1.0' in metrics.render().decode()
        socket.send_text("boom")
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert closed.value.code == 1011
    assert "secret" not in (closed.value.reason or "")
    assert 'gesta_websocket_connections{dialect="socket"} 0.0' in metrics.render().decode()


async def test_a_websocket_where_there_is_none_is_refused_with_an_http_answer() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {**http_scope("/nope"), "type": "websocket", "extensions": {"websocket.http.response": {}}}
    del scope["method"]
    await server()(scope, receive, send)
    assert sent[0]["status"] == 404
    assert json.loads(sent[1]["body"])["prefixes"] == ["/v1/executions"]


async def test_draining_ends_event_streams_as_if_they_were_complete() -> None:
    opened = asyncio.Event()
    shape = dialect("events")

    @shape.get("/events")
    async def events() -> StreamingResponse:
        async def parts() -> Any:
            yield b"data: 1\n\n"
            opened.set()
            await asyncio.Event().wait()

        return StreamingResponse(parts(), media_type="text/event-stream")

    metrics = HttpMetrics()
    app = Dispatcher(
        [Mount(name="events", prefixes=(), app=shape, render=renderer_of(shape))],
        clock=SystemClock(),
        ids=SeededIds(),
        limits=LimitSettings(),
        query_bytes=300,
        metrics=metrics,
        request_log=None,
    )
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    running = asyncio.create_task(app(http_scope("/events"), receive, send))
    await asyncio.wait_for(opened.wait(), 5)
    assert 'gesta_event_streams{dialect="events"} 1.0' in metrics.render().decode()
    app.drain()
    await asyncio.wait_for(running, 5)
    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert 'gesta_event_streams{dialect="events"} 0.0' in metrics.render().decode()


async def test_a_cancellation_that_is_no_shutdown_passes() -> None:
    started = asyncio.Event()

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        started.set()
        await asyncio.Event().wait()

    shape = dialect("waits")
    app = Dispatcher(
        [Mount(name="waits", prefixes=(), app=waits, render=renderer_of(shape))],
        clock=SystemClock(),
        ids=SeededIds(),
        limits=LimitSettings(),
        query_bytes=300,
        metrics=None,
        request_log=None,
    )
    running = asyncio.create_task(app(http_scope("/"), started.wait, started.wait))
    await asyncio.wait_for(started.wait(), 5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

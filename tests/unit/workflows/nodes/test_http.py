"""The node `http`, against a real local server: what is sent, what is made of the answer, and what is refused."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import shutil
import ssl
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gesta.workflows.graph.definition import NodeType
from gesta.workflows.nodes.addresses import networks_of
from gesta.workflows.nodes.face import NodeFailed
from gesta.workflows.nodes.http import HttpNode
from gesta.workflows.nodes.network import GuardedTransport, Resolve, resolve
from tests.unit.workflows.nodes.bench import AT_US, Request, Server, head, performance, serving

LOCAL = networks_of(["127.0.0.0/8"])
KB = 1024
CERTIFICATES = ssl.create_default_context()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as made:
        yield made


async def do(
    url: str, *, allowed: Any = LOCAL, names: Resolve = resolve, most_bytes: int = 64 * KB, **config: Any
) -> Any:
    async with GuardedTransport(allowed=allowed, resolve=names, ssl_context=CERTIFICATES) as transport:
        node = HttpNode(transport, most_bytes=most_bytes)
        return (await node(performance(NodeType.HTTP, {"url": url, **config}))).output


async def fails(url: str, **config: Any) -> NodeFailed:
    with pytest.raises(NodeFailed) as failure:
        await do(url, **config)
    return failure.value


# -- what is sent


async def test_a_request_says_who_sends_it(server: Server) -> None:
    server.on("/a", body=b"ok")
    await do(server.url("/a"))
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("GET", "/a", b"")
    assert request.headers["idempotency-key"] == "run1/step"
    assert request.headers["x-gesta-run"] == "run1"
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    assert "cookie" not in request.headers


async def test_a_nodes_own_idempotency_key_is_kept(server: Server) -> None:
    server.on("/a")
    await do(server.url("/a"), headers={"idempotency-key": "mine", "X-Count": 3, "X-Left-Out": None})
    assert server.requests[0].headers["idempotency-key"] == "mine"
    assert server.requests[0].headers["x-count"] == "3"
    assert "x-left-out" not in server.requests[0].headers


async def test_a_key_that_is_no_header_is_sent_as_its_digest(server: Server) -> None:
    server.on("/a")
    async with GuardedTransport(allowed=LOCAL) as transport:
        await HttpNode(transport)(performance(NodeType.HTTP, {"url": server.url("/a")}, key="run1/zahlung-für\n"))
    key = server.requests[0].headers["idempotency-key"]
    assert len(key) == 32
    assert int(key, 16) > 0


@pytest.mark.parametrize(
    ("config", "kind", "body"),
    [
        ({"body": {"a": Decimal("1.10"), "b": [None, True]}}, "application/json", b'{"a":1.10,"b":[null,true]}'),
        ({"body": [1]}, "application/json", b"[1]"),
        ({"body": "hé"}, "text/plain; charset=utf-8", "hé".encode()),
        ({"body": '{"a":1}', "headers": {"Content-Type": "application/json"}}, "application/json", b'{"a":1}'),
        (
            {
                "body": {"a": "x y", "b": [1, 2], "c": None},
                "headers": {"content-type": "application/x-www-form-urlencoded"},
            },
            "application/x-www-form-urlencoded",
            b"a=x+y&b=1&b=2",
        ),
    ],
)
async def test_bodies(server: Server, config: dict[str, Any], kind: str, body: bytes) -> None:
    server.on("/a")
    await do(server.url("/a"), method="post", **config)
    assert server.requests[0].method == "POST"
    assert server.requests[0].headers["content-type"] == kind
    assert server.requests[0].body == body


async def test_a_query_joins_what_the_address_has(server: Server) -> None:
    server.on("/a")
    await do(server.url("/a?x=1"), query={"y": [1, "zwei"], "flag": True, "none": None, "n": Decimal("1.50")})
    assert server.requests[0].target == "/a?x=1&y=1&y=zwei&flag=true&n=1.50"


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, "X-A"),
        ({"headers": {"X-A": "a\0b"}}, "X-A"),
        ({"headers": {"X-A": "naïve"}}, "X-A"),
        ({"headers": {"X-A": {"a": 1}}}, "X-A"),
        ({"headers": {"X A": "1"}}, "X A"),
        ({"headers": {"X-A\r\nB": "1"}}, "header"),
        ({"headers": {"Host": "inside"}}, "Host"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "Transfer-Encoding"),
        ({"headers": "text"}, "headers"),
        ({"query": {"a": {"b": 1}}}, "query.a"),
        ({"method": "TRACE"}, "method"),
        ({"timeout_s": "soon"}, "timeout_s"),
        ({"accepts_status": "fine"}, "accepts_status"),
        ({"follow_redirects": "maybe"}, "follow_redirects"),
        ({"body": {"a": 1}, "headers": {"content-type": "multipart/form-data"}}, "multipart"),
    ],
)
async def test_what_cannot_be_sent_is_refused_for_good(server: Server, config: dict[str, Any], word: str) -> None:
    failure = await fails(server.url("/a"), **config)
    assert failure.is_final
    assert word in failure.message
    assert server.requests == []


async def test_a_refused_header_is_not_repeated(server: Server) -> None:
    failure = await fails(server.url("/a"), headers={"Authorization": "Bearer s3cret\n"})
    assert "s3cret" not in failure.message


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://example.com/",
            "file:" + "///etc/passwd",
            "gopher://example.com",
            "example.com",
            "http://",
            "http:///a",
        ),
        *(
            "http://a:99999/",
            "http://user:s3cret@example.com/",
            "http://user:s3cret@[::1",
            "http://[::1?token=s3cret",
            "http://exa mple.com/",
            "http://[::1",
            "https://é\x00.x",
        ),
    ],
)
async def test_addresses_that_are_none(url: str) -> None:
    failure = await fails(url)
    assert failure.is_final
    assert "url" in failure.message
    assert "s3cret" not in failure.message


# -- what is made of the answer


async def test_json_is_read_exactly(server: Server) -> None:
    server.on("/a", body=b'{"price": 1.10, "id": 12345678901234567890123, "e": 1e-30}', content_type="application/json")
    output = await do(server.url("/a"))
    assert output["status_code"] == 200
    assert output["headers"]["content-type"] == "application/json"
    assert str(output["body"]["price"]) == "1.10"
    assert output["body"] == {"price": Decimal("1.10"), "id": 12345678901234567890123, "e": Decimal("1e-30")}


@pytest.mark.parametrize(
    ("kind", "sent", "body"),
    [
        ("application/problem+json; charset=utf-8", b"[1]", [1]),
        ("application/json", b"{broken", "{broken"),
        ("application/json", b"[" * 10_000, "[" * 10_000),
        ("text/html", "é".encode(), "é"),
        ("text/plain; charset=latin-1", b"\xe9", "é"),
        ("text/plain; charset=nonsense", b"a", "YQ=="),
        ("text/plain; charset=unicode_escape", rb"\d800", r"\d800"),
        ("text/plain", b"\xff\xfe", "//4="),
        ("text/plain", b"a\0b", "YQBi"),
        ("application/octet-stream", b"abc", "YWJj"),
        ("image/png", b"\x89PNG", "iVBORw=="),
        ("", b"plain", "plain"),
        ("application/json", b"", None),
    ],
)
async def test_bodies_of_answers(server: Server, kind: str, sent: bytes, body: Any) -> None:
    server.on("/a", body=sent, **({"content_type": kind} if kind else {}))
    assert (await do(server.url("/a")))["body"] == body


async def test_packed_answers(server: Server) -> None:
    packed = gzip.compress(b'{"a": 1}')
    server.on("/a", body=packed, content_type="application/json", content_encoding="gzip")
    assert (await do(server.url("/a")))["body"] == {"a": 1}
    server.on("/b", body=b"not packed", content_encoding="gzip")
    assert (await do(server.url("/b")))["body"] == "bm90IHBhY2tlZA=="
    server.on("/c", body=b"??", content_encoding="br")
    assert (await do(server.url("/c")))["body"] == "Pz8="
    server.on("/d", body=packed[:-9], content_encoding="gzip")
    failure = await fails(server.url("/d"))
    assert "ends early" in failure.message
    assert not failure.is_final


async def test_a_large_answer_is_not_kept(server: Server) -> None:
    server.on("/exact", body=b"x" * 64 * KB)
    assert len((await do(server.url("/exact")))["body"]) == 64 * KB
    server.on("/large", body=b"x" * (64 * KB + 1))
    failure = await fails(server.url("/large"))
    assert failure.is_final
    assert "65536 bytes" in failure.message


async def test_an_answer_without_an_end_is_left(server: Server) -> None:
    sent = 0

    async def endless(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(head(200, {"transfer_encoding": "chunked"}))
        while True:
            writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            await writer.drain()
            sent += 4096

    server.handlers["/a"] = endless
    failure = await fails(server.url("/a"))
    assert failure.is_final
    assert sent < 64 * 1024 * KB


async def test_a_small_answer_that_unpacks_to_a_huge_one_is_left(server: Server) -> None:
    bomb = gzip.compress(b"\0" * 32 * 1024 * KB)
    assert len(bomb) < 64 * KB
    server.on("/a", body=bomb, content_encoding="gzip")
    assert "65536 bytes" in (await fails(server.url("/a"))).message


async def test_statuses_that_are_accepted(server: Server) -> None:
    server.on("/gone", 410, body=b'{"message": "no more"}', content_type="application/json")
    failure = await fails(server.url("/gone"))
    assert failure.is_final
    assert failure.message == f"GET http://127.0.0.1:{server.port}/gone: answered 410: no more"
    assert failure.output["body"] == {"message": "no more"}
    for accepted in ([410], "4xx", ["2xx", "410"], "410"):
        assert (await do(server.url("/gone"), accepts_status=accepted))["status_code"] == 410
    server.on("/fine", 201)
    assert (await fails(server.url("/fine"), accepts_status=[200])).is_final


@pytest.mark.parametrize(
    ("status", "may_pass"),
    [(400, False), (401, False), (404, False), (408, True), (425, True), (429, True), (500, True), (503, True)],
)
async def test_which_statuses_may_be_asked_again(server: Server, status: int, may_pass: bool) -> None:
    server.on("/a", status, retry_after="7")
    failure = await fails(server.url("/a"))
    assert failure.is_final is not may_pass
    assert failure.retry_after_s == (7 if may_pass else 0)


@pytest.mark.parametrize(
    ("text", "after_s"),
    [("Fri, 15 Jan 2027 08:00:30 GMT", 30), ("Fri, 15 Jan 2027 07:00:00 GMT", 0), ("soon", 0), ("-1", 0), ("", 0)],
)
async def test_when_to_come_again(server: Server, text: str, after_s: float) -> None:
    assert AT_US == 1_800_000_000_000_000  # 2027-01-15T08:00:00Z
    server.on("/a", 503, retry_after=text)
    assert (await fails(server.url("/a"))).retry_after_s == after_s


async def test_a_slow_answer(server: Server) -> None:
    reached = asyncio.Event()

    async def slow(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, {"content_length": "100"}))
        while not writer.is_closing():
            # A byte now and then keeps every single read short.
            writer.write(b"x")
            await writer.drain()
            reached.set()
            await asyncio.sleep(0.02)

    server.handlers["/a"] = slow
    failure = await fails(server.url("/a"), timeout_s=0.2)
    assert reached.is_set()
    assert not failure.is_final
    assert "0.2 s" in failure.message


async def test_a_stopped_request_closes_its_connection(server: Server) -> None:
    reached, closed = asyncio.Event(), asyncio.Event()

    async def silent(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, {"content_length": "100"}))
        await writer.drain()
        reached.set()
        await server.gone(writer)
        closed.set()

    server.handlers["/a"] = silent
    server.on("/b", body=b"ok")
    async with GuardedTransport(allowed=LOCAL, ssl_context=CERTIFICATES, most_connections=1) as transport:
        node = HttpNode(transport)
        asked = asyncio.create_task(node(performance(NodeType.HTTP, {"url": server.url("/a")})))
        await asyncio.wait_for(reached.wait(), 10)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await asyncio.wait_for(closed.wait(), 10)
        # The only connection that there may be is free again.
        assert (await node(performance(NodeType.HTTP, {"url": server.url("/b")}))).output["body"] == "ok"


async def test_a_connection_that_breaks_may_be_tried_again(server: Server) -> None:
    async def cut(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, {"content_length": "100"}) + b"half")

    async def nonsense(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-what\r\n\r\n")

    server.handlers |= {"/cut": cut, "/nonsense": nonsense}
    for path in ("/cut", "/nonsense"):
        failure = await fails(server.url(path))
        assert not failure.is_final


async def test_nobody_listens_and_nobody_is_called_so() -> None:
    async with serving() as gone:
        url = gone.url("/a")
    failure = await fails(url)
    assert not failure.is_final
    assert "cannot connect" in failure.message

    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    failure = await fails("http://nowhere.example/", names=unknown)
    assert not failure.is_final
    assert "cannot be resolved" in failure.message


# -- redirects


async def test_redirects_are_followed_only_when_asked_for(server: Server) -> None:
    server.on("/a", 302, location="/b")
    server.on("/b", body=b"there")
    assert (await fails(server.url("/a"))).output["status_code"] == 302
    assert (await do(server.url("/a"), accepts_status="3xx"))["headers"]["location"] == "/b"
    assert (await do(server.url("/a"), follow_redirects=True))["body"] == "there"


@pytest.mark.parametrize(
    ("status", "method", "after"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "PUT", "GET"),
        (307, "POST", "POST"),
        (308, "PUT", "PUT"),
        (302, "PUT", "PUT"),
        (303, "HEAD", "HEAD"),
    ],
)
async def test_what_a_redirect_makes_of_the_method(server: Server, status: int, method: str, after: str) -> None:
    server.on("/a", status, location="/b")
    server.on("/b")
    body = None if method == "HEAD" else {"x": 1}
    await do(server.url("/a"), method=method, body=body, follow_redirects=True)
    last = server.requests[-1]
    assert (last.target, last.method) == ("/b", after)
    assert last.body == (b'{"x":1}' if after in ("POST", "PUT") else b"")
    assert ("content-type" in last.headers) is (after in ("POST", "PUT"))
    assert last.headers["idempotency-key"] == "run1/step"


async def test_five_redirects_and_no_more(server: Server) -> None:
    for number in range(6):
        server.on(f"/{number}", 302, location=f"/{number + 1}")
    server.on("/5", body=b"end")
    assert (await do(server.url("/0"), follow_redirects=True))["body"] == "end"
    server.on("/loop", 302, location="/loop")
    failure = await fails(server.url("/loop"), follow_redirects=True)
    assert failure.is_final
    assert "5 redirects" in failure.message


async def test_credentials_do_not_go_to_another_host(server: Server) -> None:
    async with serving() as other:
        server.on("/a", 307, location=other.url("/b"))
        other.on("/b")
        await do(
            server.url("/a"),
            follow_redirects=True,
            method="POST",
            body=[1],
            headers={"Authorization": "Bearer s3cret", "X-Api-Key": "s3cret", "Cookie": "s=s3cret", "Accept": "a/b"},
        )
        (request,) = other.requests
    assert server.requests[0].headers["x-api-key"] == "s3cret"
    assert "s3cret" not in json.dumps(request.headers)
    assert request.headers["accept"] == "a/b"
    assert request.headers["host"] == f"127.0.0.1:{other.port}"
    assert request.body == b"[1]"


@pytest.mark.parametrize(
    "location",
    [
        "http://10.1.2.3/",
        "http://[::1]/",
        "file:" + "///etc/passwd",
        "http://u:p@127.0.0.1/",
        "http://[::",
        "http://a b/",
    ],
)
async def test_every_hop_is_checked(server: Server, location: str) -> None:
    server.on("/a", 302, location=location)
    failure = await fails(server.url("/a"), follow_redirects=True)
    assert failure.is_final
    assert len(server.requests) == 1


# -- addresses


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::1]", "0"]
)
async def test_this_machine_is_not_reached(server: Server, host: str) -> None:
    failure = await fails(server.url("/a", host), allowed=())
    assert failure.is_final
    # One with an octal number is no address in the first place.
    assert "workflows.allow_networks" in failure.message or "no address" in failure.message
    assert server.requests == []


async def test_a_name_is_resolved_once_and_the_checked_address_is_used(server: Server) -> None:
    """A resolver that says another address the second time: what was checked is what is connected to."""
    asked = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    server.on("/a", body=b"ok")
    output = await do(server.url("/a", "rebind.example"), names=rebinding)
    assert output["body"] == "ok"
    assert asked == ["rebind.example"]
    assert server.requests[0].headers["host"] == f"rebind.example:{server.port}"


async def test_one_bad_address_among_good_ones_is_enough(server: Server) -> None:
    async def mixed(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1", "169.254.169.254"]

    failure = await fails(server.url("/a", "mixed.example"), names=mixed)
    assert failure.is_final
    assert server.requests == []


async def test_the_next_address_is_tried(server: Server) -> None:
    async def two(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.2", "127.0.0.1"]

    server.on("/a", body=b"ok")
    assert (await do(server.url("/a", "two.example"), names=two))["body"] == "ok"


async def test_a_certificate_is_checked_for_the_name_and_not_the_address(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the program openssl is not there to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = await asyncio.create_subprocess_exec(
        *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-keyout", str(key), "-out", str(certificate), "-subj", "/CN=secure.example"),
        *("-addext", "subjectAltName=DNS:secure.example"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await made.wait() == 0
    named: list[str | None] = []
    of_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    of_server.load_cert_chain(certificate, key)
    of_server.sni_callback = lambda _, name, __: named.append(name)
    server = Server()
    server.on("/a", body=b"ok")
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=of_server)
    port = listening.sockets[0].getsockname()[1]

    async def here(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    context = ssl.create_default_context(cafile=str(certificate))
    async with listening, GuardedTransport(allowed=LOCAL, resolve=here, ssl_context=context) as transport:
        node = HttpNode(transport)
        done = await node(performance(NodeType.HTTP, {"url": f"https://secure.example:{port}/a"}))
        assert done.output["body"] == "ok"
        with pytest.raises(NodeFailed, match="certificate") as failure:
            await node(performance(NodeType.HTTP, {"url": f"https://other.example:{port}/a"}))
    assert named == ["secure.example", "other.example"]
    assert server.requests[0].headers["host"] == f"secure.example:{port}"
    assert not failure.value.is_final


async def test_proxies_of_the_environment_are_not_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.on("/a", body=b"ok")
    assert (await do(server.url("/a")))["body"] == "ok"


async def test_neither_logs_nor_failures_have_credentials(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server.on("/a", 500, body=b"{}", content_type="application/json")
    failure = await fails(server.url("/a?token=s3cret"), headers={"Authorization": "Bearer s3cret"})
    assert "s3cret" not in failure.message + caplog.text


async def test_answers_leave_no_cookies_for_others(server: Server) -> None:
    server.on("/a", set_cookie="session=other; Path=/")
    async with GuardedTransport(allowed=LOCAL) as transport:
        node = HttpNode(transport)
        for _ in range(2):
            await node(performance(NodeType.HTTP, {"url": server.url("/a")}))
    assert "cookie" not in server.requests[1].headers

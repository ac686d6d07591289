"""Malformed heads, paths, queries and credentials over a real socket: the dialect's own error, never a 5xx."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from structlog.testing import capture_logs

from tests.integration.hardening import shapes
from tests.integration.hardening.house import Answer, House, Live, basic

ONE = {
    "crosstrade": "/v1/api/accounts/{account}/executions/{id}",
    "hummingbot": "/executors/{id}",
    "b3os": "/v1/executions/{id}",
    "refold": "/api/v2/public/execution/{id}",
    "native": "/ledger/executions/{id}",
}
MORE_ONES = {
    "crosstrade": ["/v1/api/accounts/{id}/executions", "/v1/api/accounts/{account}/orders/{id}/executions"],
    "hummingbot": ["/executors/{id}/logs"],
    "b3os": ["/v1/executions/{id}/events", "/v1/runs/{id}", "/v1/workflows/{id}", "/v1/workflows/{id}/runs"],
    "refold": ["/api/v2/public/executions/{id}"],
    "native": ["/ledger/executions/{id}/events"],
}
MANY = {
    "crosstrade": ["/v1/api/accounts/{account}/executions", "/v1/api/accounts/{account}/orders/o/executions"],
    "hummingbot": ["/executors/{id}/logs"],
    "b3os": ["/v1/executions", "/v1/executions/{id}/events", "/v1/runs", "/v1/workflows"],
    "refold": ["/api/v2/public/execution", "/api/v2/public/executions"],
    "native": ["/ledger/executions", "/ledger/summary", "/ledger/export", "/ledger/executions/{id}/events"],
}
CREDENTIAL = {
    "crosstrade": "bearer",
    "hummingbot": "basic",
    "b3os": "b3os",
    "refold": "pk_bound",
    "native": "bearer",
}
THING = {"crosstrade": "fill_trading", "hummingbot": "executor", "b3os": "run_x", "refold": "run_x", "native": "run_x"}
DIALECTS = list(ONE)

STRANGE_IDS = {
    "nul": "%00",
    "nul inside": "a%00b",
    "slash": "a%2Fb",
    "only a slash": "%2F",
    "dots": "..",
    "encoded dots": "%2e%2e",
    "dot": ".",
    "climbing": "..%2f..%2fetc%2fpasswd",
    "10 kB": "x" * 10_000,
    "10 kB of escapes": "%41" * 3400,
    "not UTF-8": "%ff",
    "overlong": "%c0%af",
    "a surrogate in UTF-8": "%ed%a0%80",
    "emoji": quote("🦖"),
    "10 kB of emoji": quote("🦖" * 800),
    "half an escape": "%4",
    "no escape": "%zz",
    "newline": "a%0d%0aX-Injected:%201",
    "control": "%01%1b%5b2J",
    "right to left": quote("\u202eabc"),
    "space": "%20",
    "quote": "'%20OR%201=1--",
    "percent": "100%25_",
    "markup": "%3Cscript%3E",
    "nonexistent": "0" * 32,
    "number": "9" * 400,
    "null": "null",
    "template": "%7B%7B7*7%7D%7D",
}

STRANGE_QUERIES = {
    "limit=abc": "limit=abc",
    "limit=-1": "limit=-1",
    "limit=0": "limit=0",
    "limit empty": "limit=",
    "limit huge": f"limit={10**12}",
    "limit endless": "limit=" + "9" * 5000,
    "limit float": "limit=1.5",
    "limit in other digits": "limit=" + quote("٣"),
    "limit with a sign": "limit=%2B5",
    "limit padded": "limit=%205",
    "limit twice": "limit=1&limit=2",
    "page=0": "page=0",
    "page=-1": "page=-1",
    "page=10^12": f"page={10**12}",
    "page=10^30": f"page={10**30}",
    "page=abc": "page=abc",
    "offset=-1": "offset=-1",
    "offset=10^12": f"offset={10**12}",
    "offset=10^18": f"offset={10**18}",
    "offset=10^30": f"offset={10**30}",
    "offset twice": "offset=1&offset=1",
    "lookbackTime=abc": "lookbackTime=abc",
    "lookbackTime=0": "lookbackTime=0",
    "lookbackTime=2^31": f"lookbackTime={2**31}",
    **{
        f"{name}={text}": f"{name}={quote(text)}"
        for name in ("from", "createdAfter", "createdBefore", "start_date", "end_date", "created_from", "created_to")
        for text in ("2026-02-30", "2026-13-01", "yesterday", "9999-12-31", "10000-01-01", "0000-00-00", "0001-01-01")
    },
    "from in ms": "from=" + "9" * 15,
    "from -ms": "from=-" + "9" * 15,
    "0001 west": "created_from=" + quote("0001-01-01T00:00:00+23:59"),
    "9999 east": "end_date=" + quote("9999-12-31T23:59:59.999999-23:59"),
    "status": "status=exploded",
    "status comma": "status=,,,",
    "status NUL": "status=%00",
    "level": "level=LOUD",
    "kind": "kind=war",
    "sortAsc": "sortAsc=maybe",
    "execution_type": "execution_type=LATER",
    "cursor": "cursor=abc",
    "cursor of another version": "cursor=" + base64.urlsafe_b64encode(b"2" + bytes(16)).decode().rstrip("="),
    "cursor at the edge": "cursor=" + base64.urlsafe_b64encode(b"1" + b"\x7f" + b"\xff" * 15).decode().rstrip("="),
    "cursor at the other edge": "cursor=" + base64.urlsafe_b64encode(b"1" + b"\x80" + bytes(15)).decode().rstrip("="),
    "cursor 10 kB": "cursor=" + "A" * 10_000,
    "after": "after=evt_x",
    "after huge": "after=evt_" + "9" * 19,
    "after_seq": f"after_seq={2**63}",
    "unknown": "nonsense=1",
    "not UTF-8": "name=%ff",
    "not UTF-8 key": "%ff=1",
    "NUL": "name=%00",
    "NUL key": "%00=1",
    "surrogate": "workflow_name=%ed%a0%80",
    "emoji": "workflow_name=" + quote("🦖"),
    "semicolons": "limit=1;page=2",
    "only ampersands": "&" * 3000,
    "a thousand": "&".join(f"a{n}=1" for n in range(1000)),
    "10 kB": "workflow_name=" + "x" * 10_000,
    "slugs": "slug=" + ",".join(f"s{n}" for n in range(200)),
    "question marks": "????",
    "wildcards": "workflow_name=%25%25%25__%5C",
}

# The lists that page by these words take these values, by their documents (docs/dialects): a clamp, not an error.
CLAMPED = {
    ("b3os", "limit huge"),
    ("b3os", "limit endless"),
    *(("refold", name) for name in ("limit=abc", "page=0", "page=-1", "page=abc")),
}


def target_of(dialect: str, template: str, house: House, id_: str | None = None) -> str:
    thing = house.things[THING[dialect]]
    return template.format(account=quote(thing.account.name, safe=""), id=thing.id if id_ is None else id_)


def judge(dialect: str, answer: Answer) -> None:
    """No server error; an error in the dialect's own shape."""
    assert answer.status < 500, answer
    if answer.status >= 400:
        shapes.check(dialect, answer)
    else:
        assert answer.status == 200, answer


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("strange", STRANGE_IDS)
def test_strange_ids(live: Live, alpha: House, dialect: str, strange: str) -> None:
    headers = alpha.credentials[CREDENTIAL[dialect]].headers
    with live.client() as client:
        for template in (ONE[dialect], *MORE_ONES[dialect]):
            target = target_of(dialect, template, alpha, STRANGE_IDS[strange])
            answer = client("GET", target, headers)
            judge(dialect, answer)
            assert answer.status in (400, 404, 422) or "orders" in template, (target[:100], answer)
            assert "x-injected" not in answer.headers
            anonymous = client("GET", target)
            assert anonymous.status in (400, 401, 404, 422), anonymous
            judge(dialect, anonymous)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_strange_queries(live: Live, alpha: House, dialect: str) -> None:
    headers = alpha.credentials[CREDENTIAL[dialect]].headers
    refused = set()
    with live.client() as client:
        for name, query in STRANGE_QUERIES.items():
            for template in MANY[dialect]:
                answer = client("GET", f"{target_of(dialect, template, alpha)}?{query}", headers)
                judge(dialect, answer)
                if answer.status != 200:
                    assert answer.status in (400, 422), (name, answer)
                    refused.add(name)
    assert not {name for owner, name in CLAMPED if owner == dialect} & refused
    assert {"NUL", "not UTF-8", "not UTF-8 key", "NUL key", "surrogate"} <= refused


@pytest.mark.parametrize("dialect", DIALECTS)
def test_malformed_credentials(live: Live, alpha: House, dialect: str) -> None:
    good = alpha.credentials[CREDENTIAL[dialect]]
    target = target_of(dialect, ONE[dialect], alpha)
    with live.client() as client:
        for headers in _malformed(good.secret, f"user-{alpha.tag}"):
            answer = client("GET", target, headers)
            judge(dialect, answer)
            # 400 is for what cannot be read at all; whoever can be read is unknown.
            unreadable = not _is_text(headers) or "linked_account_id" in headers
            assert answer.status == 401 or (unreadable and answer.status in (400, 422)), (headers, answer)
            assert good.secret.encode() not in answer.body
        assert client("GET", target, good.headers).status == 200


def _malformed(secret: str, username: str) -> Iterator[dict[str, str | bytes]]:
    yield {}
    for value in ("", " ", "Bearer", "Bearer ", "Bearer  ", "Basic", "Basic ", "Digest x", "Bearer\tx", "x" * 10_000):
        yield {"Authorization": value}
    for token in (
        secret[:-1],
        secret + "0",
        secret.upper() + "!",
        "gst_",
        "b3sk_" + "0" * 64,
        "🦖",
        "a.b.c",
        "..",
        "a" * 9000,
    ):
        yield {"Authorization": f"Bearer {token}".encode()}
        yield {"x-api-key": token.encode()}
    yield {"Authorization": b"Bearer \xff\xfe"}
    yield {"Authorization": b"Basic \xff"}
    yield {"x-api-key": b"\xff"}
    yield {"x-api-key": ""}
    yield {"x-api-key": "pk_x", "linked_account_id": "x" * 5000}
    for encoded in ("====", "a", "YQ", "YQ==", "Og==", base64.b64encode(b"\xff:\xff").decode(), "A" * 9000):
        yield {"Authorization": f"Basic {encoded}"}
    for name, password in ((username, ""), (username, "x" * 5000), ("", ""), ("a\0b", "c"), (username.upper(), "x")):
        yield dict(basic(name, password))
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    claims = base64.urlsafe_b64encode(b'{"sub":"x","exp":99999999999}').decode().rstrip("=")
    yield {"Authorization": f"Bearer {unsigned}.{claims}."}
    yield {"Authorization": f"Bearer {unsigned}.{'W' * 300}.AAAA"}


def _is_text(headers: dict[str, str | bytes]) -> bool:
    try:
        for value in headers.values():
            if isinstance(value, bytes):
                value.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "BREW", "POST"])
def test_other_methods(live: Live, alpha: House, dialect: str, method: str) -> None:
    headers = alpha.credentials[CREDENTIAL[dialect]].headers
    with live.client() as client:
        for target in (target_of(dialect, ONE[dialect], alpha), "/" + ONE[dialect].split("/")[1] + "/nowhere"):
            answer = client(method, target, headers)
            assert answer.status in (200, 400, 404, 405), answer
            assert headers.get("Authorization", "?").encode() not in answer.body
            if answer.status != 200 and method != "HEAD" and answer.body:
                # What is no method at all breaks the grammar before the path is read.
                owner = "operations" if method == "BREW" else live.server.app.mount_of(target).name
                shapes.check(owner, answer)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_same_header_twice(live: Live, alpha: House, beta: House, dialect: str) -> None:
    """Two credentials are never mixed: the answer is an error, or wholly that of one of them."""
    lines = [
        f"{name}: {value}"
        for house in (alpha, beta)
        for name, value in house.credentials[CREDENTIAL[dialect]].headers.items()
    ]
    target = target_of(dialect, ONE[dialect], beta)
    answer = raw(live, "\r\n".join([f"GET {target} HTTP/1.1", "Host: x", *lines, "Connection: close", "", ""]).encode())
    status = int(answer.split()[1])
    assert status in (200, 400, 401, 404)
    assert (status == 200) == (
        beta.things[THING[dialect]].marker.encode() in answer.partition(b"\r\n\r\n")[2] and status == 200
    )
    assert alpha.tag.encode() not in answer


def raw(live: Live, request: bytes, *, ends: bool = False, timeout_s: float = 10) -> bytes:
    """Everything that the server says to these bytes until it closes; with `ends`, nothing follows them."""
    with socket.create_connection(("127.0.0.1", live.port), timeout=timeout_s) as peer:
        peer.sendall(request)
        if ends:
            peer.shutdown(socket.SHUT_WR)
        parts = []
        try:
            while part := peer.recv(65536):
                parts.append(part)
        except ConnectionResetError:
            pass
        return b"".join(parts)


def head(line: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join((line + b" HTTP/1.1", b"Host: x", *headers, b"", b""))


GARBAGE = {
    "noise": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 200 + b"\r\n\r\n",
    "no version": b"GET /ledger/executions\r\n\r\n",
    "version 9": b"GET /ledger/executions HTTP/9.9\r\nHost: x\r\n\r\n",
    "no host": b"GET /ledger/executions HTTP/1.1\r\n\r\n",
    "NUL in a header": b"GET /ledger/executions HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\n\r\n",
    "NUL in the path": b"GET /ledger/\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in the query": b"GET /ledger/executions?a=\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw bytes in the path": b"GET /ledger/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "bare line feeds": b"GET /ledger/executions HTTP/1.1\nHost: x\n\n",
    "a folded header": b"GET /ledger/executions HTTP/1.1\r\nHost: x\r\nX-A: a\r\n b\r\n\r\n",
    "space before the colon": b"GET /ledger/executions HTTP/1.1\r\nHost : x\r\n\r\n",
    "lengths that disagree": head(b"POST /ledger/executions", b"Content-Length: 5", b"Content-Length: 6") + b"hello",
    "length and chunks": head(b"POST /ledger/executions", b"Content-Length: 5", b"Transfer-Encoding: chunked")
    + b"0\r\n\r\n",
    "negative length": b"POST /ledger/executions HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "length beyond 64 bits": head(b"POST /ledger/executions", b"Content-Length: 99999999999999999999"),
    "endless chunk": head(b"POST /ledger/executions", b"Transfer-Encoding: chunked") + b"ffffffffffffffffff\r\n",
    "no chunk": b"POST /ledger/executions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "another encoding": b"POST /ledger/executions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "h2c upgrade": head(
        b"GET /ledger/executions", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAA"
    ),
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute": b"GET http://elsewhere/ledger/executions HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a WebSocket without a key": head(b"GET /ws/stream", b"Connection: Upgrade", b"Upgrade: websocket"),
    "a WebSocket with POST": head(
        b"POST /ws/stream",
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Key: x",
        b"Sec-WebSocket-Version: 13",
        b"Content-Length: 0",
    ),
    "a WebSocket nowhere": head(
        b"GET /nowhere",
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        b"Sec-WebSocket-Version: 13",
    ),
    "70 kB of header": b"GET /ledger/executions HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 70_000 + b"\r\n\r\n",
    "70 kB of target": b"GET /ledger/executions?" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "ten thousand headers": b"GET /ledger/executions HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 10_000 + b"\r\n",
    "pipelined": b"GET /ledger/executions HTTP/1.1\r\nHost: x\r\n\r\n" * 20 + b"\x00\x01garbage\r\n\r\n",
    "nothing": b"",
    "half a line": b"GET /led",
    "half a head": b"GET /ledger/executions HTTP/1.1\r\nHost: x\r\nX-Half",
    "half a body": b"POST /api/v2/public/session-token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    "line feeds only": b"\r\n" * 5000,
}


@pytest.mark.parametrize("name", GARBAGE)
def test_broken_http(live: Live, name: str) -> None:
    said = raw(live, GARBAGE[name], ends=True)
    statuses = [int(each.split()[0]) for each in said.split(b"HTTP/1.1 ")[1:]]
    assert all(status in (200, 400, 401, 403, 404, 405, 408, 413, 426) for status in statuses), said[:600]
    assert len(statuses) <= 21
    assert shapes.INTERNALS.search(said.decode("latin-1")) is None
    with live.client() as client:
        assert client("GET", "/healthz").status == 200


@pytest.mark.parametrize("name", ["70 kB of header", "70 kB of target"])
def test_a_head_above_the_bound_in_one_piece(live: Live, name: str) -> None:
    said = raw(live, GARBAGE[name])
    assert said.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("name", ["pipelined", "no chunk", "endless chunk", "another encoding"])
def test_what_breaks_behind_a_request_ends_it(live: Live, name: str) -> None:
    """One answer, and nothing is written after it: the request in progress is told that nobody listens."""
    with capture_logs() as lines:
        said = raw(live, GARBAGE[name])
        with live.client() as client:
            assert client("GET", "/healthz").status == 200
    assert said.count(b"HTTP/1.1 ") <= 1
    assert [line["event"] for line in lines if line["log_level"] == "error"] == []


def test_http_1_0(live: Live, alpha: House) -> None:
    token = alpha.credentials["bearer"].headers["Authorization"]
    said = raw(live, f"GET /ledger/executions HTTP/1.0\r\nAuthorization: {token}\r\n\r\n".encode())
    assert said.split()[1] == b"200"
    said = raw(live, b"GET /ledger/executions HTTP/1.0\r\n\r\n")
    assert said.split()[1] == b"401"


def test_the_ledger_is_whole(live: Live) -> None:
    assert live.verify().faults == []

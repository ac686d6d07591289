"""`gesta serve` as a process of its own under what is too large, too slow, or too many: it stays small and goes on
answering, and its ledger is whole afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect

from gesta.apis.hummingbot import ws_session
from gesta.app.build import open_core
from gesta.app.settings import load_settings
from gesta.ledger.verify import Report, verify
from tests.integration.hardening.house import UNLIMITED, Client, House, found_house

MIB = 1024 * 1024
BIG = 20 * MIB
IDLE = 10_000
# Room for what is under way at once (bodies up to their bound, caches), far below what was sent.
MOST_GROWTH_MIB = 160


class Process(msgspec.Struct, kw_only=True):
    child: subprocess.Popen[bytes]
    port: int
    house: House

    def client(self) -> Client:
        return Client(self.port)

    @property
    def bearer(self) -> dict[str, str]:
        return self.house.credentials["bearer"].headers

    def rss_mib(self) -> float:
        pages = int(Path(f"/proc/{self.child.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / MIB

    def head(self) -> int:
        with self.client() as client:
            answer = client("GET", "/ledger/executions?limit=1", self.bearer)
            assert answer.status == 200
            seq: int = answer.json["items"][0]["seq"]
            return seq


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("memory")
    database = str(folder / "gesta.sqlite3")
    settings = load_settings(overrides={"database.url": database}, environ={})

    async def prepare() -> House:
        async with open_core(settings) as core:
            return await found_house(core, "omega7q")

    async def recount() -> Report:
        async with open_core(settings) as core:
            return await verify(core.database)

    house = asyncio.run(prepare())
    variables = {f"GESTA_{name.replace('.', '__')}".upper(): str(value) for name, value in UNLIMITED.items()}
    variables |= {
        "GESTA_DATABASE__URL": database,
        "GESTA_SERVER__PORT": "0",
        "GESTA_SERVER__HEADER_TIMEOUT_S": "60",
        "GESTA_LIMITS__BODY_IDLE_TIMEOUT_S": "2",
        "GESTA_LOG__REQUESTS": "false",
        "GESTA_WRITE_ADDRESS": str(folder / "address"),
    }
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-c", "from gesta.cli import main; main()", "serve"],
            env={**os.environ, **variables},
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        port = _port_of(child, folder)
        yield Process(child=child, port=port, house=house)
        child.terminate()
        assert child.wait(30) == 0, (folder / "log").read_text()[-2000:]
    finally:
        child.kill()
        child.wait(10)
    written = (folder / "log").read_text()
    assert "Traceback" not in written, written[-4000:]
    assert asyncio.run(recount()).faults == []


def _port_of(child: subprocess.Popen[bytes], folder: Path) -> int:
    deadline_s = time.monotonic() + 30
    while not (folder / "address").exists():
        assert child.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    return int((folder / "address").read_text().strip().rpartition(":")[2])


def send(
    process: Process, target: str, headers: dict[str, str], parts: Iterator[bytes], *, length: int | None
) -> bytes:
    """Send a large body and read the answer as soon as there is one; a server may close before it has all."""
    form = f"Content-Length: {length}" if length is not None else "Transfer-Encoding: chunked"
    lines = [f"POST {target} HTTP/1.1", "Host: x", form, "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection(("127.0.0.1", process.port), timeout=20) as peer:
        try:
            peer.sendall("\r\n".join([*lines, "", ""]).encode())
            for part in parts:
                peer.sendall(part if length is not None else b"%x\r\n%b\r\n" % (len(part), part))
            if length is None:
                peer.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        said = b""
        try:
            while part := peer.recv(65536):
                said += part
        except ConnectionResetError:
            pass
    return said


def pieces(body: bytes, count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield body


TARGETS = [
    ("/ledger/executions", "application/json"),
    ("/ledger/executions", "application/x-ndjson"),
    ("/ledger/executions?dialect=b3os", "application/json"),
    ("/ledger/executions/id-omega7q-executor/events", "application/json"),
    ("/api/v2/public/session-token", "application/json"),
]


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(("target", "form"), TARGETS)
def test_bodies_of_20_mb(process: Process, target: str, form: str, chunked: bool) -> None:
    """Eight at once. What is refused is refused before it is held."""
    before_mib, head = process.rss_mib(), process.head()
    name = "pk" if "session" in target else "bearer"
    headers = {**process.house.credentials[name].headers, "Content-Type": form}
    length = None if chunked else BIG
    answers: list[bytes] = []

    def one() -> None:
        answers.append(send(process, target, headers, pieces(b'{"a":"' + b"x" * (MIB - 6), 20), length=length))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    statuses = [answer.split(b" ", 2)[1] for answer in answers if answer]
    assert statuses, "not one answer arrived"
    assert set(statuses) == {b"413"}
    assert process.head() == head
    assert process.rss_mib() - before_mib < MOST_GROWTH_MIB


DEEP_ROWS = {"arrays": b"[" * 10_000 + b"]" * 10_000, "objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000}


@pytest.mark.parametrize("row", DEEP_ROWS.values(), ids=DEEP_ROWS)
def test_lines_10000_deep(process: Process, row: bytes) -> None:
    before_mib, head = process.rss_mib(), process.head()
    headers = {**process.bearer, "Content-Type": "application/x-ndjson"}
    said = send(process, "/ledger/executions", headers, pieces(row + b"\n", 300), length=None)
    assert said.split(b" ", 2)[1] in (b"413", b"422")
    assert process.head() == head
    assert process.rss_mib() - before_mib < MOST_GROWTH_MIB


DEEP_FRAMES = (
    *("[" * 10_000, "[" * 10_000 + "]" * 10_000, '{"a":' * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000),
    *("1" * 500_000, "\\", ""),
)


def closing_code(peer: ClientConnection, frames: list[Frame]) -> int | None:
    """Why the server closed; None where it hung up on a peer that went on sending."""
    try:
        for frame in frames:
            peer.socket.sendall(frame.serialize(mask=True))
        while True:
            peer.recv(timeout=10)
    except ConnectionClosed as closed:
        return None if closed.rcvd is None else closed.rcvd.code
    except OSError:
        return None


@pytest.mark.parametrize("path", ["/ws/stream", "/ledger/stream"])
def test_websocket_frames_too_large_too_deep_and_halved(process: Process, path: str) -> None:
    before_mib = process.rss_mib()
    url = f"ws://127.0.0.1:{process.port}{path}"
    for _ in range(5):
        with connect(url, additional_headers=process.bearer, max_size=None) as peer:
            assert closing_code(peer, [Frame(Opcode.TEXT, b"x" * BIG)]) in (1009, None)
    with connect(url, additional_headers=process.bearer, max_size=None) as peer:
        part = b"x" * 65_536
        fragments = [Frame(Opcode.CONT if number else Opcode.TEXT, part, fin=False) for number in range(64)]
        assert closing_code(peer, fragments) in (1009, None)
    for frame in DEEP_FRAMES:
        with connect(url, additional_headers=process.bearer) as peer:
            peer.send(frame)
            peer.send('{"action":"ping","type":"ping"}')
            said = [json.loads(peer.recv(timeout=10)) for _ in range(3 if path == "/ledger/stream" else 2)]
            assert said[-1] == {"type": "pong"}
            assert "error" in str(said[-2])
    for cut in (1, 2, 5, 20):
        peer = connect(url, additional_headers=process.bearer)
        peer.socket.sendall(Frame(Opcode.TEXT, b'{"action":"ping"}').serialize(mask=True)[:cut])
        with suppress(OSError):
            peer.socket.shutdown(socket.SHUT_RDWR)
    assert process.head()
    assert process.rss_mib() - before_mib < MOST_GROWTH_MIB


def test_messages_to_the_executors_websocket(process: Process) -> None:
    """Too large, too deep, cut, and subscriptions of every kind opened and ended over and over."""
    before_mib = process.rss_mib()
    url, headers = f"ws://127.0.0.1:{process.port}/ws/executors", process.house.credentials["basic"].headers
    for _ in range(5):
        with connect(url, additional_headers=headers, max_size=None) as peer:
            assert closing_code(peer, [Frame(Opcode.TEXT, b"x" * BIG)]) in (1009, None)
    for cut in (1, 2, 5, 20):
        peer = connect(url, additional_headers=headers)
        peer.socket.sendall(Frame(Opcode.TEXT, b'{"action":"ping"}').serialize(mask=True)[:cut])
        with suppress(OSError):
            peer.socket.shutdown(socket.SHUT_RDWR)
    with connect(url, additional_headers=headers, max_size=None) as peer:
        assert json.loads(peer.recv(timeout=10))["type"] == "connected"
        for frame in DEEP_FRAMES:
            if len(frame) > ws_session.MAX_MESSAGE_BYTES:
                continue
            peer.send(frame)
            assert json.loads(peer.recv(timeout=10))["type"] == "error", frame[:50]
        for number in range(200):
            for topic in ("executors", "executor_summary", "performance", "executor_detail", "executor_logs"):
                peer.send(json.dumps({"action": "subscribe", "type": topic, "executor_id": str(number)}))
            peer.send(json.dumps({"action": "unsubscribe", "subscription_id": f"executor_detail_{number}"}))
            peer.send(json.dumps({"action": "unsubscribe", "subscription_id": f"executor_logs_{number}"}))
            peer.send('{"action":"ping"}')
            while (said := json.loads(peer.recv(timeout=10)))["type"] != "pong":
                assert said["type"] != "error"
    assert process.head()
    assert process.rss_mib() - before_mib < MOST_GROWTH_MIB


def test_slow_bodies(process: Process) -> None:
    """A body of which nothing more comes is answered 408, and nothing of it is recorded."""
    head = process.head()
    for target, key in (("/ledger/executions", "bearer"), ("/api/v2/public/session-token", "pk")):
        headers = {**process.house.credentials[key].headers, "Content-Type": "application/json"}
        lines = [f"POST {target} HTTP/1.1", "Host: x", "Content-Length: 1000"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        with socket.create_connection(("127.0.0.1", process.port), timeout=20) as peer:
            peer.sendall("\r\n".join([*lines, "", "["]).encode())
            assert peer.recv(4096).split(b" ", 2)[1] == b"408"
    assert process.head() == head


def test_ten_thousand_idle_sockets(process: Process) -> None:
    """Silent ones, half-sent heads and kept connections; the others are answered as before, and memory comes back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = IDLE if hard == resource.RLIM_INFINITY else min(IDLE, hard - 500)
    if soft < count + 500:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count + 500, hard))
    before_mib = process.rss_mib()
    peers: list[socket.socket] = []
    try:
        for number in range(count):
            peer = socket.create_connection(("127.0.0.1", process.port), timeout=20)
            peers.append(peer)
            if number % 4 == 1:
                peer.sendall(b"GET /ledger/executions HTTP/1.1\r\nHost:")
            elif number % 4 == 2:
                peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            elif number % 4 == 3:
                peer.sendall(b"\x16\x03\x01")
        started_s = time.monotonic()
        with process.client() as client:
            for _ in range(50):
                assert client("GET", "/ledger/executions?limit=1", process.bearer).status == 200
        assert time.monotonic() - started_s < 10
        grown_mib = process.rss_mib() - before_mib
        assert grown_mib < 150, "more than 15 kB per idle connection"
        kept = [peer for number, peer in enumerate(peers) if number % 4 == 2]
        for peer in kept[::50]:
            assert peer.recv(12) == b"HTTP/1.1 200"
    finally:
        for peer in peers:
            peer.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert count >= 2000
    with process.client() as client:
        assert client("GET", "/readyz").status == 200

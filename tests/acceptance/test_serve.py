"""The installed `gesta` command, as a person uses it: init, serve, ask in every dialect, stop, start again."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

GESTA = Path(sys.executable).with_name("gesta")
START_S = 30


def gesta(folder: Path, *arguments: str, check: bool = True, **environ: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [GESTA, *arguments],
        cwd=folder,
        env=clean_environment(environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


def clean_environment(changes: dict[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GESTA_")}
    return {**inherited, **changes}


class Served:
    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.port = int(url.rpartition(":")[2])

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float, str]:
        """Send a signal: exit code, seconds until the end, standard output after the first line."""
        began = time.monotonic()
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=30)
        return self.process.returncode, time.monotonic() - began, out


@contextmanager
def served(folder: Path, *arguments: str, **environ: str) -> Iterator[Served]:
    log = (folder / "serve.log").open("a")
    process = subprocess.Popen(
        [GESTA, "serve", "--port", "0", *arguments],
        cwd=folder,
        env=clean_environment(environ),
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"Gesta answers on (http://\S+)", line)
        assert found, (line, (folder / "serve.log").read_text())
        yield Served(process, found[1])
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)
        log.close()


def secrets_of(printed: str) -> dict[str, str]:
    patterns = {
        "native": r"gst_[0-9a-f]{64}",
        "b3os": r"b3sk_[0-9a-f]{64}",
        "basic": r"admin  (\S+)",
        "key": r"pk_[0-9a-f]{64}",
    }
    found = {name: re.search(pattern, printed) for name, pattern in patterns.items()}
    assert all(found.values()), printed
    return {name: match[match.lastindex or 0] for name, match in found.items() if match}


FILL = {
    "id": "9f2c31d0a4b84f6e8c1d2e3f4a5b6c7d",
    "account": "Sim101",
    "origin": "acceptance",
    "name": "Entry",
    "created_at": "2026-03-10T14:30:00.123456Z",
    "detail": {
        "kind": "fill",
        "order_id": "order-1",
        "instrument": "ES 03-26",
        "side": "buy",
        "quantity": "2",
        "price": "5123.25",
    },
}


def get(url: str, path: str, **arguments: Any) -> httpx.Response:
    return httpx.get(url + path, timeout=20, **arguments)


def test_init_serve_ask_stop_and_start_again(tmp_path: Path) -> None:
    printed = gesta(tmp_path, "init", COLUMNS="200").stdout
    secrets = secrets_of(printed)
    bearer = {"Authorization": f"Bearer {secrets['native']}"}
    key = {"x-api-key": secrets["key"], "linked_account_id": "ann@example.com"}
    vendor_run = vendor_example()
    with served(tmp_path, "--write-address", "address.txt") as server:
        assert (tmp_path / "address.txt").read_text() == server.url + "\n"
        posted = httpx.post(server.url + "/ledger/executions", json=[FILL], headers=bearer, timeout=20)
        assert posted.status_code < 300, posted.text
        assert posted.json()["recorded"] == 1
        again = httpx.post(server.url + "/ledger/executions", json=[FILL], headers=bearer, timeout=20)
        assert again.json()["duplicates"] == 1
        imported = httpx.post(
            server.url + "/ledger/executions?dialect=b3os", json=[vendor_run], headers=bearer, timeout=20
        )
        assert imported.json()["recorded"] == 1, imported.text
        fills = get(server.url, "/v1/api/accounts/Sim101/executions/" + FILL["id"], headers=bearer)
        assert fills.status_code == 200, fills.text
        runs = get(server.url, "/v1/executions", headers={"Authorization": f"Bearer {secrets['b3os']}"})
        assert [item["id"] for item in runs.json()["data"]["items"]] == [vendor_run["id"]]
        assert get(server.url, "/executors/unknown", auth=("admin", secrets["basic"])).status_code == 404
        assert get(server.url, "/api/v2/public/execution", headers=key).status_code in (200, 400, 401)
        code, seconds, out = server.stop()
        assert (code, out) == (0, "Stopped.\n")
        assert seconds < 5
    with served(tmp_path) as server:
        listed = get(server.url, "/ledger/executions", headers=bearer).json()
        assert listed["total"] == 2
        code, _, out = server.stop(signal.SIGINT)
        assert (code, out) == (0, "Stopped.\n")
    assert "Everything agrees." in gesta(tmp_path, "verify").stdout
    log = (tmp_path / "serve.log").read_text()
    for secret in secrets.values():
        assert secret not in log
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert {"request_id", "dialect", "route", "status", "ms"} <= next(
        line for line in lines if line["event"] == "request"
    ).keys()


def vendor_example() -> dict[str, Any]:
    return {
        "id": "65a1b2c3d4e5f60718293a4b",
        "workflowId": "wf_abc",
        "status": "workflow_succeeded",
        "createdAt": "2026-03-10T12:00:00Z",
    }


def test_open_streams_end_within_the_deadline(tmp_path: Path) -> None:
    secrets = secrets_of(gesta(tmp_path, "init", COLUMNS="200").stdout)
    bearer = {"Authorization": f"Bearer {secrets['native']}"}
    with served(tmp_path) as server, httpx.stream("GET", server.url + "/ledger/stream", headers=bearer) as stream:
        assert stream.status_code == 200
        code, seconds, _ = server.stop()
        assert code == 0
        assert seconds < 5
        stream.read()


def test_two_thousand_idle_sockets_and_garbage_do_not_stop_it(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    held: list[socket.socket] = []
    with served(tmp_path) as server:
        try:
            for _ in range(2000):
                held.append(socket.create_connection(("127.0.0.1", server.port), timeout=20))
            for each in held[:50]:
                each.sendall(b"\x16\x03\x01\0garbage\xff\xfe\r\n\r\n")
            assert get(server.url, "/healthz").status_code == 200
        finally:
            for each in held:
                each.close()
        assert get(server.url, "/readyz").status_code == 200
        assert server.stop()[0] == 0


def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = gesta(tmp_path, "serve", "--port", str(port), check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"gesta: Port 127.0.0.1:{port} is taken by another program. Stop it, or choose another with --port.\n"
    )
    assert not (tmp_path / "gesta-data").exists()


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["serve", "--database", "mysql://x"], {}, "database.url has the unknown scheme 'mysql'"),
        (["serve", "--config", "nope.toml"], {}, "nope.toml does not exist"),
        (["serve"], {"GESTA_SERVER__PROT": "1"}, "did you mean port?"),
        (["verify"], {}, "There is no database at gesta-data/gesta.sqlite3"),
        (["backup", "copy.sqlite3"], {}, "There is no database at gesta-data/gesta.sqlite3"),
        (["serve", "--database", "/proc/nope/x.sqlite3", "--port", "0"], {}, "gesta: "),
        (
            ["serve", "--database", "postgresql://gesta:hunter2@127.0.0.1:1/gesta", "--port", "0"],
            {},
            "gesta: ",
        ),
    ],
)
def test_what_is_wrong_is_one_line_and_no_traceback(
    tmp_path: Path, arguments: list[str], environ: dict[str, str], said: str
) -> None:
    done = gesta(tmp_path, *arguments, check=False, **environ)
    assert done.returncode in (1, 2)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("gesta: ")
    assert said in last
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


def test_a_backup_of_a_running_server_is_a_ledger(tmp_path: Path) -> None:
    secrets = secrets_of(gesta(tmp_path, "init", COLUMNS="200").stdout)
    bearer = {"Authorization": f"Bearer {secrets['native']}"}
    with served(tmp_path) as server:
        httpx.post(server.url + "/ledger/executions", json=[FILL], headers=bearer, timeout=20).raise_for_status()
        assert "Wrote copy.sqlite3" in gesta(tmp_path, "backup", "copy.sqlite3").stdout
        refused = gesta(tmp_path, "backup", "copy.sqlite3", check=False)
        assert (refused.returncode, refused.stderr) == (2, "gesta: copy.sqlite3 exists; --force replaces it.\n")
        gesta(tmp_path, "backup", "copy.sqlite3", "--force")
    with served(tmp_path, "--database", "copy.sqlite3") as server:
        assert get(server.url, "/ledger/executions", headers=bearer).json()["total"] == 1
    assert "Everything agrees." in gesta(tmp_path, "verify", "--database", "copy.sqlite3").stdout


def test_migrate_and_version(tmp_path: Path) -> None:
    first = gesta(tmp_path, "migrate").stdout
    assert "applied access 0001" in first
    assert "applied ledger 0001" in first
    assert "is up to date" in gesta(tmp_path, "migrate").stdout
    assert re.fullmatch(r"gesta \d+\.\d+\.\d+\n", gesta(tmp_path, "version").stdout)

"""The installed `gesta demo`, as a user runs it: over a socket, with what it prints, across a restart."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

GESTA = Path(sys.executable).parent / "gesta"
START_S = 60
STOP_S = 30
FILLS_S = 20
TURNS_S = 45
PAID_S = 120

SHAPE = {
    "base_url": str,
    "crosstrade": {"token": str, "account": str},
    "hummingbot": {"username": str, "password": str, "executor_id": str},
    "b3os": {"token": str},
    "refold": {"api_key": str, "linked_account_id": str},
    "native": {"token": str},
}


class Demo:
    """A running `gesta demo`: `given` is its credentials file, `printed` what it said until it answered."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "credentials.json"
        self.file.unlink(missing_ok=True)
        command = [GESTA, "demo", "--port", "0", "--data", folder / "data", "--write-credentials", self.file]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GESTA_")}
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        # A demo that never answers must not hang the tests.
        watchdog = threading.Timer(START_S, self.process.kill)
        watchdog.start()
        self.printed: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed.append(line.rstrip("\n"))
            if line.startswith("Ctrl-C stops it"):
                break
        else:
            assert self.process.stderr is not None
            pytest.fail(f"gesta demo did not start: {self.printed} {self.process.stderr.read()}")
        watchdog.cancel()
        self.given: dict[str, Any] = json.loads(self.file.read_text("utf-8"))

    def stop(self) -> tuple[int, str, str]:
        """Ctrl-C; the exit code and what was printed after it."""
        self.process.send_signal(signal.SIGINT)
        rest, errors = self.process.communicate(timeout=STOP_S)
        return self.process.returncode, rest, errors


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Demo]:
    demo = Demo(folder)
    try:
        yield demo
    finally:
        demo.process.kill()
        demo.process.communicate()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running(tmp_path_factory.mktemp("demo")) as started:
        yield started


def curl(command: str) -> httpx.Response:
    """What a printed curl line asks for: -s, -u, -H, -N, -d and an address."""
    words = iter(shlex.split(command)[1:])
    headers, auth, address, body = {}, None, "", None
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-u":
            username, _, password = next(words).partition(":")
            auth = httpx.BasicAuth(username, password)
        elif word == "-d":
            body = next(words)
        elif word not in ("-s", "-N"):
            address = word
    method = "GET" if body is None else "POST"
    return httpx.request(
        method, address, headers=headers, content=body, auth=auth, timeout=30, follow_redirects=False, trust_env=False
    )


def printed_call(demo: Demo, dialect: str) -> str:
    """The line after the comment that names the dialect."""
    (place,) = [number for number, line in enumerate(demo.printed) if line.startswith(f"# {dialect}")][:1]
    return demo.printed[place + 1]


def answer(demo: Demo, dialect: str) -> Any:
    response = curl(printed_call(demo, dialect))
    assert response.status_code == 200, response.text
    return response.json()


def test_the_credentials_file_has_exactly_the_published_shape(demo: Demo) -> None:
    def shape(value: Any) -> Any:
        return {key: shape(each) for key, each in value.items()} if isinstance(value, dict) else type(value)

    assert shape(demo.given) == SHAPE
    assert demo.given["crosstrade"]["account"] == "Sim101"
    assert demo.given["refold"]["linked_account_id"] == "demo@example.com"
    assert demo.given["refold"]["api_key"].startswith("tk")
    assert demo.given["b3os"]["token"].startswith("b3sk_")
    assert stat.S_IMODE(demo.file.stat().st_mode) == 0o600


def test_it_prints_what_the_file_says(demo: Demo) -> None:
    text = "\n".join(demo.printed)
    for section in demo.given.values():
        for value in [section] if isinstance(section, str) else section.values():
            assert value in text
    assert "simulated" in text
    assert sum(line.startswith("curl ") for line in demo.printed) == 11
    assert sum(line.startswith(f"{demo.given['base_url']}/pay/test/") for line in demo.printed) == 1


def fills(demo: Demo, wanted: int) -> list[dict[str, Any]]:
    """What the printed call lists, once there are so many; within seconds of the start."""
    deadline_s = time.monotonic() + FILLS_S
    while time.monotonic() < deadline_s:
        body = answer(demo, "CrossTrade")
        assert body["success"] is True
        if len(body["executions"]) >= wanted:
            return list(body["executions"])
        time.sleep(0.5)
    pytest.fail(f"there are no {wanted} fills after {FILLS_S} s")


def test_crosstrade_lists_recent_fills_in_the_time_of_the_account(demo: Demo) -> None:
    for fill in fills(demo, 2):
        assert fill["account"] == "Sim101"
        assert fill["serverName"] == "GESTA-DEMO"
        assert fill["instrument"].split()[0] in {"ES", "NQ"}
        local = datetime.fromisoformat(fill["time"][:26]).replace(tzinfo=ZoneInfo("America/Chicago"))
        assert int(local.timestamp() * 1000) == fill["epoch"]


def test_the_strategy_goes_on_trading_and_every_fill_belongs_to_an_order(demo: Demo) -> None:
    listed = fills(demo, 4)
    assert {fill["instrument"].split()[0] for fill in listed} == {"ES", "NQ"}
    headers = {"Authorization": f"Bearer {demo.given['crosstrade']['token']}"}
    address = f"{demo.given['base_url']}/v1/api/accounts/Sim101/orders"
    orders = httpx.get(address, headers=headers, timeout=30, trust_env=False)
    assert orders.status_code == 200, orders.text
    assert {fill["orderId"] for fill in listed} <= {order["orderId"] for order in orders.json()["orders"]}


def test_hummingbot_shows_the_executor_that_the_file_names(demo: Demo) -> None:
    body = answer(demo, "Hummingbot")
    assert body["executor_id"] == demo.given["hummingbot"]["executor_id"]
    assert body["account_name"] == "master_account"
    assert body["connector_name"] in {"binance", "binance_perpetual"}
    assert body["trading_pair"] in {"BTC-USDT", "ETH-USDT"}
    assert body["status"] in {"RUNNING", "SHUTTING_DOWN", "TERMINATED"}
    assert body["filled_amount_quote"] > 0


def hummingbot(demo: Demo, method: str, path: str, **body: Any) -> httpx.Response:
    given = demo.given["hummingbot"]
    with httpx.Client(timeout=30, trust_env=False, auth=(given["username"], given["password"])) as client:
        response = client.request(method, demo.given["base_url"] + path, json=body if method == "POST" else None)
    assert response.status_code == 200, response.text
    return response


def executors(demo: Demo, **conditions: Any) -> dict[str, dict[str, Any]]:
    found = hummingbot(demo, "POST", "/executors/search", limit=1000, **conditions).json()
    return {row["executor_id"]: row for row in found["data"]}


def test_hummingbot_lists_paper_connectors_and_what_goes_on_there(demo: Demo) -> None:
    connectors = hummingbot(demo, "GET", "/connectors/")
    assert connectors.json() == ["binance", "binance_perpetual"]
    assert connectors.headers["gesta-venue"] == "paper"
    deadline_s = time.monotonic() + TURNS_S
    while len(executors(demo)) < 4:
        assert time.monotonic() < deadline_s, "no executor was added"
        time.sleep(0.5)
    while not (active := hummingbot(demo, "GET", "/executors/summary").json()["total_active"]):
        assert time.monotonic() < deadline_s, "nothing goes on"
        time.sleep(0.5)
    # Up to five of the keeper's, beside those that runs have started.
    assert active <= 9
    for row in executors(demo).values():
        assert row["account_name"] == "master_account"
        assert row["controller_id"] in {"demo", "open-position"}
        assert row["close_type"] not in {"INSUFFICIENT_BALANCE", "FAILED"}


def test_executors_go_on_after_a_kill_and_none_is_doubled(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        before = executors(first, controller_ids=["demo"])
        assert len(before) == 3
        first.process.kill()
        first.process.wait(STOP_S)
    with running(tmp_path) as second:
        after = executors(second, controller_ids=["demo"])
        assert before.keys() <= after.keys()
        assert sum(row["is_active"] for row in after.values()) <= 5
        begun = {key: row["created_at"] for key, row in after.items()}
        assert all(begun[key] == row["created_at"] for key, row in before.items())
        # A start sees to three: what it adds stands for what had ended, and a turn before and after it may add one.
        assert len(after) - len(before) <= sum(not after[key]["is_active"] for key in before) + 2
        assert second.stop()[0] == 0
    command = [GESTA, "verify", "--database", tmp_path / "data" / "gesta.sqlite3"]
    verified = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def until(demo: Demo, dialect: str, told: Callable[[Any], bool], within_s: float) -> Any:
    """The answer to a printed call, once it is so."""
    deadline_s = time.monotonic() + within_s
    while not told(body := answer(demo, dialect)):
        assert time.monotonic() < deadline_s, body
        time.sleep(0.5)
    return body


def test_b3os_lists_runs(demo: Demo) -> None:
    data = until(demo, "B3OS: the newest", lambda body: body["data"]["hasMore"], TURNS_S)["data"]
    assert (len(data["items"]), data["limit"], data["offset"]) == (5, 5, 0)
    assert all(re.fullmatch("[0-9a-f]{24}", run["id"]) for run in data["items"])
    assert all(run["workflowId"].startswith("wf_") for run in data["items"])


def test_the_run_that_is_shown_is_paid_and_has_an_executor_trade(demo: Demo) -> None:
    body = until(
        demo, "B3OS: a run that is paid", lambda body: body["data"]["execution"]["finishedAt"] is not None, PAID_S
    )
    execution, titles = body["data"]["execution"], [event["title"] for event in body["data"]["events"]]
    assert (execution["status"], execution["paymentStatus"]) == ("workflow_succeeded", "paid")
    assert execution["externalRef"].startswith("demo-pays-")
    assert float(execution["responsePayload"]["body"]["filled_amount_quote"]) > 0
    assert "Payment confirmed" in titles
    headers = {"Authorization": f"Bearer {demo.given['native']['token']}"}
    executor_id = execution["responsePayload"]["body"]["executor_id"]
    found = httpx.get(
        f"{demo.given['base_url']}/ledger/executions/{executor_id}", headers=headers, timeout=30, trust_env=False
    )
    assert found.json()["kind"] == "executor"
    # Its payer has followed it with nothing but the token.
    stream = curl(printed_call(demo, "B3OS: the run that is paid, as its payer"))
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert "workflow_succeeded" in stream.text


def test_a_run_is_paid_in_the_page_that_is_printed(demo: Demo) -> None:
    (address,) = [line for line in demo.printed if "/pay/test/" in line]
    with httpx.Client(timeout=30, trust_env=False) as client:
        token = re.search('name="token" value="([^"]+)"', client.get(address).text)
        assert token is not None
        pressed = client.post(address, data={"action": "pay", "token": token[1]})
        assert pressed.status_code == 303
        assert "The payment is confirmed" in client.get(address).text


def test_a_run_that_is_created_says_where_it_is_paid(demo: Demo) -> None:
    made = answer(demo, "B3OS: a run to be paid")["data"]
    assert made["execution"]["status"] == "awaiting_payment"
    page = httpx.get(made["checkoutUrl"], timeout=30, trust_env=False)
    assert "Pay 1.50 USD" in page.text
    listed = answer(demo, "Refold: the runs")["docs"]
    assert made["execution"]["id"] in {run["_id"] for run in listed}


def test_refold_lists_runs_with_a_total(demo: Demo) -> None:
    body = until(demo, "Refold: the runs", lambda body: body["totalDocs"] > 5, TURNS_S)
    assert len(body["docs"]) == 5
    assert body["totalPages"] == -(-body["totalDocs"] // 5)
    assert {run["environment"] for run in body["docs"]} == {"test"}
    assert {run["associated_workflow"]["name"] for run in body["docs"]} <= {
        "Watch prices",
        "Take an order",
        "Open a position",
    }


def test_refold_shows_the_run_of_an_order_and_takes_an_event(demo: Demo) -> None:
    run = until(demo, "Refold: one run", lambda run: run["status"] == "COMPLETED", PAID_S)
    assert run["associated_workflow"]["name"] == "Take an order"
    done = {node["node_id"]: node["node_status"] for node in run["nodes"]}
    assert (done["sum"], done["invoice"]) == ("Success", "Success")
    fired = answer(demo, "Refold: an event")
    assert len(fired["execution_ids"]) == 1
    assert answer(demo, "Refold: an event")["execution_ids"] == [], "the same order is taken once"


def test_the_native_dialect_lists_everything(demo: Demo) -> None:
    body = until(demo, "Gesta: everything", lambda body: body["total"] > 10, TURNS_S)
    assert len(body["items"]) == 5
    # Executors and runs are asked for over an interface; what they fill in a simulated market is simulated.
    assert {row["source"] for row in body["items"] if row["kind"] == "fill"} <= {"simulated"}


def test_runs_go_on_after_a_kill(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        before = answer(first, "Refold: the runs")["totalDocs"]
        paid = answer(first, "B3OS: a run that is paid")["data"]["execution"]["id"]
        first.process.kill()
        first.process.wait(STOP_S)
    with running(tmp_path) as second:
        assert answer(second, "Refold: the runs")["totalDocs"] > before
        headers = {"Authorization": f"Bearer {second.given['b3os']['token']}"}
        address = f"{second.given['base_url']}/v1/executions/{paid}"
        deadline_s = time.monotonic() + PAID_S
        while True:
            found = httpx.get(address, headers=headers, timeout=30, trust_env=False).json()["data"]["execution"]
            if found["finishedAt"] is not None:
                break
            assert time.monotonic() < deadline_s, found
            time.sleep(0.5)
        assert (found["status"], found["paymentStatus"]) == ("workflow_succeeded", "paid")
        code, _, errors = second.stop()
        assert (code, errors) == (0, "")
    command = [GESTA, "verify", "--database", tmp_path / "data" / "gesta.sqlite3"]
    verified = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_life_goes_on_and_the_stream_tells_it(demo: Demo) -> None:
    headers = {"Authorization": f"Bearer {demo.given['native']['token']}"}
    address = f"{demo.given['base_url']}/ledger/stream"
    seqs: list[int] = []
    with httpx.stream("GET", address, headers=headers, timeout=60, trust_env=False) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        for line in response.iter_lines():
            if line.startswith("id: "):
                seqs.append(int(line[4:]))
            if len(seqs) == 4:
                break
    assert seqs == list(range(seqs[0], seqs[0] + 4))


def test_ctrl_c_ends_it_cleanly_and_a_restart_goes_on_with_the_same_credentials(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        total = answer(first, "Gesta")["total"]
        code, rest, errors = first.stop()
        assert (code, rest, errors) == (0, "\nStopped.\n" if rest.startswith("\n") else "Stopped.\n", "")
    with running(tmp_path) as second:
        for dialect in ("crosstrade", "b3os", "refold", "native"):
            assert second.given[dialect] == first.given[dialect]
        assert answer(second, "Gesta")["total"] >= total
        assert second.stop()[0] == 0


def test_ctrl_c_ends_streams_that_are_open(tmp_path: Path) -> None:
    with running(tmp_path) as demo:
        headers = {"Authorization": f"Bearer {demo.given['native']['token']}"}
        address = f"{demo.given['base_url']}/ledger/stream"
        with httpx.stream("GET", address, headers=headers, timeout=STOP_S, trust_env=False) as response:
            lines = response.iter_lines()
            assert next(lines).startswith("retry: ")
            began_s = time.monotonic()
            demo.process.send_signal(signal.SIGINT)
            # The stream ends as a whole response does, not as a broken connection.
            for _ in lines:
                pass
        assert demo.process.wait(STOP_S) == 0
        assert time.monotonic() - began_s < 5


def test_a_taken_port_is_one_clear_line(demo: Demo, tmp_path: Path) -> None:
    port = demo.given["base_url"].rpartition(":")[2]
    command = [GESTA, "demo", "--port", port, "--data", tmp_path / "data"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "--port" in ended.stderr

"""The tutorial's own commands, in their order, in one shell, against the server that it says to start."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BIN = Path(sys.executable).parent
SERVE = "gesta serve"
WAIT_S = 60


def blocks() -> list[str]:
    """The shell blocks to run, and `gesta serve` where the page says to start it."""
    text = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
    found = re.findall(r"^```(sh|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [body for kind, body in found if kind == "sh" or body.strip() == f"$ {SERVE}"]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each shell block printed."""
    folder = tmp_path_factory.mktemp("tutorial")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GESTA_")}
    environment = {**clean, "PATH": f"{BIN}:{os.environ['PATH']}", "COLUMNS": "200", "TZ": "UTC"}
    before, after = _split(blocks())
    printed, state = [], folder / "environment"
    server: subprocess.Popen[bytes] | None = None
    try:
        for number, block in enumerate(before + after):
            if number == len(before):
                server, address = _serve(folder, environment)
            if server is not None:
                block = block.replace("http://127.0.0.1:8080", address)
            # What a block exports is there for the next.
            script = f"set -eu; [ -e {state} ] && . {state}\n{block}\nexport -p > {state}"
            ended = subprocess.run(
                ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=WAIT_S
            )
            assert ended.returncode == 0, f"{block}\n{ended.stdout}\n{ended.stderr}"
            printed.append(ended.stdout + ended.stderr)
        assert server is not None
        server.send_signal(signal.SIGINT)
        assert server.wait(WAIT_S) == 0
    finally:
        if server is not None and server.poll() is None:
            server.kill()
            server.wait()
    return printed


def _split(found: list[str]) -> tuple[list[str], list[str]]:
    place = found.index(f"$ {SERVE}\n")
    return found[:place], found[place + 1 :]


def _serve(folder: Path, environment: dict[str, str]) -> tuple[subprocess.Popen[bytes], str]:
    file = folder / "address"
    command = [BIN / "gesta", "serve", "--port", "0", "--write-address", file]
    server = subprocess.Popen(command, cwd=folder, env=environment)
    deadline_s = time.monotonic() + WAIT_S
    while not file.exists():
        assert server.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    return server, file.read_text("utf-8").strip()


def the(said: list[str], command: str) -> str:
    """What the block with this command printed."""
    runnable = [block for block in blocks() if block != f"$ {SERVE}\n"]
    (place,) = [number for number, block in enumerate(runnable) if command in block]
    return said[place]


def objects(text: str) -> list[Any]:
    """The JSON values in a text, one after another."""
    decoder, found, place = json.JSONDecoder(), [], 0
    while (place := text.find("{", place)) >= 0:
        value, place = decoder.raw_decode(text, place)
        found.append(value)
    return found


def test_recording_twice_is_harmless_and_a_change_is_a_conflict(said: list[str]) -> None:
    outcomes = [answer["results"][0]["outcome"] for answer in objects(the(said, "cat > fill.json"))]
    assert outcomes == ["recorded"]
    outcomes = [answer["results"][0]["outcome"] for answer in objects(the(said, "sed 's/6812.25"))]
    assert outcomes == ["duplicate", "conflict"]


def test_the_fill_is_seen_by_a_client_of_crosstrade(said: list[str]) -> None:
    (body,) = objects(the(said, '/v1/api/accounts/Sim101/executions"\n'))
    (fill,) = body["executions"]
    assert (fill["orderId"], fill["price"], fill["commission"]) == ("order-1", 6812.25, "2.25")


def test_a_vendors_object_comes_out_as_it_went_in(said: list[str]) -> None:
    recorded, listed = objects(the(said, "cat > refold.json"))
    assert recorded["results"][0]["outcome"] == "recorded"
    (run,) = listed["docs"]
    assert run["name"] == "Retry for workflow 65200cfd01af0388e905ad92"
    assert (run["_id"], run["status"], run["createdAt"]) == (
        "65410cf6cdf931a12d7ab009",
        "ERRORED",
        "2023-10-31T14:19:34.788Z",
    )


def test_the_run_went_through_its_life_and_the_stream_told_it(said: list[str]) -> None:
    *_, events = objects(the(said, "run-1/transitions"))
    statuses = [event["to_status"] for event in events["items"]]
    assert statuses == ["queued", "running", "waiting", "running", "succeeded"]
    stream = the(said, "ledger/stream")
    seqs = [int(seq) for seq in re.findall(r"^id: (\d+)$", stream, re.MULTILINE)]
    assert seqs == list(range(len(seqs)))
    assert len(seqs) >= 9


def test_importing_twice_adds_nothing(said: list[str]) -> None:
    listed, *_ = objects(the(said, "ledger/summary"))
    recorded = [row["external_id"] for row in listed["items"] if row["origin"] != "paper"]
    assert sorted(recorded) == ["e1", "e2", "fill-1"]


def test_an_order_is_filled_protected_and_closed(said: list[str]) -> None:
    placed = the(said, "gesta order buy ES 2")
    assert re.match(r"Filled: bought 2 ES \d\d-\d\d at [\d.]+\.\nOrder [0-9a-f]{32} on Sim101\n", placed)
    # A pair for each fill: what is displayed may be less than 2.
    protected = re.findall(r"^  (\w+): sell (\d) ES", placed, re.MULTILINE)
    for name in ("Stop1", "Target1"):
        assert sum(int(quantity) for each, quantity in protected if each == name) == 2
    assert re.search(r"^Sim101 +ES \d\d-\d\d +long 2 ", placed, re.MULTILINE)
    closed = the(said, "gesta flatten --yes")
    assert "\nFlat.\n" in closed
    *_, body = objects(closed)
    made_here = [fill for fill in body["executions"] if fill["orderId"] != "order-1"]
    assert (made_here[0]["isLastExit"], made_here[0]["position"]) == (True, 0)
    assert made_here[-1]["isInitialEntry"] is True

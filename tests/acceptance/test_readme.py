"""What the README and the tutorial say is so: the commands exist, the calls are those that the demo prints, the wheel
that is built is whole, and the first command works in a clean clone."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import typer

from gesta.app.demo.handout import Runs, calls, handout
from gesta.app.demo.stage import Secrets
from gesta.cli.main import build_app

ROOT = Path(__file__).resolve().parent.parent.parent
HOW_TO = ROOT / "docs" / "how-to"
PAGES = [ROOT / "README.md", ROOT / "docs" / "tutorial.md", HOW_TO / "import.md", HOW_TO / "trade.md"]


def code_of(page: Path) -> list[str]:
    """The lines of a page's code blocks, without prompts."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [line.removeprefix("$ ").strip() for block in blocks for line in block.splitlines()]


def test_every_make_word_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {word for page in PAGES for word in re.findall(r"`?\bmake ([a-z]+)\b`?", "\n".join(code_of(page)))}
    named |= set(re.findall(r"`make ([a-z]+)`", (ROOT / "README.md").read_text("utf-8")))
    assert {"demo", "test", "lint", "bench", "docs"} <= named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_gesta_command_in_a_code_block_exists_with_its_options(page: Path) -> None:
    lines = [line for line in code_of(page) if re.match(r"(\.venv/bin/)?gesta ", line)]
    assert lines
    for line in lines:
        words = shlex.split(line.partition(" > ")[0], comments=True)[1:]
        command = typer.main.get_command(build_app())
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
        assert not hasattr(command, "commands") or command.invoke_without_command, line
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word.partition("=")[0] for word in words if word.startswith("-")} <= options, line


def test_the_calls_of_the_readme_are_those_that_the_demo_prints() -> None:
    secrets = Secrets(
        crosstrade_token="gst_…",
        hummingbot_username="demo",
        hummingbot_password="…",
        b3os_token="b3sk_…",
        refold_api_key="tk_…",
        native_token="gst_…",
    )
    given = handout("http://127.0.0.1:8080", secrets, "G1rGvegsSpVG6aYAuLJuRQqpXuvobDP4SA9peUcq17YZ")
    runs = Runs(order_id="615e0f987235271c97546e0d", paid_id="6801da681fb9caf3b6883155", client_token="…")
    lines = code_of(ROOT / "README.md")
    shown = {
        title.removeprefix("# "): shlex.split(call)
        for title, call in itertools.pairwise(lines)
        if call.startswith("curl ") and "-N" not in call
    }
    assert shown == calls(given, runs)


def test_the_wheel_is_whole_and_runs(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", tmp_path, ROOT], check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("gesta-*.whl")
    target = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("gesta/")}
        archive.extractall(target)
    source = ROOT / "src"
    wanted = {
        path.relative_to(source).as_posix()
        for path in (source / "gesta").rglob("*")
        if path.suffix in (".py", ".sql", ".typed", ".yaml") and path.is_file()
    }
    assert wanted <= packed
    environment = {**os.environ, "PYTHONPATH": str(target)}
    code = "import gesta.cli, sys; print(gesta.__file__); gesta.cli.main()"
    run = [sys.executable, "-c", code]
    version = subprocess.run([*run, "version"], env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert str(target) in version.stdout
    migrate = [*run, "migrate", "--database", str(tmp_path / "ledger.sqlite3")]
    subprocess.run(migrate, env=environment, capture_output=True, check=True, timeout=60)
    assert (tmp_path / "ledger.sqlite3").exists()


@pytest.mark.skipif("GESTA_TEST_CLONE" not in os.environ, reason="installs everything anew; GESTA_TEST_CLONE=1 runs it")
def test_the_first_command_works_in_a_clean_clone(tmp_path: Path) -> None:
    clone, file = tmp_path / "clone", tmp_path / "credentials.json"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True, timeout=120)
    arguments = f"DEMO_ARGS=--port 0 --write-credentials {file}"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("GESTA_", "MAKE", "MFLAGS"))}
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["make", "demo", arguments],
            cwd=clone,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            deadline_s = time.monotonic() + 600
            while not file.exists():
                assert process.poll() is None, log.read_text("utf-8")
                assert time.monotonic() < deadline_s, log.read_text("utf-8")
                time.sleep(0.2)
            os.killpg(process.pid, signal.SIGINT)
            process.wait(timeout=60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    assert "Stopped." in log.read_text("utf-8")
    status = subprocess.run(["git", "status", "--porcelain"], cwd=clone, check=True, capture_output=True, text=True)
    assert status.stdout == ""

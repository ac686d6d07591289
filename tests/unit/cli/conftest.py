"""The commands as a person types them, against a server that is a transport."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import msgspec
import pytest

from gesta.cli import connection
from gesta.cli.main import main
from gesta.client import Gesta
from tests.unit.cli.fake_server import FakeServer


class Ended(msgspec.Struct, frozen=True):
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def run(
    server: FakeServer, slept: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    for name in ("GESTA_ACCOUNT", "GESTA_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GESTA_TOKEN", "gst_x")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(connection, "Gesta", partial(Gesta, transport=httpx.MockTransport(server), sleep=slept.append))

    def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(time, "sleep", sleep)

    def invoke(*words: Any) -> Ended:
        monkeypatch.setattr(sys, "argv", ["gesta", *map(str, words)])
        code: Any = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        return Ended(int(code or 0), said.out, said.err)

    return invoke

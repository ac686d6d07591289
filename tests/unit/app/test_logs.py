from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from gesta.app import logs
from gesta.app.settings import LogSettings


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers, root.level = before
    structlog.reset_defaults()


LINE = logs.RequestLine(
    timestamp="2026-03-10T12:00:00.000000Z",
    request_id="r",
    client_request_id=None,
    dialect="native",
    method="GET",
    path='/ledger/"\n',
    route="/ledger",
    status=200,
    ms=1.5,
    client="127.0.0.1",
)


def test_a_request_is_one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    write = logs.request_log(LogSettings())
    assert write is not None
    write(LINE)
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert json.loads(printed) == {
        "event": "request",
        "level": "info",
        "timestamp": "2026-03-10T12:00:00.000000Z",
        "request_id": "r",
        "client_request_id": None,
        "dialect": "native",
        "method": "GET",
        "path": '/ledger/"\n',
        "route": "/ledger",
        "status": 200,
        "ms": 1.5,
        "client": "127.0.0.1",
    }


def test_people_get_a_line_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings(format="console"))
    write = logs.request_log(LogSettings(format="console"))
    assert write is not None
    write(LINE)
    printed = capsys.readouterr().err
    assert "request" in printed
    assert "status" in printed
    assert not printed.startswith("{")


@pytest.mark.parametrize("settings", [LogSettings(requests=False), LogSettings(level="warning")])
def test_requests_are_not_logged_when_nobody_wants_them(settings: LogSettings) -> None:
    assert logs.request_log(settings) is None


def test_a_traceback_shows_no_local_variable(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings(format="json"))
    try:
        fails("hunter" + "2")
    except LookupError:
        structlog.get_logger().exception("it failed", request_id="r")
    printed = capsys.readouterr().err
    line = json.loads(printed)
    assert (line["event"], line["level"], line["request_id"]) == ("it failed", "error", "r")
    assert line["exception"][0]["exc_type"] == "LookupError"
    assert "hunter2" not in printed


def fails(password: str) -> None:
    raise LookupError(f"a defect of {len(password)} characters")


def test_the_standard_library_logs_the_same_way_and_uvicorn_only_warns(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings(format="json"))
    logging.getLogger("uvicorn.error").info("a WebSocket with ?token=secret")
    logging.getLogger("uvicorn.error").error("ASGI callable returned without completing handshake.")
    logging.getLogger("asyncio").warning("slow %s", "callback")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["logger"]) == ("slow callback", "warning", "asyncio")


def test_the_level_is_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings(format="json", level="error"))
    structlog.get_logger().warning("quiet")
    logging.getLogger("asyncio").warning("quiet")
    assert capsys.readouterr().err == ""


def test_a_log_that_cannot_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stderr", closed)
    logs.configure(LogSettings(format="json"))
    write = logs.request_log(LogSettings(format="json"))
    structlog.get_logger().error("written")
    assert b"written" in closed.buffer.getvalue()  # type: ignore[attr-defined]
    closed.close()
    structlog.get_logger().error("lost")
    assert write is not None
    monkeypatch.setattr(sys, "stderr", None)
    structlog.get_logger().error("lost too")

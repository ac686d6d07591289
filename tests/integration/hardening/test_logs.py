"""No secret in the log, at its most talkative, whatever is sent where."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from gesta.app import logs
from gesta.app.settings import LogSettings
from tests.integration.hardening.house import Client, House, Live, found_house
from tests.integration.hardening.rules import RULES


class Written:
    """Standard error, kept."""

    def __init__(self) -> None:
        self.buffer = io.BytesIO()

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> int:
        return self.buffer.write(text.encode())

    def flush(self) -> None:
        pass


@contextmanager
def talking(form: Literal["json", "console"], database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server and what it writes. Begun inside the test: pytest replaces sys.stderr between setup and call."""
    written = Written()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    monkeypatch.setattr(sys, "stderr", written)
    logs.configure(LogSettings(level="debug", format=form))
    settings = {"database.url": str(database), "log.requests": True, "log.level": "debug", "log.format": form}
    try:
        with Live(**settings) as live:
            yield live, written
    finally:
        structlog.reset_defaults()
        root.handlers, root.level = handlers, level
        for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "websockets"):
            logging.getLogger(name).propagate = True


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_is_written(form: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with talking(form, tmp_path / "gesta.sqlite3", monkeypatch) as (live, written):
        secrets = _session_of_every_type(live, monkeypatch)
    text = written.buffer.getvalue().decode()
    assert text.count("request_id") > 200, "nothing was logged"
    assert "ZeroDivisionError" in text
    assert "LookupError" in text
    for secret in sorted(filter(None, secrets)):
        # Nor what is enough to guess the rest of it.
        assert secret[:24] not in text
    for hint in ("inquery", "inbody", "incookie", "linked_account_id="):
        assert hint not in text, hint


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_of_a_webhook_is_written(form: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some dialects' addresses hold it: right, wrong, or sent to where there is no route."""
    secret = "gwh_" + "5f" * 32
    workflow = "0" * 24
    with talking(form, tmp_path / "gesta.sqlite3", monkeypatch) as (live, written), live.client() as client:
        for path in (
            f"/v1/webhooks/wf_{workflow}.{secret}",
            f"/v1/webhook/wf_{workflow}.{secret}/x",
            f"/api/v2/public/hook/{workflow}/{secret}",
            f"/ledger/hooks/{secret}",
            f"/nowhere/%67wh_{secret[4:]}",
        ):
            client("POST", path, {"Content-Type": "application/json"}, b"{}")
    text = written.buffer.getvalue().decode()
    assert text.count("gwh_") == 5, "nothing was logged"
    assert "5f5f" not in text
    assert f"/hook/{workflow}/gwh_" in text


def _session_of_every_type(live: Live, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Right and wrong calls with every credential, and calls that crash; every secret there was."""
    house: House = live.run(found_house(live.core, "sigma7q"))
    secrets = {credential.secret for credential in house.credentials.values()}
    secrets |= {value.rpartition(" ")[2] for each in house.credentials.values() for value in each.headers.values()}
    secrets -= {account.name for account in house.accounts.values()}
    with live.client() as client:
        for credential in house.credentials.values():
            for key, rule in RULES.items():
                for call in rule.calls(house)[:1]:
                    client(key[1], call.target, credential.headers, call.body)
            secrets.add(_session(client, credential.headers, house))
        _misplaced(live, client, house)

        async def crash(*_: Any, **__: Any) -> Any:
            raise LookupError("a defect")

        for verb in ("get", "page", "seek"):
            monkeypatch.setattr(live.core.ledger, verb, crash)
        for name in ("bearer", "basic", "pk_bound", "session_pk"):
            for target in (
                "/ledger/executions/x?token=gst_inquery",
                "/executors/x",
                "/api/v2/public/execution/x",
                "/v1/executions/x",
            ):
                client("GET", f"{target}?token=inquery", house.credentials[name].headers)
        monkeypatch.setattr(live.core.access._who, "_touch", lambda _: 1 / 0)
        for credential in house.credentials.values():
            for target in ("/ledger/executions", "/executors/x", "/api/v2/public/execution"):
                client("GET", target, credential.headers)
    return secrets


def _session(client: Client, headers: dict[str, str], house: House) -> str:
    body = json.dumps({"linked_account_id": house.accounts["x"].name}).encode()
    answer = client("POST", "/api/v2/public/session-token?force_refresh=true", headers, body)
    if answer.status != 200:
        return ""
    token: str = answer.json["token"]
    client("POST", "/api/v2/public/session-token/revoke", {"Authorization": f"Bearer {token}"})
    client("GET", "/api/v2/public/execution", {"Authorization": f"Bearer {token}"})
    return token


def _misplaced(live: Live, client: Client, house: House) -> None:
    """Secrets where none belongs, and in malformed requests."""
    secret = house.credentials["bearer"].secret
    for target in ("/ledger/executions", "/v1/executions", "/executors/x", "/api/v2/public/execution", "/nowhere"):
        for name in ("token", "access_token", "api_key", "x-api-key", "apikey", "linked_account_id", "%ff"):
            client("GET", f"{target}?{name}={secret}&more=inquery")
        client("GET", target, {"Cookie": f"session={secret}; a=incookie"})
        client("GET", target, {"Authorization": f"Bearer {secret}\x7f"})
        client("GET", target, {"Authorization": f"Digest {secret}".encode() + b"\xff"})
        client("GET", target, {"X-Request-Id": secret})
        client("POST", target, {}, f'{{"password":"inbody","key":"{secret}"}}'.encode())
    for path in ("/ws/stream", "/ledger/stream", "/nowhere"):
        with pytest.raises(InvalidStatus):
            connect(f"ws://127.0.0.1:{live.port}{path}?token={secret}&more=inquery")
    with connect(
        f"ws://127.0.0.1:{live.port}/ws/stream", additional_headers=house.credentials["bearer"].headers
    ) as peer:
        peer.send(json.dumps({"action": "rpc", "token": secret, "api": secret, "args": {}}))
        peer.recv(timeout=10)
    for request in (
        b"GET /ledger/executions?token=%s HTTP/9\r\n\r\n",
        b"\0 %s\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: %s\0\r\n\r\n",
    ):
        asyncio.run(_say(live.port, request % secret.encode()))


async def _say(port: int, data: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    await reader.read()
    writer.close()

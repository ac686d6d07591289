"""A signed webhook on a whole server, sent by the very lines of the page: `openssl` signs, `curl` sends."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gesta.app.settings import load_settings
from gesta.workflows.hooks.signing import gesta_signature
from tests.integration.test_server import QUICK, Running, running

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "workflow-triggers.md"
GREET = {
    "name": "Greet",
    "trigger": {"webhook": True, "signature": "required"},
    "nodes": [
        {"id": "start", "type": "start"},
        {"id": "say", "type": "response", "body": "Hello {{input.name}}"},
    ],
}
NEEDED = [tool for tool in ("bash", "curl", "openssl") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(NEEDED), reason=f"not installed: {', '.join(NEEDED)}")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Running]:
    overrides = {**QUICK, "database.url": str(tmp_path / "ledger.sqlite3"), "trading.enabled": False}
    async with running(load_settings(overrides=overrides, environ={})) as found:
        yield found


@pytest.fixture
async def http(house: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as client:
        client.headers.update(house.bearer)
        yield client


def lines_of_the_page() -> str:
    """The block that signs with openssl."""
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if "openssl" in block]
    return str(block)


async def shell(lines: str, **variables: str) -> Any:
    """What the lines print, as JSON."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", lines),
        env=os.environ | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, err) == (0, b"")
    return msgspec.json.decode(out)


async def ended(http: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            run: dict[str, Any] = (await http.get(f"/ledger/runs/{run_id}")).json()["run"]
            if run["finished_at"] is not None:
                return run
            await asyncio.sleep(0.05)


async def test_the_lines_of_the_page_start_one_run(house: Running, http: httpx.AsyncClient) -> None:
    made = await http.post("/ledger/workflows", json={"definition": GREET, "publish": True})
    assert made.status_code == 201, made.text
    workflow = made.json()["id"]
    secret = (await http.post(f"/ledger/workflows/{workflow}/hook-secret")).json()["secret"]
    variables = {"GESTA_URL": house.url, "WORKFLOW": workflow, "SECRET": secret, "no_proxy": "127.0.0.1"}
    lines = lines_of_the_page()
    started = await shell(lines, **variables)
    assert set(started) == {"run_id"}, started

    wrong = await shell(lines, **variables | {"SECRET": secret[:-1]})
    assert (wrong["status"], "not this webhook's" in wrong["detail"]) == (401, True)
    # The same signature over a body that somebody changed on the way.
    changed = await shell(lines.replace('--data-raw "$BODY"', '--data-raw \'{"name": "Eve"}\''), **variables)
    assert changed["status"] == 401
    late = await shell(lines.replace("$(date +%s)", "$(($(date +%s) - 400))"), **variables)
    assert (late["status"], "seconds before" in late["detail"]) == (401, True)
    at_s = int(time.time()) + 60
    fixed = lines.replace("$(date +%s)", str(at_s))
    assert set(await shell(fixed, **variables)) == {"run_id"}
    again = await shell(fixed, **variables)
    assert (again["status"], again["type"]) == (409, "/problems/conflict")

    # One signature for all dialects: where it was sent to is no part of it.
    body = '{"name": "Ada"}'
    for path in (f"/v1/webhooks/wf_{workflow}", f"/api/v2/public/hook/{workflow}", f"/ledger/hooks/{workflow}"):
        headers = {"Gesta-Signature": gesta_signature(secret, body.encode(), at_s), "Content-Type": "application/json"}
        async with house.client() as stranger:
            assert (await stranger.post(path, content=body, headers=headers)).status_code == 409
            headers["Gesta-Signature"] = gesta_signature(secret, body.encode(), at_s + 1 + len(path))
            taken = await stranger.post(path, content=body, headers=headers)
            assert taken.status_code in (200, 201), taken.text

    runs = (await http.get("/ledger/executions?kind=run")).json()["items"]
    assert len(runs) == 5
    run = await ended(http, started["run_id"])
    assert (run["status"], run["detail"]["response_payload"]["body"]) == ("succeeded", "Hello Ada")

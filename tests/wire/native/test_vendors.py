"""The seeds' own execution objects, posted as they stand, are recorded once, and leave and enter again whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gesta.apis.b3os.codec import decode as decode_b3os
from gesta.apis.common.services import Limits
from gesta.apis.crosstrade.codec import decode as decode_crosstrade
from gesta.apis.crosstrade.models import EXAMPLE_EXECUTION
from gesta.apis.hummingbot.codec import decode as decode_hummingbot
from gesta.apis.native.routes import build
from gesta.apis.refold.codec import decode as decode_refold
from tests.wire.native.house import MINE, House

WIRE = Path(__file__).parents[1]
CODECS: dict[str, Any] = {
    "crosstrade": decode_crosstrade,
    "hummingbot": decode_hummingbot,
    "b3os": decode_b3os,
    "refold": decode_refold,
}


def seed(dialect: str) -> list[dict[str, Any]]:
    """The example objects of a vendor's page."""
    if dialect == "crosstrade":
        return [EXAMPLE_EXECUTION]
    file = {"hummingbot": "seed_002_executor.json", "b3os": "seed_003_list.json", "refold": "golden/list.json"}[dialect]
    page: dict[str, Any] = json.loads((WIRE / dialect / file).read_text("utf-8"))
    if dialect == "hummingbot":
        return [page]
    rows: list[dict[str, Any]] = page["data"]["items"] if dialect == "b3os" else page["docs"]
    return rows


@pytest.mark.parametrize("dialect", CODECS)
async def test_seed_objects_go_in_once(dialect: str) -> None:
    house = House(Limits())
    app = build(msgspec.structs.replace(house.services, vendor_codecs=CODECS))
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": f"Bearer {MINE}"}
    posted = seed(dialect)
    assert posted
    async with httpx.AsyncClient(transport=transport, base_url="http://gesta.test", headers=headers) as client:
        path = f"/ledger/executions?dialect={dialect}"
        first = (await client.post(path, json=posted)).json()
        assert first["recorded"] == len(posted), first
        lines = b"".join(json.dumps(row).encode() + b"\n" for row in posted)
        again = await client.post(path, content=lines, headers={"Content-Type": "application/x-ndjson"})
        assert json.loads(again.content.splitlines()[-1])["summary"]["duplicates"] == len(posted)
        items = (await client.get("/ledger/executions")).json()["items"]
        assert len(items) == len(posted)
        exported = (await client.get("/ledger/export")).content
        moved = await client.post(
            "/ledger/executions",
            content=exported,
            headers={"Authorization": "Bearer gst_rival", "Content-Type": "application/x-ndjson"},
        )
        assert json.loads(moved.content.splitlines()[-1])["summary"]["recorded"] == len(posted), moved.text
        rows = await house.ledger.feed(1, after_seq=0, limit=10)
        copies = await house.ledger.feed(2, after_seq=0, limit=10)
        assert {row.execution.id: (row.execution.detail, row.execution.wire) for row in rows} == {
            row.execution.id: (row.execution.detail, row.execution.wire) for row in copies
        }

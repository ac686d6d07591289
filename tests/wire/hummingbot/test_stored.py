"""The golden exchange over the real stores."""

from __future__ import annotations

from typing import Any

import httpx

from gesta.ledger.records import NewEvent, Severity, Status, Transition


async def test_the_published_example_comes_out_equal(
    stored_world: Any, stored_client: httpx.AsyncClient, seed: Any
) -> None:
    posted = seed | {"config": {"amount": 0.1, "levels": [1, 2.5, None, True]}, "custom_info": {}, "closed_at": None}
    assert [(await stored_world.post(posted)).outcome for _ in range(2)] == ["recorded", "duplicate"]
    assert (await stored_client.get("/executors/abc123...")).json() == posted
    change = Transition(
        event=NewEvent(type="execution.stopping", level=Severity.WARNING, message="stop"), status=Status.STOPPING
    )
    await stored_world.ledger.transition(1, "abc123...", change)
    body = (await stored_client.get("/executors/abc123...")).json()
    assert body == posted | {"status": "SHUTTING_DOWN", "is_active": False}
    logs = (await stored_client.get("/executors/abc123.../logs?level=WARNING")).json()
    assert [entry["message"] for entry in logs["logs"]] == ["stop"]
    for path in ("/executors/%00", "/executors/%FF", "/executors/" + "x" * 5000):
        assert (await stored_client.get(path)).status_code == 404

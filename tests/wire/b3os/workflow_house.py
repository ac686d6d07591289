"""The dialect over the front door of workflows in memory: two organizations, and workflows to start."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
from starlette.types import Receive, Scope, Send

from gesta.apis.b3os.routes import build
from gesta.testing.memory_workflows import MemoryWorkflows
from tests.wire.b3os.conftest import TOKEN, World

#: A manual trigger, a wait for a webhook, a call.
WAITING: dict[str, Any] = {
    "nodes": {
        "root": {"type": "manual", "payload": {}, "children": ["approval"]},
        "approval": {"type": "wait", "payload": {"timeoutMs": 3_600_000}, "children": ["call"]},
        "call": {"type": "send-webhook", "payload": {"url": "http://service.test/"}, "children": []},
    }
}
CALLING: dict[str, Any] = {
    "nodes": {
        "root": {"type": "manual", "payload": {}, "children": ["call"]},
        "call": {"type": "send-webhook", "payload": {"url": "http://service.test/"}, "children": []},
    }
}
LOGGING: dict[str, Any] = {
    "nodes": {
        "root": {"type": "manual", "payload": {}, "children": ["note"]},
        "note": {"type": "log", "payload": {"message": "noted {{root.result.body.x}}"}, "children": []},
    }
}
CREATION: dict[str, Any] = {
    "sourceSystem": "shop",
    "sourceEntityType": "order",
    "sourceEntityId": "4711",
    "externalRef": "ref-4711",
    "requestPayload": {"x": 1, "hidden": "payload-of-the-owner"},
    "clientSafeMetadata": {"shown": True},
}


class House:
    """One server, its client's calls, and the workflows behind it."""

    def __init__(self) -> None:
        self.world = World()
        self.workflows = MemoryWorkflows(
            self.world.ledger, self.world.access, self.world.clock, self.world.services.ids
        )
        limits = msgspec.structs.replace(self.world.services.limits, stream_heartbeat_s=0.2)
        self.services = msgspec.structs.replace(self.world.services, workflows=self.workflows.face, limits=limits)
        self.app = build(self.services)

    def client(self, token: str | None = TOKEN) -> httpx.AsyncClient:
        async def dispatched(scope: Scope, receive: Receive, send: Send) -> None:
            await self.app({**scope, "gesta.request_id": "request-1"}, receive, send)

        transport = httpx.ASGITransport(dispatched, raise_app_exceptions=False)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(transport=transport, base_url="http://gesta.test", headers=headers)

    async def workflow(self, definition: dict[str, Any] = WAITING, *, published: bool = True, **fields: Any) -> str:
        """Its id, made over the wire."""
        async with self.client() as client:
            body = {"name": "Orders", "definition": definition, **fields}
            made = await client.post("/v1/workflows", json=body)
            assert made.status_code == 200, made.text
            id: str = made.json()["data"]["id"]
            if published:
                answer = await client.post(f"/v1/workflows/{id}/publish")
                assert answer.status_code == 200, answer.text
            return id

    async def create(self, workflow_id: str, **fields: Any) -> dict[str, Any]:
        """`{clientToken, execution}`."""
        async with self.client() as client:
            body = CREATION | {"workflowId": workflow_id} | fields
            answer = await client.post("/v1/executions", json=body)
            assert answer.status_code == 200, answer.text
            data: dict[str, Any] = answer.json()["data"]
            return data

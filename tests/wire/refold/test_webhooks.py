"""Outgoing webhooks (protocols/refold.md §6), over a front door in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import httpx
import msgspec
import pytest

from gesta.access.model import AccountType, Principal, Scope
from gesta.apis.common.services import Services
from gesta.apis.refold.calls import draft_id_of
from gesta.apis.refold.routes import build
from gesta.desk.reading import Reading
from gesta.kernel.errors import InvalidInput, NotFound
from gesta.testing.fakes import SeededIds
from gesta.workflows.hooks_face import Delivery, DeliveryStatus, Endpoint, EndpointIn, HookEvent, HookFormat, Webhooks

PATH = "/api/v2/public/webhook"
KEY = {"x-api-key": "pk_1"}
POSTED = {"webhook_url": "https://example.com/hook", "webhook_events": ["Workflow Completed", "Workflow Timed Out"]}


class MemoryWebhooks:
    """`Webhooks` with one delivery for each endpoint."""

    def __init__(self) -> None:
        self.endpoints: dict[str, Endpoint] = {}

    async def create(self, principal: Principal, endpoint: EndpointIn) -> tuple[Endpoint, str]:
        made = Endpoint(
            id=f"{len(self.endpoints) + 1:024x}",
            organization=principal.organization.id,
            account=0,
            created_at_us=0,
            updated_at_us=0,
            secret_hint="whsec_ab",
            **_said(endpoint),
        )
        self.endpoints[made.id] = made
        return made, "whsec_abcdef"

    async def change(self, principal: Principal, id: str, endpoint: EndpointIn) -> Endpoint:
        before = await self.get(principal, id)
        self.endpoints[id] = msgspec.structs.replace(before, **_said(endpoint))
        return self.endpoints[id]

    async def get(self, principal: Principal, id: str) -> Endpoint:
        found = self.endpoints.get(id)
        if found is None or found.organization != principal.organization.id:
            raise NotFound("Webhook not found", what="webhook")
        return found

    async def list(self, principal: Principal, *, offset: int = 0, limit: int = 50) -> tuple[Sequence[Endpoint], int]:
        mine = [each for each in self.endpoints.values() if each.organization == principal.organization.id]
        return mine[offset : offset + limit], len(mine)

    async def delete(self, principal: Principal, id: str) -> None:
        del self.endpoints[(await self.get(principal, id)).id]

    async def deliveries(
        self, principal: Principal, id: str, *, offset: int = 0, limit: int = 50
    ) -> tuple[Sequence[Delivery], int]:
        await self.get(principal, id)
        return [_delivery(id)][offset : offset + limit], 1

    async def replay(self, principal: Principal, id: str, delivery: str) -> Delivery:
        await self.get(principal, id)
        return msgspec.structs.replace(_delivery(id), id="d2", replay_of=delivery, status=DeliveryStatus.PENDING)


def _said(endpoint: EndpointIn) -> dict[str, Any]:
    both = set(EndpointIn.__struct_fields__) & set(Endpoint.__struct_fields__)
    return {name: getattr(endpoint, name) for name in both}


def _delivery(endpoint: str) -> Delivery:
    return Delivery(
        id="d1",
        endpoint_id=endpoint,
        event=HookEvent.RUN_SUCCEEDED,
        run_id="r1",
        status=DeliveryStatus.DELIVERED,
        attempts=1,
        payload={"event": "Workflow Completed"},
        response_status=200,
        created_at_us=0,
        delivered_at_us=1_000,
    )


@pytest.fixture
def hooks() -> MemoryWebhooks:
    return MemoryWebhooks()


@pytest.fixture
async def client(world: Any, hooks: MemoryWebhooks) -> AsyncIterator[httpx.AsyncClient]:
    services = Services(
        reading=Reading(world.ledger),
        recording=world.recording,
        access=world.access,
        clock=world.clock,
        ids=SeededIds(),
        webhooks=cast("Webhooks", hooks),
        workflows=world.workflows.face,
    )
    world.app = build(services)
    transport = httpx.ASGITransport(app=world.asgi, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gesta") as opened:
        yield opened


async def test_workflows_are_named_by_either_id_and_must_be_there(world: Any, client: httpx.AsyncClient) -> None:
    await world.access.ensure_account(1, "mark", AccountType.LINKED)
    own = KEY | {"linked_account_id": "mark"}
    draft = (await client.post("/api/v2/public/workflow", headers=own, json={"name": "W"})).json()["workflow"]["_id"]
    published = draft_id_of(draft)
    made = await client.post(PATH, headers=KEY, json=POSTED | {"workflow_ids": [draft, published]})
    assert (made.status_code, made.json()["workflow_ids"]) == (200, [published])
    unknown = await client.post(PATH, headers=KEY, json=POSTED | {"workflow_ids": [published, "0" * 24]})
    assert unknown.status_code == 400
    assert "`workflow_ids[1]`" in unknown.json()["message"]
    one = f"{PATH}/{made.json()['_id']}"
    await client.delete(f"/api/v2/public/workflow/{published}", headers=own)
    changed = await client.put(one, headers=KEY, json={"description": "kept", "workflow_ids": [published]})
    assert changed.json()["workflow_ids"] == [published]


async def test_a_mistake_is_told_in_refolds_words(
    client: httpx.AsyncClient, hooks: MemoryWebhooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def create(principal: Principal, endpoint: EndpointIn) -> tuple[Endpoint, str]:
        raise InvalidInput("`headers.a` is one line.", field="headers")

    monkeypatch.setattr(hooks, "create", create)
    refused = await client.post(PATH, headers=KEY, json=POSTED)
    assert (refused.status_code, refused.json()["message"]) == (400, "`webhook_headers.a` is one line.")


async def test_the_life_of_an_endpoint(client: httpx.AsyncClient, hooks: MemoryWebhooks) -> None:
    made = await client.post(PATH, headers=KEY, json=POSTED | {"webhook_headers": {"X-Mine": "1"}, "slug": "hubspot"})
    assert made.status_code == 200, made.text
    body = made.json()
    assert body["secret"] == "whsec_abcdef"
    assert (body["webhook_events"], body["webhook_type"], body["method"]) == (
        POSTED["webhook_events"],
        "default",
        "POST",
    )
    assert hooks.endpoints[body["_id"]].format is HookFormat.REFOLD
    one = f"{PATH}/{body['_id']}"
    seen = (await client.get(one, headers=KEY)).json()
    assert seen == {name: value for name, value in body.items() if name != "secret"}
    changed = await client.put(one, headers=KEY, json={"is_enabled": False, "webhook_type": "slack"})
    assert (changed.json()["is_enabled"], changed.json()["webhook_type"]) == (False, "slack")
    assert changed.json()["webhook_headers"] == {"X-Mine": "1"}
    assert changed.json()["webhook_url"] == POSTED["webhook_url"]
    page = (await client.get(PATH, headers=KEY)).json()
    assert ([each["_id"] for each in page["docs"]], page["totalDocs"]) == ([body["_id"]], 1)
    sent = (await client.get(f"{one}/deliveries", headers=KEY)).json()
    assert [(each["event"], each["status"]) for each in sent["docs"]] == [("Workflow Completed", "delivered")]
    again = await client.post(f"{one}/deliveries/d1/replay", headers=KEY)
    assert (again.json()["replay_of"], again.json()["status"]) == ("d1", "pending")
    assert (await client.delete(one, headers=KEY)).json()["success"] is True
    assert (await client.get(one, headers=KEY)).status_code == 404


async def test_the_other_spelling(client: httpx.AsyncClient) -> None:
    made = await client.post(PATH, headers=KEY, json={"url": "http://example.com", "events": ["Workflow Errored"]})
    assert made.json()["webhook_events"] == ["Workflow Errored"]


WRONG = [
    {},
    {"webhook_url": "https://example.com"},
    POSTED | {"webhook_url": "ftp://example.com"},
    POSTED | {"webhook_url": "example.com"},
    POSTED | {"webhook_events": []},
    POSTED | {"webhook_events": ["Workflow Exploded"]},
    POSTED | {"method": "GET"},
    POSTED | {"webhook_type": "fax"},
    POSTED | {"is_enabled": "yes"},
    POSTED | {"webhook_headers": {"a": 1}},
    POSTED | {"workflow_ids": "all"},
    POSTED | {"webhook_url": "https://[::1/"},
    POSTED | {"webhook_url": "https://"},
]


@pytest.mark.parametrize("posted", WRONG)
async def test_an_endpoint_that_cannot_be(client: httpx.AsyncClient, hooks: MemoryWebhooks, posted: Any) -> None:
    answer = await client.post(PATH, headers=KEY, json=posted)
    assert answer.status_code == 400
    assert hooks.endpoints == {}


async def test_strangers_and_readers(world: Any, client: httpx.AsyncClient, hooks: MemoryWebhooks) -> None:
    id = (await client.post(PATH, headers=KEY, json=POSTED)).json()["_id"]
    stranger = {"x-api-key": "pk_2"}
    world.access.add_key("pk_9", 1, Scope.READ)
    assert (await client.get(PATH, headers=stranger)).json()["totalDocs"] == 0
    for method, path in (
        ("GET", f"{PATH}/{id}"),
        ("PUT", f"{PATH}/{id}"),
        ("DELETE", f"{PATH}/{id}"),
        ("GET", f"{PATH}/{id}/deliveries"),
        ("POST", f"{PATH}/{id}/deliveries/d1/replay"),
    ):
        assert (await client.request(method, path, headers=stranger)).status_code == 404, path
        assert (await client.request(method, path)).status_code == 401, path
        if method != "GET":
            assert (await client.request(method, path, headers={"x-api-key": "pk_9"})).status_code == 403, path
    assert (await client.post(PATH, headers={"x-api-key": "pk_9"}, json=POSTED)).status_code == 403
    assert list(hooks.endpoints) == [id]

"""Outgoing webhooks in memory: endpoints are kept, and nothing was ever sent to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gesta.access.model import Principal, Scope
from gesta.kernel.errors import NotFound
from gesta.workflows.hooks_face import Delivery, Endpoint, EndpointIn

SECRET = "whsec_" + "0" * 64


class MemoryWebhooks:
    """`gesta.workflows.hooks_face.Webhooks`."""

    def __init__(self) -> None:
        self._kept: dict[str, Endpoint] = {}

    async def create(self, principal: Principal, endpoint: EndpointIn) -> tuple[Endpoint, str]:
        principal.require(Scope.RUN)
        made = Endpoint(
            id=f"{len(self._kept) + 1:024x}",
            organization=principal.organization.id,
            account=0,
            created_at_us=0,
            updated_at_us=0,
            secret_hint=SECRET[:8],
            **_said(endpoint),
        )
        self._kept[made.id] = made
        return made, SECRET

    async def change(self, principal: Principal, id: str, endpoint: EndpointIn) -> Endpoint:
        return self._put(await self.get(principal, id), **_said(endpoint))

    async def enable(self, principal: Principal, id: str, *, is_enabled: bool) -> Endpoint:
        return self._put(await self.get(principal, id), is_enabled=is_enabled)

    async def new_secret(self, principal: Principal, id: str) -> tuple[Endpoint, str]:
        return await self.get(principal, id), SECRET

    async def get(self, principal: Principal, id: str) -> Endpoint:
        found = self._kept.get(id)
        if found is None or found.organization != principal.organization.id:
            raise NotFound(f"Webhook {id[:128]} not found.", what="webhook")
        return found

    async def delete(self, principal: Principal, id: str) -> None:
        del self._kept[(await self.get(principal, id)).id]

    async def list(self, principal: Principal, *, offset: int = 0, limit: int = 50) -> tuple[Sequence[Endpoint], int]:
        mine = [each for each in self._kept.values() if each.organization == principal.organization.id]
        return mine[offset : offset + limit], len(mine)

    async def deliveries(
        self, principal: Principal, id: str, *, offset: int = 0, limit: int = 50
    ) -> tuple[Sequence[Delivery], int]:
        await self.get(principal, id)
        return [], 0

    async def log(
        self, principal: Principal, id: str = "", *, offset: int = 0, limit: int = 50
    ) -> tuple[Sequence[Delivery], bool]:
        if id:
            await self.get(principal, id)
        return [], False

    async def delivery(self, principal: Principal, delivery: str) -> Delivery:
        raise NotFound(f"Delivery {delivery[:128]} not found.", what="delivery")

    async def retry(self, principal: Principal, delivery: str) -> Delivery:
        return await self.delivery(principal, delivery)

    async def replay(self, principal: Principal, id: str, delivery: str) -> Delivery:
        return await self.delivery(principal, delivery)

    def _put(self, endpoint: Endpoint, **changes: Any) -> Endpoint:
        self._kept[endpoint.id] = msgspec.structs.replace(endpoint, **changes)
        return self._kept[endpoint.id]


def _said(endpoint: EndpointIn) -> dict[str, Any]:
    both = set(EndpointIn.__struct_fields__) & set(Endpoint.__struct_fields__)
    return {name: getattr(endpoint, name) for name in both}

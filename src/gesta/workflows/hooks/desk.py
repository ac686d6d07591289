"""The front door of outgoing webhooks: endpoints, their log, and sending again."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from gesta.access.model import Principal, Scope
from gesta.kernel.clock import Clock
from gesta.kernel.errors import Forbidden, InvalidInput, NotFound
from gesta.kernel.ids import IdSource, hex_id, secret
from gesta.kernel.json import encode_json
from gesta.storage.program import Database, Fetch, Program, ProgramFactory
from gesta.workflows.hooks import journal, rows
from gesta.workflows.hooks.checking import checked
from gesta.workflows.hooks.rows import SQL, DeliveryRow, EndpointRow, delivery_of, endpoint_of
from gesta.workflows.hooks_face import Delivery, Endpoint, EndpointIn
from gesta.workflows.nodes.addresses import networks_of

T = TypeVar("T")
ENDPOINT_DIGITS = 24
DELIVERY_DIGITS = 32
SECRET_PREFIX = "whsec_"  # noqa: S105 - the form of a secret, none itself
MAX_PAGE = 1000


class WebhookDesk:
    """`hooks_face.Webhooks`. `allow_networks`: the private networks that may be called. `on_due` is told when there is
    something to send."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        ids: IdSource,
        allow_networks: Sequence[str] = (),
        on_due: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._allowed = networks_of(allow_networks)
        self._on_due = on_due

    # -- endpoints

    async def create(self, principal: Principal, endpoint: EndpointIn) -> tuple[Endpoint, str]:
        principal.require(Scope.RUN)
        said = checked(_in_reach(principal, endpoint), self._allowed)
        now_us = self._clock.now_us()
        row = EndpointRow(
            organization=principal.organization.id,
            id=hex_id(self._ids, ENDPOINT_DIGITS),
            account=_account_of(principal, endpoint),
            is_enabled=endpoint.is_enabled,
            secret=secret(self._ids, SECRET_PREFIX),
            said=said,
            created_at_us=now_us,
            updated_at_us=now_us,
        )
        await self._write(principal, lambda: journal.add(row))
        return row.view, row.secret

    async def change(self, principal: Principal, id: str, endpoint: EndpointIn) -> Endpoint:
        principal.require(Scope.RUN)
        before = await self._held(principal, id)
        said = checked(_in_reach(principal, endpoint), self._allowed)
        account = before.account if before.account else _account_of(principal, endpoint)
        after = await self._write(
            principal, lambda: journal.change(before.organization, before.id, said, account, self._clock.now_us())
        )
        return after.view

    async def get(self, principal: Principal, id: str) -> Endpoint:
        return (await self._held(principal, id)).view

    async def list(self, principal: Principal, *, offset: int = 0, limit: int = 50) -> tuple[Sequence[Endpoint], int]:
        found = await self._endpoints(principal)
        return [row.view for row in found[offset : offset + limit]], len(found)

    async def enable(self, principal: Principal, id: str, *, is_enabled: bool) -> Endpoint:
        principal.require(Scope.RUN)
        row = await self._held(principal, id)
        after = await self._write(
            principal, lambda: journal.enable(row.organization, row.id, is_enabled, self._clock.now_us())
        )
        return after.view

    async def new_secret(self, principal: Principal, id: str) -> tuple[Endpoint, str]:
        principal.require(Scope.RUN)
        row = await self._held(principal, id)
        made = secret(self._ids, SECRET_PREFIX)
        after = await self._write(
            principal, lambda: journal.new_secret(row.organization, row.id, made, self._clock.now_us())
        )
        return after.view, made

    async def delete(self, principal: Principal, id: str) -> None:
        principal.require(Scope.RUN)
        row = await self._held(principal, id)
        await self._write(principal, lambda: journal.delete(row.organization, row.id, self._clock.now_us()))

    # -- the log

    async def deliveries(
        self, principal: Principal, id: str, *, offset: int = 0, limit: int = 50
    ) -> tuple[Sequence[Delivery], int]:
        row = await self._held(principal, id)
        found, _ = await self._log(row.organization, [row], offset, limit)
        total = await self._database.read(lambda: _count(row.organization, row.id), snapshot=False)
        return found, total

    async def log(
        self, principal: Principal, id: str = "", *, offset: int = 0, limit: int = 50
    ) -> tuple[Sequence[Delivery], bool]:
        found = [await self._held(principal, id)] if id else await self._endpoints(principal)
        return await self._log(principal.organization.id, found, offset, limit)

    async def _log(
        self, organization: int, endpoints: Sequence[EndpointRow], offset: int, limit: int
    ) -> tuple[Sequence[Delivery], bool]:
        limit = min(limit, MAX_PAGE)
        named = encode_json([row.id for row in endpoints]).decode()
        read = await self._database.read(lambda: _page(organization, named, limit + 1, offset), snapshot=False)
        return [row.view for row in read[:limit]], len(read) > limit

    async def delivery(self, principal: Principal, delivery: str) -> Delivery:
        return (await self._delivery(principal, delivery)).view

    async def retry(self, principal: Principal, delivery: str) -> Delivery:
        principal.require(Scope.RUN)
        row = await self._delivery(principal, delivery)
        after = await self._write(principal, lambda: journal.retry(row.organization, row.id, self._clock.now_us()))
        self._on_due()
        return after.view

    async def replay(self, principal: Principal, id: str, delivery: str) -> Delivery:
        principal.require(Scope.RUN)
        row = await self._delivery(principal, delivery)
        if row.endpoint != id:
            raise NotFound(f"No webhook delivery {delivery[:64]}.", what="delivery")
        made = hex_id(self._ids, DELIVERY_DIGITS)
        after = await self._write(
            principal, lambda: journal.replay(row.organization, row.id, made, self._clock.now_us())
        )
        self._on_due()
        return after.view

    # -- parts

    async def _held(self, principal: Principal, id: str) -> EndpointRow:
        """Raises NotFound, also for one beyond the caller's reach."""
        principal.require(Scope.READ)
        organization = principal.organization.id
        row = None
        if _is_word(id):
            row = await self._database.read(lambda: rows.endpoint(organization, id), snapshot=False)
        if row is None or not _reaches(principal, row):
            raise NotFound(f"No webhook endpoint {id[:64]}.", what="webhook")
        return row

    async def _endpoints(self, principal: Principal) -> builtins.list[EndpointRow]:
        principal.require(Scope.READ)
        account = -1 if principal.account is None else principal.account.id
        environment = "" if principal.environment is None else principal.environment.value
        return await self._database.read(
            lambda: _endpoints(principal.organization.id, account, environment), snapshot=False
        )

    async def _delivery(self, principal: Principal, delivery: str) -> DeliveryRow:
        organization = principal.organization.id
        principal.require(Scope.READ)
        row = None
        if _is_word(delivery):
            row = await self._database.read(lambda: rows.delivery(organization, delivery), snapshot=False)
        if row is None:
            raise NotFound(f"No webhook delivery {delivery[:64]}.", what="delivery")
        try:
            await self._held(principal, row.endpoint)
        except NotFound:
            raise NotFound(f"No webhook delivery {delivery[:64]}.", what="delivery") from None
        return row

    async def _write(self, principal: Principal, program: ProgramFactory[T]) -> T:
        return await self._database.write(program, key=principal.organization.id)


def _is_word(id: str) -> bool:
    return 0 < len(id) <= 64 and id.isascii() and id.isalnum()


def _reaches(principal: Principal, row: EndpointRow) -> bool:
    if principal.account is not None and row.account != principal.account.id:
        return False
    return principal.environment in (None, row.said.environment)


def _in_reach(principal: Principal, endpoint: EndpointIn) -> EndpointIn:
    """Of the caller's environment, where the credential has one. Raises Forbidden for another."""
    if principal.environment is None:
        return endpoint
    if endpoint.environment not in (None, principal.environment):
        raise Forbidden(f"This credential is of the environment `{principal.environment}`.")
    return msgspec.structs.replace(endpoint, environment=principal.environment)


def _account_of(principal: Principal, endpoint: EndpointIn) -> int:
    if principal.account is not None:
        return principal.account.id
    if endpoint.account_bound:
        raise InvalidInput("This credential is not bound to an account.", field="account_bound")
    return 0


def _endpoints(organization: int, account: int, environment: str) -> Program[list[EndpointRow]]:
    found = yield Fetch(SQL["hook.list"], (organization, account, environment))
    return [endpoint_of(row) for row in found]


def _page(organization: int, endpoints: str, limit: int, offset: int) -> Program[list[DeliveryRow]]:
    found = yield Fetch(SQL["delivery.list"], (organization, endpoints, limit, offset))
    return [delivery_of(row) for row in found]


def _count(organization: int, endpoint: str) -> Program[int]:
    counted = yield Fetch(SQL["delivery.count"], (organization, endpoint))
    return int(counted[0][0])

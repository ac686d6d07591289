"""Who a node acts as: nobody with a credential, but the organization itself, with one scope."""

from __future__ import annotations

from gesta.access.face import Access
from gesta.access.model import Account, Environment, Organization, Principal, Scope
from gesta.workflows.nodes.face import NodeFailed, Performance

NAME = "workflow"


class Principals:
    def __init__(self, access: Access) -> None:
        self._access = access
        self._organizations: dict[int, Organization] = {}

    async def organization(self, performance: Performance, scope: Scope) -> Principal:
        """Reaches every account of the run's organization."""
        return Principal(
            organization=await self._organization(performance.organization),
            identity_id=0,
            identity_name=NAME,
            credential_id=0,
            scopes=frozenset({scope}),
        )

    async def account(self, performance: Performance, scope: Scope) -> Principal:
        """Confined to the run's own account, and to its environment."""
        organization = await self._organization(performance.organization)
        account: Account | None = await self._access.account_by_id(performance.organization, performance.account)
        if account is None:
            raise NodeFailed("The account of this run does not exist any more.", is_final=True)
        return Principal(
            organization=organization,
            identity_id=0,
            identity_name=NAME,
            credential_id=0,
            scopes=frozenset({scope}),
            account=account,
            environment=Environment(performance.environment) if performance.environment else account.environment,
        )

    async def _organization(self, number: int) -> Organization:
        if number not in self._organizations:
            self._organizations = {each.id: each for each in await self._access.organizations()}
        if number not in self._organizations:
            raise NodeFailed("The organization of this run does not exist any more.", is_final=True)
        return self._organizations[number]

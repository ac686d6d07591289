"""The dialect over a ledger in memory, with an access of the test's own making."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gesta.access.model import (
    Account,
    AccountProfile,
    AccountType,
    Environment,
    Organization,
    Principal,
    Scope,
    SessionTokens,
)
from gesta.apis.common.services import Limits, Services
from gesta.apis.refold.codec import decode
from gesta.apis.refold.routes import build
from gesta.desk.reading import Reading
from gesta.desk.recording import Recording
from gesta.kernel.errors import InvalidInput, RateLimited, Unauthenticated, Unavailable
from gesta.ledger.records import AppendResult, NewExecution
from gesta.testing.fakes import ManualClock, SeededIds
from gesta.testing.memory_ledger import MemoryLedger
from gesta.testing.memory_workflows import MemoryWorkflows

GOLDEN = Path(__file__).parent / "golden"
NOW_US = 1_760_000_000_000_000
REQUEST_ID = "89bd1675-a826-46cb-9210-6cb2ae169f67"
LIST = "/api/v2/public/execution"


class LinkedAccess:
    """API keys `pk_1`, `tk_1` … of organization 1 …, linked accounts, and sessions as plain texts."""

    def __init__(self) -> None:
        self.keys: dict[str, Principal] = {}
        self.accounts_: list[Account] = []
        self.sessions: dict[str, Principal] = {}
        self.ended: set[str] = set()
        self.admits: int | None = None
        self.profiles: dict[int, AccountProfile] = {}
        self.made = 0
        self.is_down = False

    def add_key(self, key: str, organization: int, *scopes: Scope) -> None:
        self.keys[key] = Principal(
            organization=Organization(
                id=organization, public_id=f"org_{organization:020d}", name=f"Org {organization}"
            ),
            identity_id=organization,
            identity_name="owner",
            credential_id=len(self.keys) + 1,
            scopes=frozenset(scopes or {Scope.READ, Scope.RUN}),
            environment=Environment.PRODUCTION if key.startswith("pk") else Environment.TEST,
        )

    async def ensure_account(
        self,
        organization: int,
        name: str,
        type: AccountType,
        environment: Environment = Environment.PRODUCTION,
        **_: Any,
    ) -> Account:
        found = await self.account(organization, name, type, environment)
        if found is None:
            self.made += 1
            found = Account(id=self.made, organization=organization, name=name, type=type, environment=environment)
            self.accounts_.append(found)
        return found

    async def account(
        self, organization: int, name: str, type: AccountType, environment: Environment = Environment.PRODUCTION
    ) -> Account | None:
        wanted = (organization, name.casefold(), type, environment)
        for account in self.accounts_:
            if (account.organization, account.name.casefold(), account.type, account.environment) == wanted:
                return account
        return None

    async def profile(self, account: Account) -> AccountProfile:
        return self.profiles.get(account.id) or AccountProfile(
            name=account.name, fields={}, created_at_us=NOW_US, updated_at_us=NOW_US
        )

    async def put_profile(
        self, account: Account, *, name: str | None = None, fields: Mapping[str, Any] | None = None, actor: str = ""
    ) -> AccountProfile:
        before = await self.profile(account)
        said = {"name": name, "fields": fields}
        self.profiles[account.id] = msgspec.structs.replace(
            before, updated_at_us=NOW_US + 1_000_000, **{key: value for key, value in said.items() if value is not None}
        )
        return self.profiles[account.id]

    async def remove_account(self, account: Account, *, actor: str = "") -> None:
        self.accounts_.remove(account)
        self.sessions = {token: who for token, who in self.sessions.items() if who.account != account}

    async def account_by_id(self, organization: int, account_id: int) -> Account | None:
        known = {account.id: account for account in self.accounts_ if account.organization == organization}
        return known.get(account_id)

    async def api_key(self, key: str, linked_account: str | None = None) -> Principal:
        if self.is_down:
            raise Unavailable("The database does not answer.")
        if key not in self.keys:
            raise Unauthenticated("No such key.")
        principal = self.keys[key]
        if linked_account is None:
            return principal
        assert principal.environment is not None
        account = await self.account(
            principal.organization.id, linked_account, AccountType.LINKED, principal.environment
        )
        if account is None:
            raise InvalidInput("Unknown linked account.", field="linked_account_id")
        return msgspec.structs.replace(principal, account=account)

    async def session(self, token: str) -> Principal:
        if token not in self.sessions:
            raise Unauthenticated("No such session.", reason="revoked" if token in self.ended else "invalid")
        return self.sessions[token]

    async def accounts(self, organization: int) -> list[Account]:
        return [account for account in self.accounts_ if account.organization == organization]

    async def issue_session(self, principal: Principal, account: Account, *, force_refresh: bool) -> SessionTokens:
        live = [token for token, owner in self.sessions.items() if owner.account == account]
        if force_refresh or not live:
            live = [f"jwt.{account.id}.{len(self.sessions)}"]
            self.sessions[live[0]] = msgspec.structs.replace(principal, account=account)
        return SessionTokens(
            token=live[0], refresh_token=f"refresh.{account.id}", expires_in_s=86_400, refresh_expires_in_s=2_592_000
        )

    async def revoke_session(self, token: str) -> int:
        if token in self.ended:
            return 0
        if self.sessions.pop(token, None) is None:
            raise Unauthenticated("Not a session token.")
        self.ended.add(token)
        return 1

    def admit(self, bucket: str, credential_id: int) -> None:
        assert bucket == "refold"
        if self.admits is not None:
            self.admits -= 1
            if self.admits < 0:
                raise RateLimited("Too many requests.", retry_after_s=0.4)


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ledger = MemoryLedger(self.clock)
        self.access = LinkedAccess()
        for organization in (1, 2):
            for prefix in ("pk", "tk"):
                self.access.add_key(f"{prefix}_{organization}", organization)
        self.recording = Recording(self.ledger)
        self.workflows = MemoryWorkflows(self.ledger, self.access, self.clock, SeededIds())
        self.app = build(
            Services(
                workflows=self.workflows.face,
                limits=Limits(sync_wait_s=0.05),
                reading=Reading(self.ledger),
                recording=self.recording,
                access=self.access,  # type: ignore[arg-type]
                clock=self.clock,
                ids=SeededIds(),
            )
        )

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        scope["gesta.request_id"] = REQUEST_ID
        await self.app(scope, receive, send)

    async def post(self, posted: Mapping[str, Any], *, key: str = "pk_1") -> AppendResult:
        """What `POST /ledger/executions?dialect=refold` does with one object."""
        principal = self.access.keys[key]
        decoded = decode(posted, now_us=self.clock.now_us(), organization=principal.organization.public_id)
        account = await self.access.ensure_account(
            principal.organization.id, decoded.account_name, decoded.account_type, decoded.environment
        )
        return (await self.recording.record(principal, [decoded.row(account)]))[0]

    async def record(self, *rows: NewExecution, key: str = "pk_1") -> None:
        await self.recording.record(self.access.keys[key], rows)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=world.asgi, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gesta") as opened:
        yield opened


@pytest.fixture
def golden() -> Mapping[str, Any]:
    return {path.stem: json.loads(path.read_text("utf-8")) for path in GOLDEN.glob("*.json")}


@pytest.fixture
def as_default() -> dict[str, str]:
    return {"x-api-key": "pk_1", "linked_account_id": "default"}

"""The sub-app over the in-memory ledger, with one organization that owns Sim101 and another that owns Rival1."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI

from gesta.access.model import Account, AccountType, Environment, Principal, Scope
from gesta.apis.common.services import Limits, Services
from gesta.apis.crosstrade.codec import decode
from gesta.apis.crosstrade.models import EXAMPLE_EXECUTION
from gesta.apis.crosstrade.routes import build
from gesta.desk.reading import Reading
from gesta.desk.recording import Recording
from gesta.ledger.records import AppendResult, NewEvent, Status, Transition
from gesta.testing.fake_access import FakeAccess, principal
from gesta.testing.fakes import ManualClock, SeededIds
from gesta.testing.memory_ledger import MemoryLedger
from tests.wire.crosstrade.trading_house import TradingHouse, trading_house

TOKEN = "gst_mine"
RIVAL_TOKEN = "gst_rival"


class Directory(FakeAccess):
    """FakeAccess with the two look-ups by which this dialect finds accounts."""

    async def account(
        self, organization: int, name: str, type: AccountType, environment: Environment = Environment.PRODUCTION
    ) -> Account | None:
        wanted = (organization, name.casefold(), type, environment)
        for account in self._accounts.values():
            if (account.organization, account.name.casefold(), account.type, account.environment) == wanted:
                return account
        return None

    async def accounts(self, organization: int) -> list[Account]:
        return [account for account in self._accounts.values() if account.organization == organization]


class House:
    """Everything a test needs: the app, and a way to put fills into the ledger as the native dialect does."""

    def __init__(self, limits: Limits) -> None:
        self.clock = ManualClock()
        self.access = Directory()
        self.ledger = MemoryLedger(self.clock)
        self.services = Services(
            reading=Reading(self.ledger),
            recording=Recording(self.ledger),
            access=self.access,  # type: ignore[arg-type]
            clock=self.clock,
            ids=SeededIds(),
            limits=limits,
        )
        self.owner = principal(1, Scope.TRADE, credential_id=1)
        self.rival = principal(2, Scope.TRADE, credential_id=2)
        self.access.bearers[TOKEN] = self.owner
        self.access.bearers[RIVAL_TOKEN] = self.rival
        self.app: FastAPI = build(self.services)

    async def open_accounts(self) -> None:
        # The zone in which seed 000's epoch has the seed's time of day.
        await self.access.ensure_account(1, "Sim101", AccountType.TRADING, time_zone="America/Los_Angeles")
        await self.access.ensure_account(1, "Apex-7", AccountType.TRADING, currency="EUR")
        await self.access.ensure_account(1, "linked@example.com", AccountType.LINKED)
        await self.access.ensure_account(2, "Rival1", AccountType.TRADING)

    async def post(self, *posted: Mapping[str, Any], who: Principal | None = None) -> list[AppendResult]:
        """What `POST /ledger/executions?dialect=crosstrade` does with a batch."""
        caller = who or self.owner
        rows = []
        for each in posted:
            decoded = decode(each, now_us=self.clock.now_us(), organization=caller.organization.public_id)
            account = await self.access.ensure_account(
                caller.organization.id, decoded.account_name, decoded.account_type, decoded.environment
            )
            rows.append(decoded.row(account))
        return await self.services.recording.record(caller, rows)

    async def bust(self, execution_id: str) -> None:
        change = Transition(status=Status.CANCELLED, event=NewEvent(type="execution.busted"))
        await self.ledger.transition(1, execution_id, change)

    def fill(self, execution_id: str, *, ago_s: float = 0, **fields: Any) -> dict[str, Any]:
        """Seed 000's object under another id, that long before now."""
        epoch = self.clock.now_us() // 1000 - round(ago_s * 1000)
        said = {**copy.deepcopy(EXAMPLE_EXECUTION), "id": execution_id, "epoch": epoch, **fields}
        del said["time"]
        return said


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture
async def house(limits: Limits) -> House:
    made = House(limits)
    await made.open_accounts()
    return made


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """A caller with the token of the organization that owns Sim101."""
    transport = httpx.ASGITransport(house.app)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://gesta.test", headers=headers) as made:
        yield made


@pytest.fixture
def example() -> dict[str, Any]:
    """The execution object of seeds 000 and 001."""
    return copy.deepcopy(EXAMPLE_EXECUTION)


@pytest.fixture
def bind(house: House) -> Any:
    """Bind the owner's token to one account of its organization, or change what it may do."""

    def change(**fields: Any) -> None:
        house.access.bearers[TOKEN] = msgspec.structs.replace(house.owner, **fields)

    return change


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[TradingHouse]:
    """A whole server that trades."""
    async with trading_house(tmp_path) as made:
        yield made


@pytest.fixture
async def trader(desk: TradingHouse) -> AsyncIterator[httpx.AsyncClient]:
    """A caller that may trade on Sim101 and Apex-7, with ES quoted 5804.25 / 5804.50."""
    await desk.quote("5804.25", "5804.50")
    async with desk.client() as made:
        yield made

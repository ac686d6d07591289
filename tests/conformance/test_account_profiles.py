"""What linked accounts say of themselves, and how they are removed, on each database."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from gesta.access.bootstrap import bootstrap
from gesta.access.model import Account, AccountType, Environment
from gesta.access.service import MOST_FIELD_BYTES, AccessService
from gesta.access.settings import AccessSettings
from gesta.kernel.errors import InvalidInput, NotFound, Unauthenticated
from gesta.kernel.ids import SystemIds
from gesta.storage.migrate import migrate
from gesta.storage.program import Database
from gesta.testing.fakes import ManualClock

MARK = "mark"
Make = Callable[[], AccessService]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def make(database: Database, clock: ManualClock) -> Make:
    await migrate(database, [("access", "gesta.access.migrations")])
    return lambda: AccessService(database, clock, SystemIds(), AccessSettings(credential_cache_s=5))


async def test_a_profile_is_kept_and_what_is_not_said_stays(make: Make, clock: ManualClock) -> None:
    access = make()
    made = await bootstrap(access, "Acme")
    account = await access.ensure_account(made.organization.id, MARK, AccountType.LINKED)
    assert (await access.profile(account)).name == MARK
    clock.advance_us(1_000_000)
    said = await access.put_profile(account, name="Mark", fields={"plan": "pro", "seats": [1, None]})
    assert (said.name, said.fields) == ("Mark", {"plan": "pro", "seats": [1, None]})
    assert said.updated_at_us > said.created_at_us
    renamed = await access.put_profile(account, name="Mark W.")
    assert renamed.fields == said.fields
    assert await make().profile(account) == renamed
    assert (await access.put_profile(account, fields={})).fields == {}


async def test_what_a_profile_cannot_be(make: Make) -> None:
    access = make()
    made = await bootstrap(access, "Acme")
    account = await access.ensure_account(made.organization.id, MARK, AccountType.LINKED)
    with pytest.raises(InvalidInput, match="bytes"):
        await access.put_profile(account, fields={"x": "y" * MOST_FIELD_BYTES})
    with pytest.raises(InvalidInput):
        await access.put_profile(account, name="a\x1fb")
    stranger = msgspec.structs.replace(account, organization=account.organization + 1)
    with pytest.raises(NotFound):
        await access.put_profile(stranger, name="Mine")
    assert (await access.profile(account)).name == MARK


async def test_a_removed_account_is_found_by_its_id_only(make: Make, clock: ManualClock) -> None:
    here, there = make(), make()
    made = await bootstrap(here, "Acme")
    organization, key = made.organization.id, made.production_key.secret
    account = await here.ensure_account(organization, MARK, AccountType.LINKED)
    token = (await here.issue_session(await here.api_key(key, MARK), account, force_refresh=False)).token
    assert (await there.api_key(key, MARK)).account == account
    assert await there.oldest_account(organization, AccountType.LINKED) == account
    await here.remove_account(account)
    with pytest.raises(InvalidInput):
        await here.api_key(key, MARK)
    with pytest.raises(Unauthenticated):
        await here.session(token)
    clock.advance_us(5_000_000)
    with pytest.raises(InvalidInput):
        await there.api_key(key, MARK)
    assert await there.oldest_account(organization, AccountType.LINKED) is None
    assert await there.account_by_id(organization, account.id) == account
    with pytest.raises(InvalidInput):
        await there.api_key(key, MARK)
    assert account not in await here.accounts(organization)
    for gone in (here.profile(account), here.remove_account(account), here.put_profile(account, name="x")):
        with pytest.raises(NotFound):
            await gone
    actions = [entry.action for entry in await here.audit_trail(organization)]
    assert actions[0] == "account.removed"


async def test_the_name_is_free_again(make: Make) -> None:
    access = make()
    made = await bootstrap(access, "Acme")
    organization = made.organization.id
    numbers = []
    for _ in range(3):
        account: Account = await access.ensure_account(organization, MARK, AccountType.LINKED, Environment.TEST)
        await access.put_profile(account, name="Old")
        numbers.append(account.id)
        await access.remove_account(account)
    assert len(set(numbers)) == 3
    fresh = await access.ensure_account(organization, MARK, AccountType.LINKED, Environment.TEST)
    assert (await access.profile(fresh)).name == MARK


async def test_trading_accounts_are_not_removed(make: Make) -> None:
    access = make()
    made = await bootstrap(access, "Acme")
    account = await access.ensure_account(made.organization.id, "Sim101", AccountType.TRADING)
    with pytest.raises(InvalidInput, match="linked"):
        await access.remove_account(account)

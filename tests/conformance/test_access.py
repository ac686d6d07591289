"""What access promises, on each database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import jwt
import pytest

from gesta.access.bootstrap import Bootstrap, bootstrap
from gesta.access.buckets import Bucket
from gesta.access.model import (
    Account,
    AccountType,
    CredentialType,
    Environment,
    NewCredential,
    Organization,
    Principal,
    Scope,
)
from gesta.access.service import AccessService
from gesta.access.settings import AccessSettings
from gesta.kernel.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from gesta.kernel.ids import SystemIds
from gesta.storage.migrate import migrate
from gesta.storage.program import Database, Fetch, Program, ProgramFactory, Statement
from gesta.testing.fakes import ManualClock

LINKED = "markwood@some_email.com"
SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US
Make = Callable[..., AccessService]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def make(database: Database, clock: ManualClock) -> Make:
    """Services over one database, as so many processes would have."""
    await migrate(database, [("access", "gesta.access.migrations")])
    return lambda **settings: AccessService(database, clock, SystemIds(), AccessSettings(**settings))


@pytest.fixture
def access(make: Make) -> AccessService:
    return make()


@pytest.fixture
async def first(access: AccessService) -> Bootstrap:
    return await bootstrap(access, "First")


async def refused(call: object) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await call  # type: ignore[misc]
    return caught.value.reason


async def linked(access: AccessService, made: Bootstrap, environment: Environment = Environment.PRODUCTION) -> Account:
    return await access.ensure_account(made.organization.id, LINKED, AccountType.LINKED, environment)


async def session_of(access: AccessService, made: Bootstrap) -> tuple[Principal, Account]:
    account = await linked(access, made)
    return await access.api_key(made.production_key.secret, LINKED), account


async def actions(access: AccessService, organization: Organization) -> list[tuple[str, str, str]]:
    trail = await access.audit_trail(organization.id)
    return [(entry.identity, entry.action, entry.subject) for entry in reversed(trail)]


# -- bearer tokens and API keys


async def test_every_first_credential_works_where_it_belongs(access: AccessService, first: Bootstrap) -> None:
    for token in (first.bearer.secret, first.b3os.secret):
        principal = await access.bearer(token)
        assert principal.organization == first.organization
        assert (principal.account, principal.environment) == (None, None)
    assert (await access.bearer(first.bearer.secret)).scopes == {Scope.ADMIN}
    assert (await access.basic("admin", first.basic.secret)).identity_name == "owner"
    assert (await access.api_key(first.production_key.secret)).environment is Environment.PRODUCTION
    assert (await access.api_key(first.test_key.secret)).environment is Environment.TEST
    assert await access.account(first.organization.id, "sim101", AccountType.TRADING) == first.account


async def test_a_credential_of_another_type_is_refused(access: AccessService, first: Bootstrap) -> None:
    for _ in range(2):
        for key in (first.production_key.secret, first.test_key.secret, first.basic.secret):
            assert await refused(access.bearer(key)) == "invalid"
        for token in (first.bearer.secret, first.b3os.secret, first.basic.secret):
            assert await refused(access.api_key(token)) == "invalid"


@pytest.mark.parametrize(
    "text",
    ["x", "gst_", "gst_" + "0" * 64, "b3sk_x", "gst_é", "gst_\x00", "gst_\ud800", "gst_" + "x" * 100_000, "pk_x"],
)
async def test_what_is_no_token_is_invalid(access: AccessService, first: Bootstrap, text: str) -> None:
    assert await refused(access.bearer(text)) == "invalid"
    assert await refused(access.api_key(text)) == "invalid"
    assert await refused(access.api_key("tk" + text, LINKED)) == "invalid"
    assert await refused(access.session(text)) == "invalid"
    assert await refused(access.basic(text, text)) == "invalid"


async def test_no_credential_is_missing(access: AccessService) -> None:
    for call in (access.bearer(""), access.api_key(""), access.session(""), access.basic("", "")):
        assert await refused(call) == "missing"


async def test_a_changed_token_is_invalid(access: AccessService, first: Bootstrap) -> None:
    await access.bearer(first.bearer.secret)
    for changed in (first.bearer.secret[:-1], first.bearer.secret + "0", first.bearer.secret.upper()):
        assert await refused(access.bearer(changed)) == "invalid"


async def test_secrets_are_stored_hashed_and_shown_by_no_list(
    access: AccessService, first: Bootstrap, database: Database
) -> None:
    principal, account = await session_of(access, first)
    tokens = await access.issue_session(principal, account, force_refresh=False)
    made = (first.bearer, first.b3os, first.basic, first.production_key, first.test_key)
    shown = [*(each.secret for each in made), tokens.token, tokens.refresh_token]
    tables = ("organizations", "accounts", "identities", "credentials", "sessions", "audit")
    everything = ""
    for table in tables:
        statement = Statement(table, f"SELECT * FROM {table}", f"SELECT * FROM {table}")

        def dump(statement: Statement = statement) -> Program[str]:
            rows = yield Fetch(statement)
            return repr([tuple(row) for row in rows])

        everything += await database.read(dump)
    texts = [everything, repr(await access.credentials(first.organization.id)), repr(first), repr(tokens)]
    assert "argon2id" in everything
    for secret in shown:
        assert not any(secret in text or secret[-32:] in text for text in texts)


# -- API keys and linked accounts


async def test_a_linked_account_belongs_to_one_environment(access: AccessService, first: Bootstrap) -> None:
    account = await linked(access, first, Environment.TEST)
    principal = await access.api_key(first.test_key.secret, LINKED.upper())
    assert principal.account == account
    with pytest.raises(InvalidInput) as caught:
        await access.api_key(first.production_key.secret, LINKED)
    assert caught.value.field == "linked_account_id"
    for unknown in ("", "nobody", "a\x00", "\ud800", "x" * 1000, "Sim101"):
        with pytest.raises(InvalidInput):
            await access.api_key(first.test_key.secret, unknown)


async def test_the_key_is_checked_before_the_account(access: AccessService, first: Bootstrap) -> None:
    assert await refused(access.api_key("pk_wrong", "nobody")) == "invalid"


async def test_another_organization_s_account_is_unknown(access: AccessService, first: Bootstrap) -> None:
    second = await bootstrap(access, "Second")
    account = await linked(access, first)
    with pytest.raises(InvalidInput):
        await access.api_key(second.production_key.secret, LINKED)
    assert await access.account_by_id(second.organization.id, account.id) is None
    assert await access.account_by_id(first.organization.id, account.id) == account
    assert await access.account(second.organization.id, LINKED, AccountType.LINKED) is None
    assert [each.name for each in await access.accounts(second.organization.id)] == ["Sim101"]


# -- Basic


async def test_wrong_password_wrong_user_and_wrong_case(access: AccessService, first: Bootstrap) -> None:
    password = first.basic.secret
    for username, given in (
        ("admin", password + "x"),
        ("admin", ""),
        ("", password),
        ("Admin", password),
        ("nobody", password),
        ("admin", "x" * 100_000),
        ("x" * 100_000, password),
        ("ad\x00min", password),
        ("\ud800", "\ud800"),
    ):
        assert await refused(access.basic(username, given)) == "invalid"
    assert (await access.basic("admin", password)).credential_id == first.basic.info.id


async def test_a_login_is_verified_once_then_remembered(
    make: Make, first: Bootstrap, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = make(credential_cache_s=5, password_cache_s=60)
    calls: list[str] = []
    verify = access._passwords.verify

    async def counted(proof: bytes, password_hash: str, password: str) -> bool:
        calls.append(password_hash)
        return await verify(proof, password_hash, password)

    monkeypatch.setattr(access._passwords, "verify", counted)
    for after_s in (0, 1, 6, 50):
        clock.advance_us(after_s * SECOND_US)
        await access.basic("admin", first.basic.secret)
    assert len(calls) == 1
    clock.advance_us(61 * SECOND_US)
    await access.basic("admin", first.basic.secret)
    assert len(calls) == 2
    for _ in range(2):
        await refused(access.basic("admin", "wrong"))
        await refused(access.basic("nobody", first.basic.secret))
    assert len(calls) == 6


async def test_a_username_is_taken_until_it_is_revoked(access: AccessService, first: Bootstrap) -> None:
    async def another() -> NewCredential:
        return await access.create_credential(
            first.organization.id, type=CredentialType.BASIC, scopes=frozenset({Scope.READ}), username="admin"
        )

    with pytest.raises(Conflict):
        await another()
    await access.revoke_credential(first.organization.id, first.basic.info.id)
    assert await refused(access.basic("admin", first.basic.secret)) == "revoked"
    made = await another()
    assert (await access.basic("admin", made.secret)).scopes == {Scope.READ}
    assert await refused(access.basic("admin", first.basic.secret)) == "invalid"


# -- revocation


async def test_revocation_takes_effect_at_once_here_and_soon_elsewhere(
    make: Make, first: Bootstrap, clock: ManualClock
) -> None:
    here, elsewhere = make(), make()
    account = await linked(here, first)
    session = await here.issue_session(
        await here.api_key(first.production_key.secret, LINKED), account, force_refresh=False
    )

    def calls(access: AccessService) -> list[object]:
        return [
            access.bearer(first.bearer.secret),
            access.bearer(first.b3os.secret),
            access.basic("admin", first.basic.secret),
            access.api_key(first.production_key.secret, LINKED),
            access.session(session.token),
        ]

    for process in (here, elsewhere):
        for call in calls(process):
            await call  # type: ignore[misc]
    for info in await here.credentials(first.organization.id):
        assert (await here.revoke_credential(first.organization.id, info.id)).revoked_at_us == clock.now_us()
    assert [await refused(call) for call in calls(here)] == ["revoked"] * 5
    clock.advance_us(5 * SECOND_US)
    assert [await refused(call) for call in calls(elsewhere)] == ["revoked"] * 5


async def test_a_read_under_way_does_not_bring_a_revoked_credential_back(
    access: AccessService, first: Bootstrap, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = database.read
    answered, go_on = asyncio.Event(), asyncio.Event()

    async def slow(program: ProgramFactory[object], **how: bool) -> object:
        result = await read(program, **how)
        answered.set()
        await go_on.wait()
        return result

    monkeypatch.setattr(database, "read", slow)
    under_way = asyncio.create_task(access.bearer(first.bearer.secret))
    await answered.wait()
    monkeypatch.setattr(database, "read", read)
    await access.revoke_credential(first.organization.id, first.bearer.info.id)
    go_on.set()
    await under_way
    assert await refused(access.bearer(first.bearer.secret)) == "revoked"


async def test_revoking_twice_keeps_the_first_time_and_foreign_or_unknown_ids_are_not_found(
    access: AccessService, first: Bootstrap, clock: ManualClock
) -> None:
    second = await bootstrap(access, "Second")
    revoked = await access.revoke_credential(first.organization.id, first.b3os.info.id)
    clock.advance_us(HOUR_US)
    assert await access.revoke_credential(first.organization.id, first.b3os.info.id) == revoked
    for unknown in (0, -1, 10**9, 2**63, 10**30, second.bearer.info.id):
        with pytest.raises(NotFound):
            await access.revoke_credential(first.organization.id, unknown)
    assert (await access.bearer(second.bearer.secret)).organization == second.organization


# -- creating


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"type": CredentialType.BASIC}, "username"),
        ({"type": CredentialType.BASIC, "username": "a:b"}, "username"),
        ({"type": CredentialType.BASIC, "username": ""}, "username"),
        ({"type": CredentialType.BEARER, "username": "admin"}, "username"),
        ({"type": CredentialType.API_KEY}, "environment"),
        ({"type": CredentialType.B3OS, "environment": Environment.TEST}, "environment"),
        ({"type": CredentialType.BEARER, "scopes": frozenset()}, "scopes"),
        ({"type": CredentialType.BEARER, "label": "\n"}, "label"),
        ({"type": CredentialType.BEARER, "identity": ""}, "identity"),
    ],
)
async def test_a_credential_that_makes_no_sense_is_refused(
    access: AccessService, first: Bootstrap, wanted: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await access.create_credential(first.organization.id, **{"scopes": frozenset({Scope.READ}), **wanted})  # type: ignore[arg-type]
    assert caught.value.field == field


async def test_prefixes_hints_and_identities(access: AccessService, first: Bootstrap) -> None:
    made = await access.create_credential(
        first.organization.id,
        type=CredentialType.BEARER,
        scopes=frozenset({Scope.READ, Scope.TRADE}),
        label="bot",
        identity="robot",
    )
    prefixes = [each.secret.partition("_")[0] for each in (made, first.b3os, first.production_key, first.test_key)]
    assert prefixes == ["gst", "b3sk", "pk", "tk"]
    assert made.secret.startswith(made.info.hint)
    assert len(made.info.hint) < 12
    listed = await access.credentials(first.organization.id)
    assert [info.id for info in listed] == sorted(info.id for info in listed)
    assert listed[-1] == made.info
    principal = await access.bearer(made.secret)
    assert (principal.identity_name, principal.scopes) == ("robot", {Scope.READ, Scope.TRADE})
    principal.require(Scope.READ)
    with pytest.raises(Forbidden):
        principal.require(Scope.RUN)


async def test_an_unknown_organization_is_not_found(access: AccessService) -> None:
    with pytest.raises(NotFound):
        await access.create_credential(99, type=CredentialType.BEARER, scopes=frozenset({Scope.READ}))
    with pytest.raises(NotFound):
        await access.ensure_account(99, "Sim101", AccountType.TRADING)
    assert await access.accounts(99) == []


async def test_an_organization_s_name_is_taken_in_any_case(access: AccessService, first: Bootstrap) -> None:
    with pytest.raises(Conflict):
        await access.create_organization("FIRST")
    with pytest.raises(InvalidInput):
        await access.create_organization("")
    other = await access.create_organization("Other")
    assert await access.organizations() == [first.organization, other]
    assert other.public_id.startswith("org_")
    assert len(other.public_id) == 24


async def test_bootstrap_is_all_or_nothing_and_finds_a_free_username(access: AccessService, first: Bootstrap) -> None:
    with pytest.raises(Conflict):
        await bootstrap(access, "first")
    with pytest.raises(Conflict):
        await bootstrap(access, "Second", only_first=True)
    second = await bootstrap(access, "Second")
    assert second.basic.username == "admin-2"
    assert (await access.basic("admin-2", second.basic.secret)).organization == second.organization
    assert [each.name for each in await access.organizations()] == ["First", "Second"]


async def test_of_two_first_runs_at_once_one_is_refused(make: Make) -> None:
    results = await asyncio.gather(
        *(bootstrap(make(), f"Organization {n}", only_first=True) for n in range(4)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["Bootstrap", "Conflict", "Conflict", "Conflict"]
    assert len(await make().organizations()) == 1


# -- accounts


async def test_concurrent_calls_make_one_account(make: Make, first: Bootstrap) -> None:
    services = [make() for _ in range(4)]
    names = ["Sim202", "SIM202", "sim202"]
    made = await asyncio.gather(
        *(services[n % 4].ensure_account(first.organization.id, names[n % 3], AccountType.TRADING) for n in range(24))
    )
    assert len(set(made)) == 1
    trail = await actions(services[0], first.organization)
    assert [action for _, action, _ in trail].count("account.created") == 2


async def test_settings_of_an_existing_account_stay(access: AccessService, first: Bootstrap) -> None:
    organization = first.organization.id
    made = await access.ensure_account(
        organization,
        "Playback",
        AccountType.TRADING,
        time_zone="America/Chicago",
        currency="EUR",
        server_name="NT8",
        actor="importer",
    )
    assert (made.time_zone, made.currency, made.server_name) == ("America/Chicago", "EUR", "NT8")
    assert await access.ensure_account(organization, "playback", AccountType.TRADING, time_zone="UTC") == made
    assert await access.account_by_id(organization, made.id) == made
    assert ("importer", "account.created", "Playback") in await actions(access, first.organization)


async def test_one_name_may_be_a_trading_and_a_linked_account_in_each_environment(
    access: AccessService, first: Bootstrap
) -> None:
    organization = first.organization.id
    wanted = [(type, environment) for type in AccountType for environment in Environment]
    made = [await access.ensure_account(organization, "x", *each) for each in wanted]
    assert len({account.id for account in made}) == 4
    for each, account in zip(wanted, made, strict=True):
        assert await access.account(organization, "X", *each) == account


async def test_accounts_are_listed_by_type_then_name(access: AccessService, first: Bootstrap) -> None:
    organization = first.organization.id
    for name in ("b", "_a", "B2", "a", "é", "Z"):
        await access.ensure_account(organization, name, AccountType.LINKED)
    await access.ensure_account(organization, "b", AccountType.LINKED, Environment.TEST)
    listed = [(each.name, each.environment.value) for each in await access.accounts(organization)]
    names = [("_a", "production"), ("a", "production"), ("b", "production"), ("b", "test"), ("B2", "production")]
    assert listed == [("Sim101", "production"), *names, ("Z", "production"), ("é", "production")]


async def test_the_oldest_account_of_a_type_in_an_environment(access: AccessService, first: Bootstrap) -> None:
    organization = first.organization.id
    assert await access.oldest_account(organization, AccountType.LINKED) is None
    test = await access.ensure_account(organization, "t", AccountType.LINKED, Environment.TEST)
    oldest = await access.ensure_account(organization, "z", AccountType.LINKED)
    await access.ensure_account(organization, "a", AccountType.LINKED)
    assert await access.oldest_account(organization, AccountType.LINKED) == oldest
    assert await access.oldest_account(organization, AccountType.LINKED, Environment.TEST) == test
    assert await access.oldest_account(organization + 1, AccountType.LINKED) is None


async def test_an_account_made_by_another_process_is_found(make: Make, first: Bootstrap) -> None:
    here, elsewhere = make(), make()
    assert await here.account(first.organization.id, "later", AccountType.TRADING) is None
    made = await elsewhere.ensure_account(first.organization.id, "later", AccountType.TRADING)
    assert await here.account(first.organization.id, "LATER", AccountType.TRADING) == made


async def test_a_known_account_needs_no_database(access: AccessService, first: Bootstrap, database: Database) -> None:
    made = await linked(access, first)
    await database.stop()
    assert await access.account(first.organization.id, LINKED, AccountType.LINKED) == made
    assert await access.account_by_id(first.organization.id, made.id) == made
    with pytest.raises(Unavailable):
        await access.account(first.organization.id, "unknown", AccountType.LINKED)


@pytest.mark.parametrize(
    ("name", "settings", "field"),
    [
        ("", {}, "account"),
        (" ", {}, "account"),
        ("a\x00b", {}, "account"),
        ("\ud800", {}, "account"),
        ("x" * 257, {}, "account"),
        ("ok", {"time_zone": "Mars/Olympus"}, "time_zone"),
        ("ok", {"currency": "\n"}, "currency"),
        ("ok", {"server_name": "x" * 257}, "server_name"),
    ],
)
async def test_an_impossible_account_is_refused_and_unknown(
    access: AccessService, first: Bootstrap, name: str, settings: dict[str, str], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await access.ensure_account(first.organization.id, name, AccountType.TRADING, **settings)  # type: ignore[arg-type]
    assert caught.value.field == field
    assert await access.account(first.organization.id, name, AccountType.TRADING) is None


@pytest.mark.parametrize("account_id", [0, -1, 10**9, 2**63, -(2**70)])
async def test_an_impossible_account_id_is_unknown(access: AccessService, first: Bootstrap, account_id: int) -> None:
    assert await access.account_by_id(first.organization.id, account_id) is None


# -- sessions


async def test_a_session_is_confined_to_its_account(
    access: AccessService, first: Bootstrap, clock: ManualClock
) -> None:
    principal, account = await session_of(access, first)
    tokens = await access.issue_session(principal, account, force_refresh=False)
    opened = await access.session(tokens.token)
    assert (opened.account, opened.environment) == (account, Environment.PRODUCTION)
    assert (opened.organization, opened.credential_id) == (first.organization, first.production_key.info.id)
    assert opened.scopes == {Scope.RUN}
    assert (tokens.expires_in_s, tokens.refresh_expires_in_s) == (7 * 86_400, 30 * 86_400)
    claims = jwt.decode(tokens.token, options={"verify_signature": False})
    now_s = clock.now_us() // SECOND_US
    assert claims.pop("jti")
    assert claims == {
        "org_id": first.organization.public_id,
        "linked_account_id": LINKED,
        "environment": "production",
        "iat": now_s,
        "exp": now_s + 7 * 86_400,
    }
    assert jwt.decode(tokens.refresh_token, options={"verify_signature": False})["is_refresh"] is True


async def test_session_tokens_and_bearer_tokens_are_not_interchangeable(
    access: AccessService, first: Bootstrap
) -> None:
    principal, account = await session_of(access, first)
    tokens = await access.issue_session(principal, account, force_refresh=False)
    assert await refused(access.bearer(tokens.token)) == "invalid"
    assert await refused(access.session(first.bearer.secret)) == "invalid"
    assert await refused(access.session(tokens.refresh_token)) == "invalid"


async def test_an_unexpired_token_is_reused_unless_refreshed(make: Make, first: Bootstrap, clock: ManualClock) -> None:
    here, elsewhere = make(), make()
    principal, account = await session_of(here, first)
    one = await here.issue_session(principal, account, force_refresh=False)
    clock.advance_us(HOUR_US)
    again = await elsewhere.issue_session(principal, account, force_refresh=False)
    assert (again.token, again.refresh_token) == (one.token, one.refresh_token)
    assert again.expires_in_s == one.expires_in_s - 3600
    refreshed = await here.issue_session(principal, account, force_refresh=True)
    assert refreshed.token != one.token
    assert refreshed.expires_in_s == one.expires_in_s
    assert (await elsewhere.issue_session(principal, account, force_refresh=False)).token == refreshed.token
    for token in (one.token, refreshed.token):
        assert (await elsewhere.session(token)).account == account


async def test_concurrent_requests_get_one_session(make: Make, first: Bootstrap) -> None:
    services = [make() for _ in range(3)]
    principal, account = await session_of(services[0], first)
    issued = await asyncio.gather(
        *(services[n % 3].issue_session(principal, account, force_refresh=False) for n in range(12))
    )
    assert len({tokens.token for tokens in issued}) == 1


async def test_a_session_ends_when_it_expires_even_if_it_was_remembered(
    make: Make, first: Bootstrap, clock: ManualClock
) -> None:
    access = make(session_ttl_s=10, refresh_ttl_s=20, credential_cache_s=3600)
    principal, account = await session_of(access, first)
    tokens = await access.issue_session(principal, account, force_refresh=False)
    await access.session(tokens.token)
    clock.advance_us(10 * SECOND_US - 1)
    await access.session(tokens.token)
    clock.advance_us(1)
    assert await refused(access.session(tokens.token)) == "expired"
    assert await access.revoke_session(tokens.token) == 0
    fresh = await access.issue_session(principal, account, force_refresh=False)
    assert fresh.token != tokens.token
    assert fresh.expires_in_s == 10


async def test_a_session_is_revoked_once(make: Make, first: Bootstrap, clock: ManualClock) -> None:
    here, elsewhere = make(), make()
    principal, account = await session_of(here, first)
    tokens = await here.issue_session(principal, account, force_refresh=False)
    for process in (here, elsewhere):
        await process.session(tokens.token)
    assert [await here.revoke_session(tokens.token) for _ in range(2)] == [1, 0]
    assert await refused(here.session(tokens.token)) == "revoked"
    clock.advance_us(5 * SECOND_US)
    assert await refused(elsewhere.session(tokens.token)) == "revoked"
    assert (await here.issue_session(principal, account, force_refresh=False)).token != tokens.token
    assert await refused(here.revoke_session("garbage")) == "invalid"
    assert await refused(here.revoke_session(tokens.refresh_token)) == "invalid"


async def test_a_token_of_another_server_is_invalid(access: AccessService, first: Bootstrap) -> None:
    principal, account = await session_of(access, first)
    tokens = await access.issue_session(principal, account, force_refresh=False)
    claims = jwt.decode(tokens.token, options={"verify_signature": False})
    for forged in (
        jwt.encode(claims, b"x" * 32, algorithm="HS256"),
        jwt.encode(claims, None, algorithm="none"),
        tokens.token.rpartition(".")[0] + ".",
    ):
        assert await refused(access.session(forged)) == "invalid"


async def test_a_session_has_the_scopes_of_the_key_that_opened_it_and_never_admin(
    access: AccessService, first: Bootstrap
) -> None:
    account = await linked(access, first)
    tokens: dict[Scope, str] = {}
    for scope in (Scope.READ, Scope.ADMIN):
        key = await access.create_credential(
            first.organization.id,
            type=CredentialType.API_KEY,
            scopes=frozenset({scope}),
            environment=Environment.PRODUCTION,
        )
        principal = await access.api_key(key.secret, LINKED)
        tokens[scope] = (await access.issue_session(principal, account, force_refresh=False)).token
    assert (await access.session(tokens[Scope.READ])).scopes == {Scope.READ}
    assert (await access.session(tokens[Scope.ADMIN])).scopes == {Scope.READ, Scope.TRADE, Scope.RUN}


async def test_a_session_is_opened_only_where_the_caller_may_go(access: AccessService, first: Bootstrap) -> None:
    second = await bootstrap(access, "Second")
    production, test = await linked(access, first), await linked(access, first, Environment.TEST)
    other = await access.ensure_account(first.organization.id, "other", AccountType.LINKED)
    key = await access.api_key(first.production_key.secret)
    with pytest.raises(NotFound):
        await access.issue_session(await access.api_key(second.production_key.secret), production, force_refresh=True)
    with pytest.raises(Forbidden):
        await access.issue_session(key, test, force_refresh=True)
    with pytest.raises(InvalidInput):
        await access.issue_session(key, first.account, force_refresh=True)
    bound = await access.api_key(first.production_key.secret, LINKED)
    with pytest.raises(Forbidden):
        await access.issue_session(bound, other, force_refresh=True)


async def test_sessions_are_bounded_per_account_and_the_oldest_end(make: Make, first: Bootstrap) -> None:
    access = make(sessions_per_account=3, credential_cache_s=0)
    principal, account = await session_of(access, first)
    tokens = [(await access.issue_session(principal, account, force_refresh=True)).token for _ in range(5)]
    assert [await refused(access.session(token)) for token in tokens[:2]] == ["invalid"] * 2
    for token in tokens[2:]:
        await access.session(token)


# -- the audit trail, limits, last use


async def test_every_mutation_is_in_the_audit_trail(
    access: AccessService, first: Bootstrap, clock: ManualClock
) -> None:
    principal, account = await session_of(access, first)
    tokens = await access.issue_session(principal, account, force_refresh=False)
    await access.revoke_session(tokens.token)
    made = await access.create_credential(
        first.organization.id, type=CredentialType.BEARER, scopes=frozenset({Scope.READ}), actor="alice"
    )
    clock.advance_us(HOUR_US)
    await access.revoke_credential(first.organization.id, made.info.id, actor="bob")
    credentials = [str(first.bearer.info.id + n) for n in range(5)]
    assert await actions(access, first.organization) == [
        ("operator", "organization.created", first.organization.public_id),
        ("operator", "account.created", "Sim101"),
        *(("operator", "credential.created", each) for each in credentials),
        ("operator", "account.created", LINKED),
        ("owner", "session.issued", LINKED),
        ("owner", "session.revoked", LINKED),
        ("alice", "credential.created", str(made.info.id)),
        ("bob", "credential.revoked", str(made.info.id)),
    ]
    trail = await access.audit_trail(first.organization.id, 1)
    assert [entry.at_us for entry in trail] == [clock.now_us()]
    assert trail[0].data == {"type": "bearer", "identity": "owner", "label": ""}
    for limit in (0, -5):
        assert len(await access.audit_trail(first.organization.id, limit)) == 1
    assert len(await access.audit_trail(first.organization.id, 10**12)) == 12


async def test_what_was_refused_leaves_nothing(access: AccessService, first: Bootstrap) -> None:
    before = await actions(access, first.organization)
    with pytest.raises(Conflict):
        await access.create_credential(
            first.organization.id,
            type=CredentialType.BASIC,
            scopes=frozenset({Scope.READ}),
            username="admin",
            identity="intruder",
        )
    assert await actions(access, first.organization) == before
    assert len(await access.credentials(first.organization.id)) == 5


async def test_the_bucket_of_a_credential_empties_and_fills(make: Make, clock: ManualClock) -> None:
    access = make(buckets={"native": Bucket(rate_per_s=2, burst=1)})
    for _ in range(20):
        access.admit("crosstrade", 1)
    with pytest.raises(RateLimited) as caught:
        access.admit("crosstrade", 1)
    assert 0 < caught.value.retry_after_s <= 0.334
    access.admit("crosstrade", 2)
    access.admit("native", 1)
    with pytest.raises(RateLimited):
        access.admit("native", 1)
    clock.advance_us(SECOND_US)
    for _ in range(3):
        access.admit("crosstrade", 1)
    with pytest.raises(RateLimited):
        access.admit("crosstrade", 1)
    with pytest.raises(LookupError):
        access.admit("unknown", 1)


async def test_last_use_is_written_in_batches_and_never_goes_back(
    make: Make, first: Bootstrap, clock: ManualClock
) -> None:
    async def last_used(access: AccessService) -> list[int | None]:
        return [info.last_used_at_us for info in await access.credentials(first.organization.id)]

    access, slow = make(), make()
    await slow.bearer(first.bearer.secret)
    clock.advance_us(SECOND_US)
    await access.bearer(first.bearer.secret)
    await access.basic("admin", first.basic.secret)
    assert await last_used(access) == [None] * 5
    used_at_us = clock.now_us()
    assert await access.flush_last_used() == 2
    assert await last_used(access) == [used_at_us, None, used_at_us, None, None]
    assert await slow.flush_last_used() == 1
    assert await last_used(access) == [used_at_us, None, used_at_us, None, None]
    clock.advance_us(59 * SECOND_US)
    await access.bearer(first.bearer.secret)
    assert await access.flush_last_used() == 0
    assert await access.flush_last_used(force=True) == 1
    assert (await last_used(access))[0] == clock.now_us()
    assert await access.flush_last_used(force=True) == 0


async def test_last_use_is_kept_while_the_database_is_away(
    access: AccessService, first: Bootstrap, database: Database
) -> None:
    await access.bearer(first.bearer.secret)
    await database.stop()
    assert await access.flush_last_used(force=True) == 0
    await database.start()
    assert await access.flush_last_used(force=True) == 1


async def test_a_remembered_credential_needs_no_database_until_it_is_due(
    access: AccessService, first: Bootstrap, database: Database, clock: ManualClock
) -> None:
    await access.bearer(first.bearer.secret)
    await database.stop()
    await access.bearer(first.bearer.secret)
    clock.advance_us(5 * SECOND_US)
    with pytest.raises(Unavailable):
        await access.bearer(first.bearer.secret)


async def test_a_second_migration_does_nothing(database: Database, make: Make) -> None:
    assert await migrate(database, [("access", "gesta.access.migrations")]) == []

"""The stage of the demo is set once, found again, and set anew when its secrets are gone. The handout says it all."""

from __future__ import annotations

import shlex
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from gesta.access.model import CredentialType, Environment, Scope
from gesta.access.service import AccessService
from gesta.app.demo.handout import Handout, Runs, calls, handout, page, streams
from gesta.app.demo.stage import SECRETS_FILE, Secrets, set_stage, write_private
from gesta.kernel.errors import Unauthenticated
from gesta.kernel.json import decode_json, encode_json
from gesta.storage.migrate import migrate
from gesta.storage.sqlite import SqliteDatabase
from gesta.testing.fakes import ManualClock, SeededIds

SECRETS = Secrets(
    crosstrade_token="gst_1",
    hummingbot_username="demo",
    hummingbot_password="p'w",
    b3os_token="b3sk_1",
    refold_api_key="tk_1",
    native_token="gst_2",
)


@pytest.fixture
async def access(tmp_path: Path) -> AsyncIterator[AccessService]:
    database = SqliteDatabase(tmp_path / "test.sqlite3")
    await database.start()
    await migrate(database, [("access", "gesta.access.migrations")])
    yield AccessService(database, ManualClock(), SeededIds())
    await database.stop()


async def test_every_secret_opens_the_demo_organization_with_its_scope(access: AccessService, tmp_path: Path) -> None:
    stage = await set_stage(access, tmp_path)
    secrets = stage.secrets
    principals = [
        (await access.bearer(secrets.crosstrade_token), Scope.TRADE),
        (await access.basic(secrets.hummingbot_username, secrets.hummingbot_password), Scope.TRADE),
        (await access.bearer(secrets.b3os_token), Scope.RUN),
        (await access.bearer(secrets.native_token), Scope.ADMIN),
    ]
    for principal, scope in principals:
        assert principal.organization == stage.organization
        assert principal.allows(scope)
        assert principal.allows(Scope.READ)
    linked = await access.api_key(secrets.refold_api_key, "demo@example.com")
    assert linked.account is not None
    assert linked.account.id == stage.accounts.linked
    assert linked.environment is Environment.TEST
    trading = await access.account_by_id(stage.organization.id, stage.accounts.trading)
    assert trading is not None
    assert (trading.name, trading.time_zone) == ("Sim101", "America/Chicago")


async def test_the_second_start_finds_what_the_first_made(access: AccessService, tmp_path: Path) -> None:
    first = await set_stage(access, tmp_path)
    assert await set_stage(access, tmp_path) == first
    assert len(await access.credentials(first.organization.id)) == 5
    assert len(await access.organizations()) == 1


@pytest.mark.parametrize("damage", ["missing", "not json", "another ledger's"])
async def test_lost_secrets_are_replaced_and_the_old_ones_revoked(
    access: AccessService, tmp_path: Path, damage: str
) -> None:
    first = await set_stage(access, tmp_path)
    path = tmp_path / SECRETS_FILE
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"{" if damage == "not json" else encode_json(SECRETS))
    again = await set_stage(access, tmp_path)
    assert again.organization == first.organization
    assert again.secrets != first.secrets
    with pytest.raises(Unauthenticated):
        await access.bearer(first.secrets.native_token)
    assert (await access.basic(again.secrets.hummingbot_username, again.secrets.hummingbot_password)).identity_name
    assert await set_stage(access, tmp_path) == again
    active = [each for each in await access.credentials(first.organization.id) if each.revoked_at_us is None]
    assert len(active) == 5
    assert sum(each.type is CredentialType.BASIC for each in active) == 1


async def test_only_the_owner_can_read_the_secrets(access: AccessService, tmp_path: Path) -> None:
    stage = await set_stage(access, tmp_path)
    path = tmp_path / SECRETS_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert decode_json(path.read_bytes(), Secrets) == stage.secrets


def test_a_private_file_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    (tmp_path / "file.partial").write_text("left by a crash")
    write_private(path, b"new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_the_credentials_file_has_exactly_the_published_shape() -> None:
    given = msgspec.to_builtins(handout("http://127.0.0.1:1", SECRETS, "executor"))
    assert given == {
        "base_url": "http://127.0.0.1:1",
        "crosstrade": {"token": "gst_1", "account": "Sim101"},
        "hummingbot": {"username": "demo", "password": "p'w", "executor_id": "executor"},
        "b3os": {"token": "b3sk_1"},
        "refold": {"api_key": "tk_1", "linked_account_id": "demo@example.com"},
        "native": {"token": "gst_2"},
    }
    assert msgspec.convert(given, Handout) == handout("http://127.0.0.1:1", SECRETS, "executor")


RUNS = Runs(order_id="order", paid_id="paid", client_token="token", checkout_url="http://127.0.0.1:1/pay/test/checkout")


def test_the_page_has_calls_of_each_dialect_that_a_shell_reads_back() -> None:
    given = handout("http://127.0.0.1:1", SECRETS, "executor")
    lines = page(given, RUNS, "folder").splitlines()
    printed = [shlex.split(line) for line in lines if line.startswith("curl ")]
    assert printed == [*calls(given, RUNS).values(), *streams(given, RUNS).values()]
    assert {title.partition(":")[0] for title in calls(given, RUNS)} == {
        "CrossTrade",
        "Hummingbot",
        "B3OS",
        "Refold",
        "Gesta",
    }
    assert all(call[-1].startswith("http://127.0.0.1:1/") for call in printed)
    assert all(call.count("-d") == call.count("Content-Type: application/json") for call in printed)
    assert "http://127.0.0.1:1/pay/test/checkout" in lines
    for secret in (SECRETS.crosstrade_token, SECRETS.b3os_token, SECRETS.refold_api_key, SECRETS.native_token):
        assert any(secret in line for line in lines)


def test_without_an_executor_the_page_sums_up_and_the_file_says_so() -> None:
    given = handout("http://127.0.0.1:1", SECRETS, None)
    assert given.hummingbot.executor_id is None
    (call,) = [call for title, call in calls(given, Runs()).items() if title.startswith("Hummingbot")]
    assert call[-1] == "http://127.0.0.1:1/executors/summary"


def test_without_runs_the_page_names_none() -> None:
    given = handout("http://127.0.0.1:1", SECRETS, None)
    assert len(calls(given, Runs())) == 5
    assert len(streams(given, Runs())) == 1
    assert "None" not in page(given, Runs(), "folder")
    assert "/pay/" not in page(given, Runs(), "folder")

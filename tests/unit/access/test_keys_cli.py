"""`gesta init` and `gesta keys`: what a person sees, and what it makes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import typer
from typer.testing import CliRunner

from gesta.access.model import AccountType, Environment, Principal, Scope
from gesta.access.service import AccessService
from gesta.app.build import open_core
from gesta.app.settings import load_settings
from gesta.cli import init_command, keys_command
from gesta.kernel.errors import Conflict, InvalidInput, NotFound, Unauthenticated

T = TypeVar("T")
SECRET = re.compile(r"(gst_|b3sk_|pk_|tk_)[0-9a-f]{64}")


class Command:
    """The commands over one database file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._app = typer.Typer()
        init_command.register(self._app)
        keys_command.register(self._app)

    def __call__(self, *words: str, type_in: str | None = None) -> str:
        """Standard output. What the command raises comes through."""
        result = CliRunner().invoke(self._app, [*words, "--database", str(self.path)], input=type_in)
        if result.exception is not None:
            raise result.exception
        return result.stdout

    def ask(self, question: Callable[[AccessService], Awaitable[T]]) -> T:
        async def work() -> T:
            async with open_core(load_settings(None, {"database.url": str(self.path)}, {})) as core:
                return await question(core.access)

        return asyncio.run(work())


@pytest.fixture
def gesta(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    for name in ("GESTA_CONFIG", "GESTA_DATABASE__URL", "GESTA_ORGANIZATION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOGNAME", "alice")
    monkeypatch.chdir(tmp_path)
    return Command(tmp_path / "folder" / "gesta.sqlite3")


def test_init_prints_each_secret_whole_and_each_works(gesta: Command) -> None:
    printed = gesta("init")
    found = {match[1]: match[0] for match in SECRET.finditer(printed)}
    password = re.search(r"│ admin  (\S{26}) ", printed)
    assert sorted(found) == ["b3sk_", "gst_", "pk_", "tk_"]
    assert password is not None

    async def all_of_them(access: AccessService) -> list[Principal]:
        return [
            await access.bearer(found["gst_"]),
            await access.bearer(found["b3sk_"]),
            await access.basic("admin", password[1]),
            await access.api_key(found["pk_"]),
            await access.api_key(found["tk_"]),
        ]

    principals = gesta.ask(all_of_them)
    assert {principal.organization.name for principal in principals} == {"default"}
    assert principals[0].scopes == {Scope.ADMIN}
    assert principals[4].environment is Environment.TEST
    assert gesta.ask(lambda access: access.account(1, "Sim101", AccountType.TRADING)) is not None
    for line in printed.splitlines():
        assert len(line) <= 80 or "curl" in line
    for word in ("CrossTrade", "B3OS", "Hummingbot", "Refold", "once", "gesta serve"):
        assert word in printed
    assert f"Bearer {found['gst_']}' http://127.0.0.1:8080/ledger/executions" in printed


def test_init_refuses_a_second_run_and_changes_nothing(gesta: Command) -> None:
    gesta("init")
    with pytest.raises(Conflict, match=r"There is: default\. `gesta init --organization NAME`"):
        gesta("init")
    with pytest.raises(Conflict, match="'DEFAULT' exists already"):
        gesta("init", "--organization", "DEFAULT")
    assert len(gesta.ask(lambda access: access.organizations())) == 1
    assert len(gesta.ask(lambda access: access.credentials(1))) == 5


def test_init_adds_an_organization_that_is_named(gesta: Command) -> None:
    gesta("init", "--organization", "First")
    printed = gesta("init", "--organization", "Second")
    assert "Organization Second (org_" in printed
    assert "admin-2  " in printed
    with pytest.raises(InvalidInput, match="several organizations: First, Second"):
        gesta("keys", "list")
    assert "Credentials of Second" in gesta("keys", "list", "--organization", "second")
    with pytest.raises(NotFound, match="'Third'"):
        gesta("keys", "list", "--organization", "Third")


@pytest.mark.parametrize("words", [("list",), ("create", "--type", "bearer"), ("revoke", "1", "--yes")])
def test_keys_make_no_database(gesta: Command, words: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match="There is no database at"):
        gesta("keys", *words)
    assert not gesta.path.exists()


def test_keys_need_an_organization(gesta: Command) -> None:
    gesta.ask(lambda access: access.organizations())
    with pytest.raises(InvalidInput, match="gesta init"):
        gesta("keys", "list")


def test_create_prints_a_secret_that_works_within_its_scopes(gesta: Command) -> None:
    gesta("init")
    printed = gesta("keys", "create", "--type", "bearer", "--scope", "read", "--scope", "trade", "--label", "bot")
    match = SECRET.search(printed)
    assert match is not None
    assert "Credential 6 (bearer, read, trade)" in printed
    assert gesta.ask(lambda access: access.bearer(match[0])).scopes == {Scope.READ, Scope.TRADE}
    entry = gesta.ask(lambda access: access.audit_trail(1, 1))[0]
    assert (entry.identity, entry.action, entry.subject) == ("cli:alice", "credential.created", "6")


def test_create_may_print_the_secret_alone_and_reads_only_by_default(gesta: Command) -> None:
    gesta("init")
    secret = gesta("keys", "create", "--type", "api_key", "--environment", "test", "--quiet").removesuffix("\n")
    assert SECRET.fullmatch(secret)
    principal = gesta.ask(lambda access: access.api_key(secret))
    assert (principal.environment, principal.scopes) == (Environment.TEST, {Scope.READ})
    words = ("--type", "basic", "--username", "robot", "--identity", "robot", "-q")
    password = gesta("keys", "create", *words).strip()
    assert gesta.ask(lambda access: access.basic("robot", password)).identity_name == "robot"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--type", "basic"), "username"),
        (("--type", "api_key"), "environment"),
        (("--type", "bearer", "--username", "x"), "Basic"),
    ],
)
def test_create_refuses_what_makes_no_sense(gesta: Command, words: tuple[str, ...], message: str) -> None:
    gesta("init")
    with pytest.raises(InvalidInput, match=message):
        gesta("keys", "create", *words)


@pytest.mark.parametrize("words", [("--type", "magic"), ("--type", "bearer", "--scope", "root"), ()])
def test_create_refuses_unknown_words(gesta: Command, words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        gesta("keys", "create", *words)
    assert caught.value.code == 2


def test_list_fits_80_columns_and_shows_no_secret(gesta: Command) -> None:
    secrets = [match[0] for match in SECRET.finditer(gesta("init"))]
    label = "[bold]not markup[/bold] 日本語 " + "and quite long " * 12
    gesta("keys", "create", "--type", "basic", "--username", "u" * 128, "--scope", "admin", "--label", label)
    printed = gesta("keys", "list")
    assert max(len(line) for line in printed.splitlines()) <= 80
    assert "".join(printed.split()).count("u" * 14) >= 1
    assert "[bold]" in printed
    assert printed.count("never") == 6
    for secret in secrets:
        assert secret not in printed
        assert secret[:9] in printed


def test_revoke_asks_and_a_no_changes_nothing(gesta: Command) -> None:
    secret = next(match[0] for match in SECRET.finditer(gesta("init")))
    with pytest.raises(SystemExit) as caught:
        gesta("keys", "revoke", "1", type_in="n\n")
    assert caught.value.code == 1
    assert gesta.ask(lambda access: access.bearer(secret)).credential_id == 1
    assert "Revoked credential 1 (bearer gst_" in gesta("keys", "revoke", "1", type_in="y\n")
    with pytest.raises(Unauthenticated):
        gesta.ask(lambda access: access.bearer(secret))


def test_revoke_twice_and_unknown_ids(gesta: Command) -> None:
    gesta("init")
    assert "Revoked" in gesta("keys", "revoke", "2", "--yes")
    assert "was revoked already, at 2" in gesta("keys", "revoke", "2", "--yes")
    with pytest.raises(NotFound, match="99"):
        gesta("keys", "revoke", "99", "--yes")
    assert "b3sk_" not in gesta("keys", "list")
    assert re.search(r"b3sk_.*revoked", gesta("keys", "list", "--all"))


def test_the_commands_are_registered_with_help(gesta: Command) -> None:
    for words in (("init",), ("keys", "create"), ("keys", "list"), ("keys", "revoke")):
        result = CliRunner().invoke(gesta._app, [*words, "--help"])
        assert result.exit_code == 0
        assert "--database" in result.stdout

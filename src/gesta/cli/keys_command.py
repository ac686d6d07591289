"""`gesta keys create|list|revoke`: the credentials of an organization."""

from __future__ import annotations

import getpass
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gesta.access.model import CredentialInfo, CredentialType, Environment, NewCredential, Organization, Scope
from gesta.access.service import AccessService
from gesta.app.build import open_core
from gesta.app.settings import Settings
from gesta.cli.common import ConfigOption, DatabaseOption, err, out, run, settings_of
from gesta.kernel.errors import InvalidInput, NotFound
from gesta.kernel.times import to_datetime

WIDTH = 80
OrganizationOption = Annotated[
    str | None,
    typer.Option(
        "--organization",
        envvar="GESTA_ORGANIZATION",
        help="Name of the organization; needed when there are several.",
        show_default="the only one",
    ),
]


def register(app: typer.Typer) -> None:
    keys = typer.Typer(help="Create, list and revoke credentials.", no_args_is_help=True)
    keys.command("create")(create)
    keys.command("list")(list_keys)
    keys.command("revoke")(revoke)
    app.add_typer(keys, name="keys")


def create(
    type: Annotated[
        CredentialType,
        typer.Option(
            "--type",
            envvar="GESTA_KEYS_TYPE",
            help="bearer: CrossTrade and Gesta's own API; b3os: B3OS; basic: Hummingbot; api_key: Refold.",
        ),
    ],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(
            "--scope",
            envvar="GESTA_KEYS_SCOPE",
            help="What it may do; may be given several times. trade and run include read; admin includes all.",
            show_default="read",
        ),
    ] = None,
    label: Annotated[
        str, typer.Option("--label", envvar="GESTA_KEYS_LABEL", help="A note for yourself.", show_default="none")
    ] = "",
    identity: Annotated[
        str, typer.Option("--identity", envvar="GESTA_KEYS_IDENTITY", help="Who uses it; the audit trail names them.")
    ] = "owner",
    username: Annotated[
        str | None, typer.Option("--username", envvar="GESTA_KEYS_USERNAME", help="For --type basic.")
    ] = None,
    environment: Annotated[
        Environment | None, typer.Option("--environment", envvar="GESTA_KEYS_ENVIRONMENT", help="For --type api_key.")
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", envvar="GESTA_KEYS_QUIET", help="Print the secret only, for scripts.")
    ] = False,
    organization: OrganizationOption = None,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    """Make a credential and print its secret. It is stored hashed and cannot be shown again."""
    settings = settings_of(config, database)

    async def work() -> NewCredential:
        async with _open(settings) as access:
            owner = await _organization(access, organization)
            return await access.create_credential(
                owner.id,
                type=type,
                scopes=frozenset(scope or [Scope.READ]),
                label=label,
                identity=identity,
                username=username,
                environment=environment,
                actor=actor(),
            )

    made = run(work())
    if quiet:
        out.print(made.secret, markup=False)
        return
    out.print(Text(f"Credential {made.info.id} ({made.info.type}, {scopes_text(made.info.scopes)})", style="bold"))
    if made.username is not None:
        out.print(Text(f"  username  {made.username}"))
    out.print(Text.assemble("  secret    ", (made.secret, "cyan")))
    out.print(f"  send it   {_how(made.info.type)}", markup=False)
    out.print("The secret is shown this once. Keep it now.")


def list_keys(
    all_keys: Annotated[bool, typer.Option("--all", envvar="GESTA_KEYS_ALL", help="Revoked ones too.")] = False,
    organization: OrganizationOption = None,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    """List credentials: what they may do and when they were last used. Never a secret."""
    settings = settings_of(config, database)

    async def work() -> tuple[Organization, list[CredentialInfo]]:
        async with _open(settings) as access:
            owner = await _organization(access, organization)
            return owner, await access.credentials(owner.id)

    owner, infos = run(work())
    shown = [info for info in infos if all_keys or info.revoked_at_us is None]
    hidden = len(infos) - len(shown)
    Console(width=WIDTH, highlight=False, file=out.file, no_color=out.no_color).print(_table(owner, shown))
    if hidden:
        err.print(f"{hidden} revoked not shown; --all shows them.")


def revoke(
    credential: Annotated[int, typer.Argument(metavar="ID", help="As `gesta keys list` shows it.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", envvar="GESTA_KEYS_YES", help="Do not ask.")] = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    """Revoke a credential and the sessions it opened. A running server refuses it within seconds."""
    settings = settings_of(config, database)

    async def find() -> CredentialInfo:
        async with _open(settings) as access:
            for owner in await access.organizations():
                for info in await access.credentials(owner.id):
                    if info.id == credential:
                        return info
        raise NotFound(f"No credential has the id {credential}; `gesta keys list` shows them.", what="credential")

    async def work(info: CredentialInfo) -> None:
        async with _open(settings) as access:
            await access.revoke_credential(info.organization, info.id, actor=actor())

    info = run(find())
    name = f"credential {info.id} ({info.type} {info.hint}{', ' + info.label if info.label else ''})"
    if info.revoked_at_us is not None:
        out.print(f"{name} was revoked already, at {_when(info.revoked_at_us)}.", markup=False)
        return
    if not yes:
        typer.confirm(f"Revoke {name}?", abort=True, err=True)
    run(work(info))
    out.print(f"Revoked {name}.", markup=False)


def actor() -> str:
    """Who the audit trail names for what is done at the command line."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli"


def scopes_text(scopes: frozenset[Scope]) -> str:
    return ", ".join(scope.value for scope in Scope if scope in scopes)


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[AccessService]:
    """Access over an existing database: a mistyped path makes no new one."""
    if not settings.database.is_postgres and not settings.database.sqlite_path.exists():
        raise InvalidInput(
            f"There is no database at {settings.database.sqlite_path}; give --database or --config, or make one with "
            "`gesta init`.",
            where="arguments",
        )
    async with open_core(settings) as core:
        yield core.access


async def _organization(access: AccessService, name: str | None) -> Organization:
    known = await access.organizations()
    if not known:
        raise InvalidInput("There is no organization yet; `gesta init` makes the first.", where="arguments")
    if name is None and len(known) == 1:
        return known[0]
    names = ", ".join(each.name for each in known)
    if name is None:
        raise InvalidInput(f"There are several organizations: {names}. Give --organization.", where="arguments")
    for each in known:
        if name.casefold() in (each.name.casefold(), each.public_id):
            return each
    raise NotFound(f"No organization is called {name!r}. There is: {names}.", what="organization")


def _how(type: CredentialType) -> str:
    if type is CredentialType.BASIC:
        return "as HTTP Basic: curl -u USERNAME:SECRET …"
    if type is CredentialType.API_KEY:
        return "as the header x-api-key, with linked_account_id beside it"
    return "as the header Authorization: Bearer SECRET"


def _table(owner: Organization, infos: Sequence[CredentialInfo]) -> Table:
    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title=Text(f"Credentials of {owner.name}"),
        title_justify="left",
        caption=None if infos else Text("none"),
    )
    table.add_column("ID", justify="right", no_wrap=True)
    for heading in ("Type", "Begins with"):
        table.add_column(heading, overflow="fold")
    table.add_column("Scopes", overflow="fold")
    table.add_column("Label", overflow="fold")
    table.add_column("Last used, UTC", no_wrap=True)
    for info in infos:
        type = f"{info.type} {info.environment}" if info.environment else str(info.type)
        used = "never" if info.last_used_at_us is None else _when(info.last_used_at_us)
        table.add_row(
            str(info.id),
            Text(type),
            Text(info.hint if info.type is CredentialType.BASIC else f"{info.hint}…"),
            Text(scopes_text(info.scopes)),
            Text(info.label),
            "revoked" if info.revoked_at_us is not None else used,
            style="dim" if info.revoked_at_us is not None else None,
        )
    return table


def _when(at_us: int) -> str:
    return f"{to_datetime(at_us):%Y-%m-%d %H:%M}"

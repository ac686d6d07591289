"""`gesta init`: the first organization, and its credentials, shown once."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.box import ROUNDED
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from gesta.access.bootstrap import Bootstrap, bootstrap
from gesta.access.model import NewCredential
from gesta.app.build import open_core
from gesta.app.settings import Settings
from gesta.cli.common import ConfigOption, DatabaseOption, out, run, settings_of
from gesta.cli.keys_command import actor, scopes_text
from gesta.kernel.errors import Conflict

DEFAULT_NAME = "default"
WIDTH = 80


def register(app: typer.Typer) -> None:
    app.command("init")(init)


def init(
    organization: Annotated[
        str | None,
        typer.Option(
            "--organization",
            envvar="GESTA_INIT_ORGANIZATION",
            help="Name of the organization to make. Needed for a second one.",
            show_default=DEFAULT_NAME,
        ),
    ] = None,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    """Make the first organization, with the account Sim101 and a credential for every dialect, and print the secrets.
    They are stored hashed and cannot be shown again. A second run is refused unless it names another organization."""
    settings = settings_of(config, database)
    made = run(_init(settings, organization))
    show(made, f"http://{_host(settings)}:{settings.server.port}")


async def _init(settings: Settings, name: str | None) -> Bootstrap:
    async with open_core(settings) as core:
        try:
            return await bootstrap(core.access, name or DEFAULT_NAME, only_first=name is None, actor=actor())
        except Conflict as error:
            names = ", ".join(each.name for each in await core.access.organizations())
            raise Conflict(
                f"{error.message} There is: {names}. `gesta init --organization NAME` makes another one; "
                "`gesta keys create` makes more credentials."
            ) from None


def show(made: Bootstrap, base_url: str) -> None:
    """Print the secrets, each whole on a line of its own so that it can be copied, and the next step."""
    table = Table(box=ROUNDED, show_header=False, show_lines=True, width=WIDTH)
    table.add_column(no_wrap=True)
    for purpose, credential in (
        ("CrossTrade and Gesta's own API: bearer token", made.bearer),
        ("B3OS: bearer token", made.b3os),
        ("Hummingbot: Basic username and password", made.basic),
        ("Refold, production: x-api-key", made.production_key),
        ("Refold, test: x-api-key", made.test_key),
    ):
        table.add_row(_cell(purpose, credential))
    out.print(Text(f"Organization {made.organization.name} ({made.organization.public_id})", style="bold"))
    out.print(Text(f"Trading account {made.account.name}\n"))
    # Not as wide as the terminal: in a narrow one a line may wrap, but no secret is cut.
    console = Console(width=WIDTH, highlight=False, file=out.file, no_color=out.no_color)
    console.print(table)
    out.print("Shown this once: keep them now. `gesta keys create` makes others.\n")
    out.print("Next: start the server, then ask it something.", style="bold")
    out.print("  gesta serve", markup=False)
    out.print(f"  curl -H 'Authorization: Bearer {made.bearer.secret}' {base_url}/ledger/executions", markup=False)


def _cell(purpose: str, credential: NewCredential) -> Group:
    secret = credential.secret if credential.username is None else f"{credential.username}  {credential.secret}"
    heading = Text.assemble((purpose, "bold"), (f"  [{scopes_text(credential.info.scopes)}]", "dim"))
    return Group(heading, Text(secret, style="cyan"))


def _host(settings: Settings) -> str:
    """Where a client on this machine reaches the server."""
    host = settings.server.host
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 — compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host

"""`gesta workflows`: check, publish, find and compare workflows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gesta.cli.common import err, run_listed
from gesta.cli.connection import JsonOption, TokenOption, UrlOption, WatchOption, said, server
from gesta.cli.tables import epoch_ms, is_wide, listing, print_json, screen, short, show, when
from gesta.cli.workflow_files import checked, tell_problems
from gesta.client import ApiError, Gesta, NotFound
from gesta.kernel.errors import InvalidInput
from gesta.workflows.forms.reading import parse_definition
from gesta.workflows.graph.definition import Definition
from gesta.workflows.graph.diff import diff as compare

SEARCHED = 1000
_SHORTEST_PREFIX = 4
_STYLES = {"active": "green", "paused": "yellow", "draft": "dim", "archived": "dim"}
_DIFF_STYLES = {"+": "green", "-": "red", "~": "yellow"}

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="Its file, YAML or JSON; - is standard input.")]
WorkflowArgument = Annotated[
    str, typer.Argument(metavar="WORKFLOW", help="The workflow: its alias, its id, or the beginning of it.")
]
LimitOption = Annotated[
    int, typer.Option("--limit", "-n", envvar="GESTA_WORKFLOWS_LIMIT", help="So many of the newest.", min=1)
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Workflows, newest first: what runs are started from.", invoke_without_command=True)
    group.callback()(workflows)
    group.command("list")(list_workflows)
    group.command("show")(show_workflow)
    group.command("validate")(validate)
    group.command("publish")(publish)
    group.command("versions")(versions)
    group.command("diff")(diff)
    group.command("hook-secret")(hook_secret)
    app.add_typer(group, name="workflows")


def workflows(context: typer.Context) -> None:
    run_listed(context)


def list_workflows(
    search: Annotated[
        str | None,
        typer.Option("--search", envvar="GESTA_WORKFLOWS_SEARCH", help="Text in the name.", show_default="none"),
    ] = None,
    limit: LimitOption = 20,
    json: JsonOption = False,
    watch: WatchOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Workflows, newest first."""
    with server(url, token) as gesta:
        show(lambda: list(gesta.workflows.list(limit=limit, **said(search=search))), table_of, json=json, watch=watch)


def table_of(rows: Sequence[dict[str, Any]]) -> Table:
    wide = is_wide()
    empty = "" if rows else "No workflow. `gesta workflows publish FILE` makes one."
    table = listing("ID", "Name", "Alias", "Status", "Live", "Saved", fold=("Name", "Alias"), empty=empty)
    for row in rows:
        live = row["published_version"]
        newest = row["newest_version"]
        shown = "–" if live is None else f"{live}" if live == newest else f"{live} of {newest}"
        table.add_row(
            Text(short(row["id"], wide=wide)),
            Text(row["name"]),
            Text(row["alias"]),
            Text(row["status"], style=_STYLES.get(row["status"], "")),
            Text(shown),
            Text(when(epoch_ms(row["updated_at"]))),
        )
    return table


def show_workflow(
    workflow: WorkflowArgument,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """One workflow: how it stands, what starts it, its nodes, its newest runs."""
    with server(url, token) as gesta:
        row = found(gesta, workflow)
        wanted = "newest" if row["published_version"] is None else "published"
        version = gesta.workflows.version(row["id"], wanted)
        runs = list(gesta.runs.list(limit=5, workflow_id=row["id"]))
    if json:
        print_json({"workflow": row, "version": version, "runs": runs})
    else:
        screen().print(whole(row, version, runs))


def whole(row: dict[str, Any], version: dict[str, Any], runs: Sequence[dict[str, Any]]) -> RenderableType:
    head = Text.assemble((row["status"].capitalize(), _STYLES.get(row["status"], "")), f": {row['name']}")
    head.append(f" ({row['alias']})" if row["alias"] else "")
    live = row["published_version"]
    facts = [
        f"Workflow {row['id']}",
        _published(live, row["newest_version"]),
        f"trigger: {version['trigger']}",
    ]
    if version["price"]:
        facts.append(f"price: {version['price']['amount']} {version['price']['currency']}")
    parts: list[RenderableType] = [head, *(Text(fact, style="dim") for fact in facts)]
    nodes = listing("Node", "Type", "Name", fold=("Node", "Name"))
    definition = parse_definition(version["definition"])
    scopes = {node.id: node.scope for node in definition.nodes}
    for node in definition.nodes:
        depth, scope = 0, node.scope
        while scope and depth < 10:
            depth, scope = depth + 1, scopes.get(scope, "")
        nodes.add_row(Text("  " * depth + node.id), Text(node.type.value), Text(node.name))
    parts.append(nodes)
    if runs:
        table = listing("Run", "Time", "Status", fold=("Time",))
        for run in runs:
            table.add_row(Text(run["id"]), Text(when(epoch_ms(run["created_at"]))), Text(run["status"]))
        parts.append(table)
    return Group(*parts)


def _published(live: int | None, newest: int) -> str:
    if live is None:
        return f"never published; version {newest} is the newest"
    return f"version {live} is published" + ("" if live == newest else f", {newest} the newest")


def validate(file: FileArgument, json: JsonOption = False) -> None:
    """Check a workflow's file, without a server: everything that is wrong is told."""
    _, definition, header = checked(file)
    if json:
        shown = {"is_valid": True, "form": definition.source, "name": header.name, "nodes": len(definition.nodes)}
        print_json(shown)
        return
    name = header.name or str(file)
    nodes, trigger = len(definition.nodes), definition.trigger.kind.value
    screen().print(Text(f"Valid: {name}, {nodes} nodes, {definition.source} form, started by {_started_by(trigger)}."))


def _started_by(trigger: str) -> str:
    return {"manual": "a call", "event": "an event", "schedule": "a schedule", "webhook": "a webhook"}[trigger]


def publish(
    file: FileArgument,
    workflow: Annotated[
        str | None,
        typer.Option(
            "--workflow",
            envvar="GESTA_WORKFLOWS_WORKFLOW",
            help="The workflow to save a new version of, by alias or id.",
            show_default="the one with the file's alias, else a new one",
        ),
    ] = None,
    alias: Annotated[
        str | None,
        typer.Option(
            "--alias", envvar="GESTA_WORKFLOWS_ALIAS", help="Its alias.", show_default="the file's own, if it has one"
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", envvar="GESTA_WORKFLOWS_NAME", help="Its name.", show_default="the file's own"),
    ] = None,
    draft: Annotated[
        bool, typer.Option("--draft", envvar="GESTA_WORKFLOWS_DRAFT", help="Save it only; what runs stays published.")
    ] = False,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Save a file as a new workflow, or as a new version of one, and publish it."""
    text, _, header = checked(file)
    words = said(alias=alias, name=name)
    wanted = workflow or alias or header.alias or None
    with server(url, token) as gesta:
        try:
            known = None if wanted is None else _known(gesta, wanted, must_be=workflow is not None)
            if known is None:
                row = gesta.workflows.create(text, publish=not draft, **words)
            else:
                row = gesta.workflows.save(known["id"], text, publish=not draft, **words)
        except ApiError as error:
            if error.problem.get("problems"):
                tell_problems(str(file), error.message, error.problem["problems"])
                raise typer.Exit(2) from None
            raise
    if json:
        print_json(row)
        return
    did = "Saved" if draft else "Published"
    screen().print(Text(f"{did}: {row['name']}, version {row['newest_version']}."))
    screen().print(Text(f"Workflow {row['id']}", style="dim"))
    word = row["alias"] or row["id"]
    if not draft:
        screen().print(Text(f"`gesta runs start {word} --wait` starts it.", style="dim"))


def _known(gesta: Gesta, word: str, *, must_be: bool) -> dict[str, Any] | None:
    try:
        return gesta.workflows.get(word)
    except NotFound:
        if must_be:
            raise
        return None


def versions(
    workflow: WorkflowArgument,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """The versions of a workflow, newest first."""
    with server(url, token) as gesta:
        row = found(gesta, workflow)
        rows = gesta.workflows.versions(row["id"])
    if json:
        print_json(rows)
        return
    table = listing("Version", "Saved", "Nodes", "Trigger", "Form", "Published", right=("Version", "Nodes"))
    for each in rows:
        is_live = each["version"] == row["published_version"]
        published = "live" if is_live else when(epoch_ms(each["published_at"])) if each["published_at"] else "–"
        table.add_row(
            str(each["version"]),
            when(epoch_ms(each["created_at"])),
            str(each["nodes"]),
            each["trigger"],
            each["form"],
            Text(published, style="green" if is_live else ""),
        )
    screen().print(table)


def hook_secret(
    workflow: WorkflowArgument,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Make a new secret of a workflow's inbound webhook; the one before is void."""
    with server(url, token) as gesta:
        row = found(gesta, workflow)
        secret, path = gesta.workflows.new_hook_secret(row["id"]), f"/ledger/hooks/{row['id']}"
    if json:
        print_json({"secret": secret, "path": path})
        return
    # Alone on standard output, so that a script can keep it.
    print(secret)
    err.print(Text(f"It is shown this once. Sign with it, or send it as x-webhook-secret: POST {path}", style="dim"))


def diff(
    before: Annotated[
        str, typer.Argument(metavar="A", help="A file, a workflow (what is published), or one at a version: greet@2.")
    ],
    after: Annotated[
        str | None,
        typer.Argument(metavar="[B]", help="Another.", show_default="the newest version of A", envvar="GESTA_DIFF_B"),
    ] = None,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """What is different between two versions, two workflows, or a file and what is published."""
    if after is None and Path(before).is_file():
        raise InvalidInput(f"Compare {before} with what? Give a workflow, or another file.", where="arguments")
    other = f"{before.partition('@')[0]}@newest" if after is None else after
    found_ = compare(_definition(before, url, token), _definition(other, url, token))
    if json:
        print_json({"is_empty": found_.is_empty, "lines": list(found_.lines())})
        return
    if found_.is_empty:
        screen().print(Text("No difference."))
    for line in found_.lines():
        screen().print(Text(line, style=_DIFF_STYLES.get(line[:1], "")), soft_wrap=True)


def _definition(word: str, url: str | None, token: str | None) -> Definition:
    """Of a file, else of a workflow."""
    path = Path(word)
    if word == "-" or path.is_file():
        return checked(path)[1]
    name, _, version = word.partition("@")
    with server(url, token) as gesta:
        row = found(gesta, name)
        wanted = version or ("newest" if row["published_version"] is None else "published")
        return parse_definition(gesta.workflows.version(row["id"], wanted)["definition"])


def found(gesta: Gesta, text: str) -> dict[str, Any]:
    """The workflow of an alias, an id, or the beginning of one. Raises InvalidInput where several begin so."""
    try:
        return gesta.workflows.get(text)
    except NotFound:
        rows = []
        if len(text) >= _SHORTEST_PREFIX:
            rows = [row for row in gesta.workflows.list(limit=SEARCHED) if str(row["id"]).startswith(text)]
        if not rows:
            raise
    if len(rows) > 1:
        ids = ", ".join(str(row["id"]) for row in rows[:5])
        raise InvalidInput(f"Several begin with {text}: {ids}.", where="arguments")
    return rows[0]

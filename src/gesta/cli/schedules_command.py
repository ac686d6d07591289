"""`gesta schedules`: when workflows are started by themselves."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gesta.cli.common import run_listed
from gesta.cli.connection import JsonOption, TokenOption, UrlOption, WatchOption, said, server
from gesta.cli.tables import epoch_ms, is_wide, listing, print_json, screen, short, show, when
from gesta.cli.workflow_files import payload_of
from gesta.cli.workflows_command import WorkflowArgument, found
from gesta.client import Gesta, NotFound
from gesta.kernel.errors import InvalidInput

_SHORTEST_PREFIX = 4


class CatchUp(enum.StrEnum):
    """What becomes of moments that passed while no server ran."""

    SKIP = "skip"
    ONE = "one"
    ALL = "all"


IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The schedule: its id, or the beginning of it.")]


def _option(flag: str, meaning: str, **more: Any) -> Any:
    variable = "GESTA_SCHEDULES_" + flag.removeprefix("--").replace("-", "_").upper()
    return typer.Option(flag, envvar=variable, help=meaning, **{"show_default": "none", **more})


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Schedules, newest first: when workflows start.", invoke_without_command=True)
    group.callback()(schedules)
    group.command("list")(list_schedules)
    group.command("create")(create)
    group.command("pause")(pause)
    group.command("resume")(resume)
    group.command("delete")(delete)
    app.add_typer(group, name="schedules")


def schedules(context: typer.Context) -> None:
    run_listed(context)


def list_schedules(
    workflow: Annotated[str | None, _option("--workflow", "Only of this one, by alias or id.")] = None,
    json: JsonOption = False,
    watch: WatchOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Schedules, newest first, with those of workflows' own triggers."""
    with server(url, token) as gesta:

        def fetch() -> list[dict[str, Any]]:
            return list(gesta.schedules.list(workflow=workflow))

        def draw(rows: Sequence[dict[str, Any]]) -> Table:
            return table_of(rows, _names(gesta, rows))

        show(fetch, draw, json=json, watch=watch)


def _names(gesta: Gesta, rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    names: dict[str, str] = {}
    for id in {row["workflow_id"] for row in rows}:
        try:
            row = gesta.workflows.get(id)
            names[id] = row["alias"] or row["name"]
        except NotFound:
            names[id] = id
    return names


def table_of(rows: Sequence[dict[str, Any]], names: dict[str, str]) -> Table:
    wide = is_wide()
    empty = "" if rows else "No schedule. `gesta schedules create WORKFLOW --cron …` makes one."
    table = listing("ID", "Workflow", "When", "Next", "Last", fold=("Workflow", "When"), empty=empty)
    for row in rows:
        last = when(epoch_ms(row["last_at"])) if row["last_at"] else "–"
        upcoming = Text("paused", style="yellow") if row["is_paused"] else Text(_next(row))
        table.add_row(
            Text(short(row["id"], wide=wide)),
            Text(names.get(row["workflow_id"], row["workflow_id"])),
            Text(timing(row)),
            upcoming,
            Text(last),
        )
    return table


def _next(row: dict[str, Any]) -> str:
    return when(epoch_ms(row["next_at"])) if row["next_at"] else "over"


def timing(row: dict[str, Any]) -> str:
    """`0 9 * * 1-5 Europe/Berlin`, `every 300 s`, `at 2026-03-10 …`."""
    if row["cron"]:
        return f"{row['cron']} {row['timezone']}"
    return f"every {row['every_s']:g} s" if row["every_s"] else f"at {str(row['at'])[:19].replace('T', ' ')} UTC"


def create(
    workflow: WorkflowArgument,
    cron: Annotated[str | None, _option("--cron", "Five fields: '0 9 * * 1-5' is 9 o'clock on weekdays.")] = None,
    every: Annotated[float | None, _option("--every", "Every so many seconds.", metavar="S", min=1)] = None,
    at: Annotated[str | None, _option("--at", "Once, at a time: 2026-12-24T18:00:00Z.", metavar="TIME")] = None,
    timezone: Annotated[
        str, _option("--timezone", "Of --cron: Europe/Berlin, America/Chicago …", show_default=True)
    ] = "UTC",
    input: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            envvar="GESTA_SCHEDULES_INPUT",
            help="The payload: a JSON file, - for standard input, or JSON itself.",
            show_default="null",
        ),
    ] = None,
    name: Annotated[str | None, _option("--name", "A word about it.")] = None,
    catch_up: Annotated[
        CatchUp,
        _option("--catch-up", "Moments that pass while no server runs: none, once for all, each.", show_default=True),
    ] = CatchUp.ONE,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Start a workflow at moments: by --cron, --every or --at."""
    if sum(each is not None for each in (cron, every, at)) != 1:
        raise InvalidInput("Give exactly one of --cron, --every and --at.", where="arguments")
    terms = said(cron=cron, every_s=every, at=at, name=name, input=payload_of(input))
    with server(url, token) as gesta:
        row = found(gesta, workflow)
        made = gesta.schedules.create(row["id"], timezone=timezone, catch_up=catch_up.value, **terms)
    if json:
        print_json(made)
        return
    screen().print(Text(f"{row['name']} starts {timing(made)}, next {_next(made)}."))
    if row["published_version"] is None:
        screen().print(Text("It is not published: until it is, nothing starts.", style="yellow"))
    screen().print(Text(f"Schedule {made['id']}", style="dim"))


def pause(schedule: IdArgument, json: JsonOption = False, url: UrlOption = None, token: TokenOption = None) -> None:
    """Pause a schedule; what passes meanwhile is not caught up with."""
    with server(url, token) as gesta:
        row = gesta.schedules.pause(_found(gesta, schedule))
    _tell(row, json)


def resume(schedule: IdArgument, json: JsonOption = False, url: UrlOption = None, token: TokenOption = None) -> None:
    """Let a schedule go on."""
    with server(url, token) as gesta:
        row = gesta.schedules.resume(_found(gesta, schedule))
    _tell(row, json)


def delete(schedule: IdArgument, url: UrlOption = None, token: TokenOption = None) -> None:
    """Delete a schedule."""
    with server(url, token) as gesta:
        identifier = _found(gesta, schedule)
        gesta.schedules.delete(identifier)
    screen().print(Text(f"Schedule {identifier} is gone."))


def _tell(row: dict[str, Any], json: bool) -> None:
    if json:
        print_json(row)
    else:
        stands = "is paused" if row["is_paused"] else f"goes on, next {_next(row)}"
        screen().print(Text(f"Schedule {row['id']} {stands}."))


def _found(gesta: Gesta, text: str) -> str:
    """The id of a schedule, from it or from its beginning. Raises InvalidInput, NotFound."""
    ids = [str(row["id"]) for row in gesta.schedules.list()]
    if text in ids:
        return text
    matching = [id for id in ids if len(text) >= _SHORTEST_PREFIX and id.startswith(text)]
    if len(matching) > 1:
        raise InvalidInput(f"Several begin with {text}: {', '.join(matching[:5])}.", where="arguments")
    if not matching:
        raise InvalidInput(f"There is no schedule {text[:128]}; `gesta schedules` lists them.", where="arguments")
    return matching[0]

"""`gesta runs`: start, watch, stop and repeat runs of workflows; `run_views` prints them."""

from __future__ import annotations

import enum
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from gesta.cli.common import err, run_listed
from gesta.cli.connection import (
    CALL_AT_FAULT,
    SEARCHED_ROWS,
    AccountOption,
    JsonOption,
    ReadAccountOption,
    TokenOption,
    UrlOption,
    WatchOption,
    said,
    server,
)
from gesta.cli.run_views import line_of, sentence, table_of, tree_of
from gesta.cli.run_waiting import FIRST_PAUSE_S, OVER, waited
from gesta.cli.tables import REFRESH_S, print_json, screen, show
from gesta.cli.workflow_files import checked, payload_of, text_of
from gesta.client import UNSET, ClientError, Gesta, NotFound, RateLimited, Unavailable, Unreachable
from gesta.kernel.errors import InvalidInput

_ACTIVE = ("awaiting_payment", "paid", "queued", "running", "waiting", "stopping")
_BAD = ("failed", "timed_out")
_STOP_S = 5.0
_SHORTEST_PREFIX = 4


class Wanted(enum.StrEnum):
    """Which runs: those of a status, those that go on, those that are over."""

    ACTIVE = "active"
    OVER = "over"
    AWAITING_PAYMENT = "awaiting_payment"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The run: its id, or the beginning of it.")]
InputOption = Annotated[
    str | None,
    typer.Option(
        "--input",
        "-i",
        envvar="GESTA_RUNS_INPUT",
        help="The payload: a JSON file, - for standard input, or JSON itself.",
        show_default="null",
    ),
]
WaitFlag = Annotated[
    bool, typer.Option("--wait", envvar="GESTA_RUNS_WAIT", help="Wait until it is over, and tell how it went.")
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout", envvar="GESTA_RUNS_TIMEOUT", help="Seconds that --wait waits.", min=0, show_default="no end"
    ),
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Runs of workflows, newest first.", invoke_without_command=True)
    group.callback()(runs)
    group.command("list")(list_runs)
    group.command("start")(start)
    group.command("show")(show_run)
    group.command("logs")(logs)
    group.command("stop")(stop)
    group.command("retry")(retry)
    group.command("rerun")(rerun)
    group.command("resume")(resume)
    app.add_typer(group, name="runs")


def runs(context: typer.Context) -> None:
    run_listed(context)


def list_runs(
    workflow: Annotated[
        str | None,
        typer.Option(
            "--workflow", envvar="GESTA_RUNS_WORKFLOW", help="Only of this one, by alias or id.", show_default="any"
        ),
    ] = None,
    status: Annotated[
        Wanted | None,
        typer.Option(
            "--status",
            envvar="GESTA_RUNS_STATUS",
            help="Only these; active and over are several statuses.",
            show_default="any",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", envvar="GESTA_RUNS_LIMIT", help="So many of the newest.", min=1)
    ] = 20,
    account: ReadAccountOption = None,
    json: JsonOption = False,
    watch: WatchOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Runs, newest first."""
    groups = {Wanted.ACTIVE: _ACTIVE, Wanted.OVER: OVER}
    statuses = None if status is None else groups.get(status, (status.value,))
    with server(url, token) as gesta:
        id = None if workflow is None else gesta.workflows.get(workflow)["id"]
        filters = said(workflow_id=id, status=statuses, account=account)
        show(lambda: list(gesta.runs.list(limit=limit, **filters)), table_of, json=json, watch=watch)


def start(
    workflow: Annotated[
        str | None,
        typer.Argument(
            metavar="[WORKFLOW]",
            help="The workflow, by alias or id; or give --file.",
            show_default="none",
            envvar="GESTA_RUNS_START",
        ),
    ] = None,
    input: InputOption = None,
    wait: WaitFlag = False,
    timeout: TimeoutOption = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            envvar="GESTA_RUNS_FILE",
            help="A workflow's file, run without being saved.",
            show_default="none",
        ),
    ] = None,
    version: Annotated[
        int | None,
        typer.Option(
            "--version", envvar="GESTA_RUNS_VERSION", help="Which version.", min=1, show_default="the published one"
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            envvar="GESTA_RUNS_KEY",
            help="Idempotency key: the same key starts one run.",
            show_default="none",
        ),
    ] = None,
    account: AccountOption = None,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Start a run, and tell its id; with --wait, follow it to its end."""
    if (workflow is None) == (file is None):
        raise InvalidInput("Give a workflow, or --file; `gesta workflows` lists them.", where="arguments")
    payload = payload_of(input)
    definition = None
    if file is not None:
        definition = checked(file)[0] if str(file) != "-" else text_of(file)
    with server(url, token) as gesta:
        began = gesta.runs.start(
            workflow, payload, definition=definition, key=key, **said(version=version, account=account)
        )
        _follow(gesta, began, wait, timeout, json)


def _follow(gesta: Gesta, began: dict[str, Any], wait: bool, timeout: float | None, json: bool) -> None:
    """What came of a run that was started, now or at its end."""
    run = began["run"]
    if began["checkout_url"]:
        err.print(Text(f"It is to be paid first: {began['checkout_url']}"), soft_wrap=True)
    if wait:
        run = waited(gesta, run, timeout)
    _tell(run, json)


def show_run(
    run: IdArgument,
    rounds: Annotated[
        int,
        typer.Option("--rounds", envvar="GESTA_RUNS_ROUNDS", help="Rounds shown of each loop.", min=0, max=1000),
    ] = 10,
    payloads: Annotated[
        bool, typer.Option("--payloads", envvar="GESTA_RUNS_PAYLOADS", help="Show what nodes were given and gave.")
    ] = False,
    json: JsonOption = False,
    watch: WatchOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """One run as a tree: its nodes with their times, the rounds of loops, what it waits for."""
    with server(url, token) as gesta:
        identifier = _found(gesta, run)

        def fetch() -> dict[str, Any]:
            return gesta.runs.get(identifier, rounds=rounds, payloads=json or payloads)

        show(fetch, lambda shown: tree_of(shown, payloads=payloads), json=json, watch=watch)


def logs(
    run: IdArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", envvar="GESTA_RUNS_FOLLOW", help="Go on until it is over, or Ctrl-C.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", envvar="GESTA_JSON", help="Print the server's objects, one on each line.")
    ] = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """The timeline of a run and what it logged, oldest first."""
    with server(url, token) as gesta:
        identifier = _found(gesta, run)
        try:
            for event in _lines(gesta, identifier, follow):
                if json:
                    print_json(event, compact=True)
                else:
                    screen().print(line_of(event), soft_wrap=True)
        except KeyboardInterrupt:
            return


def _lines(gesta: Gesta, identifier: str, follow: bool) -> Iterator[dict[str, Any]]:
    """Its events; with `follow`, those that come until it is over. A server that is away for a moment is waited for."""
    after, is_first, pause_s = 0, True, FIRST_PAUSE_S
    while True:
        try:
            # How it stands first: what it does before it ends is then in what is read after.
            is_over = gesta.executions.get(identifier)["status"] in OVER
            for event in gesta.runs.events(identifier, after=after):
                after = int(event["seq"])
                yield event
            if is_over or not follow:
                return
        except ClientError as error:
            if is_first or not isinstance(error, (Unreachable, Unavailable, RateLimited)):
                raise
        is_first = False
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, REFRESH_S)


def stop(
    run: IdArgument,
    wait: Annotated[
        float, typer.Option("--wait", envvar="GESTA_RUNS_STOP_WAIT", help="Seconds to wait until it is over.", min=0)
    ] = _STOP_S,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Stop a run, and tell how it ended."""
    with server(url, token) as gesta:
        identifier = _found(gesta, run)
        gesta.runs.stop(identifier)
        ended = gesta.runs.wait(identifier, timeout_s=wait)
    _tell(ended, json, fails=False)


def retry(
    run: IdArgument,
    wait: WaitFlag = False,
    timeout: TimeoutOption = None,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Go on with the same run from where it failed: what succeeded is not done again."""
    with server(url, token) as gesta:
        row = gesta.runs.retry(_found(gesta, run))
        if wait:
            row = waited(gesta, row, timeout)
    _tell(row, json)


def rerun(
    run: IdArgument,
    input: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            envvar="GESTA_RUNS_INPUT",
            help="Another payload: a JSON file, - for standard input, or JSON itself.",
            show_default="the same",
        ),
    ] = None,
    from_node: Annotated[
        str | None,
        typer.Option(
            "--from",
            envvar="GESTA_RUNS_FROM",
            help="Begin at this node: what came before it counts as done.",
            metavar="NODE",
            show_default="the start",
        ),
    ] = None,
    wait: WaitFlag = False,
    timeout: TimeoutOption = None,
    json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Start a new run of the same version, with the same payload or another."""
    payload = UNSET if input is None else payload_of(input)
    with server(url, token) as gesta:
        began = gesta.runs.rerun(_found(gesta, run), input=payload, from_node=from_node)
        _follow(gesta, began, wait, timeout, json)


def resume(
    run: IdArgument,
    node: Annotated[str, typer.Argument(metavar="NODE", help="The node that waits, as `gesta runs show` names it.")],
    input: InputOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Let a node go on that waits for a webhook or a person, with what it is given."""
    payload = payload_of(input)
    with server(url, token) as gesta:
        identifier = _found(gesta, run)
        is_woken = gesta.runs.resume(identifier, node, payload)
    if not is_woken:
        err.print(Text(f"{node} does not wait; `gesta runs show {identifier}` tells what does."))
        raise typer.Exit(CALL_AT_FAULT)
    screen().print(Text(f"{node} goes on."))


def _found(gesta: Gesta, text: str) -> str:
    """The id of a run, from it or from its beginning. Raises InvalidInput where several begin so, NotFound."""
    try:
        row = gesta.executions.get(text)
        if row["kind"] != "run":
            raise InvalidInput(f"{text} is of kind {row['kind']}, and no run.", where="arguments")
        return str(row["id"])
    except NotFound as error:
        rows = []
        if len(text) >= _SHORTEST_PREFIX:
            rows = [row for row in gesta.runs.list(limit=SEARCHED_ROWS) if str(row["id"]).startswith(text)]
        if not rows:
            error.message = f"{error.message} `gesta runs` lists them."
            raise
    if len(rows) > 1:
        ids = ", ".join(str(row["id"]) for row in rows[:5])
        raise InvalidInput(f"Several begin with {text}: {ids}.", where="arguments")
    return str(rows[0]["id"])


def _tell(run: dict[str, Any], json: bool, *, fails: bool = True) -> None:
    if json:
        print_json(run)
    else:
        screen().print(sentence(run))
        response = run["detail"].get("response_payload")
        if response is not None:
            print_json(response)
        screen().print(Text(f"Run {run['id']}; `gesta runs show {run['id'][:8]}` has its nodes", style="dim"))
    if fails and run["status"] in _BAD:
        raise typer.Exit(CALL_AT_FAULT)

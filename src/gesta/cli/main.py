"""The command tree, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import sys

import typer

from gesta import __version__
from gesta.cli import (
    accounts_command,
    backup_command,
    demo_command,
    executions_command,
    executors_command,
    flatten_command,
    import_command,
    init_command,
    keys_command,
    migrate_command,
    order_command,
    orders_command,
    positions_command,
    replay_command,
    runs_command,
    schedules_command,
    serve_command,
    verify_command,
    worker_command,
    workflows_command,
)
from gesta.kernel.errors import CallerError, GestaError

INTERRUPTED = 130


def build_app() -> typer.Typer:
    """The command tree."""
    app = typer.Typer(
        name="gesta",
        help="Run, record and serve executions from one ledger.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        rich_markup_mode="rich",
    )
    for module in (
        demo_command,
        init_command,
        keys_command,
        serve_command,
        worker_command,
        migrate_command,
        import_command,
        replay_command,
        accounts_command,
        orders_command,
        positions_command,
        executions_command,
        executors_command,
        workflows_command,
        runs_command,
        schedules_command,
        order_command,
        flatten_command,
        backup_command,
        verify_command,
    ):
        module.register(app)
    app.command("version", help="Print the version.")(_version)
    return app


def _version() -> None:
    typer.echo(f"gesta {__version__}")


def main() -> None:
    """Run the command line. An expected error is one line on standard error: exit code 2 when the call is at fault,
    1 when the server or its surroundings are."""
    try:
        build_app()()
    except GestaError as error:
        print(f"gesta: {error.message}", file=sys.stderr)
        raise SystemExit(2 if isinstance(error, CallerError) else 1) from None
    except OSError as error:
        print(f"gesta: {error.strerror or error}: {error.filename or ''}".rstrip(": "), file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None

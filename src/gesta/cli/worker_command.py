"""`gesta worker`: a process that only carries runs out, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer

from gesta.app.build_worker import build_worker
from gesta.app.settings import Settings
from gesta.cli.common import ConfigOption, DatabaseOption, err, run, settings_of
from gesta.kernel.errors import ServerError


def register(app: typer.Typer) -> None:
    app.command("worker")(worker)


def worker(
    config: ConfigOption = None,
    database: DatabaseOption = None,
    name: Annotated[
        str,
        typer.Option(
            "--name",
            envvar="GESTA_WORKER_NAME",
            metavar="SLOT",
            help="This worker's name on this host; two that run at once must differ.",
            show_default="worker",
        ),
    ] = "",
    log_level: Annotated[
        str | None,
        typer.Option(
            "--log-level", envvar="GESTA_LOG__LEVEL", help="debug, info, warning or error.", show_default="info"
        ),
    ] = None,
) -> None:
    """Carry out the runs of a server's PostgreSQL database, beside the server or for it (workflows.carries=false).

    When it stops or dies, what it had under way goes on in the other processes.
    """
    run(_work(settings_of(config, database, log__level=log_level), name))


async def _work(settings: Settings, slot: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop.set)
    async with build_worker(settings, slot=slot) as built:
        err.print(
            f"Worker {built.name} carries runs of {settings.database.masked_url} out; Ctrl-C stops it.", markup=False
        )
        enders = [asyncio.create_task(each.wait()) for each in (stop, built.supervisor.failed)]
        await asyncio.wait(enders, return_when=asyncio.FIRST_COMPLETED)
        for task in enders:
            task.cancel()
        await asyncio.gather(*enders, return_exceptions=True)
        if built.supervisor.failure is not None:
            raise ServerError("The worker's signs of life have ended; the log says why.") from built.supervisor.failure
        err.print(f"Stopping with {built.workflows.service.under_way} runs at work.")
    err.print("Stopped. What was under way goes on in the other processes, or at the next start.")

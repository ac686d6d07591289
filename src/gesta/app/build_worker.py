"""A process that only carries runs out: the record and its workflows, without HTTP, market or trading desk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from gesta.app.build import Core, open_core
from gesta.app.settings import Settings
from gesta.app.workflow_stack import WorkflowStack, engine_settings, open_workflows
from gesta.kernel.clock import Clock
from gesta.kernel.errors import InvalidInput
from gesta.kernel.ids import IdSource
from gesta.kernel.service import Supervisor

DEFAULT_SLOT = "worker"
CHECK_S = 1.0


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is what the record knows this process by; `supervisor` says when it must stop."""

    name: str
    core: Core
    workflows: WorkflowStack
    supervisor: Supervisor


def settings_of_worker(settings: Settings, slot: str) -> Settings:
    """The settings as this worker's. Raises InvalidInput where no second process can carry runs out."""
    if not settings.database.is_postgres:
        raise InvalidInput(
            "A worker needs a PostgreSQL database: a SQLite file belongs to one server, which carries its runs out "
            "itself. Give --database postgresql://…",
            where="arguments",
        )
    if not settings.workflows.enabled:
        raise InvalidInput(
            "Workflows are switched off (workflows.enabled); a worker has nothing to do.", where="config"
        )
    slot = slot or settings.workflows.worker or DEFAULT_SLOT
    if not slot.isprintable() or len(slot) > 100:
        raise InvalidInput("--name has at most 100 printable characters.", where="arguments")
    return msgspec.structs.replace(settings, workflows=msgspec.structs.replace(settings.workflows, worker=slot))


@asynccontextmanager
async def build_worker(
    settings: Settings, *, slot: str = "", clock: Clock | None = None, ids: IdSource | None = None
) -> AsyncIterator[Worker]:
    """A worker that takes runs; at the end what it has under way goes on elsewhere. Raises InvalidInput for SQLite,
    Unavailable when the database does not answer."""
    settings = settings_of_worker(settings, slot)
    async with (
        open_core(settings, clock=clock, ids=ids) as core,
        open_workflows(
            settings,
            database=core.database,
            ledger=core.ledger,
            access=core.access,
            reading=core.reading,
            clock=core.clock,
            ids=core.ids,
            trading=None,
            is_worker=True,
        ) as workflows,
    ):
        name = engine_settings(settings, is_worker=True).worker
        supervisor = Supervisor()
        supervisor.every(CHECK_S, "look after the signs of life", workflows.check)
        await supervisor.start()
        try:
            yield Worker(name=name, core=core, workflows=workflows, supervisor=supervisor)
        finally:
            await supervisor.stop()

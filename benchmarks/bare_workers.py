"""The engine with nothing of Gesta: DBOS processes that drain one queue over PostgreSQL, and a client that fills it.

`python -m benchmarks.bare_workers URL NAME` is one of the processes; it takes from the queue until SIGTERM. They are
set up as Gesta's workers are: as many at once, the same pool and pace of looking, JSON in place of pickle, and no
notifier.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from asyncio.subprocess import Process as Child
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import sqlalchemy
from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer, EnqueueOptions

from benchmarks.databases import temporary_folder
from benchmarks.fleet import CALLERS, OVER_S, begin, end, none_left
from benchmarks.harness import CpuClock, cpu_of

QUEUE = "flows"
VERSION = "1"
AT_ONCE = 64
POLL_S = 0.25
POOL = 8
READY = "takes from the queue"


@DBOS.step()
async def touch() -> dict[str, Any]:
    return {"value": None}


@DBOS.workflow(name="flow", max_recovery_attempts=None)
async def flow(steps: int) -> None:
    for _ in range(steps):
        await touch()


class Bare:
    def __init__(self, client: DBOSClient, database: asyncpg.Connection, cpu: CpuClock) -> None:
        self.cpu = cpu
        self._client = client
        self._database = database

    async def start(self, steps: int, count: int) -> None:
        """So many workflows, by as many callers as Gesta has; on return all are on disk."""
        numbers = iter(range(count))

        async def caller() -> None:
            for _ in numbers:
                await self.start_one(steps)

        await asyncio.gather(*(caller() for _ in range(CALLERS)))

    async def start_one(self, steps: int) -> None:
        options = EnqueueOptions(workflow_name="flow", queue_name=QUEUE, app_version=VERSION)
        await self._client.enqueue_async(options, steps)

    async def over(self) -> int:
        left = "SELECT count(*) FROM dbos.workflow_status WHERE status NOT IN ('SUCCESS', 'ERROR', 'CANCELLED')"
        return await none_left(self._database.fetch, left, OVER_S)

    async def taken_ms(self, of_last: int) -> list[float]:
        rows = await self._database.fetch(
            "SELECT completed_at - created_at FROM dbos.workflow_status ORDER BY created_at DESC LIMIT $1", of_last
        )
        return [float(row[0]) for row in rows]


@asynccontextmanager
async def bare(url: str, workers: int) -> AsyncIterator[Bare]:
    """So many processes on a new database."""
    hush()
    children: list[Child] = []
    with temporary_folder() as folder:
        try:
            for number in range(workers):
                command = ["-m", "benchmarks.bare_workers", url, f"w{number}"]
                children.append(await begin(command, READY, folder / f"w{number}.log"))
            client = DBOSClient(
                system_database_url=driver(url), serializer=DBOSPortableJSONSerializer(), application_name="bare"
            )
            connection = await asyncpg.connect(url)
            try:
                yield Bare(client, connection, cpu_of(*(child.pid for child in children)))
            finally:
                await connection.close()
                client.destroy()
        finally:
            await end(children)


def driver(url: str) -> str:
    return sqlalchemy.make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def hush() -> None:
    """Before DBOS adds a handler that prints."""
    logger = logging.getLogger("dbos")
    logger.addHandler(logging.NullHandler())
    logger.setLevel(logging.CRITICAL)


async def work(url: str, name: str) -> None:
    hush()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    config = DBOSConfig(
        name="bare",
        system_database_url=driver(url),
        sys_db_pool_size=POOL,
        max_executor_threads=POOL,
        executor_id=name,
        application_version=VERSION,
        serializer=DBOSPortableJSONSerializer(),
        use_listen_notify=False,
        notification_listener_polling_interval_sec=0.25,
        enable_otlp=False,
        log_level="CRITICAL",
    )
    DBOS(config=config)
    DBOS.listen_queues([QUEUE])
    DBOS.launch()
    await DBOS.register_queue_async(
        QUEUE, worker_concurrency=AT_ONCE, polling_interval_sec=POLL_S, on_conflict="always_update"
    )
    print(READY, file=sys.stderr, flush=True)
    await stop.wait()
    DBOS.destroy()


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work(*sys.argv[1:]))

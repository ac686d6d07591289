"""Which executions have changed, for the streams of one process: one reader of the change feed per organization,
however many streams there are."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import structlog

from gesta.access.model import Principal
from gesta.apis.b3os.door import stranger
from gesta.desk.reading import Reading
from gesta.kernel.errors import RateLimited, Unavailable

log = structlog.get_logger("gesta.b3os.stream")

MAX_STREAMS = 2000
MAX_STREAMS_OF_EXECUTION = 50
READ_ITEMS = 500
# A reader of the feed looks up at least so often, so that it ends when nobody watches.
WAIT_S = 30.0
RETRY_S = 1.0
# The watch of whoever wants to know of every execution; no execution has this id.
EVERYTHING = ""


class Watch:
    """One stream's interest in one execution. `changed` is set when there may be something new."""

    def __init__(self, watching: Watching, organization: int, execution_id: str) -> None:
        self._watching = watching
        self.organization = organization
        self.execution_id = execution_id
        self.changed = asyncio.Event()
        self.gone = False

    def leave(self) -> None:
        """The caller went away."""
        self.gone = True
        self.changed.set()

    def close(self) -> None:
        self._watching.discard(self)


class Watching:
    """Every watch of the process. Tasks exist only while somebody watches."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._watches: dict[int, dict[str, set[Watch]]] = {}
        self._readers: dict[int, asyncio.Task[None]] = {}
        self.count = 0

    async def open(self, organization: int, execution_id: str) -> Watch:
        """A watch from now on: what is read afterwards, together with what it tells of, is everything. Close it.
        Raises RateLimited beyond the bounds, Unavailable."""
        self._check(organization, execution_id)
        principal = stranger(organization)
        head = await self._reading.head(principal)
        self._check(organization, execution_id)
        watch = Watch(self, organization, execution_id)
        mine = self._watches.setdefault(organization, defaultdict(set))
        mine[execution_id].add(watch)
        self.count += 1
        if organization not in self._readers:
            self._readers[organization] = asyncio.create_task(
                self._read(principal, head), name=f"b3os-feed:{organization}"
            )
        return watch

    def _check(self, organization: int, execution_id: str) -> None:
        mine = self._watches.get(organization, {}).get(execution_id, ())
        if self.count >= MAX_STREAMS or len(mine) >= MAX_STREAMS_OF_EXECUTION:
            raise RateLimited("Too many streams are open; try again later.", retry_after_s=5, bucket="b3os_streams")

    def discard(self, watch: Watch) -> None:
        mine = self._watches.get(watch.organization, {})
        watches = mine.get(watch.execution_id, set())
        if watch not in watches:
            return
        watches.discard(watch)
        self.count -= 1
        if not watches:
            del mine[watch.execution_id]
        if not mine:
            del self._watches[watch.organization]
            self._readers.pop(watch.organization).cancel()

    async def _read(self, principal: Principal, tip: int) -> None:
        """Follow the feed for as long as somebody watches. An outage of the ledger is waited out."""
        while True:
            try:
                if await self._reading.wait(principal, after_seq=tip, timeout_s=WAIT_S):
                    for item in await self._reading.feed(principal, after_seq=tip, limit=READ_ITEMS):
                        tip = item.event.seq
                        self._tell(principal.organization.id, item.event.execution_id)
                    self._tell(principal.organization.id, EVERYTHING)
            except Unavailable as error:
                log.warning("b3os.ledger_unavailable", message=error.message)
                await asyncio.sleep(RETRY_S)
            except Exception as error:
                # The one reader of this organization must not die: its streams would hear nothing, for ever.
                log.exception("b3os.reader_failed", exc_info=error)
                await asyncio.sleep(RETRY_S)

    def _tell(self, organization: int, execution_id: str) -> None:
        for watch in self._watches.get(organization, {}).get(execution_id, ()):
            watch.changed.set()

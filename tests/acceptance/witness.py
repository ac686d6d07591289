"""What a process that is killed had acknowledged, and the comparison of it with what the ledger then has."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence

from gesta.ledger.query import Filter
from gesta.ledger.records import FeedItem, Outcome
from gesta.ledger.store import StoredLedger
from gesta.ledger.verify import verify
from gesta.storage.program import Database
from gesta.testing.fakes import ManualClock

BATCHES_AGAIN = 3

Batch = tuple[str, ...]
# Sends the rows of these ids again; gives each row's outcome and feed position.
Resend = Callable[[Batch], Awaitable[list[tuple[str, int]]]]


class Witness:
    """Kept by the parent over all kills of one database. A batch's ids are given by whoever makes its rows."""

    def __init__(self, organization: int) -> None:
        self.organization = organization
        self.recorded: dict[str, int] = {}  # acknowledged id → feed position of its birth
        self.done: list[Batch] = []
        self.tried: list[Batch] = []  # under way when the process died
        self.versions: dict[str, int] = {}  # id → version that was acknowledged
        self.moving: set[str] = set()  # a change was under way
        self.head = 0
        self._born: dict[str, int] = {}
        self._changes: dict[str, int] = {}

    # -- what the killed process said

    def tries(self, batch: Batch) -> None:
        self.tried.append(batch)

    def acknowledged(self, batch: Batch, seqs: Sequence[int]) -> None:
        assert len(batch) == len(seqs)
        self.tried.remove(batch)
        self.done.append(batch)
        self.recorded.update(zip(batch, seqs, strict=True))

    def moves(self, id_: str) -> None:
        self.moving.add(id_)

    def moved(self, id_: str, version: int) -> None:
        self.moving.discard(id_)
        self.versions[id_] = version

    # -- after the restart

    async def check(self, database: Database, resend: Resend) -> None:
        """Everything acknowledged is there once, what was under way is there whole or not at all, the totals equal a
        recount, the feed has no gap."""
        ledger = StoredLedger(database, ManualClock())
        for batch in self.done[-BATCHES_AGAIN:]:
            again = await resend(batch)
            wanted = [(Outcome.DUPLICATE.value, self.recorded[id_]) for id_ in batch]
            assert again == wanted, f"the acknowledged batch of {batch[0]}: {again}, not {wanted}"
        for batch in list(self.tried):
            again = await resend(batch)
            assert len({outcome for outcome, _ in again}) == 1, f"the batch of {batch[0]} is there in part: {again}"
            assert again[0][0] in (Outcome.RECORDED, Outcome.DUPLICATE)
            self.acknowledged(batch, [seq for _, seq in again])
        await self._read_feed(ledger)
        for id_ in {*self.moving, *itertools.chain(*self.done[-BATCHES_AGAIN:])}:
            await self._check_row(ledger, id_)
        self.moving.clear()
        assert self._born.items() >= self.recorded.items()
        report = await verify(database)
        assert report.faults == []
        assert report.executions == len(self._born)

    async def check_from_the_start(self, database: Database) -> None:
        """The same over the whole life of the database."""
        ledger = StoredLedger(database, ManualClock())
        self.head, self._born, self._changes = 0, {}, {}
        await self._read_feed(ledger)
        assert self._born == self.recorded
        cursor, listed = None, 0
        while True:
            part = await ledger.seek(Filter(organization=self.organization), after=cursor, limit=500)
            for row in part.rows:
                assert row.version == self.versions.get(row.id, 1) == 1 + self._changes.get(row.id, 0)
            listed += len(part.rows)
            if (cursor := part.next) is None:
                break
        assert listed == len(self.recorded) == await ledger.count(Filter(organization=self.organization))

    async def _read_feed(self, ledger: StoredLedger) -> None:
        while items := await ledger.feed(self.organization, after_seq=self.head, limit=1000):
            assert [item.event.seq for item in items] == list(range(self.head + 1, self.head + 1 + len(items)))
            for item in items:
                self._see(item)
            self.head = items[-1].event.seq
        assert await ledger.head(self.organization) == self.head

    def _see(self, item: FeedItem) -> None:
        id_ = item.execution.id
        if item.event.type == "execution.recorded":
            assert id_ not in self._born, f"{id_} was born twice"
            self._born[id_] = item.event.seq
        else:
            self._changes[id_] = self._changes.get(id_, 0) + 1

    async def _check_row(self, ledger: StoredLedger, id_: str) -> None:
        row = await ledger.get(self.organization, id_)
        assert row is not None, f"{id_} was acknowledged and is gone"
        assert row.version == 1 + self._changes.get(id_, 0)
        # A change under way may have been committed.
        said = self.versions.get(id_, 1)
        assert row.version in ((said, said + 1) if id_ in self.moving else (said,))
        self.versions[id_] = row.version
        assert len((await ledger.events(self.organization, id_)).events) == row.version

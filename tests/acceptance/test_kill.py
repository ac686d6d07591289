"""kill -9 during ingest, at every named point and at random: 80 times here, 20 more in test_kill_server.py.

One database of each kind lives through all its kills and grows.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gesta.kernel.crash import POINTS
from gesta.ledger.store import MIGRATIONS, StoredLedger
from gesta.storage.migrate import migrate
from gesta.testing.fakes import ManualClock
from tests.acceptance.kill_child import ORG, database_of, rows_of
from tests.acceptance.witness import Batch, Witness
from tests.integration.postgres_control import PostgresControl, running_postgres

ROOT = Path(__file__).resolve().parent.parent.parent
ARMED = {key: value for key, value in os.environ.items() if not key.startswith("GESTA_")}
# Those that ingest reaches.
INGEST = sorted(point for point in POINTS if not point.startswith(("trading.", "executors.", "workflows.")))
# The N-th time that a point is reached: 4 kills for each of 5 points and each database.
TIMES = (1, 2, 9, 25)
# Kills at random moments, for each database.
RANDOM = 20
HANGS_S = 30


class Victim:
    """A child that ingests, and what it has said so far."""

    def __init__(self, place: str, life: int, point: str) -> None:
        self.life = life
        self.lines: list[list[object]] = []
        self.spoke = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.kill_child", place, str(life)],
            cwd=ROOT,
            env={**ARMED, "GESTA_CRASH_POINT": point},
            stdout=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
            if self.lines[-1][0] == "done":
                self.spoke.set()
        self.spoke.set()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)

    def ended(self) -> None:
        """Wait until it is dead of a kill, and all that it said is read."""
        assert self.process.wait(HANGS_S) == -signal.SIGKILL
        self._reader.join(HANGS_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Lives:
    """One database and the processes that die over it."""

    def __init__(self, place: str, postgres: PostgresControl | None) -> None:
        self.place = place
        self.postgres = postgres
        self.witness = Witness(ORG)
        self.kills = 0
        self._batches: dict[Batch, tuple[int, int, int]] = {}
        self._life = 0
        asyncio.run(self._migrate())

    async def _migrate(self) -> None:
        database = database_of(self.place)
        await database.start()
        await migrate(database, [MIGRATIONS])
        await database.stop()

    @contextmanager
    def life(self, point: str = "") -> Iterator[Victim]:
        """A child that the block, or its crash point, kills; then the ledger is opened anew and checked."""
        self._life += 1
        victim = Victim(self.place, self._life, point)
        watchdog = threading.Timer(HANGS_S, victim.process.terminate)
        watchdog.start()
        try:
            yield victim
            victim.ended()
        finally:
            watchdog.cancel()
            victim.process.kill()
            victim.process.wait()
        self.kills += 1
        self._hear(victim)
        asyncio.run(self._check())

    def _hear(self, victim: Victim) -> None:
        for verb, *words in victim.lines:
            if verb in ("move", "moved"):
                (self.witness.moves if verb == "move" else self.witness.moved)(*words)
                continue
            worker, number, *seqs = words
            batch = tuple(row.id for row in rows_of(victim.life, worker, number))
            self._batches[batch] = (victim.life, worker, number)
            if verb == "try":
                self.witness.tries(batch)
            else:
                self.witness.acknowledged(batch, *seqs)

    async def _check(self) -> None:
        database = database_of(self.place)
        await database.start()
        try:
            ledger = StoredLedger(database, ManualClock())

            async def resend(batch: Batch) -> list[tuple[str, int]]:
                results = await ledger.append(ORG, rows_of(*self._batches[batch]))
                return [(result.outcome.value, result.seq) for result in results]

            await self.witness.check(database, resend)
        finally:
            await database.stop()

    async def check_from_the_start(self) -> None:
        database = database_of(self.place)
        await database.start()
        try:
            await self.witness.check_from_the_start(database)
        finally:
            await database.stop()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def lives(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    if request.param == "sqlite":
        yield Lives(str(tmp_path_factory.mktemp("kill") / "ledger.sqlite3"), None)
        return
    with running_postgres() as postgres:
        yield Lives(postgres.create("kill"), postgres)


@pytest.mark.parametrize("point", INGEST)
def test_killed_at_a_named_point(lives: Lives, point: str) -> None:
    for times in TIMES:
        with lives.life(f"{point}:{times}"):
            pass


def test_killed_at_random_moments(lives: Lives) -> None:
    moments = random.Random(20_261_121)
    for _ in range(RANDOM):
        with lives.life() as victim:
            assert victim.spoke.wait(HANGS_S)
            time.sleep(moments.random() * 0.1)
            victim.kill()


def test_the_server_of_the_database_crashes_under_the_ingest(lives: Lives) -> None:
    """PostgreSQL is stopped as by a crash, three times, while the child goes on; then the child is killed."""
    if lives.postgres is None:
        pytest.skip("SQLite has no server")
    with lives.life() as victim:
        assert victim.spoke.wait(HANGS_S)
        for _ in range(3):
            time.sleep(0.1)
            with lives.postgres.stopped("immediate"):
                pass
            victim.spoke.clear()
            assert victim.spoke.wait(HANGS_S), "the child does not recover"
        victim.kill()


def test_after_all_kills_everything_acknowledged_is_there_once(lives: Lives) -> None:
    wanted = len(INGEST) * len(TIMES) + RANDOM
    assert lives.kills >= wanted == 40, "run the whole file"
    assert len(lives.witness.recorded) > 40 * wanted
    asyncio.run(lives.check_from_the_start())

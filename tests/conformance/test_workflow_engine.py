"""What every engine promises to segments: carried out once, replayed after an interruption, never lost."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest
import sqlalchemy

from gesta.kernel.errors import ServerError, Unavailable
from gesta.testing.memory_engine import EngineDisk, MemoryEngine
from gesta.workflows.engine import database
from gesta.workflows.engine.dbos_engine import VERSION, DbosEngine
from gesta.workflows.engine.settings import EngineSettings, LeaseSettings, beside, worker_name
from gesta.workflows.runs.rows import SegmentId
from gesta.workflows.runtime import Engine, Step, Steps

CHILD = Path(__file__).parent / "engine_child.py"
WAIT_S = 30


class Make(Protocol):
    def __call__(self, worker: str = "w1", **settings: Any) -> Any: ...


class Program:
    """A carry that performs waves of named steps, and notes which bodies ran and what each wave gave."""

    def __init__(self, *waves: tuple[str, ...], ends_after: int = 1) -> None:
        self.waves = waves
        self.ran: list[str] = []
        self.gave: dict[SegmentId, list[list[str]]] = {}
        self.ended: list[SegmentId] = []
        self.hangs: set[str] = set()
        self.hung = asyncio.Event()
        self.at_once = self.most_at_once = 0
        self._ends_after = ends_after
        self._all_ended = asyncio.Event()

    async def carry(self, segment: SegmentId, steps: Steps) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            gave = [await steps.perform([Step(name, self._body(name)) for name in wave]) for wave in self.waves]
        finally:
            self.at_once -= 1
        self.gave[segment] = gave
        self.ended.append(segment)
        if len(self.ended) >= self._ends_after:
            self._all_ended.set()

    def _body(self, name: str) -> Callable[[], Any]:
        async def body() -> str:
            self.ran.append(name)
            if name in self.hangs:
                self.hung.set()
                await asyncio.Event().wait()
            return json.dumps(name.upper())

        return body

    async def end(self) -> None:
        await asyncio.wait_for(self._all_ended.wait(), WAIT_S)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return beside(tmp_path / "gesta.sqlite3")
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def make_dbos(url: str) -> AsyncIterator[Make]:
    made: list[DbosEngine] = []

    def make(worker: str = "w1", **settings: Any) -> DbosEngine:
        engine = DbosEngine(EngineSettings(url=url, worker=worker, **{"poll_s": 0.05, **settings}))
        made.append(engine)
        return engine

    yield make
    for engine in made:
        await engine.stop(timeout_s=0)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def make(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Make]:
    """Engines over one disk, of each kind."""
    disk = EngineDisk()
    made: list[Engine] = []

    def build(worker: str = "w1", **settings: Any) -> Engine:
        engine: Engine
        if request.param == "memory":
            engine = MemoryEngine(disk, worker=worker, **settings)
        else:
            url = beside(tmp_path / "g") if request.param == "sqlite" else request.getfixturevalue("postgres_url")
            engine = DbosEngine(EngineSettings(url=url, worker=worker, **{"poll_s": 0.05, **settings}))
        made.append(engine)
        return engine

    if request.param == "postgres":
        request.getfixturevalue("postgres_url")
    yield build
    for engine in made:
        await engine.stop(timeout_s=0)


def segment(run: str, number: int = 1) -> SegmentId:
    return SegmentId(7, run, number)


# -- what is promised


async def test_a_segment_submitted_twice_is_carried_out_once(make: Make) -> None:
    engine, program = make(), Program(("a",), ("b",), ends_after=2)
    await engine.start(program.carry)
    await engine.submit([segment("one"), segment("one")])
    await engine.submit([segment("one"), segment("two")])
    await program.end()
    await engine.submit([segment("one")])
    await engine.stop(timeout_s=5)
    await engine.start(program.carry)
    await engine.submit([segment("one")])
    await engine.stop(timeout_s=5)
    assert sorted(s.run for s in program.ended) == ["one", "two"]
    assert sorted(program.ran) == ["a", "a", "b", "b"]


async def test_a_wave_gives_its_texts_in_its_order(make: Make) -> None:
    engine, program = make(), Program(("a",), ("b", "c", "d"), ("e",))
    await engine.start(program.carry)
    await engine.submit([segment("run")])
    await program.end()
    assert program.gave[segment("run")] == [['"A"'], ['"B"', '"C"', '"D"'], ['"E"']]


async def test_stopped_in_a_wave_it_goes_on_at_the_next_start_with_what_it_had(make: Make) -> None:
    first = Program(("a",), ("b", "c", "d"))
    first.hangs = {"c"}
    engine = make()
    await engine.start(first.carry)
    await engine.submit([segment("run")])
    await asyncio.wait_for(first.hung.wait(), WAIT_S)
    # The wave's other steps end; the one that does not is interrupted.
    await engine.stop(timeout_s=1)
    assert first.ended == []
    second = Program(("a",), ("b", "c", "d"))
    await engine.start(second.carry)
    await second.end()
    assert second.ran == ["c"]
    assert second.gave[segment("run")] == [['"A"'], ['"B"', '"C"', '"D"']]


async def test_an_attempt_is_not_kept_and_what_it_gave_may_be(make: Make) -> None:
    engine, gave, hangs = make(), list[str](), asyncio.Event()
    runs = 0

    async def body() -> str:
        nonlocal runs
        runs += 1
        return f'"{runs}"'

    async def carry(segment: SegmentId, steps: Steps) -> None:
        is_new = not gave
        text = await steps.attempt(Step("a", body)) if is_new else ""

        async def kept() -> str:
            return text

        gave.extend(await steps.perform([Step("a", kept)]))
        if is_new:
            gave.append(await steps.attempt(Step("b", body)))
            hangs.set()
            await asyncio.Event().wait()
        gave.append(await steps.attempt(Step("b", body)))
        hangs.set()

    await engine.start(carry)
    await engine.submit([segment("run")])
    await asyncio.wait_for(hangs.wait(), WAIT_S)
    await engine.stop(timeout_s=0)
    hangs.clear()
    await engine.start(carry)
    await asyncio.wait_for(hangs.wait(), WAIT_S)
    # What was kept is given again; what was only attempted is done again.
    assert gave == ['"1"', '"2"', '"1"', '"3"']


async def test_a_stop_lets_a_wave_end_and_begins_no_other(make: Make) -> None:
    engine, began, go = make(), asyncio.Event(), asyncio.Event()
    ran: list[str] = []

    async def slow() -> str:
        ran.append("slow")
        began.set()
        await go.wait()
        return "1"

    async def next_() -> str:
        ran.append("next")
        return "2"

    async def carry(_: SegmentId, steps: Steps) -> None:
        await steps.perform([Step("slow", slow)])
        await steps.perform([Step("next", next_)])

    await engine.start(carry)
    await engine.submit([segment("run")])
    await asyncio.wait_for(began.wait(), WAIT_S)
    stopping = asyncio.create_task(engine.stop(timeout_s=WAIT_S))
    await asyncio.sleep(0)
    go.set()
    await stopping
    assert ran == ["slow"]
    program = Program(("slow",), ("next",))
    await engine.start(program.carry)
    await program.end()
    assert program.ran == ["next"]
    assert program.gave[segment("run")] == [["1"], ['"NEXT"']]


async def test_no_more_segments_at_once_than_allowed(make: Make) -> None:
    engine, program = make(concurrency=3), Program(("a",), ("b",), ends_after=20)
    await engine.start(program.carry)
    await engine.submit([segment(f"run{number}") for number in range(20)])
    await program.end()
    assert len(set(program.ended)) == 20
    assert program.most_at_once == 3


async def test_a_segment_may_submit_others(make: Make) -> None:
    """What is begun within a segment is no part of it: a replay of the one does not count the other's steps."""
    engine, program = make(), Program(("a",), ends_after=2)

    async def carry(one: SegmentId, steps: Steps) -> None:
        await program.carry(one, steps)
        if one.number == 1:
            await engine.submit([segment("run", 2)])

    await engine.start(carry)
    await engine.submit([segment("run")])
    await program.end()
    assert program.ended == [segment("run"), segment("run", 2)]


async def test_a_segment_that_fails_is_tried_again_with_what_it_had(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, program = make(), Program(("a",), ("b",))
    failures = 1

    async def carry(one: SegmentId, steps: Steps) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            await steps.perform([Step("a", program._body("a"))])
            raise Unavailable("The database is away.")
        await program.carry(one, steps)

    await engine.start(carry)
    await engine.submit([segment("run")])
    await program.end()
    assert program.ran == ["a", "b"]
    assert "segment_failed" in capsys.readouterr().out


async def test_what_another_worker_left_is_taken_over(make: Make) -> None:
    first, second = Program(("a",), ("b", "c")), Program(("a",), ("b", "c"))
    first.hangs = {"b"}
    left = make("w2")
    await left.start(first.carry)
    await left.submit([segment("run")])
    await asyncio.wait_for(first.hung.wait(), WAIT_S)
    await left.stop(timeout_s=1)
    engine = make("w1")
    await engine.start(second.carry)
    assert await engine.recover("stranger") == 0
    assert await engine.recover("w2") == 1
    await second.end()
    assert second.ran == ["b"]
    with pytest.raises(ValueError, match="w1"):
        await engine.recover("w1")


async def test_what_ended_is_forgotten_and_what_is_under_way_is_not(make: Make) -> None:
    engine, program = make(), Program(("a",), ends_after=3)
    await engine.start(program.carry)
    await engine.submit([segment(f"run{number}") for number in range(3)])
    await program.end()
    await engine.stop(timeout_s=5)
    held = Program(("b",))
    held.hangs = {"b"}
    await engine.start(held.carry)
    await engine.submit([segment("held")])
    await asyncio.wait_for(held.hung.wait(), WAIT_S)
    assert await engine.forget(1_000_000, 10) == 0
    later_us = time.time_ns() // 1000 + 3_600_000_000
    assert await engine.forget(later_us, 2) == 2
    assert await engine.forget(later_us, 10) == 1
    assert await engine.forget(later_us, 10) == 0
    # It is unknown now, so the same id is another segment.
    await engine.stop(timeout_s=0)
    again = Program(("b",), ends_after=2)
    await engine.start(again.carry)
    await engine.submit([segment("run0")])
    await again.end()
    assert {s.run for s in again.ended} == {"run0", "held"}


async def test_an_engine_that_does_not_run_takes_nothing(make: Make) -> None:
    engine, program = make(), Program(("a",))
    with pytest.raises(Unavailable):
        await engine.submit([segment("run")])
    await engine.stop(timeout_s=0)
    await engine.start(program.carry)
    await engine.start(program.carry)
    await asyncio.gather(engine.stop(timeout_s=0), engine.stop(timeout_s=0))
    with pytest.raises(Unavailable):
        await engine.submit([segment("run")])
    assert program.ended == []


async def test_what_a_client_submits_a_worker_carries_out(make: Make) -> None:
    client, nothing = make("server", carries=False), Program()
    await client.start(nothing.carry)
    await client.submit([segment("one"), segment("two"), segment("one")])
    await client.submit([segment("two")])
    await client.stop(timeout_s=0)
    worker, program = make("w1"), Program(("a",), ends_after=2)
    await worker.start(program.carry)
    await program.end()
    assert nothing.ended == []
    assert sorted(s.run for s in program.ended) == ["one", "two"]


async def test_what_waits_on_disk_is_not_begun_beside_it(make: Make) -> None:
    """Submitted again by a process with room, while it waits for a worker."""
    client = make("server", carries=False)
    await client.start(Program().carry)
    many = [segment(f"run{number}") for number in range(250)]
    await client.submit(many)
    await client.stop(timeout_s=0)
    worker, program = make("w1"), Program(ends_after=250)
    await worker.start(program.carry)
    await worker.submit(many[::-1])
    await program.end()
    await worker.stop(timeout_s=5)
    assert len(program.ended) == len(set(program.ended)) == 250


async def test_what_there_is_no_room_for_is_left_to_other_processes(postgres_url: str) -> None:
    engine = DbosEngine(EngineSettings(url=postgres_url, worker="w1", concurrency=1, poll_s=60))
    program = Program(("a",))
    program.hangs = {"a"}
    try:
        await engine.start(program.carry)
        await engine.submit([segment("one")])
        await asyncio.wait_for(program.hung.wait(), WAIT_S)
        await engine.submit([segment("two"), segment("three")])
        states = _rows(postgres_url, "workflow_uuid, status")
        assert {name.split(":")[1]: status for name, status in states} == {
            "one": "PENDING",
            "two": "ENQUEUED",
            "three": "ENQUEUED",
        }
    finally:
        await engine.stop(timeout_s=0)


async def test_what_a_dead_process_had_begun_itself_is_taken_by_those_that_carry(
    postgres_url: str, tmp_path: Path
) -> None:
    """A server that leaves runs to workers takes a dead worker over, and leaves its runs to the others."""
    await _killed_in_a_wave(postgres_url, "w2", tmp_path)
    server, nothing = (
        DbosEngine(EngineSettings(url=postgres_url, worker="server", carries=False, has_desk=True)),
        Program(),
    )
    try:
        await server.start(nothing.carry)
        assert await server.recover("w2") == 1
        assert _rows(postgres_url, "status, queue_name") == [("ENQUEUED", "segments")]
    finally:
        await server.stop(timeout_s=0)


def _rows(url: str, columns: str) -> list[tuple[Any, ...]]:
    engine = sqlalchemy.create_engine(sqlalchemy.make_url(url).set(drivername="postgresql+psycopg"))
    try:
        with engine.connect() as connection:
            found = connection.execute(sqlalchemy.text(f"SELECT {columns} FROM gesta_engine.workflow_status"))
            return [tuple(row) for row in found]
    finally:
        engine.dispose()


# -- what DBOS must not do


async def test_a_wave_interrupted_by_kill_9_is_replayed_by_position(make_dbos: Make, url: str, tmp_path: Path) -> None:
    """Two of four steps that bear one name had ended, the later before the earlier. Only their places tell them."""
    await _killed_in_a_wave(url, "w1", tmp_path)
    program = Program(("same",), ("same",) * 4)
    engine = make_dbos("w1")
    await engine.start(program.carry)
    await program.end()
    assert program.gave[segment("killed")] == [['"first"'], ['"a"', '"SAME"', '"c"', '"SAME"']]
    assert program.ran == ["same", "same"]


async def test_another_process_s_work_is_taken_over_after_kill_9(make_dbos: Make, url: str, tmp_path: Path) -> None:
    await _killed_in_a_wave(url, "w2", tmp_path)
    program = Program(("same",), ("same",) * 4)
    engine = make_dbos("w1")
    await engine.start(program.carry)
    assert await engine.recover("w2") == 1
    await program.end()
    assert program.gave[segment("killed")] == [['"first"'], ['"a"', '"SAME"', '"c"', '"SAME"']]
    assert await engine.recover("w2") == 0


async def test_one_that_was_only_slow_records_nothing_after_it_was_taken_over(
    postgres_url: str, tmp_path: Path
) -> None:
    settings = EngineSettings(url=postgres_url, worker="w2")
    child = _child(settings, "outlive", tmp_path)
    engine, program = (
        DbosEngine(EngineSettings(url=postgres_url, worker="w1")),
        Program(("same",), ("same",), ("same",)),
    )
    try:
        await asyncio.to_thread(_appears, tmp_path / "began", child)
        child.send_signal(signal.SIGSTOP)
        await engine.start(program.carry)
        assert await engine.recover("w2") == 1
        await program.end()
        (tmp_path / "go").touch()
        child.send_signal(signal.SIGCONT)
        await asyncio.to_thread(_appears, tmp_path / "lost", child)
    finally:
        await engine.stop(timeout_s=5)
        child.kill()
        out, err = child.communicate()
    assert (out, err) == (b"", b"")
    assert program.gave[segment("killed")] == [['"first"'], ['"SAME"'], ['"SAME"']]
    assert not (tmp_path / "third").exists()
    outputs = await asyncio.to_thread(_outputs, settings)
    assert [json.loads(json.loads(text)) for _, text in outputs] == ["first", "SAME", "SAME"]


def _appears(file: Path, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not file.exists():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def _killed_in_a_wave(url: str, worker: str, folder: Path) -> None:
    settings = EngineSettings(url=url, worker=worker)
    child = _child(settings, "hang", folder)
    try:
        await asyncio.to_thread(_appears, folder / "submitted", child)
        deadline = time.monotonic() + WAIT_S
        while len(rows := await asyncio.to_thread(_outputs, settings)) < 3:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    # The numbers are in the order of creation, though the third ended before the first.
    assert rows == [(1, '"\\"first\\""'), (2, '"\\"a\\""'), (4, '"\\"c\\""')]


def _child(settings: EngineSettings, mode: str, folder: Path) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-W", "error", str(CHILD), msgspec.json.encode(settings).decode(), mode, str(folder)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _outputs(settings: EngineSettings) -> list[tuple[int, str]]:
    table = "operation_outputs" if settings.is_sqlite else f"{settings.schema}.operation_outputs"
    rows = _select(settings, f"SELECT function_id, output FROM {table} ORDER BY function_id")
    return [(row[0], row[1]) for row in rows]


def _select(settings: EngineSettings, statement: str) -> list[Any]:
    engine = database.open_database(settings)
    try:
        with engine.connect() as connection:
            return list(connection.execute(sqlalchemy.text(statement)).all())
    finally:
        engine.dispose()


async def test_it_prints_nothing_and_opens_no_socket(url: str, tmp_path: Path) -> None:
    child = _child(EngineSettings(url=url, worker="w1"), "watch", tmp_path)
    out, err = await asyncio.to_thread(child.communicate, timeout=WAIT_S)
    assert (child.returncode, out, err) == (0, b"", b"")
    # libpq, which is not Python, connects to PostgreSQL; nothing else connects anywhere, and nothing listens.
    assert json.loads((tmp_path / "sockets.json").read_text()) == []


async def test_nothing_is_pickled_and_nothing_is_left_behind(make_dbos: Make, url: str) -> None:
    before = set(threading.enumerate())
    engine, program = make_dbos(concurrency=2), Program(("a", "b"), ("c",), ends_after=8)
    await engine.start(program.carry)
    with pytest.raises(RuntimeError, match="one instance"):
        await make_dbos("other").start(program.carry)
    await engine.submit([segment(f"run{number}") for number in range(8)])
    await program.end()
    await engine.stop(timeout_s=5)
    assert {t.name for t in set(threading.enumerate()) - before} == set()
    # The loop's own pool works again.
    assert await asyncio.to_thread(lambda: 1) == 1
    settings = EngineSettings(url=url, worker="reader")
    prefix = "" if settings.is_sqlite else f"{settings.schema}."
    for table in ("workflow_status", "operation_outputs"):
        rows = await asyncio.to_thread(_select, settings, f"SELECT DISTINCT serialization FROM {prefix}{table}")
        assert [row[0] for row in rows] == ["portable_json"]
    if settings.is_sqlite:
        rows = await asyncio.to_thread(_select, settings, "PRAGMA journal_mode")
        assert rows[0][0] == "wal"
    else:
        sessions = (
            "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        assert (await asyncio.to_thread(_select, settings, sessions))[0][0] == 0


async def test_a_database_that_does_not_answer_is_unavailable(capsys: pytest.CaptureFixture[str]) -> None:
    away = DbosEngine(EngineSettings(url="postgresql://gesta:secret@127.0.0.1:1/none", worker="w1"))
    with pytest.raises(Unavailable):
        await away.start(Program().carry)
    assert "secret" not in capsys.readouterr().out
    # And the next one may start.
    with pytest.raises(Unavailable):
        await away.start(Program().carry)


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "workflows.sqlite").write_bytes(b"not a database" * 1000)
    engine = DbosEngine(EngineSettings(url=beside(tmp_path / "gesta.sqlite3"), worker="w1"))
    with pytest.raises(Unavailable):
        await engine.start(Program().carry)


async def test_dbos_still_has_what_is_used_of_it() -> None:
    """Names of DBOS that it does not promise to keep; the version is pinned for their sake."""
    from dbos import DBOS, DBOSClient
    from dbos._sys_db import SystemDatabase

    assert callable(DBOS._recover_pending_workflows)
    assert callable(SystemDatabase.reenqueue_for_recovery)
    assert callable(SystemDatabase.run_migrations)
    assert "_sys_db" in DBOSClient.__init__.__code__.co_names
    assert VERSION == "1"


def test_an_old_sqlite_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysqlite3", None)
    monkeypatch.setitem(sys.modules, "pysqlite3.dbapi2", None)
    monkeypatch.setattr(database.sqlite3, "sqlite_version_info", (3, 52, 0))
    assert database.sqlite_module() is database.sqlite3
    monkeypatch.setattr(database.sqlite3, "sqlite_version_info", (3, 34, 0))
    with pytest.raises(ServerError, match="install pysqlite3-binary"):
        database.sqlite_module()


def test_settings_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="concurrency"):
        EngineSettings(url="sqlite://", worker="w", concurrency=0)
    with pytest.raises(ValueError, match="worker"):
        EngineSettings(url="sqlite://", worker="")
    with pytest.raises(ValueError, match="poll_s"):
        EngineSettings(url="sqlite://", worker="w", poll_s=-1)
    with pytest.raises(ValueError, match="stale_s"):
        LeaseSettings(beat_s=3, stale_s=5)
    assert beside(tmp_path / "gesta.sqlite3") == f"sqlite:///{tmp_path / 'workflows.sqlite'}"
    assert worker_name("1").endswith(":1")

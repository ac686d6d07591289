"""What every Database promises."""

from __future__ import annotations

import asyncio

import apsw
import pytest

from gesta.kernel.errors import ServerError
from gesta.storage.program import Database, Fetch, Many, Program, Statement

CREATE = Statement(
    "c",
    "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT NOT NULL) STRICT",
    "CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT NOT NULL)",
)
ADD = Statement("a", "INSERT INTO t VALUES (?1, ?2)", "INSERT INTO t VALUES ($1, $2)")
ALL = Statement("l", "SELECT a, b FROM t ORDER BY a", "SELECT a, b FROM t ORDER BY a")


def create() -> Program[None]:
    yield Fetch(CREATE)


def add(number: int, fail: bool = False) -> Program[int]:
    yield Fetch(ADD, (number, str(number)))
    if fail:
        raise LookupError(number)
    rows = yield Fetch(ALL)
    return len(rows)


def everything() -> Program[list[tuple[int, str]]]:
    rows = yield Fetch(ALL)
    return [(a, b) for a, b in rows]


async def test_a_write_is_read_back(database: Database) -> None:
    await database.write(create)
    assert await database.write(lambda: add(1)) == 1
    assert await database.read(everything) == [(1, "1")]
    assert await database.read(everything, snapshot=False) == [(1, "1")]
    assert await database.read(everything, unbounded=True) == [(1, "1")]


async def test_a_failing_program_leaves_nothing_and_does_not_touch_its_neighbours(database: Database) -> None:
    await database.write(create)
    results = await asyncio.gather(
        *(database.write(lambda n=n: add(n, fail=n % 3 == 0)) for n in range(30)), return_exceptions=True
    )
    assert [isinstance(result, LookupError) for result in results] == [n % 3 == 0 for n in range(30)]
    assert [a for a, _ in await database.read(everything)] == [n for n in range(30) if n % 3]


async def test_one_failing_program_alone_is_rolled_back(database: Database) -> None:
    await database.write(create)
    with pytest.raises(LookupError):
        await database.write(lambda: add(7, fail=True))
    assert await database.read(everything) == []


async def test_many(database: Database) -> None:
    def fill() -> Program[None]:
        yield Many(ADD, [(n, "x") for n in range(2500)])

    await database.write(create)
    await database.write(fill)
    assert [a for a, _ in await database.read(everything)] == list(range(2500))


async def test_many_rows_with_a_wrong_one_at_the_end_leave_nothing(database: Database) -> None:
    def fill() -> Program[None]:
        yield Many(ADD, [(n % 2400, "x") for n in range(2500)])

    await database.write(create)
    with pytest.raises((ServerError, apsw.ConstraintError)):
        await database.write(fill)
    assert await database.read(everything) == []


async def test_start_and_stop_may_be_repeated(database: Database) -> None:
    await database.start()
    await database.write(create)
    await database.stop()
    await database.stop()
    await database.start()
    assert await database.read(everything) == []

"""A writer that ends leaves nobody waiting."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from gesta.kernel.errors import Unavailable
from gesta.storage import postgres, sqlite
from gesta.storage.program import Fetch, Program, Statement

ONE = Statement("one", "SELECT 1", "SELECT 1")


def one() -> Program[int]:
    rows = yield Fetch(ONE)
    return int(rows[0][0])


class Gone(BaseException):
    """What no handler of ordinary errors stops."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_an_sqlite_writer_that_ends_fails_its_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = sqlite.SqliteDatabase(tmp_path / "x.sqlite3")
    await database.start()
    assert await database.write(one) == 1

    def gone(*_: object) -> None:
        raise Gone

    monkeypatch.setattr(sqlite, "_commit_group", gone)
    writer = next(thread for thread in threading.enumerate() if thread.name == "gesta-writer")
    results = await asyncio.gather(*(database.write(one) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    await asyncio.to_thread(writer.join)
    with pytest.raises(Unavailable):
        await database.write(one)


async def test_a_postgres_writer_that_ends_fails_its_callers(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = postgres.PostgresDatabase(postgres_url)
    await database.start()
    assert await database.write(one) == 1

    async def gone(*_: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(database, "_commit_group", gone)
    results = await asyncio.gather(*(database.write(one) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    with pytest.raises(Unavailable):
        await database.write(one)
    database._open = True
    database._tasks[0] = asyncio.create_task(asyncio.sleep(0))
    await database.stop()

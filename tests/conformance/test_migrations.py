"""Migrations: applied once, refused when they are not the ones that were applied, and equal to the committed schema."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gesta.app.build import MIGRATIONS
from gesta.kernel.errors import ServerError
from gesta.storage.migrate import Applied, migrate, migrations_of
from gesta.storage.postgres import PostgresDatabase
from gesta.storage.program import Database, Fetch, Program, Statement
from gesta.storage.sqlite import SqliteDatabase
from scripts import dump_schema

FIRST = "CREATE TABLE one (a BIGINT NOT NULL PRIMARY KEY);\n"
SECOND = """\
INSERT INTO one (a) VALUES (1);
CREATE TABLE two (
-- sqlite:
  a INTEGER
-- postgres:
  a BIGINT
-- end
);
"""


class Package:
    """A package of migrations that a test writes."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.folder = folder

    def put(self, file: str, text: str) -> None:
        (self.folder / file).write_text(text, "utf-8")

    @property
    def component(self) -> tuple[str, str]:
        return ("some", self.name)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    folder = tmp_path / f"migrations_{tmp_path.name.replace('-', '_')}"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield Package(folder)
    sys.modules.pop(folder.name, None)


def twin(database: Database) -> Database:
    """What another process would open."""
    if isinstance(database, SqliteDatabase):
        return SqliteDatabase(database.path)
    assert isinstance(database, PostgresDatabase)
    return PostgresDatabase(database._url)


def query(sql: str) -> Program[list[tuple[object, ...]]]:
    rows = yield Fetch(Statement("test", sql, sql))
    return [tuple(row) for row in rows]


async def rows_of(database: Database, sql: str) -> list[tuple[object, ...]]:
    return await database.read(lambda: query(sql))


async def test_the_schema_is_what_the_migrations_give(database: Database) -> None:
    await migrate(database, MIGRATIONS)
    committed = (dump_schema.FOLDER / f"{database.dialect}.sql").read_text("utf-8")
    assert await dump_schema.dump(database) == committed, "if that is meant: python -m scripts.dump_schema"


async def test_migrating_again_does_nothing(database: Database) -> None:
    first = await migrate(database, MIGRATIONS)
    assert [(each.component, each.number) for each in first] == [
        (each.component, each.number) for component in MIGRATIONS for each in migrations_of(*component)
    ]
    before = await dump_schema.dump(database)
    assert await migrate(database, MIGRATIONS) == []
    assert await dump_schema.dump(database) == before


async def test_a_new_file_alone_is_applied(database: Database, package: Package) -> None:
    package.put("0001_first.sql", FIRST)
    assert await migrate(database, [package.component]) == [Applied("some", 1, "first")]
    package.put("0002_second.sql", SECOND)
    assert await migrate(database, [package.component]) == [Applied("some", 2, "second")]
    assert await rows_of(database, "SELECT a FROM one") == [(1,)]
    assert await rows_of(database, "SELECT component, number, name FROM schema_migrations ORDER BY number") == [
        ("some", 1, "first"),
        ("some", 2, "second"),
    ]


async def test_a_changed_file_is_refused(database: Database, package: Package) -> None:
    package.put("0001_first.sql", FIRST)
    await migrate(database, [package.component])
    package.put("0001_first.sql", FIRST + "-- a harmless comment\n")
    package.put("0002_second.sql", SECOND)
    with pytest.raises(ServerError, match=r"some 1 \(first\) changed after it was applied"):
        await migrate(database, [package.component])
    assert await rows_of(database, "SELECT count(*) FROM schema_migrations") == [(1,)]


async def test_a_newer_database_is_refused_and_left_alone(database: Database, package: Package) -> None:
    package.put("0001_first.sql", FIRST)
    package.put("0002_second.sql", SECOND)
    await migrate(database, [package.component])
    (package.folder / "0002_second.sql").unlink()
    package.put("0003_third.sql", "CREATE TABLE three (a BIGINT);\n")
    with pytest.raises(ServerError, match=r"does not know.*Use a newer Gesta"):
        await migrate(database, [package.component])
    assert await rows_of(database, "SELECT count(*) FROM schema_migrations") == [(2,)]


async def test_a_failing_migration_leaves_nothing(database: Database, package: Package) -> None:
    package.put("0001_first.sql", FIRST)
    package.put("0002_broken.sql", "CREATE TABLE three (a BIGINT);\nINSERT INTO nowhere (a) VALUES (1);\n")
    with pytest.raises(Exception, match=r"nowhere|refused a statement"):
        await migrate(database, [package.component])
    package.put("0002_broken.sql", "CREATE TABLE three (a BIGINT);\n")
    assert len(await migrate(database, [package.component])) == 2


async def test_of_processes_that_start_together_one_migrates(database: Database) -> None:
    others = [twin(database) for _ in range(3)]
    for other in others:
        await other.start()
    try:
        applied = await asyncio.gather(*(migrate(each, MIGRATIONS) for each in (database, *others)))
    finally:
        for other in others:
            await other.stop()
    count = sum(len(migrations_of(*component)) for component in MIGRATIONS)
    assert sorted(len(each) for each in applied) == [0, 0, 0, count]

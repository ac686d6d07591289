"""Migrations: numbered `.sql` files per component, each applied once, in order, in one transaction.

A file is written once in PostgreSQL's types, with `-- sqlite:` / `-- postgres:` … `-- end` around what differs; its
checksum is stored, and a file that changed after it was applied is refused. What SQL cannot compute exactly is in a
module beside it: `after_0001_what.py`, whose `program()` runs in the same transaction and whose text is part of the
checksum.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from importlib import resources

import msgspec

from gesta.kernel.errors import ServerError
from gesta.storage.program import Database, Fetch, Program, ProgramFactory, Statement, for_dialect


class Migration(msgspec.Struct, frozen=True):
    component: str
    number: int
    name: str
    checksum: str
    statements: tuple[Statement, ...]
    then: ProgramFactory[None] | None = None


class Applied(msgspec.Struct, frozen=True):
    component: str
    number: int
    name: str


_CREATE = Statement(
    "migrations.create",
    "CREATE TABLE IF NOT EXISTS schema_migrations (component TEXT NOT NULL, number INTEGER NOT NULL,"
    " name TEXT NOT NULL, checksum TEXT NOT NULL, PRIMARY KEY (component, number)) STRICT",
    "CREATE TABLE IF NOT EXISTS schema_migrations (component TEXT NOT NULL, number BIGINT NOT NULL,"
    " name TEXT NOT NULL, checksum TEXT NOT NULL, PRIMARY KEY (component, number))",
)
# Two processes that start together migrate one after the other.
_LOCK = Statement("migrations.lock", "SELECT 1", "SELECT pg_advisory_xact_lock(7236428461)")
_LIST = "SELECT component, number, name, checksum FROM schema_migrations ORDER BY component, number"
_ADD = Statement(
    "migrations.add",
    "INSERT INTO schema_migrations (component, number, name, checksum) VALUES (?1, ?2, ?3, ?4)",
    "INSERT INTO schema_migrations (component, number, name, checksum) VALUES ($1, $2, $3, $4)",
)


def migrations_of(component: str, package: str) -> list[Migration]:
    """The migrations in `package`: files named `0001_what.sql`, in order of number."""
    found = []
    for entry in sorted(resources.files(package).iterdir(), key=lambda item: item.name):
        if not entry.name.endswith(".sql"):
            continue
        text = entry.read_text("utf-8")
        number, _, name = entry.name.removesuffix(".sql").partition("_")
        sqlite, postgres = (_split(for_dialect(dialect, text)) for dialect in ("sqlite", "postgres"))
        count = max(len(sqlite), len(postgres))
        padded = [[*texts, *[""] * (count - len(texts))] for texts in (sqlite, postgres)]
        statements = tuple(
            Statement(f"{entry.name}:{place}", one, other)
            for place, (one, other) in enumerate(zip(*padded, strict=True))
        )
        then, source = _after(package, f"after_{number}_{name}")
        checksum = hashlib.sha256((text + source).encode()).hexdigest()
        found.append(Migration(component, int(number), name, checksum, statements, then))
    return found


def _after(package: str, module: str) -> tuple[ProgramFactory[None] | None, str]:
    """The program that ends a migration, and its text, where there is one."""
    source = resources.files(package) / f"{module}.py"
    if not source.is_file():
        return None, ""
    program: ProgramFactory[None] = importlib.import_module(f"{package}.{module}").program
    return program, source.read_text("utf-8")


async def migrate(database: Database, components: Sequence[tuple[str, str]]) -> list[Applied]:
    """Bring the schema up to date; `components` are (name, package) in order. Returns what was applied now.

    Raises ServerError when the database was migrated by a newer version or by other files than these.
    """
    wanted = [each for component, package in components for each in migrations_of(component, package)]
    return await database.write(lambda: _migrate(database.dialect, wanted), unbounded=True)


def _migrate(dialect: str, wanted: Sequence[Migration]) -> Program[list[Applied]]:
    yield Fetch(_LOCK)
    yield Fetch(_CREATE)
    rows = yield Fetch(Statement("migrations.list", _LIST, _LIST))
    applied = {(component, number): checksum for component, number, _, checksum in rows}
    known = {(each.component, each.number) for each in wanted}
    newer = sorted(key for key in applied if key not in known and key[0] in {each.component for each in wanted})
    if newer:
        raise ServerError(f"The database has migrations that this version does not know: {newer}. Use a newer Gesta.")
    done = []
    for each in wanted:
        checksum = applied.get((each.component, each.number))
        if checksum is None:
            for statement in each.statements:
                if statement.sqlite if dialect == "sqlite" else statement.postgres:
                    yield Fetch(statement)
            if each.then is not None:
                yield from each.then()
            yield Fetch(_ADD, (each.component, each.number, each.name, each.checksum))
            done.append(Applied(each.component, each.number, each.name))
        elif checksum != each.checksum:
            raise ServerError(f"Migration {each.component} {each.number} ({each.name}) changed after it was applied.")
    return done


def _split(sql: str) -> list[str]:
    """Statements of a file: each ends with `;` at the end of a line."""
    parts = [part.strip() for part in (sql + "\n").split(";\n")]
    return [part for part in parts if part]

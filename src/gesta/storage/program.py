"""A program is the deciding half of a database transaction: a generator that yields statements and receives rows.

It never awaits and never knows its driver, so the same program runs on SQLite (in the writer thread, or inline for a
bounded read) and on PostgreSQL. A program may be run again from its start after a lost connection or a deadlock, so it
must have no effect but its statements.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from importlib import resources
from typing import Any, Protocol, TypeVar

import msgspec

T = TypeVar("T")
Row = Sequence[Any]


class Statement(msgspec.Struct, frozen=True):
    """One named SQL statement in each database's text. Parameters are written `$1`, `$2` …"""

    name: str
    sqlite: str
    postgres: str


class Fetch(msgspec.Struct, frozen=True):
    """Run a statement; the program receives its rows as a list of tuples."""

    statement: Statement
    parameters: Sequence[Any] = ()


class Many(msgspec.Struct, frozen=True):
    """Run a statement once for each parameter row, in order; the program receives []."""

    statement: Statement
    parameters: Sequence[Sequence[Any]]


Op = Fetch | Many
Program = Generator[Op, list[Row], T]
ProgramFactory = Callable[[], Program[T]]


class Database(Protocol):
    """One database: a durable writer with group commit, and readers that never wait for it.

    `write` returns when the program's effects are on disk; programs with the same `key` (an organization) run one after
    another over all processes. `read` runs a program in one snapshot; `snapshot=False` spares that for a program of one
    statement, `unbounded=True` keeps a long one off the event loop and lets each statement take minutes, as it does for
    a `write` (a migration). All raise Unavailable when the database is out of
    reach, StorageFull when it refuses writes for want of space; an exception that the program raises rolls its own
    effects back and comes through unchanged.
    """

    dialect: str

    async def start(self) -> None:
        """Open the database. Starting a started one does nothing."""
        ...

    async def stop(self) -> None:
        """Finish the writes that were accepted, then close. Stopping a stopped or unstarted one does nothing."""
        ...

    async def write(self, program: ProgramFactory[T], *, key: int = 0, unbounded: bool = False) -> T: ...

    async def read(self, program: ProgramFactory[T], *, snapshot: bool = True, unbounded: bool = False) -> T: ...

    def listen(self, callback: Callable[[str], None]) -> None:
        """Call `callback(payload)` for each notification that another process committed (PostgreSQL only)."""
        ...


def load(package: str, file: str, macros: Mapping[str, str] | None = None) -> dict[str, Statement]:
    """Read a `.sql` file of named statements.

    `@ints(column, $1)` and `@texts(column, $1)` say that the column is one of a JSON array's values; other `@words` are
    replaced from `macros`.

    `-- name: verb.what` starts a statement; the comment after it says its purpose. Between `-- sqlite:` or
    `-- postgres:` and `-- end` stand lines for that database only.
    """
    statements: dict[str, Statement] = {}
    text = resources.files(package).joinpath(file).read_text("utf-8")
    for word, replacement in (macros or {}).items():
        text = re.sub(rf"@{word}\b", replacement, text)
    for part in text.split("-- name: ")[1:]:
        name, _, body = part.partition("\n")
        statements[name.strip()] = Statement(name.strip(), for_dialect("sqlite", body), for_dialect("postgres", body))
    return statements


def for_dialect(dialect: str, body: str) -> str:
    """The text of one database: its own lines and the common ones, without comments, in its own spelling."""
    lines: list[str] = []
    only: str | None = None
    for line in body.splitlines():
        word = line.strip()
        if word in ("-- sqlite:", "-- postgres:"):
            only = word[3:-1]
        elif word == "-- end":
            only = None
        elif not word.startswith("--") and only in (None, dialect):
            lines.append(line)
    sql = "\n".join(lines).strip().rstrip(";")
    return sqlite_text(sql) if dialect == "sqlite" else postgres_text(sql)


_MEMBER = re.compile(r"@(ints|texts)\(([\w.]+), (\$\d+)\)")


def postgres_text(sql: str) -> str:
    """An array made once (an InitPlan) lets PostgreSQL use the column's index."""

    def member(match: re.Match[str]) -> str:
        cast = "::bigint" if match[1] == "ints" else ""
        return f"{match[2]} = ANY(ARRAY(SELECT jsonb_array_elements_text({match[3]}::jsonb){cast}))"

    return _MEMBER.sub(member, sql)


def sqlite_text(sql: str) -> str:
    """SQLite writes numbered parameters `?1`, and its strict tables know INTEGER, TEXT and BLOB only."""
    sql = _MEMBER.sub(r"\2 IN (SELECT value FROM json_each(\3))", sql)
    return sql.replace("$", "?").replace("BIGINT", "INTEGER").replace("SMALLINT", "INTEGER").replace("BYTEA", "BLOB")

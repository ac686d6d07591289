"""Programs of one key run one after another, also when several processes write."""

from __future__ import annotations

import asyncio

from gesta.storage.postgres import PostgresDatabase
from gesta.storage.program import Fetch, Program, Row, Statement

MAKE = Statement("test.make", *["CREATE TABLE turns (key BIGINT PRIMARY KEY, n BIGINT NOT NULL)"] * 2)
ADD = Statement("test.add", *["INSERT INTO turns (key, n) VALUES ($1, 0)"] * 2)
GET = Statement("test.get", *["SELECT n FROM turns WHERE key = $1"] * 2)
PUT = Statement("test.put", *["UPDATE turns SET n = $2 WHERE key = $1"] * 2)
KEYS, TIMES = (3, 1, 2), 40


class Refused(Exception):
    pass


def one(statement: Statement, *parameters: object) -> Program[list[Row]]:
    return (yield Fetch(statement, parameters))


def counted(key: int, *, fails: bool = False) -> Program[None]:
    ((n,),) = yield Fetch(GET, (key,))
    yield Fetch(PUT, (key, n + 1))
    if fails:
        raise Refused


async def test_what_a_program_has_read_stays_true_until_it_has_written(postgres_url: str) -> None:
    first, second = PostgresDatabase(postgres_url), PostgresDatabase(postgres_url)
    await first.start()
    await second.start()
    await first.write(lambda: one(MAKE))
    for key in KEYS:
        await first.write(lambda key=key: one(ADD, key))
    writes = [
        database.write(lambda key=key, number=number: counted(key, fails=number % 8 == 7), key=key)
        for number in range(TIMES)
        for key in KEYS
        for database in (first, second)
    ]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert {type(each) for each in outcomes} == {type(None), Refused}
    for key in KEYS:
        assert await first.read(lambda key=key: one(GET, key)) == [(TIMES * 2 * 7 // 8,)]
    await first.stop()
    await second.stop()

"""The programs of trading: load everything, commit a batch, read what is committed.

A batch is one transaction with the ledger's rows in it. Its number makes it harmless to send again when a commit got no
answer; the epoch makes it impossible for a process that has been replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from gesta.desk.trading.batch import Batch, NoteRow
from gesta.desk.trading.fills import ORIGIN
from gesta.desk.trading.rows import (
    funds_of,
    funds_row,
    note_of,
    note_row,
    order_of,
    order_row,
    position_of,
    position_row,
)
from gesta.desk.trading.state import Funds
from gesta.kernel.crash import reach
from gesta.kernel.errors import ServerError, Unavailable
from gesta.kernel.times import MIN_US
from gesta.ledger import appending, changing
from gesta.ledger.codes import REFERENCE_CODE
from gesta.ledger.records import AppendResult, Execution, Outcome
from gesta.ledger.rows import ROW_COLUMNS, execution_of
from gesta.storage.program import Fetch, Many, Program, Row, Statement, load
from gesta.trading.orders import Order
from gesta.trading.positions import Position

MIGRATIONS = ("trading", "gesta.desk.trading.migrations")

_COLUMNS = ", ".join(f"x.{name.strip()}" for name in ROW_COLUMNS.split(","))
SQL: dict[str, Statement] = load("gesta.desk.trading.sql", "trading.sql", {"columns": _COLUMNS})

FILLS_PAGE = 2000


class Superseded(Unavailable):
    """Another process has begun to trade on this database; this one may not write any more."""

    def __init__(self) -> None:
        super().__init__("Another server process has taken over trading; send trading requests there.")


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What a start finds. `numbers` and `notes` are the last that were given out."""

    epoch: int
    orders: Sequence[Order]
    positions: Sequence[tuple[int, str, Position]]
    funds: Sequence[Funds]
    batches: dict[int, int]
    numbers: int
    notes: int


def take() -> Program[Loaded]:
    """Take the lease and read everything that trading goes on from."""
    taken = yield Fetch(SQL["lease.take"])
    batches = yield Fetch(SQL["lease.batches"])
    orders = yield Fetch(SQL["order.working"])
    newest = yield Fetch(SQL["order.newest"])
    positions = yield Fetch(SQL["position.all"])
    funds = yield Fetch(SQL["funds.all"])
    return Loaded(
        epoch=taken[0][0],
        orders=[order_of(bytes(row[0])) for row in orders],
        positions=[position_of(row) for row in positions],
        funds=[funds_of(row) for row in funds],
        batches={row[0]: row[1] for row in batches},
        numbers=newest[0][0],
        notes=max((row[2] for row in batches), default=0),
    )


class Written(NamedTuple):
    """The feed position after a batch, what became of its fills, and how the executions that it restated stand."""

    seq: int = 0
    results: Sequence[AppendResult] = ()
    became: Sequence[Execution] = ()


def commit(batch: Batch, fills: Sequence[appending.Encoded], epoch: int, now_us: int) -> Program[Written]:
    """Write a batch; one that is on disk already writes nothing. Raises Superseded."""
    lease = yield Fetch(SQL["lease.epoch"])
    if not lease or lease[0][0] != epoch:
        raise Superseded
    done = yield Fetch(SQL["lease.batch"], (batch.organization,))
    if done and done[0][0] >= batch.number:
        return Written()
    seq = 0
    results: Sequence[AppendResult] = ()
    became: Sequence[Execution] = ()
    if fills:
        results = yield from appending.append(batch.organization, fills, now_us)
        for result in results:
            if result.outcome is not Outcome.RECORDED:
                raise ServerError(f"The fill {result.id} is on record already: {result.outcome}. {result.message}")
            seq = max(seq, result.seq)
    if batch.restated:
        asked = [changing.Asked(one.execution_id, one.account, one.transition) for one in batch.restated]
        became = yield from changing.transitions(batch.organization, asked, now_us)
        seq = became[-1].seq
    reach("trading.commit.fills")
    organization = batch.organization
    if batch.orders:
        yield Many(SQL["order.put"], [order_row(order) for order in batch.orders.values()])
    if batch.notes:
        yield Many(SQL["note.add"], [note_row(note) for note in batch.notes])
    if batch.positions:
        rows = [position_row(organization, *holding, held) for holding, held in sorted(batch.positions.items())]
        yield Many(SQL["position.put"], rows)
    if batch.funds:
        yield Many(SQL["funds.put"], [funds_row(funds) for _, funds in sorted(batch.funds.items())])
    also: dict[str, tuple[Statement, list[Row]]] = {}
    for statement, parameters in batch.also.values():
        also.setdefault(statement.name, (statement, []))[1].append(parameters)
    for statement, put in also.values():
        yield Many(statement, put)
    last_note = batch.notes[-1].note if batch.notes else 0
    yield Fetch(SQL["lease.advance"], (organization, epoch, batch.number, last_note))
    reach("trading.commit.rows")
    return Written(seq, results, became)


# -- reads of what is committed


def order(account: int, order_id: str) -> Program[Order | None]:
    """By Gesta's id, or else by the client's."""
    rows = yield Fetch(SQL["order.by_id"], (order_id, account))
    if not rows:
        rows = yield Fetch(SQL["order.by_client"], (account, order_id))
    return order_of(bytes(rows[0][0])) if rows else None


def order_of_any(order_id: str) -> Program[Order | None]:
    """By Gesta's id alone: what a venue names."""
    rows = yield Fetch(SQL["order.of_any"], (order_id,))
    return order_of(bytes(rows[0][0])) if rows else None


def order_of_client(account: int, client_id: str) -> Program[Order | None]:
    rows = yield Fetch(SQL["order.by_client"], (account, client_id))
    return order_of(bytes(rows[0][0])) if rows else None


def orders(account: int, working: bool | None, before: int, limit: int) -> Program[list[Order]]:
    """Newest first, numbers below `before`."""
    name = {None: "order.page", True: "order.page_working", False: "order.page_final"}[working]
    rows = yield Fetch(SQL[name], (account, before, limit))
    return [order_of(bytes(row[1])) for row in rows]


def notes(number: int, limit: int) -> Program[list[NoteRow]]:
    rows = yield Fetch(SQL["note.list"], (number, limit))
    return [note_of(bytes(row[1])) for row in rows]


def positions(accounts: Sequence[int]) -> Program[list[tuple[int, str, Position]]]:
    found = []
    for account in accounts:
        rows = yield Fetch(SQL["position.of"], (account,))
        found += [position_of(row) for row in rows]
    return sorted(found, key=lambda each: each[:2])


def funds(account: int) -> Program[list[Funds]]:
    rows = yield Fetch(SQL["funds.of"], (account,))
    return [funds_of(row) for row in rows]


def fills(organization: int, account: int, instrument: str) -> Program[list[Execution]]:
    """Every fill of this venue for an account in an instrument, busted ones too, in the order of recording."""
    found: list[tuple[int, Execution]] = []
    yield from each_fill(organization, account, instrument, lambda row: found.append((row[0], execution_of(row))))
    return [execution for _, execution in sorted(found, key=lambda each: each[0])]


def each_fill(organization: int, account: int, instrument: str, take: Callable[[Row], object]) -> Program[None]:
    """Give `take` the row (ROW_COLUMNS) of each of those fills, in event-time order."""
    reference = REFERENCE_CODE["instrument"]
    after = (MIN_US - 1, 0)
    while True:
        parameters = (organization, reference, instrument, account, ORIGIN, *after, FILLS_PAGE)
        rows = yield Fetch(SQL["fills.page"], parameters)
        for row in rows:
            take(row[1:])
        if len(rows) < FILLS_PAGE:
            return
        after = (rows[-1][0], rows[-1][1])

"""The recount of trading: positions and money, compared with the fills of the ledger that they are the fold of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import msgspec

from gesta.desk.trading import journal
from gesta.desk.trading.journal import SQL
from gesta.desk.trading.restating import terms_of
from gesta.desk.trading.rows import funds_of, position_of
from gesta.ledger.rows import execution_of
from gesta.storage.program import Database, Fetch, Program, Row
from gesta.trading.instruments import Instrument
from gesta.trading.positions import FLAT, Position, apply_fill


class Report(msgspec.Struct, kw_only=True):
    """What was compared, and what differs: sentences."""

    positions: int = 0
    funds: int = 0
    faults: list[str] = []


async def verify(database: Database, instrument_of: Callable[[str], Instrument]) -> Report:
    """In one snapshot, while the server runs."""
    return await database.read(lambda: _verify(instrument_of), unbounded=True)


def _verify(instrument_of: Callable[[str], Instrument]) -> Program[Report]:
    report = Report()
    money: defaultdict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0])
    rows = yield Fetch(SQL["position.all"])
    holders = yield Fetch(SQL["position.holders"])
    organization_of = {(row[0], row[1]): row[2] for row in holders}
    for account, name, stored in map(position_of, rows):
        report.positions += 1
        instrument = instrument_of(name)
        counted = yield from _counted(organization_of[account, name], account, instrument)
        if counted != stored:
            report.faults.append(f"position of account {account} in {name}: {stored}, its fills give {counted}")
        sums = money[account, instrument.currency]
        sums[0] += counted.realized
        sums[1] += counted.commission
    funds = yield Fetch(SQL["funds.all"])
    for row in map(funds_of, funds):
        report.funds += 1
        realized, commission = money.pop((row.account, row.currency), [0, 0])
        if (row.realized, row.commission) != (realized, commission):
            report.faults.append(
                f"money of account {row.account} in {row.currency}: realized {row.realized} and commission "
                f"{row.commission} units, its fills give {realized} and {commission}"
            )
        if row.cash != row.starting + row.realized - row.commission:
            report.faults.append(f"cash of account {row.account} in {row.currency} is not what its parts add up to")
    report.faults += [f"money of account {account} in {currency} is missing" for account, currency in sorted(money)]
    return report


def _counted(organization: int, account: int, instrument: Instrument) -> Program[Position]:
    """The position that the fills give. Of each only what the fold needs is kept: there may be millions."""
    found: list[tuple[int, tuple[int, int, int]]] = []

    def take(row: Row) -> None:
        terms = terms_of(execution_of(row), instrument)
        if terms is not None:
            found.append((row[0], terms))

    yield from journal.each_fill(organization, account, instrument.name, take)
    position = FLAT
    for _, terms in sorted(found):
        position, _ = apply_fill(position, instrument, *terms)
    return position

"""The rows of executors: written in the batch of trading that holds what they decided, read at a start."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from gesta.executors.machines.face import OrderKind
from gesta.executors.registry import state_type
from gesta.ledger import reading
from gesta.ledger.records import Execution
from gesta.storage.program import Fetch, Program, Row, Statement, load

MIGRATIONS = ("executors", "gesta.executors.migrations")

SQL: dict[str, Statement] = load("gesta.executors.sql", "executors.sql")

# Rows of one statement: each has to be answered within the patience of the storage.
PAGE = 1000

_encoder = msgspec.json.Encoder(order="deterministic")


class Followed(msgspec.Struct, frozen=True, array_like=True):
    """An order that is not over: the machine's tag and leg for it, what kind it was asked as, and whether its cancel
    was asked for."""

    tag: int
    leg: int
    kind: OrderKind
    is_cancelling: bool = False


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One executor as it is on disk. `config` is what was asked for, `state` the machine's own; `orders` are those that
    it follows, by order id."""

    number: int
    organization: int
    account: int
    id: str
    type: str
    is_active: bool
    created_at_us: int
    config: dict[str, Any]
    state: Any
    orders: dict[str, Followed] = {}


def row_of(stored: Stored) -> tuple[Any, ...]:
    return (
        stored.number,
        stored.organization,
        stored.account,
        stored.id,
        stored.type,
        int(stored.is_active),
        stored.created_at_us,
        _encoder.encode(stored.config),
        _encoder.encode(stored.state),
        _encoder.encode(stored.orders),
    )


def stored_of(row: Row) -> Stored:
    number, organization, account, id_, type_, active, created_at_us, config, state, orders = row
    return Stored(
        number=number,
        organization=organization,
        account=account,
        id=id_,
        type=type_,
        is_active=bool(active),
        created_at_us=created_at_us,
        config=msgspec.json.decode(bytes(config)),
        state=msgspec.json.decode(bytes(state), type=state_type(type_)),
        orders=msgspec.json.decode(bytes(orders), type=dict[str, Followed]),
    )


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    executors: Sequence[Stored]
    newest: int


def active() -> Program[Loaded]:
    """Everything that is not over, oldest first."""
    found: list[Stored] = []
    while True:
        rows = yield Fetch(SQL["state.active"], (found[-1].number if found else 0, PAGE))
        found += map(stored_of, rows)
        if len(rows) < PAGE:
            break
    newest = yield Fetch(SQL["state.newest"])
    return Loaded(executors=found, newest=newest[0][0])


def shown(executors: Sequence[Stored]) -> Program[dict[int, Execution]]:
    """The rows of these executors in the ledger, by their numbers. At most PAGE of them."""
    of_organization: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for stored in executors:
        of_organization[stored.organization][stored.id] = stored.number
    found: dict[int, Execution] = {}
    for organization, numbers in of_organization.items():
        rows = yield from reading.several(organization, list(numbers))
        found.update((numbers[id_], row) for id_, row in rows.items())
    return found


def find(organization: int, executor_id: str) -> Program[Stored | None]:
    rows = yield Fetch(SQL["state.get"], (organization, executor_id))
    return stored_of(rows[0]) if rows else None


def key(organization: int, key: str) -> Program[tuple[str, bytes] | None]:
    """The executor that a request with this key made, and the content that it had."""
    rows = yield Fetch(SQL["key.get"], (organization, key))
    return (rows[0][0], bytes(rows[0][1])) if rows else None

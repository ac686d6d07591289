"""Transitions, amendments and notes: a change, its event, its totals and its feed entry in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gesta.kernel.crash import reach
from gesta.kernel.errors import Conflict, InvalidInput, NotFound
from gesta.ledger import daily, lifecycle, tree
from gesta.ledger.codes import SEVERITY_CODE, STATUS_CODE, pack, with_status
from gesta.ledger.records import KIND_OF_DETAIL, Event, Execution, NewEvent, Status, Transition
from gesta.ledger.rows import SEQ_BITS, derived_id, encode_body, encode_data, execution_of, key_of
from gesta.ledger.statements import SQL
from gesta.storage.program import Fetch, Many, Program, Row


def transition(
    organization: int, execution_id: str, account: int | None, change: Transition, now_us: int
) -> Program[Execution]:
    """The program of `Ledger.transition`."""
    locked = yield Fetch(SQL["stream.lock"], (organization,))
    seq = int(locked[0][0]) + 1
    row = yield from find(organization, execution_id, account)
    if row is None:
        raise NotFound(f"Execution {execution_id[:128]} not found.")
    before = execution_of(row)
    after = changed(before, change, seq, now_us)
    rid = row[0]
    cell = pack(before.kind, before.status, before.source, before.mode)
    moved = with_status(cell, after.status)
    body = encode_body(after.detail, after.correlation, after.wire)
    yield Fetch(
        SQL["execution.change"],
        (rid, moved, after.started_at_us, after.finished_at_us, after.updated_at_us, after.version, seq, body),
    )
    reach("ledger.transition.row")
    event = event_of(change.event, before.id, seq, now_us, before.status, after.status)
    yield Many(SQL["event.add"], [event_row(organization, rid, event)])
    tails = yield from tree.tails((-organization, before.account))
    for scope in sorted(tails):
        yield from tree.move(scope, tails[scope], (before.created_at_us, rid), cell, moved)
    days: dict[daily.DayKey, daily.Sums] = {}
    daily.collect(days, before.account, cell, before.created_at_us, before.detail, -1)
    daily.collect(days, before.account, moved, before.created_at_us, after.detail)
    yield from daily.put(organization, days)
    yield from _advance(organization, seq)
    return after


def changed(before: Execution, change: Transition, seq: int, now_us: int) -> Execution:
    """What the execution becomes. Raises Conflict or InvalidInput, and then nothing changes."""
    if change.expected_version not in (None, before.version):
        raise Conflict(
            f"The execution is at version {before.version}, not {change.expected_version}: read it again.",
            version=before.version,
        )
    if change.detail is not None and KIND_OF_DETAIL[type(change.detail)] is not before.kind:
        raise InvalidInput(f"The detail is not that of a {before.kind}.", field="detail")
    status = before.status if change.status is None else change.status
    at_us = now_us if change.event.at_us is None else change.event.at_us
    started, finished = before.started_at_us, before.finished_at_us
    if change.status is not None:
        lifecycle.check(before.kind, before.status, change.status)
        if status is Status.RUNNING and started is None:
            started = at_us
        finished = at_us if status in lifecycle.TERMINAL else None
    return msgspec.structs.replace(
        before,
        status=status,
        detail=change.detail or before.detail,
        started_at_us=started,
        finished_at_us=finished,
        updated_at_us=at_us,
        version=before.version + 1,
        seq=seq,
    )


def note(organization: int, execution_id: str, events: Sequence[NewEvent], now_us: int) -> Program[list[Event]]:
    """The program of `Ledger.note`."""
    locked = yield Fetch(SQL["stream.lock"], (organization,))
    seq = int(locked[0][0])
    row = yield from find(organization, execution_id, None)
    if row is None:
        raise NotFound(f"Execution {execution_id[:128]} not found.")
    made = [
        event_of(event, execution_id, seq + place, now_us, None, None) for place, event in enumerate(events, start=1)
    ]
    if made:
        yield Many(SQL["event.add"], [event_row(organization, row[0], event) for event in made])
        yield Fetch(SQL["execution.touch"], (row[0], made[-1].seq))
        yield from _advance(organization, made[-1].seq)
    return made


def find(organization: int, execution_id: str, account: int | None) -> Program[Row | None]:
    """The row of an id; with `account`, also when another account has the vendor's id and this one a derived id."""
    rows = yield Fetch(SQL["execution.get"], (organization, key_of(execution_id), execution_id))
    if rows and (account is None or rows[0][2] == account):
        return rows[0]
    if account is None:
        return None
    derived = derived_id(account, execution_id)
    rows = yield Fetch(SQL["execution.get"], (organization, key_of(derived), derived))
    return rows[0] if rows else None


def event_of(
    new: NewEvent, execution_id: str, seq: int, now_us: int, before: Status | None, after: Status | None
) -> Event:
    return Event(
        seq=seq,
        execution_id=execution_id,
        at_us=now_us if new.at_us is None else new.at_us,
        recorded_at_us=now_us,
        type=new.type,
        level=new.level,
        from_status=before,
        to_status=after,
        title=new.title,
        message=new.message,
        data=new.data,
    )


def event_row(organization: int, rid: int, event: Event) -> tuple[Any, ...]:
    return (
        organization << SEQ_BITS | event.seq,
        rid,
        event.at_us,
        event.recorded_at_us,
        event.type,
        SEVERITY_CODE[event.level],
        None if event.from_status is None else STATUS_CODE[event.from_status],
        None if event.to_status is None else STATUS_CODE[event.to_status],
        event.title,
        event.message,
        encode_data(event.data),
    )


def _advance(organization: int, seq: int) -> Program[None]:
    yield Fetch(SQL["stream.advance"], (organization, seq))
    yield Fetch(SQL["stream.notify"], (f"{organization}:{seq}",))

"""Transitions, amendments and notes: a change, its event, its totals and its feed entry in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from gesta.kernel.crash import reach
from gesta.kernel.errors import Conflict, InvalidInput, NotFound
from gesta.kernel.json import encode_json
from gesta.ledger import daily, groups, lifecycle, run_groups, tree
from gesta.ledger.codes import SEVERITY_CODE, STATUS_CODE, pack
from gesta.ledger.records import KIND_OF_DETAIL, Event, Execution, Kind, NewEvent, Status, Transition
from gesta.ledger.rows import SEQ_BITS, derived_id, encode_body, encode_data, execution_of, key_of
from gesta.ledger.statements import SQL
from gesta.storage.program import Fetch, Many, Program, Row

# Rows of one statement: each has to be answered within the patience of the storage.
READ_AT_ONCE = 1000


class Asked(NamedTuple):
    """One change of many: `account` as `transition` takes it."""

    execution_id: str
    account: int | None
    change: Transition


class _Held:
    """An execution while its changes are decided."""

    __slots__ = ("after", "before", "rid")

    def __init__(self, row: Row) -> None:
        self.rid: int = row[0]
        self.before = self.after = execution_of(row)


def transition(
    organization: int, execution_id: str, account: int | None, change: Transition, now_us: int
) -> Program[Execution]:
    """The program of `Ledger.transition`."""
    after = yield from transitions(organization, [Asked(execution_id, account, change)], now_us)
    return after[-1]


def transitions(
    organization: int, asked: Sequence[Asked], now_us: int, *, rows: Mapping[str, Row] | None = None
) -> Program[list[Execution]]:
    """Many changes in the order given, each with its event: what each made of its execution. An execution that changes
    more than once is written once, as it stands last. One that fails (`changed`, NotFound) fails all. `rows`: what the
    same transaction has read of them already, by id."""
    locked = yield Fetch(SQL["stream.lock"], (organization,))
    seq = int(locked[0][0])
    held = yield from _hold(organization, asked, rows or {})
    made, events = [], []
    for one, (execution_id, account, change) in enumerate(asked, start=1):
        execution = held[execution_id, account]
        before = execution.after
        after = execution.after = changed(before, change, seq + one, now_us)
        event = event_of(change.event, before.id, seq + one, now_us, before.status, after.status)
        events.append(event_row(organization, execution.rid, event))
        made.append(after)
    touched = {execution.rid: execution for execution in held.values()}
    yield from _write_rows(organization, touched.values())
    reach("ledger.transition.row")
    yield Many(SQL["event.add"], events)
    yield from _count(organization, touched.values())
    yield from _advance(organization, seq + len(made))
    return made


def _hold(
    organization: int, asked: Sequence[Asked], known: Mapping[str, Row]
) -> Program[dict[tuple[str, int | None], _Held]]:
    """What is to change, by the id and account that were asked for. Raises NotFound."""
    wanted = list(dict.fromkeys((one.execution_id, one.account) for one in asked))
    found = dict(known)
    if len(wanted) > 1:
        for first in range(0, len(wanted), READ_AT_ONCE):
            keys = [key_of(id_) for id_, _ in wanted[first : first + READ_AT_ONCE]]
            rows = yield Fetch(SQL["execution.rows"], (organization, encode_json(keys).decode()))
            found.update((row[4], row) for row in rows)
    held: dict[int, _Held] = {}
    by_name = {}
    for id_, account in wanted:
        row: Row | None = found.get(id_)
        if row is None or account not in (None, row[2]):
            row = yield from find(organization, id_, account)
        if row is None:
            raise NotFound(f"Execution {id_[:128]} not found.")
        # Two names of one execution are one execution.
        by_name[id_, account] = held.setdefault(row[0], _Held(row))
    return by_name


def _write_rows(organization: int, changed: Iterable[_Held]) -> Program[None]:
    """The rows as they stand last, after the groups that they name."""
    ordered = sorted(changed, key=lambda each: each.rid)
    changes: groups.Changes = {}
    facets = [groups.move(changes, execution.before, execution.after) for execution in ordered]
    ids = yield from groups.put(organization, changes)
    rows = []
    for execution, entered in zip(ordered, facets, strict=True):
        after = execution.after
        body = encode_body(after.detail, after.correlation, after.wire)
        times = (after.started_at_us, after.finished_at_us, after.updated_at_us)
        rows.append(
            (
                execution.rid,
                _cell_of(after),
                *times,
                after.version,
                after.seq,
                body,
                None if entered is None else ids[entered],
            )
        )
    yield Many(SQL["execution.change"], rows)


def _count(organization: int, changed: Collection[_Held]) -> Program[None]:
    """The counters and sums of what has another status, another day's sum or both."""
    moves: dict[int, list[tree.Move]] = {}
    days: dict[daily.DayKey, daily.Sums] = {}
    runs = [
        each.rid for each in changed if each.before.kind is Kind.RUN and _cell_of(each.before) != _cell_of(each.after)
    ]
    groups_of_runs = (yield from run_groups.of_rows(runs)) if runs else {}
    for execution in changed:
        before, after = execution.before, execution.after
        left, entered = _cell_of(before), _cell_of(after)
        if left != entered:
            scopes = [-organization, before.account]
            if execution.rid in groups_of_runs:
                scopes.append(groups_of_runs[execution.rid])
            for scope in scopes:
                moves.setdefault(scope, []).append(((before.created_at_us, execution.rid), left, entered))
        daily.collect(days, before.account, left, before.created_at_us, before.detail, -1)
        daily.collect(days, before.account, entered, before.created_at_us, after.detail)
    if moves:
        yield from tree.move({scope: sorted(of_scope) for scope, of_scope in moves.items()})
    yield from daily.put(organization, days)


def _cell_of(execution: Execution) -> int:
    return pack(execution.kind, execution.status, execution.source, execution.mode)


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


def note_newest(execution: Execution, events: Sequence[NewEvent], now_us: int) -> Program[Execution]:
    """Notes on the execution that the same transaction appended last: its place is the feed's end. The execution as
    it stands then."""
    organization, seq = execution.organization, execution.seq
    made = [event_of(event, execution.id, seq + place, now_us, None, None) for place, event in enumerate(events, 1)]
    if not made:
        return execution
    rid = organization << SEQ_BITS | seq
    yield Many(SQL["event.add"], [event_row(organization, rid, event) for event in made])
    yield Fetch(SQL["execution.touch"], (rid, made[-1].seq))
    yield from _advance(organization, made[-1].seq)
    return msgspec.structs.replace(execution, seq=made[-1].seq)


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
        title=_storable(new.title),
        message=_storable(new.message),
        data=new.data,
    )


def _storable(text: str) -> str:
    """What an expression came to may have a NUL, which no PostgreSQL text holds: it is shown as a replacement."""
    return text.replace("\0", "\ufffd")


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

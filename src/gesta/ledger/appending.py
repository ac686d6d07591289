"""Append: rows, births in the feed, references, counters and sums in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from gesta.kernel.crash import reach
from gesta.kernel.json import encode_json
from gesta.ledger import daily, groups, run_groups, tree
from gesta.ledger.codes import REFERENCE_CODE, pack
from gesta.ledger.records import AppendResult, Execution, ExecutorDetail, NewExecution, Outcome, RunDetail
from gesta.ledger.rows import SEQ_BITS, SEQ_MASK, content_hash, derived_ids, encode_body, key_of, stored_search
from gesta.ledger.statements import SQL
from gesta.storage.program import Fetch, Many, Program


class Encoded(NamedTuple):
    """A row made ready outside the transaction."""

    row: NewExecution
    key: int
    cell: int
    body: bytes
    content: bytes


# Whose a key is: id, account, origin, external id, content, feed position. A plain tuple: one is made for each row.
_Known = tuple[str, int, str, str, bytes, int]


class _Writes:
    """The parameter rows that one append collects."""

    def __init__(self) -> None:
        self.executions: list[tuple[object, ...]] = []
        self.refs: list[tuple[object, ...]] = []
        self.entries: defaultdict[int, list[tree.Entry]] = defaultdict(list)
        self.days: dict[daily.DayKey, daily.Sums] = {}
        # Which of `executions` are executors, and of what group.
        self.executors: list[tuple[int, groups.Facets]] = []
        self.groups: groups.Changes = {}
        # Which are runs, and of what group.
        self.runs: list[tuple[int, run_groups.Facets, tree.Entry]] = []


def encode(row: NewExecution) -> Encoded:
    body = encode_body(row.detail, row.correlation, row.wire)
    cell = pack(row.kind, row.status, row.source, row.mode)
    return Encoded(row, key_of(row.id), cell, body, content_hash(row, cell, body))


def as_recorded(organization: int, row: NewExecution, result: AppendResult, now_us: int) -> Execution:
    """The execution that an append recorded at `now_us`, as a read would give it."""
    return Execution(
        id=result.id,
        organization=organization,
        account=row.account,
        kind=row.kind,
        name=row.name,
        status=row.status,
        source=row.source,
        mode=row.mode,
        origin=row.origin,
        external_id=row.id,
        parent_id=row.parent_id,
        correlation=row.correlation,
        created_at_us=row.created_at_us,
        started_at_us=row.started_at_us,
        finished_at_us=row.finished_at_us,
        updated_at_us=row.created_at_us if row.updated_at_us is None else row.updated_at_us,
        recorded_at_us=now_us,
        version=1,
        seq=result.seq,
        detail=row.detail,
        wire=row.wire,
    )


def append(organization: int, rows: Sequence[Encoded], now_us: int) -> Program[list[AppendResult]]:
    """The program of `Ledger.append`. Raises nothing of its own: every row has a result."""
    locked = yield Fetch(SQL["stream.lock"], (organization,))
    first_seq = seq = int(locked[0][0])
    known = yield from _known(organization, [encoded.key for encoded in rows])
    writes = _Writes()
    results = []
    for encoded in rows:
        row, key = encoded.row, encoded.key
        id_ = row.id
        existing = known.get(key)
        if existing is not None and not _is_its_own(existing, row):
            id_, key, existing = yield from _fall_back(organization, known, row)
        if existing is not None:
            results.append(_repeated(existing, encoded.content))
            continue
        seq += 1
        known[key] = (id_, row.account, row.origin, row.id, encoded.content, seq)
        _write(writes, organization, id_, key, seq, encoded, now_us)
        results.append(AppendResult(outcome=Outcome.RECORDED, id=id_, seq=seq))
    if seq > first_seq:
        yield from _apply(organization, seq, writes)
    return results


def _known(organization: int, keys: Sequence[int]) -> Program[dict[int, _Known]]:
    found = yield Fetch(SQL["execution.keys"], (organization, encode_json(keys).decode()))
    return {row[0]: (row[1], row[2], row[3], row[4], bytes(row[5]), row[6] & SEQ_MASK) for row in found}


def _is_its_own(known: _Known, row: NewExecution) -> bool:
    return known[1:4] == (row.account, row.origin, row.id)


def _fall_back(
    organization: int, known: dict[int, _Known], row: NewExecution
) -> Program[tuple[str, int, _Known | None]]:
    """The derived id of a row whose wanted id another row has, and what is recorded under it."""
    candidates = [(derived, key_of(derived)) for derived in derived_ids(row)]
    unseen = [key for _, key in candidates if key not in known]
    if unseen:
        known.update((yield from _known(organization, unseen)))
    for derived, key in candidates:
        holder = known.get(key)
        if holder is None or _is_its_own(holder, row):
            return derived, key, holder
    raise AssertionError("a hash of account, id and origin belongs to another row")


def _repeated(existing: _Known, content: bytes) -> AppendResult:
    id_, *_, recorded, seq = existing
    if recorded == content:
        return AppendResult(outcome=Outcome.DUPLICATE, id=id_, seq=seq)
    message = f"Execution {id_[:128]} was recorded before with different content; the recorded one stands."
    return AppendResult(outcome=Outcome.CONFLICT, id=id_, seq=seq, message=message)


def _write(writes: _Writes, organization: int, id_: str, key: int, seq: int, encoded: Encoded, now_us: int) -> None:
    row, _, cell, body, content = encoded
    rid = organization << SEQ_BITS | seq
    writes.executions.append(
        (
            rid,
            organization,
            row.account,
            cell,
            key,
            id_,
            None if id_ == row.id else row.id,
            row.origin,
            row.name,
            stored_search(row),
            row.parent_id,
            row.created_at_us,
            row.started_at_us,
            row.finished_at_us,
            row.created_at_us if row.updated_at_us is None else row.updated_at_us,
            now_us,
            seq,
            content,
            body,
            None,
            None,
        )
    )
    if type(row.detail) is ExecutorDetail:
        facets = groups.facets_of(row.account, row.status, row.correlation, row.detail)
        writes.executors.append((len(writes.executions) - 1, facets))
        groups.collect(writes.groups, facets, row.detail)
    for name, value in row.correlation.items():
        writes.refs.append((organization, REFERENCE_CODE[name], value, row.created_at_us, rid))
    if row.parent_id is not None:
        writes.refs.append((organization, REFERENCE_CODE["parent_id"], row.parent_id, row.created_at_us, rid))
    entry = (row.created_at_us, rid, cell)
    writes.entries[-organization].append(entry)
    writes.entries[row.account].append(entry)
    if type(row.detail) is RunDetail:
        writes.runs.append((len(writes.executions) - 1, run_groups.facets_of(row), entry))
    daily.collect(writes.days, row.account, cell, row.created_at_us, row.detail)


def _apply(organization: int, seq: int, writes: _Writes) -> Program[None]:
    # First, since a row names its group.
    ids = yield from groups.put(organization, writes.groups)
    for place, facets in writes.executors:
        writes.executions[place] = (*writes.executions[place][:-2], ids[facets], None)
    if writes.runs:
        yield from _group_runs(organization, writes)
    yield Many(SQL["execution.add"], writes.executions)
    if writes.refs:
        yield Many(SQL["ref.add"], sorted(writes.refs))
    reach("ledger.append.rows")
    yield from tree.add({scope: sorted(of_scope) for scope, of_scope in writes.entries.items()})
    yield from daily.put(organization, writes.days)
    yield Fetch(SQL["stream.advance"], (organization, seq))
    reach("ledger.append.counted")


def _group_runs(organization: int, writes: _Writes) -> Program[None]:
    """Each run names its group, and is counted there as in its account."""
    ids = yield from run_groups.put(organization, (facets for _, facets, _ in writes.runs))
    for place, facets, entry in writes.runs:
        writes.executions[place] = (*writes.executions[place][:-1], ids[facets])
        writes.entries[ids[facets]].append(entry)

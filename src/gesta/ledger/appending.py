"""Append: rows, births in the feed, references, counters and sums in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from gesta.kernel.crash import reach
from gesta.kernel.json import encode_json
from gesta.ledger import daily, tree
from gesta.ledger.codes import REFERENCE_CODE, pack
from gesta.ledger.records import AppendResult, NewExecution, Outcome
from gesta.ledger.rows import SEQ_BITS, content_hash, derived_ids, encode_body, stored_search
from gesta.ledger.statements import SQL
from gesta.storage.program import Fetch, Many, Program


class Encoded(NamedTuple):
    """A row made ready outside the transaction."""

    row: NewExecution
    cell: int
    body: bytes
    content: bytes


class _Known(NamedTuple):
    """Whose an id is."""

    account: int
    origin: str
    external_id: str
    content: bytes
    seq: int


class _Writes:
    """The parameter rows that one append collects."""

    def __init__(self) -> None:
        self.executions: list[tuple[object, ...]] = []
        self.refs: list[tuple[object, ...]] = []
        self.entries: defaultdict[int, list[tree.Entry]] = defaultdict(list)
        self.days: dict[daily.DayKey, daily.Sums] = {}


def encode(row: NewExecution) -> Encoded:
    body = encode_body(row.detail, row.correlation, row.wire)
    cell = pack(row.kind, row.status, row.source, row.mode)
    return Encoded(row, cell, body, content_hash(row, cell, body))


def append(organization: int, rows: Sequence[Encoded], now_us: int) -> Program[list[AppendResult]]:
    """The program of `Ledger.append`. Raises nothing of its own: every row has a result."""
    locked = yield Fetch(SQL["stream.lock"], (organization,))
    first_seq = seq = int(locked[0][0])
    known = yield from _known(organization, [encoded.row.id for encoded in rows])
    taken = [encoded for encoded in rows if _is_taken(known.get(encoded.row.id), encoded.row)]
    if taken:
        fallbacks = [fallback for encoded in taken for fallback in derived_ids(encoded.row)]
        known.update((yield from _known(organization, fallbacks)))
    writes = _Writes()
    results = []
    for encoded in rows:
        id_, existing = _place(known, encoded.row)
        if existing is None and known.get(id_) is None and encoded.row.id in known and id_ != encoded.row.id:
            # The wanted id was taken by an earlier row of this very batch: its fallbacks were not looked up.
            known.update((yield from _known(organization, derived_ids(encoded.row))))
            id_, existing = _place(known, encoded.row)
        if existing is not None:
            results.append(_repeated(id_, existing, encoded.content))
            continue
        seq += 1
        known[id_] = _Known(encoded.row.account, encoded.row.origin, encoded.row.id, encoded.content, seq)
        _write(writes, organization, id_, seq, encoded, now_us)
        results.append(AppendResult(outcome=Outcome.RECORDED, id=id_, seq=seq))
    if seq > first_seq:
        yield from _apply(organization, seq, writes)
    return results


def _known(organization: int, ids: Sequence[str]) -> Program[dict[str, _Known]]:
    found = yield Fetch(SQL["execution.keys"], (organization, encode_json(ids).decode()))
    return {row[0]: _Known(row[1], row[2], row[3], bytes(row[4]), row[5]) for row in found}


def _is_taken(known: _Known | None, row: NewExecution) -> bool:
    return known is not None and known[:3] != (row.account, row.origin, row.id)


def _place(known: dict[str, _Known], row: NewExecution) -> tuple[str, _Known | None]:
    """The id this row has or gets, and what is recorded under it if it is this row's own."""
    for candidate in (row.id, *derived_ids(row)) if _is_taken(known.get(row.id), row) else (row.id,):
        holder = known.get(candidate)
        if holder is None or not _is_taken(holder, row):
            return candidate, holder
    raise AssertionError("a hash of account, id and origin belongs to another row")


def _repeated(id_: str, existing: _Known, content: bytes) -> AppendResult:
    if existing.content == content:
        return AppendResult(outcome=Outcome.DUPLICATE, id=id_, seq=existing.seq)
    message = f"Execution {id_[:128]} was recorded before with different content; the recorded one stands."
    return AppendResult(outcome=Outcome.CONFLICT, id=id_, seq=existing.seq, message=message)


def _write(writes: _Writes, organization: int, id_: str, seq: int, encoded: Encoded, now_us: int) -> None:
    row, cell, body, content = encoded
    rid = organization << SEQ_BITS | seq
    writes.executions.append(
        (
            rid,
            organization,
            row.account,
            cell,
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
        )
    )
    for name, value in row.correlation.items():
        writes.refs.append((organization, REFERENCE_CODE[name], value, row.created_at_us, rid))
    if row.parent_id is not None:
        writes.refs.append((organization, REFERENCE_CODE["parent_id"], row.parent_id, row.created_at_us, rid))
    entry = tree.Entry(row.created_at_us, rid, cell)
    writes.entries[-organization].append(entry)
    writes.entries[row.account].append(entry)
    daily.collect(writes.days, row.account, cell, row.created_at_us, row.detail)


def _apply(organization: int, seq: int, writes: _Writes) -> Program[None]:
    yield Many(SQL["execution.add"], writes.executions)
    if writes.refs:
        yield Many(SQL["ref.add"], sorted(writes.refs))
    reach("ledger.append.rows")
    tails = yield from tree.tails(writes.entries)
    for scope in sorted(writes.entries):
        yield from tree.add(scope, tails[scope], sorted(writes.entries[scope]))
    yield from daily.put(organization, writes.days)
    yield Fetch(SQL["stream.advance"], (organization, seq))
    yield Fetch(SQL["stream.notify"], (f"{organization}:{seq}",))
    reach("ledger.append.counted")

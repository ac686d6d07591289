"""Records to column values and back. The body is JSON bytes, encoded once at ingest."""

from __future__ import annotations

from hashlib import blake2b, sha256
from typing import Any

import msgspec

from gesta.kernel.errors import InvalidInput
from gesta.kernel.recent import Recent
from gesta.ledger.codes import (
    SEVERITIES,
    STATUSES,
    kind_of,
    mode_of,
    source_of,
    status_of,
)
from gesta.ledger.records import Detail, Event, Execution, ExecutorDetail, NewExecution, RunDetail, Wire
from gesta.storage.program import Row

# Positions of the feed live in the low bits, the organization in the high ones.
SEQ_BITS = 40
SEQ_MASK = (1 << SEQ_BITS) - 1

ROW_COLUMNS = (
    "rid, organization, account, cell, id, external_id, origin, name, parent_id, created_at, started_at, finished_at,"
    " updated_at, recorded_at, version, seq, body"
)


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What only readers of a whole record need."""

    detail: Detail
    correlation: dict[str, str] = {}
    wire: Wire | None = None


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Body)
_data_decoder = msgspec.json.Decoder(dict[str, Any])


def encode_body(detail: Detail, correlation: dict[str, str], wire: Wire | None) -> bytes:
    return _encoder.encode(Body(detail=detail, correlation=correlation, wire=wire))


def encode_data(data: dict[str, Any]) -> bytes | None:
    return _encoder.encode(data) if data else None


def content_hash(row: NewExecution, cell: int, body: bytes) -> bytes:
    """Sixteen bytes that differ when anything that the row says differs."""
    if row.content is not None:
        return sha256(row.content).digest()[:16]
    times = (row.created_at_us, row.started_at_us, row.finished_at_us, row.updated_at_us)
    # SHA-256, cut, is the fastest here: processors have instructions for it.
    return sha256(f"{row.name}\0{cell}\0{row.parent_id}\0{times}".encode() + body).digest()[:16]


def key_of(id_: str) -> int:
    """The signed 64-bit hash by which an id is indexed. Two ids with one key are told apart by the id itself."""
    return int.from_bytes(blake2b(id_.encode("utf-8", "replace"), digest_size=8).digest(), "big", signed=True)


def derived_ids(row: NewExecution) -> tuple[str, str]:
    """The ids to fall back to, in order, when another row of the organization has the wanted one."""
    return derived_id(row.account, row.id), derived_id(row.account, row.id, row.origin)


def derived_id(account: int, external_id: str, origin: str = "") -> str:
    return sha256(f"{account}\0{external_id}\0{origin}".encode()).hexdigest()[:32]


def search_text(row: NewExecution | Execution) -> str:
    """What `name_contains` looks into: the name and, of a run, the workflow's name; without case."""
    text = row.name
    if isinstance(row.detail, RunDetail) and row.detail.workflow.name:
        text = f"{text}\n{row.detail.workflow.name}"
    return text.casefold()


def stored_search(row: NewExecution) -> str | None:
    """The search text where the name itself does not serve; the databases fold the case of ASCII by themselves."""
    if row.name.isascii() and type(row.detail) is not RunDetail:
        return None
    text = search_text(row)
    return None if text == row.name else text


def check_words(detail: Detail) -> None:
    """Raise InvalidInput for words of an executor that no column can hold."""
    if type(detail) is not ExecutorDetail:
        return
    for name in ("executor_type", "connector", "trading_pair", "close_type"):
        word = getattr(detail, name) or ""
        if len(word) > 512 or "\0" in word:
            raise InvalidInput(f"`{name}` has at most 512 characters and no NUL character.", field=name)
        try:
            word.encode()
        except UnicodeEncodeError:
            raise InvalidInput("Text may not contain lone surrogates.", field=name) from None


def check_text(row: NewExecution) -> None:
    """Raise InvalidInput for text that PostgreSQL cannot hold, or an id of no use."""
    if not 0 < len(row.id) <= 256:
        raise InvalidInput("An id has 1 to 256 characters.", field="id")
    if len(row.name) > 1024:
        raise InvalidInput("A name has at most 1024 characters.", field="name")
    text = "".join((row.id, row.name, row.origin, row.parent_id or "", *row.correlation.values()))
    if "\0" in text:
        raise InvalidInput("Text may not contain the NUL character.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidInput("Text may not contain lone surrogates.") from None
    if any(len(value) > 512 for value in row.correlation.values()) or len(row.parent_id or "") > 512:
        raise InvalidInput("A correlation id has at most 512 characters.", field="correlation")
    check_words(row.detail)


# Equal columns give equal records, so a row that is read often is decoded once.
_decoded: Recent[tuple[Any, ...], Execution] = Recent(16 * 1024 * 1024)


def execution_of(row: Row) -> Execution:
    """An Execution from ROW_COLUMNS."""
    key = tuple(row)
    found = _decoded.get(key)
    if found is None:
        found = _decode(row)
        _decoded.put(key, found, 4 * len(row[16]) + 1000)
    return found


def _decode(row: Row) -> Execution:
    (_, organization, account, cell, id_, external_id, origin, name, parent_id, created_at, started_at, finished_at,
     updated_at, recorded_at, version, seq, body) = row  # fmt: skip
    decoded = _decoder.decode(body)
    return Execution(
        id=id_,
        organization=organization,
        account=account,
        kind=kind_of(cell),
        name=name,
        status=status_of(cell),
        source=source_of(cell),
        mode=mode_of(cell),
        origin=origin,
        external_id=external_id or id_,
        parent_id=parent_id,
        correlation=decoded.correlation,
        created_at_us=created_at,
        started_at_us=started_at,
        finished_at_us=finished_at,
        updated_at_us=updated_at,
        recorded_at_us=recorded_at,
        version=version,
        seq=seq,
        detail=decoded.detail,
        wire=decoded.wire,
    )


def event_of(row: Row, execution_id: str) -> Event:
    """An Event from the columns of `event.timeline`."""
    eid, at, recorded_at, type_, level, before, after, title, message, data = row
    return Event(
        seq=eid & SEQ_MASK,
        execution_id=execution_id,
        at_us=at,
        recorded_at_us=recorded_at,
        type=type_,
        level=SEVERITIES[level],
        from_status=None if before is None else STATUSES[before],
        to_status=None if after is None else STATUSES[after],
        title=title,
        message=message,
        data={} if data is None else _data_decoder.decode(data),
    )

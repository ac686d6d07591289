"""What every source yields: a fill, a document, or a refusal, each with the line it stood on. Plain frozen values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import format_us
from gesta.ledger.records import FillDetail, Kind, Source, Status


class FileError(InvalidInput):
    """The file as a whole cannot be imported: its message says why and what to do. Nothing of it was yielded."""

    code = "unreadable_file"


class RowError(InvalidInput):
    """One row cannot be imported; a source turns it into `Refused` and goes on."""


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One fill as a source read it. `line` counts from 1; `notes` say what was assumed about this row.

    `time_zone` is the zone in which the file told its times, `UTC` if it told them so.
    """

    line: int
    id: str
    account: str
    origin: str
    name: str
    at_us: int
    detail: FillDetail
    time_zone: str = "UTC"
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The fill as `POST /ledger/executions` takes it."""
        correlation = {"instrument": self.detail.instrument}
        if self.detail.order_id:
            correlation["order_id"] = self.detail.order_id
        at = format_us(self.at_us)
        return {
            "id": self.id,
            "account": self.account,
            "origin": self.origin,
            "kind": Kind.FILL.value,
            "name": self.name,
            "status": Status.SUCCEEDED.value,
            "source": Source.IMPORT.value,
            "created_at": at,
            "started_at": at,
            "finished_at": at,
            "correlation": correlation,
            "detail": _detail_document(self.detail),
        }


def _detail_document(detail: FillDetail) -> dict[str, Any]:
    """Only what differs from the defaults; numbers as decimal text, so that no reader makes a binary float of them."""
    fields = {name: value for name, value in msgspec.to_builtins(detail).items() if name != "type"}
    return {"kind": Kind.FILL.value, **fields}


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One JSON object that is posted as it stands, in Gesta's own shape or a vendor's."""

    line: int
    body: dict[str, Any]
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        return self.body


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A line that gave no row, and why."""

    line: int
    reason: str


Item = Fill | Document | Refused


class Reading(msgspec.Struct, kw_only=True):
    """A file opened for import: what was found out about it, and its rows, read lazily.

    `notes` are the assumptions about the file as a whole; a person should see them before the rows go in. `expected` is
    about how many items there will be, for a progress bar.
    """

    notes: tuple[str, ...]
    expected: int
    items: Iterator[Item]

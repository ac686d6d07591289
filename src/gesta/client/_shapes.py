"""What the client gives back. Executions, events and summary rows are dictionaries in the server's own words."""

from __future__ import annotations

from typing import Any

import msgspec

MAX_KEPT_PROBLEMS = 1000


class RowResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one posted row. `index` counts from 0 over everything that was given to `ingest`.

    `outcome` is `recorded`, `duplicate`, `conflict` or `invalid`; the last two have an `error` with `code`, `detail`
    and maybe `field`.
    """

    index: int
    outcome: str
    id: str = ""
    seq: int = 0
    error: dict[str, Any] | None = None

    @property
    def reason(self) -> str:
        """Why the row did not go in, in one line."""
        if not self.error:
            return ""
        field = self.error.get("field")
        return f"{field}: {self.error.get('detail', '')}" if field else str(self.error.get("detail", ""))


class IngestReport(msgspec.Struct, kw_only=True):
    """The sum of an ingest. `problems` holds the first MAX_KEPT_PROBLEMS conflicts and invalid rows; `last_seq` is the
    highest feed position of a row that was recorded by it."""

    recorded: int = 0
    duplicates: int = 0
    conflicts: int = 0
    invalid: int = 0
    last_seq: int = 0
    problems: list[RowResult] = []

    @property
    def rows(self) -> int:
        return self.recorded + self.duplicates + self.conflicts + self.invalid

    def add(self, result: RowResult) -> None:
        if result.outcome == "recorded":
            self.recorded += 1
            self.last_seq = max(self.last_seq, result.seq)
            return
        if result.outcome == "duplicate":
            self.duplicates += 1
            return
        if result.outcome == "conflict":
            self.conflicts += 1
        else:
            self.invalid += 1
        if len(self.problems) < MAX_KEPT_PROBLEMS:
            self.problems.append(result)


class StreamItem(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the change feed: the event and the execution as it stood when it was sent. Resume after `seq`."""

    seq: int
    event: dict[str, Any]
    execution: dict[str, Any]

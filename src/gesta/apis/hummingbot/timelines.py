"""The timeline of an executor as log entries, read whole or from where it was read to."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from gesta.access.model import Principal
from gesta.apis.hummingbot.codec import encode_log
from gesta.apis.hummingbot.parameters import LogsQuery
from gesta.desk.reading import Reading
from gesta.executors.vocabulary import MARKED
from gesta.ledger.records import Event, Execution

EVENTS_PER_READ = 1000


class Logs(msgspec.Struct, frozen=True, kw_only=True):
    """Entries, oldest first. `last_seq` is where the timeline was read to, `total_count` how many entries of the level
    that were; `has_more` says that more of it is there."""

    entries: list[dict[str, Any]]
    total_count: int
    last_seq: int
    has_more: bool = False


async def newest(reading: Reading, principal: Principal, execution: Execution, query: LogsQuery) -> Logs:
    """The newest `limit` of the whole timeline."""
    kept: deque[Event] = deque(maxlen=query.limit)
    total_count, last_seq, has_more = 0, 0, True
    while has_more:
        read = await reading.events(principal, execution, after_seq=last_seq, limit=EVENTS_PER_READ)
        of_level = _of_level(read.events, query)
        kept.extend(of_level)
        total_count += len(of_level)
        has_more = read.has_more
        last_seq = read.events[-1].seq if read.events else last_seq
    return Logs(entries=[encode_log(event) for event in kept], total_count=total_count, last_seq=last_seq)


async def following(
    reading: Reading, principal: Principal, execution: Execution, query: LogsQuery, *, after_seq: int
) -> Logs:
    """The next entries after `after_seq`, at most `limit`, in one read."""
    read = await reading.events(principal, execution, after_seq=after_seq, limit=EVENTS_PER_READ)
    of_level = _of_level(read.events, query)
    kept = of_level[: query.limit]
    last = kept[-1:] if len(kept) < len(of_level) else read.events[-1:]
    return Logs(
        entries=[encode_log(event) for event in kept],
        total_count=len(kept),
        last_seq=last[0].seq if last else after_seq,
        has_more=read.has_more or len(kept) < len(of_level),
    )


__all__ = ["Logs", "following", "newest"]


def _of_level(events: Sequence[Event], query: LogsQuery) -> list[Event]:
    return [event for event in events if event.type != MARKED and query.level in (None, event.level)]

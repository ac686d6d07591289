"""The list's query string, read, and the page it asks for (protocols/refold.md §3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec

from gesta.access.model import Principal
from gesta.apis.refold.paging import PageOf, read_page
from gesta.apis.refold.vocabulary import MODES_OF, SOURCES_OF, STATUSES_OF
from gesta.desk.reading import Reading
from gesta.kernel.errors import InvalidInput, NotFound
from gesta.kernel.slugs import slug_of
from gesta.kernel.times import DAY_US, parse_date, parse_rfc3339
from gesta.ledger.query import Filter
from gesta.ledger.records import Execution, Kind, Mode, RunDetail, Source, Status

T = TypeVar("T")

MAX_SLUGS = 20
MAX_ID_CHARS = 256
_FINER_THAN_MS = re.compile(r"\.\d{4}", re.ASCII)


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One list request. Empty sets and None mean no condition; times are from ≤ createdAt < to."""

    page: PageOf
    ascending: bool = False
    statuses: frozenset[Status] = frozenset()
    sources: frozenset[Source] = frozenset()
    modes: frozenset[Mode] = frozenset()
    created_from_us: int | None = None
    created_to_us: int | None = None
    workflow_id: str | None = None
    workflow_name: str | None = None
    execution_id: str | None = None
    slugs: tuple[str, ...] = ()


def read_query(query_string: bytes) -> dict[str, str]:
    """The parameters by name; of one that is repeated, the last. `+` is a space. Raises InvalidInput for bytes that
    are not UTF-8 and for NUL characters."""
    if not query_string:
        return {}
    try:
        found = dict(parse_qsl(query_string.decode("utf-8"), keep_blank_values=True, errors="strict"))
    except UnicodeDecodeError:
        raise InvalidInput("The query string is not UTF-8", where="query") from None
    for key, value in found.items():
        if "\0" in value:
            raise InvalidInput(f"`{key[:64]}` has a NUL character", field=key[:64], where="query")
    return found


def read_list(query: Mapping[str, str]) -> ListQuery:
    """Read every documented parameter and ignore the rest. Raises InvalidInput with the parameter's name."""
    start, end = query.get("start_date"), query.get("end_date")
    return ListQuery(
        page=read_page(query.get("page"), query.get("limit")),
        ascending=_flag(query, "sortAsc"),
        statuses=_words(query, "status", STATUSES_OF, upper=True),
        sources=_words(query, "execution_source", SOURCES_OF, upper=False),
        modes=_words(query, "execution_type", MODES_OF, upper=True),
        created_from_us=_start_us(start) if start else None,
        created_to_us=_end_us(end) if end else None,
        workflow_id=query.get("workflow_id") or None,
        workflow_name=query.get("workflow_name") or None,
        execution_id=query.get("execution_id") or None,
        slugs=_slugs(query.get("slug") or ""),
    )


def read_flag(query: Mapping[str, str], name: str) -> bool:
    """`true` or `false` without case; absent and empty are false."""
    return _flag(query, name)


def _flag(query: Mapping[str, str], name: str) -> bool:
    value = (query.get(name) or "false").casefold()
    if value not in ("true", "false"):
        raise InvalidInput(f"`{name}` is true or false", field=name, where="query")
    return value == "true"


def _words(query: Mapping[str, str], name: str, table: Mapping[str, frozenset[T]], *, upper: bool) -> frozenset[T]:
    """The union of a comma-separated list of words, without case. `All` anywhere, or nothing, is no condition."""
    chosen: frozenset[T] = frozenset()
    for part in query.get(name, "").split(","):
        word = part.strip().upper() if upper else part.strip().casefold()
        if word in ("ALL", "all"):
            return frozenset()
        if word and word not in table:
            known = ", ".join(["All", *table])
            raise InvalidInput(f"`{name}` is one of {known}; it is {part[:64]!r}", field=name, where="query")
        chosen |= table.get(word, frozenset())
    return chosen


def _slugs(text: str) -> tuple[str, ...]:
    slugs = tuple(dict.fromkeys(slug_of(part) or part for part in text.split(",") if part.strip()))
    if len(slugs) > MAX_SLUGS:
        raise InvalidInput(f"`slug` names at most {MAX_SLUGS} applications", field="slug", where="query")
    return slugs


def _start_us(text: str) -> int:
    """A date is its first instant; a timestamp is taken literally."""
    at_us, _ = moment_us(text, "start_date")
    return at_us


def _end_us(text: str) -> int:
    """The first instant that is too late: a date means all of its day, and a timestamp all of its last printed
    millisecond, since `createdAt` is printed in milliseconds."""
    at_us, is_day = moment_us(text, "end_date")
    return at_us + (DAY_US if is_day else 1 if _FINER_THAN_MS.search(text) else 1000)


def moment_us(text: str, name: str) -> tuple[int, bool]:
    """The instant, and whether the text is a whole day."""
    try:
        day_us = parse_date(text)
        return (parse_rfc3339(text), False) if day_us is None else (day_us, True)
    except InvalidInput as error:
        raise InvalidInput(f"`{name}`: {error.message}", field=name, where="query") from None


async def find(reading: Reading, principal: Principal, asked: ListQuery) -> tuple[list[Execution], int]:
    """The page's rows and the exact total, within the principal's linked account."""
    query = reading.filter(
        principal,
        kinds=frozenset({Kind.RUN}),
        statuses=asked.statuses,
        sources=asked.sources,
        modes=asked.modes,
        created_from_us=asked.created_from_us,
        created_to_us=asked.created_to_us,
        name_contains=asked.workflow_name,
        correlation={"workflow_id": asked.workflow_id} if asked.workflow_id else {},
        applications=frozenset(asked.slugs),
    )
    if asked.execution_id is not None:
        return await _find_one(reading, principal, query, asked)
    page = asked.page
    if page.limit == 0:
        return [], await reading.count(principal, query)
    found = await reading.page(
        principal, query, offset=page.offset, limit=page.limit, newest_first=not asked.ascending, total=True
    )
    return found.rows, found.total or 0


async def _find_one(
    reading: Reading, principal: Principal, query: Filter, asked: ListQuery
) -> tuple[list[Execution], int]:
    """`execution_id` names one execution; the other filters must hold for it too."""
    row = await get(reading, principal, asked.execution_id or "")
    if row is None or not _holds(query, asked, row):
        return [], 0
    return ([row] if asked.page.offset == 0 and asked.page.limit else []), 1


async def get(reading: Reading, principal: Principal, execution_id: str) -> Execution | None:
    """The run with this id in the principal's linked account. An id that none can have needs no search."""
    if len(execution_id) > MAX_ID_CHARS or "\0" in execution_id:
        return None
    try:
        return await reading.get(principal, execution_id, kind=Kind.RUN)
    except NotFound:
        return None


def _holds(query: Filter, asked: ListQuery, row: Execution) -> bool:
    return (
        (not query.statuses or row.status in query.statuses)
        and (not query.sources or row.source in query.sources)
        and (not query.modes or row.mode in query.modes)
        and (query.created_from_us is None or row.created_at_us >= query.created_from_us)
        and (query.created_to_us is None or row.created_at_us < query.created_to_us)
        and (query.name_contains is None or query.name_contains.casefold() in _searchable(row))
        and all(row.correlation.get(key) == value for key, value in query.correlation.items())
        and (not query.applications or row.correlation.get("application") in query.applications)
    )


def _searchable(row: Execution) -> str:
    """The text in which the ledger looks for a part of a run's name."""
    workflow = row.detail.workflow.name if isinstance(row.detail, RunDetail) else ""
    return f"{row.name}\n{workflow}".casefold()

"""What a request of this dialect carries besides its path: bearer token, organization header, query. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import msgspec
from starlette.datastructures import QueryParams

from gesta.apis.b3os.codec import RUN_PREFIX, STATUSES_OF_NAME, workflow_word
from gesta.apis.common.posted import MAX_ID, MAX_NAME
from gesta.kernel.errors import Forbidden, InvalidInput, Unauthenticated
from gesta.kernel.times import parse_date, parse_rfc3339
from gesta.ledger.cursor import decode_cursor
from gesta.ledger.query import Cursor
from gesta.ledger.records import Status

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
MAX_OFFSET = 2**53 - 1
DEFAULT_EVENTS = MAX_EVENTS = 10_000
MAX_EVENT_SEQ = 2**63 - 1

# Query parameter → correlation by which the ledger finds it.
CORRELATION_PARAMETERS = {"workflowId": "workflow_id", "externalRef": "external_ref", "orderId": "order_id"}

# A path may name anything but control characters; whether there is such an execution is another question.
ID_PATTERN = r"^[^\u0000-\u001f\u007f]+$"
_ID = re.compile(ID_PATTERN[1:-1])
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_EVENT_ID = re.compile(r"evt_([0-9]{1,19})", re.ASCII)


def bearer_token(header: str | None) -> str:
    """The token of an `Authorization: Bearer …` header. Raises Unauthenticated(reason="missing")."""
    scheme, _, token = (header or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("Send `Authorization: Bearer <API key>`; keys start with b3sk_.", reason="missing")
    return token


def check_organization(headers: list[str], public_id: str) -> None:
    """`X-Org-ID` may be left out; where it is sent, it names the key's own organization. Raises Forbidden."""
    if any(header.strip() != public_id for header in headers):
        raise Forbidden("This API key does not belong to the organization that X-Org-ID names.", header="X-Org-ID")


def path_id(text: str) -> str:
    """An execution id as a path has it. Raises InvalidInput(field="id") for what no id can be."""
    if len(text) > MAX_ID or _ID.fullmatch(text) is None:
        raise InvalidInput(
            f"An execution id has 1 to {MAX_ID} characters, none a control character.", field="id", where="path"
        )
    return text


MAX_PATH = 400
MAX_TOKEN = 512
MAX_NODES = 100
_PATH_WORD = re.compile(r"[^\u0000-\u001f\u007f]+")


def path_word(text: str, what: str) -> str:
    """A run, workflow, node or version as a path has it. Raises InvalidInput."""
    if len(text) > MAX_PATH or _PATH_WORD.fullmatch(text) is None:
        raise InvalidInput(
            f"The {what} in the path has 1 to {MAX_PATH} characters, none a control character.",
            field=what,
            where="path",
            problem="path",
        )
    return text


def run_words(text: str) -> tuple[str, ...]:
    """What the record may call the run that a path names: runs of this server are printed with a prefix."""
    path_word(text, "run")
    return (text.removeprefix(RUN_PREFIX), text) if text.startswith(RUN_PREFIX) and text != RUN_PREFIX else (text,)


def version_number(text: str) -> int:
    """A version as a path has it. Raises InvalidInput."""
    if _DIGITS.fullmatch(text) is None or len(text) > 9 or int(text) < 1:
        raise InvalidInput("A version is a whole number from 1.", field="version", where="path", problem="path")
    return int(text)


def token_of(query: QueryParams, name: str) -> str:
    """A client token or a secret in the query. Raises InvalidInput."""
    text = single(query, name)
    if not text or len(text) > MAX_TOKEN:
        raise _refused(name, f"Send `{name}`: 1 to {MAX_TOKEN} characters.", problem="token")
    return text


class RunQuery(msgspec.Struct, frozen=True, kw_only=True):
    summary: bool = False
    node_ids: frozenset[str] = frozenset()


def run_query(query: QueryParams) -> RunQuery:
    """`summary` and `nodeIds` of one run. Raises InvalidInput."""
    summary, nodes = single(query, "summary"), single(query, "nodeIds")
    word = (summary or "").lower()
    if word not in ("", "true", "false", "1", "0"):
        raise _refused("summary", "`summary` must be true or false.", problem="view")
    return RunQuery(summary=word in ("true", "1"), node_ids=words_of(nodes, "nodeIds"))


def words_of(text: str | None, name: str) -> frozenset[str]:
    """Words separated by commas. Raises InvalidInput for too many."""
    words = frozenset(word for each in (text or "").split(",") if (word := each.strip()))
    if len(words) > MAX_NODES:
        raise _refused(name, f"`{name}` names at most {MAX_NODES}.", problem="view")
    return words


def search_of(query: QueryParams) -> str:
    """Raises InvalidInput."""
    text = single(query, "search") or ""
    if len(text) > MAX_NAME or "\0" in text:
        raise _refused("search", f"`search` is text of at most {MAX_NAME} characters without NUL.", problem="view")
    return text


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """`by_cursor` tells whether the caller pages by cursor; `after` None is then the first page."""

    limit: int = DEFAULT_LIMIT
    offset: int = 0
    by_cursor: bool = False
    after: Cursor | None = None
    statuses: frozenset[Status] = frozenset()
    correlation: dict[str, str] = {}
    created_from_us: int | None = None
    created_to_us: int | None = None


def list_query(query: QueryParams, words: Mapping[str, frozenset[Status]] = STATUSES_OF_NAME) -> ListQuery:
    """The query of a list; `words` are what `status` may be. A limit above 100 is clamped, unknown parameters are
    ignored; anything else that does not fit raises InvalidInput with the parameter as `field`."""
    page, cursor = page_query(query), single(query, "cursor")
    if cursor is not None and "offset" in query:
        raise _refused("cursor", "Page by `cursor` or by `offset`, not by both.")
    after, before = _moment(query, "createdAfter"), _moment(query, "createdBefore")
    return ListQuery(
        limit=page.limit,
        offset=page.offset,
        by_cursor=cursor is not None,
        after=decode_cursor(cursor) if cursor else None,
        statuses=_statuses(single(query, "status"), words),
        correlation={
            correlation: workflow_word(value) if name == "workflowId" else value
            for name, correlation in CORRELATION_PARAMETERS.items()
            if (value := _reference(query, name)) is not None
        },
        created_from_us=None if after is None else after + 1,
        created_to_us=before,
    )


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    limit: int
    offset: int


def page_query(query: QueryParams) -> PageQuery:
    """`limit` and `offset`, as of every list. Raises InvalidInput."""
    limit, offset = single(query, "limit"), single(query, "offset")
    return PageQuery(
        limit=DEFAULT_LIMIT if limit is None else _count("limit", limit, least=1, most=MAX_LIMIT, clamp=True),
        offset=0 if offset is None else _count("offset", offset, least=0, most=MAX_OFFSET, clamp=False),
    )


def one_of(query: QueryParams, name: str, words: Collection[str]) -> str | None:
    """Raises InvalidInput for any other word."""
    text = single(query, name)
    if text is not None and text not in words:
        raise _refused(name, f"`{name}` must be one of {', '.join(words)}.")
    return text


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """At most `limit` events after the one with the number `after_seq`."""

    limit: int = DEFAULT_EVENTS
    after_seq: int = 0


def events_query(query: QueryParams) -> EventsQuery:
    """The query of the events list. Raises InvalidInput with the parameter as `field`."""
    limit, after = single(query, "limit"), single(query, "after")
    match = None if after is None else _EVENT_ID.fullmatch(after)
    if after is not None and (match is None or int(match[1]) > MAX_EVENT_SEQ):
        raise _refused("after", "`after` must be the id of an event, like evt_42.")
    return EventsQuery(
        limit=DEFAULT_EVENTS if limit is None else _count("limit", limit, least=1, most=MAX_EVENTS, clamp=True),
        after_seq=int(match[1]) if match else 0,
    )


def single(query: QueryParams, name: str) -> str | None:
    given = query.getlist(name)
    if len(given) > 1:
        raise _refused(name, f"`{name}` must be given once; it was given {len(given)} times.", problem="duplicate")
    return given[0] if given else None


def _refused(name: str, message: str, **details: str) -> InvalidInput:
    return InvalidInput(message, field=name, where="query", **details)


def _count(name: str, text: str, *, least: int, most: int, clamp: bool) -> int:
    if _DIGITS.fullmatch(text) is None:
        raise _refused(name, f"`{name}` must be a whole number from {least}.")
    # More digits than any bound has: int() of a very long text would be slow.
    count = int(text) if len(text) <= 20 else 10**20
    if count < least:
        raise _refused(name, f"`{name}` must be a whole number from {least}.")
    if count > most and not clamp:
        raise _refused(name, f"`{name}` must be at most {most}.")
    return min(count, most)


def _moment(query: QueryParams, name: str) -> int | None:
    text = single(query, name)
    if text is None:
        return None
    try:
        midnight = parse_date(text, field=name)
        return parse_rfc3339(text, field=name) if midnight is None else midnight
    except InvalidInput as error:
        raise _refused(name, f"`{name}`: {error.message}") from None


def _statuses(text: str | None, words: Mapping[str, frozenset[Status]]) -> frozenset[Status]:
    if text is None:
        return frozenset()
    names = [name.strip() for name in text.split(",")]
    if any(name not in words for name in names):
        raise _refused("status", f"`status` must be among {', '.join(words)}; separate several by commas.")
    return frozenset().union(*(words[name] for name in names))


def _reference(query: QueryParams, name: str) -> str | None:
    text = single(query, name)
    if text is not None and (not 0 < len(text) <= MAX_NAME or "\0" in text):
        raise _refused(name, f"`{name}` must be text of 1 to {MAX_NAME} characters without NUL.")
    return text

"""Runs in groups: what a list by workflow, application or a part of the name reads instead of rows.

A group is one combination of account, workflow, application and search text, and a scope of the counter tree like an
account: exact totals, pages at any depth, under any status, source, mode and dates. A run enters its group at its birth
and stays. A workflow whose runs have very many names has one more group, of no text, for all further ones; a list by a
part of the name that may match there is answered from the rows (scanning.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from gesta.kernel.json import encode_json
from gesta.ledger.query import Filter
from gesta.ledger.records import Execution, Kind, NewExecution
from gesta.ledger.rows import key_of, search_text
from gesta.ledger.statements import SQL
from gesta.storage.program import Fetch, Many, Program, Statement, postgres_text, sqlite_text

# A group's id is its organization and its number.
NUMBER_BITS = 32
NUMBER_MASK = (1 << NUMBER_BITS) - 1
# So many different texts of one account, workflow and application have groups of their own.
MOST_NAMES = 16
# More groups than these are not looked at, or not merged: the rows are.
MOST_LOOKED_AT = 5000
MOST_MERGED = 256
WORDS = ("workflow_id", "application")


class TooMany(Exception):
    """The groups do not answer this query; the rows do."""


class Facets(NamedTuple):
    """What makes a group, with '' for what is not said. `search` None: whatever the text."""

    account: int
    workflow_id: str
    application: str
    search: str | None

    @property
    def key(self) -> int:
        return key_of(encode_json(self).decode())


def facets_of(row: NewExecution | Execution) -> Facets:
    workflow_id, application = (row.correlation.get(word, "") for word in WORDS)
    return Facets(row.account, workflow_id, application, search_text(row))


def put(organization: int, wanted: Iterable[Facets]) -> Program[dict[Facets, int]]:
    """The ids of these groups, made where they are new. Runs under the organization's lock."""
    asked = sorted(set(wanted))
    if not asked:
        return {}
    rows = yield Fetch(SQL["run_group.get"], (organization, encode_json([each.key for each in asked]).decode()))
    ids = {Facets(*row[1:]): row[0] for row in rows}
    missing = [each for each in asked if each not in ids]
    if missing:
        yield from _make(organization, missing, ids)
    return {each: ids[each] for each in asked}


def _make(organization: int, missing: list[Facets], ids: dict[Facets, int]) -> Program[None]:
    workflows = encode_json(sorted({each.workflow_id for each in missing})).decode()
    accounts = encode_json(sorted({each.account for each in missing})).decode()
    rows = yield Fetch(SQL["run_group.of_workflows"], (organization, workflows, accounts))
    names: Counter[Facets] = Counter()
    for id_, *words in rows:
        facets = Facets(*words)
        names[facets._replace(search=None)] += facets.search is not None
        if facets.search is None:
            ids[facets] = id_
    first = organization << NUMBER_BITS
    newest = yield Fetch(SQL["run_group.newest"], (first, first | NUMBER_MASK))
    last = newest[0][0] or first
    made = []
    for each in missing:
        any_text = each._replace(search=None)
        own = each if names[any_text] < MOST_NAMES else any_text
        if own not in ids:
            last += 1
            ids[own] = last
            names[any_text] += own is each
            made.append((last, organization, own.key, *own))
        ids[each] = ids[own]
    if made:
        yield Many(SQL["run_group.add"], made)


def of_rows(rids: Iterable[int]) -> Program[Mapping[int, int]]:
    """The group of each of these runs."""
    rows = yield Fetch(SQL["execution.run_groups"], (encode_json(sorted(rids)).decode(),))
    return {row[0]: row[1] for row in rows}


# -- reading


def answer(query: Filter) -> bool:
    """Whether groups may answer a query that the counters of its scope alone cannot."""
    return (
        query.kinds == {Kind.RUN}
        and query.parent_id is None
        and not query.accounts
        and query.correlation.keys() <= set(WORDS)
        and all((*query.correlation.values(), *query.applications))
    )


def scopes(query: Filter) -> Program[list[int]]:
    """The scopes whose runs are those of a query that `answer`s, whatever else it asks of them: groups, or its own
    account or organization where all groups of that match. Raises TooMany."""
    parameters: list[Any] = [query.organization]
    conditions = ["organization = $1"]
    for column, value in (("account", query.account), *query.correlation.items()):
        if value is not None:
            parameters.append(value)
            conditions.append(f"{column} = ${len(parameters)}")
    if query.applications:
        parameters.append(encode_json(sorted(query.applications)).decode())
        conditions.append(f"@texts(application, ${len(parameters)})")
    text = f"SELECT id, search FROM run_groups WHERE {' AND '.join(conditions)} LIMIT {MOST_LOOKED_AT + 1}"  # noqa: S608 — names of this file only
    rows = yield Fetch(Statement("run_groups", sqlite_text(text), postgres_text(text)), parameters)
    if len(rows) > MOST_LOOKED_AT:
        raise TooMany
    if query.name_contains:
        part = query.name_contains.casefold()
        if any(search is None for _, search in rows):
            raise TooMany
        matching = [id_ for id_, search in rows if part in search]
    else:
        matching = [id_ for id_, _ in rows]
    if not query.correlation and not query.applications and matching and len(matching) == len(rows):
        return [-query.organization if query.account is None else query.account]
    if len(matching) > MOST_MERGED:
        raise TooMany
    return matching

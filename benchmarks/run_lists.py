"""Workflow runs as clients of B3OS and Refold list them, among 10,000 and 1,000,000: every filter, the first and the
last page of 20.

The real application without its engines, one for each size in this process, is called over ASGI, lap by lap in turn:
authentication, query, page, exact totals and printing are in the figures, the socket is not. One organization with 20
linked accounts in production, of which `acme` has two fifths of the runs, and one in test; 30 workflows of 9
applications, of which one starts a fifth of the runs; a tenth of the runs comes up to an hour late. CPU time is that of
this process and of the database server.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec

from benchmarks.databases import Postgres, database_at, scattered_id, temporary_folder
from benchmarks.harness import Contender, CpuClock, Report, against, bar, in_turn, ratio, repeated, us
from benchmarks.served import SETTINGS
from gesta.access.model import AccountType, CredentialType, Environment, Scope
from gesta.app.build import MIGRATIONS, compose, dialects_of, open_core, services_of
from gesta.app.settings import load_settings
from gesta.kernel.clock import SystemClock
from gesta.kernel.times import format_ms
from gesta.ledger.records import Mode, Named, NewExecution, RunDetail, Source, Status
from gesta.ledger.store import StoredLedger
from gesta.ledger.verify import verify
from gesta.storage.migrate import migrations_of

GOAL = 1.5
LIMIT = 20
BATCH = 2000
ROUNDS = 15
LAP_S = 0.015
MOST_CALLS = 12
START_US = 1_700_000_000_000_000
HOUR_US = 3_600_000_000
YEAR_US = 365 * 24 * HOUR_US
# Change it when the rows below change, so that kept data sets are made anew.
EDITION = "1"

APPLICATIONS = ("hubspot", "salesforce", "slack", "stripe", "notion", "jira", "shopify", "zendesk", "quickbooks")
VERBS = ("Sync", "Import", "Export", "Notify", "Refund")
WORKFLOWS = tuple(
    (f"wf{number:022x}", f"{VERBS[number % 5]} {APPLICATIONS[number % 9]} records {number}", APPLICATIONS[number % 9])
    for number in range(30)
)
# The first starts a fifth of the runs, the last two a hundredth each.
WEIGHTS = (20, *(3,) * 26, 1, 1, 1)
STATUSES = {
    Status.SUCCEEDED: 700,
    Status.FAILED: 120,
    Status.CANCELLED: 60,
    Status.RUNNING: 40,
    Status.QUEUED: 30,
    Status.WAITING: 30,
    Status.TIMED_OUT: 20,
}
ENDED = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.TIMED_OUT})
SOURCES = {Source.API: 5, Source.EVENT: 3, Source.SCHEDULE: 2}
LINKED = 20


def rows_of(total: int, accounts: tuple[int, ...]) -> Iterator[NewExecution]:
    """The same rows for the same total, spread over a year; the last account is that of the test environment."""
    dice = random.Random(total)  # Not for secrets.
    shares = (40, *(3,) * (LINKED - 1), 3)
    step_us = YEAR_US // total
    for number in range(total):
        at_us = START_US + number * step_us - (dice.randrange(HOUR_US) if dice.random() < 0.1 else 0)
        (workflow, name, application), *_ = dice.choices(WORKFLOWS, WEIGHTS)
        status = dice.choices(tuple(STATUSES), tuple(STATUSES.values()))[0]
        ended = status in ENDED
        yield NewExecution(
            id=scattered_id(number)[:24],
            account=dice.choices(accounts, shares)[0],
            origin="gesta",
            name=f"Execution for workflow {workflow}",
            status=status,
            source=dice.choices(tuple(SOURCES), tuple(SOURCES.values()))[0],
            mode=Mode.SYNC if dice.random() < 0.3 else Mode.ASYNC,
            created_at_us=at_us,
            started_at_us=None if status is Status.QUEUED else at_us + 20_000,
            finished_at_us=at_us + 3_000_000 if ended else None,
            updated_at_us=at_us + 3_000_000 if ended else at_us + 20_000,
            detail=RunDetail(
                workflow=Named(id=workflow, name=name),
                application=Named(id=application, name=application.title()),
                external_ref=f"order-{number}",
                request_payload={"customer": number, "items": [1, 2, 3]},
                response_payload={"ok": True} if ended else None,
            ),
            correlation={"workflow_id": workflow, "application": application, "external_ref": f"order-{number}"},
        )


# -- what is asked


class Query(NamedTuple):
    """`pages` False: what matches at most one run has no last page."""

    name: str
    words: dict[str, str]
    pages: bool = True


def moment(share: float) -> str:
    return format_ms(START_US + int(share * YEAR_US) // 1000 * 1000 + 777_000)


COMMON = WORKFLOWS[0]
RARE = WORKFLOWS[-1]
UNKNOWN = "f" * 24


def refold_queries(total: int) -> list[Query]:
    early, late = {"start_date": moment(0.25)}, {"end_date": moment(0.75)}
    one = {"execution_id": scattered_id(first_of_acme(total))[:24]}
    return [
        Query("no filter", {}),
        Query("sortAsc", {"sortAsc": "true"}),
        Query("limit 0", {"limit": "0"}, False),
        Query("page past the end", {"page": "1000000"}, False),
        Query("status, common", {"status": "COMPLETED"}),
        Query("status, 2 %", {"status": "TIMED_OUT"}),
        Query("status, none", {"status": "STOPPING"}, False),
        Query("source", {"execution_source": "Event"}),
        Query("type", {"execution_type": "SYNC"}),
        Query("start_date", early),
        Query("end_date", late),
        Query("both dates", early | late),
        Query("dates, none", {"start_date": "2031-01-01"}, False),
        Query("workflow_id, 20 %", {"workflow_id": COMMON[0]}),
        Query("workflow_id, 1 %", {"workflow_id": RARE[0]}),
        Query("workflow_id, none", {"workflow_id": UNKNOWN}, False),
        Query("workflow_name, one", {"workflow_name": COMMON[1].lower()}),
        Query("workflow_name, some", {"workflow_name": "refund"}),
        Query("workflow_name, all", {"workflow_name": "records"}),
        Query("workflow_name, none", {"workflow_name": "no such name"}, False),
        Query("slug", {"slug": "slack"}),
        Query("slug, two", {"slug": "slack,jira"}),
        Query("slug, none", {"slug": "nobody"}, False),
        Query("execution_id", one, False),
        Query("execution_id, none", {"execution_id": UNKNOWN}, False),
        Query("status, source, type", {"status": "ERRORED", "execution_source": "Event", "execution_type": "SYNC"}),
        Query("status, dates", {"status": "ERRORED"} | early | late),
        Query("workflow_id, status", {"workflow_id": COMMON[0], "status": "ERRORED"}),
        Query("workflow_id, dates", {"workflow_id": COMMON[0]} | early | late),
        Query("workflow_id, slug", {"workflow_id": COMMON[0], "slug": COMMON[2]}),
        Query("workflow_id, other slug", {"workflow_id": COMMON[0], "slug": "jira"}, False),
        Query("slug, status", {"slug": "slack", "status": "COMPLETED"}),
        Query("slug, dates", {"slug": "slack"} | early | late),
        Query("workflow_name, status", {"workflow_name": "refund", "status": "ERRORED"}),
        Query(
            "all but the id",
            {"workflow_id": COMMON[0], "workflow_name": "sync", "slug": COMMON[2], "status": "COMPLETED"}
            | {"execution_source": "API Call", "execution_type": "ASYNC"}
            | early
            | late,
        ),
    ]


def b3os_queries(total: int) -> list[Query]:
    early, late = {"createdAfter": moment(0.25)}, {"createdBefore": moment(0.75)}
    return [
        Query("no filter", {}),
        Query("offset past the end", {"offset": "1000000000"}, False),
        Query("cursor", {"cursor": ""}, False),
        Query("status, common", {"status": "workflow_succeeded"}),
        Query("status, 6 %", {"status": "workflow_cancelled"}),
        Query("status, none", {"status": "awaiting_payment"}, False),
        Query("createdAfter", early),
        Query("createdBefore", late),
        Query("both dates", early | late),
        Query("workflowId, 20 %", {"workflowId": COMMON[0]}),
        Query("workflowId, 1 %", {"workflowId": RARE[0]}),
        Query("workflowId, none", {"workflowId": UNKNOWN}, False),
        Query("externalRef", {"externalRef": f"order-{total // 3}"}, False),
        Query("externalRef, none", {"externalRef": "order-x"}, False),
        Query("orderId, none", {"orderId": "order-x"}, False),
        Query("status, dates", {"status": "workflow_failed"} | early | late),
        Query("workflowId, status", {"workflowId": COMMON[0], "status": "workflow_failed"}),
        Query("workflowId, dates", {"workflowId": COMMON[0]} | early | late),
        Query("workflowId, status, dates", {"workflowId": COMMON[0], "status": "workflow_failed"} | early | late),
        Query("workflowId, externalRef", {"workflowId": COMMON[0], "externalRef": "order-5"}, False),
    ]


def first_of_acme(total: int) -> int:
    return next(number for number, row in enumerate(rows_of(total, tuple(range(LINKED + 1)))) if row.account == 0)


# -- data sets


def edition() -> str:
    checksums = "".join(each.checksum for component in MIGRATIONS for each in migrations_of(*component))
    return hashlib.sha256(f"{EDITION}{checksums}".encode()).hexdigest()[:12]


async def make(url: str, place: str, total: int) -> None:
    with temporary_folder() as folder:
        config = folder / "gesta.toml"
        config.write_text(SETTINGS)
        async with open_core(load_settings(config, {"database.url": url})) as core:
            organization = (await core.access.create_organization("Benchmark")).id
            names = [("acme" if number == 0 else f"linked{number}", Environment.PRODUCTION) for number in range(LINKED)]
            accounts = tuple(
                [
                    (await core.access.ensure_account(organization, name, AccountType.LINKED, environment)).id
                    for name, environment in [*names, ("acme", Environment.TEST)]
                ]
            )
    database = database_at(place)
    await database.start()
    try:
        ledger = StoredLedger(database, SystemClock())
        progress, advance = bar(f"making {total:,} runs", total)
        rows = rows_of(total, accounts)
        with progress:
            while batch := list(itertools.islice(rows, BATCH)):
                await ledger.append(organization, batch)
                advance(len(batch))
        if total <= 10_000 and (faults := (await verify(database)).faults):
            raise RuntimeError(faults[0])
    finally:
        await database.stop()


async def sqlite_with(total: int, folder: Path) -> str:
    path = folder / f"runs-{total}-{edition()}.sqlite3"
    if not path.exists():
        partial_ = fresh(folder / "runs-partial.sqlite3")
        await make(f"sqlite:///{partial_}", str(partial_), total)
        shutil.move(partial_, path)
    return f"sqlite:///{path}"


def fresh(path: Path) -> Path:
    """The path, of which nothing is left from a run that was stopped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(path.name + "*"):
        leftover.unlink()
    return path


async def postgres_with(total: int, server: Postgres) -> str:
    name = f"runs_{total}_{edition()}"
    if not await server.has(name):
        await server.drop("runs_partial")
        url = await server.create("runs_partial")
        await make(url, url, total)
        await server.execute(f"ALTER DATABASE runs_partial RENAME TO {name}")
        # As the server's own housekeeping does soon after.
        await server.execute("VACUUM ANALYZE", name)
    return server.url(name)


# -- the application


class House:
    """The application over one data set, and how to ask it."""

    def __init__(self, total: int, app: Any, keys: dict[str, bytes]) -> None:
        self.total = total
        self._app = app
        self._keys = keys

    async def ask(self, dialect: str, words: dict[str, str]) -> dict[str, Any]:
        """The decoded body of a list. Raises RuntimeError for any status but 200."""
        status, body = await self.call(dialect, urlencode(words).encode())
        if status != 200:
            raise RuntimeError(f"{dialect} {words} was answered {status}: {body[:500]!r}")
        decoded: dict[str, Any] = msgspec.json.decode(body)
        return decoded

    async def call(self, dialect: str, query: bytes) -> tuple[int, bytes]:
        path = "/v1/executions" if dialect == "b3os" else "/api/v2/public/execution"
        headers = [(b"host", b"gesta.test"), (b"accept", b"*/*")]
        if dialect == "b3os":
            headers.append((b"authorization", b"Bearer " + self._keys["b3os"]))
        else:
            headers += [(b"x-api-key", self._keys[dialect]), (b"linked_account_id", b"acme")]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        status, parts = 0, []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                parts.append(message.get("body", b""))

        await self._app(scope, receive, send)
        return status, b"".join(parts)


async def house_at(stack: AsyncExitStack, url: str, total: int) -> House:
    config = stack.enter_context(temporary_folder()) / "gesta.toml"
    config.write_text(SETTINGS)
    core = await stack.enter_async_context(open_core(load_settings(config, {"database.url": url})))
    (organization,) = await core.access.organizations()
    keys = {}
    for name, type_, environment in (
        ("b3os", CredentialType.B3OS, None),
        ("refold", CredentialType.API_KEY, Environment.PRODUCTION),
        ("refold, test", CredentialType.API_KEY, Environment.TEST),
    ):
        made = await core.access.create_credential(
            organization.id, type=type_, scopes=frozenset({Scope.READ}), environment=environment
        )
        keys[name] = made.secret.encode()
    return House(total, compose(core, dialects_of(services_of(core))), keys)


# -- measuring


async def last_page(house: House, dialect: str, query: Query) -> dict[str, str]:
    """The words that ask for the last full page: both sizes shall print the same number of runs. Raises RuntimeError
    where a page is not what its neighbours and the total say."""
    if dialect == "refold":
        total = (await house.ask(dialect, query.words | {"limit": str(LIMIT)}))["totalDocs"]
    else:
        total = await count(house, query)
    words = {"page": str(total // LIMIT)} if dialect == "refold" else {"offset": str(total - LIMIT)}
    full = await house.ask(dialect, query.words | words | {"limit": str(LIMIT)})
    rows = full["docs"] if dialect == "refold" else full["data"]["items"]
    more = full["hasNextPage"] if dialect == "refold" else full["data"]["hasMore"]
    if len(rows) != LIMIT or more != (dialect == "refold" and total % LIMIT > 0):
        raise RuntimeError(f"{dialect} {query.name}: {words} of {total} has {len(rows)} runs, more: {more}")
    return words


async def count(house: House, query: Query) -> int:
    """B3OS tells no totals: the offset at which nothing is left."""
    low, high = 0, house.total
    while low < high:
        middle = (low + high) // 2
        answer = await house.ask("b3os", query.words | {"limit": "1", "offset": str(middle)})
        low, high = (middle + 1, high) if answer["data"]["items"] else (low, middle)
    return low


async def contender(house: House, dialect: str, words: dict[str, str]) -> Contender:
    """As many calls in a lap as take some milliseconds."""
    query = urlencode({"limit": str(LIMIT)} | words).encode()
    started_s = time.perf_counter()
    for _ in range(2):
        await house.call(dialect, query)
    lasts_s = (time.perf_counter() - started_s) / 2
    return repeated(partial(house.call, dialect, query), max(1, min(MOST_CALLS, int(LAP_S / lasts_s))))


async def measure(database: str, options: Any) -> None:
    async with AsyncExitStack() as stack:
        cpu: CpuClock = lambda: 0.0  # noqa: E731
        server: Postgres | None = None
        if database == "postgres":
            server = Postgres(options.data / "postgres")
            stack.callback(server.stop)
            cpu = server.cpu
        houses = []
        for size in (options.rows[0], options.rows[-1]):
            url = await (postgres_with(size, server) if server else sqlite_with(size, options.data))
            houses.append(await house_at(stack, url, size))
        await compare(database, houses, cpu, 3 if options.quick else ROUNDS)


async def compare(database: str, houses: list[House], cpu: CpuClock, rounds: int) -> None:
    small, large = houses
    queries = {"refold": [*map(refold_queries, (small.total, large.total))]}
    queries["b3os"] = [*map(b3os_queries, (small.total, large.total))]
    report = Report(
        f"run_lists-{database}",
        f"Workflow runs listed on {database}, p50 of a page of {LIMIT} with {small.total:,} and {large.total:,} runs",
        ["dialect", "filter", "page", f"{small.total:,}", f"{large.total:,}", "growth", "of wall time"],
        f"Growth: CPU time of the application and of the database, medians of the rounds. Goal: ≤ {GOAL}.",
    )
    progress, advance = bar("queries", sum(len(each[0]) for each in queries.values()))
    with progress:
        for dialect, (of_small, of_large) in queries.items():
            for one, other in zip(of_small, of_large, strict=True):
                for page in ("first", "last") if one.pages else ("first",):
                    await compare_one(report, dialect, page, (small, one), (large, other), cpu, rounds)
                advance(1)
    report.finish()


async def compare_one(
    report: Report,
    dialect: str,
    page: str,
    small: tuple[House, Query],
    large: tuple[House, Query],
    cpu: CpuClock,
    rounds: int,
) -> None:
    contenders: dict[str, Contender] = {}
    for size, (house, query) in (("small", small), ("large", large)):
        words = query.words | (await last_page(house, dialect, query) if page == "last" else {})
        contenders[size] = await contender(house, dialect, words)
    taken = await in_turn(contenders, rounds=rounds, others=cpu)
    growth = ratio(taken["large"], taken["small"], "cpu_us")
    report.add(
        dialect,
        small[1].name,
        page,
        us(taken["small"].wall_us),
        us(taken["large"].wall_us),
        against(growth, GOAL),
        f"{ratio(taken['large'], taken['small']):.2f}",
    )
    for size, laps in taken.items():
        report.keep(f"{dialect}, {small[1].name}, {page}: {size}", laps)

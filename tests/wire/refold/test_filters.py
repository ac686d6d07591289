"""Every filter of the page and of protocols/refold.md §3."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gesta.access.model import AccountType
from gesta.apis.refold.codec import correlation_of
from gesta.ledger.records import (
    Mode,
    Named,
    NewExecution,
    RunDetail,
    Source,
    Status,
)

LIST = "/api/v2/public/execution"
T0_US = 1_773_000_000_000_000  # 2026-03-08T20:00:00Z
HOUR_US = 3_600_000_000

APPLICATIONS = ("Slack", "Google Sheets", "HubSpot")


def run(number: int, account: int, **fields: Any) -> NewExecution:
    """The `number`-th of a deterministic mixture, an hour after the one before."""
    detail = RunDetail(
        workflow=Named(id=f"wf{number % 4}", name=f"Workflow {'AbCd'[number % 4]}"),
        application=Named(name=APPLICATIONS[number % 3]),
    )
    defaults: dict[str, Any] = {
        "id": f"{number:024x}",
        "account": account,
        "origin": "gesta",
        "name": detail.workflow.name,
        "status": list(Status)[number % len(Status)],
        "source": list(Source)[number % len(Source)],
        "mode": list(Mode)[number % 2],
        "created_at_us": T0_US + number * HOUR_US,
        "detail": detail,
        "correlation": correlation_of(detail),
    }
    return NewExecution(**(defaults | fields))


@pytest.fixture
async def runs(world: Any) -> list[NewExecution]:
    account = await world.access.ensure_account(1, "default", AccountType.LINKED)
    rows = [run(number, account.id) for number in range(60)]
    await world.record(*rows)
    return rows


async def ids(client: httpx.AsyncClient, query: str, headers: dict[str, str]) -> list[str]:
    """Every match, over pages of 7, with the total checked on each of them."""
    found: list[str] = []
    page: int | None = 1
    while page is not None:
        answer = await client.get(f"{LIST}?{query}&limit=7&page={page}", headers=headers)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found += [item["_id"] for item in body["docs"]]
        total, page = body["totalDocs"], body["nextPage"]
    assert len(found) == total
    return found


RUNNING = {Status.AWAITING_PAYMENT, Status.PAID, Status.QUEUED, Status.RUNNING, Status.WAITING}
API = {Source.API, Source.MANUAL, Source.IMPORT, Source.VENUE, Source.SIMULATED}
DAY9 = range(4, 28)  # the runs created on 2026-03-09

CASES: list[tuple[str, Any]] = [
    ("status=All", lambda n, row: True),
    ("status=ALL", lambda n, row: True),
    ("status=", lambda n, row: True),
    ("status=RUNNING", lambda n, row: row.status in RUNNING),
    ("status=COMPLETED", lambda n, row: row.status is Status.SUCCEEDED),
    ("status=ERRORED", lambda n, row: row.status is Status.FAILED),
    ("status=STOPPING", lambda n, row: row.status is Status.STOPPING),
    ("status=STOPPED", lambda n, row: row.status is Status.CANCELLED),
    ("status=timed_out", lambda n, row: row.status is Status.TIMED_OUT),
    ("status=ERRORED,STOPPED", lambda n, row: row.status in {Status.FAILED, Status.CANCELLED}),
    ("status=COMPLETED&status=ERRORED", lambda n, row: row.status is Status.FAILED),
    ("execution_source=All", lambda n, row: True),
    ("execution_source=Event", lambda n, row: row.source is Source.EVENT),
    ("execution_source=SCHEDULE", lambda n, row: row.source is Source.SCHEDULE),
    ("execution_source=schedule", lambda n, row: row.source is Source.SCHEDULE),
    ("execution_source=API+Call", lambda n, row: row.source in API),
    ("execution_source=API%20Call", lambda n, row: row.source in API),
    ("execution_source=API_CALL", lambda n, row: row.source in API),
    ("execution_type=All", lambda n, row: True),
    ("execution_type=SYNC", lambda n, row: row.mode is Mode.SYNC),
    ("execution_type=async", lambda n, row: row.mode is Mode.ASYNC),
    ("start_date=2026-03-09", lambda n, row: n >= 4),
    ("end_date=2026-03-09", lambda n, row: n < 28),
    ("start_date=2026-03-09&end_date=2026-03-09", lambda n, row: n in DAY9),
    ("start_date=2026-03-10&end_date=2026-03-09", lambda n, row: False),
    ("start_date=2026-03-08T22:00:00.000Z", lambda n, row: n >= 2),
    ("start_date=2026-03-08T22:00:00.001Z", lambda n, row: n >= 3),
    ("end_date=2026-03-08T22:00:00.000Z", lambda n, row: n <= 2),
    ("end_date=2026-03-08T21:59:59.999Z", lambda n, row: n <= 1),
    ("start_date=2026-03-09T01:00:00%2B02:00", lambda n, row: n >= 3),
    ("start_date=&end_date=", lambda n, row: True),
    ("workflow_id=wf2", lambda n, row: n % 4 == 2),
    ("workflow_id=none", lambda n, row: False),
    ("workflow_name=FLOW+c", lambda n, row: n % 4 == 2),
    ("workflow_name=work", lambda n, row: True),
    ("workflow_name=%25", lambda n, row: False),
    ("slug=slack", lambda n, row: n % 3 == 0),
    ("slug=google_sheets", lambda n, row: n % 3 == 1),
    ("slug=Google-Sheets", lambda n, row: n % 3 == 1),
    ("slug=slack,hubspot", lambda n, row: n % 3 in (0, 2)),
    ("slug=slack,hubspot,,none,Slack", lambda n, row: n % 3 in (0, 2)),
    ("slug=none", lambda n, row: False),
    ("slug=,", lambda n, row: True),
    ("linked_account_id=other&what=ever&offset=7", lambda n, row: True),
    (
        "status=RUNNING&execution_source=API+Call&execution_type=ASYNC&slug=slack,google_sheets&workflow_name=b",
        lambda n, row: row.status in RUNNING and row.source in API and n % 2 == 1 and n % 3 < 2 and n % 4 == 1,
    ),
]


@pytest.mark.parametrize("sort", ["false", "true"])
@pytest.mark.parametrize(("query", "holds"), CASES, ids=[case[0] for case in CASES])
async def test_filter(
    client: httpx.AsyncClient,
    runs: list[NewExecution],
    as_default: dict[str, str],
    query: str,
    holds: Any,
    sort: str,
) -> None:
    expected = [row.id for number, row in enumerate(runs) if holds(number, row)]
    found = await ids(client, f"{query}&sortAsc={sort}", as_default)
    assert found == (expected if sort == "true" else expected[::-1])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", True),
        ("&status=RUNNING", True),
        ("&status=ERRORED", False),
        ("&execution_type=SYNC", False),
        ("&execution_source=Schedule", False),
        ("&start_date=2026-03-09", False),
        ("&end_date=2026-03-07", False),
        ("&workflow_id=wf1", True),
        ("&workflow_id=wf2", False),
        ("&workflow_name=B", True),
        ("&workflow_name=zz", False),
        ("&slug=google_sheets,none", True),
        ("&slug=slack", False),
    ],
)
async def test_execution_id_joins_the_other_filters(
    client: httpx.AsyncClient, runs: list[NewExecution], as_default: dict[str, str], query: str, found: bool
) -> None:
    body = (await client.get(f"{LIST}?execution_id={runs[1].id}{query}", headers=as_default)).json()
    assert [item["_id"] for item in body["docs"]] == ([runs[1].id] if found else [])
    assert body["totalDocs"] == int(found)


async def test_execution_id_pages_like_any_list(
    client: httpx.AsyncClient, runs: list[NewExecution], as_default: dict[str, str]
) -> None:
    for query in ("&page=2", "&limit=0"):
        body = (await client.get(f"{LIST}?execution_id={runs[0].id}{query}", headers=as_default)).json()
        assert body["docs"] == []
        assert body["totalDocs"] == 1


@pytest.mark.parametrize("limit", [1, 3, 50])
@pytest.mark.parametrize("page", [1, 2, 9, 10**12])
async def test_applications_are_merged_in_time_order_at_any_depth(
    client: httpx.AsyncClient, runs: list[NewExecution], as_default: dict[str, str], page: int, limit: int
) -> None:
    for ascending in (False, True):
        expected = [row.id for number, row in enumerate(runs) if number % 3]
        expected = expected if ascending else expected[::-1]
        query = f"slug=hubspot,google_sheets&page={page}&limit={limit}&sortAsc={str(ascending).lower()}"
        body = (await client.get(f"{LIST}?{query}", headers=as_default)).json()
        assert [item["_id"] for item in body["docs"]] == expected[(page - 1) * limit : page * limit]
        assert body["totalDocs"] == len(expected)


async def test_executions_of_equal_time_are_paged_without_loss(
    world: Any, client: httpx.AsyncClient, as_default: dict[str, str]
) -> None:
    account = await world.access.ensure_account(1, "default", AccountType.LINKED)
    await world.record(*(run(number, account.id, created_at_us=T0_US) for number in range(30)))
    for query in ("slug=slack,hubspot", "slug=slack", "status=All"):
        found = await ids(client, query, as_default)
        assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=DONE", "status"),
        ("status=COMPLETED,DONE", "status"),
        ("execution_source=Webhook", "execution_source"),
        ("execution_type=BOTH", "execution_type"),
        ("sortAsc=yes", "sortAsc"),
        ("start_date=2026-02-30", "start_date"),
        ("end_date=2026-13-01", "end_date"),
        ("start_date=yesterday", "start_date"),
        ("start_date=1773000000", "start_date"),
        ("end_date=2026-03-09T25:00:00Z", "end_date"),
        ("end_date=20260309", "end_date"),
        ("slug=" + ",".join(f"s{number}" for number in range(21)), "slug"),
        ("workflow_name=%00", "workflow_name"),
        ("execution_id=a%00b", "execution_id"),
        ("slug=%FF", "UTF-8"),
    ],
)
async def test_a_wrong_filter_is_named(
    client: httpx.AsyncClient, runs: list[NewExecution], as_default: dict[str, str], query: str, field: str
) -> None:
    answer = await client.get(f"{LIST}?{query}", headers=as_default)
    body = answer.json()
    assert answer.status_code == body["status_code"] == 400
    assert body["error_code"] == body["error"] == "VALIDATION_ERROR"
    assert body["http_error_type"] == "BAD_REQUEST"
    assert field in body["message"]

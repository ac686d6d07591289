"""The published page's own exchanges (seed 004)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gesta.ledger.records import NewEvent, Outcome, Status, Transition

LIST = "/api/v2/public/execution"
TEST_ACCOUNT = {"x-api-key": "tk_1", "linked_account_id": "default"}


async def test_the_posted_example_comes_out_equal(world: Any, client: httpx.AsyncClient, golden: Any) -> None:
    await world.post(golden["list"]["docs"][0])
    answer = await client.get(f"{LIST}?page=1&limit=10&status=All&execution_source=All", headers=TEST_ACCOUNT)
    assert answer.status_code == 200
    assert answer.json() == golden["list"]
    assert answer.headers["content-type"] == "application/json"


async def test_the_envelope_keys_stand_in_mongoose_order(world: Any, client: httpx.AsyncClient, golden: Any) -> None:
    await world.post(golden["list"]["docs"][0])
    answer = await client.get(LIST, headers=TEST_ACCOUNT)
    assert list(answer.json()) == list(golden["list"])


@pytest.mark.parametrize(
    "query",
    [
        "page=1&limit=10&status=ERRORED",
        "page=1&limit=10&status=All&start_date=2023-10-31&end_date=2023-10-31",
        "execution_source=Event&execution_type=ASYNC",
        "workflow_id=64f7258e35b72267edc02589",
        "workflow_name=post+message",
        "execution_id=65410cf6cdf931a12d7ab009",
        "slug=slack",
    ],
)
async def test_the_pages_own_filters_find_the_example(
    world: Any, client: httpx.AsyncClient, golden: Any, query: str
) -> None:
    await world.post(golden["list"]["docs"][0])
    answer = await client.get(f"{LIST}?{query}", headers=TEST_ACCOUNT)
    assert answer.json() == golden["list"]


async def test_the_example_has_a_detail(world: Any, client: httpx.AsyncClient, golden: Any) -> None:
    await world.post(golden["list"]["docs"][0])
    answer = await client.get(f"{LIST}/65410cf6cdf931a12d7ab009", headers=TEST_ACCOUNT)
    assert answer.json() == golden["list"]["docs"][0] | {"completion_percentage": 0, "nodes": []}


async def test_posting_it_twice_adds_nothing(world: Any, client: httpx.AsyncClient, golden: Any) -> None:
    example = golden["list"]["docs"][0]
    outcomes = [(await world.post(example)).outcome for _ in range(2)]
    assert outcomes == [Outcome.RECORDED, Outcome.DUPLICATE]
    assert (await world.post(example | {"config_id": "other"})).outcome is Outcome.CONFLICT
    assert (await client.get(LIST, headers=TEST_ACCOUNT)).json() == golden["list"]


async def test_what_changes_after_the_ingest_is_printed(world: Any, client: httpx.AsyncClient, golden: Any) -> None:
    example = golden["list"]["docs"][0]
    posted = await world.post(example)
    await world.ledger.transition(
        1, posted.id, Transition(event=NewEvent(type="execution.running"), status=Status.RUNNING)
    )
    item = (await client.get(LIST, headers=TEST_ACCOUNT)).json()["docs"][0]
    assert item == example | {"status": "RUNNING", "updatedAt": "2025-10-09T08:53:20.000Z"}


async def test_a_missing_account_is_the_published_400(client: httpx.AsyncClient, golden: Any) -> None:
    answer = await client.get(LIST, headers={"x-api-key": "pk_1"})
    published = golden["error_400"]
    assert answer.status_code == 400
    body = answer.json()
    assert body == published | {"request_id": body["request_id"], "error": published["error_code"]}


async def test_a_wrong_key_is_the_published_401(client: httpx.AsyncClient, golden: Any) -> None:
    answer = await client.get(LIST, headers={"x-api-key": "pk_none", "linked_account_id": "default"})
    published = golden["error_401"]
    assert answer.status_code == 401
    assert answer.json() == published | {"error": published["error_code"]}
    assert answer.headers["www-authenticate"] == "Bearer"

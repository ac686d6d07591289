"""Linked accounts, as an organization's key manages them (protocols/refold.md §1)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gesta.access.model import Scope

PATH = "/api/v2/public/linked-account"
KEY = {"x-api-key": "tk_1"}


async def test_an_account_is_created_once(client: httpx.AsyncClient) -> None:
    first = await client.post(PATH, headers=KEY, json={"account_id": "user_12345", "name": "Acme Inc."})
    assert first.status_code == 200
    assert first.json()["new_account"] is True
    assert (first.json()["account_id"], first.json()["environment"], first.json()["integrations"]) == (
        "user_12345",
        "test",
        None,
    )
    again = await client.put(PATH, headers=KEY, json={"linked_account_id": "USER_12345", "payload": {"name": "x"}})
    assert (again.json()["_id"], again.json()["new_account"]) == (first.json()["_id"], False)
    page = (await client.get(PATH, headers=KEY)).json()
    assert [each["account_id"] for each in page["docs"]] == ["user_12345"]
    assert (page["totalDocs"], page["page"], page["limit"]) == (1, 1, 10)
    assert (await client.get(f"{PATH}/user_12345", headers=KEY)).json()["account_id"] == "user_12345"
    tokens = await client.post("/api/v2/public/session-token", headers=KEY, json={"linked_account_id": "user_12345"})
    assert tokens.status_code == 200


async def test_each_environment_has_its_own(client: httpx.AsyncClient) -> None:
    await client.post(PATH, headers=KEY, json={"account_id": "a"})
    for other in ("pk_1", "tk_2"):
        headers = {"x-api-key": other}
        assert (await client.get(PATH, headers=headers)).json()["totalDocs"] == 0
        assert (await client.get(f"{PATH}/a", headers=headers)).status_code == 404


async def test_a_session_is_of_one_account(client: httpx.AsyncClient) -> None:
    await client.post(PATH, headers=KEY, json={"account_id": "a"})
    token = (await client.post("/api/v2/public/session-token", headers=KEY, json={"linked_account_id": "a"})).json()
    bearer = {"authorization": f"Bearer {token['token']}"}
    own = await client.put(PATH, headers=bearer, json={"name": "Mine"})
    assert (own.status_code, own.json()["account_id"]) == (200, "a")
    assert (await client.put(PATH, headers=bearer, json={"account_id": "b"})).status_code == 400
    assert (await client.get(PATH, headers=bearer)).status_code == 403
    assert (await client.post(PATH, headers=bearer, json={"account_id": "b"})).status_code == 403
    assert (await client.post(PATH, headers={"authorization": "Bearer x"}, json={})).status_code == 401


@pytest.mark.parametrize("posted", [{}, {"account_id": ""}, {"account_id": 5}, {"account_id": "a", "udf": []}, []])
async def test_an_account_needs_an_id(client: httpx.AsyncClient, posted: Any) -> None:
    answer = await client.post(PATH, headers=KEY, json=posted)
    assert answer.status_code == 400
    if posted == {}:
        assert answer.json()["error_code"] == "INVALID_LINKED_ACCOUNT_ID"
        assert answer.json()["message"] == "linked_account_id required"
    assert (await client.get(PATH, headers=KEY)).json()["totalDocs"] == 0


async def test_a_reader_creates_none(world: Any, client: httpx.AsyncClient) -> None:
    world.access.add_key("tk_9", 1, Scope.READ)
    headers = {"x-api-key": "tk_9"}
    assert (await client.post(PATH, headers=headers, json={"account_id": "a"})).status_code == 403
    assert (await client.get(PATH, headers=headers)).json()["totalDocs"] == 0

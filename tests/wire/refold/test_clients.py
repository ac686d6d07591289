"""What the published SDKs do with an answer (protocols/refold.md §1, §7), call by call.

The browser SDK calls `res.json()` on every answer and throws the parsed object at 400 and above. The Node SDK adds
`linked_account_id` to the query, throws `Error(body.message)`, and takes an empty or falsy 2xx body for a failure.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

LIST = "/api/v2/public/execution"


class Thrown(Exception):
    def __init__(self, body: Any) -> None:
        super().__init__(body)
        self.body = body


class BrowserSdk:
    def __init__(self, http: httpx.AsyncClient, token: str, base_url: str = "http://gesta") -> None:
        self._http, self._token, self._base_url = http, token, base_url

    async def _fetch(self, path: str, params: dict[str, Any] | None = None) -> Any:
        answer = await self._http.get(
            self._base_url + path,
            params=params,
            headers={
                "authorization": f"Bearer {self._token}",
                "content-type": "application/json",
                "origin": "https://app.example",
            },
        )
        body = answer.json()
        if answer.status_code >= 400:
            raise Thrown(body)
        return body

    async def get_executions(self, **params: Any) -> Any:
        return await self._fetch(LIST, params)

    async def get_execution(self, execution_id: str) -> Any:
        return await self._fetch(f"{LIST}/{execution_id}")


class NodeSdk:
    def __init__(self, http: httpx.AsyncClient, key: str) -> None:
        self._http, self._headers = http, {"x-api-key": key}

    async def _call(self, method: str, path: str, account: str, **more: Any) -> Any:
        params = more.pop("params", {}) | {"linked_account_id": account}
        headers = self._headers | {"linked_account_id": account}
        answer = await self._http.request(method, path, params=params, headers=headers, **more)
        body = answer.json()
        if answer.status_code >= 400 or not body:
            raise RuntimeError(body["message"])
        return body

    async def get_token(self, account: str) -> str:
        body = await self._call("POST", "/api/v2/public/session-token", account, json={"linked_account_id": account})
        return str(body["token"])

    async def get_executions(self, account: str, **params: Any) -> Any:
        return await self._call("GET", LIST, account, params=params)

    async def get_execution_by_id(self, account: str, execution_id: str) -> Any:
        return await self._call("GET", f"{LIST}/{execution_id}", account)


@pytest.fixture
async def node(world: Any, client: httpx.AsyncClient) -> NodeSdk:
    for number in range(12):
        await world.post(
            {
                "_id": f"{number:024x}",
                "createdAt": f"2026-03-01T00:00:{number:02d}.000Z",
                "status": "COMPLETED" if number % 2 else "ERRORED",
                "linked_account_id": "user_12345",
                "associated_workflow": {"_id": "wf", "name": "Sync", "icon": ""},
            }
        )
    return NodeSdk(client, "pk_1")


async def test_node(node: NodeSdk) -> None:
    page = await node.get_executions("user_12345", page=2, limit=5)
    assert (page["totalDocs"], page["limit"], page["totalPages"], page["page"]) == (12, 5, 3, 2)
    one = await node.get_execution_by_id("user_12345", page["docs"][0]["_id"])
    assert one["associated_workflow"]["name"] == "Sync"
    with pytest.raises(RuntimeError, match="Execution not found"):
        await node.get_execution_by_id("user_12345", "65410cf6cdf931a12d7ab009")
    with pytest.raises(RuntimeError, match="Invalid linked_account_id"):
        await node.get_executions("nobody")


async def test_browser(node: NodeSdk, client: httpx.AsyncClient) -> None:
    sdk = BrowserSdk(client, await node.get_token("user_12345"))
    page = await sdk.get_executions(page=1, limit=4, status="ERRORED", execution_source="API Call", anything="else")
    assert page["totalDocs"] == 6
    assert (await sdk.get_execution(page["docs"][0]["_id"]))["nodes"] == []
    with pytest.raises(Thrown) as thrown:
        await sdk.get_execution("65410cf6cdf931a12d7ab009")
    assert thrown.value.body["message"] == "Execution not found"
    with pytest.raises(Thrown) as thrown:
        await BrowserSdk(client, "expired").get_executions()
    assert thrown.value.body["error_code"] == "INVALID_TOKEN"


async def test_the_documented_loop_over_has_next_page(node: NodeSdk) -> None:
    seen, page, more = [], 1, True
    while more:
        result = await node.get_executions("user_12345", page=page, limit=5)
        seen += result["docs"]
        more, page = result["hasNextPage"], page + 1
    assert len(seen) == 12
    assert sum(item["status"] == "ERRORED" for item in seen) == 6


async def test_the_harness_that_polls(node: NodeSdk) -> None:
    page = await node.get_executions(
        "user_12345",
        workflow_id="wf",
        execution_source="API Call",
        limit=10,
        sortAsc="false",
        start_date="2026-03-01T00:00:06.000Z",
    )
    assert [item["createdAt"][17:19] for item in page["docs"]] == ["11", "10", "09", "08", "07", "06"]

"""Bad input: each gets this dialect's own error, none a 500."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gesta.apis.crosstrade.arguments import MAX_QUERY_BYTES

LIST = "/v1/api/accounts/Sim101/executions"


def refused(reply: httpx.Response, status: int, error: str) -> dict[str, Any]:
    assert reply.headers["content-type"] == "application/json"
    body: dict[str, Any] = reply.json()
    assert (reply.status_code, body["success"], body["error"]) == (status, False, error)
    assert isinstance(body["detail"], str)
    assert body["detail"]
    return body


@pytest.mark.parametrize(
    "query",
    [
        "lookbackTime=abc",
        "lookbackTime=-1",
        "lookbackTime=0",
        "lookbackTime=",
        "lookbackTime=1.5",
        "lookbackTime=1e3",
        "lookbackTime=+5",
        "lookbackTime=%205",
        "lookbackTime=0x10",
        "lookbackTime=true",
        "lookbackTime=null",
        "lookbackTime=%D9%A3",
        "lookbackTime=2147483648",
        "lookbackTime=99999999999999999999999999",
        "lookbackTime=320&lookbackTime=320",
        "lookbackTime=%FF",
        "lookbackTime=%00",
        "limit=0",
        "limit=-1",
        "limit=abc",
        "limit=1001",
        "limit=1000000000000",
        "limit=1&limit=2",
        "cursor=",
        "cursor=abc",
        "cursor=%00",
        "cursor=%C3%BC",
        "cursor=" + "A" * 23,
        "from=yesterday",
        "from=2024-02-30",
        "from=2024-02-30T00:00:00Z",
        "from=99999999999999999999",
        "from=999999999999999",
        "from=",
        "to=2024-13-01",
        "to=2024-01-01T25:00:00Z",
        "x=" + "y" * MAX_QUERY_BYTES,
        "&".join(f"p{number}=1" for number in range(300)),
    ],
)
async def test_a_bad_query_is_an_invalid_request(client: httpx.AsyncClient, query: str) -> None:
    refused(await client.get(f"{LIST}?{query}"), 400, "Invalid request")


async def test_unknown_parameters_are_ignored(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{LIST}?_=1&_=2&account=Rival1")).json() == {"executions": [], "success": True}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer gst_mine x"},
        {"Authorization": "Basic Z3N0X21pbmU6"},
        {"Authorization": "gst_mine"},
        {"Authorization": b"Bearer \xff\xfe"},
        {"Authorization": "Bearer " + "x" * 5000},
    ],
)
@pytest.mark.parametrize("path", [LIST, f"{LIST}/a", "/v1/api/accounts", "/v1/api/accounts/Sim101/orders/o/executions"])
async def test_without_a_valid_token_nothing_is_said(house: Any, headers: Any, path: str) -> None:
    transport = httpx.ASGITransport(house.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gesta.test") as anonymous:
        reply = await anonymous.get(path, headers=headers)
    refused(reply, 401, "unauthorized")
    assert reply.headers["www-authenticate"] == "Bearer"


async def test_a_token_given_twice_is_refused(house: Any) -> None:
    transport = httpx.ASGITransport(house.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gesta.test") as anonymous:
        pairs = [("Authorization", "Bearer gst_mine"), ("Authorization", "Bearer gst_rival")]
        refused(await anonymous.get(LIST, headers=pairs), 401, "unauthorized")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/v1/api/accounts/Nobody/executions", "invalid_account"),
        ("/v1/api/accounts/Nobody/executions/a", "invalid_account"),
        ("/v1/api/accounts/linked@example.com/executions", "invalid_account"),
        ("/v1/api/accounts/%00/executions", "invalid_account"),
        (f"/v1/api/accounts/{'n' * 600}/executions", "invalid_account"),
        (f"{LIST}/exec_a1b2c3", "invalid_execution"),
        (f"{LIST}/12345", "invalid_execution"),
        (f"{LIST}/a%00b", "invalid_execution"),
        (f"{LIST}/%FF%FE", "invalid_execution"),
        (f"{LIST}/a%2Fb", "invalid_execution"),
        (f"{LIST}/{'x' * 600}", "invalid_execution"),
        (f"{LIST}/..%2F..%2Faccounts", "invalid_execution"),
    ],
)
async def test_what_is_not_there_is_a_400(client: httpx.AsyncClient, path: str, error: str) -> None:
    refused(await client.get(path), 400, error)


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/v1/api/accounts/Sim101/execution", LIST),
        ("/v1/api/account/Sim101/executions", LIST),
        ("/v1/api/accounts/Sim101/executions/", LIST),
        ("/v1/api/accounts/Sim101/Executions/abc/events", f"{LIST}/abc"),
        ("/v1/api/accounts/Sim101/executions/abc/events", f"{LIST}/abc"),
        ("/v1/api/accounts/Sim101/orders/o1/fills", "/v1/api/accounts/Sim101/orders/o1/executions"),
        ("/v1/api/accounts/", "/v1/api/accounts"),
        ("/v1/api/endpoints", "/v1/api/_endpoints"),
        ("/v1/api", "/v1/api/accounts"),
        ("/ws/streams", "/ws/stream"),
        ("/ws/stream", "/ws/stream"),
        ("/v1/api/" + "x" * 5000, None),
    ],
)
async def test_an_unknown_path_is_told_the_closest(client: httpx.AsyncClient, path: str, meant: str | None) -> None:
    body = refused(await client.get(path), 404, "not_found")
    assert isinstance(body["did_you_mean"], str)
    if meant is not None:
        assert body["did_you_mean"] == meant


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"])
async def test_another_method_is_a_405_that_says_which(client: httpx.AsyncClient, method: str) -> None:
    reply = await client.request(method, LIST)
    assert reply.status_code == 405
    assert reply.headers["allow"] == "GET"
    assert reply.headers["content-type"] == "application/json"


async def test_over_the_rate(house: Any, client: httpx.AsyncClient) -> None:
    house.access.refuse_after["crosstrade"] = 2
    assert [(await client.get(LIST)).status_code for _ in range(2)] == [200, 200]
    reply = await client.get(LIST)
    body = refused(reply, 429, "Rate limit exceeded")
    assert reply.headers["retry-after"] == "1"
    assert body["retryAfter"] == 1


async def test_wrong_arguments_draw_on_the_rate_too(house: Any, client: httpx.AsyncClient) -> None:
    house.access.refuse_after["crosstrade"] = 1
    refused(await client.get(f"{LIST}?lookbackTime=x"), 400, "Invalid request")
    refused(await client.get(f"{LIST}?lookbackTime=x"), 429, "Rate limit exceeded")


async def test_a_database_out_of_reach_is_a_503_that_says_when(house: Any, client: httpx.AsyncClient) -> None:
    house.access.is_down = True
    reply = await client.get(LIST)
    refused(reply, 503, "unavailable")
    assert int(reply.headers["retry-after"]) >= 1


async def test_what_nobody_foresaw_is_a_500_without_internals(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret internals")

    monkeypatch.setattr(house.ledger, "seek", broken)
    transport = httpx.ASGITransport(house.app, raise_app_exceptions=False)
    headers = {"Authorization": "Bearer gst_mine"}
    async with httpx.AsyncClient(transport=transport, base_url="http://gesta.test", headers=headers) as client:
        reply = await client.get(LIST)
    refused(reply, 500, "internal_error")
    assert "secret" not in reply.text


async def test_a_body_on_a_get_is_not_read(client: httpx.AsyncClient) -> None:
    assert (await client.request("GET", LIST, content=b"[" * 20_000)).status_code == 200

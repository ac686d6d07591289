"""Both ways to authenticate, sessions, isolation, errors and CORS (protocols/refold.md §1, §7)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gesta.access.model import AccountType, Environment, Scope

LIST = "/api/v2/public/execution"
TOKENS = "/api/v2/public/session-token"
ACTIVE = "/api/v2/public/session/active-linked-account"
MARK = "markwood@some_email.com"
ERROR_KEYS = {"status_code", "http_error_type", "error_code", "error", "message", "request_id"}


def posted(number: int, **fields: Any) -> dict[str, Any]:
    return {"_id": f"{number:024x}", "createdAt": "2026-03-01T00:00:00.000Z", "status": "COMPLETED"} | fields


async def session_of(client: httpx.AsyncClient, key: str, account: str) -> str:
    answer = await client.post(TOKENS, headers={"x-api-key": key}, json={"linked_account_id": account})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["_id"] for item in answer.json()["docs"]]


async def test_the_key_picks_the_environment_and_the_id_the_account(world: Any, client: httpx.AsyncClient) -> None:
    await world.post(posted(1, linked_account_id=MARK))
    await world.post(posted(2, linked_account_id=MARK, environment="test"))
    await world.post(posted(3, linked_account_id="other"))
    await world.post(posted(4, linked_account_id=MARK), key="pk_2")
    for key, expected in {"pk_1": 1, "tk_1": 2, "pk_2": 4}.items():
        headers = {"x-api-key": key, "linked_account_id": MARK}
        assert names(await client.get(LIST, headers=headers)) == [f"{expected:024x}"]
        token = await session_of(client, key, MARK)
        bearer = {"authorization": f"Bearer {token}"}
        assert names(await client.get(LIST, headers=bearer)) == [f"{expected:024x}"]
        for other in {1, 2, 3, 4} - {expected}:
            for credential in (headers, bearer):
                answer = await client.get(f"{LIST}/{other:024x}", headers=credential)
                assert answer.status_code == 404
                assert answer.json()["message"] == "Execution not found"
                assert names(await client.get(f"{LIST}?execution_id={other:024x}", headers=credential)) == []


async def test_the_bearer_is_preferred_where_both_are_sent(world: Any, client: httpx.AsyncClient) -> None:
    await world.post(posted(1, linked_account_id="one"))
    await world.post(posted(2, linked_account_id="two"))
    headers = {"x-api-key": "pk_1", "linked_account_id": "one"}
    token = await session_of(client, "pk_1", "two")
    both = headers | {"authorization": f"bearer {token}"}
    assert names(await client.get(LIST, headers=both)) == [f"{2:024x}"]
    wrong = await client.get(LIST, headers=headers | {"authorization": "Bearer nothing"})
    assert wrong.status_code == 401
    assert wrong.json()["error_code"] == "INVALID_TOKEN"
    basic = await client.get(LIST, headers=headers | {"authorization": "Basic YTpi"})
    assert names(basic) == [f"{1:024x}"]


async def test_the_account_may_come_in_the_query_and_the_header_wins(world: Any, client: httpx.AsyncClient) -> None:
    await world.post(posted(1, linked_account_id=MARK))
    await world.post(posted(2, linked_account_id="two"))
    key = {"x-api-key": "pk_1"}
    assert names(await client.get(LIST, params={"linked_account_id": MARK}, headers=key)) == [f"{1:024x}"]
    header = key | {"linked_account_id": "TWO"}
    assert names(await client.get(LIST, params={"linked_account_id": MARK}, headers=header)) == [f"{2:024x}"]


async def test_an_account_name_beyond_latin_1_is_read_as_utf_8(world: Any, client: httpx.AsyncClient) -> None:
    await world.post(posted(1, linked_account_id="müller–株"))
    headers = {b"x-api-key": b"pk_1", b"linked_account_id": "müller–株".encode()}
    assert names(await client.get(LIST, headers=headers)) == [f"{1:024x}"]


REFUSED = [
    ({}, 401, "UNAUTHORIZED", "AUTH_SERVICE_ERROR", "Authorization Token Missing"),
    ({"authorization": "Bearer"}, 401, "UNAUTHORIZED", "AUTH_SERVICE_ERROR", "Authorization Token Missing"),
    ({"linked_account_id": "default"}, 401, "UNAUTHORIZED", "AUTH_SERVICE_ERROR", "Authorization Token Missing"),
    ({"authorization": "Bearer x.y.z"}, 401, "UNAUTHORIZED", "INVALID_TOKEN", "Invalid token"),
    ({"x-api-key": "nope"}, 401, "UNAUTHORIZED", "SERVER_ERROR", "Invalid Credentials"),
    (
        {"x-api-key": "pk_1"},
        400,
        "INVALID_LINKED_ACCOUNT_ID",
        "BAD_REQUEST",
        "linked_account_id or org_id is required",
    ),
    (
        {"x-api-key": "pk_1", "linked_account_id": "nobody"},
        400,
        "BAD_REQUEST",
        "INVALID_LINKED_ACCOUNT_ID",
        "Invalid linked_account_id",
    ),
]


@pytest.mark.parametrize("path", [LIST, f"{LIST}s", f"{LIST}/{1:024x}", ACTIVE])
@pytest.mark.parametrize(("headers", "status", "kind", "code", "message"), REFUSED)
async def test_refused(
    client: httpx.AsyncClient, path: str, headers: dict[str, str], status: int, kind: str, code: str, message: str
) -> None:
    answer = await client.get(path, headers=headers)
    assert answer.status_code == status
    assert answer.json() == {
        "status_code": status,
        "http_error_type": kind,
        "error_code": code,
        "error": code,
        "message": message,
        "request_id": "89bd1675-a826-46cb-9210-6cb2ae169f67",
    }


@pytest.mark.parametrize("execution_id", ["65410cf6cdf931a12d7ab009", "x", "a b", "%00", "%FF", "z" * 4000, "null"])
async def test_an_unknown_id_is_404_at_once(world: Any, client: httpx.AsyncClient, execution_id: str) -> None:
    await world.access.ensure_account(1, "default", AccountType.LINKED)
    answer = await client.get(f"{LIST}/{execution_id}", headers={"x-api-key": "pk_1", "linked_account_id": "default"})
    assert answer.status_code == 404
    assert answer.json()["error_code"] == "RESOURCE_NOT_FOUND"
    assert answer.json()["message"] == "Execution not found"


async def test_a_session_is_reused_until_it_is_forced_or_revoked(world: Any, client: httpx.AsyncClient) -> None:
    await world.access.ensure_account(1, MARK, AccountType.LINKED)
    headers, body = {"x-api-key": "pk_1"}, {"linked_account_id": MARK}
    first = (await client.post(TOKENS, headers=headers, json=body)).json()
    assert first.keys() == {"token", "refresh_token", "expires_in", "refresh_expires_in"}
    assert first["expires_in"] == 86_400
    assert first["refresh_expires_in"] == 2_592_000
    assert (await client.post(TOKENS, headers=headers, json=body)).json() == first
    forced = (await client.post(f"{TOKENS}?force_refresh=true", headers=headers, json=body)).json()
    assert forced["token"] != first["token"]
    bearer = {"authorization": f"Bearer {first['token']}"}
    revoked = await client.post(f"{TOKENS}/revoke", headers=bearer)
    assert (revoked.status_code, revoked.json()) == (200, {"success": True, "revoked_count": 1})
    assert (await client.get(LIST, headers=bearer)).json()["error_code"] == "INVALID_TOKEN"
    again = await client.post(f"{TOKENS}/revoke", headers=bearer)
    assert (again.status_code, again.json()) == (200, {"success": True, "revoked_count": 0})


async def test_the_account_of_a_token_may_come_beside_an_empty_body(world: Any, client: httpx.AsyncClient) -> None:
    await world.access.ensure_account(1, MARK, AccountType.LINKED)
    header = await client.post(TOKENS, headers={"x-api-key": "pk_1", "linked_account_id": MARK})
    assert header.status_code == 200
    query = await client.post(TOKENS, headers={"x-api-key": "pk_1"}, params={"linked_account_id": MARK})
    assert query.json() == header.json()


@pytest.mark.parametrize(
    ("headers", "content", "query", "status", "code"),
    [
        ({}, b'{"linked_account_id":"a"}', "", 401, "AUTH_SERVICE_ERROR"),
        ({"authorization": "Bearer x"}, b'{"linked_account_id":"a"}', "", 401, "AUTH_SERVICE_ERROR"),
        ({"x-api-key": "nope"}, b'{"linked_account_id":"a"}', "", 401, "SERVER_ERROR"),
        ({"x-api-key": "nope"}, b"{", "", 401, "SERVER_ERROR"),
        ({"x-api-key": "pk_1"}, b"", "", 400, "BAD_REQUEST"),
        ({"x-api-key": "pk_1"}, b"{}", "", 400, "BAD_REQUEST"),
        ({"x-api-key": "pk_1"}, b'{"linked_account_id":""}', "", 400, "BAD_REQUEST"),
        ({"x-api-key": "pk_1"}, b'{"linked_account_id":null}', "", 400, "BAD_REQUEST"),
        ({"x-api-key": "pk_1"}, b'{"linked_account_id":"nobody"}', "", 400, "INVALID_LINKED_ACCOUNT_ID"),
        ({"x-api-key": "pk_1"}, b'{"linked_account_id":7}', "", 400, "VALIDATION_ERROR"),
        ({"x-api-key": "pk_1"}, b'{"linked_account_id":"a\\u0000b"}', "", 400, "VALIDATION_ERROR"),
        ({"x-api-key": "pk_1"}, b"[]", "", 400, "VALIDATION_ERROR"),
        ({"x-api-key": "pk_1"}, b"{", "", 400, "VALIDATION_ERROR"),
        ({"x-api-key": "pk_1"}, b"\xff\xfe", "", 400, "VALIDATION_ERROR"),
        ({"x-api-key": "pk_1"}, b"[" * 10_000 + b"]" * 10_000, "", 400, "VALIDATION_ERROR"),
        ({"x-api-key": "pk_1"}, b'{"linked_account_id":"default"}', "?force_refresh=maybe", 400, "VALIDATION_ERROR"),
    ],
)
async def test_no_session(
    world: Any,
    client: httpx.AsyncClient,
    headers: dict[str, str],
    content: bytes,
    query: str,
    status: int,
    code: str,
) -> None:
    await world.access.ensure_account(1, "default", AccountType.LINKED)
    answer = await client.post(TOKENS + query, headers=headers, content=content)
    assert answer.status_code == status, answer.text
    assert answer.json()["error_code"] == code
    assert world.access.sessions == {}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "AUTH_SERVICE_ERROR"),
        ({"authorization": "Bearer x"}, "INVALID_TOKEN"),
        ({"x-api-key": "pk_1"}, "AUTH_SERVICE_ERROR"),
    ],
)
async def test_nothing_to_revoke(client: httpx.AsyncClient, headers: dict[str, str], code: str) -> None:
    answer = await client.post(f"{TOKENS}/revoke", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error_code"] == code


async def test_the_active_account_is_the_callers(world: Any, client: httpx.AsyncClient) -> None:
    account = await world.access.ensure_account(1, MARK, AccountType.LINKED, Environment.TEST)
    token = await session_of(client, "tk_1", MARK)
    answer = await client.get(ACTIVE, headers={"authorization": f"Bearer {token}"})
    assert answer.json() == {
        "_id": f"{account.id:024x}",
        "associated_org": "org_00000000000000000001",
        "account_id": MARK,
        "linked_account_id": MARK,
        "name": MARK,
        "environment": "test",
        "udf": [],
        "createdAt": "2025-10-09T08:53:20.000Z",
        "updatedAt": "2025-10-09T08:53:20.000Z",
        "integrations": [],
    }


async def test_the_bucket_refuses_with_retry_after(
    world: Any, client: httpx.AsyncClient, as_default: dict[str, str]
) -> None:
    await world.access.ensure_account(1, "default", AccountType.LINKED)
    world.access.admits = 2
    statuses = [(await client.get(LIST, headers=as_default)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    refused = await client.get(LIST, headers=as_default)
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["http_error_type"] == "TOO_MANY_REQUESTS"
    assert refused.json().keys() == ERROR_KEYS


async def test_a_key_without_read_is_forbidden(world: Any, client: httpx.AsyncClient) -> None:
    world.access.keys.clear()
    world.access.add_key("pk_1", 1)
    world.access.keys["pk_1"] = type(world.access.keys["pk_1"])(
        organization=world.access.keys["pk_1"].organization,
        identity_id=1,
        identity_name="owner",
        credential_id=1,
        scopes=frozenset[Scope](),
        environment=Environment.PRODUCTION,
    )
    await world.access.ensure_account(1, "default", AccountType.LINKED)
    headers = {"x-api-key": "pk_1", "linked_account_id": "default"}
    for path in (LIST, f"{LIST}/x", f"{LIST}?execution_id=x"):
        answer = await client.get(path, headers=headers)
        assert answer.status_code == 403
        assert answer.json().keys() == ERROR_KEYS


async def test_a_database_that_is_down_is_503(
    world: Any, client: httpx.AsyncClient, as_default: dict[str, str]
) -> None:
    world.access.is_down = True
    answer = await client.get(LIST, headers=as_default)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["http_error_type"] == "SERVICE_UNAVAILABLE"


async def test_a_crash_shows_nothing_of_itself(
    world: Any, client: httpx.AsyncClient, as_default: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> Any:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(world.access, "api_key", broken)
    answer = await client.get(LIST, headers=as_default | {"origin": "https://app.example"})
    assert answer.status_code == 500
    assert answer.json().keys() == ERROR_KEYS
    assert "secret" not in answer.text
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v2/public/nothing", 404),
        ("GET", "/api/v1/execution/x/nothing", 404),
        ("GET", f"{LIST}/", 404),
        ("POST", LIST, 405),
        ("DELETE", f"{LIST}/x", 405),
        ("GET", TOKENS, 405),
    ],
)
async def test_other_paths_and_methods_answer_in_json(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.json().keys() == ERROR_KEYS
    assert ("allow" in answer.headers) is (status == 405)


async def test_browsers_may_call(world: Any, client: httpx.AsyncClient, as_default: dict[str, str]) -> None:
    await world.access.ensure_account(1, "default", AccountType.LINKED)
    # The SDKs' own, and what tracing adds to every call of a page.
    wanted = "authorization,content-type,slug,sync_execution,x-api-key,linked_account_id,traceparent,sentry-trace"
    preflight = await client.options(
        LIST,
        headers={
            "origin": "https://app.example",
            "access-control-request-method": "GET",
            "access-control-request-headers": wanted,
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    allowed = preflight.headers["access-control-allow-headers"].replace(" ", "").lower().split(",")
    assert set(wanted.split(",")) <= set(allowed)
    for headers, status in ((as_default, 200), ({}, 401)):
        answer = await client.get(LIST, headers=headers | {"origin": "https://app.example"})
        assert answer.status_code == status
        assert answer.headers.get_list("access-control-allow-origin") == ["*"]

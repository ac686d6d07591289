"""The dialect on the server that users run: SQLite, real credentials, objects posted through Gesta's own API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gesta.access.model import CredentialType, Environment, Scope
from gesta.app.build import Server, build
from gesta.app.settings import load_settings

LIST = "/api/v2/public/execution"
TOKENS = "/api/v2/public/session-token"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    url = f"sqlite:///{tmp_path / 'gesta.sqlite3'}"
    settings = load_settings(overrides={"database.url": url, "log.level": "error"}, environ={})
    async with build(settings) as opened:
        yield opened


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=server.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gesta") as opened:
        yield opened


@pytest.fixture
async def secrets(server: Server) -> dict[str, str]:
    """The native token and the API keys of one organization, and a key of its rival."""
    access = server.core.access
    mine, rival = [await access.create_organization(name) for name in ("Mine", "Rival")]

    async def key(organization: int, environment: Environment) -> str:
        made = await access.create_credential(
            organization, type=CredentialType.API_KEY, scopes=frozenset({Scope.RUN}), environment=environment
        )
        return made.secret

    native = await access.create_credential(
        mine.id, type=CredentialType.BEARER, scopes=frozenset({Scope.ADMIN}), username=None
    )
    return {
        "native": native.secret,
        "test": await key(mine.id, Environment.TEST),
        "production": await key(mine.id, Environment.PRODUCTION),
        "rival": await key(rival.id, Environment.TEST),
    }


async def post(http: httpx.AsyncClient, secrets: dict[str, str], *objects: Any) -> None:
    answer = await http.post(
        "/ledger/executions?dialect=refold",
        headers={"authorization": f"Bearer {secrets['native']}"},
        json=list(objects),
    )
    assert answer.status_code in (200, 201, 207), answer.text
    assert "recorded" in answer.text


async def test_the_published_example_makes_the_round_trip(
    http: httpx.AsyncClient, secrets: dict[str, str], golden: Any
) -> None:
    example = golden["list"]["docs"][0]
    await post(http, secrets, example)
    headers = {"x-api-key": secrets["test"], "linked_account_id": "default"}
    filters = "status=ERRORED&execution_source=Event&workflow_name=POST+message&slug=slack,none&start_date=2023-10-31"
    for query in ("", filters, "workflow_id=64f7258e35b72267edc02589&execution_type=ASYNC", "limit=10&slug=slack"):
        answer = await http.get(f"{LIST}?{query}", headers=headers)
        assert answer.json() == golden["list"]
        assert answer.headers["x-request-id"]
    detail = await http.get(f"{LIST}/{example['_id']}", headers=headers)
    assert detail.json() == example | {"completion_percentage": 0, "nodes": []}

    production = {"x-api-key": secrets["production"], "linked_account_id": "default"}
    rival = {"x-api-key": secrets["rival"], "linked_account_id": "default"}
    for foreign in (production, rival):
        answer = await http.get(f"{LIST}/{example['_id']}", headers=foreign)
        assert answer.status_code == 400
        assert answer.json()["error_code"] == "INVALID_LINKED_ACCOUNT_ID"


async def test_a_session_lives_from_its_key_to_its_end(
    http: httpx.AsyncClient, secrets: dict[str, str], golden: Any
) -> None:
    await post(http, secrets, golden["list"]["docs"][0])
    key = {"x-api-key": secrets["test"]}
    made = await http.post(TOKENS, headers=key, json={"linked_account_id": "default"})
    assert made.status_code == 200, made.text
    assert made.json().keys() == {"token", "refresh_token", "expires_in", "refresh_expires_in"}
    bearer = {"authorization": f"Bearer {made.json()['token']}"}
    assert (await http.get(LIST, headers=bearer)).json() == golden["list"]
    active = await http.get("/api/v2/public/session/active-linked-account", headers=bearer)
    assert (active.json()["account_id"], active.json()["environment"]) == ("default", "test")

    refresh = {"authorization": f"Bearer {made.json()['refresh_token']}"}
    assert (await http.get(LIST, headers=refresh)).json()["error_code"] == "INVALID_TOKEN"
    revoke = f"{TOKENS}/revoke"
    counts = [(await http.post(revoke, headers=bearer)).json()["revoked_count"] for _ in range(2)]
    assert counts == [1, 0]
    answer = await http.get(LIST, headers=bearer)
    assert (answer.status_code, answer.json()["message"]) == (401, "Invalid token")


@pytest.mark.parametrize(
    "query",
    [
        "page=1000000000000",
        "page=" + "9" * 400,
        "limit=-1",
        "page=0",
        "limit=abc",
        "workflow_id=" + "x" * 4000,
        "execution_id=" + "x" * 4000,
        "workflow_name=%25%5C_",
        "slug=%E6%A0%AA,b",
        "start_date=0001-01-01&end_date=9999-12-31",
        "start_date=9999-12-31T23:59:59.999999Z",
        "status=&status=&&=&a",
    ],
)
async def test_strange_lists_are_answered(
    http: httpx.AsyncClient, secrets: dict[str, str], golden: Any, query: str
) -> None:
    await post(http, secrets, golden["list"]["docs"][0])
    headers = {"x-api-key": secrets["test"], "linked_account_id": "default"}
    answer = await http.get(f"{LIST}?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["totalDocs"] in (0, 1)


async def test_a_body_that_is_too_large_is_refused_in_the_dialect(
    http: httpx.AsyncClient, secrets: dict[str, str]
) -> None:
    answer = await http.post(TOKENS, headers={"x-api-key": secrets["test"]}, content=b" " * (17 * 1024 * 1024))
    assert answer.status_code == 413
    assert answer.json()["http_error_type"] == "PAYLOAD_TOO_LARGE"


async def test_two_accounts_may_use_one_id(http: httpx.AsyncClient, secrets: dict[str, str], golden: Any) -> None:
    example = golden["list"]["docs"][0]
    objects = [example | {"linked_account_id": name, "config_id": name} for name in ("one", "two")]
    await post(http, secrets, *objects)
    for posted in objects:
        headers = {"x-api-key": secrets["test"], "linked_account_id": posted["linked_account_id"]}
        for query in ("", f"?execution_id={example['_id']}"):
            assert (await http.get(LIST + query, headers=headers)).json()["docs"] == [posted]
        detail = (await http.get(f"{LIST}/{example['_id']}", headers=headers)).json()
        assert detail == posted | {"completion_percentage": 0, "nodes": []}

"""`GET /executors/{executor_id}`: the published exchange and what surrounds it."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import msgspec
import pytest
import structlog

from gesta.apis.b3os.codec import decode as decode_run
from gesta.apis.hummingbot.models import ExecutorDetailResponse
from gesta.kernel.errors import Unavailable
from gesta.ledger.records import NewEvent, Status, Transition

ALL_KEYS = {
    "executor_id",
    "executor_type",
    "account_name",
    "connector_name",
    "trading_pair",
    "status",
    "is_active",
    "is_trading",
    "net_pnl_quote",
    "net_pnl_pct",
    "cum_fees_quote",
    "filled_amount_quote",
    "side",
    "timestamp",
    "created_at",
    "close_type",
    "close_timestamp",
    "controller_id",
    "error_count",
    "last_error",
    "config",
    "custom_info",
}


async def test_the_published_example_comes_out_equal(world: Any, client: httpx.AsyncClient, seed: Any) -> None:
    await world.post(seed)
    response = await client.get("/executors/abc123...")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == seed


async def test_posting_the_example_twice_records_it_once(world: Any, seed: Any) -> None:
    assert [(await world.post(seed)).outcome for _ in range(2)] == ["recorded", "duplicate"]
    assert (await world.post(seed | {"net_pnl_quote": 1})).outcome == "conflict"


async def test_what_moves_on_is_printed_as_it_is(world: Any, client: httpx.AsyncClient, seed: Any) -> None:
    await world.post(seed)
    execution = await world.ledger.get(1, "abc123...")
    for status, close_type in ((Status.STOPPING, None), (Status.SUCCEEDED, "TAKE_PROFIT")):
        await world.ledger.transition(
            1,
            execution.id,
            Transition(
                event=NewEvent(type=f"execution.{status}"),
                status=status,
                detail=msgspec.structs.replace(execution.detail, close_type=close_type),
            ),
        )
    body = (await client.get("/executors/abc123...")).json()
    assert body == seed | {
        "status": "TERMINATED",
        "is_active": False,
        "is_trading": False,
        "close_type": "TAKE_PROFIT",
        "close_timestamp": world.clock.now_us() / 1_000_000,
    }


async def test_a_full_object_has_every_key_and_fits_the_published_schema(
    world: Any, client: httpx.AsyncClient, seed: Any
) -> None:
    posted = seed | {
        "close_type": None,
        "close_timestamp": None,
        "controller_id": "main",
        "error_count": 2,
        "last_error": "order rejected",
        "config": {"amount": 0.01, "triple_barrier_config": {"stop_loss": "0.02"}},
        "custom_info": {"order_ids": ["x"], "current_retries": 0},
    }
    await world.post(posted)
    response = await client.get("/executors/abc123...")
    assert response.json() == posted
    assert set(response.json()) == ALL_KEYS
    msgspec.json.decode(response.content, type=ExecutorDetailResponse)


async def test_required_keys_that_a_posted_object_lacked_are_printed(world: Any, client: httpx.AsyncClient) -> None:
    await world.post({"executor_id": "bare", "status": "NOT_STARTED"})
    assert (await client.get("/executors/bare")).json() == {
        "executor_id": "bare",
        "executor_type": None,
        "account_name": "master_account",
        "connector_name": None,
        "trading_pair": None,
        "status": "NOT_STARTED",
        "is_active": True,
        "is_trading": False,
        "net_pnl_quote": 0,
        "net_pnl_pct": 0,
        "cum_fees_quote": 0,
        "filled_amount_quote": 0,
    }


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer abc",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
    ],
)
async def test_no_usable_credentials(client: httpx.AsyncClient, header: str | None) -> None:
    client.headers.pop("Authorization")
    headers = {} if header is None else {"Authorization": header}
    for path in ("/executors/abc123...", "/executors/x/logs?limit=abc"):
        response = await client.get(path, headers=headers)
        assert (response.status_code, response.json()) == (401, {"detail": "Not authenticated"})
        assert response.headers["WWW-Authenticate"] == "Basic"


async def test_a_wrong_password(client: httpx.AsyncClient) -> None:
    for path in ("/executors/abc123...", "/executors/x/logs?limit=abc"):
        response = await client.get(path, auth=("admin", "wrong"))
        assert (response.status_code, response.json()) == (401, {"detail": "Incorrect username or password"})
        assert response.headers["WWW-Authenticate"] == "Basic"


async def test_a_lower_case_scheme_is_accepted(world: Any, client: httpx.AsyncClient, seed: Any) -> None:
    await world.post(seed)
    header = "basic " + base64.b64encode(b"admin:admin").decode()
    assert (await client.get("/executors/abc123...", headers={"Authorization": header})).status_code == 200


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/executors/nope", "nope"),
        ("/executors/search", "search"),
        ("/executors/%00", "\0"),
        ("/executors/a%0Ab", "a\nb"),
        ("/executors/%FF", "\ufffd"),
        ("/executors/" + "x" * 5000, "x" * 256),
    ],
)
async def test_an_unknown_executor(client: httpx.AsyncClient, path: str, name: str) -> None:
    response = await client.get(path)
    assert (response.status_code, response.json()) == (404, {"detail": f"Executor {name} not found"})


async def test_another_organizations_executor_is_not_found(world: Any, client: httpx.AsyncClient, seed: Any) -> None:
    await world.post(seed)
    for path in ("/executors/abc123...", "/executors/abc123.../logs"):
        response = await client.get(path, auth=("other", "secret"))
        assert (response.status_code, response.json()) == (404, {"detail": "Executor abc123... not found"})


async def test_an_execution_of_another_kind_is_not_found(world: Any, client: httpx.AsyncClient) -> None:
    account = await world.access.ensure_account(1, "default", "linked")
    row = decode_run({"id": "run1", "status": "workflow_running"}, now_us=0, organization="org_x").row(account)
    await world.ledger.append(1, [row])
    assert (await client.get("/executors/run1")).status_code == 404


async def test_paths_and_methods_that_do_not_exist(client: httpx.AsyncClient) -> None:
    response = await client.get("/executors")
    assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})
    response = await client.get("/executors/")
    assert (response.status_code, response.json()) == (405, {"detail": "Method Not Allowed"})
    response = await client.delete("/executors/x")
    assert (response.status_code, response.json()) == (405, {"detail": "Method Not Allowed"})
    assert response.headers["Allow"] == "GET"


async def test_a_credential_without_scope(client: httpx.AsyncClient) -> None:
    response = await client.get("/executors/x", auth=("runner", "secret"))
    assert response.status_code == 403
    assert "read" in response.json()["detail"]


async def test_the_rate_limit(world: Any, client: httpx.AsyncClient, seed: Any) -> None:
    await world.post(seed)
    world.access.refuse_after = {"hummingbot": 1}
    assert (await client.get("/executors/abc123...")).status_code == 200
    response = await client.get("/executors/abc123...")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "1")
    assert set(response.json()) == {"detail"}


async def test_the_database_is_down(
    world: Any, client: httpx.AsyncClient, seed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*arguments: Any, **options: Any) -> Any:
        raise Unavailable("connection refused by 10.0.0.5", retry_after_s=2.5)

    monkeypatch.setattr(world.ledger, "get", down)
    response = await client.get("/executors/abc123...")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "3")
    assert "10.0.0.5" not in response.text
    world.access.is_down = True
    assert (await client.get("/executors/abc123...")).status_code == 503


async def test_a_defect_tells_nothing_about_itself(
    world: Any, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*arguments: Any, **options: Any) -> Any:
        raise ZeroDivisionError("secret internals")

    monkeypatch.setattr(world.ledger, "get", broken)
    with structlog.testing.capture_logs() as logs:
        response = await client.get("/executors/abc123...")
    assert (response.status_code, response.json()) == (500, {"detail": "Internal Server Error"})
    assert [(entry["event"], entry["request_id"]) for entry in logs] == [("request.crashed", "request-1")]

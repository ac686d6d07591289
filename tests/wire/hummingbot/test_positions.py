"""Position holds over HTTP, of executors that really trade."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import msgspec
import pytest

from gesta.access.model import AccountType, CredentialType, Scope
from gesta.apis.common.services import Services
from gesta.apis.hummingbot.routes import build
from gesta.desk.reading import Reading
from gesta.desk.recording import Recording
from gesta.testing.fakes import SeededIds
from tests.conformance.test_executors import PAIR, Bench, start

__all__ = ["start"]

PATH = f"/executors/positions/binance/{PAIR}"


async def user(bench: Bench, name: str, *scopes: Scope) -> httpx.BasicAuth:
    organization = bench.principal.organization.id
    made = await bench.access.create_credential(
        organization, type=CredentialType.BASIC, scopes=frozenset(scopes), username=name
    )
    return httpx.BasicAuth(name, made.secret)


def services_of(bench: Bench) -> Services:
    return Services(
        reading=Reading(bench.ledger),
        recording=Recording(bench.ledger),
        access=bench.access,
        clock=bench.clock,
        ids=SeededIds(),
        market=bench.market,
        executors=bench.executors,
    )


@pytest.fixture
async def bench(start: Callable[[], Awaitable[Bench]]) -> Bench:
    return await start()


@pytest.fixture
async def client(bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    auth = await user(bench, "admin", Scope.READ, Scope.TRADE)
    transport = httpx.ASGITransport(build(services_of(bench)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gesta.test", auth=auth) as client:
        yield client


async def keep(bench: Bench) -> str:
    made = await bench.create()
    await bench.executors.stop(bench.principal, made.id, keep_position=True)
    return made.id


async def test_a_hold_is_shown_summed_and_cleared(bench: Bench, client: httpx.AsyncClient) -> None:
    await bench.quote("60000")
    executor_id = await keep(bench)
    await bench.quote("61000")
    answer = await client.get(PATH)
    assert answer.status_code == 200
    position = answer.json()
    assert position == {
        "trading_pair": PAIR,
        "connector_name": "binance",
        "account_name": "master_account",
        "controller_id": "main",
        "buy_amount_base": 1.0,
        "buy_amount_quote": 60000.01,
        "sell_amount_base": 0.0,
        "sell_amount_quote": 0.0,
        "net_amount_base": 1.0,
        "buy_breakeven_price": 60000.01,
        "sell_breakeven_price": None,
        "matched_amount_base": 0.0,
        "unmatched_amount_base": 1.0,
        "position_side": "LONG",
        "realized_pnl_quote": 0.0,
        "unrealized_pnl_quote": 999.995,
        "cum_fees_quote": 0.0,
        "executor_count": 1,
        "executor_ids": [executor_id],
        "last_updated": position["last_updated"],
    }
    summary = (await client.get("/executors/positions/summary")).json()
    assert summary == {
        "total_positions": 1,
        "total_realized_pnl": 0.0,
        "total_unrealized_pnl": 999.995,
        "positions": [position],
    }
    none = (await client.get("/executors/positions/summary", params={"controller_id": "other"})).json()
    assert none == {"total_positions": 0, "total_realized_pnl": 0.0, "total_unrealized_pnl": 0.0, "positions": []}
    assert (await client.delete(PATH, params={"controller_id": "other"})).status_code == 404
    cleared = await client.delete(PATH)
    assert cleared.json() == {
        "message": f"Position hold for binance/{PAIR} cleared",
        "connector_name": "binance",
        "trading_pair": PAIR,
    }
    for answer in (await client.get(PATH), await client.delete(PATH)):
        assert answer.status_code == 404
        assert answer.json() == {"detail": f"No position hold found for binance/{PAIR}"}


async def test_without_a_market_the_worth_is_null(
    start: Callable[[], Awaitable[Bench]],
) -> None:
    first = await start()
    await first.quote("60000")
    await keep(first)
    second = await start()
    auth = await user(second, "admin", Scope.READ)
    transport = httpx.ASGITransport(build(services_of(second)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gesta.test", auth=auth) as client:
        assert (await client.get(PATH)).json()["unrealized_pnl_quote"] is None
        assert (await client.get("/executors/positions/summary")).json()["total_unrealized_pnl"] is None


async def test_who_may_only_read_does_not_clear(bench: Bench, client: httpx.AsyncClient) -> None:
    await bench.quote("60000")
    await keep(bench)
    reader = await user(bench, "reader", Scope.READ)
    assert (await client.delete(PATH, auth=reader)).status_code == 403
    assert (await client.get(PATH, auth=reader)).status_code == 200
    assert (await client.get(PATH, auth=httpx.BasicAuth("admin", "wrong"))).status_code == 401


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    "query",
    [
        "account_name=a&account_name=b",
        "controller_id=a&controller_id=b",
        "account_name=%00",
        f"controller_id={'x' * 257}",
    ],
)
async def test_what_is_malformed_is_422_with_its_place(client: httpx.AsyncClient, method: str, query: str) -> None:
    answer = await client.request(method, f"{PATH}?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", query.partition("=")[0]]


@pytest.mark.parametrize("path", ["/executors/positions/%00/%00", f"/executors/positions/{'x' * 300}/y"])
async def test_what_is_no_name_is_missing(bench: Bench, client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404
    await bench.access.ensure_account(bench.principal.organization.id, "other", AccountType.TRADING)
    assert (await client.delete(path, params={"account_name": "other"})).status_code == 404


async def test_where_nothing_trades_it_says_so(bench: Bench) -> None:
    auth = await user(bench, "admin", Scope.READ)
    app = build(msgspec.structs.replace(services_of(bench), executors=None))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gesta.test", auth=auth) as client:
        assert (await client.get(PATH)).status_code == 503

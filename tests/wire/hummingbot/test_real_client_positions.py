"""The published client asks for accounts, connectors, rules, prices and position holds, on a real socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import aiohttp
import pytest
from hummingbot_api_client import HummingbotAPIClient

from gesta.access.model import CredentialType, Scope
from gesta.apis.hummingbot.routes import build
from tests.conformance.test_executors import PAIR, Bench, start
from tests.wire.hummingbot.test_positions import keep, services_of
from tests.wire.hummingbot.test_real_client import base_url

__all__ = ["base_url", "start"]

# The client's own use of aiohttp.
pytestmark = [
    pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning"),
]


@pytest.fixture
async def bench(start: Callable[[], Awaitable[Bench]]) -> Bench:
    return await start()


@pytest.fixture
def world(bench: Bench) -> SimpleNamespace:
    return SimpleNamespace(app=build(services_of(bench)))


async def test_it_looks_around_and_clears_a_hold(bench: Bench, base_url: str) -> None:
    made = await bench.access.create_credential(
        bench.principal.organization.id,
        type=CredentialType.BASIC,
        scopes=frozenset({Scope.READ, Scope.TRADE}),
        username="admin",
    )
    await bench.quote("60000")
    executor_id = await keep(bench)
    client = HummingbotAPIClient(base_url, "admin", made.secret)
    await client.init()
    try:
        assert await client.accounts.list_accounts() == ["master_account"]
        assert await client.connectors.list_connectors() == ["binance", "binance_perpetual"]
        assert list(await client.connectors.get_trading_rules("binance", [PAIR])) == [PAIR]
        assert (await client.market_data.get_prices("binance", PAIR))["prices"] == {PAIR: 60000.005}
        assert (await client.executors.get_positions_summary())["total_positions"] == 1
        held = await client.executors.get_position_held("binance", PAIR)
        assert (held["executor_ids"], held["position_side"]) == ([executor_id], "LONG")
        await client.executors.clear_position_held("binance", PAIR)
        with pytest.raises(aiohttp.ClientResponseError, match="No position hold found") as refused:
            await client.executors.get_position_held("binance", PAIR)
        assert refused.value.status == 404
    finally:
        await client.close()

"""The published client, `hummingbot-api-client`, against the sub-app on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import uvicorn
from hummingbot_api_client import HummingbotAPIClient

from gesta.ledger.records import NewEvent, Severity

# The client's own use of aiohttp.
pytestmark = [
    pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning"),
]


@pytest.fixture
async def base_url(world: Any) -> AsyncIterator[str]:
    config = uvicorn.Config(world.app, host="127.0.0.1", port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    started = asyncio.Event()
    startup = server.startup

    async def announce(sockets: Any = None) -> None:
        await startup(sockets=sockets)
        started.set()

    server.startup = announce  # type: ignore[method-assign]
    running = asyncio.create_task(server.serve(sockets=[listener]))
    await started.wait()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await running


async def test_it_fetches_an_executor_and_its_logs(world: Any, base_url: str, seed: Any) -> None:
    await world.post(seed)
    await world.ledger.note(1, "abc123...", [NewEvent(type="order.failed", message="no", level=Severity.ERROR)])
    client = HummingbotAPIClient(base_url, "admin", "admin")
    await client.init()
    try:
        assert await client.executors.get_executor("abc123...") == seed
        logs = await client.executors.get_executor_logs("abc123...", level="ERROR")
        assert [entry["message"] for entry in logs["logs"]] == ["no"]
        with pytest.raises(aiohttp.ClientResponseError, match="Executor nope not found") as refused:
            await client.executors.get_executor("nope")
        assert refused.value.status == 404
    finally:
        await client.close()


async def test_it_is_told_about_a_wrong_password(base_url: str) -> None:
    client = HummingbotAPIClient(base_url, "admin", "wrong")
    await client.init()
    try:
        with pytest.raises(aiohttp.ClientResponseError, match="Incorrect username or password") as refused:
            await client.executors.get_executor("abc123...")
        assert refused.value.status == 401
    finally:
        await client.close()

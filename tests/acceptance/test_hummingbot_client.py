"""The published client, `hummingbot-api-client`, unmodified, against the installed `gesta serve`, which is killed while
executors of every type run, and started again.

The market is pushed, so that its prices are known: who is filled when is no accident. The client sees each executor in
the state that it had; no order is doubled, none is lost; what a stop keeps is held, also after the next kill.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from hummingbot_api_client import HummingbotAPIClient

from gesta.access.bootstrap import bootstrap
from gesta.app.build import open_core
from gesta.app.settings import load_settings
from gesta.executors.registry import MODULES
from tests.acceptance.test_trading_recovery import CLEAN, GESTA, START_S, UNLIMITED
from tests.integration.postgres_control import running_postgres

pytestmark = [
    pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning"),
]

Object = dict[str, Any]
TRADING = {"GESTA_TRADING__MARKET": "none", "GESTA_TRADING__FEES": "zero"}
SPOT = {"connector_name": "binance", "trading_pair": "BTC-USDT"}
PERPETUAL = {"connector_name": "binance_perpetual", "trading_pair": "BTC-USDT"}
# Half a percent below 50 000 is where those that wait for a better price begin to be filled.
CONFIGS: dict[str, Object] = {
    "position_executor": {
        **SPOT,
        "side": "BUY",
        "amount": "0.1",
        "triple_barrier_config": {"stop_loss": "0.5", "take_profit": "0.5", "open_order_type": "MARKET"},
    },
    "order_executor": {**SPOT, "side": "BUY", "amount": "0.1", "execution_strategy": "LIMIT", "price": 46000},
    "dca_executor": {**SPOT, "side": 1, "amounts_quote": [1000, 2000], "prices": [49900, 46000], "stop_loss": 0.5},
    "grid_executor": {
        **PERPETUAL,
        "side": "BUY",
        "start_price": 48000,
        "end_price": 52000,
        "limit_price": 30000,
        "total_amount_quote": 1000,
        "triple_barrier_config": {"take_profit": 0.001, "take_profit_order_type": "LIMIT"},
    },
    "twap_executor": {
        **SPOT,
        "side": "BUY",
        "total_amount_quote": 7000,
        "total_duration": 3600,
        "order_interval": 600,
    },
    "arbitrage_executor": {
        "buying_market": SPOT,
        "selling_market": PERPETUAL,
        "order_amount": "0.1",
        "min_profitability": "0.02",
    },
    "xemm_executor": {
        "buying_market": SPOT,
        "selling_market": PERPETUAL,
        "maker_side": "BUY",
        "order_amount": "0.1",
        "min_profitability": "0.05",
        "target_profitability": "0.1",
        "max_profitability": "0.2",
    },
}


class Client:
    """One server: as Hummingbot's client sees it, and the same account in the words of the other dialects."""

    def __init__(self, hummingbot: HummingbotAPIClient, http: httpx.AsyncClient) -> None:
        self.executors = hummingbot.executors
        self._http = http

    async def quote(self, spot: str, perpetual: str) -> None:
        """Both markets, one tick wide."""
        rows = [
            {"instrument": name, "bid": bid, "ask": f"{float(bid) + tick:.2f}", "bid_size": "1000", "ask_size": "1000"}
            for name, bid, tick in (("BTC-USDT", spot, 0.01), ("BTC-USDT-PERP", perpetual, 0.1))
        ]
        said = await self._http.post("/ledger/market/data", json=rows)
        assert said.json()["taken"] == 2, said.text

    async def all(self) -> dict[str, Object]:
        """Every executor by id, as the client's search pages through them."""
        found: dict[str, Object] = {}
        cursor = None
        while True:
            page = await self.executors.search_executors(limit=4, cursor=cursor)
            found |= {each["executor_id"]: each for each in page["data"]}
            cursor = page["pagination"]["next_cursor"]
            if not page["pagination"]["has_more"]:
                assert page["pagination"]["total_count"] == len(found)
                return found

    async def until(self, executor_id: str, is_wanted: Callable[[Object], bool]) -> Object:
        """The executor as soon as it is as wanted."""
        async with asyncio.timeout(20):
            while True:
                found: Object = await self.executors.get_executor(executor_id)
                if is_wanted(found):
                    return found
                await asyncio.sleep(0.02)

    async def crosstrade(self, what: str) -> list[Object]:
        """Everything of the account, as the CrossTrade dialect lists it."""
        answer = await self._http.get(f"/v1/api/accounts/master_account/{what}", params={"limit": 500})
        rows: list[Object] = answer.raise_for_status().json()[what]
        assert len(rows) < 500
        return rows

    async def fills_of(self, executor_id: str) -> list[Object]:
        """The fills that have the executor as their parent, in Gesta's own dialect."""
        wanted = {"kind": "fill", "parent_id": executor_id, "limit": "200"}
        answer = await self._http.get("/ledger/executions", params=wanted)
        rows: list[Object] = answer.raise_for_status().json()["items"]
        return rows

    async def net(self, executor_id: str) -> Decimal:
        """What its fills leave of all its legs together, in base: above zero is long."""
        details = [fill["detail"] for fill in await self.fills_of(executor_id)]
        return sum((Decimal(d["quantity"]) * (1 if d["side"] == "buy" else -1) for d in details), Decimal(0))

    async def close_type(self, executor_id: str) -> str | None:
        found: str | None = (await self.executors.get_executor(executor_id))["close_type"]
        return found

    async def orders(self) -> dict[str, tuple[str, float]]:
        """Of every order its state and what of it is filled."""
        return {row["orderId"]: (row["orderState"], row["filled"]) for row in await self.crosstrade("orders")}

    async def settled(self) -> None:
        """Until what follows from a quote is on disk: nothing has changed between two looks."""
        before: object = None
        async with asyncio.timeout(20):
            while before != (now := (await self.orders(), len(await self.crosstrade("executions")))):
                before = now
                await asyncio.sleep(0.1)


class House:
    """One database and the servers over it."""

    def __init__(self, database: str, folder: Path) -> None:
        self.database = database
        self.folder = folder

    async def prepare(self) -> None:
        async with open_core(load_settings(None, {"database.url": self.database}, environ={})) as core:
            made = await bootstrap(core.access, "hummingbot")
            self.token, self.password = made.bearer.secret, made.basic.secret

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Client]:
        """Killed at the end: nothing is said to it before."""
        server = await asyncio.create_subprocess_exec(
            GESTA, "serve", "--port", "0", "--database", self.database, "--log-level", "warning",
            cwd=self.folder, env={**CLEAN, **UNLIMITED, **TRADING}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert server.stdout is not None
            line = await asyncio.wait_for(server.stdout.readline(), START_S)
            assert b"Gesta answers on " in line, line
            url = line.split()[3].decode()
            hummingbot = HummingbotAPIClient(url, "admin", self.password)
            await hummingbot.init()
            headers = {"Authorization": f"Bearer {self.token}"}
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as http:
                try:
                    yield Client(hummingbot, http)
                finally:
                    await hummingbot.close()
        finally:
            if server.returncode is None:
                server.kill()
            await server.communicate()

    async def verify(self) -> str:
        """What `gesta verify` prints of the database, without a server."""
        process = await asyncio.create_subprocess_exec(
            GESTA, "verify", "--database", self.database,
            cwd=self.folder, env=CLEAN, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        printed, _ = await asyncio.wait_for(process.communicate(), START_S)
        assert process.returncode == 0, printed
        return printed.decode()


@pytest.fixture(params=["sqlite", "postgres"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    if request.param == "sqlite":
        yield House(str(tmp_path / "ledger.sqlite3"), tmp_path)
        return
    with running_postgres() as postgres:
        yield House(postgres.create("hummingbot"), tmp_path)


def is_over(executor: Object) -> bool:
    return bool(executor["status"] == "TERMINATED")


async def create_all(client: Client, controller: str) -> dict[str, str]:
    """One of each type, by its type."""
    made = {}
    for type_, config in CONFIGS.items():
        created = await client.executors.create_executor({"type": type_, **config}, controller_id=controller)
        assert (created["executor_type"], created["status"], created["controller_id"]) == (type_, "RUNNING", controller)
        made[type_] = created["executor_id"]
    return made


async def check_refused(client: Client) -> None:
    with pytest.raises(aiohttp.ClientResponseError) as refused:
        await client.executors.create_executor({"type": "lp_executor", **SPOT})
    assert refused.value.status == 400
    types = (await client.executors.get_available_executor_types())["executor_types"]
    (unavailable,) = (each for each in types if each["type"] == "lp_executor")
    assert not unavailable["available"]
    assert "gateway" in unavailable["reason"]


async def picture(client: Client) -> tuple[dict[str, Object], dict[str, tuple[str, float]]]:
    """Everything that must be the same after a kill, at the same prices."""
    details = {id_: await client.executors.get_executor(id_) for id_ in await client.all()}
    return details, await client.orders()


async def check_fills(client: Client) -> None:
    """The account's fills in CrossTrade's words are those of the executors, each of one."""
    ids = await client.all()
    of_executors = {fill["id"]: id_ for id_ in ids for fill in await client.fills_of(id_)}
    listed = await client.crosstrade("executions")
    assert Counter(row["id"] for row in listed) == Counter(of_executors.keys())
    lots: defaultdict[str, float] = defaultdict(float)
    for row in listed:
        lots[row["orderId"]] += row["quantity"]
    filled = {id_: lots for id_, (_, lots) in (await client.orders()).items() if lots}
    assert filled == pytest.approx(dict(lots))


async def test_killed_with_executors_of_every_type(house: House) -> None:
    assert CONFIGS.keys() == MODULES.keys()
    await house.prepare()
    async with house.serving() as client:
        await client.quote("50000", "50000")
        await check_refused(client)
        first = await create_all(client, "first")
        await client.quote("49850", "49800")
        await client.until(first["dca_executor"], lambda found: len(found["custom_info"]["order_ids"]) == 2)
        await client.settled()
        await check_waiting(client, first)
        running = await picture(client)
    async with house.serving() as client:
        assert await client.orders() == running[1]
        await client.quote("49850", "49800")
        await client.settled()
        assert await picture(client) == running
        await check_ends(client, first)
        second = await create_all(client, "second")
        await client.quote("49800", "49700")
        await client.settled()
        # Killed as soon as it has said that they stop.
        await stop_all(client, first, keep_position=False)
        await stop_all(client, second, keep_position=True)
    async with house.serving() as client:
        await client.quote("49800", "49700")
        held = await check_stopped(client, first, second)
        over = await picture(client)
    async with house.serving() as client:
        await client.quote("49800", "49700")
        assert await client.executors.get_positions_summary() == held
        assert await picture(client) == over
        await client.executors.clear_position_held("binance", "BTC-USDT", controller_id="second")
        summary = await client.executors.get_positions_summary(controller_id="second")
        assert [each["connector_name"] for each in summary["positions"]] == ["binance_perpetual"]
    assert "Everything agrees." in await house.verify()


async def stop_all(client: Client, made: dict[str, str], *, keep_position: bool) -> None:
    """Those that run still."""
    for id_ in made.values():
        if (await client.executors.get_executor(id_))["is_active"]:
            stopped = await client.executors.stop_executor(id_, keep_position=keep_position)
            assert stopped == {"executor_id": id_, "status": "stopping", "keep_position": keep_position}


async def check_stopped(client: Client, closed: dict[str, str], kept: dict[str, str]) -> Object:
    """Everything is over; what was kept is held, in the amounts that were filled. Returns the holds."""
    for id_ in (*closed.values(), *kept.values()):
        await client.until(id_, is_over)
    await client.settled()
    states = Counter(state for state, _ in (await client.orders()).values())
    assert states.keys() == {"Filled", "Cancelled"}
    assert {type_: await client.close_type(id_) for type_, id_ in closed.items()} == {
        **dict.fromkeys(closed, "EARLY_STOP"),
        "order_executor": "POSITION_HOLD",
        "arbitrage_executor": "COMPLETED",
        "xemm_executor": "COMPLETED",
    }
    # Those that had filled nothing have nothing to keep.
    assert {type_: await client.close_type(id_) for type_, id_ in kept.items()} == {
        **dict.fromkeys(kept, "POSITION_HOLD"),
        **dict.fromkeys(("order_executor", "arbitrage_executor", "xemm_executor"), "EARLY_STOP"),
    }
    for type_ in ("position_executor", "dca_executor", "grid_executor"):
        assert await client.net(closed[type_]) == 0
    held: Object = await client.executors.get_positions_summary()
    spot = [await client.net(kept[f"{type_}_executor"]) for type_ in ("position", "dca", "twap")]
    assert {(each["connector_name"], each["controller_id"]): each["net_amount_base"] for each in held["positions"]} == {
        ("binance", "first"): float(await client.net(closed["order_executor"])),
        ("binance", "second"): float(sum(spot)),
        ("binance_perpetual", "second"): float(await client.net(kept["grid_executor"])),
    }
    await check_fills(client)
    report = await client.executors.get_performance_report()
    assert report["by_status"] == {"TERMINATED": 14}
    return held


async def check_waiting(client: Client, made: dict[str, str]) -> None:
    """All run: some have filled, some have orders that wait, one has none."""
    summary = await client.executors.get_summary()
    assert (summary["total_active"], summary["by_type"]) == (7, dict.fromkeys(made, 1))
    found = await client.executors.search_executors(status="RUNNING", controller_ids=["first"])
    assert {each["executor_id"] for each in found["data"]} == set(made.values())
    fills = {type_: len(await client.fills_of(id_)) for type_, id_ in made.items()}
    assert fills.pop("grid_executor") > 1
    assert fills == {
        "position_executor": 1,
        "order_executor": 0,
        "dca_executor": 1,
        "twap_executor": 1,
        "arbitrage_executor": 0,
        "xemm_executor": 0,
    }
    await check_fills(client)


async def check_ends(client: Client, made: dict[str, str]) -> None:
    """Those that wait for the market are filled by it: after the kill as before it."""
    await client.quote("49850", "51500")
    over = await client.until(made["arbitrage_executor"], is_over)
    assert (over["close_type"], over["net_pnl_quote"]) == ("COMPLETED", pytest.approx(164.999))
    await client.quote("49850", "49800")
    await client.quote("45400", "49800")
    over = await client.until(made["xemm_executor"], is_over)
    assert (over["close_type"], over["net_pnl_quote"]) == ("COMPLETED", pytest.approx(434.546))
    over = await client.until(made["order_executor"], is_over)
    assert (over["close_type"], over["filled_amount_quote"]) == ("POSITION_HOLD", 4600)
    await client.until(made["dca_executor"], lambda found: found["filled_amount_quote"] > 2000)
    await client.quote("49850", "49800")
    await check_fills(client)

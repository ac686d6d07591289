"""The service that the demo's workflows call answers over HTTP, keeps its port, and ends without waiting."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import httpx
import pytest

from gesta.app.demo import service, shop
from gesta.app.demo.service import PORT_FILE, open_service
from gesta.app.demo.shop import Mood
from gesta.kernel.times import parse_rfc3339
from gesta.testing.fakes import ManualClock

NOW_US = parse_rfc3339("2026-11-20T15:30:00Z")


def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=10, trust_env=False)


def path_in(mood: Mood) -> dict[str, str]:
    """The body of a notice that the service takes so at first."""
    return next({"text": str(n)} for n in range(1000) if shop.mood(1, f"/notify {n}", 1) is mood)


async def test_it_answers_what_the_shop_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop, "mood", lambda *_: Mood.WELL)
    async with open_service(1, ManualClock(NOW_US), tmp_path) as address, client() as http:
        assert (await http.get(f"{address}/pairs")).json() == shop.pairs(1, NOW_US)
        quote = await http.get(f"{address}/quote", params={"pair": "BTC-USDT"})
        assert quote.json() == shop.quote(1, "BTC-USDT", NOW_US)
        assert (await http.get(f"{address}/quote?pair=DOGE")).status_code == 404
        invoice = await http.post(f"{address}/invoice", json={"order": "A-1", "total": 5})
        assert (invoice.status_code, invoice.json()) == (201, shop.invoice(1, {"order": "A-1"}))
        for body in (b"", b"{", b"[]", b"\xff"):
            assert (await http.post(f"{address}/notify", content=body)).status_code == 202


async def test_what_is_asked_again_with_its_key_is_another_attempt(tmp_path: Path) -> None:
    asked = path_in(Mood.BUSY)
    async with open_service(1, ManualClock(NOW_US), tmp_path) as address, client() as http:
        for _ in range(2):
            assert (await http.post(f"{address}/notify", json=asked)).status_code == 503
        headers = {"Idempotency-Key": "k"}
        attempts = [(await http.post(f"{address}/notify", json=asked, headers=headers)).status_code for _ in range(3)]
        assert (attempts[0], attempts[2]) == (503, 202)


async def test_it_ends_at_once_while_it_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SLOW_S", 60.0)
    async with client() as http:
        began = asyncio.Event()
        well = shop.mood

        def told(*args: object) -> Mood:
            began.set()
            return well(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(shop, "mood", told)
        async with open_service(1, ManualClock(NOW_US), tmp_path) as address:
            slow = asyncio.create_task(http.post(f"{address}/notify", json=path_in(Mood.SLOW)))
            began.clear()
            async with asyncio.timeout(10):
                await began.wait()
        assert (await slow).status_code == 202


async def test_it_keeps_its_port_while_it_can(tmp_path: Path) -> None:
    async with open_service(1, ManualClock(NOW_US), tmp_path) as first:
        pass
    async with open_service(1, ManualClock(NOW_US), tmp_path) as again:
        assert again == first
    with socket.create_server(("127.0.0.1", int(first.rpartition(":")[2]))):
        async with open_service(1, ManualClock(NOW_US), tmp_path) as other:
            assert other != first
            assert (tmp_path / PORT_FILE).read_text() == other.rpartition(":")[2] + "\n"


@pytest.mark.parametrize("written", ["", "eighty", "80", "-1", "70000"])
async def test_a_port_file_that_says_nothing_is_no_hindrance(tmp_path: Path, written: str) -> None:
    (tmp_path / PORT_FILE).write_text(written)
    async with open_service(1, ManualClock(NOW_US), tmp_path) as address, client() as http:
        assert (await http.get(f"{address}/quote?pair=")).status_code == 404

"""From exec to the first 200 of `/healthz`, and memory at rest: `gesta serve` beside a bare interpreter and uvicorn."""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.harness import Report, bar, pss_mb
from benchmarks.served import START_S, House, Process, house, request, serve_arguments

STARTS = 5
# At rest: what the start left to be done is done.
REST_S = 2.0
HEALTH = "/healthz"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answers_200(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=START_S) as connection:
            connection.sendall(request(HEALTH, {}))
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False


async def start(arguments: list[str], port: int, address: Path) -> tuple[float, float, float]:
    """(seconds until it answers, seconds of CPU until then, MB at rest)"""
    process = Process(arguments, address)
    try:
        while not answers_200(port):
            if time.perf_counter() - process.started_s > START_S:
                raise RuntimeError("the server did not answer in time")
            await asyncio.sleep(0.002)
        wall_s, cpu_s = time.perf_counter() - process.started_s, process.cpu()
        await asyncio.sleep(REST_S)
        return wall_s, cpu_s, pss_mb(process.pid)
    finally:
        process.stop()


async def measure(database: str, options: Any) -> None:
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(house(database))
        answers = fleet.folder / "answers"
        answers.write_bytes(msgspec.msgpack.encode({HEALTH.encode(): ([(b"content-length", b"2")], b"ok")}))
        taken: dict[str, list[tuple[float, float, float]]] = {"gesta serve": [], "uvicorn, raw ASGI": []}
        starts = 2 if options.quick else STARTS
        progress, advance = bar("starts", starts)
        with progress:
            for _ in range(starts):
                port = free_port()
                taken["gesta serve"].append(await start(*gesta(fleet, port)))
                port, address = free_port(), fleet.folder / "floor-address"
                floor = ["-m", "benchmarks.floor", str(address), str(answers), str(port)]
                taken["uvicorn, raw ASGI"].append(await start(floor, port, address))
                advance(1)
        tell(database, taken)


def gesta(fleet: House, port: int) -> tuple[list[str], int, Path]:
    address = fleet.folder / "address"
    return [*serve_arguments(fleet.folder, fleet.database, address), "--port", str(port)], port, address


def tell(database: str, taken: dict[str, list[tuple[float, float, float]]]) -> None:
    starts = len(next(iter(taken.values())))
    report = Report(
        f"startup-{database}",
        f"Start and rest on {database}: median of {starts}",
        ["process", "exec to 200", "CPU until then", "PSS at rest"],
        "The database exists and is migrated; its server is not counted. PSS: of the process, two seconds later.",
    )
    for name, laps in taken.items():
        wall_s, cpu_s, memory = (statistics.median(each) for each in zip(*laps, strict=True))
        report.add(name, f"{wall_s:.2f} s", f"{cpu_s:.2f} s", f"{memory:.0f} MB")
        report.raw[name] = [list(lap) for lap in laps]
    report.finish()

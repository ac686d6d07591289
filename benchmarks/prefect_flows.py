"""The flows of `workflow_prefect` in Prefect, run by a Python that has it; nothing of Gesta is imported.

Each line on standard input asks for a lap, as JSON: `{"steps", "at_once", "count"}`. Each is answered by a line: the
seconds that all took, and each.
"""

import asyncio
import json
import sys
import time

from prefect import __version__, flow, task


@task
async def touch(value=None):
    return {"value": value}


@flow(name="one")
async def one():
    await touch()


@flow(name="five")
async def five():
    for _ in range(5):
        await touch()


FLOWS = {1: one, 5: five}


async def lap(steps, at_once, count):
    gate, taken = asyncio.Semaphore(at_once), []

    async def timed():
        async with gate:
            began = time.perf_counter()
            await FLOWS[steps]()
            taken.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(timed() for _ in range(count)))
    return {"wall_s": time.perf_counter() - began, "taken_s": taken}


async def main():
    print(json.dumps({"version": __version__}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await lap(**json.loads(line))), flush=True)


asyncio.run(main())

"""A process with an engine, to be killed or watched: `engine_child.py <settings as JSON> <mode> <folder>`.

`hang`: a segment of two waves; of the second wave's four steps the first and third end, the others never.
`outlive`: a segment whose second step ends when the file `go` is there; its end is told by `lost`, and a third step by
`third`.
`watch`: three segments that end, and what sockets did meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

SOCKET_EVENTS: list[str] = []


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"):
        SOCKET_EVENTS.append(f"{event} {arguments!r}")


sys.addaudithook(_audit)

from gesta.workflows.engine.dbos_engine import DbosEngine  # noqa: E402
from gesta.workflows.engine.settings import EngineSettings  # noqa: E402
from gesta.workflows.runs.rows import SegmentId  # noqa: E402
from gesta.workflows.runtime import Step, Steps  # noqa: E402


async def hang(engine: DbosEngine, folder: Path) -> None:
    async def carry(segment: SegmentId, steps: Steps) -> None:
        await steps.perform([Step("same", text("first"))])
        await steps.perform([Step("same", b) for b in (text("a", 0.1), never(), text("c"), never())])

    def text(word: str, after_s: float = 0) -> object:
        async def body() -> str:
            await asyncio.sleep(after_s)
            return json.dumps(word)

        return body

    def never() -> object:
        async def body() -> str:
            await asyncio.Event().wait()
            raise AssertionError

        return body

    await engine.start(carry)
    await engine.submit([SegmentId(7, "killed", 1)])
    (folder / "submitted").touch()
    await asyncio.Event().wait()


async def outlive(engine: DbosEngine, folder: Path) -> None:
    async def first() -> str:
        return '"first"'

    async def second() -> str:
        (folder / "began").touch()
        while not (folder / "go").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return '"late"'

    async def third() -> str:
        (folder / "third").touch()
        return '"third"'

    async def carry(segment: SegmentId, steps: Steps) -> None:
        try:
            for body in (first, second, third):
                await steps.perform([Step("same", body)])
        finally:
            (folder / "lost").touch()

    await engine.start(carry)
    await engine.submit([SegmentId(7, "killed", 1)])
    await asyncio.Event().wait()


async def watch(engine: DbosEngine, folder: Path) -> None:
    ended: list[SegmentId] = []
    all_ended = asyncio.Event()

    async def body() -> str:
        return "1"

    async def carry(segment: SegmentId, steps: Steps) -> None:
        wave: Sequence[Step] = [Step("one", body), Step("two", body)]
        await steps.perform(wave)
        ended.append(segment)
        if len(ended) == 3:
            all_ended.set()

    await engine.start(carry)
    await engine.submit([SegmentId(7, f"run{number}", 1) for number in range(3)])
    await all_ended.wait()
    # One turn of everything that DBOS does every second.
    await asyncio.sleep(1.2)
    await engine.stop(timeout_s=5)
    (folder / "sockets.json").write_text(json.dumps(SOCKET_EVENTS))


if __name__ == "__main__":
    child = DbosEngine(msgspec.json.decode(sys.argv[1], type=EngineSettings))
    asyncio.run({"hang": hang, "outlive": outlive, "watch": watch}[sys.argv[2]](child, Path(sys.argv[3])))

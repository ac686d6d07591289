"""A real HTTP service that workflows call: it counts what is asked of it, by the key that each request names."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SLOW_S = 1.0


class Receiver:
    """`counts`: how often each key has come. The first request of a key to `/flaky` is refused, `/slow` is slow."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        # Every key that one visit of a node was asked with: (run, key).
        self.runs: dict[str, str] = {}
        self.url = ""
        self.hold = asyncio.Event()
        self.hold.set()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
                await reader.readexactly(int(headers.get("content-length", "0")))
                key, path = headers["idempotency-key"], head[0].split(" ")[1]
                self.counts[key] += 1
                self.runs[key] = headers["x-gesta-run"]
                if path == "/slow":
                    await asyncio.sleep(SLOW_S)
                await self.hold.wait()
                word = "503 Busy" if path == "/flaky" and self.counts[key] == 1 else "200 OK"
                writer.write(f"HTTP/1.1 {word}\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok".encode())
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the caller has died
        finally:
            writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield receiver
    finally:
        server.close()

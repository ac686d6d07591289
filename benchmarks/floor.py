"""`python -m benchmarks.floor ADDRESS_FILE ANSWERS_FILE [PORT]`: a raw ASGI application that answers known bytes.

It runs on uvicorn with the settings of the product, and does nothing but look up the answer by path and query.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
import uvloop

# target -> (headers, body)
Answers = dict[bytes, tuple[list[tuple[bytes, bytes]], bytes]]


def application(answers: Answers) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        query = scope["query_string"]
        path = scope["raw_path"]
        headers, body = answers[path + b"?" + query if query else path]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def main() -> None:
    address_file, answers_file = Path(sys.argv[1]), Path(sys.argv[2])
    answers = msgspec.msgpack.decode(answers_file.read_bytes(), type=Answers)
    port = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    listener = socket.create_server(("127.0.0.1", port), backlog=2048)
    listener.setblocking(False)
    config = uvicorn.Config(
        application(answers),
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=65,
    )
    partial = address_file.with_name(address_file.name + ".partial")
    partial.write_text(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    partial.replace(address_file)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve([listener]))


if __name__ == "__main__":
    main()

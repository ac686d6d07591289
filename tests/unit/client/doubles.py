"""A server that is a list of answers, and a clock that only counts what was slept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import httpx

from gesta.client import AsyncGesta, Gesta, Retry

Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class Scripted:
    """Answers the requests one after the other and keeps them."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.slept: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        return self._answer(request)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    async def answer_later(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return self._answer(request)

    def client(self, retry: Retry | None = None) -> Gesta:
        return Gesta(
            "http://gesta.test",
            "gst_x",
            retry=retry or Retry(attempts=3, jitter=lambda: 0.0),
            transport=httpx.MockTransport(self),
            sleep=self.slept.append,
        )

    def async_client(self) -> AsyncGesta:
        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        return AsyncGesta(
            "http://gesta.test",
            "gst_x",
            retry=Retry(attempts=3, jitter=lambda: 0.0),
            transport=httpx.MockTransport(self.answer_later),
            sleep=sleep,
        )


def problem(status: int, code: str = "", headers: dict[str, str] | None = None, **members: Any) -> httpx.Response:
    body = {"type": f"/problems/{code}", "title": code, "status": status, "detail": f"said {code}", **members}
    return httpx.Response(status, json=body, headers=headers)


def results(request: httpx.Request, outcome: str = "recorded") -> httpx.Response:
    """The answer to an ingest in which every row has the same outcome."""
    count = len(request.content.splitlines())
    lines = [{"line": line, "outcome": outcome, "id": f"id{line}", "seq": line} for line in range(1, count + 1)]
    return httpx.Response(200, text="\n".join(json.dumps(line) for line in [*lines, {"summary": {}}]))

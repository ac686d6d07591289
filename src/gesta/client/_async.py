"""The asynchronous client: the synchronous one with `await`, on the same requests and answers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from gesta.client import _requests as requests
from gesta.client._async_executors import AsyncExecutors
from gesta.client._async_trading import AsyncTrading
from gesta.client._async_workflows import AsyncRuns, AsyncSchedules, AsyncWorkflows
from gesta.client._errors import ClientError, api_error
from gesta.client._market import AsyncMarket
from gesta.client._requests import Call, Chunk
from gesta.client._retry import Retry, is_passing
from gesta.client._shapes import IngestReport, RowResult, StreamItem
from gesta.client._sse import SseParser


class AsyncGesta:
    """A client of one server, as one identity.

    `url` and `token` default to GESTA_URL (else http://127.0.0.1:8080) and GESTA_TOKEN; without a token NotConfigured
    is raised. Requests that may be repeated are, as `retry` says. Use it as a context manager, or await `aclose`.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = requests.TIMEOUT_S,
        retry: Retry | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._url = requests.base_url(url)
        self._retry = retry or Retry()
        self._sleep = sleep
        self._http = httpx.AsyncClient(
            base_url=self._url,
            headers=requests.headers_of(token),
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, requests.CONNECT_TIMEOUT_S)),
            transport=transport,
        )
        self.executions = AsyncExecutions(self)
        self.trading = AsyncTrading(self)
        self.market = AsyncMarket(self)
        self.executors = AsyncExecutors(self)
        self.workflows = AsyncWorkflows(self)
        self.runs = AsyncRuns(self)
        self.schedules = AsyncSchedules(self)

    @property
    def url(self) -> str:
        return self._url

    async def summary(self, *, by: Iterable[str] = (), **filters: Any) -> list[dict[str, Any]]:
        """Counts and exact sums, grouped by any of `day`, `kind`, `status`, `account`, and always by currency."""
        call = Call(method="GET", path="/ledger/summary", params=requests.params_of({"by": list(by), **filters}))
        return requests.items_of(requests.decode_object(await self._send(call)))

    async def export(self, path: str | os.PathLike[str], *, format: str | None = None, **filters: Any) -> int:
        """Write every execution that the filters admit to a file, as `csv`, `ndjson` or `parquet` (by its name, unless
        `format` says). The file appears when it is whole. Returns its size in bytes."""
        target = Path(path)
        partial = target.with_name(target.name + ".partial")
        chosen = requests.export_format(target, format)
        call = Call(method="GET", path="/ledger/export", params=requests.params_of({"format": chosen, **filters}))
        try:
            await self._again(lambda: self._download(call, partial))
            size = partial.stat().st_size
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)
        return size

    async def stream(self, *, after: int | None = None, **filters: Any) -> AsyncIterator[StreamItem]:
        """The change feed: everything after `after` (0 replays it all, None starts now), then what happens, for ever.

        A connection that breaks is opened again where it ended: nothing is lost, nothing comes twice. Errors that a
        repetition cannot mend are raised.
        """
        failures = 0
        while True:
            parser = SseParser()
            try:
                async with self._open(requests.stream_call(after, filters)) as response:
                    async for part in response.aiter_bytes():
                        for event in parser.feed(part):
                            failures = 0
                            item = requests.stream_item(event)
                            after = int(event.id) if event.id.isdigit() else after
                            if item is not None:
                                yield item
                error: ClientError | None = None
            except ClientError as problem:
                if not is_passing(problem):
                    raise
                error = problem
            failures += 1
            await self._sleep(self._retry.pause_s(failures, error))

    async def aclose(self) -> None:
        """Close the connections. May be called twice."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncGesta:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @asynccontextmanager
    async def _open(self, call: Call) -> AsyncIterator[httpx.Response]:
        """An answer whose body is yet to be read. Every failure is a ClientError."""
        try:
            async with self._http.stream(
                call.method, call.path, params=tuple(call.params), headers=call.headers, content=call.content or None
            ) as response:
                if response.is_success:
                    yield response
                    return
                raise api_error(response.status_code, response.headers, await response.aread())
        except (httpx.RequestError, httpx.StreamError) as error:
            raise requests.unreachable(self._url, error) from None

    async def _send(self, call: Call) -> bytes:
        """The body of a successful answer to a request that may be repeated."""
        return await self._again(lambda: self._body(call))

    async def _body(self, call: Call) -> bytes:
        async with self._open(call) as response:
            return await response.aread()

    async def _download(self, call: Call, partial: Path) -> bytes:
        async with self._open(call) as response:
            with partial.open("wb") as file:
                async for part in response.aiter_bytes():
                    file.write(part)
        return b""

    async def _again(self, work: Callable[[], Awaitable[bytes]]) -> bytes:
        attempt = 0
        while True:
            attempt += 1
            try:
                return await work()
            except ClientError as error:
                wait_s = self._retry.wait_s(attempt, error)
                if wait_s is None:
                    raise
                await self._sleep(wait_s)


class AsyncExecutions:
    """`gesta.executions`."""

    def __init__(self, client: AsyncGesta) -> None:
        self._client = client

    async def ingest(
        self,
        rows: Iterable[Mapping[str, Any] | bytes],
        *,
        dialect: str | None = None,
        time_zone: str | None = None,
    ) -> IngestReport:
        """Record rows and sum up what became of them. Repeating it adds nothing.

        Rows are dictionaries or encoded JSON, in Gesta's own shape or, with `dialect`, in a vendor's. `time_zone` is
        given to accounts that are created by it. Rows are read and sent a thousand at a time.
        """
        report = IngestReport(problems=[])
        async for result in self.ingest_each(rows, dialect=dialect, time_zone=time_zone):
            report.add(result)
        return report

    async def ingest_each(
        self,
        rows: Iterable[Mapping[str, Any] | bytes],
        *,
        dialect: str | None = None,
        time_zone: str | None = None,
    ) -> AsyncIterator[RowResult]:
        """As `ingest`, but gives each row's result as soon as it is known: one per row."""
        for piece in requests.chunks(rows):
            if isinstance(piece, RowResult):
                yield piece
            else:
                async for result in self._chunk(piece, dialect, time_zone):
                    yield result

    async def _chunk(self, chunk: Chunk, dialect: str | None, time_zone: str | None) -> AsyncIterator[RowResult]:
        call = requests.ingest_call(chunk, dialect=dialect, time_zone=time_zone)
        results: list[RowResult] = []

        async def post() -> bytes:
            results[:] = requests.ingest_results(chunk, await self._client._body(call))
            return b""

        try:
            await self._client._again(post)
        except ClientError as error:
            refused = requests.refused_whole(chunk, error)
            if refused is None:
                raise
            for one in refused:
                if isinstance(one, Chunk):
                    async for result in self._chunk(one, dialect, time_zone):
                        yield result
                else:
                    yield one
            return
        for one in results:
            yield one

    async def list(self, *, limit: int | None = None, **filters: Any) -> AsyncIterator[dict[str, Any]]:
        """Executions, newest first unless `order="oldest"`, page after page. `limit` ends it after so many.

        Filters are those of `GET /ledger/executions`: account, kind, status, source, mode, parent_id, name,
        created_from, created_to, and the correlation ids. A list means any of its values.
        """
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            size = requests.PAGE_ROWS if left is None else min(left, requests.PAGE_ROWS)
            asked = {**filters, "limit": size, "cursor": cursor, "total": False}
            call = Call(method="GET", path="/ledger/executions", params=requests.params_of(asked))
            page = requests.decode_object(await self._client._send(call))
            items = requests.items_of(page)
            for one in items:
                yield one
            cursor = page.get("next_cursor")
            left = None if left is None else left - len(items)
            if cursor is None:
                return

    async def count(self, **filters: Any) -> int:
        """How many executions the filters admit, exactly."""
        asked = {**filters, "limit": 1, "total": True}
        call = Call(method="GET", path="/ledger/executions", params=requests.params_of(asked))
        return int(requests.decode_object(await self._client._send(call)).get("total") or 0)

    async def get(self, execution_id: str, *, account: str | None = None) -> dict[str, Any]:
        """One execution. `account` where several accounts use the id. Raises NotFound."""
        call = requests.execution_call(execution_id, {"account": account})
        return requests.decode_object(await self._client._send(call))

    async def events(
        self, execution_id: str, *, account: str | None = None, after: int = 0
    ) -> AsyncIterator[dict[str, Any]]:
        """The timeline of one execution, oldest first, page after page. Raises NotFound."""
        position: int | None = after
        while position is not None:
            asked = {"account": account, "after_seq": position, "limit": requests.PAGE_ROWS}
            page = requests.decode_object(
                await self._client._send(requests.execution_call(execution_id, asked, part="/events"))
            )
            for one in requests.items_of(page):
                yield one
            position = page.get("next_after_seq")

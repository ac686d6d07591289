"""The synchronous client."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from gesta.client import _requests as requests
from gesta.client._errors import ClientError, api_error
from gesta.client._executors import Executors
from gesta.client._market import Market
from gesta.client._requests import Call, Chunk
from gesta.client._retry import Retry, is_passing
from gesta.client._shapes import IngestReport, RowResult, StreamItem
from gesta.client._sse import SseParser
from gesta.client._trading import Trading
from gesta.client._workflows import Runs, Schedules, Workflows


class Gesta:
    """A client of one server, as one identity.

    `url` and `token` default to GESTA_URL (else http://127.0.0.1:8080) and GESTA_TOKEN; without a token NotConfigured
    is raised. Requests that may be repeated are, as `retry` says. Use it as a context manager, or call `close`.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = requests.TIMEOUT_S,
        retry: Retry | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = requests.base_url(url)
        self._retry = retry or Retry()
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=self._url,
            headers=requests.headers_of(token),
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, requests.CONNECT_TIMEOUT_S)),
            transport=transport,
        )
        self.executions = Executions(self)
        self.trading = Trading(self)
        self.market = Market(self)
        self.executors = Executors(self)
        self.workflows = Workflows(self)
        self.runs = Runs(self)
        self.schedules = Schedules(self)

    @property
    def url(self) -> str:
        return self._url

    def summary(self, *, by: Iterable[str] = (), **filters: Any) -> list[dict[str, Any]]:
        """Counts and exact sums, grouped by any of `day`, `kind`, `status`, `account`, and always by currency."""
        call = Call(method="GET", path="/ledger/summary", params=requests.params_of({"by": list(by), **filters}))
        return requests.items_of(requests.decode_object(self._send(call)))

    def export(self, path: str | os.PathLike[str], *, format: str | None = None, **filters: Any) -> int:
        """Write every execution that the filters admit to a file, as `csv`, `ndjson` or `parquet` (by its name, unless
        `format` says). The file appears when it is whole. Returns its size in bytes."""
        target = Path(path)
        partial = target.with_name(target.name + ".partial")
        chosen = requests.export_format(target, format)
        call = Call(method="GET", path="/ledger/export", params=requests.params_of({"format": chosen, **filters}))
        try:
            self._again(lambda: self._download(call, partial))
            size = partial.stat().st_size
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)
        return size

    def stream(self, *, after: int | None = None, **filters: Any) -> Iterator[StreamItem]:
        """The change feed: everything after `after` (0 replays it all, None starts now), then what happens, for ever.

        A connection that breaks is opened again where it ended: nothing is lost, nothing comes twice. Errors that a
        repetition cannot mend are raised.
        """
        failures = 0
        while True:
            parser = SseParser()
            try:
                with self._open(requests.stream_call(after, filters)) as response:
                    for part in response.iter_bytes():
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
            self._sleep(self._retry.pause_s(failures, error))

    def close(self) -> None:
        """Close the connections. May be called twice."""
        self._http.close()

    def __enter__(self) -> Gesta:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _open(self, call: Call) -> Iterator[httpx.Response]:
        """An answer whose body is yet to be read. Every failure is a ClientError."""
        try:
            with self._http.stream(
                call.method, call.path, params=tuple(call.params), headers=call.headers, content=call.content or None
            ) as response:
                if response.is_success:
                    yield response
                    return
                raise api_error(response.status_code, response.headers, response.read())
        except (httpx.RequestError, httpx.StreamError) as error:
            raise requests.unreachable(self._url, error) from None

    def _send(self, call: Call) -> bytes:
        """The body of a successful answer to a request that may be repeated."""
        return self._again(lambda: self._body(call))

    def _body(self, call: Call) -> bytes:
        with self._open(call) as response:
            return response.read()

    def _download(self, call: Call, partial: Path) -> bytes:
        with self._open(call) as response, partial.open("wb") as file:
            for part in response.iter_bytes():
                file.write(part)
        return b""

    def _again(self, work: Callable[[], bytes]) -> bytes:
        attempt = 0
        while True:
            attempt += 1
            try:
                return work()
            except ClientError as error:
                wait_s = self._retry.wait_s(attempt, error)
                if wait_s is None:
                    raise
                self._sleep(wait_s)


class Executions:
    """`gesta.executions`."""

    def __init__(self, client: Gesta) -> None:
        self._client = client

    def ingest(
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
        for result in self.ingest_each(rows, dialect=dialect, time_zone=time_zone):
            report.add(result)
        return report

    def ingest_each(
        self,
        rows: Iterable[Mapping[str, Any] | bytes],
        *,
        dialect: str | None = None,
        time_zone: str | None = None,
    ) -> Iterator[RowResult]:
        """As `ingest`, but gives each row's result as soon as it is known: one per row."""
        for piece in requests.chunks(rows):
            if isinstance(piece, RowResult):
                yield piece
            else:
                yield from self._chunk(piece, dialect, time_zone)

    def _chunk(self, chunk: Chunk, dialect: str | None, time_zone: str | None) -> Iterator[RowResult]:
        call = requests.ingest_call(chunk, dialect=dialect, time_zone=time_zone)
        results: list[RowResult] = []

        def post() -> bytes:
            results[:] = requests.ingest_results(chunk, self._client._body(call))
            return b""

        try:
            self._client._again(post)
        except ClientError as error:
            refused = requests.refused_whole(chunk, error)
            if refused is None:
                raise
            for one in refused:
                if isinstance(one, Chunk):
                    yield from self._chunk(one, dialect, time_zone)
                else:
                    yield one
            return
        yield from results

    def list(self, *, limit: int | None = None, **filters: Any) -> Iterator[dict[str, Any]]:
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
            page = requests.decode_object(self._client._send(call))
            items = requests.items_of(page)
            yield from items
            cursor = page.get("next_cursor")
            left = None if left is None else left - len(items)
            if cursor is None:
                return

    def count(self, **filters: Any) -> int:
        """How many executions the filters admit, exactly."""
        asked = {**filters, "limit": 1, "total": True}
        call = Call(method="GET", path="/ledger/executions", params=requests.params_of(asked))
        return int(requests.decode_object(self._client._send(call)).get("total") or 0)

    def get(self, execution_id: str, *, account: str | None = None) -> dict[str, Any]:
        """One execution. `account` where several accounts use the id. Raises NotFound."""
        call = requests.execution_call(execution_id, {"account": account})
        return requests.decode_object(self._client._send(call))

    def events(self, execution_id: str, *, account: str | None = None, after: int = 0) -> Iterator[dict[str, Any]]:
        """The timeline of one execution, oldest first, page after page. Raises NotFound."""
        position: int | None = after
        while position is not None:
            asked = {"account": account, "after_seq": position, "limit": requests.PAGE_ROWS}
            page = requests.decode_object(
                self._client._send(requests.execution_call(execution_id, asked, part="/events"))
            )
            yield from requests.items_of(page)
            position = page.get("next_after_seq")

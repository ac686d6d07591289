"""`POST /ledger/executions`: rows in, batch by batch, each with its own result."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gesta.access.model import Account, AccountType, Environment, Principal, Scope
from gesta.apis.common.services import Decoded, Services
from gesta.apis.native.bodies import JSON, NDJSON, content_type, read_body, read_lines
from gesta.apis.native.codec import (
    decode_model,
    decode_row,
    decode_vendor_object,
    encoder,
    view_row_error,
)
from gesta.apis.native.errors import RowsInvalid
from gesta.apis.native.models import RowModel
from gesta.desk.recording import SCOPE_OF_KIND, check_origin
from gesta.kernel.errors import CallerError, Forbidden, GestaError, InvalidInput, NotFound, StorageFull, TooLarge
from gesta.kernel.json import decode_json
from gesta.ledger.lifecycle import check_birth
from gesta.ledger.records import AppendResult, NewExecution, Outcome

BATCH_ROWS = 1000
BATCH_BYTES = 1024 * 1024
MAX_ARRAY_ROWS = 10_000
# A value costs far more memory than the comma before it: what a hostile array of millions of zeros would take.
MAX_ARRAY_COMMAS = 2_000_000
FLUSH_PAUSE_S = 0.2
_SPOOL_BYTES = 1024 * 1024
_SHOWN_RESULTS = 100
_SCOPE_OF_ACCOUNT = {AccountType.TRADING: Scope.TRADE, AccountType.LINKED: Scope.RUN}

Result = dict[str, Any]


class Ingest:
    """The rows of one request on their way into the ledger. `place` is `index` or `line`; `time_zone` is given to
    accounts that the request creates."""

    def __init__(
        self, services: Services, principal: Principal, dialect: str | None, place: str, time_zone: str | None = None
    ) -> None:
        self._services = services
        self._principal = principal
        self._place = place
        self._time_zone = time_zone
        self._default_environment = principal.environment or Environment.PRODUCTION
        self._codec = None if dialect is None else services.vendor_codecs[dialect]
        self._accounts: dict[tuple[str, AccountType, Environment], Account] = {}
        self.counts = {"recorded": 0, "duplicates": 0, "conflicts": 0, "invalid": 0}
        self.forbidden = 0

    async def record(self, batch: Sequence[tuple[int, bytes | msgspec.Raw]]) -> list[Result]:
        """Record what is valid of a batch. One result per row, in order."""
        results, rows = await self.prepare(batch)
        await self.append(rows)
        return results

    async def prepare(
        self, batch: Sequence[tuple[int, bytes | msgspec.Raw]]
    ) -> tuple[list[Result], list[tuple[Result, NewExecution]]]:
        """Read the rows of a batch: a result for each, and those to append, which fills their results in."""
        results: list[Result] = []
        rows: list[tuple[Result, NewExecution]] = []
        for number, raw in batch:
            result: Result = {self._place: number}
            results.append(result)
            try:
                rows.append((result, await self._row(raw)))
            except CallerError as error:
                self._refuse(result, error)
        return results, rows

    async def append(self, rows: Sequence[tuple[Result, NewExecution]]) -> None:
        """Record the rows and say in their results what became of them."""
        if not rows:
            return
        try:
            appended = await self._services.recording.record(self._principal, [row for _, row in rows])
        except InvalidInput as error:
            # The ledger refuses a batch as a whole for a row that it cannot hold: find that row.
            if len(rows) == 1:
                self._refuse(rows[0][0], error)
                return
            for one in rows:
                await self.append([one])
            return
        for (result, _), outcome in zip(rows, appended, strict=True):
            self._merge(result, outcome)

    def _refuse(self, result: Result, error: CallerError) -> None:
        self.forbidden += isinstance(error, Forbidden)
        self.counts["invalid"] += 1
        result |= {"outcome": "invalid", "error": view_row_error(error)}

    def _merge(self, result: Result, appended: AppendResult) -> None:
        result |= {"outcome": appended.outcome.value, "id": appended.id, "seq": appended.seq}
        if appended.outcome is Outcome.RECORDED:
            self.counts["recorded"] += 1
        elif appended.outcome is Outcome.DUPLICATE:
            self.counts["duplicates"] += 1
        else:
            self.counts["conflicts"] += 1
            result["error"] = {"code": "conflict", "detail": appended.message}

    async def _row(self, raw: bytes | msgspec.Raw) -> NewExecution:
        if self._codec is None:
            decoded = decode_row(decode_model(raw, RowModel), default_environment=self._default_environment)
        else:
            decoded = self._codec(
                decode_vendor_object(raw),
                now_us=self._services.clock.now_us(),
                organization=self._principal.organization.public_id,
            )
        row = decoded.row(await self._account(decoded))
        self._principal.require(SCOPE_OF_KIND[row.kind])
        check_origin(row)
        if self._codec is not None:
            check_birth(row.kind, row.status)
        return row

    async def _account(self, decoded: Decoded) -> Account:
        """The account that a row names, created if the caller may."""
        name = "" if decoded.is_unnamed else decoded.account_name.casefold()
        key = (name, decoded.account_type, decoded.environment)
        if key in self._accounts:
            return self._accounts[key]
        principal = self._principal
        if principal.environment not in (None, decoded.environment):
            raise Forbidden(f"This key is for {principal.environment} only.")
        account = principal.account
        if account is not None:
            if key[1:] != (account.type, account.environment) or name not in ("", account.name.casefold()):
                raise NotFound("No such account within the reach of this credential.", what="account")
        elif decoded.is_unnamed and (first := await self._first_account(decoded)) is not None:
            account = first
        else:
            wanted = (decoded.account_name, decoded.account_type, decoded.environment)
            account = await self._services.access.account(principal.organization.id, *wanted)
            if account is None:
                principal.require(_SCOPE_OF_ACCOUNT[decoded.account_type])
                account = await self._services.access.ensure_account(
                    principal.organization.id, *wanted, time_zone=self._time_zone
                )
        self._accounts[key] = account
        return account

    async def _first_account(self, decoded: Decoded) -> Account | None:
        """The oldest account of a type and environment: the same one for ever, so that a repeated row finds itself."""
        accounts = await self._services.access.accounts(self._principal.organization.id)
        fitting = [
            account
            for account in accounts
            if (account.type, account.environment) == (decoded.account_type, decoded.environment)
        ]
        return min(fitting, key=lambda account: account.id, default=None)

    def refusal(self, results: list[Result]) -> CallerError | None:
        """The error of a request of which nothing could be recorded because every row is invalid."""
        invalid = self.counts["invalid"]
        if not invalid or invalid != sum(self.counts.values()):
            return None
        if self.forbidden == invalid:
            return Forbidden("This credential may record none of these rows.", results=results, **self.counts)
        return RowsInvalid("Every row is invalid: nothing was recorded.", results=results, **self.counts)


async def post_executions(
    request: Request,
    services: Services,
    principal: Principal,
    *,
    dialect: str | None,
    errors_only: bool,
    time_zone: str | None = None,
) -> Response:
    """Answer the request. Raises the errors of the problem table."""
    if not (principal.allows(Scope.TRADE) or principal.allows(Scope.RUN)):
        raise Forbidden("This credential lacks the scope `trade` or `run`; create one with `gesta keys create`.")
    if dialect is not None and dialect not in services.vendor_codecs:
        raise InvalidInput(f"This server reads no rows of {dialect}.", field="dialect", where="query")
    media_type = content_type(request, JSON, NDJSON)
    ingest = Ingest(services, principal, dialect, "index" if media_type == JSON else "line", time_zone)
    wanted: Callable[[Result], bool] = _has_error if errors_only else _always
    if media_type == NDJSON:
        return await _post_lines(request, services, ingest, wanted)
    rows = split_rows(await read_body(request, services.limits))
    results: list[Result] = []
    for start, end in _batches(rows):
        results += filter(wanted, await ingest.record(list(enumerate(rows[start:end], start))))
    refusal = ingest.refusal(results)
    if refusal is not None:
        raise refusal
    return Response(encoder.encode({**ingest.counts, "results": results}), media_type=JSON)


def _always(result: Result) -> bool:
    return True


def _has_error(result: Result) -> bool:
    return "error" in result


def split_rows(body: bytes) -> list[msgspec.Raw]:
    """The rows of an array, undecoded; a single object is an array of one."""
    start = body.lstrip(b" \t\r\n")[:1]
    if start == b"{":
        return [msgspec.Raw(body)]
    if start != b"[":
        raise InvalidInput("The body must be a JSON array of rows, or one row.")
    if body.count(b",") > MAX_ARRAY_COMMAS:
        raise TooLarge(f"The array holds more than {MAX_ARRAY_COMMAS} values; send them as NDJSON.")
    rows = decode_json(body, list[msgspec.Raw])
    if len(rows) > MAX_ARRAY_ROWS:
        raise TooLarge(f"An array has at most {MAX_ARRAY_ROWS} rows; send more as NDJSON.")
    return rows


def _batches(rows: Sequence[msgspec.Raw]) -> list[tuple[int, int]]:
    """Ranges of at most BATCH_ROWS rows and, but for a single larger row, BATCH_BYTES bytes."""
    ranges: list[tuple[int, int]] = []
    start = size = 0
    for place, row in enumerate(rows):
        length = memoryview(row).nbytes
        if place > start and (place - start >= BATCH_ROWS or size + length > BATCH_BYTES):
            ranges.append((start, place))
            start, size = place, 0
        size += length
    if rows:
        ranges.append((start, len(rows)))
    return ranges


async def _post_lines(
    request: Request, services: Services, ingest: Ingest, wanted: Callable[[Result], bool]
) -> Response:
    """Record a stream of lines. The results wait in a bounded buffer, then on disk, until the body has been read:
    a caller that sends everything before it reads anything never stops the stream."""
    spool = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115 - closed by the stream, or below
    first_results: list[Result] = []

    def keep(results: list[Result]) -> None:
        kept = list(filter(wanted, results))
        first_results.extend(kept[: _SHOWN_RESULTS - len(first_results)])
        try:
            spool.write(encoder.encode_lines(kept))
        except OSError as error:
            raise StorageFull("The disk has no room for the results.") from error

    try:
        await _record_batches(request, services, ingest, keep)
        refusal = ingest.refusal(first_results)
        if refusal is not None:
            raise refusal
        spool.write(encoder.encode_lines([{"summary": ingest.counts}]))
        spool.seek(0)
    except GestaError as error:
        spool.close()
        # What was recorded before the failure stays; the caller is told how much.
        error.details |= ingest.counts
        raise
    except BaseException:
        spool.close()
        raise
    return StreamingResponse(_drain(spool), media_type=NDJSON)


async def _record_batches(
    request: Request, services: Services, ingest: Ingest, keep: Callable[[list[Result]], None]
) -> None:
    """Read each batch while the one before it is being committed; at most one is under way."""
    writing: asyncio.Task[None] | None = None
    waiting: list[Result] = []

    async def settle() -> None:
        nonlocal writing
        if writing is not None:
            task, writing = writing, None
            await task
            keep(waiting)

    async def flush(batch: list[tuple[int, bytes]]) -> None:
        nonlocal writing, waiting
        results, rows = await ingest.prepare(batch)
        await settle()
        writing, waiting = asyncio.create_task(ingest.append(rows)), results

    try:
        await _read_batches(request, services, flush)
        await settle()
    except BaseException:
        # What is under way is finished, so that the counts of the error say what is recorded.
        if writing is not None:
            await asyncio.gather(writing, return_exceptions=True)
        raise


async def _read_batches(request: Request, services: Services, flush: Callable[[list[tuple[int, bytes]]], Any]) -> None:
    batch: list[tuple[int, bytes]] = []
    size = number = 0
    async with aclosing(read_lines(request, services.limits, pause_s=FLUSH_PAUSE_S)) as lines:
        async for line in lines:
            if line is not None:
                number += 1
                if not line.strip():
                    continue
                batch.append((number, line))
                size += len(line)
            # A stream that pauses has its rows recorded at once, not when the next thousand are there.
            if batch and (line is None or len(batch) >= BATCH_ROWS or size >= BATCH_BYTES):
                await flush(batch)
                batch, size = [], 0
    if batch:
        await flush(batch)


async def _drain(spool: tempfile.SpooledTemporaryFile[bytes]) -> AsyncIterator[bytes]:
    with spool:
        while part := spool.read(65_536):
            yield part

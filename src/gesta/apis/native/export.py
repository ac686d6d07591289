"""`GET /ledger/export`: CSV, NDJSON and Parquet, page by page, in bounded memory. Encoders are pure; the pages come in
from outside."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from gesta.access.model import Account
from gesta.apis.native.codec import encoder, view_detail, view_execution
from gesta.ledger.records import Execution

PAGE_ROWS = 1000
ROW_GROUP_PAGES = 10

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}

_ENVELOPE = (
    *("id", "account", "account_type", "environment", "kind", "name", "status", "source", "mode", "origin"),
    *("external_id", "parent_id", "created_at", "started_at", "finished_at", "updated_at", "recorded_at"),
    *("version", "seq"),
)
MOMENTS = ("created_at", "started_at", "finished_at", "updated_at", "recorded_at")
# Of the details, what people sum and filter by; the whole detail is JSON text in the last column.
_FROM_DETAIL = (
    *("order_id", "instrument", "side", "quantity", "price", "commission", "currency", "point_value"),
    *("position_after", "realized_pnl"),
    *("executor_type", "connector", "trading_pair", "net_pnl_quote", "net_pnl_pct", "fees_quote", "filled_quote"),
    *("close_type", "event_id", "status_reason", "error"),
)
COLUMNS = (*_ENVELOPE, *_FROM_DETAIL, "workflow_id", "workflow_name", "correlation", "detail")
_NUMBERS = frozenset(
    (
        *("version", "seq", "quantity", "price", "commission", "point_value", "position_after", "realized_pnl"),
        *("net_pnl_quote", "net_pnl_pct", "fees_quote", "filled_quote"),
    )
)
Page = Sequence[Execution]
Accounts = Mapping[int, Account]
AccountsOf = Callable[[Page], Awaitable[Accounts]]


def flat_row(row: Execution, account: Account) -> dict[str, Any]:
    """One row of a table: the envelope, the main fields of the detail, and the whole detail as JSON text."""
    view = view_execution(row, account)
    detail = view["detail"]
    flat = {name: view[name] for name in _ENVELOPE}
    flat |= {name: detail.get(name) for name in _FROM_DETAIL}
    workflow = detail.get("workflow") or {}
    flat["workflow_id"] = workflow.get("id")
    flat["workflow_name"] = workflow.get("name")
    flat["correlation"] = encoder.encode(view["correlation"]).decode()
    flat["detail"] = encoder.encode(view_detail(row.detail)).decode()
    return flat


def safe_cell(name: str, value: Any) -> Any:
    """Text that a spreadsheet would run as a formula gets a leading apostrophe; numbers stay numbers."""
    if isinstance(value, str) and name not in _NUMBERS and value.lstrip(" ")[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def csv_header() -> bytes:
    return (",".join(COLUMNS) + "\r\n").encode()


def csv_rows(page: Page, accounts: Accounts) -> bytes:
    """RFC 4180, without the header."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for row in page:
        flat = flat_row(row, accounts[row.account])
        writer.writerow([safe_cell(name, flat[name]) for name in COLUMNS])
    return text.getvalue().encode()


def ndjson_rows(page: Page, accounts: Accounts) -> bytes:
    return encoder.encode_lines([view_execution(row, accounts[row.account]) for row in page])


async def stream(format: str, first: Page, pages: AsyncIterator[Page], accounts_of: AccountsOf) -> AsyncIterator[bytes]:
    """The parts of the file. `first` was read before the answer began, so that its errors still had a status."""
    if format == "parquet":
        async for part in _parquet(first, pages, accounts_of):
            yield part
        return
    rows = csv_rows if format == "csv" else ndjson_rows
    if format == "csv":
        yield csv_header()
    yield rows(first, await accounts_of(first))
    async for page in pages:
        yield rows(page, await accounts_of(page))


async def _parquet(first: Page, pages: AsyncIterator[Page], accounts_of: AccountsOf) -> AsyncIterator[bytes]:
    # pyarrow is large and slow to import; a server that exports no Parquet never pays for it.
    from gesta.apis.native.parquet import ParquetFile, typed_row

    file = await asyncio.to_thread(ParquetFile)
    accounts = await accounts_of(first)
    held = [typed_row(row, accounts[row.account]) for row in first]
    async for page in pages:
        accounts = await accounts_of(page)
        held += [typed_row(row, accounts[row.account]) for row in page]
        if len(held) >= ROW_GROUP_PAGES * PAGE_ROWS:
            # Compressing a row group takes tens of milliseconds, which other requests need not wait for.
            yield await asyncio.to_thread(file.rows, held)
            held = []
    if held:
        yield await asyncio.to_thread(file.rows, held)
    yield await asyncio.to_thread(file.end)

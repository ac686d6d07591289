"""Export: the three formats hold every row once, in order, in bounded parts."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from gesta.access.model import AccountType
from gesta.apis.native import export
from gesta.kernel.times import from_datetime
from gesta.testing import rows

PATH = "/ledger/export"


@pytest.fixture
async def filled(house: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Fifty-seven rows, exported ten at a time, in row groups of twenty."""
    from gesta.apis.native import reads, routes

    monkeypatch.setattr(export, "PAGE_ROWS", 10)
    monkeypatch.setattr(reads, "PAGE_ROWS", 10)
    monkeypatch.setattr(export, "ROW_GROUP_PAGES", 2)
    assert routes.export is export
    account = await house.access.ensure_account(1, "Sim101", AccountType.TRADING)
    made = [rows.fill(number, account=account.id) for number in range(55)]
    await house.ledger.append(1, [*made, rows.executor(60, account=account.id), rows.run(61, account=account.id)])
    return house


async def listed(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await client.get("/ledger/executions", params={"limit": 1000, **query})).json()[
        "items"
    ]
    return items


async def test_ndjson_is_the_list(filled: Any, client: httpx.AsyncClient) -> None:
    reply = await client.get(PATH)
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert reply.headers["content-disposition"] == 'attachment; filename="executions.ndjson"'
    assert [json.loads(line) for line in reply.content.splitlines()] == await listed(client)
    oldest = await client.get(PATH, params={"order": "oldest", "kind": "fill"})
    assert [json.loads(line) for line in oldest.content.splitlines()] == await listed(
        client, order="oldest", kind="fill"
    )


async def test_csv(filled: Any, client: httpx.AsyncClient) -> None:
    reply = await client.get(PATH, params={"format": "csv"})
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    table = list(csv.DictReader(io.StringIO(reply.text, newline="")))
    items = await listed(client)
    assert [row["id"] for row in table] == [item["id"] for item in items]
    assert [row["price"] for row in table] == [item["detail"].get("price", "") for item in items]
    assert [json.loads(row["detail"]) for row in table] == [item["detail"] for item in items]
    assert {row["workflow_id"] for row in table} == {"", "wf5"}


async def test_parquet(filled: Any, client: httpx.AsyncClient) -> None:
    reply = await client.get(PATH, params={"format": "parquet"})
    assert reply.headers["content-type"] == "application/vnd.apache.parquet"
    file = pq.ParquetFile(io.BytesIO(reply.content))
    assert [file.metadata.row_group(place).num_rows for place in range(file.num_row_groups)] == [20, 20, 17]
    table = file.read().to_pylist()
    items = await listed(client)
    assert [row["id"] for row in table] == [item["id"] for item in items]
    assert [row["quantity"] for row in table] == [item["detail"].get("quantity") for item in items]
    assert [row["seq"] for row in table] == [item["seq"] for item in items]
    stored = (await filled.ledger.get(1, table[0]["id"])).created_at_us
    assert from_datetime(table[0]["created_at"]) == stored


@pytest.mark.parametrize("format", ["csv", "ndjson", "parquet"])
async def test_nothing_to_export(house: Any, client: httpx.AsyncClient, format: str) -> None:
    for query in ({}, {"environment": "test"}):
        reply = await client.get(PATH, params={"format": format, **query})
        assert reply.status_code == 200
        if format == "parquet":
            assert pq.read_table(io.BytesIO(reply.content)).num_rows == 0
        else:
            assert reply.text.count("\n") == (1 if format == "csv" else 0)


async def test_errors_come_before_the_file(house: Any, client: httpx.AsyncClient) -> None:
    for query in ("format=xlsx", "format=", "limit=1", "account=nobody"):
        reply = await client.get(f"{PATH}?{query}")
        assert reply.status_code == (404 if "account" in query else 400)


@pytest.mark.parametrize(
    ("name", "value", "cell"),
    [
        ("name", "=1+1", "'=1+1"),
        ("name", "+1", "'+1"),
        ("name", "-cmd", "'-cmd"),
        ("name", "@x", "'@x"),
        ("name", " =1", "' =1"),
        ("name", "\t=1", "'\t=1"),
        ("name", "a=1", "a=1"),
        ("name", "", ""),
        ("name", None, None),
        ("realized_pnl", "-12.5", "-12.5"),
    ],
)
def test_no_cell_is_a_formula(name: str, value: str | None, cell: str | None) -> None:
    assert export.safe_cell(name, value) == cell


async def test_a_formula_in_a_name_is_quoted(client: httpx.AsyncClient, fill: dict[str, Any]) -> None:
    fill["name"] = '=HYPERLINK("http://x")\n,2'
    fill["detail"]["realized_pnl"] = "-3.5"
    del fill["name"]
    fill["name"] = '=HYPERLINK("http://x"),2'
    await client.post("/ledger/executions", json=fill)
    (row,) = csv.DictReader(io.StringIO((await client.get(PATH, params={"format": "csv"})).text, newline=""))
    assert row["name"] == '\'=HYPERLINK("http://x"),2'
    assert row["realized_pnl"] == "-3.5"

"""Parquet in parts, through pyarrow. The one module that knows it; imported when the first Parquet export begins."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gesta.access.model import Account
from gesta.apis.native.export import COLUMNS, MOMENTS, flat_row
from gesta.ledger.records import Execution


def _column(name: str) -> pa.DataType:
    if name in MOMENTS:
        return pa.timestamp("us", tz="UTC")
    return pa.int64() if name in ("version", "seq") else pa.string()


SCHEMA = pa.schema([(name, _column(name)) for name in COLUMNS])


class _Sink(io.RawIOBase):
    """What the Parquet writer has written and the caller has not yet taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._written += len(part)
        return len(part)

    def tell(self) -> int:
        return self._written

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


class ParquetFile:
    """A Parquet file in parts: one row group per `rows`, the footer at `end`. Money is exact decimal text."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._writer = pq.ParquetWriter(pa.PythonFile(self._sink, mode="w"), SCHEMA, compression="zstd")

    def rows(self, flats: Iterable[Mapping[str, Any]]) -> bytes:
        table = pa.Table.from_pylist(list(flats), schema=SCHEMA)
        self._writer.write_table(table)
        return self._sink.take()

    def end(self) -> bytes:
        self._writer.close()
        return self._sink.take()


def typed_row(row: Execution, account: Account) -> dict[str, Any]:
    """A flat row with its times as microseconds, as the Parquet columns hold them."""
    flat = flat_row(row, account)
    for name in MOMENTS:
        flat[name] = getattr(row, f"{name}_us")
    return flat

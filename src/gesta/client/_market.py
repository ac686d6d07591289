"""The market section of the client, sync and async: what the market says, and data pushed into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from gesta.client._errors import ApiError, ProtocolError
from gesta.client._requests import Call, decode_object, encode_row, items_of, params_of

if TYPE_CHECKING:
    from gesta.client._async import AsyncGesta
    from gesta.client._sync import Gesta

_ALL_REFUSED = 422


class PushReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of pushed rows. `results` tell of the first hundred that were refused: `{"line", "outcome",
    "error": {"code", "detail", "field"}}`, lines counted from 1."""

    taken: int = 0
    conflicts: int = 0
    invalid: int = 0
    results: list[dict[str, Any]] = []


def _list() -> Call:
    return Call(method="GET", path="/ledger/market")


def _get(instrument: str) -> Call:
    return Call(method="GET", path=f"/ledger/market/{quote(instrument, safe='')}")


def _push(rows: Iterable[Mapping[str, Any] | bytes], restart: bool) -> Call:
    return Call(
        method="POST",
        path="/ledger/market/data",
        params=params_of({"restart": restart or None}),
        headers={"Content-Type": "application/x-ndjson"},
        content=b"".join(encode_row(row) + b"\n" for row in rows),
    )


def _report(said: Mapping[str, Any]) -> PushReport:
    try:
        return msgspec.convert(dict(said), PushReport)
    except msgspec.ValidationError as error:
        raise ProtocolError(f"The answer is not that of pushed data: {error}") from None


def _refused(error: ApiError) -> PushReport:
    """The report of a push of which every row is invalid. Raises any other error."""
    if error.status != _ALL_REFUSED or "results" not in error.problem:
        raise error
    return _report({name: value for name, value in error.problem.items() if name in PushReport.__struct_fields__})


class Market:
    """`gesta.market`. Prices and sizes are exact decimal text."""

    def __init__(self, client: Gesta) -> None:
        self._client = client

    def list(self) -> list[dict[str, Any]]:
        """Every instrument that has market data."""
        return items_of(decode_object(self._client._send(_list())))

    def get(self, instrument: str) -> dict[str, Any]:
        """One instrument's market, by any of its names. Raises NotFound."""
        return decode_object(self._client._send(_get(instrument)))

    def push(self, rows: Iterable[Mapping[str, Any] | bytes], *, restart: bool = False) -> PushReport:
        """Give market data, in order, in one request: `{"instrument", "bid", "ask", "bid_size", "ask_size", "time"}` or
        `{"instrument", "price", "size", "aggressor", "time"}`. With `restart`, what was known of each instrument is
        forgotten first. Not repeated when it fails, so that no print counts twice. Raises Conflict where a recording
        drives the instruments."""
        try:
            return _report(decode_object(self._client._body(_push(rows, restart))))
        except ApiError as error:
            return _refused(error)


class AsyncMarket:
    """As Market."""

    def __init__(self, client: AsyncGesta) -> None:
        self._client = client

    async def list(self) -> list[dict[str, Any]]:
        """Every instrument that has market data."""
        return items_of(decode_object(await self._client._send(_list())))

    async def get(self, instrument: str) -> dict[str, Any]:
        """One instrument's market, by any of its names. Raises NotFound."""
        return decode_object(await self._client._send(_get(instrument)))

    async def push(self, rows: Iterable[Mapping[str, Any] | bytes], *, restart: bool = False) -> PushReport:
        """As Market.push."""
        try:
            return _report(decode_object(await self._client._body(_push(rows, restart))))
        except ApiError as error:
            return _refused(error)

"""The routes of Gesta's own dialect around market data: what the market says, and data pushed from outside."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Principal, Scope
from gesta.apis.common.services import Services
from gesta.apis.native import params
from gesta.apis.native.bodies import JSON, NDJSON, content_type, read_body, read_lines
from gesta.apis.native.codec import canonical, decimal_text, decode_model, encoder, parse_moment, view_row_error
from gesta.apis.native.errors import RowsInvalid
from gesta.apis.native.ingest import BATCH_BYTES, BATCH_ROWS, FLUSH_PAUSE_S, split_rows
from gesta.apis.native.models import MarketQuoteModel, MarketTradeModel
from gesta.apis.native.reads import MAX_ID
from gesta.desk.market.face import Pushed, PushedQuote, PushedTrade, Snapshot
from gesta.kernel.errors import CallerError, Conflict, GestaError, InvalidInput, NotFound
from gesta.kernel.times import format_us
from gesta.trading.market import Flag

# Of the rows that were refused, so many are told about; the counts have them all.
SHOWN_RESULTS = 100
_AGGRESSORS = {"buy": 1, "sell": -1, None: 0}
_SIDES = {1: "buy", -1: "sell", 0: None}

Enter = Callable[[Request, dict[str, params.Param]], Coroutine[Any, Any, tuple[Principal, dict[str, Any]]]]


class MarketRoutes:
    """The handlers. `enter` authenticates and reads the query."""

    def __init__(self, services: Services, enter: Enter) -> None:
        self._services = services
        self._enter = enter

    async def markets(self, request: Request) -> Response:
        principal, _ = await self._enter(request, {})
        principal.require(Scope.READ)
        market = self._services.markets
        return _json({"items": [view_snapshot(market.snapshot(each.name)) for each in market.instruments()]})

    async def market(self, request: Request) -> Response:
        principal, _ = await self._enter(request, {})
        principal.require(Scope.READ)
        market, name = self._services.markets, request.path_params["instrument"]
        if "\x00" in name or not 0 < len(name) <= MAX_ID:
            raise NotFound("No such instrument.", what="instrument")
        try:
            instrument = market.resolve(name)
        except InvalidInput as error:
            raise NotFound(error.message, what="instrument") from None
        return _json(view_snapshot(market.snapshot(instrument.name)))

    async def push(self, request: Request) -> Response:
        principal, given = await self._enter(request, params.PUSH)
        principal.require(Scope.ADMIN)
        media_type = content_type(request, JSON, NDJSON)
        push = _Push(self._services, "index" if media_type == JSON else "line", bool(given.get("restart")))
        try:
            if media_type == JSON:
                rows = split_rows(await read_body(request, self._services.limits))
                for start in range(0, len(rows), BATCH_ROWS):
                    await push.take(list(enumerate(rows[start : start + BATCH_ROWS], start)))
            else:
                await self._lines(request, push)
        except GestaError as error:
            # What was taken before the failure stays; the caller is told how much.
            error.details |= push.counts
            raise
        push.raise_if_all_refused()
        return _json({**push.counts, "results": push.results})

    async def _lines(self, request: Request, push: _Push) -> None:
        batch: list[tuple[int, bytes]] = []
        size = number = 0
        async with aclosing(read_lines(request, self._services.limits, pause_s=FLUSH_PAUSE_S)) as lines:
            async for line in lines:
                if line is not None:
                    number += 1
                    if not line.strip():
                        continue
                    batch.append((number, line))
                    size += len(line)
                if batch and (line is None or len(batch) >= BATCH_ROWS or size >= BATCH_BYTES):
                    await push.take(batch)
                    batch, size = [], 0
        if batch:
            await push.take(batch)


class _Push:
    """The rows of one request on their way to the market desk. `place` is `index` or `line`."""

    def __init__(self, services: Services, place: str, restart: bool) -> None:
        self._market = services.markets
        self._place = place
        self._restart = restart
        self._restarted: set[str] = set()
        self.counts = {"taken": 0, "conflicts": 0, "invalid": 0}
        self.results: list[dict[str, Any]] = []

    async def take(self, batch: Sequence[tuple[int, bytes | msgspec.Raw]]) -> None:
        """Pass a batch on, each row with its own outcome."""
        rows: list[tuple[int, Pushed]] = []
        failures: dict[int, CallerError] = {}
        for number, raw in batch:
            try:
                rows.append((number, decode_row(raw)))
            except CallerError as error:
                failures[number] = error
        # What is told twice in one request begins anew once.
        names = {row.instrument for _, row in rows}
        fresh = names - self._restarted if self._restart else set()
        self._restarted |= names
        outcomes = await self._market.push([row for _, row in rows], restart=frozenset(fresh))
        for (number, _), outcome in zip(rows, outcomes, strict=True):
            if outcome is None:
                self.counts["taken"] += 1
            else:
                failures[number] = outcome
        for number, failure in sorted(failures.items()):
            self._refuse(number, failure)

    def _refuse(self, number: int, error: CallerError) -> None:
        is_conflict = isinstance(error, Conflict)
        self.counts["conflicts" if is_conflict else "invalid"] += 1
        if len(self.results) < SHOWN_RESULTS:
            outcome = "conflict" if is_conflict else "invalid"
            self.results.append({self._place: number, "outcome": outcome, "error": view_row_error(error)})

    def raise_if_all_refused(self) -> None:
        """Raises Conflict or RowsInvalid for a request of which nothing was taken."""
        if self.counts["taken"] or not (self.counts["conflicts"] or self.counts["invalid"]):
            return
        details = {**self.counts, "results": self.results}
        if not self.counts["invalid"]:
            raise Conflict(self.results[0]["error"]["detail"], **details)
        raise RowsInvalid("No row could be taken.", **details)


def decode_row(raw: bytes | msgspec.Raw) -> Pushed:
    """One row: a trade if it has a `price`, else a quote. Raises InvalidInput with `field`."""
    if b'"price"' in bytes(raw):
        trade = decode_model(raw, MarketTradeModel)
        return PushedTrade(
            instrument=trade.instrument,
            price=canonical(trade.price, "price"),
            size=canonical(trade.size, "size"),
            aggressor=_AGGRESSORS[trade.aggressor],
            time_us=parse_moment(trade.time, "time"),
        )
    quote = decode_model(raw, MarketQuoteModel)
    return PushedQuote(
        instrument=quote.instrument,
        bid=None if quote.bid is None else canonical(quote.bid, "bid"),
        ask=None if quote.ask is None else canonical(quote.ask, "ask"),
        bid_size=canonical(quote.bid_size, "bid_size"),
        ask_size=canonical(quote.ask_size, "ask_size"),
        time_us=parse_moment(quote.time, "time"),
    )


def view_snapshot(said: Snapshot) -> dict[str, Any]:
    """One instrument's market. Prices and sizes are decimal text, null where there are none."""
    instrument, quote, trade = said.instrument, said.quote, said.trade
    newest = max((data for data in (quote, trade) if data is not None), key=lambda d: d.venue_time_us, default=None)

    def price(ticks: int | None) -> str | None:
        return None if ticks is None else decimal_text(instrument.price(ticks))

    def size(lots: int | None) -> str | None:
        return None if lots is None else decimal_text(instrument.quantity(lots))

    return {
        "instrument": instrument.name,
        "description": instrument.description,
        "tick_size": decimal_text(instrument.tick_size),
        "lot_size": decimal_text(instrument.lot_size),
        "point_value": decimal_text(instrument.point_value),
        "currency": instrument.currency,
        "bid": None if said.bid is None else decimal_text(said.bid),
        "ask": None if said.ask is None else decimal_text(said.ask),
        "bid_size": None if quote is None else size(quote.bid_size),
        "ask_size": None if quote is None else size(quote.ask_size),
        "last": None if said.last is None else decimal_text(said.last),
        "last_size": None if trade is None else size(trade.size),
        "last_aggressor": None if trade is None else _SIDES[trade.aggressor],
        "time": None if newest is None else format_us(newest.venue_time_us),
        "received_at": None if newest is None else format_us(newest.received_at_us),
        "open": price(said.open),
        "high": price(said.high),
        "low": price(said.low),
        "previous_close": price(said.previous_close),
        "volume": size(said.volume),
        "source": said.source,
        "is_simulated": said.is_simulated,
        "is_open": said.is_open,
        "is_stale": said.is_stale,
        "is_crossed": quote is not None and bool(quote.flags & Flag.CROSSED),
        "gaps": said.gaps,
    }


def _json(value: Any) -> Response:
    return Response(encoder.encode(value), media_type=JSON)

"""A fill as NinjaTrader's Execution object, out and in. Pure; protocols/crosstrade.md §5, seeds 000 and 001.

Numbers leave as doubles where a double says the decimal exactly, else as `Decimal`: encode the result with
`encode_reply`, which prints a Decimal as a JSON number with all its digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, timedelta, tzinfo
from typing import Any, Final

import msgspec

from gesta.access.model import Account, AccountType, Environment
from gesta.apis.common.overrides import capture, restore
from gesta.apis.common.services import Decoded
from gesta.apis.crosstrade.models import NINJATRADER_EXECUTION
from gesta.apis.crosstrade.numbers import double, encode_reply, money_text, usual_double, whole
from gesta.apis.crosstrade.posted import Moment, PostedExecution
from gesta.apis.crosstrade.wall_clock import local_time, zone_of
from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import EPOCH
from gesta.ledger.records import Execution, FillDetail, NewExecution, Side, Source, Status, Wire

DIALECT: Final = "crosstrade"
ORIGIN: Final = "ninjatrader"

_SIDE: Final = {"Long": Side.BUY, "Short": Side.SELL}
# What a posted object may say in other words than the canonical form: a seventh digit or a time that disagrees with
# `epoch`, more decimals, an empty host name. Every other key is derived, so the published types always hold.
_KEPT_AS_POSTED: Final = ("time", "commission", "serverName")


def encode(execution: Execution, account: Account) -> dict[str, Any]:
    """The Execution object, keys in the published order. `execution.detail` must be a FillDetail."""
    detail = execution.detail
    assert isinstance(detail, FillDetail)
    derived = _derive(
        execution_id=execution.external_id,
        name=execution.name,
        at_us=execution.created_at_us,
        detail=detail,
        account=account,
    )
    return restore(execution.wire, DIALECT, derived)


def _derive(*, execution_id: str, name: str, at_us: int, detail: FillDetail, account: Account) -> dict[str, Any]:
    return {
        "id": execution_id,
        "type": NINJATRADER_EXECUTION,
        "time": local_time(at_us, account.time_zone),
        "epoch": at_us // 1000,
        "name": name,
        "orderId": detail.order_id,
        "account": account.name,
        "serverName": detail.server_name or account.server_name,
        "instrument": detail.instrument,
        "instrumentType": detail.instrument_type,
        "position": whole(detail.position_after),
        "marketPosition": "Long" if detail.side is Side.BUY else "Short",
        "positionStrategy": detail.position_strategy,
        "price": double(detail.price),
        "quantity": whole(detail.quantity),
        "rate": usual_double(detail.rate),
        "commission": money_text(detail.commission),
        "slippage": usual_double(detail.slippage_ticks),
        "lotSize": usual_double(detail.lot_size),
        "isEntry": detail.is_entry,
        "isEntryStrategy": detail.is_entry_strategy,
        "isExit": detail.is_exit,
        "isExitStrategy": detail.is_exit_strategy,
        "isInitialEntry": detail.is_initial_entry,
        "isLastExit": detail.is_last_exit,
        "isSod": detail.is_start_of_day,
        "barsInProgress": detail.bars_in_progress,
        "exchange": detail.exchange,
    }


def decode(posted: Mapping[str, Any], *, now_us: int, organization: str) -> Decoded:
    """Read an Execution object, as the list has it (seed 000) or as the get has it, with `success` (seed 001).

    Required: id, account, instrument, marketPosition, price, quantity, and `time` or `epoch`. Another published key
    that is absent or null gets its default; unknown keys are kept and come out again. `time` is read in the account's
    zone; where it disagrees with `epoch`, `epoch` is the event time and `time` comes out as it was posted.
    `now_us` and `organization` play no part. Raises InvalidInput with `field`.
    """
    read = PostedExecution(posted)
    account_name = read.text("account")
    execution_id = read.id()
    name = read.text("name", "")
    moment = read.moment()
    detail = _detail(read)

    def row(account: Account) -> NewExecution:
        at_us = event_time(moment, account.time_zone)
        fill = msgspec.structs.replace(detail, currency=account.currency)
        derived = _derive(execution_id=execution_id, name=name, at_us=at_us, detail=fill, account=account)
        return NewExecution(
            id=execution_id,
            account=account.id,
            origin=ORIGIN,
            name=name,
            status=Status.SUCCEEDED,
            source=Source.VENUE,
            created_at_us=at_us,
            started_at_us=at_us,
            finished_at_us=at_us,
            detail=fill,
            correlation=correlation_of(fill),
            wire=_wire(read.fields, derived),
        )

    return Decoded(
        account_name=account_name, account_type=AccountType.TRADING, environment=Environment.PRODUCTION, row=row
    )


def _detail(read: PostedExecution) -> FillDetail:
    if read.text("type", NINJATRADER_EXECUTION) != NINJATRADER_EXECUTION:
        raise InvalidInput(f"`type` is always {NINJATRADER_EXECUTION}.", field="type")
    return FillDetail(
        order_id=read.text("orderId", ""),
        instrument=read.text("instrument"),
        side=read.word("marketPosition", _SIDE),
        quantity=read.quantity("quantity"),
        price=read.number("price"),
        commission=read.amount("commission"),
        instrument_type=read.text("instrumentType", "Future"),
        exchange=read.text("exchange", "Default"),
        server_name=read.text("serverName", ""),
        position_after=read.number("position", 0),
        position_strategy=read.integer("positionStrategy"),
        rate=read.number("rate", 1),
        lot_size=read.number("lotSize", 1),
        slippage_ticks=read.number("slippage", 0),
        is_entry=read.flag("isEntry"),
        is_entry_strategy=read.flag("isEntryStrategy"),
        is_exit=read.flag("isExit"),
        is_exit_strategy=read.flag("isExitStrategy"),
        is_initial_entry=read.flag("isInitialEntry"),
        is_last_exit=read.flag("isLastExit"),
        is_start_of_day=read.flag("isSod"),
        bars_in_progress=read.integer("barsInProgress"),
    )


def correlation_of(fill: FillDetail) -> dict[str, str]:
    """The ids by which a fill is found: its order and its instrument, where it names them."""
    pairs = {"order_id": fill.order_id, "instrument": fill.instrument}
    return {key: value for key, value in pairs.items() if value}


def _wire(fields: Mapping[str, Any], derived: dict[str, Any]) -> Wire | None:
    said = {key: fields.get(key) for key in _KEPT_AS_POSTED}
    kept = {key: value for key, value in said.items() if isinstance(value, str) and (value or key == "serverName")}
    extra = {key: value for key, value in fields.items() if key not in derived and key != "success"}
    return capture(DIALECT, {**derived, **kept, **extra}, derived)


# -- time


def event_time(moment: Moment, zone: str) -> int:
    """UTC microseconds of a posted moment whose wall clock is that of `zone`.

    `epoch` decides; `time` adds the digits below the millisecond where both mean the same millisecond. In the hour
    that a clock repeats, `epoch` says which of the two it was.
    """
    candidates = [_utc_us(moment, zone, fold) for fold in (0, 1)] if moment.wall else []
    if moment.epoch_ms is None:
        return candidates[0]
    for candidate in candidates:
        if candidate // 1000 == moment.epoch_ms:
            return candidate
    return moment.epoch_ms * 1000


def _utc_us(moment: Moment, zone: str, fold: int) -> int:
    assert moment.wall is not None
    offset: tzinfo = zone_of(zone) if moment.offset is None else moment.offset
    local = moment.wall.replace(tzinfo=offset, fold=fold)
    try:
        shift = local.utcoffset() or timedelta(0)
    except OverflowError:
        shift = timedelta(0)
    return (moment.wall.replace(tzinfo=UTC) - EPOCH - shift) // timedelta(microseconds=1)


__all__ = ["DIALECT", "ORIGIN", "correlation_of", "decode", "encode", "encode_reply", "event_time", "local_time"]

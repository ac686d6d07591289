"""A fill as NinjaTrader's Execution object, out and in. Pure; protocols/crosstrade.md §5, seeds 000 and 001.

Numbers leave as doubles where a double says the decimal exactly, else as `Decimal`: encode the result with
`encode_reply`, which prints a Decimal as a JSON number with all its digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from gesta.access.model import Account, AccountType, Environment
from gesta.apis.common.overrides import capture, restore
from gesta.apis.common.services import Decoded
from gesta.apis.crosstrade.models import NINJATRADER_EXECUTION
from gesta.apis.crosstrade.posted import Moment, PostedExecution
from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import DAY_US, EPOCH
from gesta.ledger.records import Execution, FillDetail, NewExecution, Side, Source, Status, Wire

DIALECT: Final = "crosstrade"
ORIGIN: Final = "ninjatrader"

_CENT: Final = Decimal("0.01")
_SIDE: Final = {"Long": Side.BUY, "Short": Side.SELL}
# What a posted object may say in other words than the canonical form: a seventh digit or a time that disagrees with
# `epoch`, more decimals, an empty host name. Every other key is derived, so the published types always hold.
_KEPT_AS_POSTED: Final = ("time", "commission", "serverName")
_encoder = msgspec.json.Encoder(decimal_format="number")


def encode_reply(body: Any) -> bytes:
    """JSON bytes of a body made of what `encode` returns."""
    return _encoder.encode(body)


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
        "position": _whole(detail.position_after),
        "marketPosition": "Long" if detail.side is Side.BUY else "Short",
        "positionStrategy": detail.position_strategy,
        "price": _double(detail.price),
        "quantity": _whole(detail.quantity),
        "rate": _usual_double(detail.rate),
        "commission": _money(detail.commission),
        "slippage": _usual_double(detail.slippage_ticks),
        "lotSize": _usual_double(detail.lot_size),
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


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


def local_time(at_us: int, zone: str) -> str:
    """.NET's round-trip form without a zone, seven digits: `2025-09-26T18:09:38.3736780`.

    Gesta's microseconds end at the sixth; the seventh is 0 unless the posted object said otherwise.
    """
    offset_us = _offset_of_day(zone, at_us // DAY_US)
    if offset_us is None:
        return _local_time_exactly(at_us, zone)
    day, rest_us = divmod(at_us + offset_us, DAY_US)
    second, micros = divmod(rest_us, 1_000_000)
    return f"{_date_text(day)}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{micros:06d}0"


def _local_time_exactly(at_us: int, zone: str) -> str:
    moment = EPOCH + timedelta(microseconds=at_us)
    with suppress(OverflowError):  # the first and last day of the calendar have no local time in every zone
        moment = moment.astimezone(_zone(zone))
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "0"


@lru_cache(maxsize=16_384)
def _offset_of_day(zone: str, day: int) -> int | None:
    """The zone's offset if it is the same all through that UTC day, else None. A page of fills comes from few days, so
    this replaces most of the calendar's work."""
    try:
        # No zone changes its clock twice within six hours.
        offsets = {
            (EPOCH + timedelta(days=day, hours=6 * part)).astimezone(_zone(zone)).utcoffset() for part in range(5)
        }
    except OverflowError:
        return None
    offset = offsets.pop()
    return None if offsets or offset is None else offset // timedelta(microseconds=1)


@lru_cache(maxsize=16_384)
def _date_text(day: int) -> str:
    return (EPOCH + timedelta(days=day)).date().isoformat()


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
    offset: tzinfo = _zone(zone) if moment.offset is None else moment.offset
    local = moment.wall.replace(tzinfo=offset, fold=fold)
    try:
        shift = local.utcoffset() or timedelta(0)
    except OverflowError:
        shift = timedelta(0)
    return (moment.wall.replace(tzinfo=UTC) - EPOCH - shift) // timedelta(microseconds=1)


# -- numbers


def _double(value: Decimal) -> float | Decimal:
    """A float where it says the decimal exactly as text, else the Decimal."""
    number = float(value)
    # The first comparison is the cheap one, and decides for whole numbers, halves and quarters.
    return number if value == number or Decimal(repr(number)) == value else value


# Rates, lot sizes and slippages are few: nearly always 1 and 0.
_usual_double = lru_cache(maxsize=1024)(_double)


def _whole(value: Decimal) -> int | float | Decimal:
    """An int where the value is whole: 1 for `1`, `1.0` and `1E0`."""
    if value.adjusted() > 18:
        return value
    return int(value) if value == value.to_integral_value() else _double(value)


def _money(value: Decimal) -> str:
    """Two decimals, halves away from zero as .NET rounds them, and no negative zero."""
    if value.adjusted() > 24:
        return f"{value:f}"
    if not value:
        return "0.00"
    text = f"{value.quantize(_CENT, ROUND_HALF_UP):f}"
    return "0.00" if text == "-0.00" else text


__all__ = ["DIALECT", "ORIGIN", "correlation_of", "decode", "encode", "encode_reply", "event_time", "local_time"]

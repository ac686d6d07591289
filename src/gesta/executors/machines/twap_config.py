"""The TWAP executor's config (protocols/hummingbot.md §6)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from gesta.executors.machines.face import OrderKind, Trade
from gesta.executors.machines.parsing import MARKET_FIELDS, Fields

__all__ = ["Config", "Mode", "parse"]

FIELDS = (
    *MARKET_FIELDS,
    "side",
    "leverage",
    "total_amount_quote",
    "total_duration",
    "order_interval",
    "mode",
    "limit_order_buffer",
    "order_resubmission_time",
    "level_id",
)

#: Each slot is an order that is kept in the state, and written with it, for as long as the executor lives. This is a
#: day in steps of half a minute.
MOST_SLOTS = 3_000

LONGEST_S = 100 * 365 * 86_400


class Mode(enum.StrEnum):
    MAKER = "MAKER"
    TAKER = "TAKER"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """`limit_order_buffer` is how far from the mid price a MAKER's orders are, as a fraction of it."""

    connector_name: str
    trading_pair: str
    side: Trade
    total_amount_quote: Decimal
    total_duration_s: int
    order_interval_s: int
    id: str | None = None
    timestamp_us: int | None = None
    controller_id: str = "main"
    leverage: int = 1
    mode: Mode = Mode.TAKER
    limit_order_buffer: Decimal = Decimal(0)
    order_resubmission_time_s: int | None = None
    level_id: str | None = None

    @property
    def order_kind(self) -> OrderKind:
        return OrderKind.LIMIT if self.mode is Mode.MAKER else OrderKind.MARKET

    @property
    def slots(self) -> int:
        """One at the start and one after each whole interval."""
        return self.total_duration_s // self.order_interval_s + 1


def parse(config: Mapping[str, Any]) -> Config:
    """Raises InvalidInput with `field`."""
    fields = Fields(config, FIELDS)
    market = fields.market()
    mode = fields.word_or("mode", Mode, Mode.TAKER)
    if mode is Mode.MAKER and not fields.has("limit_order_buffer"):
        fields.refuse("limit_order_buffer", "be set in MAKER mode")
    buffer = fields.decimal_or("limit_order_buffer", Decimal(0), at_least=0)
    if buffer >= 1:
        fields.refuse("limit_order_buffer", "be less than 1: it is a fraction of the price")
    parsed = Config(
        **market,
        side=fields.side(),
        total_amount_quote=fields.decimal("total_amount_quote", above=0),
        total_duration_s=fields.integer("total_duration", at_least=1, at_most=LONGEST_S),
        order_interval_s=fields.integer("order_interval", at_least=1, at_most=LONGEST_S),
        leverage=fields.integer_or("leverage", 1, at_least=1),
        mode=mode,
        limit_order_buffer=buffer,
        order_resubmission_time_s=fields.seconds_or("order_resubmission_time", None),
        level_id=fields.text_or("level_id", None),
    )
    if parsed.slots > MOST_SLOTS:
        fields.refuse("order_interval", f"cut total_duration into at most {MOST_SLOTS} orders, not {parsed.slots}")
    return parsed

"""What a grid executor is asked to do (protocols/hummingbot.md §5)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from gesta.executors.machines.common import US, TripleBarrier
from gesta.executors.machines.face import Trade
from gesta.executors.machines.parsing import MARKET_FIELDS, Fields

__all__ = ["Config", "parse"]

CONFIG_FIELDS = (
    *MARKET_FIELDS,
    "side",
    "start_price",
    "end_price",
    "limit_price",
    "total_amount_quote",
    "min_spread_between_orders",
    "min_order_amount_quote",
    "max_open_orders",
    "max_orders_per_batch",
    "order_frequency",
    "activation_bounds",
    "safe_extra_spread",
    "triple_barrier_config",
    "leverage",
    "level_id",
    "deduct_base_fees",
    "keep_position",
    "coerce_tp_to_step",
)

MOST_OPEN_ORDERS = 1_000


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """`start_price` is the bottom and `end_price` the top of the grid, for both sides. `limit_price` 0 is none. Spreads
    and `activation_bounds` are fractions of a price. `take_profit` is each level's, a fraction of the level's price."""

    id: str | None = None
    timestamp_us: int | None = None
    controller_id: str = "main"
    connector_name: str
    trading_pair: str
    side: Trade = Trade.BUY
    start_price: Decimal
    end_price: Decimal
    limit_price: Decimal
    total_amount_quote: Decimal
    min_spread_between_orders: Decimal = Decimal("0.0005")
    min_order_amount_quote: Decimal = Decimal(5)
    max_open_orders: int = 5
    max_orders_per_batch: int | None = None
    order_frequency_s: int = 0
    activation_bounds: Decimal | None = None
    safe_extra_spread: Decimal = Decimal("0.0001")
    take_profit: Decimal
    triple_barrier: TripleBarrier
    leverage: int = 20
    level_id: str | None = None
    deduct_base_fees: bool = False
    keep_position: bool = False
    coerce_tp_to_step: bool = False

    @property
    def order_spacing_us(self) -> int:
        """The least time between two batches of openings. Batches without an order frequency are a second apart, or
        each answer of the venue would send the next one."""
        least_s = 0 if self.max_orders_per_batch is None else 1
        return max(self.order_frequency_s, least_s) * US


def parse(config: Mapping[str, Any]) -> Config:
    """The config of a request. Raises InvalidInput with `field`."""
    fields = Fields(config, CONFIG_FIELDS)
    market = fields.market()
    side = fields.side_or(Trade.BUY)
    start, end, limit = _range(fields, side)
    if not fields.has("triple_barrier_config"):
        fields.refuse("triple_barrier_config", "be an object with at least take_profit")
    barrier = fields.triple_barrier()
    if barrier.take_profit is None:
        fields.nested("triple_barrier_config", ()).refuse("take_profit", "be a number greater than 0")
    activation_bounds = fields.decimal_or("activation_bounds", None, above=0)
    if side is Trade.SELL and barrier.take_profit >= 1 and not fields.flag_or("coerce_tp_to_step", False):
        fields.nested("triple_barrier_config", ()).refuse("take_profit", "be less than 1 for a SELL side")
    return Config(
        **market,
        side=side,
        start_price=start,
        end_price=end,
        limit_price=limit,
        total_amount_quote=fields.decimal("total_amount_quote", above=0),
        min_spread_between_orders=fields.decimal_or("min_spread_between_orders", Decimal("0.0005"), at_least=0),
        min_order_amount_quote=fields.decimal_or("min_order_amount_quote", Decimal(5), above=0),
        max_open_orders=fields.integer_or("max_open_orders", 5, at_least=1, at_most=MOST_OPEN_ORDERS),
        max_orders_per_batch=fields.integer_or("max_orders_per_batch", None, at_least=1, at_most=MOST_OPEN_ORDERS),
        order_frequency_s=fields.integer_or("order_frequency", 0, at_least=0, at_most=10**9),
        activation_bounds=activation_bounds,
        safe_extra_spread=_spread(fields),
        take_profit=barrier.take_profit,
        triple_barrier=barrier,
        leverage=fields.integer_or("leverage", 20, at_least=1, at_most=1_000),
        level_id=fields.text_or("level_id", None),
        deduct_base_fees=fields.flag_or("deduct_base_fees", False),
        keep_position=fields.flag_or("keep_position", False),
        coerce_tp_to_step=fields.flag_or("coerce_tp_to_step", False),
    )


def _range(fields: Fields, side: Trade) -> tuple[Decimal, Decimal, Decimal]:
    start = fields.decimal("start_price", above=0)
    end = fields.decimal("end_price", above=0)
    if start >= end:
        fields.refuse("start_price", f"be lower than end_price ({end}): they are the bottom and the top of the grid")
    limit = fields.decimal("limit_price", at_least=0)
    if limit and side is Trade.BUY and limit >= start:
        fields.refuse(
            "limit_price",
            f"be lower than start_price ({start}) for a BUY side: a long is stopped out by falling prices, so the stop "
            "has to sit below the range",
        )
    if limit and side is Trade.SELL and limit <= end:
        fields.refuse(
            "limit_price",
            f"be higher than end_price ({end}) for a SELL side: a short is stopped out by rising prices, so the stop "
            "has to sit above the range",
        )
    return start, end, limit


def _spread(fields: Fields) -> Decimal:
    spread = fields.decimal_or("safe_extra_spread", Decimal("0.0001"), at_least=0)
    if spread >= 1:
        fields.refuse("safe_extra_spread", "be less than 1, a fraction of the price")
    return spread

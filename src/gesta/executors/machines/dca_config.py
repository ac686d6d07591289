"""The DCA executor's config (protocols/hummingbot.md §4)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from gesta.executors.machines.common import TrailingStop
from gesta.executors.machines.face import OrderKind, Trade
from gesta.executors.machines.parsing import MARKET_FIELDS, Fields

__all__ = ["Config", "Mode", "bounds_of", "parse"]

FIELDS = (
    *MARKET_FIELDS,
    "side",
    "leverage",
    "amounts_quote",
    "prices",
    "take_profit",
    "stop_loss",
    "trailing_stop",
    "time_limit",
    "mode",
    "activation_bounds",
    "level_id",
)

#: A TAKER without bounds of its own opens a level within these (§4).
TAKER_BOUNDS = (Decimal("0.0001"), Decimal("0.005"))


class Mode(enum.StrEnum):
    MAKER = "MAKER"
    TAKER = "TAKER"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """§4. `amounts_quote` and `prices` are the levels, in the order of their opening. `take_profit` and `stop_loss` are
    fractions of net PnL."""

    connector_name: str
    trading_pair: str
    side: Trade
    amounts_quote: tuple[Decimal, ...]
    prices: tuple[Decimal, ...]
    id: str | None = None
    timestamp_us: int | None = None
    controller_id: str = "main"
    leverage: int = 1
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    trailing_stop: TrailingStop | None = None
    time_limit_s: int | None = None
    mode: Mode = Mode.MAKER
    activation_bounds: tuple[Decimal, Decimal] | None = None
    level_id: str | None = None

    @property
    def order_kind(self) -> OrderKind:
        return OrderKind.LIMIT if self.mode is Mode.MAKER else OrderKind.MARKET


def parse(config: Mapping[str, Any]) -> Config:
    """Raises InvalidInput with `field`."""
    fields = Fields(config, FIELDS)
    market = fields.market()
    amounts, prices = fields.decimals("amounts_quote", above=0), fields.decimals("prices", above=0)
    if len(amounts) != len(prices):
        fields.refuse("prices", f"have as many items as amounts_quote ({len(amounts)}), not {len(prices)}")
    return Config(
        **market,
        side=fields.side(),
        amounts_quote=amounts,
        prices=prices,
        leverage=fields.integer_or("leverage", 1, at_least=1),
        take_profit=fields.decimal_or("take_profit", None, above=0),
        stop_loss=fields.decimal_or("stop_loss", None, above=0),
        trailing_stop=fields.trailing_stop(),
        time_limit_s=fields.seconds_or("time_limit", None),
        mode=fields.word_or("mode", Mode, Mode.MAKER),
        activation_bounds=fields.activation_bounds(),
        level_id=fields.text_or("level_id", None),
    )


def bounds_of(config: Config, level: int) -> tuple[Decimal | None, Decimal | None]:
    """The mid prices, exclusive, between which a level is opened; None is no bound."""
    price = config.prices[level]
    bounds = config.activation_bounds
    if config.mode is Mode.TAKER:
        below, above = bounds or TAKER_BOUNDS
        if config.side is Trade.SELL:
            below, above = above, below
        return price * (1 - below), price * (1 + above)
    if bounds is None:
        return None, None
    if config.side is Trade.BUY:
        return None, price / (1 - bounds[0]) if bounds[0] < 1 else None
    return price / (1 + bounds[0]), None

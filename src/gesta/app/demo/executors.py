"""Which executors the demo starts and stops: a look at what goes on in, configs out. Pure, seeded, of no merit.

They show every type, with horizons of a minute or two: barriers as near as the market moves in that time, amounts of
some thousand dollars. What executors leave open is turned around by later ones, so that holdings stay near what the
demo keeps in stock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Any, TypeVar

import msgspec

from gesta.app.demo.noise import base58_token, choice
from gesta.kernel.times import SECOND_US

T = TypeVar("T")

SPOT, PERPETUAL = "binance", "binance_perpetual"
CONTROLLER = "demo"
# One is started in a turn at most. While only a few go on it is one that lasts, so that there is always something to
# see; beyond that it is one of any type, in every fourth turn, up to the most that go on at once.
TURN_US = 5 * SECOND_US
FEW = 3
MOST = 5
SELDOM = 4
# What has not come to its end by then is stopped.
PATIENCE_US = 180 * SECOND_US
# Coins that are kept, so that some can be sold.
STOCK = {"BTC-USDT": Decimal(1), "ETH-USDT": Decimal(25)}

_NOTIONALS = (Decimal(1000), Decimal(2000), Decimal(3000))
# What taking costs, as a fraction: a stop nearer than this would be reached by the fee alone.
_FEES = {SPOT: Decimal("0.001"), PERPETUAL: Decimal("0.0005")}
_BASIS_POINT = Decimal("0.0001")

Config = dict[str, Any]


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """One pair on one connector. `tick` and `lot` are the steps of its prices and amounts; `held` is in coins."""

    connector: str
    pair: str
    bid: Decimal
    ask: Decimal
    tick: Decimal
    lot: Decimal
    held: Decimal = Decimal(0)

    def price(self, best: Decimal, basis_points: int) -> str:
        """So far from a best price, on the grid."""
        return _stepped(best * (1 + basis_points * _BASIS_POINT), self.tick)

    def amount(self, notional: Decimal) -> Decimal:
        """The coins that it buys, in whole lots."""
        return Decimal(_stepped(notional / self.ask, self.lot))

    def has(self, notional: Decimal) -> bool:
        """Whether it can be sold twice over: others sell, too."""
        return self.connector != SPOT or self.held >= 2 * self.amount(notional)


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    """An executor of the demo that has not ended."""

    id: str
    type: str
    since_us: int
    is_stopping: bool = False


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """`markets` are those that have a price."""

    now_us: int
    markets: tuple[Market, ...]
    alive: tuple[Alive, ...] = ()


class Start(msgspec.Struct, frozen=True):
    config: Config


class Stop(msgspec.Struct, frozen=True):
    executor_id: str


Request = Start | Stop


class _Draw(msgspec.Struct, frozen=True):
    """The chance of one start, and the markets of the pair that was drawn, by connector."""

    seed: int
    place: tuple[str | int, ...]
    here: Mapping[str, Market]

    def pick(self, options: Sequence[T], what: str) -> T:
        return choice(options, self.seed, *self.place, what)

    def trade(self, connector: str) -> tuple[Market, Decimal, str] | None:
        """A market, a notional and a side that it can bear. None where there is no such market."""
        market = self.here.get(connector)
        if market is None:
            return None
        notional = self.pick(_NOTIONALS, "notional")
        side = self.pick(("BUY", "SELL"), "side")
        return market, notional, side if market.has(notional) else "BUY"


def decide(seed: int, turn: int, look: Look, *, number: int = 0, at_once: bool = False) -> list[Request]:
    """The requests of one turn: stops, then one start at most. The same arguments give the same. `number` tells the
    starts of one turn apart. `at_once`: a position that is entered at the market."""
    requests: list[Request] = [
        Stop(each.id) for each in look.alive if not each.is_stopping and look.now_us - each.since_us >= PATIENCE_US
    ]
    is_sparse = len(look.alive) < FEW
    has_room = is_sparse or (len(look.alive) < MOST and turn % SELDOM == 0)
    if not look.markets or not has_room:
        return requests
    place = ("executor", turn, number)
    pair = choice(sorted({market.pair for market in look.markets}), seed, *place, "pair")
    draw = _Draw(seed, place, {market.connector: market for market in look.markets if market.pair == pair})
    going = Counter(each.type for each in look.alive)
    kinds = (_position,) if at_once else _LASTING if is_sparse else _KINDS
    made = [config for kind in kinds if (config := kind(draw)) is not None]
    wanted = [config for config in made if at_once or going[config["type"]] < _TOGETHER.get(config["type"], 1)]
    if wanted:
        requests.append(Start({"id": base58_token(seed, *place), **draw.pick(wanted, "kind")}))
    return requests


def _position(draw: _Draw) -> Config | None:
    """Take-profit and stop-loss are as far as the market moves in a minute; what fees take is gained back."""
    connector = draw.pick((PERPETUAL, PERPETUAL, SPOT), "connector")
    drawn = draw.trade(connector)
    if drawn is None:
        return None
    market, notional, side = drawn
    return {
        "type": "position_executor",
        **_named(market, side),
        "amount": str(market.amount(notional)),
        "triple_barrier_config": {
            "take_profit": "0.0009",
            "stop_loss": str(_FEES[connector] + 5 * _BASIS_POINT),
            "time_limit": draw.pick((90, 120, 150), "time limit"),
            "open_order_type": "MARKET",
            "take_profit_order_type": "LIMIT",
        },
    }


def _trailing_position(draw: _Draw) -> Config | None:
    drawn = draw.trade(PERPETUAL)
    if drawn is None:
        return None
    market, notional, side = drawn
    return {
        "type": "position_executor",
        **_named(market, side),
        "amount": str(market.amount(notional)),
        "triple_barrier_config": {
            "stop_loss": str(_FEES[PERPETUAL] + 10 * _BASIS_POINT),
            "trailing_stop": {"activation_price": "0.0002", "trailing_delta": "0.00015"},
            "time_limit": 150,
            "open_order_type": "MARKET",
        },
    }


def _order(draw: _Draw) -> Config | None:
    """What it fills it leaves, so it leans against what is held."""
    drawn = draw.trade(draw.pick((SPOT, PERPETUAL), "connector"))
    if drawn is None:
        return None
    market, notional, _ = drawn
    strategy = draw.pick(("MARKET", "LIMIT", "LIMIT_CHASER", "LIMIT_CHASER"), "strategy")
    side = _leaning(market)
    config = {
        "type": "order_executor",
        **_named(market, side),
        "amount": str(market.amount(notional)),
        "execution_strategy": strategy,
    }
    if strategy == "LIMIT":
        config["price"] = market.price(market.bid, -1) if side == "BUY" else market.price(market.ask, 1)
    if strategy == "LIMIT_CHASER":
        config["chaser_config"] = {"distance": "0.0002", "refresh_threshold": "0.0004"}
    return config


def _dca(draw: _Draw) -> Config | None:
    drawn = draw.trade(PERPETUAL)
    if drawn is None:
        return None
    market, _, side = drawn
    best, away = (market.bid, -1) if side == "BUY" else (market.ask, 1)
    return {
        "type": "dca_executor",
        **_named(market, side),
        "amounts_quote": ["500", "1000", "1500"],
        "prices": [market.price(best, away * basis_points) for basis_points in (0, 3, 6)],
        "take_profit": "0.0003",
        "stop_loss": "0.002",
        "time_limit": draw.pick((60, 90, 120), "time limit"),
        "mode": "MAKER",
    }


def _grid(draw: _Draw) -> Config | None:
    drawn = draw.trade(PERPETUAL)
    if drawn is None:
        return None
    market, _, side = drawn
    # Wider where the price goes against it, with the limit beyond; past the other end it has gained what it can.
    bottom, top, limit = (-12, 8, -30) if side == "BUY" else (-8, 12, 30)
    return {
        "type": "grid_executor",
        **_named(market, side),
        "start_price": market.price(market.bid, bottom),
        "end_price": market.price(market.bid, top),
        "limit_price": market.price(market.bid, limit),
        "total_amount_quote": "3000",
        "min_order_amount_quote": "300",
        "min_spread_between_orders": "0.0003",
        "max_open_orders": 4,
        "triple_barrier_config": {
            "take_profit": "0.0004",
            "time_limit": draw.pick((90, 120), "time limit"),
            "open_order_type": "LIMIT",
            "take_profit_order_type": "LIMIT",
        },
    }


def _twap(draw: _Draw) -> Config | None:
    """As an order, it leaves what it fills."""
    drawn = draw.trade(draw.pick((SPOT, PERPETUAL), "connector"))
    if drawn is None:
        return None
    market = drawn[0]
    return {
        "type": "twap_executor",
        **_named(market, _leaning(market)),
        "total_amount_quote": "1500",
        "total_duration": draw.pick((45, 60, 75), "duration"),
        "order_interval": 15,
    }


def _arbitrage(draw: _Draw) -> Config | None:
    return _two_markets(draw, "arbitrage_executor", {"min_profitability": "0.0002"})


def _xemm(draw: _Draw) -> Config | None:
    profitability = {"min": "0", "target": "0.0003", "max": "0.0008"}
    config = _two_markets(
        draw, "xemm_executor", {f"{name}_profitability": part for name, part in profitability.items()}
    )
    if config is not None:
        config["maker_side"] = "BUY" if config["buying_market"]["connector_name"] == SPOT else "SELL"
    return config


def _two_markets(draw: _Draw, type: str, more: Config) -> Config | None:
    """Coins are bought where too few are held, and sold where too many are; the perpetual is the other side."""
    spot, perpetual = draw.here.get(SPOT), draw.here.get(PERPETUAL)
    if spot is None or perpetual is None:
        return None
    buying, selling = (spot, perpetual) if _leaning(spot) == "BUY" else (perpetual, spot)
    return {
        "type": type,
        "buying_market": {"connector_name": buying.connector, "trading_pair": buying.pair},
        "selling_market": {"connector_name": selling.connector, "trading_pair": selling.pair},
        "order_amount": str(perpetual.amount(_NOTIONALS[0])),
        **more,
    }


_KINDS: tuple[Callable[[_Draw], Config | None], ...] = (
    _position,
    _trailing_position,
    _order,
    _dca,
    _grid,
    _twap,
    _arbitrage,
    _xemm,
)
_LASTING = (_position, _trailing_position, _dca, _grid, _twap)
# How many of a type go on together, where it is more than one.
_TOGETHER = {"position_executor": 2}


def _named(market: Market, side: str) -> Config:
    return {"connector_name": market.connector, "trading_pair": market.pair, "side": side}


def _leaning(market: Market) -> str:
    """The side that brings what is held nearer to the stock; of a perpetual that is nothing."""
    stock = STOCK[market.pair] if market.connector == SPOT else Decimal(0)
    return "BUY" if market.held <= stock else "SELL"


def _stepped(value: Decimal, step: Decimal) -> str:
    """Down to a whole number of steps."""
    return f"{(value / step).to_integral_value(ROUND_FLOOR) * step:f}"

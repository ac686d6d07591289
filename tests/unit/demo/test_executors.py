"""The demo's executors: every type comes up, every config is a good one, and what goes on is bounded."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.app.demo.executors import (
    FEW,
    MOST,
    PATIENCE_US,
    PERPETUAL,
    SELDOM,
    SPOT,
    STOCK,
    TURN_US,
    Alive,
    Look,
    Market,
    Start,
    Stop,
    decide,
)
from gesta.executors.machines.face import Trade
from gesta.executors.registry import machine_of
from gesta.trading.catalog import Catalog

NOW_US = 1_790_000_000_000_000
TYPES = {f"{name}_executor" for name in ("position", "order", "dca", "grid", "twap", "arbitrage", "xemm")}
PRICES = {"BTC-USDT": Decimal(95_000), "ETH-USDT": Decimal(3_500)}
CATALOG = Catalog()


def market(connector: str, pair: str, held: Decimal | None = None) -> Market:
    instrument = CATALOG.resolve(pair if connector == SPOT else f"{pair}-PERP", NOW_US)
    bid = PRICES[pair]
    return Market(
        connector=connector,
        pair=pair,
        bid=bid,
        ask=bid + instrument.tick_size,
        tick=instrument.tick_size,
        lot=instrument.lot_size,
        held=held if held is not None else STOCK[pair] if connector == SPOT else Decimal(0),
    )


EVERYWHERE = tuple(market(connector, pair) for pair in STOCK for connector in (SPOT, PERPETUAL))


def look(*alive: Alive, markets: tuple[Market, ...] = EVERYWHERE) -> Look:
    return Look(now_us=NOW_US, markets=markets, alive=alive)


# As many as let one of any type be started.
SOME = tuple(Alive(id=str(number), type="other", since_us=NOW_US) for number in range(FEW))


def started(seed: int, turn: int, seen: Look, **more: int | bool) -> dict[str, object]:
    """The config of the one start."""
    (request,) = decide(seed, turn, seen, **more)  # type: ignore[arg-type]
    assert isinstance(request, Start)
    return request.config


def test_every_type_comes_up_soon_and_every_config_is_one_that_its_machine_takes() -> None:
    seen: Counter[str] = Counter()
    for turn in range(0, 400 * SELDOM, SELDOM):
        config = started(1, turn, look(*SOME))
        type_ = str(config["type"])
        machine = machine_of(type_)
        parsed = machine.parse(config)
        assert {leg.trading_pair for leg in machine.legs(parsed)} <= STOCK.keys()
        assert {leg.connector_name for leg in machine.legs(parsed)} <= {SPOT, PERPETUAL}
        assert re.fullmatch(r"[1-9A-HJ-NP-Za-km-z]{40,44}", str(config["id"]))
        seen[type_] += 1
    assert seen.keys() == TYPES
    assert min(seen.values()) > 20


def test_barriers_are_of_every_kind() -> None:
    barriers: set[str] = set()
    for turn in range(200):
        config = started(1, turn, look())
        if config["type"] == "position_executor":
            barrier = config["triple_barrier_config"]
            assert isinstance(barrier, dict)
            assert barrier["time_limit"] <= PATIENCE_US // 1_000_000
            barriers |= barrier.keys()
    assert barriers > {"take_profit", "stop_loss", "time_limit", "trailing_stop"}


def test_ids_differ_between_turns_seeds_and_the_starts_of_one_turn() -> None:
    ids = [
        started(seed, turn, look(), number=number)["id"] for seed in (1, 2) for turn in range(20) for number in range(3)
    ]
    assert len(set(ids)) == len(ids)


def test_at_once_is_a_position_that_is_entered_at_the_market_whatever_else_goes_on() -> None:
    going = [Alive(id=str(number), type="position_executor", since_us=NOW_US) for number in range(FEW - 1)]
    for turn in range(20):
        config = started(1, turn, look(*going), at_once=True)
        assert config["type"] == "position_executor"
        barrier = config["triple_barrier_config"]
        assert isinstance(barrier, dict)
        assert barrier["open_order_type"] == "MARKET"


def test_what_takes_too_long_is_stopped_once() -> None:
    old, young = NOW_US - PATIENCE_US, NOW_US - PATIENCE_US + 1
    seen = look(
        Alive(id="old", type="grid_executor", since_us=old),
        Alive(id="young", type="dca_executor", since_us=young),
        Alive(id="stopping", type="twap_executor", since_us=old, is_stopping=True),
    )
    stops = [request.executor_id for request in decide(1, 5, seen) if isinstance(request, Stop)]
    assert stops == ["old"]


def test_while_few_go_on_each_turn_starts_one_that_lasts() -> None:
    types = {started(1, turn, look(*SOME[1:]))["type"] for turn in range(100)}
    assert types == TYPES - {"order_executor", "arbitrage_executor", "xemm_executor"}


@pytest.mark.parametrize("turn", range(0, 20 * SELDOM, SELDOM))
def test_nothing_that_is_not_held_is_sold_for_coins(turn: int) -> None:
    empty = tuple(
        market(connector, pair, Decimal(0)) if connector == SPOT else market(connector, pair)
        for pair in STOCK
        for connector in (SPOT, PERPETUAL)
    )
    for number in range(10):
        config = started(3, turn, look(*SOME, markets=empty), number=number)
        parsed = machine_of(str(config["type"])).parse(config)
        if config.get("connector_name") == SPOT:
            assert parsed.side is Trade.BUY
        if "selling_market" in config:
            assert parsed.selling_market.connector_name == PERPETUAL


def test_what_is_left_open_is_turned_around_by_later_ones() -> None:
    full = tuple(market(connector, pair, Decimal(1_000)) for pair in STOCK for connector in (SPOT, PERPETUAL))
    leaving = {"order_executor", "twap_executor"}
    for turn in range(0, 100 * SELDOM, SELDOM):
        config = started(1, turn, look(*SOME, markets=full))
        if config["type"] in leaving:
            assert config["side"] == "SELL"
        if "buying_market" in config:
            assert machine_of(str(config["type"])).parse(config).buying_market.connector_name == PERPETUAL


@pytest.mark.parametrize("only", [(), (market(PERPETUAL, "BTC-USDT"),), (market(SPOT, "ETH-USDT"),)])
def test_with_part_of_the_markets_it_makes_what_can_be_made(only: tuple[Market, ...]) -> None:
    names = {(each.connector, each.pair) for each in only}
    for turn in range(0, 50 * SELDOM, SELDOM):
        for request in decide(1, turn, look(*SOME, markets=only)):
            assert isinstance(request, Start)
            assert (request.config["connector_name"], request.config["trading_pair"]) in names


def alive() -> st.SearchStrategy[Alive]:
    return st.builds(
        Alive,
        id=st.uuids().map(str),
        type=st.sampled_from(sorted(TYPES)),
        since_us=st.integers(NOW_US - 2 * PATIENCE_US, NOW_US),
        is_stopping=st.booleans(),
    )


@given(st.lists(alive(), max_size=2 * MOST), st.integers(0, 2 * NOW_US // TURN_US), st.integers(0, 2**53))
def test_whatever_goes_on_it_stays_within_bounds(going: list[Alive], turn: int, seed: int) -> None:
    seen = look(*going)
    requests = decide(seed, turn, seen)
    assert requests == decide(seed, turn, seen)
    starts = [request for request in requests if isinstance(request, Start)]
    assert len(starts) == (1 if len(going) < (MOST if turn % SELDOM == 0 else FEW) else 0)
    types = Counter(each.type for each in going)
    for start in starts:
        assert types[start.config["type"]] < (2 if start.config["type"] == "position_executor" else 1)

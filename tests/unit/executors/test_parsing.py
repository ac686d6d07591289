"""Reading an executor's config (protocols/hummingbot.md §1.4): a refusal names its field, and says what would do."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.executors.machines import order, position
from gesta.executors.machines.common import TrailingStop, TripleBarrier
from gesta.executors.machines.face import OrderKind, PositionAction, Trade
from gesta.executors.machines.parsing import Fields
from gesta.kernel.errors import InvalidInput

POSITION = {"connector_name": "binance", "trading_pair": "BTC-USDT", "side": 1, "amount": "1"}
ORDER = {**POSITION, "execution_strategy": "MARKET"}


def refused(machine: Any, config: dict[str, Any]) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        machine.parse(config)
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize(
    ("sent", "meant"),
    [(1, Trade.BUY), ("1", Trade.BUY), ("BUY", Trade.BUY), (2, Trade.SELL), ("2", Trade.SELL), ("sell", Trade.SELL)],
)
def test_a_side_is_read_by_value_and_by_name(sent: Any, meant: Trade) -> None:
    assert position.MACHINE.parse({**POSITION, "side": sent}).side is meant


@pytest.mark.parametrize(
    ("sent", "meant"),
    [(1, OrderKind.MARKET), ("2", OrderKind.LIMIT), (3, OrderKind.LIMIT_MAKER), ("LIMIT_MAKER", OrderKind.LIMIT_MAKER)],
)
def test_an_order_type_is_read_by_value_and_by_name(sent: Any, meant: OrderKind) -> None:
    config = position.MACHINE.parse({**POSITION, "triple_barrier_config": {"open_order_type": sent}})
    assert config.triple_barrier.open_order_type is meant


@pytest.mark.parametrize(("sent", "meant"), [(1, "1"), (0.1, "0.1"), ("0.10", "0.10"), (1e-7, "1E-7"), ("2e3", "2E+3")])
def test_a_number_is_a_json_number_or_a_string_and_a_float_is_what_was_written(sent: Any, meant: str) -> None:
    assert str(position.MACHINE.parse({**POSITION, "amount": sent}).amount) == meant


@pytest.mark.parametrize(
    "sent",
    [
        *(None, "", "one", "1_000", "١", "NaN", "Infinity", float("nan"), float("inf"), 0, -1, "-0.5", True, [], {}),
        *("1e16", "1e-19", "1e999999", pytest.param(10**5000, id="huge"), "0." + "1" * 29, "9" * 65),
    ],
)
def test_what_is_no_sane_amount_is_refused_by_name(sent: Any) -> None:
    error = refused(position.MACHINE, {**POSITION, "amount": sent})
    assert error.field == "amount"
    assert error.message.startswith("amount (")
    assert " must " in error.message
    assert len(error.message) < 200


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("connector_name", " ", "connector_name ( ) must be a text that is not blank"),
        ("connector_name", "a\0b", "connector_name (a?b) must be a text of at most 200 printable characters"),
        ("connector_name", 7, "connector_name (7) must be a text that is not blank"),
        ("trading_pair", "BTCUSDT", "trading_pair (BTCUSDT) must be a pair in the form BASE-QUOTE"),
        ("trading_pair", "BTC-USDT-PERP", "trading_pair (BTC-USDT-PERP) must be a pair in the form BASE-QUOTE"),
        ("trading_pair", "BTC-", "trading_pair (BTC-) must be a pair in the form BASE-QUOTE"),
        ("side", 3, "side (3) must be BUY (1) or SELL (2)"),
        ("side", "LONG", "side (LONG) must be BUY (1) or SELL (2)"),
        ("side", True, "side (True) must be BUY (1) or SELL (2)"),
        ("amount", "-1", "amount (-1) must be a number greater than 0"),
        ("amount", None, "amount (missing) must be a number greater than 0"),
        ("leverage", 0, "leverage (0) must be a whole number of 1 to 1000000000"),
        ("leverage", "1.5", "leverage (1.5) must be a whole number of 1 to 1000000000"),
        ("entry_price", 0, "entry_price (0) must be a number greater than 0"),
        ("timestamp", 1_700_000_000_000, "timestamp (1700000000000) must be in seconds since 1970"),
        ("activation_bounds", ["0.1", -1], "activation_bounds[1] (-1) must be a number greater than 0"),
        ("activation_bounds", [1, 2, 3], "activation_bounds (list) must be one or two numbers"),
        ("activation_bounds", "0.1", "activation_bounds (0.1) must be a list of 1 to 1000 numbers"),
        ("triple_barrier_config", "x", "triple_barrier_config (x) must be an object"),
    ],
)
def test_a_refusal_quotes_the_value_and_says_what_would_do(field: str, value: Any, message: str) -> None:
    error = refused(position.MACHINE, {**POSITION, field: value})
    assert error.message == message
    assert error.field == message.split(" ")[0]


@pytest.mark.parametrize(
    ("barrier", "message"),
    [
        ({"stop_loss": 0}, "triple_barrier_config.stop_loss (0) must be a number greater than 0"),
        ({"take_profit": "x"}, "triple_barrier_config.take_profit (x) must be a number greater than 0"),
        ({"time_limit": 0}, "triple_barrier_config.time_limit (0) must be a whole number of 1 to 3153600000"),
        ({"stop_loss_order_type": "LIMIT"}, "triple_barrier_config.stop_loss_order_type (LIMIT) must be MARKET"),
        ({"time_limit_order_type": 3}, "triple_barrier_config.time_limit_order_type (3) must be MARKET"),
        (
            {"open_order_type": 4},
            "triple_barrier_config.open_order_type (4) must be MARKET (1), LIMIT (2) or LIMIT_MAKER (3)",
        ),
        (
            {"trailing_stop": {"activation_price": 1}},
            "triple_barrier_config.trailing_stop.trailing_delta (missing) must be a number greater than 0",
        ),
        ({"stop_los": 1}, "triple_barrier_config.stop_los (1) must be spelled stop_loss"),
    ],
)
def test_a_refusal_in_a_barrier_names_its_path(barrier: dict[str, Any], message: str) -> None:
    error = refused(position.MACHINE, {**POSITION, "triple_barrier_config": barrier})
    assert error.message == message
    assert error.field == message.split(" ")[0]


def test_a_field_near_a_known_one_is_refused_and_others_are_ignored() -> None:
    assert refused(position.MACHINE, {**POSITION, "entry_prise": 1}).field == "entry_prise"
    assert position.MACHINE.parse({**POSITION, "colour": "red", "x" * 5_000: 1}).amount == 1
    many = {f"field {number}": number for number in range(200)}
    assert refused(position.MACHINE, {**POSITION, **many}).field == "config"


def test_the_defaults_are_those_of_hummingbot() -> None:
    config = position.MACHINE.parse(POSITION)
    assert (config.entry_price, config.leverage, config.activation_bounds, config.level_id) == (None, 1, None, None)
    assert config.controller_id == "main"
    assert config.triple_barrier == TripleBarrier(
        open_order_type=OrderKind.LIMIT, take_profit_order_type=OrderKind.MARKET
    )
    bought = order.MACHINE.parse(ORDER)
    assert bought.position_action is PositionAction.OPEN
    assert (bought.slippage_pct, bought.slippage_multiplier, bought.max_slippage_pct) == (Decimal("0.05"), 5, 5)


def test_all_fields_are_read() -> None:
    config = position.MACHINE.parse(
        {
            **POSITION,
            "id": "mine",
            "type": "position_executor",
            "timestamp": 1_700_000_000.5,
            "controller_id": "c",
            "entry_price": "100.5",
            "leverage": "20",
            "activation_bounds": [0.01],
            "level_id": "l",
            "triple_barrier_config": {
                "stop_loss": 0.01,
                "take_profit": "0.02",
                "time_limit": 60.0,
                "trailing_stop": {"activation_price": "0.03", "trailing_delta": 0.004},
                "take_profit_order_type": 2,
            },
        }
    )
    assert (config.id, config.timestamp_us, config.controller_id) == ("mine", 1_700_000_000_500_000, "c")
    assert (config.entry_price, config.leverage, config.level_id) == (Decimal("100.5"), 20, "l")
    assert config.activation_bounds == (Decimal("0.01"), Decimal("0.01"))
    assert config.triple_barrier == TripleBarrier(
        stop_loss=Decimal("0.01"),
        take_profit=Decimal("0.02"),
        time_limit_s=60,
        trailing_stop=TrailingStop(activation_pct=Decimal("0.03"), delta_pct=Decimal("0.004")),
        take_profit_order_type=OrderKind.LIMIT,
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"execution_strategy": "SNIPER"}, "execution_strategy"),
        ({"execution_strategy": None}, "execution_strategy"),
        ({"execution_strategy": "LIMIT"}, "price"),
        ({"execution_strategy": "LIMIT_MAKER", "price": "0"}, "price"),
        ({"execution_strategy": "LIMIT_CHASER"}, "chaser_config"),
        ({"execution_strategy": "LIMIT_CHASER", "chaser_config": {"distance": 1}}, "chaser_config.refresh_threshold"),
        ({"execution_strategy": "LIMIT_CHASER", "chaser_config": {"distance": 0}}, "chaser_config.distance"),
        ({"position_action": "FLIP"}, "position_action"),
        ({"slippage_multiplier": 1}, "slippage_multiplier"),
        ({"slippage_pct": 6}, "max_slippage_pct"),
    ],
)
def test_an_order_executor_refuses(changes: dict[str, Any], field: str) -> None:
    assert refused(order.MACHINE, {**ORDER, **changes}).field == field


def test_readers_of_flags_and_lists() -> None:
    fields = Fields({"keep": True, "sizes": [1, "2.5"], "odd": 1}, ("keep", "sizes", "odd"))
    assert fields.flag_or("keep", False)
    assert not fields.flag_or("absent", False)
    assert fields.decimals("sizes", above=0) == (1, Decimal("2.5"))
    with pytest.raises(InvalidInput, match=r"odd \(1\) must be true or false"):
        fields.flag_or("odd", False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@given(field=st.sampled_from(sorted({*position.FIELDS, *order.FIELDS})), value=JSON)
def test_any_json_is_a_config_or_is_refused(field: str, value: Any) -> None:
    for machine, config in ((position.MACHINE, POSITION), (order.MACHINE, ORDER)):
        refusal: InvalidInput | None = None
        try:
            machine.parse({**config, field: value})
        except InvalidInput as error:
            refusal = error
        assert refusal is None or (refusal.field and refusal.message.isprintable())

"""Simulated executors: position executors that open, carry a changing profit and close at a barrier. Pure.

The numbers follow protocols/hummingbot.md §2.2; percentages are fractions.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from gesta.app.demo.market import PAIRS, SECOND_US, Pair
from gesta.app.demo.noise import base58_token, below, choice
from gesta.app.demo.story import ORIGIN, Accounts, Step, Story
from gesta.ledger.records import (
    ExecutorDetail,
    NewEvent,
    NewExecution,
    Severity,
    Side,
    Source,
    Status,
    Transition,
)

SLOT_US = 120 * SECOND_US
CONNECTOR = "simulated_perpetual"
CONTROLLER = "simulated_controller"

_LOOK_US = 10 * SECOND_US
_TIME_LIMITS_S = (180, 240, 420, 600)
_NOTIONALS = (Decimal(1000), Decimal(2500), Decimal(5000))
_TAKE_PROFIT = Decimal("0.0030")
_STOP_LOSS = Decimal("0.0020")
_TAKER_FEE = Decimal("0.0005")
_CENT = Decimal("0.01")
_FRACTION = Decimal("0.000001")

_TITLES = {
    "TAKE_PROFIT": "Take profit reached",
    "STOP_LOSS": "Stop loss reached",
    "TIME_LIMIT": "Time limit reached",
    "EARLY_STOP": "Stopped early",
}


class _Position(msgspec.Struct, frozen=True):
    """What one executor trades: `amount` is in the base asset."""

    pair: Pair
    side: Side
    amount: Decimal
    entry: Decimal

    def detail(self, born: ExecutorDetail, price: Decimal, *, close_type: str | None = None) -> ExecutorDetail:
        """`born`, as it stands at `price`; closed there if `close_type` says how."""
        opened, now = self.entry * self.amount, price * self.amount
        filled = opened + now if close_type else opened
        fees = (filled * _TAKER_FEE).quantize(_CENT)
        gained = now - opened if self.side is Side.BUY else opened - now
        net = gained.quantize(_CENT) - fees
        return msgspec.structs.replace(
            born,
            is_trading=close_type is None,
            net_pnl_quote=net,
            net_pnl_pct=(net / opened).quantize(_FRACTION),
            fees_quote=fees,
            filled_quote=filled.quantize(_CENT),
            close_type=close_type,
            custom_info={
                "simulated": True,
                "side": 1 if self.side is Side.BUY else 2,
                "current_position_average_price": str(self.entry),
                "close_price": str(price),
                "current_retries": 0,
                "max_retries": 10,
            },
        )


def executor_story(seed: int, accounts: Accounts, index: int) -> Story:
    """The executor of the slot that begins at `index` · SLOT_US, from birth to end."""
    place = ("executor", index)
    born_us = index * SLOT_US + below(SLOT_US, seed, *place, "born")
    opened_us = born_us + SECOND_US + below(2 * SECOND_US, seed, *place, "opened")
    pair = choice(PAIRS, seed, *place, "pair")
    side = choice((Side.BUY, Side.SELL), seed, *place, "side")
    entry = pair.price_at(seed, opened_us)
    amount = (choice(_NOTIONALS, seed, *place, "notional") / entry).quantize(Decimal("0.0001"))
    position = _Position(pair, side, amount, entry)
    executor_id = base58_token(seed, *place)
    time_limit_s = choice(_TIME_LIMITS_S, seed, *place, "time limit")
    born = ExecutorDetail(
        executor_type="position_executor",
        connector=CONNECTOR,
        trading_pair=pair.symbol,
        side=side,
        config=_config(executor_id, born_us, position, time_limit_s),
        custom_info={"simulated": True},
    )
    steps = (
        (_refusal(opened_us, born),)
        if below(20, seed, *place, "refused") == 0
        else _life(seed, index, position, born, opened_us, opened_us + time_limit_s * SECOND_US)
    )
    return Story(
        birth=NewExecution(
            id=executor_id,
            account=accounts.executors,
            origin=ORIGIN,
            name=f"Simulated {pair.symbol} position",
            status=Status.QUEUED,
            source=Source.SIMULATED,
            created_at_us=born_us,
            correlation={"controller_id": CONTROLLER, "trading_pair": pair.symbol},
            detail=born,
        ),
        steps=steps,
    )


def _config(executor_id: str, born_us: int, position: _Position, time_limit_s: int) -> dict[str, Any]:
    return {
        "id": executor_id,
        "type": "position_executor",
        "timestamp": born_us // SECOND_US,
        "controller_id": CONTROLLER,
        "connector_name": CONNECTOR,
        "trading_pair": position.pair.symbol,
        "side": 1 if position.side is Side.BUY else 2,
        "amount": str(position.amount),
        "entry_price": str(position.entry),
        "leverage": 1,
        "triple_barrier_config": {
            "take_profit": str(_TAKE_PROFIT),
            "stop_loss": str(_STOP_LOSS),
            "time_limit": time_limit_s,
            "open_order_type": 1,
            "take_profit_order_type": 1,
        },
    }


def _refusal(at_us: int, born: ExecutorDetail) -> Step:
    message = "Simulated: the balance does not cover the order"
    event = NewEvent(
        type="executor.failed", level=Severity.ERROR, title="Insufficient balance", message=message, at_us=at_us
    )
    detail = msgspec.structs.replace(born, close_type="INSUFFICIENT_BALANCE", error_count=1, last_error=message)
    return Step(at_us, Transition(event=event, status=Status.FAILED, detail=detail))


def _life(
    seed: int, index: int, position: _Position, born: ExecutorDetail, opened_us: int, limit_us: int
) -> tuple[Step, ...]:
    """Open, look at the price every few seconds, and close at the first barrier it is found beyond."""
    pair = position.pair
    opened = _event("executor.opened", opened_us, "Position opened", f"{position.amount} at {position.entry}")
    steps = [
        Step(opened_us, Transition(event=opened, status=Status.RUNNING, detail=position.detail(born, position.entry)))
    ]
    stops_early_us = limit_us - _LOOK_US if below(10, seed, "executor", index, "early") == 0 else None
    at_us = opened_us
    close_type = None
    while close_type is None:
        at_us = min(at_us + _LOOK_US, limit_us)
        price = pair.price_at(seed, at_us)
        moved = (price - position.entry) / position.entry * (1 if position.side is Side.BUY else -1)
        if moved >= _TAKE_PROFIT:
            close_type = "TAKE_PROFIT"
        elif moved <= -_STOP_LOSS:
            close_type = "STOP_LOSS"
        elif at_us == limit_us:
            close_type = "TIME_LIMIT"
        elif stops_early_us is not None and at_us >= stops_early_us:
            close_type = "EARLY_STOP"
        else:
            event = _event("executor.updated", at_us, "", f"{pair.symbol} at {price}", level=Severity.DEBUG)
            steps.append(Step(at_us, Transition(event=event, detail=position.detail(born, price))))
    closing = _event("executor.stopping", at_us, _TITLES[close_type], f"{pair.symbol} at {price}")
    steps.append(Step(at_us, Transition(event=closing, status=Status.STOPPING)))
    closed_us = at_us + SECOND_US + below(3 * SECOND_US, seed, "executor", index, "closed")
    price = pair.price_at(seed, closed_us)
    status = Status.CANCELLED if close_type == "EARLY_STOP" else Status.SUCCEEDED
    closed = _event("executor.closed", closed_us, "Position closed", f"{position.amount} at {price}")
    detail = position.detail(born, price, close_type=close_type)
    steps.append(Step(closed_us, Transition(event=closed, status=status, detail=detail)))
    return tuple(steps)


def _event(type: str, at_us: int, title: str, message: str, *, level: Severity = Severity.INFO) -> NewEvent:
    return NewEvent(type=type, level=level, title=title, message=f"Simulated: {message}", at_us=at_us)

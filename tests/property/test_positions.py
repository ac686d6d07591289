"""The fold of fills against a model in fractions that keeps every fill's cash and an exact average cost."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.positions import FLAT, PRECISION, Position, apply_fill, average_ticks, unrealized


def instrument(kind: InstrumentKind, tick: str, lot: str, point: str) -> Instrument:
    return Instrument(
        name="X", root="X", kind=kind, tick_size=Decimal(tick), lot_size=Decimal(lot), point_value=Decimal(point)
    )


LINEAR = [
    instrument(InstrumentKind.FUTURE, "0.25", "1", "50"),
    instrument(InstrumentKind.FUTURE, "0.005", "1", "1000"),
    instrument(InstrumentKind.SPOT, "0.01", "0.00001", "1"),
    instrument(InstrumentKind.LINEAR_PERPETUAL, "0.1", "0.001", "1"),
]
INVERSE = [
    instrument(InstrumentKind.INVERSE_PERPETUAL, "0.5", "1", "1"),
    instrument(InstrumentKind.INVERSE_PERPETUAL, "0.1", "100", "10"),
]
Fill = tuple[int, int]  # signed lots, ticks


class Model:
    """Average cost without rounding. `cash` is what moved, each fill valued whole."""

    def __init__(self, traded: Instrument) -> None:
        self.traded = traded
        self.lots = 0
        self.average_ticks = Fraction(0)
        self.open_value = Fraction(0)
        self.realized = Fraction(0)
        self.cash = 0

    def fill(self, change: int, ticks: int) -> None:
        sign = 1 if change > 0 else -1
        value = self.traded.value(ticks, abs(change))
        self.cash -= sign * value
        per_lot = Fraction(value, abs(change))
        closing = min(abs(change), abs(self.lots)) if self.lots * change < 0 else 0
        if closing:
            released = self.open_value * Fraction(closing, abs(self.lots))
            self.realized += -sign * per_lot * closing - released
            self.open_value -= released
            self.lots += sign * closing
        opening = abs(change) - closing
        if opening:
            entered = self.average_ticks * abs(self.lots) + ticks * opening
            self.lots += sign * opening
            self.average_ticks = entered / abs(self.lots)
            self.open_value += sign * per_lot * opening
        if not self.lots:
            self.average_ticks = Fraction(0)


def fills_of(price: st.SearchStrategy[int], lots: int) -> st.SearchStrategy[list[Fill]]:
    change = st.integers(-lots, lots).filter(bool)
    return st.lists(st.tuples(change, price), min_size=1, max_size=40)


SMALL = fills_of(st.integers(1, 60), 4)
LARGE = fills_of(st.integers(1, 10**9), 10**9)
FUTURES = fills_of(st.integers(-(10**6), 10**6), 500)


def fold(traded: Instrument, fills: list[Fill]) -> tuple[Position, Model]:
    position, model = FLAT, Model(traded)
    for number, (change, ticks) in enumerate(fills, 1):
        before = position
        position, effect = apply_fill(position, traded, change, ticks, commission=number)
        model.fill(change, ticks)
        assert (effect.before, effect.after) == (before.lots, before.lots + change)
        assert position.realized - before.realized == (effect.realized or 0)
        assert (effect.realized is not None) == effect.is_exit == (before.lots * change < 0)
        assert position.lots == model.lots
        # A part of a unit at most for each fill, never more, however large the fill.
        assert abs(position.realized - model.realized) <= number
        assert abs(average_ticks(position) - model.average_ticks) * abs(position.lots) * PRECISION <= number
        check_money(position, model, traded, ticks)
    return position, model


def check_money(position: Position, model: Model, traded: Instrument, ticks: int) -> None:
    """Cash that moved, what is open and what was won are one sum, to the last unit."""
    assert position.realized - position.cost == model.cash
    sign = 1 if position.lots > 0 else -1
    closing = sign * traded.value(ticks, abs(position.lots)) if position.lots else 0
    assert position.realized + unrealized(position, traded, ticks) == model.cash + closing
    if not position.lots:
        assert position.realized == model.cash
        assert (position.cost, position.ticks_lots) == (0, 0)


@settings(deadline=None)
@given(st.sampled_from(LINEAR), st.one_of(SMALL, FUTURES, LARGE))
def test_the_fold_of_linear_fills(traded: Instrument, fills: list[Fill]) -> None:
    position, _ = fold(traded, fills)
    assert position.fills == len(fills)
    assert position.bought - position.sold == position.lots
    assert position.bought + position.sold == sum(abs(change) for change, _ in fills)
    assert position.commission == sum(range(1, len(fills) + 1))


@settings(deadline=None)
@given(st.sampled_from(INVERSE), st.one_of(SMALL, LARGE))
def test_the_fold_of_inverse_fills(traded: Instrument, fills: list[Fill]) -> None:
    fold(traded, fills)


@settings(deadline=None)
@given(st.sampled_from(LINEAR + INVERSE), st.one_of(SMALL, LARGE), st.integers(1, 10**6))
def test_when_flat_what_was_won_is_what_moved(traded: Instrument, fills: list[Fill], ticks: int) -> None:
    position, model = fold(traded, fills)
    if position.lots:
        position, model = fold(traded, [*fills, (-position.lots, ticks)])
    assert position.lots == 0
    assert position.realized == model.cash


@given(SMALL)
def test_flags_follow_from_before_and_after(fills: list[Fill]) -> None:
    """The rule of protocols/crosstrade.md §5, written from p0, p1 and q."""
    position = FLAT
    for change, ticks in fills:
        p0 = position.lots
        position, effect = apply_fill(position, LINEAR[0], change, ticks)
        p1 = position.lots
        assert effect.is_entry == ((p1 > 0) == (change > 0) and p1 != 0)
        assert effect.is_exit == (p0 != 0 and (p0 > 0) != (change > 0))
        assert effect.is_initial_entry == (effect.is_entry and (p0 == 0 or effect.is_exit))
        assert effect.is_last_exit == (effect.is_exit and p1 == 0)
        assert effect.is_entry or effect.is_exit


@given(SMALL, st.sampled_from(LINEAR + INVERSE))
def test_a_mirrored_story_has_mirrored_money(fills: list[Fill], traded: Instrument) -> None:
    """A short is a long with the signs turned: the rounding favours neither."""
    position, mirrored = FLAT, FLAT
    for change, ticks in fills:
        position, _ = apply_fill(position, traded, change, ticks)
        mirrored, _ = apply_fill(mirrored, traded, -change, ticks)
    assert (mirrored.lots, mirrored.cost, mirrored.realized) == (-position.lots, -position.cost, -position.realized)
    assert mirrored.ticks_lots == position.ticks_lots


@given(SMALL)
def test_a_fold_goes_on_from_what_was_written_down(fills: list[Fill]) -> None:
    position = FLAT
    for change, ticks in fills:
        position, _ = apply_fill(position, LINEAR[0], change, ticks, 7)
    again = msgspec.json.decode(msgspec.json.encode(position), type=Position)
    assert again == position
    assert apply_fill(again, LINEAR[0], 1, 5) == apply_fill(position, LINEAR[0], 1, 5)

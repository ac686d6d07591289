"""What fills make of a position, by hand: the average, the profit, and NinjaTrader's flags (protocols/crosstrade.md
§5)."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.money import to_units
from gesta.trading.positions import FLAT, FillEffect, Position, apply_fill, average_ticks, unrealized

ES = Instrument(
    name="ES 12-26",
    root="ES",
    kind=InstrumentKind.FUTURE,
    tick_size=Decimal("0.25"),
    lot_size=Decimal(1),
    point_value=Decimal(50),
)
XBTUSD = Instrument(
    name="XBTUSD",
    root="XBTUSD",
    kind=InstrumentKind.INVERSE_PERPETUAL,
    tick_size=Decimal("0.5"),
    lot_size=Decimal(1),
    currency="XBT",
)
PRICE = 23_217


def folded(
    *fills: tuple[int, int], instrument: Instrument = ES, commission: int = 0
) -> tuple[Position, list[FillEffect]]:
    position, effects = FLAT, []
    for change, ticks in fills:
        position, effect = apply_fill(position, instrument, change, ticks, commission)
        effects.append(effect)
    return position, effects


def flags(effect: FillEffect) -> str:
    named = {
        "entry": effect.is_entry,
        "exit": effect.is_exit,
        "initial": effect.is_initial_entry,
        "last": effect.is_last_exit,
    }
    return " ".join(name for name, is_set in named.items() if is_set)


def dollars(units: int | None) -> Decimal | None:
    return None if units is None else Decimal(units) / 10**12


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        # The published example: a sell that closes a long is an exit, the last one.
        ((1, -1), ("entry initial", "exit last")),
        ((-1, 1), ("entry initial", "exit last")),
        # The dump of an older NinjaTrader: a buy to cover is an exit that leaves nothing, the last one.
        ((-9, 9), ("entry initial", "exit last")),
        # Scale in: entries, of which the first alone is initial. Scale out: exits, of which the last alone is last.
        ((1, 2, -1, -1, -1), ("entry initial", "entry", "exit", "exit", "exit last")),
        ((-1, -2, 2, 1), ("entry initial", "entry", "exit", "exit last")),
        # One fill through flat is both, the start of something new and not the end.
        ((1, -2, 1), ("entry initial", "entry exit initial", "exit last")),
        ((-3, 5, -2), ("entry initial", "entry exit initial", "exit last")),
        # From flat once more: initial again.
        ((1, -1, 1), ("entry initial", "exit last", "entry initial")),
    ],
)
def test_flags(changes: tuple[int, ...], wanted: tuple[str, ...]) -> None:
    _, effects = folded(*((change, PRICE) for change in changes))
    assert tuple(flags(effect) for effect in effects) == wanted


@pytest.mark.parametrize(
    ("before", "change", "after"), [(0, 2, 2), (2, 3, 5), (5, -1, 4), (4, -9, -5), (-5, -4, -9), (-9, 9, 0)]
)
def test_a_position_is_signed_before_and_after(before: int, change: int, after: int) -> None:
    start = folded((before, PRICE))[0] if before else FLAT
    position, effect = apply_fill(start, ES, change, PRICE)
    assert (effect.before, effect.after, position.lots) == (before, after, after)


def test_a_round_trip() -> None:
    position, (opened, closed) = folded((2, PRICE), (-2, PRICE + 4), commission=to_units(Decimal("4.50")))
    assert opened.realized is None
    assert dollars(closed.realized) == 100
    assert (position.lots, position.cost, position.ticks_lots) == (0, 0, 0)
    assert dollars(position.realized) == 100
    assert dollars(position.commission) == 9
    assert (position.fills, position.bought, position.sold) == (2, 2, 2)
    assert average_ticks(position) == 0


def test_a_scale_in_moves_the_average_and_a_scale_out_does_not() -> None:
    position, _ = folded((1, 100), (2, 103))
    assert average_ticks(position) == 102
    reduced, effect = apply_fill(position, ES, -1, 110)
    assert average_ticks(reduced) == 102
    assert dollars(effect.realized) == 100
    assert dollars(unrealized(reduced, ES, 104)) == 50


def test_a_short_gains_when_the_price_falls() -> None:
    position, _ = folded((-2, 100))
    assert dollars(unrealized(position, ES, 96)) == 100
    _, effect = apply_fill(position, ES, 2, 104)
    assert dollars(effect.realized) == -100


def test_a_reversal_closes_at_the_old_average_and_opens_at_its_own_price() -> None:
    position, (_, effect) = folded((2, 100), (-5, 108))
    assert dollars(effect.realized) == 200
    assert position.lots == -3
    assert average_ticks(position) == 108
    assert unrealized(position, ES, 108) == 0


def test_nothing_open_has_no_profit_to_come() -> None:
    assert unrealized(FLAT, ES, PRICE) == 0
    assert average_ticks(FLAT) == Fraction(0)


def test_an_inverse_long_is_paid_in_coins() -> None:
    low, high = 100_000, 200_000  # 50,000 and 100,000
    position, (_, effect) = folded((1000, low), (-1000, high), instrument=XBTUSD)
    assert dollars(effect.realized) == Decimal("0.01")
    assert dollars(position.realized) == Decimal("0.01")


def test_an_inverse_reversal_loses_no_part_of_a_unit() -> None:
    # Each part of the second fill rounds by itself; together they must be the fill.
    fills = ((1, 70_001), (-3, 70_003), (2, 70_007))
    position, _ = folded(*fills, instrument=XBTUSD)
    assert position.lots == 0
    assert position.realized == -sum(
        (1 if change > 0 else -1) * XBTUSD.value(ticks, abs(change)) for change, ticks in fills
    )

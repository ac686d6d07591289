"""What the ledger refuses, whoever sends it: numbers and times outside of these bounds. A decimal such as `1e1000000`
is seven bytes on the wire and a megabyte in a sum."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Clamped, Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow, Rounded
from functools import partial
from operator import attrgetter, is_not
from typing import Any

from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import MAX_US, MIN_US
from gesta.ledger.records import Detail, ExecutorDetail, FillDetail, NewExecution

# Wider than what any dialect takes: a token's smallest unit and any turnover fit, and exact sums of their products
# stay below a few hundred digits.
MAX_DIGITS = 60
MAX_MAGNITUDE = 40
MIN_EXPONENT = -64

# One operation in C answers all three questions: it traps where the value would not fit as it stands.
_BOUND = Context(
    prec=MAX_DIGITS,
    Emax=MAX_MAGNITUDE,
    Emin=MIN_EXPONENT + MAX_DIGITS - 1,
    traps=[Clamped, Inexact, InvalidOperation, Overflow, Rounded],
)
_FILL_AMOUNTS = (
    *("quantity", "price", "commission", "point_value", "position_after", "rate", "lot_size", "slippage_ticks"),
    *("realized_pnl", "cumulative_quantity"),
)
_EXECUTOR_AMOUNTS = ("net_pnl_quote", "net_pnl_pct", "fees_quote", "filled_quote")
_of_fill = attrgetter(*_FILL_AMOUNTS)
_of_executor = attrgetter(*_EXECUTOR_AMOUNTS)
_said = partial(is_not, None)


def check_values(row: NewExecution) -> None:
    """Raise InvalidInput, naming the field, for a number or a time that is out of bounds."""
    for at_us in (row.created_at_us, row.started_at_us, row.finished_at_us, row.updated_at_us):
        if at_us is not None:
            check_time(at_us)
    check_amounts(row.detail)


def check_time(at_us: int) -> None:
    """Raise InvalidInput for microseconds outside of the calendar."""
    if not MIN_US <= at_us <= MAX_US:
        raise InvalidInput("A time is within the years 1 to 9999.", field="time")


def check_amounts(detail: Detail) -> None:
    """Raise InvalidInput, naming the field, for a number that is not finite, too long, too large or too fine."""
    if type(detail) is FillDetail:
        _check(_FILL_AMOUNTS, _of_fill(detail))
    elif type(detail) is ExecutorDetail:
        _check(_EXECUTOR_AMOUNTS, _of_executor(detail))


def _check(names: Sequence[str], amounts: Sequence[Decimal | None]) -> None:
    if not _fit(amounts):
        name = next(name for name, amount in zip(names, amounts, strict=True) if not _fit([amount]))
        raise InvalidInput(
            f"`{name}` must be a finite number of at most {MAX_DIGITS} digits, not above 10^{MAX_MAGNITUDE} "
            f"and no finer than 10^{MIN_EXPONENT}.",
            field=name,
        )


def _fit(amounts: Sequence[Decimal | None]) -> bool:
    try:
        said: Iterable[Any] = filter(_said, amounts)
        return all(map(Decimal.is_finite, map(_BOUND.plus, said)))
    except DecimalException:
        return False

"""Reading an executor's config: what is missing, malformed or out of range is refused with the field's name.

Refusals have Hummingbot's form, "`<field> (<value>) must …`" (protocols/hummingbot.md §1.4), a nested field being named
by its path (`triple_barrier_config.stop_loss`). Enums are read by value, as Hummingbot does, and by name, as its own
examples send them. A field that is null is a field that is absent. A field that nobody knows is ignored unless it is
close to a known one: a misspelt `stop_loss` must not trade without a stop.
"""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn, TypeVar

from gesta.executors.machines.common import TrailingStop, TripleBarrier
from gesta.executors.machines.face import OrderKind, Trade
from gesta.kernel.errors import InvalidInput

__all__ = ["BASE_FIELDS", "MARKET_FIELDS", "Fields"]

#: Fields of every executor (§1.2), and of every executor that trades in one market.
BASE_FIELDS = ("id", "type", "timestamp", "controller_id")
MARKET_FIELDS = (*BASE_FIELDS, "connector_name", "trading_pair")

TRIPLE_BARRIER_FIELDS = (
    "stop_loss",
    "take_profit",
    "time_limit",
    "trailing_stop",
    "open_order_type",
    "take_profit_order_type",
    "stop_loss_order_type",
    "time_limit_order_type",
)
TRAILING_FIELDS = ("activation_price", "trailing_delta")

#: Wire values of the enums that are numbered (§1).
SIDE_VALUES = {1: Trade.BUY, 2: Trade.SELL}
ORDER_TYPE_VALUES = {1: OrderKind.MARKET, 2: OrderKind.LIMIT, 3: OrderKind.LIMIT_MAKER}

# Beyond these a number is a mistake, and arithmetic of 28 digits would no longer be exact.
GREATEST = Decimal(10) ** 15
SMALLEST = Decimal(10) ** -18
MOST_DIGITS = 28
GREATEST_SECONDS = 100 * 365 * 86_400
GREATEST_TIMESTAMP_S = Decimal(10) ** 11
LONGEST_TEXT = 200
MOST_FIELDS = 100
MOST_ITEMS = 1_000

CLOSE_MATCH = 0.8

D = TypeVar("D")
E = TypeVar("E", bound=enum.Enum)


class Fields:
    """The fields of one JSON object. `known` are the names that may be in it; `path` is what it is itself called.

    Every reader raises InvalidInput with `field`. A reader without `_or` is of a required field; one with `_or` gives
    its default for a field that is absent or null.
    """

    def __init__(self, config: Mapping[str, Any], known: Iterable[str], *, path: str = "") -> None:
        self._config = config
        self._path = path
        if not isinstance(config, Mapping):
            raise InvalidInput(f"{path or 'config'} ({shown(config)}) must be an object", field=path or "config")
        if len(config) > MOST_FIELDS:
            name = path or "config"
            raise InvalidInput(f"{name} ({len(config)} fields) must have at most {MOST_FIELDS} fields", field=name)
        self._refuse_misspelt(tuple(known))

    def _refuse_misspelt(self, known: tuple[str, ...]) -> None:
        for name, value in self._config.items():
            if name in known or not isinstance(name, str) or len(name) > LONGEST_TEXT:
                continue
            # A field that is meant may stand beside one of a similar name that this type does not have.
            near = difflib.get_close_matches(name, [k for k in known if k not in self._config], 1, CLOSE_MATCH)
            if near:
                field = self.name(shown(name))
                raise InvalidInput(f"{field} ({shown(value)}) must be spelled {near[0]}", field=field)

    def name(self, field: str) -> str:
        return f"{self._path}.{field}" if self._path else field

    def refuse(self, field: str, must: str) -> NoReturn:
        """Raise: `must` is what follows the word, e.g. `be greater than start_price`."""
        value = self._config.get(field)
        text = "missing" if value is None else shown(value)
        raise InvalidInput(f"{self.name(field)} ({text}) must {must}", field=self.name(field))

    def has(self, field: str) -> bool:
        return self._config.get(field) is not None

    # -- numbers

    def decimal(self, field: str, *, above: int | None = None, at_least: int | None = None) -> Decimal:
        """A finite number, sent as a JSON number or a string, within the bounds."""
        return self._decimal(field, self._config.get(field), above, at_least)

    def decimal_or(
        self, field: str, default: D, *, above: int | None = None, at_least: int | None = None
    ) -> Decimal | D:
        return self.decimal(field, above=above, at_least=at_least) if self.has(field) else default

    def decimals(self, field: str, *, above: int | None = None) -> tuple[Decimal, ...]:
        """A list of at least one number."""
        values = self._config.get(field)
        if not isinstance(values, (list, tuple)) or not 0 < len(values) <= MOST_ITEMS:
            self.refuse(field, f"be a list of 1 to {MOST_ITEMS} numbers")
        return tuple(self._decimal(f"{field}[{at}]", value, above, None) for at, value in enumerate(values))

    def integer(self, field: str, *, at_least: int, at_most: int = 10**9) -> int:
        value = self._config.get(field)
        number = _number(value)
        if number is None or not (at_least <= number <= at_most) or number != int(number):
            self.refuse(field, f"be a whole number of {at_least} to {at_most}")
        return int(number)

    def integer_or(self, field: str, default: D, *, at_least: int, at_most: int = 10**9) -> int | D:
        return self.integer(field, at_least=at_least, at_most=at_most) if self.has(field) else default

    def seconds_or(self, field: str, default: D) -> int | D:
        """A duration in whole seconds, more than none."""
        return self.integer_or(field, default, at_least=1, at_most=GREATEST_SECONDS)

    def _decimal(self, field: str, value: Any, above: int | None, at_least: int | None) -> Decimal:
        number = _number(value)
        must = _bounds_in_words(above, at_least)
        if number is not None and (
            (above is None or number > above)
            and (at_least is None or number >= at_least)
            and abs(number) <= GREATEST
            and (not number or abs(number) >= SMALLEST)
            and len(number.as_tuple().digits) <= MOST_DIGITS
        ):
            return number
        if number is not None and abs(number) > GREATEST:
            must = f"be at most {GREATEST:f}"
        elif number and abs(number) < SMALLEST:
            must = f"be at least {SMALLEST}, or 0"
        elif number is not None and len(number.as_tuple().digits) > MOST_DIGITS:
            must = f"have at most {MOST_DIGITS} digits"
        text = "missing" if value is None else shown(value)
        raise InvalidInput(f"{self.name(field)} ({text}) must {must}", field=self.name(field))

    # -- words

    def text(self, field: str) -> str:
        value = self._config.get(field)
        if not isinstance(value, str) or not value.strip():
            self.refuse(field, "be a text that is not blank")
        if len(value) > LONGEST_TEXT or not value.isprintable():
            self.refuse(field, f"be a text of at most {LONGEST_TEXT} printable characters")
        return value

    def text_or(self, field: str, default: D) -> str | D:
        return self.text(field) if self.has(field) else default

    def pair(self, field: str = "trading_pair") -> str:
        """A trading pair, exactly `BASE-QUOTE`."""
        value = self.text(field)
        base, _, quote = value.partition("-")
        if not base or not quote or "-" in quote or any(c.isspace() for c in value):
            self.refuse(field, "be a pair in the form BASE-QUOTE")
        return value

    def flag_or(self, field: str, default: bool) -> bool:
        value = self._config.get(field)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.refuse(field, "be true or false")
        return value

    def word(self, field: str, words: type[E]) -> E:
        """An enum whose wire values are words: its value or its name, in any case."""
        value = self._config.get(field)
        if isinstance(value, str):
            for member in words:
                if value.strip().upper() in (str(member.value).upper(), member.name):
                    return member
        self.refuse(field, f"be {_alternatives(member.name for member in words)}")

    def word_or(self, field: str, words: type[E], default: E) -> E:
        return self.word(field, words) if self.has(field) else default

    def numbered(self, field: str, values: Mapping[int, E]) -> E:
        """An enum whose wire values are numbers: its value, also as a string, or its name."""
        value = self._config.get(field)
        if isinstance(value, str):
            for member in values.values():
                if value.strip().upper() == member.name:
                    return member
        number = _number(value)
        if number is not None and number in values:
            return values[int(number)]
        self.refuse(field, f"be {_alternatives(f'{member.name} ({number})' for number, member in values.items())}")

    def side(self, field: str = "side") -> Trade:
        return self.numbered(field, SIDE_VALUES)

    def side_or(self, default: Trade, field: str = "side") -> Trade:
        return self.side(field) if self.has(field) else default

    def order_kind_or(self, field: str, default: OrderKind) -> OrderKind:
        return self.numbered(field, ORDER_TYPE_VALUES) if self.has(field) else default

    # -- groups of fields

    def base(self) -> dict[str, Any]:
        """`id`, `timestamp_us` and `controller_id`, by these names."""
        timestamp = self.decimal_or("timestamp", None, at_least=0)
        if timestamp is not None and timestamp >= GREATEST_TIMESTAMP_S:
            self.refuse("timestamp", "be in seconds since 1970")
        return {
            "id": self.text_or("id", None),
            "timestamp_us": None if timestamp is None else int(timestamp * 1_000_000),
            "controller_id": self.text_or("controller_id", "main"),
        }

    def market(self) -> dict[str, Any]:
        """`base` with `connector_name` and `trading_pair`."""
        return {**self.base(), "connector_name": self.text("connector_name"), "trading_pair": self.pair()}

    def nested(self, field: str, known: Iterable[str]) -> Fields:
        """The object in a field; an empty one for a field that is absent."""
        value = self._config.get(field)
        return Fields({} if value is None else value, known, path=self.name(field))

    def activation_bounds(self, field: str = "activation_bounds") -> tuple[Decimal, Decimal] | None:
        """The lower and the upper bound, fractions of a price. One number is both; an empty list is none."""
        value = self._config.get(field)
        if value is None or value in ([], ()):
            return None
        bounds = self.decimals(field, above=0)
        if len(bounds) > 2:
            self.refuse(field, "be one or two numbers")
        return bounds[0], bounds[-1]

    def trailing_stop(self, field: str = "trailing_stop") -> TrailingStop | None:
        if not self.has(field):
            return None
        fields = self.nested(field, TRAILING_FIELDS)
        return TrailingStop(
            activation_pct=fields.decimal("activation_price", above=0),
            delta_pct=fields.decimal("trailing_delta", above=0),
        )

    def triple_barrier(self, field: str = "triple_barrier_config") -> TripleBarrier:
        """§2.1. The order types of stop-loss and time limit are fields that can only say MARKET."""
        fields = self.nested(field, TRIPLE_BARRIER_FIELDS)
        for forced in ("stop_loss_order_type", "time_limit_order_type"):
            if fields.order_kind_or(forced, OrderKind.MARKET) is not OrderKind.MARKET:
                fields.refuse(forced, "be MARKET")
        return TripleBarrier(
            stop_loss=fields.decimal_or("stop_loss", None, above=0),
            take_profit=fields.decimal_or("take_profit", None, above=0),
            time_limit_s=fields.seconds_or("time_limit", None),
            trailing_stop=fields.trailing_stop(),
            open_order_type=fields.order_kind_or("open_order_type", OrderKind.LIMIT),
            take_profit_order_type=fields.order_kind_or("take_profit_order_type", OrderKind.MARKET),
        )


def shown(value: Any) -> str:
    """A refused value as a message may quote it: short, on one line."""
    if isinstance(value, int) and value.bit_length() > 256:
        return "a huge number"
    text = value if isinstance(value, str) else repr(value) if isinstance(value, (int, float, bool)) else None
    if text is None:
        text = str(value) if isinstance(value, Decimal) else type(value).__name__
    text = "".join(c if c.isprintable() else "?" for c in text[:60])
    return text or "empty"


def _number(value: Any) -> Decimal | None:
    """A finite number, or None. A float is taken as it is written, not as it is stored."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    if isinstance(value, int) and value.bit_length() > 256:
        return None
    if isinstance(value, str) and (len(value) > 64 or "_" in value or not value.isascii()):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    # An exponent in the millions is finite, and is ruinous to compute with.
    return number if number.is_finite() and abs(number.adjusted()) <= 100 else None


def _bounds_in_words(above: int | None, at_least: int | None) -> str:
    if above is not None:
        return f"be a number greater than {above}"
    if at_least is not None:
        return f"be a number of at least {at_least}"
    return "be a number"


def _alternatives(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last

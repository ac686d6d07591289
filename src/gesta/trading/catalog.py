"""What may be traded, by every name it goes by: `ES`, `ES1!`, `ESZ6`, `ES DEC26` and `ES 12-26` are one instrument.

A name is resolved once, at the market's time, and stored resolved; `get` then answers by the stored name for ever.
"""

from __future__ import annotations

import decimal
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any, Final, NoReturn

from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import MAX_US, MIN_US, to_datetime
from gesta.trading.contracts import (
    LONGEST_NAME,
    MONTH_CODES,
    MONTH_NAMES,
    Continuous,
    Contract,
    normalized,
    parse_continuous,
    parse_contract,
)
from gesta.trading.futures import FUTURES, Specification
from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.money import DIGITS
from gesta.trading.pairs import PAIRS, compact
from gesta.trading.rolls import expiry_date, front_month
from gesta.trading.sessions import RULES
from gesta.trading.tables import Table

# Below this likeness a suggestion would be a guess: `EZ` is like `ES`, `QQQ` is like nothing here.
_LIKE: Final = 0.5
_GREATEST: Final = Decimal(10**9)
_FORMS: Final = (
    "A future is named like `ES 12-26`, `ES DEC26`, `ESZ26`, or `ES` for its front month; a pair like `BTC-USDT`."
)


class Catalog:
    """The known instruments: the futures of `futures.py`, the pairs of `pairs.py`, and an operator's own in `extra`,
    which take precedence. `roll_days` overrides how long before its expiry or notice day a root rolls."""

    def __init__(self, extra: Sequence[Instrument] = (), *, roll_days: Mapping[str, int] | None = None) -> None:
        self._roll_days = dict(roll_days or {})
        self._by_name: dict[str, Instrument] = {}
        self._by_compact: dict[str, Instrument] = {}
        self._own_contracts: dict[str, dict[Contract, Instrument]] = {}
        for instrument in (*PAIRS, *extra):
            self._add(instrument)
        self._roots = tuple(dict.fromkeys([*FUTURES, *(item.root for item in self._by_name.values())]))

    def resolve(self, name: str, at_us: int) -> Instrument:
        """The instrument that `name` means at that moment, UTC microseconds of market time. A dated name resolves even
        if that contract has expired.

        Raises InvalidInput(field="instrument"), with `did_you_mean` where something is alike, for a name that nothing
        has and for a month in which that future does not trade.
        """
        text = _checked(name)
        if (known := self._by_name.get(text)) is not None:
            return known
        at = _date(at_us)
        contract = parse_contract(text, at.year)
        if contract is not None and (found := self._dated(contract)) is not None:
            return found
        continuous = parse_continuous(text) or Continuous(text)
        if (front := self._front(continuous, at, name)) is not None:
            return front
        if (pair := self._by_compact.get(compact(text))) is not None:
            return pair
        if contract is not None and contract.root in FUTURES:
            _refuse_month(FUTURES[contract.root], contract)
        self._refuse(text, contract.root if contract else text.partition(" ")[0], at_us)

    def get(self, resolved_name: str) -> Instrument | None:
        """The instrument of a name as `resolve` gave it, expired ones included; None for any other text."""
        known = self._by_name.get(resolved_name)
        if known is not None or len(resolved_name) > LONGEST_NAME:
            return known
        contract = parse_contract(resolved_name, 0)
        if contract is None or contract.name != resolved_name:
            return None
        return self._dated(contract)

    def roots(self) -> tuple[str, ...]:
        """Every root, futures first: `ES`, `NQ` … `BTC-USDT` …"""
        return self._roots

    def _add(self, instrument: Instrument) -> None:
        name = normalized(instrument.name)
        self._by_name[name] = instrument
        if instrument.kind is not InstrumentKind.FUTURE:
            self._by_compact[compact(name)] = instrument
        elif (contract := parse_contract(name, 0)) is not None:
            self._own_contracts.setdefault(contract.root, {})[contract] = instrument

    def _dated(self, contract: Contract) -> Instrument | None:
        """Built once and remembered: there are at most a hundred years of twelve months of each root."""
        if (known := self._by_name.get(contract.name)) is not None:
            return known
        specification = FUTURES.get(contract.root)
        if specification is None or not specification.cycle.trades(contract):
            return None
        instrument = specification.instrument(contract)
        self._by_name[contract.name] = instrument
        return instrument

    def _front(self, wanted: Continuous, at: date, name: str) -> Instrument | None:
        """An operator's own contracts follow each other by their expiries."""
        if (own := self._own_contracts.get(wanted.root)) is not None and wanted.root not in FUTURES:
            alive = sorted(contract for contract, item in own.items() if item.expiry is not None and at <= item.expiry)
            if len(alive) >= wanted.position:
                return own[alive[wanted.position - 1]]
            raise InvalidInput(
                f"{name!r} has no contract at that time: name one of "
                f"{', '.join(contract.name for contract in sorted(own)[:6])}.",
                field="instrument",
            )
        if (specification := FUTURES.get(wanted.root)) is None:
            return None
        try:
            contract = front_month(
                wanted.root,
                specification.cycle,
                at,
                position=wanted.position,
                roll_days=self._roll_days.get(wanted.root),
            )
        except ValueError as error:
            raise InvalidInput(f"{error}.", field="instrument") from None
        return self._dated(contract)

    def _refuse(self, text: str, root: str, at_us: int) -> NoReturn:
        """Say which known name is alike, spelled the way the caller's is, or else as it is printed."""
        if root in FUTURES and (front := self._front(Continuous(root), _date(at_us), root)) is not None:
            raise InvalidInput(
                f"{text.removeprefix(root).strip()!r} is no month of {root}. Did you mean `{front.name}`? {_FORMS}",
                field="instrument",
                did_you_mean=front.name,
            )
        alike = _nearest(root, self._roots)
        if alike is None:
            raise InvalidInput(f"No instrument is called {text!r}. {_FORMS}", field="instrument")
        meant = alike if alike in self._by_name else text.replace(root, alike, 1)
        try:
            self.resolve(meant, at_us)
        except InvalidInput as error:
            meant = error.details.get("did_you_mean", alike)
        raise InvalidInput(
            f"No instrument is called {text!r}. Did you mean `{meant}`? {_FORMS}",
            field="instrument",
            did_you_mean=meant,
        )


def _date(at_us: int) -> date:
    return to_datetime(min(max(at_us, MIN_US), MAX_US)).date()


def load_instruments(text: str) -> list[Instrument]:
    """The instruments of an operator's TOML file, a table each under `[[instrument]]`; `instrument_of_table` has the
    fields. Raises InvalidInput for text that is not TOML, for a wrong field and for a name that stands twice."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"The instruments are not TOML: {error}.", field="instrument") from None
    except RecursionError:
        raise InvalidInput("The instruments are nested too deeply.", field="instrument") from None
    read = Table(document, "instruments")
    found = [_instrument(row) for row in read.tables("instrument")]
    read.done()
    seen: set[str] = set()
    for instrument in found:
        if instrument.name in seen:
            raise InvalidInput(f"Two instruments are called {instrument.name!r}.", field="name")
        seen.add(instrument.name)
    return found


def instrument_of_table(row: Mapping[str, Any]) -> Instrument:
    """One instrument of an operator's table: `name`, `kind` and `tick_size` are required; the rest is as `Instrument`
    has it, `lot_size` 1 unless said. Raises InvalidInput, naming the field, for whatever cannot be."""
    return _instrument(Table(row, "instrument"))


def _instrument(read: Table) -> Instrument:
    name = normalized(read.text("name", required=True))
    kind = InstrumentKind(read.choice("kind", tuple(InstrumentKind)))
    if len(name) > LONGEST_NAME:
        raise read.error("name", f"has at most {LONGEST_NAME} characters")
    contract = parse_contract(name, 0) if kind is InstrumentKind.FUTURE else None
    if contract is not None and contract.name != name:
        raise read.error("name", f"a future is named by its month, here {contract.name!r}")
    margin = None
    if "initial_margin" in read:
        margin = read.decimal("initial_margin", least=Decimal(0), most=_GREATEST, digits=DIGITS)
    instrument = Instrument(
        name=name,
        kind=kind,
        root=normalized(read.text("root", contract.root if contract else name)) or name,
        tick_size=_size(read, "tick_size", None),
        lot_size=_size(read, "lot_size", Decimal(1)),
        point_value=_size(read, "point_value", Decimal(1)),
        currency=read.text("currency", "USD", required="currency" in read).upper(),
        exchange=read.text("exchange"),
        description=read.text("description"),
        min_notional=read.decimal("min_notional", Decimal(0), least=Decimal(0), most=_GREATEST, digits=DIGITS),
        initial_margin=margin,
        margin_rate=read.decimal("margin_rate", Decimal(1), least=Decimal(0), most=Decimal(10), digits=DIGITS),
        expiry=read.day("expiry"),
        calendar=read.choice("calendar", tuple(RULES), "always"),
    )
    read.done()
    try:
        instrument.margin(1, 1)
        is_whole = instrument.factor > 0
    except decimal.Inexact:
        is_whole = False
    if not is_whole:
        raise read.error("tick_size", f"what a tick, a lot and its margin are worth must have at most {DIGITS} digits")
    return instrument


def _size(read: Table, field: str, default: Decimal | None) -> Decimal:
    return read.decimal(field, default, above=Decimal(0), most=_GREATEST, digits=DIGITS)


def _checked(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidInput(f"`instrument` must be a name. {_FORMS}", field="instrument")
    text = normalized(name) if len(name) <= LONGEST_NAME * 4 else ""
    if not text:
        state = "is empty" if len(name) <= LONGEST_NAME else "is too long"
        raise InvalidInput(f"`instrument` {state}. {_FORMS}", field="instrument")
    if len(text) > LONGEST_NAME:
        raise InvalidInput(f"`instrument` has at most {LONGEST_NAME} characters. {_FORMS}", field="instrument")
    return text


def _refuse_month(specification: Specification, contract: Contract) -> NoReturn:
    """Suggest the next month that trades."""
    cycle = specification.cycle
    names = [MONTH_NAMES[MONTH_CODES.index(code)].title() for code in cycle.months]
    following = front_month(
        contract.root,
        cycle,
        min(expiry_date(cycle, contract), date(2098, 12, 31)),
        roll_days=0,
    )
    raise InvalidInput(
        f"{contract.root} does not trade in {MONTH_NAMES[contract.month - 1].title()}, but in {', '.join(names)}: "
        f"`{following.name}` is the next one.",
        field="instrument",
        did_you_mean=following.name,
    )


@lru_cache(maxsize=1024)
def _nearest(text: str, known: tuple[str, ...]) -> str | None:
    """The likest, if it is no more than a letter longer or shorter: `AAPL` is no misspelled `PL`. Remembered, because a
    wrong name comes again with every row of a feed."""
    text = compact(text)
    best, score = None, 0.0
    for candidate in known:
        letters = compact(candidate)
        if abs(len(letters) - len(text)) > 1:
            continue
        matcher = SequenceMatcher(None, text, letters)
        # A bound that costs little: most names are nothing alike.
        if matcher.quick_ratio() < _LIKE:
            continue
        likeness = matcher.ratio()
        if likeness > score:
            best, score = candidate, likeness
    return best if score >= _LIKE else None

"""One row of the grid as a fill. Pure: the culture, the zone and the line number are given."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from gesta.ledger.records import FillDetail, Side
from gesta.sources import contracts
from gesta.sources.nt8_grid.culture import Culture, Layout
from gesta.sources.nt8_grid.dates import local_datetime, take_apart, to_utc
from gesta.sources.nt8_grid.headers import Column
from gesta.sources.nt8_grid.numbers import Money, parse_money, parse_number
from gesta.sources.nt8_grid.words import entry_or_exit, position_of, side_of
from gesta.sources.positions import Flags, flags_of
from gesta.sources.row import Fill, RowError

ORIGIN = "ninjatrader"
_MAX_CELL_CHARACTERS = 256


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """All that a row needs to be understood besides its fields. `content` is the SHA-256 of the file."""

    layout: Layout
    culture: Culture
    zone: ZoneInfo
    content: str
    account: str | None
    currency: str | None


def fill_of(fields: list[str], line: int, setting: Setting) -> Fill:
    """Raises RowError, with the reason, for a row that is not a fill."""
    reader = _Row(fields, setting)
    side = side_of(reader.required(Column.ACTION))
    quantity = reader.number(Column.QUANTITY)
    if quantity <= 0:
        raise RowError("the quantity is not above zero", field="quantity")
    local = local_datetime(take_apart(reader.required(Column.TIME)), setting.culture.date_order)
    at_us, time_note = to_utc(local, setting.zone)
    instrument = contracts.dated_name(reader.required(Column.INSTRUMENT), local.year)
    commission = reader.money(Column.COMMISSION)
    account = reader.account()
    position_after, flags, flag_note = reader.position(side, quantity)
    rate = reader.text(Column.RATE)
    detail = FillDetail(
        order_id=reader.text(Column.ORDER_ID),
        instrument=instrument,
        side=side,
        quantity=quantity,
        price=reader.number(Column.PRICE),
        commission=commission.amount,
        currency=setting.currency or commission.currency or "USD",
        point_value=contracts.point_value(instrument),
        instrument_type=contracts.instrument_type(instrument),
        venue=reader.text(Column.CONNECTION),
        position_after=position_after,
        rate=reader.number(Column.RATE) if rate else Decimal(1),
        is_entry=flags.is_entry,
        is_entry_strategy=flags.is_entry,
        is_exit=flags.is_exit,
        is_exit_strategy=flags.is_exit,
        is_initial_entry=flags.is_initial_entry,
        is_last_exit=flags.is_last_exit,
    )
    return Fill(
        line=line,
        id=reader.text(Column.ID) or derived_id(account, setting.content, line),
        account=account,
        origin=ORIGIN,
        name=reader.text(Column.NAME),
        at_us=at_us,
        detail=detail,
        time_zone=setting.zone.key,
        notes=tuple(note for note in (time_note, flag_note) if note),
    )


def derived_id(account: str, content: str, line: int) -> str:
    """The id of a row without one: the same file again gives it again, and equal rows of a file stay apart.

    It is not made of the row's content, because equal rows can be separate fills (protocols/crosstrade.md §6).
    """
    return hashlib.sha256(f"{account.casefold()}\0{content}\0{line}".encode()).hexdigest()[:32]


class _Row:
    def __init__(self, fields: list[str], setting: Setting) -> None:
        self._fields = fields
        self._setting = setting

    def text(self, column: Column) -> str:
        cell = self._setting.layout.cell(self._fields, column)
        if len(cell) > _MAX_CELL_CHARACTERS:
            raise RowError(f"the {column} has more than {_MAX_CELL_CHARACTERS} characters", field=column)
        return cell

    def required(self, column: Column) -> str:
        cell = self.text(column)
        if not cell:
            raise RowError(f"the {column} is empty", field=column)
        return cell

    def number(self, column: Column) -> Decimal:
        return parse_number(self.required(column), self._setting.culture.decimal, field=column)

    def money(self, column: Column) -> Money:
        return parse_money(self.text(column), self._setting.culture.decimal, field=column)

    def account(self) -> str:
        name = self._setting.account or self.text(Column.ACCOUNT) or self.text(Column.ACCOUNT_DISPLAY)
        if not name:
            raise RowError("the account is empty; give --account NAME", field="account")
        return name

    def position(self, side: Side, quantity: Decimal) -> tuple[Decimal, Flags, str | None]:
        """Position after, flags, and a note if the grid's own word says something else.

        Without a Position column nothing is known of the position but what Entry or Exit says.
        """
        said = entry_or_exit(self.text(Column.ENTRY_EXIT))
        if Column.POSITION not in self._setting.layout.columns:
            flags = Flags(is_entry=said == "entry", is_exit=said == "exit", is_initial_entry=False, is_last_exit=False)
            return Decimal(0), flags, None
        direction = 1 if side is Side.BUY else -1
        known = {"entry": direction, "exit": -direction}.get(said or "")
        after = position_of(self.text(Column.POSITION), known)
        flags = flags_of(side, quantity, after)
        agrees = said is None or (flags.is_entry if said == "entry" else flags.is_exit)
        return after, flags, None if agrees else f"the grid calls it {said}, the position after it says otherwise"

"""The file as a whole: three passes in bounded memory. Content and encoding, then culture, then the rows, lazily."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from zoneinfo import ZoneInfo

import msgspec

from gesta.sources.files import Fingerprint, Line, Opener, fingerprint, text_lines
from gesta.sources.nt8_grid.culture import SEPARATORS, data_lines, find_culture, find_layout
from gesta.sources.nt8_grid.dates import DateOrder
from gesta.sources.nt8_grid.fills import Setting, fill_of
from gesta.sources.nt8_grid.headers import Column
from gesta.sources.nt8_grid.numbers import DecimalMark
from gesta.sources.row import FileError, Item, Reading, Refused, RowError


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`zone` is the one set in NinjaTrader (Options › General). What is None is found out from the file.

    `columns` maps a header of the file to a `Column` value, for headers that are not known.
    """

    zone: ZoneInfo
    account: str | None = None
    date_order: DateOrder | None = None
    decimal: DecimalMark | None = None
    currency: str | None = None
    columns: Mapping[str, str] = {}


def read(opener: Opener, options: Options) -> Reading:
    """Read an export of the Executions grid.

    Raises FileError when the file has no such header, cannot be read, or has dates of two possible orders. A bad row is
    a `Refused` in its place.
    """
    content = fingerprint(opener)
    layout = find_layout(_lines(opener, content), options.columns)
    if not options.account and not {Column.ACCOUNT, Column.ACCOUNT_DISPLAY} & layout.columns.keys():
        raise FileError("The file has no account column; say whose fills they are: --account NAME.")
    culture = find_culture(_lines(opener, content), layout, decimal=options.decimal, date_order=options.date_order)
    setting = Setting(
        layout=layout,
        culture=culture,
        zone=options.zone,
        content=content.sha256,
        account=options.account,
        currency=options.currency,
    )
    return Reading(notes=_notes(setting, content), expected=content.lines, items=_items(opener, content, setting))


def _notes(setting: Setting, content: Fingerprint) -> tuple[str, ...]:
    layout, culture = setting.layout, setting.culture
    notes = [
        f"Read as {content.encoding}, separator {SEPARATORS[layout.separator]}, decimal {culture.decimal}, "
        f"dates {culture.date_order}, times of {setting.zone.key}.",
        *culture.notes,
    ]
    if Column.ID not in layout.columns:
        notes.append(
            "The file has no ID column: ids were made from the file and the line. The same file adds nothing when "
            "imported again, but another export with the same fills would add them again."
        )
    if Column.POSITION not in layout.columns:
        notes.append("The file has no Position column: the position after each fill is not known and stands as 0.")
    return tuple(notes)


def _items(opener: Opener, content: Fingerprint, setting: Setting) -> Iterator[Item]:
    for line, fields in data_lines(_lines(opener, content), setting.layout):
        try:
            if isinstance(fields, RowError):
                raise fields
            yield fill_of(fields, line.number, setting)
        except RowError as error:
            yield Refused(line=line.number, reason=error.message)


def _lines(opener: Opener, content: Fingerprint) -> Iterator[Line]:
    return text_lines(opener, content.encoding)

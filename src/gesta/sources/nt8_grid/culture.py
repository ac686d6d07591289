"""How a file is written: separator, header, decimal mark, date order. Decided over the whole file, before any row."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from gesta.sources.files import Line
from gesta.sources.nt8_grid.dates import DateOrder, proof, take_apart
from gesta.sources.nt8_grid.headers import Column, columns_of, normal, recognized
from gesta.sources.nt8_grid.numbers import DecimalMark, evidence, is_open
from gesta.sources.row import FileError, RowError

SEPARATORS = {";": "semicolon", ",": "comma", "\t": "tab", "|": "bar"}
_HEADER_WITHIN_LINES = 20
_HEADER_WORDS = 3
_NUMERIC = (Column.PRICE, Column.COMMISSION, Column.QUANTITY, Column.RATE)


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Where the header stands, what separates the fields, which column is where, how many fields a row has."""

    separator: str
    header_line: int
    header: tuple[str, ...]
    columns: dict[Column, int]
    width: int

    def cell(self, fields: list[str], column: Column) -> str:
        """The text of a column, "" if the file or the row does not have it."""
        place = self.columns.get(column)
        return fields[place].strip() if place is not None and place < len(fields) else ""


class Culture(msgspec.Struct, frozen=True, kw_only=True):
    decimal: DecimalMark
    date_order: DateOrder
    notes: tuple[str, ...]


def split(text: str, separator: str) -> list[str]:
    """The fields of one line. Raises RowError for quotes that do not match."""
    try:
        return next(csv.reader([text], delimiter=separator, strict=True), [])
    except csv.Error as error:
        raise RowError(f"the line cannot be split into fields: {error}") from None


def find_layout(lines: Iterable[Line], named: Mapping[str, str]) -> Layout:
    """Find the header among the first lines: the line and separator under which most columns are recognized.

    Raises FileError if there is none, or if it lacks a required column.
    """
    best: tuple[int, int, Line, str, list[str]] | None = None
    known = {normal(name) for name in named}
    for seen, line in enumerate(lines):
        if seen >= _HEADER_WITHIN_LINES:
            break
        for separator in SEPARATORS:
            try:
                fields = split(line.text, separator)
            except RowError:
                continue
            score = recognized(fields) + len(known & {normal(field) for field in fields})
            # Among unknown headers the separator that gives more fields is the better guess for the message.
            if len(fields) > 1 and (best is None or (score, len(fields)) > best[:2]):
                best = (score, len(fields), line, separator, fields)
        if best is not None and best[0] >= _HEADER_WORDS and best[2] is line:
            break
    if best is None:
        raise FileError("The file has no header line with columns; is it a CSV export of the Executions grid?")
    _, _, line, separator, fields = best
    width = len(fields)
    while width and not fields[width - 1].strip():
        width -= 1
    return Layout(
        separator=separator,
        header_line=line.number,
        header=tuple(fields[:width]),
        columns=columns_of(fields, named),
        width=width,
    )


def data_lines(lines: Iterable[Line], layout: Layout) -> Iterator[tuple[Line, list[str] | RowError]]:
    """The lines after the header with their fields, or what is wrong with them; blank lines and repeats of the header
    are left out."""
    for line in lines:
        if line.number <= layout.header_line or not line.text.strip(layout.separator + ' \t"'):
            continue
        try:
            fields = _fields(line, layout)
        except RowError as error:
            yield line, error
            continue
        if tuple(fields[: layout.width]) != layout.header:
            yield line, fields


def _fields(line: Line, layout: Layout) -> list[str]:
    if line.cut:
        raise RowError("the line is too long to be a row of the grid")
    if "\0" in line.text:
        raise RowError("the line has a NUL character")
    fields = split(line.text, layout.separator)
    if any(field.strip() for field in fields[layout.width :]):
        raise RowError(
            f"the line has {len(fields)} fields and the header {layout.width}; "
            f"is there a {SEPARATORS[layout.separator]} in a number or a name that is not in quotes?"
        )
    return fields


class _Votes:
    """What the cells of the file prove, gathered line by line in constant memory."""

    def __init__(self) -> None:
        self.decimals = dict.fromkeys(DecimalMark, 0)
        self.open_number = ""
        self.dates: dict[DateOrder, tuple[int, str]] = {}
        self.open_date: tuple[int, str, str] | None = None
        self.short_year = False

    def number(self, text: str) -> None:
        mark = evidence(text)
        if mark is not None:
            self.decimals[mark] += 1
        elif is_open(text):
            self.open_number = self.open_number or text

    def date(self, line: int, text: str) -> None:
        try:
            clock = take_apart(text)
        except RowError:
            return
        if clock.year_first or clock.month_word:
            return
        self.short_year = self.short_year or clock.numbers[2] < 100
        order = proof(clock)
        if order is not None:
            self.dates.setdefault(order, (line, text))
        elif clock.numbers[0] != clock.numbers[1] and self.open_date is None:
            self.open_date = (line, text, clock.separator)


def find_culture(
    lines: Iterable[Line], layout: Layout, *, decimal: DecimalMark | None, date_order: DateOrder | None
) -> Culture:
    """Decide the decimal mark and the date order from every row; what is given is taken as it is.

    Raises FileError when the dates of the file contradict each other, or can be read in two ways.
    """
    votes = _Votes()
    for line, fields in data_lines(lines, layout):
        if isinstance(fields, RowError):
            continue
        for column in _NUMERIC:
            votes.number(layout.cell(fields, column))
        votes.date(line.number, layout.cell(fields, Column.TIME))
    notes: list[str] = []
    mark = decimal or _decimal(votes, layout, notes)
    order = date_order or _date_order(votes, mark, notes)
    if votes.short_year:
        notes.append(f"The dates have years of two digits; they were read as {order}.")
    return Culture(decimal=mark, date_order=order, notes=tuple(notes))


def _decimal(votes: _Votes, layout: Layout, notes: list[str]) -> DecimalMark:
    points, commas = votes.decimals[DecimalMark.POINT], votes.decimals[DecimalMark.COMMA]
    # Windows separates lists with a semicolon where the comma is the decimal mark.
    likely = DecimalMark.COMMA if layout.separator == ";" else DecimalMark.POINT
    chosen = likely if points == commas else DecimalMark.POINT if points > commas else DecimalMark.COMMA
    if points and commas:
        notes.append(
            f"Some numbers have a decimal point ({points}) and some a decimal comma ({commas}); "
            f"the {chosen} was taken, numbers of the other form are refused. Say --decimal point|comma to choose."
        )
    elif not points and not commas and votes.open_number:
        notes.append(
            f"{votes.open_number!r} can be read in two ways; a decimal {chosen} was assumed from the separator. "
            f"Say --decimal point|comma to choose."
        )
    return chosen


def _date_order(votes: _Votes, mark: DecimalMark, notes: list[str]) -> DateOrder:
    month_first, day_first = votes.dates.get(DateOrder.MDY), votes.dates.get(DateOrder.DMY)
    if month_first and day_first:
        raise FileError(
            f"The dates contradict each other: line {month_first[0]} ({month_first[1][:40]}) has the month first, "
            f"line {day_first[0]} ({day_first[1][:40]}) the day. Say --date-order mdy or dmy; "
            f"rows that do not fit it are refused."
        )
    if month_first or votes.open_date is None:
        return DateOrder.DMY if day_first else DateOrder.MDY
    if day_first:
        return DateOrder.DMY
    line, text, separator = votes.open_date
    if mark is DecimalMark.COMMA or separator == "-":
        # No culture with a decimal comma, and none that writes dashes and the year last, puts the month first.
        notes.append(f"No date has a day above 12; the day was taken to come first (line {line}: {text[:40]}).")
        return DateOrder.DMY
    raise FileError(
        f"Line {line}: {text[:40]} can be month/day or day/month, and no other date of the file decides it. "
        f"Say --date-order mdy or --date-order dmy."
    )
